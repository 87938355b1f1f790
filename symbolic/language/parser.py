"""Text of a spec -> expression, through Python's own grammar and never through its interpreter.

`ast.parse` builds a tree; each kind of node that the language has is translated by one method and
every other kind is refused with the column it stands at. Sizes are bounded, so that no text can
hang or exhaust the machine.
"""

from __future__ import annotations

import ast
import math
import warnings

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S

from midpo.symbolic.errors import NoValue, SpecError, nearest

from .building import power
from .calls import MAX_SHOWN, Calls
from .nodes import MARGIN, Feature
from .places import Condition, Names, Place
from .signs import is_nonnegative
from .sizes import EXPONENTS, MAX_EXPONENT, MAX_NUMBER_BITS, bits, unbearable
from .toml import MAX_TEXT
from .words import FUNCTIONS, SPECIAL

MAX_DEPTH = 64


def parse(text: str, names: Names, place: Place) -> Expr:
    """The expression that `text` writes. Raises: see `parse_with_conditions`."""
    return parse_with_conditions(text, names, place)[0]


def parse_with_conditions(text: str, names: Names, place: Place) -> tuple[Expr, tuple[Condition, ...]]:
    """The expression that `text` writes, and what it needs beyond the declared domains.

    Raises: SpecError with the column of the first thing that the language does not have.
    """
    if len(text.encode("utf-8", "replace")) > MAX_TEXT:
        raise SpecError(f"an expression of {len(text)} characters", expected="at most 64 KiB")
    if not text.strip():
        raise SpecError("the expression is empty", text=text, column=0, expected="an expression")
    source = text.strip()
    shift = len(text) - len(text.lstrip())
    flat = source.replace("\n", " ").replace("\r", " ").replace("\t", " ")
    if "#" in flat:
        raise SpecError(
            "a comment inside an expression",
            text=text,
            column=text.index("#"),
            expected="comments outside the quotes",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(flat, mode="eval")
    except SyntaxError as error:
        column = shift + max(0, min((error.offset or 1) - 1, len(flat)))
        problem = (error.msg or "invalid syntax").split(".")[0]
        raise SpecError(
            f"this is not an expression: {problem}",
            text=text,
            column=column,
            expected="a formula such as log(pi(y)/pi_ref(y)), in Python's syntax",
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise SpecError(
            "the expression is nested too deeply or holds a character that no formula has",
            text=text,
            column=0,
            expected=f"nesting of at most {MAX_DEPTH} levels",
        ) from None
    reader = _Reader(text, flat, shift, names, place)
    expr = reader.read(tree.body)
    return expr, tuple(dict.fromkeys(reader.conditions))


class _Reader(Calls):
    """Reads a tree, a method a kind of node."""

    def read(self, node: ast.expr, depth: int = 0) -> Expr:
        if depth > MAX_DEPTH:
            raise self.error(node, "the expression is nested too deeply", f"at most {MAX_DEPTH} levels")
        match node:
            case ast.Constant():
                return self.number(node)
            case ast.Name():
                return self.name(node)
            case ast.UnaryOp(op=ast.USub()):
                return self.bounded(node, -self.read(node.operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd()):
                return self.read(node.operand, depth + 1)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.bounded(node, Add(*self.chain(node, (ast.Add, ast.Sub), depth)))
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return self.bounded(node, Mul(*self.chain(node, (ast.Mult, ast.Div), depth)))
            case ast.BinOp(op=ast.Pow()):
                return self.power(node, depth)
            case ast.Call():
                return self.call(node, depth)
        raise self.error(
            node,
            f"`{self.source(node)}` is not part of the language",
            "numbers, names, + - * / **, and calls such as pi(y), log(...), sum(... for t in y)",
        )

    def chain(
        self, node: ast.BinOp, kinds: tuple[type[ast.operator], type[ast.operator]], depth: int
    ) -> list[Expr]:
        """The terms of a + b - c ... (or factors of a * b / c ...), all one level deep."""
        parts: list[tuple[ast.operator | None, ast.expr]] = []
        at: ast.expr = node
        while isinstance(at, ast.BinOp) and isinstance(at.op, kinds):
            parts.append((at.op, at.right))
            at = at.left
        signs: list[Expr] = []
        if ast.Mult in kinds and isinstance(at, ast.UnaryOp) and isinstance(at.op, ast.USub):
            # -(a + b)/c is minus a fraction; the sign does not go into the sum.
            signs, at = [S.NegativeOne], at.operand
        parts.append((None, at))
        return signs + [self.term(op, part, depth + 1) for op, part in reversed(parts)]

    def term(self, op: ast.operator | None, node: ast.expr, depth: int) -> Expr:
        """What `node` adds or multiplies, standing after `op`."""
        value = self.read(node, depth)
        if isinstance(op, ast.Sub):
            return -value
        if isinstance(op, ast.Div):
            if value == 0:
                raise self.error(node, "division by zero", "a divisor that is not 0")
            self.require(value, "nonzero")
            self.divides(node, value)
            return Pow(value, S.NegativeOne)
        return value

    def divides(self, node: ast.expr, value: Expr) -> None:
        """Refuse denominators without a common multiple of bearable size: a sum of such fractions
        takes time in the square of its digits for each term."""
        number = value.as_coeff_Mul()[0]
        self.common = math.lcm(self.common, int(number.p) if isinstance(number, Rational) else 1)
        if self.common.bit_length() > 2 * MAX_NUMBER_BITS:
            raise self.error(
                node,
                "the denominators have no common multiple of bearable size",
                "one of at most about 2400 digits",
            )

    def bounded(self, node: ast.expr, value: Expr) -> Expr:
        """`value`, unless a number or an exponent in it is beyond the bounds."""
        found = unbearable(value)
        if found is not None:
            raise self.error(node, *found)
        return value

    def number(self, node: ast.Constant) -> Expr:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise self.error(node, f"`{self.source(node)}` is not a number", "an integer or a decimal")
        literal = self.source(node).replace("_", "")
        if len(literal) > 50:
            raise self.error(node, "a number is too long", "at most 50 digits")
        if isinstance(node.value, int):
            return Integer(node.value)
        mantissa, _, exponent = literal.lower().partition("e")
        if exponent and abs(int(exponent)) > 400:
            raise self.error(node, "a number is too large or too small", "an exponent of at most 400")
        # Decimals are exact: 0.1 is one tenth.
        value = Rational(mantissa) * Integer(10) ** int(exponent or 0)
        self.divides(node, Integer(value.q))
        return value

    def name(self, node: ast.Name) -> Expr:
        name = node.id
        if name in self.scope:
            index, response = self.scope[name]
            if response is None:
                raise self.error(
                    node, f"`{self.source(node)}` is a vocabulary entry, not a number", "pi(y, t, v)"
                )
            return index
        if name in self.names.parameters:
            return self.names.parameters[name]
        if self.place.margin and name == "m":
            return MARGIN
        kind = self.names.features.get(name)
        if kind == "pair":
            return Feature(self.names.datum(name))
        if kind is not None:
            usage = f"{name}(y)" if kind == "response" else f"{name}(y, t)"
            raise self.error(node, f"`{name}` is a {kind} feature and needs its arguments", usage)
        if name in self.names.policies:
            raise self.error(node, f"`{name}` is a policy and needs a response", f"{name}(y)")
        if name in {"y", "y_w", "y_l", *(response.name for response in self.names.responses)}:
            raise self.error(node, f"`{name}` is a response, not a number", f"pi({name}) or len({name})")
        if name in FUNCTIONS or name in SPECIAL:
            raise self.error(node, f"`{name}` is a function and needs its arguments", f"{name}(...)")
        known = {*self.names.parameters, *self.scope}
        known |= {n for n, k in self.names.features.items() if k == "pair"}
        known |= {"m"} if self.place.margin else set()
        raise self.error(
            node, f'unknown name "{name[:MAX_SHOWN]}"', nearest(name, known) + " ([parameters] declares)"
        )

    def power(self, node: ast.BinOp, depth: int) -> Expr:
        base, exponent = self.read(node.left, depth + 1), self.read(node.right, depth + 1)
        if isinstance(exponent, Rational):
            self.exponent(node, base, exponent)
        if isinstance(exponent, Integer):
            if exponent < 0:
                if base == 0:
                    raise self.error(node, "division by zero", "a base that is not 0")
                self.require(base, "nonzero")
                self.divides(node.left, base)
        elif is_nonnegative(-base):
            raise self.error(
                node.left,
                "a root or power of a number that is not positive",
                "a positive base, or an integer exponent",
            )
        else:
            self.require(base, "positive")
        try:
            return self.bounded(node, power(base, exponent))
        except NoValue:
            raise self.error(
                node, f"`{self.source(node)}` has no value", "a positive base, or an integer exponent"
            ) from None

    def exponent(self, node: ast.BinOp, base: Expr, exponent: Rational) -> None:
        """Refuse an exponent that is too large for `base` before SymPy multiplies it out."""
        size = abs(exponent)
        for factor in Mul.make_args(base):
            merged = factor.exp if isinstance(factor, Pow) else S.One
            if size * (abs(merged) if isinstance(merged, Rational) else 1) > MAX_EXPONENT:
                raise self.error(node.right, "an exponent is too large", EXPONENTS)
            if isinstance(factor, Rational) and bits(factor) * size > 2 * MAX_NUMBER_BITS:
                raise self.error(node, "a number is too large", "at most about 1200 digits")
