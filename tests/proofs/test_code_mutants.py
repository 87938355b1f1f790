"""No false proof and no false refutation: code with one change, and code written another way.

What a mutant really is is told by `midpo check`, which shares no code with the lifter: it calls the
function on random tensors and compares value and gradient with 50 digits.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import midpo

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional

SOURCES: dict[str, tuple[str, dict[str, str], str]] = {
    "dpo": (
        "dpo",
        {"beta": "alpha"},
        """
def loss(policy_logps, reference_logps, mask, beta):
    ratios = (policy_logps - reference_logps) * mask
    chosen, rejected = ratios.sum(-1).chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean()
""",
    ),
    "simpo": (
        "simpo",
        {"beta": "alpha", "margin": "gamma"},
        """
def loss(policy_logps, labels, beta, margin):
    mask = labels != -100
    sums = torch.where(mask, policy_logps, 0.0).sum(-1)
    chosen, rejected = (sums / mask.sum(-1)).chunk(2)
    return F.softplus(-(beta * (chosen - rejected) - margin)).mean()
""",
    ),
    "hinge": (
        "rso",
        {"beta": "alpha"},
        """
def loss(pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps, beta):
    chosen = pi_chosen_logps - ref_chosen_logps
    rejected = pi_rejected_logps - ref_rejected_logps
    return torch.relu(1 - beta * (chosen - rejected))
""",
    ),
    "ipo": (
        "ipo",
        {},
        """
def loss(pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps, tau):
    logits = pi_chosen_logps - pi_rejected_logps - (ref_chosen_logps - ref_rejected_logps)
    return ((logits - 1 / (2 * tau)) ** 2).sum()
""",
    ),
    "logits": (
        "dpo",
        {"beta": "alpha"},
        """
def loss(policy_logits, reference_logits, labels, beta):
    kept = labels != -100
    index = labels.clamp(min=0).unsqueeze(-1)
    policy = policy_logits.log_softmax(-1).gather(-1, index).squeeze(-1)
    reference = reference_logits.log_softmax(-1).gather(-1, index).squeeze(-1)
    chosen, rejected = ((policy - reference) * kept).sum(-1).chunk(2)
    return -F.logsigmoid(beta * chosen - beta * rejected).mean()
""",
    ),
}
SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.NotEq: ast.Eq,
}
CALLS = {
    "mean": "sum",
    "sum": "mean",
    "relu": "abs",
    "chunk": "split",
    "softplus": "relu",
    "logsigmoid": "tanh",
    "log_softmax": "softmax",
}


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """The source with one change each, and what that was."""
    tree = ast.parse(source)
    places = [
        n
        for n in ast.walk(tree)
        if isinstance(n, (ast.BinOp, ast.Compare, ast.Constant, ast.Attribute, ast.Name, ast.UnaryOp))
    ]
    names = ["chosen", "rejected", "policy", "reference", "policy_logps", "reference_logps"]
    for number, node in enumerate(places):
        for change in range(2):
            changed = copy.deepcopy(tree)
            same = [
                n
                for n in ast.walk(changed)
                if type(n) in (ast.BinOp, ast.Compare, ast.Constant, ast.Attribute, ast.Name, ast.UnaryOp)
            ][number]
            if _change(same, change, names):
                text = ast.unparse(changed)
                if text != ast.unparse(tree):
                    yield text, f"{type(node).__name__} {number}.{change}"


def _change(node: Any, change: int, names: list[str]) -> bool:
    if isinstance(node, ast.BinOp) and not change and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()
        return True
    if isinstance(node, ast.BinOp) and change:
        node.right = ast.BinOp(node.right, ast.Mult(), ast.Constant(1.5))
        return True
    if isinstance(node, ast.Compare) and not change:
        node.ops = [SWAPPED.get(type(node.ops[0]), ast.Gt)()]
        return True
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        node.value = node.value + 1 if change else -node.value
        return True
    if isinstance(node, ast.Attribute) and node.attr in CALLS and not change:
        node.attr = CALLS[node.attr]
        return True
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        other = names[names.index(node.id) ^ 1]
        node.id = f"{node.id}.detach()" if change else other
        return True
    if isinstance(node, ast.UnaryOp) and not change:
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.USub()
        return True
    return False


def made(source: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {"torch": torch, "F": F}
    exec(compile(source, "<mutant>", "exec"), scope)  # our own text
    found: Callable[..., Any] = scope["loss"]
    return found


def agrees(row: str, function: Callable[..., Any], arguments: dict[str, str]) -> bool | None:
    """Whether it is the row's loss, value and gradient, as numbers say; None where it fails."""
    try:
        found = midpo.check(row, code=function, arguments=arguments, trials=6, dtypes=["float64"])
    except Exception:
        return None
    return None if "raised" in found.failure or "returned" in found.failure else found.passed


ALL = [(name, text, what) for name, (_, _, source) in SOURCES.items() for text, what in mutants(source)]
FEW = ALL[::9]


def sound(name: str, text: str) -> str:
    """The verdict, after it was held against numbers."""
    row, arguments, _ = SOURCES[name]
    function = made(text)
    found = midpo.prove(row, function, arguments=arguments)
    truth = agrees(row, function, arguments)
    if truth is not None and "at these lengths" not in found.scope:
        assert not (found.verdict == "proved" and not truth), (text, found)
        assert not (found.verdict == "refuted" and truth), (text, found)
    return found.verdict


@pytest.mark.parametrize("name, text, what", FEW, ids=[f"{n} {w}" for n, _, w in FEW])
def test_a_mutant_is_no_false_proof(name: str, text: str, what: str) -> None:
    sound(name, text)


@pytest.mark.slow
def test_many_mutants_are_decided_rightly() -> None:
    assert len(ALL) >= 60
    verdicts = [sound(name, text) for name, text, _ in ALL]
    assert verdicts.count("undecided") < len(ALL) // 8


# --- Equal rewritings -----------------------------------------------------------------------------

LINKS: dict[str, Callable[[Any], Any]] = {
    "logsigmoid": lambda m: -F.logsigmoid(m),
    "softplus": lambda m: F.softplus(-m),
    "log sigmoid": lambda m: -torch.log(torch.sigmoid(m)),
    "log1p": lambda m: torch.log1p((-m).exp()),
    "quotient": lambda m: torch.log((m.exp() + 1) / m.exp()),
    "logaddexp": lambda m: torch.logaddexp(0 * m, -m),
    "tanh": lambda m: -torch.log((1 + torch.tanh(m / 2)) / 2),
    "softmax": lambda m: -torch.stack([m, 0 * m]).log_softmax(0)[0],
    "entropy": lambda m: F.binary_cross_entropy_with_logits(m, m * 0 + 1, reduction="none"),
}
MASKED: dict[str, Callable[[Any, Any], Any]] = {
    "times": lambda x, m: (x * m).sum(-1),
    "where": lambda x, m: torch.where(m.bool(), x, torch.zeros_like(x)).sum(-1),
    "fill": lambda x, m: x.masked_fill(m == 0, 0.0).sum(1),
    "less": lambda x, m: x.sum(-1) - (x * (1 - m)).sum(-1),
    "einsum": lambda x, m: torch.einsum("bt,bt->b", x, m.to(x.dtype)),
    "rows": lambda x, m: torch.stack([(a * b).sum() for a, b in zip(x, m, strict=True)]),
}
REWRITTEN = list(itertools.product(LINKS, MASKED))


def rewritten(link: str, masked: str) -> Callable[..., Any]:
    def loss(policy_logps: Any, reference_logps: Any, mask: Any, beta: float) -> Any:
        ratios = MASKED[masked](policy_logps, mask) - MASKED[masked](reference_logps, mask)
        half = len(ratios) // 2
        return LINKS[link](beta * ratios[:half] - beta * ratios[half:]).mean()

    return loss


@pytest.mark.parametrize("link, masked", REWRITTEN[::7])
def test_an_equal_rewriting_is_no_refutation(link: str, masked: str) -> None:
    found = midpo.prove("dpo", rewritten(link, masked), arguments={"beta": "alpha"})
    assert found.verdict == "proved", found


@pytest.mark.slow
def test_many_equal_rewritings_are_proved() -> None:
    assert len(REWRITTEN) >= 40
    verdicts = [
        midpo.prove("dpo", rewritten(*each), arguments={"beta": "alpha"}).verdict for each in REWRITTEN
    ]
    assert "refuted" not in verdicts and verdicts.count("proved") >= len(REWRITTEN) - 6, verdicts
