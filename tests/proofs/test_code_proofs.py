"""Code that computes a loss is proved to, other code is refuted, and none fools the tool."""

from __future__ import annotations

import contextlib
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main
from midpo.proofs.code.answer import CodeProof

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional

Function = Callable[..., Any]
SET = {"beta": "alpha"}


def proved(
    row: str, function: Function, arguments: dict[str, Any] | None = None, **options: Any
) -> CodeProof:
    return midpo.prove(row, function, arguments=SET if arguments is None else arguments, **options)


# --- Losses of whole responses --------------------------------------------------------------------


def margins(
    pi_chosen_logps: Any, pi_rejected_logps: Any, ref_chosen_logps: Any, ref_rejected_logps: Any
) -> Any:
    return (pi_chosen_logps - pi_rejected_logps) - (ref_chosen_logps - ref_rejected_logps)


def whole(link: Callable[[Any, Any], Any]) -> Function:
    """A loss of the margin and beta, as trainers write it."""

    def loss(
        pi_chosen_logps: Any,
        pi_rejected_logps: Any,
        ref_chosen_logps: Any,
        ref_rejected_logps: Any,
        beta: float = 0.1,
    ) -> Any:
        return link(margins(pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps), beta)

    return loss


EQUAL: dict[str, tuple[str, Function]] = {
    "logsigmoid": ("dpo", whole(lambda m, b: -F.logsigmoid(b * m).mean())),
    "softplus": ("dpo", whole(lambda m, b: F.softplus(-b * m).mean())),
    "log of sigmoid": ("dpo", whole(lambda m, b: -torch.log(torch.sigmoid(b * m)).mean())),
    "log1p": ("dpo", whole(lambda m, b: torch.log1p(torch.exp(-b * m)).mean())),
    "bce": ("dpo", whole(lambda m, b: F.binary_cross_entropy_with_logits(b * m, torch.ones_like(m)))),
    "logaddexp": ("dpo", whole(lambda m, b: torch.logaddexp(torch.zeros_like(m), -b * m).mean())),
    "cross entropy": (
        "dpo",
        whole(
            lambda m, b: F.cross_entropy(
                torch.stack([b * m, torch.zeros_like(m)], -1), torch.zeros(m.shape[0], dtype=torch.int64)
            )
        ),
    ),
    "each": ("dpo", whole(lambda m, b: -F.logsigmoid(b * m))),
    "sum": ("dpo", whole(lambda m, b: -F.logsigmoid(b * m).sum())),
    "hinge": ("rso", whole(lambda m, b: torch.relu(1 - b * m).mean())),
    "hinge by clamp": ("rso", whole(lambda m, b: (1 - b * m).clamp(min=0).mean())),
    "hinge by where": (
        "rso",
        whole(lambda m, b: torch.where(b * m < 1, 1 - b * m, torch.zeros_like(m)).mean()),
    ),
    "a question of data": (
        "rso",
        whole(lambda m, b: sum((1 - b * x if b * x < 1 else 0 * x) for x in m) / len(m)),
    ),
    "in double": ("dpo", whole(lambda m, b: -F.logsigmoid((b * m).double()).float().mean())),
}


@pytest.mark.parametrize("name", EQUAL)
def test_another_way_to_write_a_loss_is_proved(name: str) -> None:
    row, function = EQUAL[name]
    found = proved(row, function)
    assert (found.verdict, found.value, found.gradient) == ("proved",) * 3, found
    assert "1 pair and of 2 pairs" in found.scope


DIFFERENT: dict[str, tuple[str, Function]] = {
    "the wrong sign": ("dpo", whole(lambda m, b: -F.logsigmoid(-b * m).mean())),
    "half": ("dpo", whole(lambda m, b: -F.logsigmoid(b * m).mean() / 2)),
    "no beta": ("dpo", whole(lambda m, b: -F.logsigmoid(m).mean())),
    "a clamp at 10": ("dpo", whole(lambda m, b: -F.logsigmoid((b * m).clamp(-10, 10)).mean())),
    "smoothed": (
        "dpo",
        whole(lambda m, b: -F.logsigmoid(b * m).mean() * 0.9 - F.logsigmoid(-b * m).mean() * 0.1),
    ),
    "the first pair alone": ("dpo", whole(lambda m, b: -F.logsigmoid(b * m[0]))),
    "the mean inside": ("dpo", whole(lambda m, b: -F.logsigmoid(b * m.mean()))),
    "hinge at 2": ("rso", whole(lambda m, b: torch.relu(2 - b * m).mean())),
    "leaks the batch": ("dpo", whole(lambda m, b: -F.logsigmoid(b * (m - m.mean())).mean())),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_loss_is_refuted_with_a_case(name: str) -> None:
    row, function = DIFFERENT[name]
    found = proved(row, function)
    assert found.verdict == "refuted" and found.value == "refuted", found
    assert found.witness is not None
    assert abs(found.witness["code"] - found.witness["spec"]) > 1e-7
    if name == "half":
        assert found.up_to is not None and found.up_to.factor == "1/2"


def test_a_detached_side_is_refuted_by_its_gradient_alone() -> None:
    def loss(
        pi_chosen_logps: Any,
        pi_rejected_logps: Any,
        ref_chosen_logps: Any,
        ref_rejected_logps: Any,
        beta: float,
    ) -> Any:
        return -F.logsigmoid(
            beta * margins(pi_chosen_logps, pi_rejected_logps.detach(), ref_chosen_logps, ref_rejected_logps)
        ).mean()

    found = proved("dpo", loss)
    assert (found.verdict, found.value, found.gradient) == ("refuted", "proved", "refuted")
    assert found.witness is not None and found.witness["what"] == "gradient"
    assert proved("dpo", loss, value_only=True).verdict == "proved"


def test_a_gradient_written_by_hand_is_autograds() -> None:
    class Loss(torch.autograd.Function):  # type: ignore[misc]
        scale = 1.0

        @staticmethod
        def forward(ctx: Any, m: Any, beta: Any) -> Any:
            ctx.save_for_backward(m)
            ctx.beta = beta
            return -F.logsigmoid(beta * m)

        @classmethod
        def backward(cls, ctx: Any, up: Any) -> Any:
            (m,) = ctx.saved_tensors
            return -up * ctx.beta * torch.sigmoid(-ctx.beta * m) * cls.scale, None

    class Wrong(Loss):
        scale = 2.0

    class Deaf(Loss):
        @classmethod
        def backward(cls, ctx: Any, up: Any) -> Any:
            return super().backward(ctx, torch.ones_like(up))

    good, wrong, deaf = (proved("dpo", whole(f.apply)) for f in (Loss, Wrong, Deaf))
    assert good.verdict == "proved"
    assert (wrong.value, wrong.gradient) == ("proved", "refuted")
    assert deaf.value == "proved" and deaf.gradient != "proved"


# --- Tokens and logits ----------------------------------------------------------------------------


def of_tokens(link: Callable[..., Any]) -> Function:
    def loss(policy_logps: Any, reference_logps: Any, mask: Any, beta: float = 0.1) -> Any:
        return link(policy_logps, reference_logps, mask, beta)

    return loss


def dpo(p: Any, r: Any, m: Any, b: Any) -> Any:
    chosen, rejected = ((p - r) * m).sum(-1).chunk(2)
    return -F.logsigmoid(b * (chosen - rejected)).mean()


def test_tokens_with_a_mask() -> None:
    found = proved("dpo", of_tokens(dpo))
    assert found.verdict == "proved" and "length and padding" in found.scope
    assert found.formula == (
        "-logsigmoid(alpha*(log(pi(y_w)) - log(pi_ref(y_w)) - log(pi(y_l)) + log(pi_ref(y_l))))"
    )
    leaks = proved("dpo", of_tokens(lambda p, r, m, b: dpo(p, r, torch.ones_like(m), b)))
    assert leaks.verdict == "refuted" and "pad" in leaks.formula
    averaged = of_tokens(
        lambda p, r, m, b: dpo(p / m.sum(-1, keepdim=True), r / m.sum(-1, keepdim=True), m, b)
    )
    assert proved("dpo", averaged).verdict == "refuted"
    assert proved("ln-dpo", averaged).verdict == "proved"


def test_a_mask_from_lengths() -> None:
    def loss(policy_logps: Any, reference_logps: Any, lengths: Any, beta: float) -> Any:
        mask = torch.arange(policy_logps.shape[1]) < lengths[:, None]
        return dpo(policy_logps, reference_logps, mask, beta)

    def longer(policy_logps: Any, reference_logps: Any, lengths: Any, beta: float) -> Any:
        return loss(policy_logps, reference_logps, lengths + 1, beta)

    found = proved("dpo", loss)
    assert found.verdict == "proved" and "at these lengths" not in found.scope
    assert proved("dpo", longer).verdict == "refuted"


def test_a_mean_over_the_tokens_of_the_batch_is_refuted_by_two_pairs() -> None:
    def loss(policy_logps: Any, mask: Any) -> Any:
        chosen, kept = policy_logps.chunk(2)[0], mask.chunk(2)[0]
        return -(chosen * kept).sum() / kept.sum()

    found = proved("sft-mean" if "sft-mean" in midpo.catalogue() else "sft", loss, {})
    one = proved("sft-mean" if "sft-mean" in midpo.catalogue() else "sft", loss, {}, pairs=(1,))
    assert found.verdict == "refuted" and one.scope != found.scope


def logps(logits: Any, labels: Any) -> Any:
    kept = labels.clone()
    kept[kept == -100] = 0
    return torch.gather(logits.log_softmax(-1), 2, kept.unsqueeze(2)).squeeze(2)


def test_logits_beside_their_labels_and_unshifted() -> None:
    def aligned(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        return dpo(logps(policy_logits, labels), logps(reference_logits, labels), labels != -100, beta)

    def shifted(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        return aligned(policy_logits[:, :-1], reference_logits[:, :-1], labels[:, 1:], beta)

    found = proved("dpo", aligned)
    assert found.verdict == "proved" and "vocabulary" in found.scope
    assert proved("dpo", shifted, layout="unshifted").verdict == "proved"
    assert proved("dpo", aligned, layout="unshifted").verdict != "proved"
    assert proved("dpo", shifted).verdict == "refuted"  # at small sizes


def in_a_loop(p: Any, r: Any, m: Any, b: Any) -> Any:
    total = torch.zeros(m.shape[0])
    for t in range(m.shape[1]):
        total = total + (p[:, t] - r[:, t]) * m[:, t]
    chosen, rejected = total.chunk(2)
    return -F.logsigmoid(b * (chosen - rejected)).mean()


def test_where_positions_matter_sizes_are_concrete() -> None:
    running = of_tokens(
        lambda p, r, m, b: dpo(
            ((p - r) * m).cumsum(-1)[:, -1:], torch.zeros(len(m), 1), torch.ones(len(m), 1), b
        )
    )
    for function in (of_tokens(in_a_loop), running):
        found = proved("dpo", function)
        assert found.verdict == "proved" and "1+2 of 3" in found.scope
    asked = proved("dpo", of_tokens(dpo), shapes=[((2, 1), 4)])
    assert asked.verdict == "proved" and "2+1 of 4" in asked.scope
    first = of_tokens(lambda p, r, m, b: dpo(p[:, :1], r[:, :1], m[:, :1], b))
    assert proved("dpo", first).verdict == "refuted"


def test_what_is_right_at_small_sizes_alone_is_refuted_at_others() -> None:
    """A number of positions stands for one of pairs: the same at the sizes where proofs are asked."""
    half = of_tokens(lambda p, r, m, b: in_a_loop(p, r, m, b) * 2 / max(2, 2 * (int(p.shape[1]) // 2)))
    found = proved("dpo", half)
    assert found.verdict == "refuted" and "3+1 of 4" in found.scope, found
    assert proved("dpo", half, shapes=[((1, 2), 3)]).verdict == "proved"


def test_nothing_is_proved_of_no_batch() -> None:
    with pytest.raises(midpo.MidpoError, match="no pairs"):
        proved("dpo", of_tokens(dpo), pairs=())
    assert proved("dpo", of_tokens(in_a_loop), pairs=(3,)).verdict == "not lifted"


def test_a_shift_that_cancels_may_be_any_number() -> None:
    def loss(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        def by_hand(z: Any) -> Any:
            z = z - z.amax(-1, keepdim=True).detach()
            lse = z.exp().sum(-1).log()
            return z.gather(-1, labels.clamp(min=0)[..., None])[..., 0] - lse

        return dpo(by_hand(policy_logits), by_hand(reference_logits), labels != -100, beta)

    assert proved("dpo", loss).verdict == "proved"


def test_guards_are_told_and_no_proof() -> None:
    """A cut at a number is one in real arithmetic too; at what is infinite it is not."""

    def by(exponential: Callable[[Any], Any]) -> Function:
        def loss(
            pi_chosen_logps: Any, pi_rejected_logps: Any, ref_chosen_logps: Any, ref_rejected_logps: Any
        ) -> Any:
            chosen = exponential(ref_chosen_logps - pi_chosen_logps)
            return F.softplus(0.1 * (chosen - exponential(ref_rejected_logps - pi_rejected_logps)))

        return loss

    def cut_if_infinite(x: Any) -> Any:
        return torch.where(torch.exp(x).isinf(), 1e38, torch.exp(x))

    def cut_at(top: float) -> Callable[[Any], Any]:
        return lambda x: x.clamp(max=top).exp()

    for top in (87, 60.5):
        found = proved("f-dpo-forward", by(cut_at(top)), {}, value_only=True)
        assert found.verdict != "proved" and found.up_to is not None and found.up_to.guards, found
    found = proved("f-dpo-forward", by(cut_if_infinite), {}, value_only=True)
    assert found.verdict == "proved" and "values are finite" in found.assumptions


def test_our_own_kernels_are_proved() -> None:
    for row, backend in (("simpo", "eager"), ("tdpo", "eager"), ("d2po", "logps")):
        found = midpo.prove(row, backend=backend)
        assert found.verdict == "proved", found


# --- Code that tries to fool the tool -------------------------------------------------------------


def looked_at(p: Any, r: Any, m: Any, b: Any) -> Any:
    """What trainers log: numbers of tokens, means of what is taken in pieces, the last position."""
    pieces = torch.cat([part.exp() for part in p.reshape(-1).split(128)]).reshape(p.shape)
    tokens = m.sum().item()
    seen = (pieces * m).sum().item() / tokens if tokens > 0 else 0.0
    return dpo(p, r, m, b) + 0 * seen + 0 * (tokens // 1)


def in_pieces(p: Any, r: Any, m: Any, b: Any) -> Any:
    return dpo(torch.cat(p.reshape(-1).split(128)).reshape(p.shape), r, m, b)


def item_back(p: Any, r: Any, m: Any, b: Any) -> Any:
    return dpo(p, r, m, b) * (p.mean().item() * 0 + 1)


def swallow(p: Any, r: Any, m: Any, b: Any) -> Any:
    try:
        return dpo(p, r, m, b) + torch.linalg.eigvalsh(torch.outer(b * m[0], m[0])).sum()
    except Exception:
        return dpo(p, r, m, b)


def swallow_all(p: Any, r: Any, m: Any, b: Any) -> Any:
    with contextlib.suppress(BaseException):
        torch.linalg.eigvalsh(torch.outer(p[:, 0], p[:, 0]))
    return dpo(p, r, m, b)


def for_ever(p: Any, r: Any, m: Any, b: Any) -> Any:
    while True:
        pass


def unequal(p: Any, r: Any, m: Any, b: Any) -> Any:
    """The maximum of two numbers is one of them."""
    hit = torch.maximum(p, r) == p
    return dpo(torch.where(hit, p, p + 1), r, m, b)


TRAPS: dict[str, tuple[Function, set[str]]] = {
    "a size that cancels": (lambda p, r, m, b: dpo(p, r, m, b) * (p.shape[1] / p.shape[1]), {"proved"}),
    "a size": (lambda p, r, m, b: dpo(p, r, m, b) / p.shape[1] * 5, {"refuted", "not lifted"}),
    "a size as an int": (
        lambda p, r, m, b: dpo(p, r, m, b) * (1 + int(p.shape[1]) / 1e4),
        {"refuted", "not lifted"},
    ),
    "a large size": (
        lambda p, r, m, b: dpo(p, r, m, b) * (2 if p.shape[1] > 100 else 1),
        {"refuted", "undecided", "not lifted"},
    ),
    "a small size": (
        lambda p, r, m, b: dpo(p, r, m, b) * (2 if p.shape[1] < 2 else 1),
        {"refuted", "undecided", "not lifted"},
    ),
    "a small size by int": (
        lambda p, r, m, b: dpo(p, r, m, b) * (2 if int(p.shape[1]) < 2 else 1),
        {"refuted", "undecided", "not lifted"},
    ),
    "few tokens": (
        lambda p, r, m, b: dpo(p, r, m, b) * (2 if m.sum().item() < 3 else 1),
        {"refuted", "undecided", "not lifted"},
    ),
    "an odd number of tokens": (
        lambda p, r, m, b: dpo(p, r, m, b) * (2 if m.sum().item() & 1 else 1),
        {"refuted"},
    ),
    "seen, not used": (looked_at, {"proved"}),
    "in pieces": (in_pieces, {"undecided"}),
    "swallow": (swallow, {"not lifted"}),
    "swallow all": (swallow_all, {"not lifted"}),
    "values as a mask": (
        lambda p, r, m, b: dpo(p, r, (p * m != 0) & (m != 0), b),
        {"proved", "not lifted", "undecided"},
    ),
    "item and back": (item_back, {"proved", "not lifted"}),
    "item in a question": (
        lambda p, r, m, b: (lambda x: x * 2 if x.item() > 50 else x)(dpo(p, r, m, b)),
        {"refuted", "undecided"},
    ),
    "random": (lambda p, r, m, b: dpo(p, r, m, b) + 1e-3 * torch.rand(()), {"not lifted"}),
    "Python's random": (
        lambda p, r, m, b: dpo(p, r, m, b) * (1 + random.random()),
        {"not lifted", "refuted"},
    ),
    "the clock": (lambda p, r, m, b: dpo(p, r, m, b) * (1 + time.perf_counter()), {"not lifted", "refuted"}),
    "a guard": (lambda p, r, m, b: -torch.log(torch.exp(-dpo(p, r, m, b)) + 1e-8), {"refuted", "undecided"}),
    "near log 2": (lambda p, r, m, b: dpo(p, r, m, b) * (math.log(2) / 0.69314718), {"refuted", "undecided"}),
    "equal": (unequal, {"refuted", "undecided"}),
    "numpy": (lambda p, r, m, b: dpo(p, r, m, b) * float(m.numpy().sum() > 0), {"not lifted"}),
    "its own error": (lambda p, r, m, b: dpo(p, r, m[0, 0, 0], b), {"not lifted"}),
    "no tensor": (lambda p, r, m, b: 1.0, {"not lifted"}),
}


@pytest.mark.parametrize("name", TRAPS)
def test_traps(name: str) -> None:
    link, wanted = TRAPS[name]
    found = proved("dpo", of_tokens(link))
    bounded = found.verdict == "proved" and "at these lengths" in found.scope
    assert bounded or found.verdict in wanted, (found.verdict, found.reason, found.witness)
    # What was not lifted rests on nothing.
    assert any("deterministic" in a for a in found.assumptions) == (found.verdict != "not lifted")


def test_labels_are_no_numbers() -> None:
    def loss(policy_logps: Any, reference_logps: Any, labels: Any, beta: float) -> Any:
        return dpo(policy_logps, reference_logps, (labels != -100) & (labels != 3), beta)

    found = proved("dpo", loss)
    assert found.verdict == "not lifted" and "token" in found.reason


def test_the_refusal_names_the_line() -> None:
    found = proved("dpo", of_tokens(lambda p, r, m, b: torch.linalg.inv(p[:, :2]).sum()))
    assert found.verdict == "not lifted" and "test_code_proofs.py:" in found.reason


def test_code_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from midpo.codegen.lifting import lift, trace

    for module in (lift, trace):
        monkeypatch.setattr(module, "MAX_SECONDS", -0.9)
    found = proved("dpo", of_tokens(for_ever))
    assert found.verdict == "not lifted" and "seconds" in found.reason


# --- The command ----------------------------------------------------------------------------------

CODE = """
import torch.nn.functional as F

def dpo_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
             reference_rejected_logps, beta=0.1):
    chosen = policy_chosen_logps - reference_chosen_logps
    rejected = policy_rejected_logps - reference_rejected_logps
    return -F.logsigmoid(SIGN beta * (chosen - rejected)).mean()
"""


@pytest.mark.parametrize("sign, status, verdict", [("", 0, "proved"), ("-", 1, "refuted")])
def test_the_command(sign: str, status: int, verdict: str, tmp_path: Path) -> None:
    file = tmp_path / "loss.py"
    file.write_text(CODE.replace("SIGN", sign))
    arguments = ["prove", "dpo", "--code", f"{file}:dpo_loss", "--set", "beta=alpha"]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == status and verdict in shown.output, shown.output
    (found,) = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert found["verdict"] == verdict and found["name"] == "dpo"
    assert {
        "function",
        "value",
        "gradient",
        "scope",
        "formula",
        "assumptions",
        "up_to",
        "witness",
        "seconds",
    } <= found.keys()


@pytest.mark.parametrize("sign", ["-", "0.5 *"])
def test_a_witness_runs_without_midpo(sign: str, tmp_path: Path) -> None:
    file, case = tmp_path / "loss.py", tmp_path / "case.py"
    file.write_text(CODE.replace("SIGN", sign))
    done = CliRunner().invoke(
        main, ["prove", "dpo", "--code", f"{file}:dpo_loss", "--set", "beta=alpha", "--witness", str(case)]
    )
    assert done.exit_code == 1 and "midpo" not in [
        line.split()[1].split(".")[0]
        for line in case.read_text().splitlines()
        if line.startswith(("import ", "from "))
    ]
    ran = subprocess.run(
        [sys.executable, str(case)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1 and "the code gives" in ran.stdout, ran.stderr
    file.write_text(CODE.replace("SIGN", ""))  # mended
    assert subprocess.run([sys.executable, str(case)], capture_output=True).returncode == 0


def test_a_witness_of_the_gradient(tmp_path: Path) -> None:
    file, case = tmp_path / "loss.py", tmp_path / "case.py"
    file.write_text(
        CODE.replace("SIGN", "").replace(
            "rejected = policy_rejected_logps", "rejected = policy_rejected_logps.detach()"
        )
    )
    found = midpo.prove("dpo", f"{file}:dpo_loss", arguments=SET)
    assert found.gradient == "refuted"
    case.write_text(found.program)
    ran = subprocess.run([sys.executable, str(case)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "the spec gives" in ran.stdout, ran.stderr


def test_the_row_of_code_is_found() -> None:
    def mine(
        pi_chosen_logps: Any,
        pi_rejected_logps: Any,
        ref_chosen_logps: Any,
        ref_rejected_logps: Any,
        tau: float,
        scale: float = 1.0,
    ) -> Any:
        return (
            margins(pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps)
            - 1 / (2 * scale)
        ) ** 2

    found = midpo.prove(
        None,
        lambda pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps, temperature: mine(
            pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps, 0.0, temperature
        ).mean(),
    )
    assert (found.name, found.verdict) == ("ipo", "proved")


def test_bad_input_of_the_command(tmp_path: Path) -> None:
    for arguments, words in (
        (["prove", "dpo", "--code", str(tmp_path / "none.py")], "no such file"),
        (["prove", "dpo", "--code", "no_such_module_x:f"], "cannot be imported"),
        (["prove", "dpo", "--code", "math:no_such"], "no function"),
        (["prove", "dpo", "--set", "beta=alpha"], "--set without --code"),
        (["prove", "dpo", "--pairs", "0"], "sizes of batches"),
        (["prove"], "nothing to prove"),
        (["prove", "dpo", "--shapes", "1,2"], "--shapes 1,2"),
        (["prove", "dpo", "--shapes", "4,2,3", "--code", "math:sqrt"], "can"),
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 2 and words in done.stderr, (done.output, done.stderr)
