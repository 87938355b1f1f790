"""Random specs whose steps, maxima and minima meet lengths, positions and counts.

`draw(rng)` gives a `Drawn`: two scores of one response, equal by construction or with one of them a
little off. What is off is told by Python's own evaluation over small worlds, ties included, which
shares nothing with the project's evaluators: numbers are exact fractions until a logarithm makes
floats of them.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

PARAMETERS = {"alpha": "positive", "beta": "positive", "k": "real", "gamma": "unit"}
FEATURES = {"score": "response", "w": "token"}
HEAD = """
[parameters]
alpha = "positive"
beta = "positive"
k = "real"
gamma = "unit"
[features]
score = "response"
w = "token"
"""


@dataclass(frozen=True)
class Drawn:
    """`one` and `other` are scores of y; `equal` says whether they are equal by construction."""

    one: str
    other: str
    equal: bool

    def recovery(self, name: str = "drawn") -> str:
        """A spec whose prior is written with `one`, and whose target with `other`."""
        return (
            f'name = "{name}"\nprior = "pi_ref(y)*exp(-({self.one}))"\n{HEAD}'
            f'[target]\nmargin = "{margin(self.other)}"\n'
        )

    def target(self, score: str, name: str) -> str:
        """A spec of a target alone."""
        return f'name = "{name}"\n{HEAD}[target]\nmargin = "{margin(score)}"\n'


def margin(score: str) -> str:
    sides = (
        score.replace("(y)", f"({y})").replace("(y,", f"({y},").replace("in y)", f"in {y})")
        for y in ("y_w", "y_l")
    )
    chosen, rejected = sides
    return f"alpha*(log(pi(y_w)/pi_ref(y_w)) + {chosen}) - alpha*(log(pi(y_l)/pi_ref(y_l)) + {rejected})"


# --- Pairs of scores -----------------------------------------------------------------------------


def draw(rng: random.Random, equal: bool) -> Drawn:
    """Two scores that are equal, or (not `equal`) of which one was changed in one place."""
    terms = [_term(rng) for _ in range(rng.choice((1, 1, 2)))]
    left = " + ".join(one for one, _, _ in terms)
    right = [other for _, other, _ in terms]
    if not equal:
        at = rng.randrange(len(terms))
        right[at] = rng.choice(terms[at][2])
    rng.shuffle(right)
    return Drawn(left, " + ".join(right), equal)


def _term(rng: random.Random) -> tuple[str, str, list[str]]:
    """(one, the same, some that are off), each with a common coefficient."""
    inside = rng.random() < 0.5
    one, other, off = (_of_tokens if inside else _of_lengths)(rng)
    scale = rng.choice(("1", "2", "-1/2", "beta", "score(y)", "log(pi(y))", "(1 - gamma)"))
    wrapped = [f"({scale})*({text})" for text in (one, other, *off)]
    return wrapped[0], wrapped[1], wrapped[2:]


def _cut(rng: random.Random, base: str) -> tuple[str, Fraction]:
    """A number that takes values in a lattice, and the lattice's width: a*base + b."""
    a = rng.choice((Fraction(1), Fraction(1), Fraction(2), Fraction(1, 2), Fraction(2, 3), Fraction(3)))
    b = Fraction(rng.randint(-9, 3), rng.choice((1, 1, 2, 3)))
    text = f"({a})*{base} + ({b})" if a != 1 else f"{base} + ({b})"
    width = Fraction(
        math.gcd(a.numerator * b.denominator, b.numerator * a.denominator), a.denominator * b.denominator
    )
    return text, width


def _pairs(rng: random.Random, base: str) -> tuple[str, str, list[str]]:
    """Two ways to write one function of a whole number that `base` is, and ways that are off."""
    a, width = _cut(rng, base)
    b, _ = _cut(rng, base)
    n = rng.randint(1, 5)
    part = width * Fraction(rng.randint(0, 9), 10)
    ways = [
        lambda: (
            f"step({a})",
            f"1 - step(-({a}) - ({width}))",
            [f"1 - step(-({a}))", f"1 - step(-({a}) - 2*({width}))"],
        ),
        lambda: (
            f"step({a})",
            f"step({a} + ({part}))",
            [f"step({a} + ({width}))", f"step({a} - ({width}/2))"],
        ),
        lambda: (
            f"step({n} - {base}) + step({base} - {n})",
            f"1 + step({n} - {base})*step({base} - {n})",
            ["1", f"1 + step({n} - {base})*step({base} - {n + 1})"],
        ),
        lambda: (
            f"max({a}, {b})",
            f"{a} + ({b} - ({a}))*step({b} - ({a}))",
            [f"{a} + ({b} - ({a}))*step({b} - ({a}) - 2)", f"{b}"],
        ),
        lambda: (f"abs({a})", f"({a})*(1 - 2*step(-({a})))", [f"({a})*(2*step({a} - 1) - 1)", f"({a})"]),
        lambda: (
            f"step({a})*step({b})",
            f"step(min({a}, {b}))",
            [f"step(max({a}, {b}))", f"step(min({a}, {b} - 1))"],
        ),
        lambda: (
            f"min(max({base}, 2), {n + 2})",
            f"max(min({base}, {n + 2}), 2)",
            [f"min(max({base}, 1), {n + 2})", f"min(max({base}, 2), {n + 3})"],
        ),
        lambda: (
            f"step({base} - {n})*step({n} - {base})*{base}",
            f"{n}*(step({base} - {n}) - step({base} - {n + 1}))",
            [
                f"{n}*(step({base} - {n}) - step({base} - {n}))",
                f"{n}*(step({base} - {n}) - step({base} - {n + 2}))",
            ],
        ),
        lambda: (
            f"relu({base} - {n} + 1/2)",
            f"({base} - {n} + 1/2)*step({base} - {n})",
            [f"({base} - {n} + 1/2)*step({base} - {n + 1})", f"relu({base} - {n})"],
        ),
        lambda: (
            f"step({base}*({base} - 1)/2 - {n})",
            f"step({base}*({base} - 1) - {2 * n} + 1)",
            [f"step({base}*({base} - 1)/2 - {n + 2})", f"step({base} - {n + 1})"],
        ),
        lambda: (
            f"step(({base} - {n})*({base} - {n + 2}))",
            f"1 - step({base} - {n + 1})*step({n + 1} - {base})",
            [f"1 - step({base} - {n})*step({n + 1} - {base})", "1"],
        ),
        lambda: (
            f"step(abs({base} - {n}) - 1)",
            f"step(2*abs({base} - {n}) - 1)",
            [f"step(abs({base} - {n}))", f"step(abs({base} - {n}) - 2)"],
        ),
        lambda: (
            f"abs(2*{base} - {2 * n + 1})",
            f"max(abs(2*{base} - {2 * n + 1}), 1)",
            [f"max(abs(2*{base} - {2 * n + 1}), 2)", f"abs(2*{base} - {2 * n})"],
        ),
        lambda: (
            f"step(exp({base}) - exp({n}))",
            f"step({base} - {n} + 1/3)",
            [f"step({base} - {n} - 1/3)", f"step({base} - {n + 1})"],
        ),
        lambda: (
            f"step(tanh({base} - {n}))",
            f"step({base} - {n})",
            [f"1 - step({n} - {base})", f"step({base} - {n + 1})"],
        ),
    ]
    if base != "(len(y) - t)":  # which can be 0
        ways += [
            lambda: (f"max({base}, 1)", base, [f"max({base}, 2)", f"{base} - 1 + step({base} - 2)"]),
            lambda: (
                f"step(1/{base} - 1/{n})",
                f"step({n} - {base})",
                [f"1 - step({base} - {n})", f"step(1/{base} - 1/{n + 1})"],
            ),
        ]
    return rng.choice(ways)()


def _of_lengths(rng: random.Random) -> tuple[str, str, list[str]]:
    n = rng.randint(1, 4)
    if rng.random() < 0.7:
        return _pairs(rng, "len(y)")
    return rng.choice(
        [
            (
                "max(score(y), len(y))",
                "(score(y) + len(y) + abs(score(y) - len(y)))/2",
                ["max(score(y), len(y) - 1)"],
            ),
            (
                f"sum(step({n} - t) for t in y)",
                f"min(len(y), {n})",
                [f"min(len(y), {n + 1})", f"min(len(y), {n}) - step(len(y) - {n + 1})"],
            ),
            (
                f"sum(step(t - {n}) for t in y)",
                f"max(0, len(y) - {n - 1})",
                [f"max(0, len(y) - {n})", f"max(1, len(y) - {n - 1})"],
            ),
            (
                "sum(sum(step(t - s) for s in y) for t in y)",
                "len(y)*(len(y) + 1)/2",
                ["len(y)*(len(y) - 1)/2", "len(y)**2"],
            ),
            (
                "sum(sum(step(t - s) + step(s - t) for s in y) for t in y)",
                "len(y)**2 + len(y)",
                ["len(y)**2", "len(y)**2 + 1"],
            ),
            (
                "sum(step(len(y) - t) for t in y)",
                "len(y)",
                ["len(y) - step(len(y) - 3)", "sum(step(len(y) - t - 1) for t in y)*2"],
            ),
            (
                f"step(sum(step(w(y, t)) for t in y) - {n})",
                f"1 - step({n} - 1/2 - sum(step(w(y, t)) for t in y))",
                [f"1 - step({n} - sum(step(w(y, t)) for t in y))"],
            ),
            ("step(sum(1 for t in y) - 3/2)", "step(len(y) - 2)", ["step(len(y) - 3)"]),
        ]
    )


def _of_tokens(rng: random.Random) -> tuple[str, str, list[str]]:
    """A sum over the tokens of such a function of the position, times data of the token."""
    base = rng.choice(("t", "t", "t", "(len(y) - t)", "(t + len(y))"))
    one, other, off = _pairs(rng, base)
    data = rng.choice(("1", "w(y, t)", "log(pi(y, t)/pi_ref(y, t))", "t", "gamma**t", "w(y, t)**2"))
    summed = [f"sum(({text})*{data} for t in y)" for text in (one, other, *off)]
    return summed[0], summed[1], summed[2:]


# --- Python's own evaluation ---------------------------------------------------------------------


class _Exact(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("Fraction", ast.Load()), [node], [])


class _Response:
    def __init__(self, length: int, rng: random.Random) -> None:
        self.length = length
        self.pi, self.ref, self.w = (
            [Fraction(rng.randint(1, 30), 32) for _ in range(length)] for _ in range(3)
        )
        self.w = [x - Fraction(rng.randint(0, 32), 32) for x in self.w]
        self.score = Fraction(rng.randint(-60, 60), 17)

    def __iter__(self) -> Iterator[Fraction]:
        return iter(Fraction(t) for t in range(1, self.length + 1))


def worlds(seed: int) -> Iterator[tuple[_Response, dict[str, Any]]]:
    """Responses of 1 to 9 tokens, twice each, with one set of parameters."""
    rng = random.Random(seed)
    parameters = {
        "beta": Fraction(rng.randint(1, 40), 16),
        "k": Fraction(rng.randint(-9, 9), 2),
        "gamma": Fraction(rng.randint(1, 15), 16),
        "alpha": Fraction(1, 3),
    }
    for length in range(1, 10):
        for _ in range(2):
            yield _Response(length, rng), parameters


def value(text: str, y: _Response, parameters: dict[str, Any]) -> Any:
    """What Python makes of a score."""

    def table(rows: list[Fraction]) -> Any:
        return lambda y, t=None: math.prod(rows) if t is None else rows[int(t) - 1]

    words = {
        "len": lambda y: Fraction(y.length),
        "step": lambda x: Fraction(int(x >= 0)),
        "relu": lambda x: max(x, Fraction(0)),
        "abs": abs,
        "max": max,
        "min": min,
        "sum": sum,
        "exp": lambda x: math.exp(x),
        "log": lambda x: math.log(x),
        "tanh": math.tanh,
        "pi": table(y.pi),
        "pi_ref": table(y.ref),
        "w": table(y.w),
        "score": lambda y: y.score,
        "Fraction": Fraction,
        "y": y,
        **parameters,
    }
    tree = ast.fix_missing_locations(_Exact().visit(ast.parse(text, mode="eval")))
    return eval(compile(tree, "score", "eval"), {**words, "__builtins__": {}})


def gap(drawn: Drawn, seed: int = 0) -> float:
    """How much one score less the other differs between small worlds; a constant is no
    difference, as margins do not show it."""
    found = [float(value(drawn.one, y, p) - value(drawn.other, y, p)) for y, p in worlds(seed)]
    return max(found) - min(found)
