"""A term that Coq printed, read as an expression by another road than it was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Pow, Rational, S, Symbol

from midpo.symbolic.language.building import rename_index
from midpo.symbolic.language.nodes import (
    CHOSEN,
    REJECTED,
    RESPONSE,
    Abs,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Further,
    Index,
    Length,
    Log,
    LogSigmoid,
    Max,
    Min,
    Prob,
    Relu,
    Sigmoid,
    Step,
    StopGradient,
    Tanh,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
    standard_index,
)
from midpo.symbolic.language.spec import Spec

from .terms import Mismatch, Term

NORMALISER = Symbol("Z", positive=True)


@dataclass(frozen=True)
class AppliedName:
    """A name of the statement applied to arguments: `law_pi x y`, `tok y t`, `n y`."""

    name: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Expectation:
    """E of a function of the data, by its value at any pair."""

    value: Expr


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Rplus": lambda a, b: a + b, "Rminus": lambda a, b: a - b, "Rmult": lambda a, b: a * b,
    "Rdiv": lambda a, b: a / b, "Ropp": lambda a: -a, "Rinv": lambda a: 1 / a,
    "pow": Pow, "Rpower": Pow, "sqrt": lambda a: Pow(a, Rational(1, 2)), "IZR": lambda a: a,
    "Zpos": lambda a: a, "Zneg": lambda a: -a, "xO": lambda a: 2 * a, "xI": lambda a: 2 * a + 1,
    "S": lambda a: a + 1,
    "ln": Log, "exp": Exp, "sigmoid": Sigmoid, "logsigmoid": LogSigmoid, "tanh": Tanh,
    "relu": Relu, "Rabs": Abs, "step": Step, "stopped": StopGradient,
    "Rmax": lambda a, b: _flat(Max, a, b), "Rmin": lambda a, b: _flat(Min, a, b),
    "margin": lambda a, pw, zw, pl, zl: a * Log(pw / zw) - a * Log(pl / zl),
}  # fmt: skip


_COUNTS = {
    "Rplus": 2,
    "Rminus": 2,
    "Rmult": 2,
    "Rdiv": 2,
    "pow": 2,
    "Rpower": 2,
    "Rmax": 2,
    "Rmin": 2,
    "margin": 5,
}


_CONSTANTS: dict[str, Any] = {"Z0": S.Zero, "xH": S.One, "O": S.Zero, "true": True, "false": False}


_TYPES = {"R", "nat", "bool", "unit", "Type", "list", "prod"}


def _flat(kind: Any, a: Expr, b: Expr) -> Expr:
    return kind(a, *(b.args if isinstance(b, kind) else (b,)))


class CoqReader:
    """Evaluates printed terms into the language's expressions."""

    def __init__(self, spec: Spec, module: str, definitions: Mapping[str, Term]) -> None:
        self.spec, self.module, self.definitions = spec, module, definitions
        self.fresh = 0

    def value(self, term: Term, env: Mapping[str, Any]) -> Any:
        kind = term[0]
        if kind == "var":
            return self.name(term[1], env)
        if kind == "app":
            return self.applied(term, env)
        if kind == "fun":
            return self.closure(term[1], term[2], env)
        if kind == "match":
            return self.case(term, env)
        return "type"

    def name(self, name: str, env: Mapping[str, Any]) -> Any:
        if name in env:
            return env[name]
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in self.definitions:
            return self.value(self.definitions[name], {})
        if name in _TYPES:
            return "type"
        inside = name.removeprefix(f"{self.module}.")
        if inside != name:  # a datum of a refutation's witness
            return self.variable(inside, ("var", "R"))
        raise Mismatch(f"the theorem speaks of {name}, which is not known here")

    def applied(self, term: Term, env: Mapping[str, Any]) -> Any:
        head, *rest = term[1:]
        if head[0] == "var" and head[1] not in env:
            name = head[1]
            if name in _ARITHMETIC:
                if len(rest) != _COUNTS.get(name, 1):
                    raise Mismatch(f"{name} has {len(rest)} arguments")
                args = [self.number(self.value(a, env)) for a in rest]
                return _ARITHMETIC[name](*args)
            special = getattr(self, f"_{name}", None)
            if name in ("sumn", "prodn", "suml", "seq_prob", "KL", "entropy", "INR"):
                assert special is not None
                return special(*(self.value(a, env) for a in rest))
            if name in ("list", "prod"):
                return "type"
        found = self.value(head, env)
        for arg in rest:
            found = self.call(found, self.value(arg, env))
        return found

    def call(self, function: Any, arg: Any) -> Any:
        if isinstance(function, AppliedName):
            return self.settled(AppliedName(function.name, (*function.args, arg)))
        if callable(function):
            return function(arg)
        raise Mismatch("something is applied that is no function")

    def number(self, value: Any) -> Expr:
        if isinstance(value, Expr):
            return value
        raise Mismatch(f"{value} stands where a number should")

    def closure(self, bound: Any, body: Term, env: Mapping[str, Any]) -> Any:
        (name, _), *others = bound

        def function(arg: Any) -> Any:
            inner = {**env, name: arg}
            return self.closure(tuple(others), body, inner) if others else self.value(body, inner)

        return function

    def case(self, term: Term, env: Mapping[str, Any]) -> Any:
        subject = self.value(term[1], env)
        for pattern, body in term[2]:
            if pattern in (("true",), ("false",)) and isinstance(subject, bool):
                if subject == (pattern == ("true",)):
                    return self.value(body, env)
            elif pattern[0] == "pair" and isinstance(subject, tuple) and len(pattern) == 3:
                return self.value(body, {**env, pattern[1]: subject[0], pattern[2]: subject[1]})
        raise Mismatch("a match that is not read here")

    # -- sums, and the data of the statement

    def index(self, *, position: bool) -> Index:
        self.fresh += 1
        return Index(f"readback{self.fresh}", position=position)

    def _bind(self, kind: Any, body: Any, *response: Any, position: bool) -> Expr:
        index = self.index(position=position)
        # A position of Coq counts from 0, one of the language from 1.
        inside = self.number(self.call(body, index - 1 if position else index))
        name = standard_index(inside, index)
        result: Expr = kind(rename_index(inside, index, name), name, *response)
        return result

    def _count(self, value: Any) -> Any:
        if isinstance(value, AppliedName) and value.name == "n" and len(value.args) == 1:
            return value.args[0]
        raise Mismatch("a range that is not the length of a response")

    def _sumn(self, count: Any, body: Any) -> Expr:
        return self._bind(TokenSum, body, self._count(count), position=True)

    def _prodn(self, count: Any, body: Any) -> Expr:
        return self._bind(TokenProd, body, self._count(count), position=True)

    def _suml(self, kind: Any, vocab: Any, body: Any) -> Expr:
        self._vocabulary(vocab)
        return self._bind(VocabSum, body, position=False)

    def _vocabulary(self, vocab: Any) -> None:
        if vocab != AppliedName("vocab"):
            raise Mismatch("a sum over something other than the vocabulary")

    def _seq_prob(self, kind: Any, law: Any, tok: Any, count: Any) -> Expr:
        response = self._count(count)
        word = AppliedName("tok", (response,))
        if tok != word or not self._law(law, 2) or law.args[1] != response:
            raise Mismatch("the probability of a response is put together wrongly")
        result: Expr = Prob(Symbol(law.name.removeprefix("law_")), response)
        return result

    def _law(self, law: Any, count: int) -> bool:
        return (
            isinstance(law, AppliedName)
            and law.name.startswith("law_")
            and len(law.args) == count
            and law.args[0] == "x"
        )

    def _position(self, value: Any) -> Index:
        index = value + 1 if isinstance(value, Expr) else None
        if not isinstance(index, Index):
            raise Mismatch("a position that is no bound index")
        return index

    def _KL(self, kind: Any, vocab: Any, p: Any, q: Any) -> Expr:
        self._vocabulary(vocab)
        if not (self._law(p, 3) and self._law(q, 3)) or p.args != q.args:
            raise Mismatch("a divergence between laws at different places")
        names = (Symbol(law.name.removeprefix("law_")) for law in (p, q))
        result: Expr = Divergence(*names, p.args[1], self._position(p.args[2]))
        return result

    def _entropy(self, kind: Any, vocab: Any, p: Any) -> Expr:
        self._vocabulary(vocab)
        if not self._law(p, 3):
            raise Mismatch("an entropy of what is no law")
        policy = Symbol(p.name.removeprefix("law_"))
        result: Expr = Entropy(policy, p.args[1], self._position(p.args[2]))
        return result

    def _INR(self, value: Any) -> Expr:
        if isinstance(value, Expr):
            return value
        result: Expr = Length(self._count(value))
        return result

    def settled(self, found: AppliedName) -> Any:
        """What `found` means once it has all its arguments."""
        name, args = found.name, found.args
        if name == "E":
            return Expectation(self.number(self.call(args[0], (("x", CHOSEN), REJECTED))))
        if name == "Z" and args == ("x",):
            return NORMALISER
        if name.startswith("mass_") and len(args) == 2 and args[0] == "x":
            return Prob(Symbol(name.removeprefix("mass_")), args[1])
        if self._law(found, 4):
            policy, (_, response, at, entry) = Symbol(name.removeprefix("law_")), args
            position = self._position(at)
            if isinstance(entry, Index):
                return VocabProb(policy, response, position, entry)
            if entry == AppliedName("tok", (response, at)):
                return TokenProb(policy, response, position)
            raise Mismatch("the probability of a token that is not the response's")
        if name.startswith("f_"):
            return self.feature(found)
        beside = Further(name.removeprefix("r_"))
        if name.startswith("r_") and args == ("x",) and beside in self.spec.names.responses:
            return beside
        return found

    def feature(self, found: AppliedName) -> Any:
        word = found.name.removeprefix("f_")
        kind = self.spec.names.features.get(word)
        wanted = {"response": 2, "token": 3, "pair": 3}.get(str(kind), 0)
        if len(found.args) < wanted:
            return found
        if len(found.args) > wanted or found.args[0] != "x":
            raise Mismatch(f"the feature {word} is applied wrongly")
        if kind == "pair":
            if found.args[1:] != (CHOSEN, REJECTED):
                raise Mismatch(f"the feature {word} of another pair")
            return Feature(self.spec.names.datum(word))
        at = [self._position(found.args[2])] if kind == "token" else []
        return Feature(self.spec.names.datum(word), found.args[1], *at)

    # -- statements

    def variable(self, name: str, kind: Term) -> Any:
        """What a universally quantified name means."""
        if name in ("X", "Y", "V"):
            return "type"
        if name in ("x", "w", "l", "y"):
            return {"x": "x", "w": CHOSEN, "l": REJECTED, "y": RESPONSE}[name]
        if name.startswith("p_") and kind == ("var", "R"):
            found = self.spec.names.parameters.get(name.removeprefix("p_"))
            if found is not None:
                return found
        if name.startswith("v") and kind in (("var", "V"), ("var", "nat")) and name != "vocab":
            return Index("v", position=False)
        if kind == ("var", "nat"):
            return Index("t", position=True) - 1
        if kind == ("var", "bool"):
            return True
        if name in ("n", "tok", "vocab", "Z", "E") or name.startswith(("mass_", "law_", "f_", "r_")):
            return AppliedName(name)
        raise Mismatch(f"the theorem quantifies over {name}, which is not known here")

    def statement(self, term: Term) -> tuple[list[tuple[str, Expr]], tuple[Any, Any]]:
        """The hypotheses and the two sides of a theorem that ends in an equality."""
        env: dict[str, Any] = {}
        hypotheses: list[tuple[str, Expr]] = []
        while term[0] == "forall":
            for name, kind in term[1]:
                if name == "_" and _is_type(kind):
                    continue  # a datum that nothing after it speaks of
                if name == "_":
                    hypotheses.append(self.proposition(kind, env))
                else:
                    env[name] = self.variable(name, kind)
            term = term[2]
        if term[:2] != ("app", ("var", "eq")) or len(term) != 5:
            raise Mismatch("the theorem is no equality")
        return hypotheses, (self.value(term[3], env), self.value(term[4], env))

    def proposition(self, term: Term, env: Mapping[str, Any]) -> tuple[str, Expr]:
        inner = dict(env)
        while term[0] == "forall":
            inner |= {name: self.variable(name, kind) for name, kind in term[1]}
            term = term[2]
        if term[0] == "app" and term[1] == ("var", "not") and len(term) == 3:
            equality = term[2]
            if equality[:2] == ("app", ("var", "eq")):
                a, b = (self.number(self.value(t, inner)) for t in equality[3:])
                return "nonzero", a - b
        if term[0] == "app" and term[1] in (("var", "Rlt"), ("var", "Rle")):
            a, b = (self.number(self.value(t, inner)) for t in term[2:])
            return ("positive" if term[1][1] == "Rlt" else "nonnegative"), b - a
        if term[:2] == ("app", ("var", "eq")) and len(term) == 5:
            a, b = (self.number(self.value(t, inner)) for t in term[3:])
            return "equal", a - b
        raise Mismatch("a hypothesis of unknown form")


def _is_type(term: Term) -> bool:
    """Whether a binder's type is that of data rather than a proposition."""
    while term[0] == "forall":
        term = term[2]
    head = term[1] if term[0] == "app" else term
    return head in {("var", name) for name in ("R", "nat", "list", "X", "Y", "V")}
