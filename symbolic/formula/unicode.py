"""Expression -> one line of mathematics for a terminal, in Greek letters and signs.

For reading only: `text` writes what the parser reads back.
"""

from __future__ import annotations

import unicodedata

from sympy import Expr

from midpo.symbolic.language.nodes import (
    BINDERS,
    ByLabel,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Parameter,
    Prior,
    Prob,
    TokenProb,
    TokenProd,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.text import ATOM, PRODUCT, Writer
from midpo.symbolic.language.words import BY_NODE

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def mathematics(expr: Expr) -> str:
    """`expr` as people write it: α·log(π(y_w)/π_ref(y_w)), Σ_{t∈y} KL(π_ref ‖ π)ₜ."""
    return _Pen(frozenset()).write(expr)[0]


def letter(name: str) -> str:
    """A name with its first part in Greek where it is a letter: mu1 is μ₁, pi_ref is π_ref."""
    head, underscore, tail = name.partition("_")
    stem = head.rstrip("0123456789")
    number = head[len(stem) :].translate(_SUBSCRIPTS)
    try:
        case = "CAPITAL" if stem[:1].isupper() else "SMALL"
        greek = {"lam": "lamda", "lambda": "lamda"}.get(stem, stem)
        stem = unicodedata.lookup(f"GREEK {case} LETTER {greek.upper()}") if len(greek) > 1 else stem
    except KeyError:
        pass
    return stem + number + underscore + tail


class _Pen(Writer):
    TIMES, POWER, MINUS = "·", "^", "−"

    def write(self, expr: Expr) -> tuple[str, int]:
        own = getattr(expr, "written", None)
        if own is not None:  # a node of the framework writes itself
            level = PRODUCT if isinstance(expr, VocabSum) else ATOM
            return own(lambda part: self.part(expr, part)), level
        if isinstance(expr, BINDERS):  # the sign reaches to the right: in a product, in brackets
            return self.binder(expr), PRODUCT
        return super().write(expr)

    def part(self, whole: Expr, part: Expr) -> str:
        """A part of a node of the framework; a sum's body holds together as a product does."""
        return self.wrap(part, PRODUCT) if isinstance(whole, VocabSum) else self.write(part)[0]

    def atom(self, expr: Expr) -> str:
        parts = expr.args
        if isinstance(expr, Parameter):
            return letter(expr.name)
        if isinstance(expr, (Prob, TokenProb, VocabProb)):
            at = ", ".join(map(self.atom, parts[1:]))
            return f"{letter(str(parts[0]))}({at})"
        if isinstance(expr, Feature):
            own = getattr(parts[0], "written", None)
            if own is not None:  # a quantity that the language has no word for
                return str(own())
            at = ", ".join(map(self.atom, parts[1:]))
            return letter(str(parts[0])) + (f"({at})" if at else "")
        if isinstance(expr, Length):
            return f"|{parts[0]}|"
        if isinstance(expr, Prior):
            return f"ζ({parts[0]})"
        if isinstance(expr, Divergence):
            p, q = (letter(str(policy)) for policy in parts[:2])
            return f"KL({p} ‖ {q}; {parts[2]}, {self.atom(parts[3])})"
        if isinstance(expr, Entropy):
            return f"H({letter(str(parts[0]))}; {parts[1]}, {self.atom(parts[2])})"
        if isinstance(expr, ByLabel):
            chosen, rejected = (self.write(part)[0] for part in parts)
            return f"[{chosen} if y = y_w, {rejected} if y = y_l]"
        word = BY_NODE.get(type(expr))
        if word is not None and word.unicode is not None:
            return word.over("unicode", (self.write(part)[0] for part in parts))
        return super().atom(expr)

    def binder(self, expr: Expr) -> str:
        body, index, *response = expr.args
        self.scope = {**self.scope, index: self.unused(index)}
        written = self.wrap(body, PRODUCT)
        name = self.scope.pop(index)
        sign = "∏" if isinstance(expr, TokenProd) else "Σ"
        over = response[0].name if response else "V"
        return f"{sign}_{{{name}∈{over}}} {written}"

    def unused(self, index: Index) -> str:
        """A name for `index` that no enclosing sum has."""
        names = (str(index.name), *(f"{index.name}{n}" for n in range(2, 100)))
        return next(n for n in names if n not in self.scope.values())
