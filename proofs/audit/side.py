"""One function zeta(y) to audit: the prior, or that of one role, and random policies for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from sympy import Expr

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.trees import Movement, Sight, World, full_tree, random_world
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import CHOSEN, POLICY, REJECTED, RESPONSE, Log, Parameter, StopGradient
from midpo.symbolic.language.spec import Spec

from .calculus import log_prior, rows

WORLDS = 4  # random policies on trees of depth 2 and 3
VANISHES = 1e-11  # a gradient that is 0, relative to the size of what it is a sum of


@dataclass(frozen=True)
class PriorSide:
    """One function zeta(y): the prior, or the prior of one role where they differ.

    `expr` as the spec writes it, `log` its logarithm in sequence form, `rows` how that moves with
    the policy; None with `obstacle` where this is not known symbolically.
    """

    spec: Spec
    role: str
    expr: Expr
    log: Expr | None
    rows: tuple[Movement, ...] | None
    obstacle: str = ""
    worlds: dict[str, list[World]] = field(default_factory=dict, compare=False, repr=False)

    @staticmethod
    def of(spec: Spec, role: Expr, name: str, *, stopped: bool = False) -> PriorSide:
        """The prior at `role`; a value has no stopped gradients, so that they are left out unless
        `stopped`."""
        assert spec.prior is not None
        prior = spec.prior if stopped else plain(spec.prior)
        expr = substitute(with_label(prior, role), {role: RESPONSE})
        found, moves, obstacle = None, None, ""
        try:
            found = log_prior(prior, role)
            moves = rows(found)
        except (MidpoError, RecursionError) as error:
            obstacle = str(error) or "the expressions are nested too deeply"
        return PriorSide(spec, name, expr, found, moves, obstacle)

    @cached_property
    def policy_free(self) -> bool:
        where = self.expr if self.log is None else self.log
        return POLICY not in where.free_symbols

    @cached_property
    def token_features(self) -> bool:
        return "token" in self.spec.names.features.values()

    @cached_property
    def sights(self) -> tuple[Sight, ...]:
        """What the token features may see, the least restrictive first."""
        return ("token", "state") if self.token_features else ("token",)

    def random_worlds(self, sight: Sight, seed: int) -> list[World]:
        """Random policies on trees of depth 2 and 3 at which log zeta has a value."""
        if sight not in self.worlds:
            rng = np.random.default_rng(seed)
            found = []
            for attempt in range(5 * WORLDS):
                world = random_world(self.spec, full_tree(2 + attempt % 2), rng, sight=sight, scale=1.0)
                try:
                    world.jacobian(Log(self.expr))
                except Undefined:
                    continue
                found.append(world)
                if len(found) == WORLDS:
                    break
            self.worlds[sight] = found
        return self.worlds[sight]


def plain(expr: Expr) -> Expr:
    return expr.replace(StopGradient, lambda inner: inner) if expr.has(StopGradient) else expr


def sides_of(spec: Spec, label_free: bool) -> list[PriorSide]:
    """The prior as one function, or one a role."""
    if label_free:
        return [PriorSide.of(spec, CHOSEN, "")]
    return [PriorSide.of(spec, CHOSEN, "chosen"), PriorSide.of(spec, REJECTED, "rejected")]


def of_role(question: str, side: PriorSide) -> str:
    return f"{question} ({side.role})" if side.role else question


def alpha_of(spec: Spec, world: World) -> float:
    return float(world.parameters["alpha"]) if isinstance(spec.alpha, Parameter) else 1.0
