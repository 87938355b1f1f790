"""Text of a spec -> expression, through Python's own grammar and never through its interpreter.

`ast.parse` builds a tree; each kind of node that the language has is translated by one method and
every other kind is refused with the column it stands at. Sizes are bounded, so that no text can
hang or exhaust the machine.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Iterable

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S, Symbol

from midpo.symbolic.errors import NoValue, SpecError, nearest

from .building import power, rename_index
from .nodes import (
    MARGIN,
    ByLabel,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Log,
    Prob,
    Sorted,
    Sqrt,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
    standard_index,
)
from .places import KNOWN, Condition, Names, Place
from .signs import is_nonnegative, is_positive
from .sizes import EXPONENTS, MAX_EXPONENT, MAX_NUMBER_BITS, bits, unbearable
from .toml import MAX_TEXT
from .words import FUNCTIONS, SPECIAL

MAX_DEPTH = 64
MAX_SHOWN = 60


def parse(text: str, names: Names, place: Place) -> Expr:
    """The expression that `text` writes. Raises: see `parse_with_conditions`."""
    return parse_with_conditions(text, names, place)[0]


def parse_with_conditions(
    text: str, names: Names, place: Place
) -> tuple[Expr, tuple[Condition, ...]]:
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
        raise SpecError("a comment inside an expression", text=text, column=text.index("#"),
                        expected="comments outside the quotes")
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


class _Reader:
    def __init__(self, text: str, flat: str, shift: int, names: Names, place: Place) -> None:
        self.text, self.shift, self.names, self.place = text, shift, names, place
        self.bytes = flat.encode()
        self.conditions: list[Condition] = []
        self.scope: dict[str, tuple[Index, Symbol | None]] = {}
        self.common = 1  # a multiple of all denominators

    # -- errors

    def error(self, node: ast.AST, problem: str, expected: str = "") -> SpecError:
        start = getattr(node, "col_offset", 0)  # ast counts UTF-8 bytes
        column = self.shift + len(self.bytes[:start].decode())
        return SpecError(problem, text=self.text, column=column, expected=expected)

    def source(self, node: ast.expr) -> str:
        written = self.bytes[node.col_offset : node.end_col_offset].decode()
        return written if len(written) <= MAX_SHOWN else written[: MAX_SHOWN - 3] + "..."

    def require(self, expr: Expr, kind: str) -> None:
        """Remember that `expr` must be `kind`, unless it is seen to be."""
        known = {
            "positive": is_positive(expr),
            "nonnegative": is_nonnegative(expr),
            "nonzero": is_positive(expr) or is_positive(-expr),
        }
        if not known[kind]:
            self.conditions.append(Condition(expr, kind))

    # -- the tree

    def read(self, node: ast.expr, depth: int = 0) -> Expr:
        if depth > MAX_DEPTH:
            raise self.error(node, "the expression is nested too deeply",
                             f"at most {MAX_DEPTH} levels")
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
            raise self.error(node, "the denominators have no common multiple of bearable size",
                             "one of at most about 2400 digits")

    def bounded(self, node: ast.expr, value: Expr) -> Expr:
        """`value`, unless a number or an exponent in it is beyond the bounds."""
        found = unbearable(value)
        if found is not None:
            raise self.error(node, *found)
        return value

    def number(self, node: ast.Constant) -> Expr:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise self.error(node, f"`{self.source(node)}` is not a number",
                             "an integer or a decimal")
        literal = self.source(node).replace("_", "")
        if len(literal) > 50:
            raise self.error(node, "a number is too long", "at most 50 digits")
        if isinstance(node.value, int):
            return Integer(node.value)
        mantissa, _, exponent = literal.lower().partition("e")
        if exponent and abs(int(exponent)) > 400:
            raise self.error(node, "a number is too large or too small",
                             "an exponent of at most 400")
        # Decimals are exact: 0.1 is one tenth.
        value = Rational(mantissa) * Integer(10) ** int(exponent or 0)
        self.divides(node, Integer(value.q))
        return value

    def name(self, node: ast.Name) -> Expr:
        name = node.id
        if name in self.scope:
            index, response = self.scope[name]
            if response is None:
                raise self.error(node, f"`{self.source(node)}` is a vocabulary entry, not a number",
                                 "pi(y, t, v)")
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
            raise self.error(node, f"`{name}` is a response, not a number",
                             f"pi({name}) or len({name})")
        if name in FUNCTIONS or name in SPECIAL:
            raise self.error(node, f"`{name}` is a function and needs its arguments",
                             f"{name}(...)")
        known = {*self.names.parameters, *self.scope}
        known |= {n for n, k in self.names.features.items() if k == "pair"}
        known |= {"m"} if self.place.margin else set()
        raise self.error(node, f'unknown name "{name[:MAX_SHOWN]}"',
                         nearest(name, known) + " ([parameters] declares)")

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
            raise self.error(node.left, "a root or power of a number that is not positive",
                             "a positive base, or an integer exponent")
        else:
            self.require(base, "positive")
        try:
            return self.bounded(node, power(base, exponent))
        except NoValue:
            raise self.error(node, f"`{self.source(node)}` has no value",
                             "a positive base, or an integer exponent") from None

    def exponent(self, node: ast.BinOp, base: Expr, exponent: Rational) -> None:
        """Refuse an exponent that is too large for `base` before SymPy multiplies it out."""
        size = abs(exponent)
        for factor in Mul.make_args(base):
            merged = factor.exp if isinstance(factor, Pow) else S.One
            if size * (abs(merged) if isinstance(merged, Rational) else 1) > MAX_EXPONENT:
                raise self.error(node.right, "an exponent is too large", EXPONENTS)
            if isinstance(factor, Rational) and bits(factor) * size > 2 * MAX_NUMBER_BITS:
                raise self.error(node, "a number is too large", "at most about 1200 digits")

    # -- calls

    def call(self, node: ast.Call, depth: int) -> Expr:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, f"`{self.source(node.func)}` cannot be called",
                             "a function by its name")
        name = node.func.id
        if node.keywords:
            raise self.error(node.keywords[0], "arguments are not named here", f"{name}(...)")
        for arg in node.args:
            if isinstance(arg, ast.Starred):
                raise self.error(arg, "`*` is not part of the language")
        if name in self.names.policies:
            return self.probability(node, name)
        if name in self.names.features:
            return self.feature(node, name)
        special: dict[str, Callable[[ast.Call, int], Expr]] = {
            "len": self.length,
            "sum": self.binder,
            "prod": self.binder,
            "kl": self.divergence,
            "entropy": self.divergence,
            "by_label": self.by_label,
            "sorted": self.ordered,
        }
        if name in special:
            return special[name](node, depth)
        if name in FUNCTIONS:
            return self.function(node, name, depth)
        if name in self.names.parameters:
            raise self.error(node, f"`{name}` is a parameter, not a function", name)
        known = {*FUNCTIONS, *SPECIAL, *self.names.policies}
        known |= {n for n, kind in self.names.features.items() if kind != "pair"}
        raise self.error(node, f'unknown function "{name[:MAX_SHOWN]}"', nearest(name, known))

    def arguments(self, node: ast.Call, counts: Iterable[int], usage: str) -> list[ast.expr]:
        if len(node.args) not in counts:
            got = len(node.args)
            raise self.error(node, f"`{self.source(node.func)}` with {got} arguments", usage)
        return node.args

    def response(self, node: ast.expr, or_else: str = "") -> Symbol:
        allowed = self.place.responses + self.names.responses * self.place.further
        for response in allowed:
            if isinstance(node, ast.Name) and node.id == response.name:
                return response
        listing = " or ".join(r.name for r in allowed) or "no response (a link is written in m)"
        raise self.error(node, f"`{self.source(node)}` is not a response here", listing + or_else)

    def position(self, node: ast.expr, response: Symbol) -> Index:
        if isinstance(node, ast.Name) and node.id in self.scope:
            index, over = self.scope[node.id]
            if over == response:
                return index
            if over is not None:
                raise self.error(
                    node,
                    f"`{self.source(node)}` runs over the tokens of {over}, not of {response}",
                    f"an index bound by `for ... in {response}`",
                )
        raise self.error(
            node,
            f"`{self.source(node)}` is not a token index",
            f"an index bound by sum(... for t in {response})",
        )

    def entry(self, node: ast.expr) -> Index:
        if isinstance(node, ast.Name) and node.id in self.scope:
            index, over = self.scope[node.id]
            if over is None:
                return index
        raise self.error(
            node,
            f"`{self.source(node)}` is not a vocabulary index",
            "an index bound by sum(... for v in vocab)",
        )

    def probability(self, node: ast.Call, name: str) -> Expr:
        usage = f"{name}(y), {name}(y, t) or {name}(y, t, v)"
        args = self.arguments(node, (1, 2, 3), usage)
        policy, response = Symbol(name), self.response(args[0])
        if len(args) == 1:
            return Prob(policy, response)
        position = self.position(args[1], response)
        if len(args) == 2:
            return TokenProb(policy, response, position)
        return VocabProb(policy, response, position, self.entry(args[2]))

    def feature(self, node: ast.Call, name: str) -> Expr:
        kind = self.names.features[name]
        counts = {"response": 1, "token": 2, "pair": 0}
        usage = {"response": f"{name}(y)", "token": f"{name}(y, t)", "pair": name}[kind]
        if kind == "pair":
            raise self.error(node, f"`{name}` is a pair feature and takes no arguments", usage)
        args = self.arguments(node, (counts[kind],), usage)
        response = self.response(args[0])
        if kind == "response":
            return Feature(self.names.datum(name), response)
        return Feature(self.names.datum(name), response, self.position(args[1], response))

    def length(self, node: ast.Call, depth: int) -> Expr:
        return Length(self.response(self.arguments(node, (1,), "len(y)")[0]))

    def binder(self, node: ast.Call, depth: int) -> Expr:
        assert isinstance(node.func, ast.Name)
        word = node.func.id
        usage = f"{word}(... for t in y)" + (" or sum(... for v in vocab)" if word == "sum" else "")
        (arg,) = self.arguments(node, (1,), usage)
        if not isinstance(arg, ast.GeneratorExp) or len(arg.generators) != 1:
            raise self.error(arg, f"`{word}` needs one index", usage)
        loop = arg.generators[0]
        if loop.ifs or loop.is_async or not isinstance(loop.target, ast.Name):
            raise self.error(loop.target, f"`{word}` needs one plain index and no condition", usage)
        name = loop.target.id
        if name in self.names.taken() or name in self.scope or name in KNOWN:
            raise self.error(loop.target, f"`{self.source(loop.target)}` has another meaning here",
                             "a new name for the index")
        over_vocab = isinstance(loop.iter, ast.Name) and loop.iter.id == "vocab"
        response = None if over_vocab else self.response(loop.iter, " or vocab")
        if over_vocab and word == "prod":
            raise self.error(loop.iter, "a product over the vocabulary is not in the language",
                             usage)
        index = Index(f"{name}#{len(self.scope)}", position=not over_vocab)
        self.scope[name] = (index, response)
        outside, self.conditions = self.conditions, []
        body = self.read(arg.elt, depth + 1)
        del self.scope[name]
        standard = standard_index(body, index)
        self.conditions = outside + [
            Condition(rename_index(c.expr, index, standard), c.kind) for c in self.conditions
        ]
        body, index = rename_index(body, index, standard), standard
        if response is None:
            return VocabSum(body, index)
        return (TokenSum if word == "sum" else TokenProd)(body, index, response)

    def policy(self, node: ast.expr) -> Symbol:
        if isinstance(node, ast.Name) and node.id in self.names.policies:
            return Symbol(node.id)
        name = node.id if isinstance(node, ast.Name) else ""
        raise self.error(node, f"`{self.source(node)}` is not a policy",
                         nearest(name, self.names.policies))

    def divergence(self, node: ast.Call, depth: int) -> Expr:
        assert isinstance(node.func, ast.Name)
        kl = node.func.id == "kl"
        usage = "kl(p, q, y, t)" if kl else "entropy(p, y, t)"
        *policies, at, when = self.arguments(node, (4 if kl else 3,), usage)
        chosen = [self.policy(policy) for policy in policies]
        response = self.response(at)
        tail = (response, self.position(when, response))
        return Divergence(*chosen, *tail) if kl else Entropy(*chosen, *tail)

    def by_label(self, node: ast.Call, depth: int) -> Expr:
        if not self.place.by_label:
            raise self.error(node, "`by_label` speaks of the prior's response",
                             "use it in `prior` only")
        a, b = self.arguments(node, (2,), "by_label(where preferred, where dispreferred)")
        return ByLabel(self.read(a, depth + 1), self.read(b, depth + 1))

    def ordered(self, node: ast.Call, depth: int) -> Expr:
        if not self.place.batch:
            raise self.error(node, "`sorted` speaks of a whole batch",
                             "use it in [target] batch, beside a reason, only")
        (arg,) = self.arguments(node, (1,), "sorted(a)")
        value = self.read(arg, depth + 1)
        if self.scope or value.has(Sorted):
            raise self.error(node, "`sorted` orders the pairs of a batch",
                             "sorted(...) of one number a pair, outside sums and other sorted")
        return Sorted(value)

    def function(self, node: ast.Call, name: str, depth: int) -> Expr:
        word = FUNCTIONS[name]
        low, high = word.arity
        usage = f"{name}({', '.join('ab'[:low]) or 'a'}{', ...' if high > low else ''})"
        args = self.arguments(node, range(low, high + 1), usage)
        values = [self.read(arg, depth + 1) for arg in args]
        if word.node is Log:
            if is_nonnegative(-values[0]):
                raise self.error(node, "the logarithm of a number that is not positive",
                                 "log of x > 0")
            self.require(values[0], "positive")
        if word.node is Sqrt:
            if is_positive(-values[0]):
                raise self.error(node, "the root of a negative number", "sqrt of x >= 0")
            self.require(values[0], "nonnegative")
        return word.node(*values)
