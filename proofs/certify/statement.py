"""What a certificate states, as lines of Coq: the data it quantifies over, hypotheses, definitions.

Shared by recoveries (the data are variables of a section) and refutations (the data are given).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    POLICY,
    REJECTED,
    RESPONSE,
    ByLabel,
    Divergence,
    Entropy,
    Feature,
    Further,
    Index,
    Length,
    Log,
    Parameter,
    Prob,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.spec import Spec

from .printer import NotExportable, Printer, by_token, identifier

SIGNS = {"positive": "0 < {}", "nonnegative": "0 <= {}", "nonzero": "{} <> 0"}
FEATURES = {"response": "X -> Y -> R", "token": "X -> Y -> nat -> R", "pair": "X -> Y -> Y -> R"}
_ARGUMENTS = {"response": "x y", "token": "x y t", "pair": "x w l"}  # of a feature
_PROBABILITIES = (Prob, TokenProb, VocabProb)


@dataclass(frozen=True)
class Statement:
    """The data, hypotheses and definitions of one spec; `factor`, `constant` and `by_loss` are a
    recovery's: whether losses are compared rather than margins, and up to what."""

    spec: Spec
    by_loss: bool
    factor: Expr = S.One
    constant: Expr = S.Zero

    def __post_init__(self) -> None:
        spec = self.spec
        if spec.prior is None or not spec.has_target:
            raise NotExportable("a spec without a prior or without a target")
        for node in spec.prior.atoms(Feature):
            if len(node.args) == 1:
                raise NotExportable("a prior that depends on the pair")

    @cached_property
    def exprs(self) -> tuple[Expr, ...]:
        """Everything the certificate prints."""
        used = [*self.spec.expressions, *(c.expr for c in self.spec.conditions)]
        if self.spec.multiplier is not None:
            used.append(self.spec.multiplier)
        return (*used, self.spec.alpha, self.factor, self.constant, Prob(POLICY, RESPONSE))

    @cached_property
    def printer(self) -> Printer:
        positive = [c.expr for c in self.spec.conditions if c.kind == "positive"]
        labelled = [e for e in positive if not e.has(ByLabel)]
        return Printer(self.laws, labelled)

    @cached_property
    def laws(self) -> frozenset[str]:
        return by_token(self.exprs)

    @cached_property
    def policies(self) -> tuple[str, ...]:
        found = {str(node.args[0]) for e in self.exprs for node in e.atoms(*_PROBABILITIES)}
        return tuple(sorted(found | self.laws))

    def has(self, *kinds: type) -> bool:
        return any(e.has(*kinds) for e in self.exprs)

    @property
    def token_level(self) -> bool:
        return bool(self.laws)

    @property
    def lengths(self) -> bool:
        return self.token_level or self.has(Length, TokenSum, TokenProd)

    @property
    def beside(self) -> list[Expr]:
        """The responses beside the pair that the certificate speaks of."""
        return sorted({y for e in self.exprs for y in e.atoms(Further)}, key=str)

    # -- data

    def parameters(self) -> list[Parameter]:
        """Those that the certificate speaks of, by name."""
        found = {s for e in self.exprs for s in e.free_symbols if isinstance(s, Parameter)}
        return sorted(found, key=lambda p: str(p.name))

    def features(self) -> dict[str, str]:
        used = {str(node.args[0]) for e in self.exprs for node in e.atoms(Feature)}
        return {n: k for n, k in sorted(self.spec.names.features.items()) if n in used}

    def data(self) -> Iterator[tuple[str, str]]:
        """(name, type) of everything the theorem quantifies over, in order."""
        for parameter in self.parameters():
            yield identifier("p", parameter.name), "R"
        if self.lengths:
            yield "n", "Y -> nat"
        if self.token_level:
            yield "tok", "Y -> nat -> V"
            yield "vocab", "list V"
        for policy in self.policies:
            if policy in self.laws:
                yield identifier("law", policy), "X -> Y -> nat -> V -> R"
            else:
                yield identifier("mass", policy), "X -> Y -> R"
        for name, kind in self.features().items():
            yield identifier("f", name), FEATURES[kind]
        for response in self.beside:
            yield identifier("r", response), "X -> Y"
        yield "Z", "X -> R"

    def hypotheses(self) -> Iterator[tuple[str, str]]:
        """(name, proposition) of everything the theorem assumes, in order."""
        for parameter in self.parameters():
            word = identifier("p", parameter.name)
            for number, says in enumerate(self.inside(parameter.domain, word)):
                yield f"{word}_domain{number or ''}", says
        for name, kind in self.features().items():
            word = identifier("f", name)
            bound = _ARGUMENTS[kind]
            for number, says in enumerate(self.inside(self.spec.names.range(name), f"{word} {bound}")):
                yield f"{word}_domain{number or ''}", f"forall {bound}, {says}"
        if self.lengths:
            yield "n_positive", "forall y, 0 < INR (n y)"
        for policy in self.policies:
            if policy in self.laws:
                word = identifier("law", policy)
                yield f"{word}_positive", f"forall x y t v, 0 < {word} x y t v"
                if self.has(VocabSum):
                    yield (f"{word}_total", f"forall x y t, suml vocab (fun v => {word} x y t v) = 1")
                if policy in self.odds:
                    yield f"{word}_below", f"forall x y, {self.printer.mass(policy, 'y')} < 1"
                    yield f"{word}_token", f"forall x y t v, {word} x y t v < 1"
            else:
                word = identifier("mass", policy)
                yield f"{word}_positive", f"forall x y, 0 < {word} x y"
                if policy in self.odds:
                    yield f"{word}_below", f"forall x y, {word} x y < 1"
        yield "Z_positive", "forall x, 0 < Z x"
        for number, condition in enumerate(self.spec.conditions):
            if not of_the_pair(condition.expr):
                yield f"condition{number}", self.condition(condition.expr, condition.kind)

    def premises(self, printer: Printer | None = None) -> list[str]:
        """What the pair at hand must meet: side conditions on the lengths of its responses. Of all
        responses they would be asked in vain, as of y_w and y_l where these are one. `printer`
        knows what prompt and responses are called, where they are not x, w and l."""
        found, printer = [], printer or self.printer
        for condition in self.spec.conditions:
            if not of_the_pair(condition.expr):
                continue
            for role in (CHOSEN, REJECTED):
                term = printer.term(with_label(condition.expr, role))
                found.append(SIGNS[condition.kind].format(_bracketed(term)))
        return list(dict.fromkeys(found))

    def inside(self, domain: Interval, word: str) -> Iterator[str]:
        """The inequalities that `word` lies in a domain."""
        for end, closed, low in (
            (domain.lower, domain.lower_closed, True),
            (domain.upper, domain.upper_closed, False),
        ):
            if isinstance(end, Fraction):
                number = _bracketed(self.printer.term(Rational(end))) if end else "0"
                sides = (number, word) if low else (word, number)
                yield f"{sides[0]} {'<=' if closed else '<'} {sides[1]}"

    @cached_property
    def odds(self) -> frozenset[str]:
        """Policies of which some complement 1 - pi is taken a logarithm or a power."""
        assert self.spec.prior is not None
        found: set[str] = set()
        for expr in (*self.exprs, Log(self.spec.prior)):
            for node in expr.atoms(Log, Pow):
                for part in node.args[0].atoms(Add):
                    found.update(_subtracted(part))
        return frozenset(found)

    def condition(self, expr: Expr, kind: str) -> str:
        free = expr.free_symbols
        # A name that the body does not hold would have no type.
        bound = ["chosen"] * expr.has(ByLabel) + ["x"] * expr.has(*_OF_PROMPT)
        bound += [
            name
            for symbol, name in ((RESPONSE, "y"), (CHOSEN, "w"), (REJECTED, "l"))
            if symbol in free or (symbol != RESPONSE and _pair(expr))
        ]
        indices = sorted((s for s in free if isinstance(s, Index)), key=lambda i: str(i.name))
        printer = Printer(self.laws, self.printer.positive)
        printer.scope = {i: f"{'t' if i.is_positive else 'v'}{k}" for k, i in enumerate(indices)}
        bound += printer.scope.values()
        body = SIGNS[kind].format(_bracketed(printer.term(expr)))
        return f"forall {' '.join(bound)}, {body}" if bound else body

    # -- definitions

    def definitions(self) -> list[str]:
        """The policy, the prior over any normaliser, what the prior recovers, the published side
        (printed from the target as the spec writes it), and the loss of a margin."""
        spec, term = self.spec, self.printer.term
        assert spec.prior is not None
        target = spec.margin if spec.margin is not None else spec.loss
        assert target is not None
        alpha = self.printer.argument(spec.alpha)
        lines = [
            f"Definition policy (x : X) (y : Y) : R := {self.printer.mass('pi', 'y')}.",
            f"Definition prior (chosen : bool) (x : X) (y : Y) : R :=\n    ({term(spec.prior)}) / Z x.",
            "Definition recovered (x : X) (w l : Y) : R :=\n"
            f"    margin {alpha} (policy x w) (prior true x w) (policy x l) (prior false x l).",
            f"Definition published (x : X) (w l : Y) : R :=\n    {term(target)}.",
        ]
        return [*lines, f"Definition loss_of (x : X) (w l : Y) (m : R) : R :=\n    {self.loss()}."]

    def loss(self) -> str:
        spec, term = self.spec, self.printer.term
        loss = "- logsigmoid m" if spec.link is None else term(spec.link)
        if spec.constraint is not None:
            assert spec.multiplier is not None
            loss += f" + {term(spec.multiplier)} * ({term(spec.constraint)})"
        return loss

    def objective(self) -> tuple[str, str]:
        """The losses of one pair that the theorem equates: published, and through the prior."""
        published = "published x w l"
        if self.spec.margin is not None:
            published = "loss_of x w l (published x w l)"
        recovered = "loss_of x w l (recovered x w l)"
        if self.factor != 1:
            recovered = f"({self.printer.term(self.factor)}) * {recovered}"
        if self.constant != 0:
            recovered += f" + ({self.printer.term(self.constant)})"
        return published, recovered


_OF_PROMPT = (Prob, TokenProb, VocabProb, Divergence, Entropy, Feature, Further)


def of_the_pair(expr: Expr) -> bool:
    """Whether a side condition speaks of lengths, and so of the pair at hand rather than of every
    response; one on a token is met at every position."""
    return expr.has(Length) and not any(isinstance(s, Index) for s in expr.free_symbols)


def _subtracted(total: Add) -> Iterator[str]:
    """Policies whose probabilities, or powers of them, are subtracted in `total`."""
    for term in total.args:
        for factor in Mul.make_args(term) if term.could_extract_minus_sign() else ():
            base = factor.args[0] if isinstance(factor, Pow) else factor
            if isinstance(base, _PROBABILITIES):
                yield str(base.args[0])


def _pair(expr: Expr) -> bool:
    return any(len(node.args) == 1 for node in expr.atoms(Feature))


def _bracketed(text: str) -> str:
    return text if text.isidentifier() else f"({text})"
