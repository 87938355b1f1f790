"""The eight losses once more, by hand: plain loops in float64, written from the papers' formulas.

Nothing is shared with the package. A response is a list of (label, policy row, reference row) of
log-probabilities, one a token; w is the chosen response, r the rejected one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Row = Sequence[float]
Response = list[tuple[int, Row, Row]]


def logsigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def kl(p: Row, q: Row) -> float:
    return sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True) if a > -math.inf)


def policy(y: Response) -> float:
    return sum(p[v] for v, p, _ in y)


def reference(y: Response) -> float:
    return sum(q[v] for v, _, q in y)


def dpo(w: Response, r: Response, f: Any, *, alpha: float) -> float:
    return alpha * (policy(w) - reference(w)) - alpha * (policy(r) - reference(r))


def centropy(w: Response, r: Response, f: Any, *, alpha: float, eta: float) -> float:
    return alpha * (eta * policy(w) - reference(w)) - alpha * (eta * policy(r) - reference(r))


def simpo(w: Response, r: Response, f: Any, *, alpha: float, gamma: float) -> float:
    return alpha * policy(w) / len(w) - alpha * policy(r) / len(r) - gamma


def rdpo(w: Response, r: Response, f: Any, *, alpha: float, beta: float) -> float:
    return dpo(w, r, f, alpha=alpha) + alpha * beta * (len(w) - len(r))


def tdpo(w: Response, r: Response, f: Any, *, alpha: float) -> float:
    forward = [sum(kl(q, p) for _, p, q in y) for y in (w, r)]
    return dpo(w, r, f, alpha=alpha) - alpha * (forward[1] - forward[0])


def tis_dpo(w: Response, r: Response, f: Any, *, alpha: float) -> float:
    def side(y: Response, weights: Sequence[float]) -> float:
        terms = zip(weights, y, strict=True)
        return sum((u * (p[v] - q[v] - kl(p, q)) for u, (v, p, q) in terms), start=0.0)

    return alpha * side(w, f["w"][0]) - alpha * side(r, f["w"][1])


def sparsepo(w: Response, r: Response, f: Any, *, alpha: float) -> float:
    def side(y: Response, at: int) -> float:
        masks = zip(f["mu1"][at], f["mu2"][at], strict=True)
        terms = zip(masks, y, strict=True)
        return sum((a * (p[v] - q[v]) + b * kl(q, p) for (a, b), (v, p, q) in terms), start=0.0)

    return alpha * side(w, 0) - alpha * side(r, 1)


MARGINS: dict[str, Callable[..., float]] = {
    "dpo": dpo,
    "dice": dpo,  # with the previous round's policy for the reference
    "centropy": centropy,
    "simpo": simpo,
    "rdpo": rdpo,
    "tdpo": tdpo,
    "tis-dpo": tis_dpo,
    "sparsepo": sparsepo,
}
