"""Expression -> PyTorch text, at a level of indexing.

Levels, from few axes to many: "scalar" (Python floats), "pair" (B,), "row" (2B,), "token" (2B, T),
"vocab" (2B, T, V); responses beside the pair add B rows each. An atom is printed at its own level
into a local variable and lifted by indexing where a finer level uses it.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational, S, Symbol

from midpo.codegen.names import marked, policy_argument
from midpo.codegen.plan.cancellation import cancelling
from midpo.codegen.plan.exponentials import signed
from midpo.codegen.plan.log_sums import is_log_sum, tilt
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    REJECTED,
    RESPONSE,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    LogSigmoid,
    Max,
    Min,
    Node,
    Parameter,
    Prob,
    Sigmoid,
    Sorted,
    StopGradient,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
    roles,
)
from midpo.symbolic.language.text import ordered_terms, split_fraction, text
from midpo.symbolic.language.words import BY_NODE

from .breaking import wrap
from .keeping import (
    bernoulli_divergence,
    bounded_exponential,
    logarithm,
    logsigmoid_difference,
    parameter_power,
    piece,
    scaled,
    term_of,
    tilted_exponents,
)
from .levels import ATOM, LONG, POWER, PRODUCT, SUM, UNARY

OTHER = Symbol("other response of the pair")
POSITION = Index("t", position=True)
LEVELS = ("scalar", "pair", "row", "token", "vocab")
LIFT = {
    ("pair", "row"): "{0}.repeat({1})",
    ("pair", "token"): "{0}.repeat({1})[:, None]",
    ("pair", "vocab"): "{0}.repeat({1})[:, None, None]",
    ("row", "token"): "{0}[:, None]",
    ("row", "vocab"): "{0}[:, None, None]",
    ("token", "vocab"): "{0}[..., None]",
}


class Namer:
    """Local names that collide with nothing the user named."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken) | set(keyword.kwlist)

    def __call__(self, wanted: str) -> str:
        names = (f"{wanted}{n}" if n else wanted for n in (0, *range(2, 10_000)))
        name = next(name for name in names if name not in self.taken)
        self.taken.add(name)
        return name


class Printer:
    """Prints one kernel's body: `lines` in order, each local at most once. `roles` are the
    responses that the rows of a batch are."""

    guards = True  # whether exponentials inside functions keep infinities out of the gradient

    def __init__(
        self, taken: Iterable[str], roles: tuple[Symbol, ...] = (CHOSEN, REJECTED)
    ) -> None:
        self.name = Namer(taken)
        self.roles = roles
        self.lines: list[str] = []
        self.locals: dict[Any, str] = {}
        self.expects = False  # whether it has printed a sum that may be 0 log 0
        self.near_one = False  # probabilities near one need all their digits
        self.clipped = False  # what is printed stands between two bounds
        self.guarded = False  # what is printed stands in a function, finite where it is not
        self.policies: dict[Symbol, str] = {}
        self.mask = self.name("mask")
        self.dtype = self.name("dtype")

    # -- locals

    def assign(self, name: str, value: str, how: str = "=") -> None:
        self.lines += wrap(f"{name} {how} ", value)

    def local(self, key: Any, wanted: str, value: Callable[[], str]) -> str:
        """The local variable that holds `key`, computed on first use."""
        if key not in self.locals:
            written = value()
            self.locals[key] = self.name(wanted)
            self.assign(self.locals[key], written)
        return self.locals[key]

    def bind(self, key: Any, wanted: str, value: str) -> str:
        """As `local`, for a value that is written already."""
        return self.local(key, wanted, lambda: value)

    def policy(self, policy: Symbol) -> str:
        """Log-probabilities of a policy over the vocabulary, (2B, T, V)."""
        argument = policy_argument(policy)
        logits = argument if str(policy) == "pi" else f"{argument}.detach()"
        return self.local(
            ("policy", policy),
            argument.replace("_logits", "_logps"),
            lambda: f"torch.log_softmax({logits}, dim=-1, dtype={self.dtype})",
        )

    def at_labels(self, policy: Symbol) -> str:
        """Log-probabilities of the labels, (2B, T)."""
        if self.near_one:
            argument = policy_argument(policy)
            logits = argument if str(policy) == "pi" else f"{argument}.detach()"
            return self.local(
                ("token", policy),
                argument.replace("_logits", "_token_logps"),
                lambda: f"_label_odds({logits}.to({self.dtype}), labels, {self.mask})",
            )
        return self.local(
            ("token", policy),
            policy_argument(policy).replace("_logits", "_token_logps"),
            lambda: f"_at_labels({self.policy(policy)}, labels, {self.mask})",
        )

    # -- expressions

    def __call__(self, expr: Any, level: str) -> str:
        return self.emit(expr, level)[0]

    def wrapped(self, expr: Any, level: str, least: int) -> str:
        """`expr` in parentheses where it binds less tightly than its place needs."""
        written, strength = self.emit(expr, level)
        return written if strength >= least else f"({written})"

    def emit(self, expr: Any, level: str) -> tuple[str, int]:
        """The text of `expr` at `level`, and how tightly it binds."""
        if isinstance(expr, Add):
            written = self.sum(expr, level)
            return written, ATOM if written.isidentifier() else SUM
        if isinstance(expr, Rational):
            return number(expr)
        if isinstance(expr, Parameter):
            return marked(expr.name), ATOM
        if isinstance(expr, Mul) or (isinstance(expr, Pow) and _negative(expr.exp)):
            return self.product(expr, level)
        if isinstance(expr, Pow):
            return self.power(expr, level)
        if isinstance(expr, (TokenSum, TokenProd)):
            expr = _of_one_response(expr)
        found = self.atom(expr)
        if found is not None:
            native, name = found
            return self.lift(expr, name, native, level), ATOM
        return self.function(expr, level)

    def sum(self, expr: Add, level: str) -> str:
        if agreeing := _agreeing(expr):
            scale, a, b = agreeing
            apart = bernoulli_divergence(self, a, b, level)
            return apart if scale == 1 else term_of(self, scale, apart, level)
        if found := _logsigmoid_difference(expr):
            scale, a, b = found
            if not (self.is_scalar(a) or self.is_scalar(b)):
                apart = logsigmoid_difference(self, a, b, level)
                return apart if scale == 1 else term_of(self, scale, apart, level)
        pieces, rest = ([], expr) if self.is_scalar(expr) else cancelling(expr)
        parts: list[str] = []
        for one in pieces:
            written = partial(piece, self, one, level)
            parts.append(self.signed(one.scale, written, bool(parts)))
        for term in ordered_terms(rest) if rest != 0 else ():
            parts.append(self.signed(term, lambda term: self.term(term, level), bool(parts)))
        return "".join(parts)

    @staticmethod
    def signed(term: Expr, written: Callable[[Expr], str], more: bool) -> str:
        """A term after its sign."""
        negative = term.as_coeff_Mul()[0] < 0
        sign = (" - " if negative else " + ") if more else ("-" if negative else "")
        return sign + written(-term if negative else term)

    def term(self, term: Expr, level: str) -> str:
        written = self.wrapped(term, level, PRODUCT)
        if len(written) <= LONG:
            return written
        return self.bind(("term", level, term), "term", written)

    def product(self, expr: Expr, level: str) -> tuple[str, int]:
        if expr.as_coeff_Mul()[0] < 0:
            return f"-{self.wrapped(-expr, level, PRODUCT)}", SUM
        above, below = split_fraction(expr)
        if not self.guarded and any(map(_may_be_zero, above)):
            with self.guarding(expr):  # 0 times what is infinite is 0
                if grown := scaled(self, above, below, level):
                    return grown, ATOM
        if self.guarded and (grown := scaled(self, above, below, level)):
            return grown, ATOM
        top = " * ".join(self.wrapped(f, level, UNARY) for f in above) or "1"
        if not below:
            return top, PRODUCT if len(above) > 1 else self.emit(above[0], level)[1]
        bottom = " * ".join(self.wrapped(f, level, UNARY) for f in below)
        return f"{top} / {bottom if len(below) == 1 else f'({bottom})'}", PRODUCT

    def power(self, expr: Pow, level: str) -> tuple[str, int]:
        base, exponent = expr.args
        if exponent == Rational(1, 2) and not self.is_scalar(base):
            return f"torch.sqrt({self(base, level)})", ATOM
        left, right = self.wrapped(base, level, ATOM), self.wrapped(exponent, level, ATOM)
        return f"{left} ** {right}", POWER

    def function(self, expr: Any, level: str) -> tuple[str, int]:
        if isinstance(expr, Sorted) and level == "pair":
            return f"torch.sort({self.argument(expr.args[0], level)}).values", ATOM
        if not isinstance(expr, Node) or type(expr) not in BY_NODE:
            raise NotYet(f"no kernel for {text(expr)}")
        if isinstance(expr, StopGradient) and self.is_scalar(expr):
            return self.emit(expr.args[0], level)
        if isinstance(expr, Exp) and (power := parameter_power(expr)):
            base, exponent = power
            return f"{marked(base.name)} ** {self.wrapped(exponent, level, ATOM)}", POWER
        if isinstance(expr, (Max, Min)):
            return self.extremum(expr, level), ATOM
        if isinstance(expr, Log) and not self.is_scalar(expr):
            return logarithm(self, expr.args[0], level)
        if isinstance(expr, Exp) and self.clipped and not self.is_scalar(expr):
            return bounded_exponential(self, expr.args[0], level), PRODUCT
        if isinstance(expr, Exp) and self.guarded and not self.is_scalar(expr):
            return f"_bounded_exp({self.tensor(expr.args[0], level)})", ATOM
        with self.guarding(expr):
            written = [self.tensor(arg, level) for arg in expr.args]
        if isinstance(expr, StopGradient) and written[0].isidentifier():
            return f"{written[0]}.detach()", ATOM
        return BY_NODE[type(expr)].pairwise("torch", written), ATOM

    def extremum(self, expr: Node, level: str) -> str:
        """A maximum or minimum: Python's among numbers, a clamp between numbers and tensors."""
        word, bound = ("max", "min") if isinstance(expr, Max) else ("min", "max")
        before, self.clipped = self.clipped, self.clipped or self.is_clip(expr)
        try:
            return self.extremum_of(expr, level, word, bound)
        finally:
            self.clipped = before

    def is_clip(self, expr: Node) -> bool:
        """Whether `expr` is a maximum of a minimum, or the reverse, with numbers on both sides."""
        inner = [arg for arg in expr.args if not self.is_scalar(arg)]
        other = Min if isinstance(expr, Max) else Max
        return (
            len(inner) == 1
            and len(expr.args) > 1
            and isinstance(inner[0], other)
            and any(self.is_scalar(arg) for arg in inner[0].args)
        )

    @contextmanager
    def guarding(self, expr: Any) -> Iterator[None]:
        """What is printed inside is an argument of `expr`, whose value may be finite, and its
        gradient 0, where an exponential in it is infinite."""
        before = self.guarded
        self.guarded = self.guards and (before or not isinstance(expr, (Exp, StopGradient)))
        try:
            yield
        finally:
            self.guarded = before

    def extremum_of(self, expr: Node, level: str, word: str, bound: str) -> str:
        numbers = [self(arg, level) for arg in expr.args if self.is_scalar(arg)]
        with self.guarding(expr):
            tensors = [self.argument(arg, level) for arg in expr.args if not self.is_scalar(arg)]
        number = f"{word}({', '.join(numbers)})" if len(numbers) > 1 else "".join(numbers)
        if not tensors:
            return number
        result = BY_NODE[type(expr)].pairwise("torch", tensors)
        return f"torch.clamp({result}, {bound}={number})" if number else result

    def argument(self, expr: Any, level: str) -> str:
        """`expr` as a function's argument; a long one gets a line of its own."""
        written = self(expr, level)
        if len(written) <= LONG:
            return written
        return self.bind(("argument", level, expr), "inner", written)

    def tensor(self, expr: Any, level: str) -> str:
        """`expr` as a tensor, also where it is a Python number: torch's functions need one."""
        if not self.is_scalar(expr):
            return self.argument(expr, level)
        if _is_torch_number(expr) and not expr.has(Max, Min):
            return self(expr, level)
        if _is_torch_number(expr):  # of which Python may choose a number or a tensor
            return (f"torch.as_tensor({self(expr, level)}, dtype=torch.float64, "
                    "device=labels.device)")
        # Of float64 whatever the logits are: a number may be too small for them, its logarithm not.
        return f"torch.tensor({self(expr, level)}, dtype=torch.float64, device=labels.device)"

    def is_scalar(self, expr: Any) -> bool:
        """Whether `expr` is a Python number in the kernel."""
        return not expr.has(Node, Index, MARGIN) or (
            not expr.atoms(Index) and expr.free_symbols <= expr.atoms(Parameter)
        )

    def lift(self, expr: Any, name: str, native: str, level: str) -> str:
        if native == level or native == "scalar":
            return name
        if native == "row" and level == "pair":
            (role,) = roles(expr)
            return self.share(role, name)
        if (native, level) not in LIFT:
            raise NotYet(
                f"no kernel for {text(expr)}: it mixes positions or entries of two indices"
            )
        return LIFT[native, level].format(name, len(self.roles))

    def share(self, role: Symbol, name: str) -> str:
        """What of a row quantity belongs to the chosen, the rejected or another response."""
        if ("share", role, name) not in self.locals:
            ends = ["_w", "_l", *(f"_{marked(str(y)[2:])}" for y in self.roles[2:])]
            shares = [self.name(f"{name}{end}") for end in ends]
            for each, local in zip(self.roles, shares, strict=True):
                self.locals["share", each, name] = local
            self.assign(", ".join(shares), f"{name}.chunk({len(shares)})")
        return self.locals["share", role, name]

    # -- atoms: (native level, name)

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if expr == MARGIN:
            return "pair", self.locals[MARGIN]
        if isinstance(expr, Index):
            if not expr.is_positive:
                raise NotYet("a vocabulary entry is not a number")
            value = f"{self.mask}.cumsum(-1).to({self.dtype})"
            return "token", self.local("positions", "positions", lambda: value)
        if isinstance(expr, Length):
            value = f"{self.mask}.sum(-1).to({self.dtype})"
            lengths = self.local("lengths", "lengths", lambda: value)
            if expr.args[0] == OTHER:  # the pair's other response is half the rows away
                swapped = f"{lengths}.roll({lengths}.shape[0] // 2)"
                if len(self.roles) > 2:
                    order = (REJECTED, CHOSEN, *self.roles[2:])
                    swapped = f"torch.cat(({', '.join(self.share(y, lengths) for y in order)}))"
                return "row", self.local("other lengths", "other_lengths", lambda: swapped)
            return "row", lengths
        if isinstance(expr, Feature):
            return self.feature(expr)
        if isinstance(expr, Log) and isinstance(expr.args[0], TokenProb):
            return "token", self.at_labels(expr.args[0].args[0])
        if is_log_sum(expr):
            return "token", self.vocab_log_sum(expr)
        if isinstance(expr, Log) and isinstance(expr.args[0], VocabProb):
            return "vocab", self.policy(expr.args[0].args[0])
        if isinstance(expr, Prob):
            whole = TokenSum(Log(TokenProb(*expr.args, POSITION)), POSITION, expr.args[1])
            summed = self(whole, "row")
            return "row", self.local(("prob", expr.xreplace({expr.args[1]: RESPONSE})), "prob",
                                     lambda: f"{summed}.exp()")
        if isinstance(expr, Exp) and _is_token_logp(expr.args[0]):
            return self.atom(expr.args[0].args[0])
        if isinstance(expr, TokenProb):
            logps = self.at_labels(expr.args[0])
            wanted = policy_argument(expr.args[0]).replace("_logits", "_token_probs")
            return "token", self.local(("prob", expr.args[0]), wanted, lambda: f"{logps}.exp()")
        if isinstance(expr, VocabProb):
            logps = self.policy(expr.args[0])
            wanted = policy_argument(expr.args[0]).replace("_logits", "_probs")
            return "vocab", self.local(("probs", expr.args[0]), wanted, lambda: f"{logps}.exp()")
        if isinstance(expr, (Divergence, Entropy)):
            return "token", self.divergence(expr)
        if isinstance(expr, (TokenSum, TokenProd)):
            return "row", self.token_binder(expr)
        if isinstance(expr, VocabSum):
            return "token", self.vocab_sum(expr)
        return None

    def feature(self, expr: Feature) -> tuple[str, str]:
        name, *at = (marked(str(arg)) for arg in expr.args)
        native, value = {
            0: ("pair", f"{name}.to({self.dtype})"),
            1: ("row", f"{name}.to({self.dtype})"),
            2: ("token", f"torch.where({self.mask}, {name}, 1).to({self.dtype})"),
        }[len(at)]
        if ("feature", name) not in self.locals:  # the argument itself, made ready
            self.locals["feature", name] = name
            self.assign(name, value)
        return native, name

    def divergence(self, expr: Expr) -> str:
        policies = list(expr.args[:-2])
        kind = "kl" if isinstance(expr, Divergence) else "entropy"
        short = [policy_argument(p).removesuffix("_logits") for p in policies]
        arguments = ", ".join([*map(self.policy, policies), self.mask])
        key = (kind, *policies)
        return self.local(key, "_".join([kind, *short]), lambda: f"_{kind}({arguments})")

    def token_binder(self, expr: Expr) -> str:
        body, index, response = expr.args
        if (roles(body) | (body.free_symbols & {RESPONSE})) - {response}:
            raise NotYet(f"no kernel for {text(expr)}: it mixes tokens of two responses")
        self.require_one_index(expr, index)
        generic = expr.xreplace({response: RESPONSE})
        word = "sum" if isinstance(expr, TokenSum) else "product"
        def value() -> str:
            # All rows are computed, those of responses whose sum nothing asks for too.
            with self.guarding(expr):
                return f"_token_{word}({self.mask}, {self(body, 'token')})"

        return self.local(generic, f"token_{word}", value)

    def require_one_index(self, expr: Expr, index: Index) -> None:
        """Refuse a binder whose body has another free index of the same kind."""
        others = {
            i
            for i in expr.free_symbols
            if isinstance(i, Index) and bool(i.is_positive) == bool(index.is_positive)
        }
        if others:
            raise NotYet(f"no kernel for {text(expr)}: nested indices that depend on each other")

    def vocab_log_sum(self, expr: Log) -> str:
        (total,) = expr.args
        tilted = tilt(total)
        assert tilted is not None
        self.require_one_index(total, total.args[1])
        return self.local(
            ("vocab", _at_a_place(expr)), "vocab_log_sum",
            lambda: f"_counted({self.mask}, {tilted_exponents(self, tilted)}.logsumexp(-1))")

    def vocab_sum(self, expr: VocabSum) -> str:
        body, index = expr.args
        self.require_one_index(expr, index)

        def value() -> str:
            terms = []
            for term in Add.make_args(body):
                weight = Mul(*(f for f in Mul.make_args(term) if _is_probability(f)))
                rest = term / weight
                if weight == 1:
                    terms.append(f"{self.wrapped(term, 'vocab', ATOM)}.sum(-1)")
                    continue
                terms.append(
                    f"_mean({self(weight, 'vocab')}, {self.tensor(rest, 'vocab')}, "
                    f"{self.mask})"
                )
            return " + ".join(terms)

        return self.local(("vocab", _at_a_place(expr)), "vocab_sum", value)


def _at_a_place(expr: Expr) -> Expr:
    """`expr` for any response and position."""
    generic = expr.xreplace(dict.fromkeys(roles(expr), RESPONSE))
    return generic.xreplace(
        {i: Symbol("position") for i in generic.free_symbols if isinstance(i, Index)}
    )


def _is_torch_number(expr: Expr) -> bool:
    """Whether a scalar is printed as a tensor already: a function of torch is in it."""
    if isinstance(expr, Exp) and parameter_power(expr):
        return False
    plain = not isinstance(expr, Node) or isinstance(expr, (Max, Min, StopGradient))
    return not plain or any(map(_is_torch_number, expr.args))


def _is_token_logp(expr: Expr) -> bool:
    return isinstance(expr, Log) and isinstance(expr.args[0], TokenProb)


def _may_be_zero(factor: Any) -> bool:
    """Whether a factor is 0 at more than a null set of pairs."""
    base = factor.as_base_exp()[0]
    while (word := BY_NODE.get(type(base))) is not None and word.keeps_sign:
        (base,) = base.args
    return word is not None and word.pieces is not None and S.Zero in word.pieces(*base.args)


def _is_probability(factor: Any) -> bool:
    base, exponent = factor.as_base_exp()
    return isinstance(base, VocabProb) and bool(exponent.is_Rational and exponent > 0)


def _logsigmoid_difference(expr: Add) -> tuple[Expr, Expr, Expr] | None:
    """The (k, a, b) of k*(logsigmoid(a) - logsigmoid(b)), else None."""
    found = [(t / f, f.args[0]) for t in expr.args
             for f in Mul.make_args(t) if isinstance(f, LogSigmoid)]
    if len(found) != 2 or len(expr.args) != 2 or found[0][0] != -found[1][0]:
        return None
    (scale, a), (_, b) = sorted(found, key=lambda term: bool(term[0].as_coeff_Mul()[0] < 0))
    return scale, a, b


def _agreeing(expr: Add) -> tuple[Expr, Expr, Expr] | None:
    """The (k, a, b) of k times the divergence of sigmoid(b) from sigmoid(a), else None."""
    found = []
    for term in expr.args:
        factors = Mul.make_args(term)
        sums = [f for f in factors if isinstance(f, Add) and f.has(LogSigmoid)]
        parts = _logsigmoid_difference(sums[0]) if len(sums) == 1 else None
        if parts is None:
            return None
        scale, a, b = parts
        scale *= term / sums[0]
        if Sigmoid(b) in Mul.make_args(scale):
            scale, a, b = -scale, b, a
        found.append((scale / Sigmoid(a), a, b))
    if len(found) != 2:
        return None
    (scale, a, b), (other, c, d) = found
    same = scale == other and not scale.has(Sigmoid) and expand(a + c) == 0 == expand(b + d)
    return (scale, a, b) if same else None


def near_one(*parts: Expr | None) -> bool:
    """Whether a logarithm of 1 - p is taken, for which a p near one needs all its digits."""
    logs = (log for part in parts if part is not None for log in part.atoms(Log))
    found = (signed(log.args[0]) for log in logs if not isinstance(log.args[0], TokenProb))
    return any(one is not None and any(e.has(TokenProb) for e in one.minus) for one in found)


def _of_one_response(expr: Expr) -> Expr:
    """A sum or product over a response's tokens, the other's length named so that both roles are
    printed alike."""
    response = expr.args[2]
    others = {CHOSEN: REJECTED, REJECTED: CHOSEN}
    if response not in others:
        return expr
    return expr.xreplace({Length(others[response]): Length(OTHER)})


def _negative(exponent: Any) -> bool:
    return bool(exponent.is_Number and exponent < 0)


def number(value: Rational) -> tuple[str, int]:
    """A rational as a Python number, exact wherever a float can be."""
    strength = ATOM if value >= 0 else SUM
    if value.q == 1 and abs(int(value.p)) < 2**53:
        return str(int(value.p)), strength
    try:
        nearest = float(value)
        if Rational(nearest) == value or max(abs(int(value.p)), int(value.q)) >= 2**53:
            return repr(nearest), strength
    except OverflowError:
        raise NotYet("a number is beyond the range of floats") from None
    return f"{int(value.p)} / {int(value.q)}", PRODUCT if value >= 0 else SUM
