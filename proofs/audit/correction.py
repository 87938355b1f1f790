"""The correction -alpha*T[pi] of proposition 2.1, read off the rows of log zeta and written down.

T is linear in log zeta. A row with weight c(y, t) contributes the sum over t of
E[c | y up to t] - E[c | y before t], and a row with a law E[c | y before t] times the law's centred
share of the token; expectations are under pi, for the normalised prior less those under zeta-bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sympy import Add, Expr, S

from midpo.numeric.trees import Movement, Sight
from midpo.proofs.audit.words import at_token, compared, symbol
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.told import Displayed, Hole, joined, told
from midpo.symbolic.formula.tree import JOINED, Enclosed, Fraction, row
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, write
from midpo.symbolic.language.nodes import Feature, Parameter
from midpo.symbolic.loss import is_constant

from .calculus import at_own_token, only_features, same, sequence_form, simplified_whole, split_weight
from .formulas import ZERO, ZETA_BAR, Notebook, over_tokens, readable, response_part
from .side import PriorSide


@dataclass(frozen=True)
class Correction:
    """-T[pi] up to constants: a function of the whole response and a sum over its tokens."""

    whole: Expr
    tokens: Expr

    @property
    def vanishes(self) -> bool:
        return all(part == 0 or same(part, S.Zero) for part in (self.whole, self.tokens))


def correction(found: Sequence[Movement], sight: Sight, book: Notebook, *, bar: bool = False) -> Correction:
    """-T of the rows, with token features of that `sight`; with `bar`, of the normalised prior:
    its expectation under zeta-bar is taken off."""
    tokens = S.Zero
    response = constant = S.Zero
    before, after = book.kappa(), book.kappa(upto=True)
    for each in found:
        drift = S.One if each.law is None else simplified_whole(-at_own_token(each.law))
        for kind, weight in split_weight(each.weight).items():
            known = kind in ("known", "state") or (
                kind == "token" and sight == "state" and only_features(weight)
            )
            if each.law is not None:
                if known:
                    tokens += weight * drift * (1 - before if bar else 1)
                else:
                    tokens += book.mean(weight) * drift
                    tokens -= before * book.mean(weight, "zeta") * drift if bar else 0
            elif kind == "response":
                response += weight
            elif known:
                fixed = is_constant(weight)
                constant += weight if fixed else 0
                tokens += weight * (after - before) if bar and not fixed else 0
            elif kind == "token":
                tokens += book.mean(weight) - (1 - after if bar else 1) * weight
                tokens -= before * book.mean(weight, "zeta") if bar else 0
            else:
                tokens += book.mean(weight) - book.mean(weight, upto=True)
                if bar:
                    tokens += after * book.mean(weight, "zeta", upto=True)
                    tokens -= before * book.mean(weight, "zeta")
    if not bar:
        return Correction(response_part(-response), tokens)
    # Constants alone telescope to ratio - 1; with a response's weight they are written together.
    ratio = book.ratio()
    if response == 0:
        return Correction(constant * ratio, tokens)
    return Correction(readable(response + constant) * (ratio - 1), tokens)


def written(side: PriorSide, found: Correction, book: Notebook, *, bar: bool = False) -> Displayed:
    """r less the usual expression, up to constants: -alpha*T."""
    alpha = side.spec.alpha
    parts = [alpha * found.whole] if found.whole != 0 else []
    if found.tokens != 0:
        parts.append(alpha * over_tokens(found.tokens))
    shown = write(Add(*parts)) if parts else ZERO
    scale = (write(alpha), JOINED) if alpha != 1 else ()
    ratio = Fraction(POLICY_SIGN, ZETA_BAR if bar else ZETA, small=True)
    return Displayed(row("r", " - ", *scale, r"\log", Enclosed(ratio), r" \equiv ", shown))


def special_cases(side: PriorSide, *, bar: bool = False) -> str:
    """Simple cases in which T is constant: a parameter at 0 or 1, a feature absent."""
    assert side.rows is not None
    cases: list[Hole] = []
    for name, old in _switches(side):
        for value in (S.Zero, S.One):
            if isinstance(old, Parameter) and value not in old.domain:
                continue
            for sight in side.sights:
                changed = _at(side.rows, old, value)
                try:
                    gone = correction(changed, sight, Notebook(), bar=bar).vanishes
                except MidpoError:
                    continue
                if gone:
                    state = " and the other features see only the tokens before"
                    others = any(not _absent(changed, n) for n in _feature_names(side))
                    extra = state if sight == "state" and others else ""
                    cases.append(told("{}{}", compared(name, "=", value), extra))
                    break
    return told("exact where {}", joined(", or where ", cases)) if cases else ""


def _feature_names(side: PriorSide) -> list[str]:
    kinds = side.spec.names.features
    return [name for name, kind in kinds.items() if kind == "token"]


def _absent(found: Sequence[Movement], feature: str) -> bool:
    return all(
        feature not in {s.name for s in e.free_symbols}
        for each in found
        for e in (each.weight, each.law or S.Zero)
    )


def _switches(side: PriorSide) -> Iterator[tuple[Displayed, Any]]:
    assert side.rows is not None
    weights = [e for r in side.rows for e in (r.weight, r.law or S.Zero)]
    atoms = {a for w in weights for a in w.atoms(Parameter)}
    for parameter in sorted(atoms, key=lambda p: str(p.name)):
        if parameter != side.spec.alpha:
            yield symbol(parameter.name), parameter
    for name in _feature_names(side):
        found = {f for w in weights for f in w.atoms(Feature) if str(f.args[0]) == name}
        if found:
            yield at_token(name), found


def _at(found: Sequence[Movement], what: Any, value: Expr) -> tuple[Movement, ...]:
    table = {what: value} if isinstance(what, Parameter) else dict.fromkeys(what, value)
    changed = []
    for each in found:
        try:
            weight = sequence_form(each.weight.xreplace(table))
            law = None if each.law is None else sequence_form(each.law.xreplace(table))
        except MidpoError:
            return tuple(found)
        if weight != 0 and law != 0:
            changed.append(replace(each, weight=weight, law=law))
    return tuple(changed)
