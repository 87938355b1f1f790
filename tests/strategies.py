"""Random expressions of the whole language, and points to evaluate them at."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from midpo.numeric.evaluate import Point
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.places import Names, Place

DOMAINS = {"a": "real", "b": "positive", "g": "unit", "n": "nonnegative", "t": "real", "v2": "unit"}
NAMES = Names(
    parameters={name: Parameter(name, domain) for name, domain in DOMAINS.items()},
    features={"score": "response", "w": "token", "v": "token", "gap": "pair"},
    policies=frozenset({"pi", "pi_ref", "pi_old"}),
)
VOCABULARY = 3

_NUMBERS = ("0", "1", "2", "3", "1/2", "0.1", "7", "2/3", "1e-2")
_POLICIES = ("pi", "pi_ref", "pi_old")
_ONE = ("log", "exp", "sqrt", "sigmoid", "logsigmoid", "tanh", "relu", "abs", "step", "sg")


@st.composite
def texts(draw: st.DrawFn, place: Place, depth: int = 3, loops: tuple[Any, ...] = ()) -> str:
    """An expression as a user may write it; `loops` are the indices in scope as (name, over)."""

    def inner(more: tuple[Any, ...] = ()) -> str:
        return draw(texts(place, depth - 1, loops + more))

    responses = [r.name for r in place.responses]
    leaves = ["number", "parameter", "pair"]
    leaves += ["margin"] * place.margin + ["prob", "length", "score"] * bool(responses)
    positions = [loop for loop in loops if loop[1] != "vocab"]
    entries = [loop for loop in loops if loop[1] == "vocab"]
    leaves += ["token", "feature", "kl", "entropy", "index"] * bool(positions)
    leaves += ["vocab"] * bool(positions and entries)
    nodes = ["+", "-", "*", "/", "**", "negative", "one", "many"]
    nodes += ["sum", "prod", "vocabsum"] * bool(responses and len(loops) < 3)
    nodes += ["by_label"] * place.by_label
    kind = draw(st.sampled_from(leaves if depth == 0 else leaves[:3] + nodes))
    policy = draw(st.sampled_from(_POLICIES))
    response = draw(st.sampled_from(responses)) if responses else ""
    index, over = draw(st.sampled_from(positions)) if positions else ("", "")
    new = f"i{len(loops)}"
    match kind:
        case "number":
            return draw(st.sampled_from(_NUMBERS))
        case "parameter":
            return draw(st.sampled_from(sorted(DOMAINS)))
        case "pair":
            return "gap"
        case "margin":
            return "m"
        case "prob":
            return f"{policy}({response})"
        case "length":
            return f"len({response})"
        case "score":
            return f"score({response})"
        case "token":
            return f"{policy}({over}, {index})"
        case "feature":
            return f"{draw(st.sampled_from(['w', 'v']))}({over}, {index})"
        case "index":
            return str(index)
        case "kl":
            return f"kl({policy}, {draw(st.sampled_from(_POLICIES))}, {over}, {index})"
        case "entropy":
            return f"entropy({policy}, {over}, {index})"
        case "vocab":
            return f"{policy}({over}, {index}, {draw(st.sampled_from(entries))[0]})"
        case "+" | "-" | "*" | "/":
            return f"({inner()}) {kind} ({inner()})"
        case "**":
            exponent = draw(st.sampled_from(["2", "3", "-1", "1/2", "-2", "g", "a", "1 - b"]))
            return f"({inner()})**({exponent})"
        case "negative":
            return f"-({inner()})"
        case "one":
            return f"{draw(st.sampled_from(_ONE))}({inner()})"
        case "many":
            return f"{draw(st.sampled_from(['max', 'min']))}({inner()}, {inner()}, {inner()})"
        case "by_label":
            return f"by_label({inner()}, {inner()})"
        case "vocabsum":
            return f"sum({inner(((new, 'vocab'),))} for {new} in vocab)"
    return f"{kind}({inner(((new, response),))} for {new} in {response})"


class Response:
    """What `y` is to Python's own evaluator: something to iterate over, with a length."""

    def __init__(self, name: str, length: int) -> None:
        self.name, self.length = name, length

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, self.length + 1))

    def __len__(self) -> int:
        return self.length


def numbers(seed: int) -> dict[str, Any]:
    """Rational data for every name of `NAMES`: tokens, tables, parameters, features."""
    rng = random.Random(seed)

    def some(low: int, high: int) -> Fraction:
        return Fraction(rng.randint(low, high), 16)

    def law() -> list[Fraction]:
        weights = [rng.randint(1, 9) for _ in range(VOCABULARY)]
        return [Fraction(weight, sum(weights)) for weight in weights]

    tokens = {
        name: [rng.randrange(VOCABULARY) for _ in range(length)]
        for name, length in zip(("y", "y_w", "y_l"), rng.sample((1, 2, 3, 4), 3), strict=True)
    }
    ranges = {"real": (-40, 40), "positive": (1, 40), "nonnegative": (1, 40), "unit": (1, 15)}
    return {
        "tokens": tokens,
        "tables": {(p, y): [law() for _ in ids] for p in _POLICIES for y, ids in tokens.items()},
        "parameters": {name: some(*ranges[domain]) for name, domain in DOMAINS.items()},
        "features": {
            "gap": some(-20, 20),
            "score": {y: some(-20, 20) for y in tokens},
            **{w: {y: [some(1, 30) for _ in ids] for y, ids in tokens.items()} for w in "wv"},
        },
    }


def point(ops: Any, seed: int) -> Point:
    """`numbers(seed)` in an arithmetic."""
    data = numbers(seed)

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: convert(part) for key, part in value.items()}
        return [convert(part) for part in value] if isinstance(value, list) else ops.number(value)

    return Point(
        data["tokens"],
        convert(data["tables"]),
        convert(data["parameters"]),
        convert(data["features"]),
        ops.number(Fraction(3, 7)),
    )


def python_value(text: str, seed: int) -> float:
    """What Python itself makes of `text` in float64 at `numbers(seed)`."""
    return python_value_at(text, numbers(seed))


def python_value_at(text: str, data: dict[str, Any]) -> float:
    """What Python itself makes of `text` in float64, with the language's words as functions."""
    tables, tokens = data["tables"], data["tokens"]
    size = len(next(iter(tables.values()))[0])

    def probability(policy: str) -> Callable[..., float]:
        def value(y: Response, t: int | None = None, v: int | None = None) -> float:
            rows, ids = tables[policy, y.name], tokens[y.name]
            if t is None:
                return math.prod(float(row[i]) for row, i in zip(rows, ids, strict=True))
            return float(rows[t - 1][ids[t - 1] if v is None else v])

        return value

    def divergence(p: Callable[..., float], q: Callable[..., float], y: Response, t: int) -> float:
        laws = [(p(y, t, v), q(y, t, v)) for v in range(size)]
        return sum(a * math.log(a / b) for a, b in laws)

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def token_feature(name: str) -> Callable[..., float]:
        return lambda y, t: float(data["features"][name][y.name][t - 1])

    words: dict[str, Any] = {
        "log": math.log,
        "exp": math.exp,
        "sqrt": math.sqrt,
        "tanh": math.tanh,
        "abs": abs,
        "max": max,
        "min": min,
        "sum": sum,
        "prod": math.prod,
        "len": len,
        "sigmoid": sigmoid,
        "logsigmoid": lambda x: math.log(sigmoid(x)),
        "relu": lambda x: max(x, 0.0),
        "step": lambda x: float(x >= 0),
        "sg": lambda x: x,
        "kl": divergence,
        "entropy": lambda p, y, t: -sum(p(y, t, v) * math.log(p(y, t, v)) for v in range(size)),
        "by_label": lambda a, b: b,
        "m": 3 / 7,
        "vocab": range(size),
        **{policy: probability(policy) for policy, _ in tables},
        **{name: Response(name, len(ids)) for name, ids in tokens.items()},
        **{name: float(value) for name, value in data["parameters"].items()},
        "gap": float(data["features"].get("gap", 0)),
        "score": lambda y: float(data["features"]["score"][y.name]),
        "w": token_feature("w"),
        "v": token_feature("v"),
    }
    value = eval(text, {**words, "__builtins__": {}})
    if isinstance(value, complex):
        raise ValueError("a complex number")
    return float(value)
