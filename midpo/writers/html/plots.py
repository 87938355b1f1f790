"""A loss and an implicit reward as trees of numbers and knobs, for a reader to turn.

A pair is taken whose responses have tokens that are all alike: n tokens, each with the same
log-probability under a policy, the same divergence, entropy and data. On such a pair sums over
tokens are products, and a loss is a function of a few numbers. What the page draws from it
illustrates the formula; it is no evidence for anything.

A tree is a number, the name of a variable, or a list whose first entry is an operation: + * ^ sum
prod, or a function of the vocabulary. It is data: the page's script looks each operation up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from sympy import Add, Expr, Mul, Number, Pow

from midpo.symbolic.domains.intervals import plain_value
from midpo.symbolic.formula.tree import EMPTY, Fence, Formula, Fraction, Text, Upright, call, row, script
from midpo.symbolic.formula.write import POLICY_SIGN, response, write
from midpo.symbolic.formula.write import name as written
from midpo.symbolic.formula.write import policy as law
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REFERENCE,
    REJECTED,
    RESPONSE,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Log,
    LogSigmoid,
    Parameter,
    Prob,
    TokenProb,
    TokenProd,
    TokenSum,
)
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.words import BY_NODE
from midpo.symbolic.loss import logistic_form, pair_loss

Tree = Any  # a float, a str, or [str, Tree, ...]
LOGISTIC = -LogSigmoid(MARGIN)
START = "start"  # the policy at which the difference of log-ratios is 0, where no reference is


class NotDrawn(Exception):
    """The formula is not a function of a few numbers; the message says why."""


@dataclass(frozen=True)
class Knob:
    """A number that the reader sets: `scale` is linear or log."""

    name: str
    label: Formula
    words: str
    low: float
    high: float
    step: float
    value: float
    scale: str = "linear"
    is_parameter: bool = False


@dataclass(frozen=True)
class Curve:
    """One line of a panel; `slope` draws minus the derivative instead of the value."""

    words: str
    tree: Tree
    slope: bool = False
    reference: bool = False


@dataclass(frozen=True)
class Panel:
    words: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class LivePlot:
    """Panels over common axes to choose from: (name of a variable, words, low, high). `bounds` are
    trees that must not exceed 0, the logarithms of probabilities."""

    key: str
    title: str
    note: str
    axes: tuple[tuple[str, str, float, float], ...]
    panels: tuple[Panel, ...]
    knobs: tuple[Knob, ...]
    bounds: tuple[Tree, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What the page's script needs."""
        return {
            "axes": [list(axis) for axis in self.axes],
            "panels": [
                {
                    "words": p.words,
                    "curves": [
                        {"words": c.words, "tree": c.tree, "slope": c.slope, "reference": c.reference}
                        for c in p.curves
                    ],
                }
                for p in self.panels
            ],
            "bounds": list(self.bounds),
        }


def plots(spec: Spec) -> tuple[tuple[LivePlot, ...], str]:
    """The plots of a spec, and why one is missing."""
    if spec.reason:
        return (), ""
    drawn: list[LivePlot] = []
    missing = ""
    for make in (against_margin, against_difference, correction):
        try:
            found = make(spec)
        except NotDrawn as error:
            missing = str(error)
            continue
        drawn += [found] if found is not None else []
    return tuple(drawn), missing


# --- Expressions as trees ------------------------------------------------------------------------


def tree(expr: Expr) -> Tree:
    """`expr` on a pair whose tokens are all alike. Raises: NotDrawn."""
    if isinstance(expr, Number):
        return float(expr)
    if expr == MARGIN:
        return "m"
    if isinstance(expr, Index):
        return f"i:{expr.name}"
    if isinstance(expr, Parameter):
        return f"p:{expr.name}"
    if isinstance(expr, (Add, Mul)):
        return ["+" if isinstance(expr, Add) else "*", *map(tree, expr.args)]
    if isinstance(expr, Pow):
        return ["^", tree(expr.base), tree(expr.exp)]
    if isinstance(expr, (TokenSum, TokenProd)):
        return _over_tokens(expr)
    word = BY_NODE.get(type(expr))
    if word is not None and word.script is None:
        raise NotDrawn(f"{word.lacks('script')}.")
    if word is not None:
        return [word.name, *map(tree, expr.args)]
    return _atom(expr)


def _atom(expr: Expr) -> Tree:
    args = expr.args
    if isinstance(expr, Length):
        return f"n:{_side(args[0])}"
    if isinstance(expr, Prob):
        side = _side(args[1])
        return ["exp", ["*", f"n:{side}", _logp(args[0], side)]]
    if isinstance(expr, TokenProb):
        return ["exp", _logp(args[0], _side(args[1]))]
    if isinstance(expr, Divergence):
        return f"k:{args[0]}:{args[1]}:{_side(args[2])}"
    if isinstance(expr, Entropy):
        return f"h:{args[0]}:{_side(args[1])}"
    if isinstance(expr, Feature):
        side = f":{_side(args[1])}" if len(args) > 1 else ""
        return f"f:{args[0]}{side}"
    raise NotDrawn("It speaks of single entries of the vocabulary.")


def _side(response: Any) -> str:
    """w for y_w, l for y_l, y for y."""
    return str(response).removeprefix("y_")


def _logp(policy: Any, side: str) -> str:
    return f"l:{policy}:{side}"


def _over_tokens(expr: Expr) -> Tree:
    body, index, response = expr.args
    length, inner, name = f"n:{_side(response)}", tree(body), f"i:{index.name}"
    summed = isinstance(expr, TokenSum)
    if name not in set(variables(inner)):
        return ["*" if summed else "^", length, inner] if summed else ["^", inner, length]
    return ["sum" if summed else "prod", name, length, inner]


def variables(part: Tree) -> Iterator[str]:
    """The names in a tree, left to right, each as often as it occurs."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for inner in part[1:]:
            yield from variables(inner)


def replaced(part: Tree, table: dict[str, Tree]) -> Tree:
    if isinstance(part, str):
        return table.get(part, part)
    return [part[0], *(replaced(p, table) for p in part[1:])] if isinstance(part, list) else part


# --- The three plots -----------------------------------------------------------------------------


def against_margin(spec: Spec) -> LivePlot | None:
    """The loss and the weight of the margin's gradient, as functions of the margin."""
    link: Expr | None = LOGISTIC if spec.link is None else spec.link
    if spec.loss is not None:
        form = logistic_form(spec.loss)
        link = None if form is None else Mul(form.factor, LOGISTIC) + form.constant
    if link is None:
        return None
    own, plain = tree(link), tree(LOGISTIC)
    others = [] if own == plain else [plain]
    return LivePlot(
        "margin",
        "Loss against the margin",
        "The loss of a pair as a function of its margin m, and the weight that multiplies the "
        "gradient of the margin in a step of gradient descent.",
        (("m", "margin m", -6.0, 6.0),),
        _loss_and_weight(own, others, "logistic loss"),
        _knobs(spec, [own], {"m"}),
    )


def _loss_and_weight(own: Tree, others: list[Tree], called: str) -> tuple[Panel, ...]:
    def curves(slope: bool) -> tuple[Curve, ...]:
        return (Curve("this loss", own, slope), *(Curve(called, other, slope, True) for other in others))

    return Panel("loss, nats", curves(False)), Panel("gradient weight", curves(True))


def against_difference(spec: Spec) -> LivePlot | None:
    """The loss as a function of how much more the policy prefers y_w than it did at the start."""
    own = tree(pair_loss(spec))
    policies = {str(REFERENCE)} & {str(s) for e in spec.expressions for s in e.free_symbols}
    base = next(iter(policies), START)
    starts = {side: _logp(base, side) for side in "wl"}
    moves = {"w": 0.5, "l": -0.5}
    at = {
        _logp(POLICY, side): ["+", starts[side], ["*", moves[side], "x", ["^", f"n:{side}", -1.0]]]
        for side in "wl"
    }
    if not set(at) & set(variables(own)):
        return None
    own = replaced(own, at)
    plain = ["*", -1.0, ["logsigmoid", ["*", tree(spec.alpha), "x"]]]
    shown = (
        "log π/π_ref of the preferred response less that of the other"
        if policies
        else ("the gain in log π of the preferred response less that of the other")
    )
    return LivePlot(
        "difference",
        "Loss against the difference of log-ratios",
        f"The difference, in nats, is {shown}: the policy moves the preferred response up and the "
        "other down by the same amount, evenly over their tokens. Divergences, entropies and data "
        "stay where their sliders are. Where a probability would exceed 1 nothing is drawn.",
        (("x", "difference of log-ratios", -30.0, 30.0),),
        _loss_and_weight(own, [] if own == plain else [plain], "DPO with the same α"),
        _knobs(spec, [own, plain], {"x"}),
        tuple(at.values()),
    )


def correction(spec: Spec) -> LivePlot | None:
    """What the prior adds to DPO's implicit reward: -alpha*log(zeta/pi_ref)."""
    if spec.prior is None:
        return None
    ratio = Log(Prob(REFERENCE, RESPONSE)) - Log(spec.prior)
    at = {_logp(POLICY, "y"): ["+", _logp(REFERENCE, "y"), ["*", "x", ["^", "n:y", -1.0]]]}
    curves = []
    sides = {
        words: replaced(["*", tree(spec.alpha), _plain(ratio, side)], at)
        for words, side in (("preferred", CHOSEN), ("dispreferred", REJECTED))
    }
    same = sides["preferred"] == sides["dispreferred"]
    for words, own in sides.items():
        if not (same and words == "dispreferred"):
            curves.append(Curve("every response" if same else f"{words} response", own))
    used = {v for own in sides.values() for v in variables(own)}
    if spec.prior == Prob(REFERENCE, RESPONSE):
        return None
    axes = tuple(
        axis
        for axis in (
            ("n:y", "length |y| in tokens", 1.0, 60.0),
            ("x", "log-ratio log π(y)/π_ref(y) in nats", -20.0, 20.0),
        )
        if axis[0] in used
    )
    if not axes:
        return None
    return LivePlot(
        "correction",
        "Correction of the implicit reward",
        "The implicit reward α log π(y)/ζ(y) is DPO's, α log π(y)/π_ref(y), and this correction, "
        "−α log ζ(y)/π_ref(y), up to what is common to all responses of a prompt.",
        axes,
        (Panel("correction", tuple(curves)),),
        _knobs(spec, list(sides.values()), set()),
        tuple(at.values()),
    )


def _plain(ratio: Expr, side: Any) -> Tree:
    """`ratio` at the chosen or rejected response, called y again."""
    table = {CHOSEN: RESPONSE, REJECTED: RESPONSE}
    return tree(with_label(ratio, side).xreplace(table))


# --- Knobs ---------------------------------------------------------------------------------------


def _knobs(spec: Spec, trees: list[Tree], axes: set[str]) -> tuple[Knob, ...]:
    """A slider for each variable that is not an axis; parameters first."""
    names = dict.fromkeys(v for part in trees for v in variables(part))
    found = [_knob(spec, n) for n in names if n not in axes and not n.startswith("i:")]
    return tuple(sorted(found, key=_order))


def _order(knob: Knob) -> tuple[bool, str, str]:
    """Parameters first, then what belongs to y_w, y_l and the others; lengths before the rest."""
    kind, *parts = knob.name.split(":")
    spoken = len(parts) > 1 or kind == "n"
    side = {"w": "1", "l": "2", "y": "0"}.get(parts[-1], "3") if spoken else "0"
    return not knob.is_parameter, side, "" if kind == "n" else knob.name


def _knob(spec: Spec, name: str) -> Knob:
    kind, *parts = name.split(":")
    spoken = {_side(y): y for y in (RESPONSE, *spec.roles)} if len(parts) > 1 or kind == "n" else {}
    side = spoken.get(parts[-1], "") if spoken else ""
    at, sign = (f" of {side}", response(side)) if side else ("", EMPTY)
    per_token = row(" ", Text(" per token of "), " ", sign)
    if kind == "p":
        return _parameter(spec, name, parts[0])
    if kind == "x":
        return Knob(
            name,
            row(r"\log", Fraction(write(Prob(POLICY, RESPONSE)), write(Prob(REFERENCE, RESPONSE)))),
            "log-ratio of y, nats",
            -20.0,
            20.0,
            0.5,
            2.0,
        )
    if kind == "n":
        longer = 24.0 if parts[0] == "l" else 16.0
        return Knob(name, Fence("|", sign, "|"), f"length{at}, tokens", 1.0, 60.0, 1.0, longer)
    if kind == "l":
        words = f"log-probability per token{at}"
        label = row(r"\log", script(POLICY_SIGN, 0) if parts[0] == START else law(parts[0]))
        words += " where the difference is 0" if parts[0] == START else f" under {parts[0]}"
        return Knob(
            name,
            row(label, per_token),
            f"{words}, nats",
            -6.0,
            -0.05,
            0.05,
            -1.5 if parts[1] != "l" else -1.6,
        )
    if kind == "k":
        words = f"divergence of {parts[1]} from {parts[0]} per token{at}, nats"
        return Knob(name, row(script("D", Upright("KL")), per_token), words, 0.0, 1.0, 0.01, 0.1)
    if kind == "h":
        return Knob(
            name, row("H", per_token), f"entropy of {parts[0]} per token{at}, nats", 0.0, 6.0, 0.05, 2.0
        )
    label = call(written(parts[0]), sign) if side else written(parts[0])
    return Knob(name, label, f"data {parts[0]}{at}", -2.0, 3.0, 0.05, 1.0)


def _parameter(spec: Spec, name: str, word: str) -> Knob:
    domain, given = spec.names.parameters[word].domain, spec.defaults.get(word)
    value = float(plain_value(domain) if given is None else given)
    label, words = written(word), f"parameter {word}"
    if value and domain.lower == 0 and domain.upper == inf:
        return Knob(name, label, words, value / 20, value * 20, 0.0, value, "log", is_parameter=True)
    reach = max(1.0, 4 * abs(value))
    low = -reach if domain.lower == -inf else float(domain.lower)
    high = reach if domain.upper == inf else float(domain.upper)
    step = min(reach, high - low) / 100
    low += step * (domain.lower != -inf and not domain.lower_closed)
    high -= step * (domain.upper != inf and not domain.upper_closed)
    return Knob(name, label, words, low, high, step, value, is_parameter=True)
