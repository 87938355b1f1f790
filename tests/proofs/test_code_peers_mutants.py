"""Changes planted in the packages' own functions: no entry that computes something else is proved.

The functions that make a loss are compiled again with one change (a sign, an operator, a constant, a
comparison, a call left out). Those that random logits see, in value or gradient, are asked about.
"""

from __future__ import annotations

import importlib
import inspect
import random
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from mutating import Mutant, mutants
from test_code_peers import STATEMENTS, as_stated, installed

from midpo.symbolic.language.peers import PeerStatement

torch: Any = pytest.importorskip("torch")

from peer_proofs import computed, stated  # noqa: E402  (it needs torch)
from peer_runs import RUNNERS, Pairs  # noqa: E402

MANY, MOST = 2, 500  # mutants asked about of an entry, and tried
TRL = {
    "DPOConfig": ("trl", "DPOTrainer", ("_compute_loss",)),
    "KTOConfig": ("trl", "KTOTrainer", ("_compute_loss",)),
    "experimental.cpo.CPOConfig": (
        "trl.experimental.cpo",
        "CPOTrainer",
        ("get_batch_loss_metrics", "concatenated_forward", "cpo_loss", "get_batch_logps"),
    ),
    "experimental.orpo.ORPOConfig": (
        "trl.experimental.orpo",
        "ORPOTrainer",
        ("get_batch_loss_metrics", "concatenated_forward", "odds_ratio_loss", "get_batch_logps"),
    ),
    "experimental.tpo.TPOConfig": ("trl.experimental.tpo", "TPOTrainer", ("_compute_loss",)),
}


def functions(statement: PeerStatement) -> list[tuple[type, str]]:
    """The classes' functions that make the loss."""
    if statement.package == "trl":
        module, name, inside = TRL[statement.entry]
        return [(getattr(importlib.import_module(module), name), f) for f in inside]
    if statement.package == "torchtune":
        return [(getattr(importlib.import_module("torchtune.rlhf.loss"), statement.entry), "forward")]
    name = statement.entry.removesuffix("Loss")
    module = f"liger_kernel.chunked_loss.{name.removeprefix('LigerFusedLinear').lower()}_loss"
    own = getattr(importlib.import_module(module), f"{name}Function")
    base = own.__mro__[1]
    return [(own, "preference_loss_fn"), *((base, f) for f in ("chunk_forward", "_compute_loss", "backward"))]


def planted(statement: PeerStatement, seed: int) -> Iterator[tuple[type, str, Any, Mutant]]:
    """Mutants of the functions, each with what takes the function's place."""
    found = []
    for cls, name in functions(statement):
        raw = cls.__dict__[name]
        function = getattr(raw, "__func__", raw)
        found += [(cls, name, m) for m in mutants(textwrap.dedent(inspect.getsource(function)))]
    random.Random(seed).shuffle(found)
    for cls, name, mutant in found[:MOST]:
        raw = cls.__dict__[name]
        function = getattr(raw, "__func__", raw)
        scope: dict[str, Any] = {}
        exec(compile(mutant.source, function.__code__.co_filename, "exec"), function.__globals__, scope)
        yield cls, name, scope[name], mutant


def numbers(statement: PeerStatement, responses: int) -> list[Any]:
    """Losses and gradients at random logits; of one pair where means are over tokens."""
    found = []
    for pairs, seed in ((1, 0), (1, 3), (2 if statement.over == "responses" else 1, 1)):
        generator = torch.Generator().manual_seed(seed)
        shape = responses * pairs, 5, 4
        policy, reference = (2 * torch.randn(shape, generator=generator).double() for _ in range(2))
        labels = torch.randint(0, 4, shape[:2], generator=generator)
        for row in range(len(labels)):
            labels[row, 1 + (3 * row + seed) % 5 :] = -100
        given = Pairs(policy.requires_grad_(), reference, labels, 1, responses)
        loss = RUNNERS[statement.package, statement.entry](given, statement.options)
        (slope,) = torch.autograd.grad(loss, policy)
        found += [loss.detach().double(), slope.double()]
    return found


@pytest.mark.peers
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: f"{s.row}:{s.package}.{s.call}")
def test_another_loss_is_not_proved(statement: PeerStatement, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(statement.package, statement.version)
    responses = len(stated(statement.computes or statement.row, statement.at, statement.scale).roles)
    right, seen = numbers(statement, responses), []
    for cls, name, changed, mutant in planted(statement, seed=len(statement.sentence)):
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, changed)
            try:
                wrong = numbers(statement, responses)
            except Exception:
                continue  # it cannot be run
            if all(torch.allclose(a, b, 1e-4, 1e-5) for a, b in zip(right, wrong, strict=True)):
                continue
            found = computed(statement)
            assert not (found.proved and as_stated(found)), (name, mutant.was, mutant.now)
            seen.append(found.verdict)
        if len(seen) == MANY:
            break
    assert "refuted" in seen, seen
