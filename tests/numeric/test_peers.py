"""What other packages compute, run: each statement of symbolic/peers.toml, value and gradient.

With the packages installed (pip install '.[peers,test]'): pytest -m peers
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import pytest

import midpo
from midpo.symbolic.language.peers import PeerStatement, statements
from midpo.symbolic.language.spec import catalogue, policy_argument

torch = pytest.importorskip("torch")

from peer_proofs import written  # noqa: E402
from peer_runs import BETA, RUNNERS, SHIFT, Pairs  # noqa: E402  (it needs torch)

STATEMENTS = statements()


def test_statements_are_whole() -> None:
    """Without any of the packages: rows, parameters and words are there."""
    assert len({(s.package, s.entry, str(s.options), s.row) for s in STATEMENTS}) == len(STATEMENTS)
    for statement in STATEMENTS:
        assert statement.row in catalogue() and (statement.package, statement.entry) in RUNNERS
        assert statement.how or statement.verdict == "computes"
        assert bool(statement.computes) == (statement.verdict == "deviates")


def installed(package: str, version: str) -> None:
    """Skips, with the reason, where the package is missing or of another version."""
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install 'midpo[peers]'")
    if found != version:
        pytest.skip(f"{package} {found} is installed; the statements are about {version}")


def batch(count: int, prompt: int = 1, seed: int = 0, responses: int = 2) -> Any:
    """Pairs of unequal lengths; with a prompt, its tokens come first and count for no response."""
    generator = torch.Generator().manual_seed(seed)
    rows, width, vocabulary = responses * count, 6, 7
    policy, reference = (
        torch.randn(rows, width, vocabulary, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    labels = torch.randint(0, vocabulary, (rows, width), generator=generator)
    for row in range(rows):
        labels[row, 2 + (3 * row + seed) % 5 :] = -100
    return Pairs(policy.requires_grad_(), reference, labels, prompt, responses)


def of_responses(pairs: Any) -> Any:
    """Labels without the prompt's."""
    labels = pairs.labels.clone()
    labels[:, : pairs.prompt - 1] = -100
    return labels


def ours(text: str, pairs: Any, at: Mapping[str, float]) -> Any:
    """Our kernel's loss of the batch; every frozen policy has the reference's logits. Responses
    that the loss does not speak of come last and are left out."""
    spec = written(text)
    kernel = midpo.generate(spec)
    rows = slice(len(spec.roles) * pairs.count)
    given: dict[str, Any] = {name: at.get(name, {"alpha": BETA}.get(name)) for name in kernel.parameters}
    assert None not in given.values(), f"{text}: {given}"
    for name, kind in kernel.features.items():
        assert kind == "pair"
        given[name] = torch.full((pairs.count,), at.get(name, SHIFT), dtype=torch.float64)
    for policy in kernel.policies:
        logits = pairs.policy if policy == "pi" else pairs.reference
        given[policy_argument(policy)] = logits[rows]
    return kernel.compile()(labels=of_responses(pairs)[rows], **given)


def agree(statement: PeerStatement, pairs: Any, text: str, at: Mapping[str, float]) -> bool:
    """Whether the entry's value and gradient are ours, to what its dtype holds."""
    theirs = RUNNERS[statement.package, statement.entry](pairs, statement.options)
    mine = statement.scale * ours(text, pairs, at)
    (their_gradient,), (gradient,) = (torch.autograd.grad(loss, pairs.policy) for loss in (theirs, mine))
    tolerance = 2e-5  # Liger and parts of TRL compute in float32
    close = torch.allclose(theirs.double(), mine, rtol=tolerance, atol=tolerance)
    return bool(close) and bool(
        torch.allclose(their_gradient, gradient, rtol=tolerance, atol=tolerance * float(gradient.abs().max()))
    )


@pytest.mark.peers
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: f"{s.row}:{s.package}.{s.call}")
def test_statement(statement: PeerStatement) -> None:
    installed(statement.package, statement.version)
    if statement.verdict == "refuses":
        with pytest.raises((NotImplementedError, ValueError)):
            RUNNERS[statement.package, statement.entry](batch(2), statement.options)
        return
    computed = statement.computes or statement.row
    of = len(written(computed).roles)
    sizes = (1, 3) if statement.over == "responses" else (1,)
    for seed, count in enumerate(sizes):
        assert agree(statement, batch(count, seed=seed, responses=of), computed, statement.at)
    if statement.over != "responses":  # and of several pairs of unequal lengths it is another
        assert not agree(statement, batch(3, responses=of), computed, statement.at)
    if statement.over == "prompt":
        assert not agree(statement, batch(1, 2, seed=1, responses=of), computed, statement.at)
    if statement.verdict == "deviates":
        count = 3 if statement.over == "responses" else 2
        pairs = batch(count, responses=of)
        assert not agree(statement, pairs, statement.row, statement.published)


@pytest.mark.peers
def test_every_loss_that_trl_names_has_a_row() -> None:
    installed("trl", "1.16.0")
    from trl import DPOTrainer, KTOTrainer
    from trl.experimental.cpo import CPOConfig
    from trl.experimental.tpo import TPOTrainer

    named = {
        (s.entry, t)
        for s in STATEMENTS
        if s.package == "trl" and "loss_type" in s.options
        for t in _listed(s.options["loss_type"])
    }
    source = textwrap.dedent(inspect.getsource(DPOTrainer._compute_loss))
    types = set(re.findall(r'loss_type == "(\w+)"', source))
    assert len(types) == 15
    assert types == {t for e, t in named if e == "DPOConfig"}
    divergences = set(re.findall(r'f_divergence_type == "(\w+)"', source))
    asked = {s.options.get("f_divergence_type", "reverse_kl") for s in STATEMENTS if s.entry == "DPOConfig"}
    assert divergences == asked
    assert {t for e, t in named if e == "experimental.cpo.CPOConfig"} == set(
        CPOConfig.__dataclass_fields__["loss_type"].metadata["choices"]
    )
    tpo = inspect.getsource(TPOTrainer._compute_loss)
    assert {t for e, t in named if e == "experimental.tpo.TPOConfig"} == set(
        re.findall(r'loss_type == "([\w-]+)"', tpo)
    )
    kto = inspect.getsource(KTOTrainer)
    assert {t for e, t in named if e == "KTOConfig"} == set(re.findall(r'loss_type == "(\w+)"', kto))
    with pytest.raises(ImportError):  # BCO's trainer has left this version
        importlib.import_module("trl.experimental.bco")


@pytest.mark.peers
def test_every_preference_loss_that_liger_and_torchtune_name_has_a_row() -> None:
    installed("liger-kernel", "0.8.5")
    from liger_kernel import chunked_loss
    from liger_kernel.chunked_loss.dpo_loss import LigerFusedLinearDPOFunction

    named = {s.entry for s in STATEMENTS if s.package == "liger-kernel"}
    offered = {n for n in dir(chunked_loss) if n.startswith("Liger") and n.endswith("POLoss")}
    offered |= {n for n in dir(chunked_loss) if n.endswith("KTOLoss")}
    assert offered - named == {"LigerFusedLinearGRPOLoss"}  # of sampled groups, not of pairs
    tree = ast.parse(textwrap.dedent(inspect.getsource(LigerFusedLinearDPOFunction.preference_loss_fn)))
    types = {
        n.comparators[0].value
        for n in ast.walk(tree)
        if isinstance(n, ast.Compare)
        and isinstance(n.left, ast.Name)
        and n.left.id == "loss_type"
        and isinstance(n.comparators[0], ast.Constant)
    }
    assert types == {s.options["loss_type"] for s in STATEMENTS if s.entry == "LigerFusedLinearDPOLoss"}

    installed("torchtune", "0.6.1")
    from torchtune.rlhf import loss

    offered = {n for n in dir(loss) if n.endswith("Loss")}
    assert offered - {"PPOLoss"} == {s.entry for s in STATEMENTS if s.package == "torchtune"}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        (f"-logsigmoid({DPO})", True),
        (f"-logsigmoid(-({DPO}))", False),
        (f"-logsigmoid({DPO.replace('log(pi(y_l)/pi_ref(y_l))', 'sg(log(pi(y_l)/pi_ref(y_l)))')})", False),
        (f"-logsigmoid({DPO}) + 1/1000", False),
    ],
)
def test_comparison_sees_signs_gradients_and_constants(
    text: str, agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison itself, on a stand-in that computes DPO: no package is needed."""
    entry = ("trl", "DPOConfig")
    monkeypatch.setitem(RUNNERS, entry, lambda pairs, options: ours("dpo", pairs, {}))
    assert agree(STATEMENTS[0], batch(3), text, {}) is agrees
