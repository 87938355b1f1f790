"""Expression -> PyTorch text, at a level of indexing.

Levels, from few axes to many: "scalar" (Python floats), "pair" (B,), "row" (2B,), "token" (2B, T),
"vocab" (2B, T, V); responses beside the pair add B rows each. An atom is printed at its own level
into a local variable and lifted by indexing where a finer level uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational, S, Symbol

from midpo.codegen.names import marked, policy_argument
from midpo.codegen.plan.cancellation import cancelling, means
from midpo.codegen.plan.excess import exponent_of, parts_of
from midpo.codegen.plan.log_sums import in_logarithms, is_log_sum, tilt
from midpo.codegen.statements.nodes import (
    ATOM,
    PRODUCT,
    UNARY,
    Assign,
    Code,
    Constant,
    Name,
    Pair,
    Row,
    Statement,
    call,
    fraction,
    negative,
    total,
    wrapped,
)
from midpo.codegen.statements.quote import quote
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
    Max,
    Min,
    Node,
    Parameter,
    Prob,
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

from .extrema import extremum
from .keeping import (
    bounded_exponential,
    log_of_mean,
    logarithm,
    of_near_arguments,
    piece,
    scaled,
    tilted_exponents,
)
from .shapes import (
    OTHER,
    at_a_place,
    is_negative_number,
    is_probability,
    is_token_logp,
    is_torch_number,
    may_be_zero,
    of_one_response,
    parameter_power,
)
from .writing import Namer, added, is_short, logits_of, number, said

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


class Printer:
    """Prints one kernel's body: `lines` in order, each local at most once. `roles` are the
    responses that the rows of a batch are."""

    guards = True  # whether exponentials inside functions keep infinities out of the gradient

    def __init__(self, taken: Iterable[str], roles: tuple[Symbol, ...] = (CHOSEN, REJECTED)) -> None:
        self.name = Namer(taken)
        self.roles = roles
        self.lines: list[Statement] = []
        self.locals: dict[Any, str] = {}
        self.expects = False  # whether it has printed a sum that may be 0 log 0
        self.near_one = False  # probabilities near one need all their digits
        self.clipped = False  # what is printed stands between two bounds
        self.guarded = False  # what is printed stands in a function, finite where it is not
        self.policies: dict[Symbol, str] = {}
        self.mask = self.name("mask")
        self.dtype = self.name("dtype")

    def observed(self) -> tuple[Code, Code]:
        """What is observed of the trained policy's logits, and the layout of its positions."""
        return quote("_observed(policy_logits, torch.where({}, labels, -1))", self.mask), Constant(None)

    # -- locals

    def assign(self, name: str, value: Code, sign: str = "=") -> None:
        self.lines.append(Assign(Name(name), value, sign))

    def unpack(self, names: Iterable[str], value: Code) -> None:
        self.lines.append(Assign(Row("", tuple(map(Name, names))), value))

    def local(self, key: Any, wanted: str, value: Callable[[], Code]) -> str:
        """The local variable that holds `key`, computed on first use."""
        if key not in self.locals:
            written = value()
            self.locals[key] = self.name(wanted)
            self.assign(self.locals[key], written)
        return self.locals[key]

    def bind(self, key: Any, wanted: str, value: Code) -> Name:
        """As `local`, for a value that is written already."""
        return Name(self.local(key, wanted, lambda: value))

    def policy(self, policy: Symbol) -> str:
        """Log-probabilities of a policy over the vocabulary, (2B, T, V)."""
        return self.local(
            ("policy", policy),
            policy_argument(policy).replace("_logits", "_logps"),
            lambda: quote("torch.log_softmax({}, dim=-1, dtype={})", logits_of(policy), self.dtype),
        )

    def at_labels(self, policy: Symbol) -> str:
        """Log-probabilities of the labels, (2B, T)."""

        def value() -> Code:
            if odds := self.odds(policy):
                return quote("F.logsigmoid({})", odds)
            return quote("_at_labels({}, labels, {})", self.policy(policy), self.mask)

        wanted = policy_argument(policy).replace("_logits", "_token_logps")
        return self.local(("token", policy), wanted, value)

    def odds(self, policy: Symbol) -> str | None:
        """Log-odds of the labels, (2B, T), where probabilities near one need all their digits and
        what is given has them."""
        if not self.near_one:
            return None
        logits = quote("{}.to({})", logits_of(policy), self.dtype)
        wanted = policy_argument(policy).replace("_logits", "_token_odds")
        return self.local(
            ("odds", policy), wanted, lambda: quote("_label_odds({}, labels, {})", logits, self.mask)
        )

    # -- expressions

    def __call__(self, expr: Any, level: str) -> Code:
        """What computes `expr` at `level`."""
        if isinstance(expr, Add):
            return self.sum(expr, level)
        if isinstance(expr, Rational):
            return number(expr)
        if isinstance(expr, Parameter):
            return Name(marked(expr.name))
        if isinstance(expr, Mul) or (isinstance(expr, Pow) and is_negative_number(expr.exp)):
            return self.product(expr, level)
        if isinstance(expr, Pow):
            return self.power(expr, level)
        if isinstance(expr, (TokenSum, TokenProd)):
            expr = of_one_response(expr)
        found = self.atom(expr)
        if found is not None:
            native, name = found
            return self.lift(expr, name, native, level)
        return self.function(expr, level)

    def wrapped(self, expr: Any, level: str, least: int) -> Code:
        """`expr` in brackets where it holds less tightly than its place needs."""
        return wrapped(self(expr, level), least)

    def sum(self, expr: Add, level: str) -> Code:
        if (apart := of_near_arguments(self, expr, level)) is not None:
            return apart
        plain = self.is_scalar(expr) and not is_torch_number(expr)
        pieces, rest = ([], expr) if plain else cancelling(expr)
        whole: Code | None = None
        for one in pieces:
            whole = added(whole, one.scale, partial(piece, self, one, level))
        averages, rest = means(rest)
        for scale, average in averages:
            whole = added(whole, scale, partial(log_of_mean, self, average, level))
        for term in ordered_terms(rest) if rest != 0 else ():
            whole = added(whole, term, lambda term: self.term(term, level))
        assert whole is not None
        return whole

    def term(self, term: Expr, level: str) -> Code:
        written = self.wrapped(term, level, PRODUCT)
        return written if is_short(written) else self.bind(("term", level, term), "term", written)

    def product(self, expr: Expr, level: str) -> Code:
        if expr.as_coeff_Mul()[0] < 0:
            return negative(self.wrapped(-expr, level, PRODUCT))
        above, below = split_fraction(expr)
        if not self.guarded and any(map(may_be_zero, above)):
            with self.guarding(expr):  # 0 times what is infinite is 0
                if grown := scaled(self, above, below, level):
                    return grown
        if self.guarded and (grown := scaled(self, above, below, level)):
            return grown
        if len(above) == 1 and not below:
            return self(above[0], level)
        return fraction(
            [self.wrapped(f, level, UNARY) for f in above], [self.wrapped(f, level, UNARY) for f in below]
        )

    def power(self, expr: Pow, level: str) -> Code:
        base, exponent = expr.args
        if exponent == Rational(1, 2) and not self.is_scalar(base):
            return call("torch.sqrt", self(base, level))
        return Pair(self.wrapped(base, level, ATOM), "**", self.wrapped(exponent, level, ATOM))

    def function(self, expr: Any, level: str) -> Code:
        if isinstance(expr, Sorted) and level == "pair":
            return quote("torch.sort({}).values", self.argument(expr.args[0], level))
        if not isinstance(expr, Node) or type(expr) not in BY_NODE:
            raise NotYet(f"no kernel for {text(expr)}")
        if isinstance(expr, StopGradient) and self.is_scalar(expr):
            return self(expr.args[0], level)
        if isinstance(expr, Exp) and (power := parameter_power(expr)):
            base, exponent = power
            return Pair(Name(marked(base.name)), "**", self.wrapped(exponent, level, ATOM))
        if isinstance(expr, (Max, Min)):
            return extremum(self, expr, level)
        if isinstance(expr, Log) and not self.is_scalar(expr):
            return logarithm(self, expr.args[0], level)
        if isinstance(expr, Log) and S.One in Add.make_args(expr.args[0]) and not expr.args[0].has(Node):
            return call("torch.log1p", self.tensor(expr.args[0] - 1, level))
        if isinstance(expr, Exp) and self.clipped and not self.is_scalar(expr):
            return bounded_exponential(self, expr.args[0], level)
        if isinstance(expr, Exp) and self.guarded and not self.is_scalar(expr):
            return call("_bounded_exp", self.tensor(expr.args[0], level))
        with self.guarding(expr):
            written = [self.tensor(arg, level) for arg in expr.args]
        return said(BY_NODE[type(expr)], "torch", written)

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

    def argument(self, expr: Any, level: str) -> Code:
        """`expr` as a function's argument; a long one gets a line of its own."""
        written = self(expr, level)
        return written if is_short(written) else self.bind(("argument", level, expr), "inner", written)

    def tensor(self, expr: Any, level: str) -> Code:
        """`expr` as a tensor, also where it is a Python number: torch's functions need one."""
        if not self.is_scalar(expr):
            return self.argument(expr, level)
        written = self(expr, level)
        if is_torch_number(expr) and not expr.has(Max, Min):
            return written
        # Of a maximum Python may choose a number or a tensor; float64 whatever the logits are: a
        # number may be too small for them, its logarithm not.
        maker = "as_tensor" if is_torch_number(expr) else "tensor"
        return quote(f"torch.{maker}({{}}, dtype=torch.float64, device=labels.device)", written)

    def is_scalar(self, expr: Any) -> bool:
        """Whether `expr` is a Python number in the kernel."""
        return not expr.has(Node, Index, MARGIN) or (
            not expr.atoms(Index) and expr.free_symbols <= expr.atoms(Parameter)
        )

    def lift(self, expr: Any, name: str, native: str, level: str) -> Code:
        if native == level or native == "scalar":
            return Name(name)
        if native == "row" and level == "pair":
            (role,) = roles(expr)
            return Name(self.share(role, name))
        if (native, level) not in LIFT:
            raise NotYet(f"no kernel for {text(expr)}: it mixes positions or entries of two indices")
        return quote(LIFT[native, level], name, len(self.roles))

    def share(self, role: Symbol, name: str) -> str:
        """What of a row quantity belongs to the chosen, the rejected or another response."""
        if ("share", role, name) not in self.locals:
            ends = ["_w", "_l", *(f"_{marked(str(y)[2:])}" for y in self.roles[2:])]
            shares = [self.name(f"{name}{end}") for end in ends]
            for each, local in zip(self.roles, shares, strict=True):
                self.locals["share", each, name] = local
            self.unpack(shares, quote("{}.chunk({})", name, len(shares)))
        return self.locals["share", role, name]

    # -- atoms: (native level, name)

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if expr == MARGIN:
            return "pair", self.locals[MARGIN]
        if isinstance(expr, Index):
            if not expr.is_positive:
                raise NotYet("a vocabulary entry is not a number")
            value = quote("{}.cumsum(-1).to({})", self.mask, self.dtype)
            return "token", self.local("positions", "positions", lambda: value)
        if isinstance(expr, Length):
            value = quote("{}.sum(-1).to({})", self.mask, self.dtype)
            lengths = self.local("lengths", "lengths", lambda: value)
            if expr.args[0] == OTHER:  # the pair's other response is half the rows away
                swapped = quote("{0}.roll({0}.shape[0] // 2)", lengths)
                if len(self.roles) > 2:
                    order = (REJECTED, CHOSEN, *self.roles[2:])
                    shares = Row("()", tuple(Name(self.share(y, lengths)) for y in order))
                    swapped = call("torch.cat", shares)
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
            return "row", self.local(
                ("prob", expr.xreplace({expr.args[1]: RESPONSE})), "prob", lambda: quote("{}.exp()", summed)
            )
        if isinstance(expr, Exp) and is_token_logp(expr.args[0]):
            return self.atom(expr.args[0].args[0])
        if isinstance(expr, TokenProb):
            logps = self.at_labels(expr.args[0])
            wanted = policy_argument(expr.args[0]).replace("_logits", "_token_probs")
            return "token", self.local(("prob", expr.args[0]), wanted, lambda: quote("{}.exp()", logps))
        if isinstance(expr, VocabProb):
            logps = self.policy(expr.args[0])
            wanted = policy_argument(expr.args[0]).replace("_logits", "_probs")
            return "vocab", self.local(("probs", expr.args[0]), wanted, lambda: quote("{}.exp()", logps))
        if isinstance(expr, (Divergence, Entropy)):
            return "token", self.divergence(expr)
        if isinstance(expr, (TokenSum, TokenProd)):
            return "row", self.token_binder(expr)
        if isinstance(expr, VocabSum):
            return "token", self.vocab_sum(expr)
        return None

    def feature(self, expr: Feature) -> tuple[str, str]:
        name, *at = (marked(str(arg)) for arg in expr.args)
        native = ("pair", "row", "token")[len(at)]
        value = Name(name) if len(at) < 2 else quote("torch.where({}, {}, 1)", self.mask, name)
        if ("feature", name) not in self.locals:  # the argument itself, made ready
            self.locals["feature", name] = name
            self.assign(name, quote("{}.to({})", value, self.dtype))
        return native, name

    def divergence(self, expr: Expr) -> str:
        policies = list(expr.args[:-2])
        kind = "kl" if isinstance(expr, Divergence) else "entropy"
        short = [policy_argument(p).removesuffix("_logits") for p in policies]
        arguments = [Name(self.policy(policy)) for policy in policies]
        return self.local(
            (kind, *policies), "_".join([kind, *short]), lambda: call(f"_{kind}", *arguments, Name(self.mask))
        )

    def token_binder(self, expr: Expr) -> str:
        body, index, response = expr.args
        if (roles(body) | (body.free_symbols & {RESPONSE})) - {response}:
            raise NotYet(f"no kernel for {text(expr)}: it mixes tokens of two responses")
        self.require_one_index(expr, index)
        generic = expr.xreplace({response: RESPONSE})
        word = "sum" if isinstance(expr, TokenSum) else "product"

        def value() -> Code:
            # All rows are computed, those of responses whose sum nothing asks for too.
            with self.guarding(expr):
                return call(f"_token_{word}", Name(self.mask), self(body, "token"))

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
        if not tilted.surprise:
            self.require_one_index(total, total.args[1])
        return self.local(
            ("vocab", at_a_place(expr)),
            "log_entropy" if tilted.surprise else "vocab_log_sum",
            lambda: quote("_counted({}, {}.logsumexp(-1))", self.mask, tilted_exponents(self, tilted)),
        )

    def vocab_sum(self, expr: VocabSum) -> str:
        body, index = expr.args
        self.require_one_index(expr, index)

        def value() -> Code:
            if parts := parts_of(body):
                excess = call("_excess", *(self(part, "vocab") for part in (*parts, exponent_of(parts))))
                return quote("_counted({}, {})", self.mask, excess)
            return total(map(summed, map(in_logarithms, Add.make_args(body))))

        def summed(term: Expr) -> Code:
            weight = Mul(*(f for f in Mul.make_args(term) if is_probability(f)))
            if weight == 1:
                return quote("{}.sum(-1)", self.wrapped(term, "vocab", ATOM))
            return call("_mean", self(weight, "vocab"), self.tensor(term / weight, "vocab"), Name(self.mask))

        return self.local(("vocab", at_a_place(expr)), "vocab_sum", value)
