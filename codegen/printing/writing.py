"""What printers of kernels share: signs of terms, words of the language, numbers."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Sequence

from sympy import Expr, Rational, Symbol

from midpo.codegen.names import policy_argument
from midpo.codegen.statements.nodes import Code, Name, Number, Pair, negative
from midpo.codegen.statements.python import text
from midpo.codegen.statements.quote import quote
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.words import Word

LONG = 72  # an argument or term longer than this gets a line of its own


class Namer:
    """Local names that collide with nothing the user named."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken) | set(keyword.kwlist)

    def __call__(self, wanted: str) -> str:
        names = (f"{wanted}{n}" if n else wanted for n in (0, *range(2, 10_000)))
        name = next(name for name in names if name not in self.taken)
        self.taken.add(name)
        return name


def is_short(code: Code) -> bool:
    return len(text(code)) <= LONG


def added(whole: Code | None, term: Expr, written: Callable[[Expr], Code]) -> Code:
    """`whole` and one more term after its sign, of which `written` is the rest."""
    is_negative = term.as_coeff_Mul()[0] < 0
    return joined(whole, is_negative, written(-term if is_negative else term))


def joined(whole: Code | None, is_negative: bool, code: Code) -> Code:
    if whole is None:
        return negative(code) if is_negative else code
    return Pair(whole, "-" if is_negative else "+", code)


def said(word: Word, column: str, args: Sequence[Code]) -> Code:
    """A function of the language in the words of that column. Raises: NotYet."""
    return word.pairwise(column, args, quote)


def logits_of(policy: Symbol) -> Code:
    """A policy's logits, without a gradient where it is frozen."""
    argument = policy_argument(policy)
    return Name(argument) if str(policy) == "pi" else quote("{}.detach()", argument)


def number(value: Rational) -> Code:
    """A rational as a Python number, exact wherever a float can be."""
    if value < 0:
        return negative(number(-value))
    if value.q == 1 and abs(int(value.p)) < 2**53:
        return Number(str(int(value.p)))
    try:
        nearest = float(value)
        if Rational(nearest) == value or max(int(value.p), int(value.q)) >= 2**53:
            return Number(repr(nearest))
    except OverflowError:
        raise NotYet("a number is beyond the range of floats") from None
    return Pair(Number(str(int(value.p))), "/", Number(str(int(value.q))))
