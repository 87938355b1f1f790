"""The Bradley-Terry maximum-likelihood value of preference counts, attained or not.

B = inf_s E_D[-log sigmoid(s_w - s_l)]. Newton's method by conjugate gradients on the comparisons:
no matrix is built. The value comes with a lower bound from the dual problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .preferences import Booleans, Comparisons, Floats, Integers, levels, strong_components
from .tabular import NotConverged

GRADIENT = 1e-10  # nats a unit of score: where a fit stops
GAP = 1e-12  # nats: where the value stops
CAP = 1_000
ROUNDING = 1e-17  # of a gradient whose weights sum to 1
FLATTEST = 1e-14  # the curvature of -log sigmoid that is taken for the least
RADIUS = 4.0  # nats
TINY, SLACK = 1e-16, 1e-14  # a circulation may leave [0, 1] by rounding, weighted
KERNEL = 1e-13  # the relative curvature below which a direction counts as of the kernel
# How far a fit may end above B: rounding where it is attained; where it is not, a gradient of 1e-10
# leaves a loss of its own size for each comparison on no cycle.
ATTAINED, UNATTAINED = 1e-11, 1e-8

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Edges:
    """Comparisons as edges between the (prompt, response) nodes that occur in them.

    Shapes: `chosen`, `rejected` (k,) node numbers; `weights` (k,), of sum 1; `nodes` (v,) flat
    indices; `inside` (k,) which edges lie on a directed cycle; `levels` (v,).
    """

    chosen: Integers
    rejected: Integers
    weights: Floats
    nodes: Integers
    inside: Booleans
    levels: Integers

    @classmethod
    def of(cls, comparisons: Comparisons, responses: int) -> Edges:
        first = comparisons.prompt * responses
        ends = np.concatenate([first + comparisons.chosen, first + comparisons.rejected])
        nodes, compact = np.unique(ends, return_inverse=True)
        k = comparisons.count.size
        chosen, rejected = compact[:k], compact[k:]
        labels = strong_components(chosen, rejected, nodes.size)
        inside = labels[chosen] == labels[rejected]
        heights = levels(chosen, rejected, labels)
        return cls(chosen, rejected, comparisons.weights, nodes, inside, heights)

    def part(self, which: Booleans) -> Edges:
        """Some of the edges, on the same nodes."""
        return replace(
            self,
            chosen=self.chosen[which],
            rejected=self.rejected[which],
            weights=self.weights[which],
            inside=self.inside[which],
        )

    def margins(self, scores: Floats) -> Floats:
        """s_w - s_l for each comparison. Shapes (v,) to (k,)."""
        return scores[self.chosen] - scores[self.rejected]

    def adjoint(self, flow: Floats) -> Floats:
        """The transpose of `margins`: what flows out of each node less what flows in. (k,), (v,)"""
        size = self.nodes.size
        out_of = np.bincount(self.chosen, flow, size)
        return np.asarray(out_of - np.bincount(self.rejected, flow, size), dtype=np.float64)

    def loss(self, scores: Floats) -> float:
        """sum_k weight_k log(1 + e^-m_k). Nats."""
        return float(self.weights @ np.logaddexp(0.0, -self.margins(scores)))

    def gradient(self, scores: Floats) -> Floats:
        """Of the loss in the scores; it sums to 0 over each component. Shape (v,)."""
        return self.adjoint(-self.weights * _sigmoid(-self.margins(scores)))


def _sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), to full relative precision at both ends."""
    return np.exp(-np.logaddexp(0.0, -x))


def newton_direction(edges: Edges, scores: Floats) -> Floats:
    """The direction d with Hessian d = -gradient. Shape (v,).

    The Hessian is the graph Laplacian with weights sigma(m) sigma(-m) on the comparisons; the
    gradient is orthogonal to its kernel, the constants of each component.
    """
    margins = edges.margins(scores)
    bend = np.maximum(_sigmoid(-margins) * _sigmoid(margins), FLATTEST)
    curvature = edges.weights * bend
    diagonal = np.bincount(edges.chosen, curvature, edges.nodes.size)
    diagonal = diagonal + np.bincount(edges.rejected, curvature, edges.nodes.size)
    scale = np.where(diagonal > 0, diagonal, 1.0)

    def hessian(d: Floats) -> Floats:
        return edges.adjoint(curvature * edges.margins(d))

    return _conjugate_gradients(hessian, scale, -edges.gradient(scores))


def _conjugate_gradients(apply: Callable[[Floats], Floats], diagonal: Floats, right: Floats) -> Floats:
    """Solve apply(d) = right by conjugate gradients preconditioned with `diagonal`."""
    found = np.zeros_like(right)
    residual = right.copy()
    wanted = max(1e-13 * float(np.abs(right).max()), ROUNDING)
    direction = residual / diagonal
    product = float(residual @ direction)
    for _ in range(4 * right.size + 20):
        if float(np.abs(residual).max()) <= wanted:
            break
        image = apply(direction)
        curvature = float(direction @ image)
        if not curvature > KERNEL * float(direction**2 @ diagonal):
            break  # what is left of the residual is rounding in the kernel
        step = product / curvature
        found += step * direction
        residual -= step * image
        preconditioned = residual / diagonal
        previous, product = product, float(residual @ preconditioned)
        direction = preconditioned + (product / previous) * direction
    return found


def fit(
    edges: Edges,
    scores: Floats,
    *,
    tolerance: float = GRADIENT,
    progress: Progress = lambda iteration, gradient: None,
) -> tuple[Floats, tuple[float, ...]]:
    """Minimise the loss over the scores: the last scores, and the loss at each iteration.

    Damped Newton on the comparisons that lie on cycles; the others, whose infimum is at infinity,
    are driven there along the levels of the components, by steps that double. (One Newton
    iteration for all would have to solve systems as ill-conditioned as the loss is flat.) Stops
    where the largest entry of the whole gradient is at most `tolerance`. Raises: NotConverged.
    """
    losses = [edges.loss(scores)]
    cycles, others = edges.part(edges.inside), edges.part(~edges.inside)
    lift, size = 1.0, math.inf
    while len(losses) <= CAP:
        crossing = float(np.abs(others.gradient(scores)).max())
        gradient = cycles.gradient(scores)
        size = crossing + float(np.abs(gradient).max())
        progress(len(losses), size)
        if size <= tolerance:
            return scores, tuple(losses)
        if crossing > tolerance / 2:
            scores = scores + lift * edges.levels
            lift *= 2
        else:
            direction = newton_direction(cycles, scores)
            scores = _search(cycles, scores, direction)
        losses.append(edges.loss(scores))
    raise NotConverged(f"the fit's gradient is {size:.3g} after {CAP} iterations")


def _search(edges: Edges, scores: Floats, direction: Floats) -> Floats:
    """The first of the steps 1, 1/2, 1/4, ... that lowers the loss as its slope promises.

    Far out the loss is nearly linear and Newton's direction astronomically long: no margin may
    change by more than the largest there is, or RADIUS.
    """
    loss = edges.loss(scores)
    longest = float(np.abs(edges.margins(direction)).max())
    radius = max(RADIUS, float(np.abs(edges.margins(scores)).max()))
    direction = direction * min(1.0, radius / max(longest, radius))
    slope = float(edges.gradient(scores) @ direction)
    step, rounding = 1.0, 8 * float(np.finfo(np.float64).eps) * loss
    while step > 1e-12:
        after = scores + step * direction
        if edges.loss(after) <= loss + 1e-4 * step * slope + rounding:
            return after
        step /= 2
    return scores


@dataclass(frozen=True)
class BradleyTerry:
    """B = inf_s E_D[-log sigmoid(s_w - s_l)], between `lower` and `value`, in nats.

    `attained`: every comparison lies on a directed cycle, that is, each connected component is
    strongly connected (Ford 1957). `acyclic`: none does; then B = 0.
    """

    value: float
    lower: float
    attained: bool
    acyclic: bool

    @property
    def gap(self) -> float:
        return self.value - self.lower

    @property
    def tolerance(self) -> float:
        return ATTAINED if self.attained else UNATTAINED


def bradley_terry(comparisons: Comparisons, responses: int) -> BradleyTerry:
    """The maximum-likelihood value, with a lower bound from the dual.

    A comparison on no cycle contributes 0 to the infimum (scale a topological order of the
    components), one on a cycle contributes at its fit among those. The dual is the largest
    sum_k weight_k h(q_k), h the binary entropy, over circulations weight * q; Newton's direction
    d turns q = sigmoid(-m) into one: q - sigma(m) sigma(-m) (d_w - d_l).
    Reference: theorem 2.8 (iii). Raises: NotConverged.
    """
    every = Edges.of(comparisons, responses)
    if not every.inside.any():
        return BradleyTerry(0.0, 0.0, False, True)
    edges = every.part(every.inside)
    scores, lower, loss = np.zeros(edges.nodes.size), -math.inf, math.inf
    for _ in range(CAP):
        direction = newton_direction(edges, scores)
        loss = edges.loss(scores)
        lower = max(lower, _dual(edges, scores, direction))
        if loss - lower <= GAP:
            return BradleyTerry(loss, lower, bool(every.inside.all()), False)
        scores = _search(edges, scores, direction)
    raise NotConverged(f"Bradley-Terry: the duality gap is {loss - lower:.3g} nats")


def _dual(edges: Edges, scores: Floats, direction: Floats) -> float:
    """sum_k weight_k h(q_k) at the circulation next to sigmoid(-m); -inf where there is none."""
    margins = edges.margins(scores)
    miss = _sigmoid(-margins)
    flow = miss - miss * _sigmoid(margins) * edges.margins(direction)
    clipped = np.clip(flow, TINY, 1 - TINY)
    if float((edges.weights * np.abs(flow - clipped)).max()) > SLACK:
        return -math.inf
    return float(edges.weights @ -(clipped * np.log(clipped) + (1 - clipped) * np.log1p(-clipped)))
