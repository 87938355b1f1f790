"""Text of functions that keep their digits: logarithms of sums, products and differences of
exponentials.

Each takes the printer of a kernel, which prints the parts and names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from sympy import Add, Expr, Mul, S, Symbol

from midpo.codegen.plan.averages import Average, average_of
from midpo.codegen.plan.cancellation import Piece, by_logarithm
from midpo.codegen.plan.exponentials import is_positive_total, signed
from midpo.codegen.plan.log_sums import Tilt
from midpo.codegen.statements.nodes import (
    PRODUCT,
    UNARY,
    Call,
    Code,
    Name,
    Number,
    Pair,
    Row,
    call,
    fraction,
    negative,
)
from midpo.codegen.statements.quote import quote
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    RESPONSE,
    Entropy,
    Exp,
    Log,
    LogSigmoid,
    Max,
    Min,
    TokenProb,
    TokenSum,
    roles,
)
from midpo.symbolic.language.signs import is_negative, is_nonnegative, is_positive
from midpo.symbolic.language.text import split_fraction
from midpo.symbolic.language.words import BY_NODE

from .scribe import Scribe
from .shapes import agreeing_sigmoids, logsigmoids_apart, parameter_power
from .writing import number, said

NOTHING = Number("0")  # the logarithm of 1
# (1 + x)**p - 1 in arithmetic.
_POWERS = {S.NegativeOne: "(-{0} / (1 + {0}))", S.Half: "({0} / (1 + torch.sqrt(1 + {0})))"}


def piece(printer: Scribe, piece: Piece, level: str, scale: Expr) -> Code:
    """scale*(exp(x) - 1), scale*(exp(x) - 1 - x) or another of the forms of a piece."""
    if piece.even:  # (exp(x) - 1)*(1 - exp(-x))
        first, second = (complement(printer, e, level) for e in (piece.exponent, -piece.exponent))
        return term_of(printer, scale, quote("{} * -{}", first, second), level)
    if piece.odd:
        half = call("_tanh_of_half", printer.tensor(piece.exponent, level))
        return term_of(printer, scale, half, level)
    if piece.logistic:
        return term_of(
            printer, scale, call("_log_twice_sigmoid", printer.tensor(piece.exponent, level)), level
        )
    if piece.power is not None:
        name = printer.bind(("under", level, piece.exponent), "under", printer.tensor(piece.exponent, level))
        form = _POWERS.get(piece.power, "torch.expm1({1} * torch.log1p({0}))")
        return term_of(printer, scale, quote(form, name, number(piece.power)), level)
    if piece.least is not None:
        return term_of(printer, scale, gap_of_exponentials(printer, piece, level), level)
    grown = [f for f in Mul.make_args(scale) if isinstance(f, Exp) and not printer.is_scalar(f)]
    written: Code
    if piece.whole:
        written = call("_exp_remainder", printer.tensor(piece.exponent, level))
    elif len(grown) == 1:
        scale /= grown[0]
        written = call(
            "_exp_growth", printer.tensor(grown[0].args[0], level), printer.tensor(piece.exponent, level)
        )
    else:
        written = complement(printer, piece.exponent, level)
    if scale == 1:
        return written
    if not is_positive(scale) and not is_negative(scale):
        return call("_scaled", printer(scale, level), written)
    return term_of(printer, scale, written, level)


def complement(printer: Scribe, exponent: Expr, level: str) -> Code:
    """exp(x) - 1."""
    argument = printer.tensor(exponent, level)
    if not printer.guards:
        return call("torch.expm1", argument)
    return call("_bounded_expm1" if printer.guarded else "_expm1", argument)


def gap_of_exponentials(printer: Scribe, piece: Piece, level: str) -> Code:
    """exp(a + x) - exp(a) by the larger of the two, so that nothing infinite is multiplied by 0."""
    assert piece.least is not None
    gap = printer.bind(("gap", level, piece.exponent), "gap", printer(piece.exponent, level))
    both = [printer.tensor(e, level) for e in (by_logarithm(piece.least + piece.exponent), piece.least)]
    top = printer.bind(("larger", level, piece), "larger", quote("torch.exp(torch.maximum({}, {}))", *both))
    return printer.bind(
        ("discount", level, piece),
        "discount",
        quote("-{0} * torch.sign({1}) * torch.expm1(-{1}.abs())", top, gap),
    )


def term_of(printer: Scribe, scale: Expr, written: Code, level: str) -> Code:
    above, below = ([printer.wrapped(f, level, UNARY) for f in factors] for factors in split_fraction(scale))
    return fraction([*above, written], below)


def scaled(printer: Scribe, above: list[Expr], below: list[Expr], level: str) -> Code | None:
    """A factor times an exponential or a sum of such, 0 where the factor is 0 and the exponential
    infinite; None where there are not both."""
    grown = [f for f in above if _grows(printer, f)]
    others = [f for f in above if f not in grown and not is_positive(f)]
    if len(grown) != 1 or not others or printer.clipped:
        return None
    rest = Mul(*(f for f in above if f not in grown), *(1 / f for f in below))
    return call("_scaled", printer(rest, level), printer(grown[0], level))


def _grows(printer: Scribe, factor: Expr) -> bool:
    """Whether a factor is an exponential of data, or a sum with one."""
    if isinstance(factor, Add):
        return any(_grows(printer, f) for t in factor.args for f in Mul.make_args(t))
    return isinstance(factor, Exp) and not printer.is_scalar(factor) and (parameter_power(factor) is None)


def logarithm(printer: Scribe, inside: Expr, level: str) -> Code:
    """log(inside), of sums of exponentials without the exponentials, which may overflow."""
    if isinstance(inside, TokenSum) and is_positive_total(inside) and level in ("pair", "row"):
        return log_of_total(printer, inside, level)
    if isinstance(inside, (Max, Min)) and all(_is_size(printer, arg) for arg in inside.args):
        return printer(inside.func(*map(Log, inside.args)), level)  # log(0) is the least of all
    parts = signed(inside)
    if parts is not None and not parts.minus and (average := average_of(parts.plus)):
        return log_of_average(printer, average, level)
    if parts is not None and parts.plus and parts.plus != (Log(inside),):
        above = log_of_sum(printer, parts.plus, level)
        if not parts.minus:
            return above
        below = log_of_sum(printer, parts.minus, level)
        if parts.plus == (S.Zero,):
            small = log_of_negated(printer, parts.minus[0], level) if len(parts.minus) == 1 else None
            return log_of_complement(printer, below) if small is None else call("_log1mexp", below, small)
        top = printer.bind(("log", level, parts.plus), "log_sum", above)
        gap = negative(top) if below == NOTHING else Pair(below, "-", top)
        return Pair(top, "+", log_of_complement(printer, gap))
    with printer.guarding(Log(inside)):
        if isinstance(inside, Add) and S.One in inside.args:
            return call("torch.log1p", printer.tensor(inside - 1, level))
        written = printer.tensor(inside, level)
        if _rounds_to_zero(inside):
            inner = printer.bind(("argument", level, inside), "inner", written)
            written = quote("{}.clamp(min=torch.finfo({}).tiny)", inner, printer.dtype)
        elif is_nonnegative(inside) and not is_positive(inside):
            return call("_log_of_size", written)
        return said(BY_NODE[Log], "torch", [written])


def _is_size(printer: Scribe, expr: Expr) -> bool:
    """Whether `expr` is a sum of exponentials, or a number of at least 0."""
    if isinstance(expr, (Max, Min)):
        return all(_is_size(printer, arg) for arg in expr.args)
    parts = None if printer.is_scalar(expr) else signed(expr)
    return is_nonnegative(expr) if parts is None else not parts.minus


def _rounds_to_zero(expr: Expr) -> bool:
    """Whether `expr` is positive because entropies are: at large logits they round to 0."""
    if not expr.has(Entropy):
        return False
    any_positive = {
        h: TokenProb(*h.args) / TokenProb(Symbol("other"), *h.args[1:]) for h in expr.atoms(Entropy)
    }
    return is_positive(expr.xreplace(any_positive))


def log_of_total(printer: Scribe, total: TokenSum, level: str, of: str = "sum") -> Code:
    """The logarithm of a sum of positive terms over the tokens, or of their mean."""
    body, _, response = total.args
    name = printer.local(
        (f"log of {of}", total.xreplace({response: RESPONSE})),
        f"token_log_{of}",
        lambda: call(f"_token_log_{of}", Name(printer.mask), printer(Log(body), "token")),
    )
    return printer.lift(total, name, "row", level)


def log_of_mean(printer: Scribe, total: TokenSum, level: str, scale: Expr) -> Code:
    """scale times the logarithm of a mean over the tokens."""
    return term_of(printer, scale, log_of_total(printer, total, level, "mean"), level)


def tilted_exponents(printer: Scribe, tilt: Tilt) -> Code:
    """The exponent of each entry of the vocabulary, -inf for one that does not count; a NaN does."""
    name = printer.bind(("exponents", tilt), "exponents", printer(tilt.exponent, "vocab"))
    if tilt.surprise:
        return call("_surprises", name)
    if tilt.counted == 0:
        return name
    return quote("{}.where({} != -torch.inf, -torch.inf)", name, printer(tilt.counted, "vocab"))


def log_of_sum(printer: Scribe, exponents: Sequence[Expr], level: str) -> Code:
    """log(exp(a) + exp(b) + ...), by the largest of them; a 1 among them leaves the others
    their digits where these are small."""
    numbers = [e for e in exponents if printer.is_scalar(e)]
    tensors = [e for e in exponents if e not in numbers]
    constant = Add(*map(_exponential, numbers))
    if not tensors:
        return NOTHING if constant == 1 else printer(Log(constant), level)
    written = printer(tensors[0], level)
    for n, more in enumerate(tensors[1:], 2):
        written = call("torch.logaddexp", written, printer.tensor(more, level))
        if len(tensors) > 2:
            written = printer.bind(("log of sum", level, tuple(tensors[:n])), "log_sum", written)
    if not numbers:
        return written
    if constant == 1:
        inner = printer(-tensors[0], level) if len(tensors) == 1 else negative(written)
        return quote("-F.logsigmoid({})", inner)
    return call("torch.logaddexp", written, printer(Log(constant), level))


def of_near_arguments(printer: Scribe, expr: Add, level: str) -> Code | None:
    """A sum that is 0 where two arguments in it are equal, by how far they are apart."""
    if agreeing := agreeing_sigmoids(expr):
        scale, a, b = agreeing
        apart = bernoulli_divergence(printer, a, b, level)
        return apart if scale == 1 else term_of(printer, scale, apart, level)
    if found := logsigmoids_apart(expr):
        scale, a, b = found
        if not (printer.is_scalar(a) or printer.is_scalar(b)):
            apart = logsigmoid_difference(printer, a, b, level)
            return apart if scale == 1 else term_of(printer, scale, apart, level)
    return None


def log_of_average(printer: Scribe, average: Average, level: str) -> Code:
    """The logarithm of an average, with digits where it is near 0."""
    pairs = tuple(Row("()", (printer(w, level), printer.tensor(x, level))) for w, x in average.terms)
    rest = () if average.rest == 0 else (("rest", printer(average.rest, level)),)
    return Call(Name("_log_average"), pairs, rest)


def logsigmoid_difference(printer: Scribe, a: Expr, b: Expr, level: str) -> Code:
    """logsigmoid(a) - logsigmoid(b), which has no digits left as it stands where a is near
    b."""
    x, y = (printer.bind(("logit", level, e), "logit", printer(e, level)) for e in (a, b))
    gap = printer.bind(("gap", level, a, b), "gap", _apart(printer, a, b, x, y, level))
    near = printer.bind(
        ("near", level, a, b),
        "near",
        quote("torch.log1p(torch.exp(F.logsigmoid(-{})) * torch.expm1({}.clamp(-1, 1)))", x, gap),
    )
    written = quote(
        "torch.where({gap}.abs() < 1, {near}, F.logsigmoid({x}) - F.logsigmoid({y}))",
        gap=gap,
        near=near,
        x=x,
        y=y,
    )
    return printer.bind(("difference", level, a, b), "difference", written)


def _apart(printer: Scribe, a: Expr, b: Expr, x: Code, y: Code, level: str) -> Code:
    """a - b, written x and y: what they share is taken from both first."""
    apart = expand(a - b)
    shared = len(Add.make_args(apart)) < len(Add.make_args(a)) + len(Add.make_args(b))
    return printer.tensor(apart, level) if shared else Pair(x, "-", y)


def bernoulli_divergence(printer: Scribe, a: Expr, b: Expr, level: str) -> Code:
    """sigmoid(a)*(logsigmoid(a) - logsigmoid(b)) and the same of -a and -b: with s = sigmoid(a),
    g = b - a, w = log(1 + s*(exp(g) - 1)) and r(x) = exp(x) - 1 - x it is s*r(g) - r(w), where a
    sum that is quadratic in g has its digits. Where s > 1/2 the signs of a and b are turned."""
    x, y = (printer.bind(("logit", level, e), "logit", printer.tensor(e, level)) for e in (a, b))
    known: dict[str, Code] = {"x": x, "y": y}

    def local(name: str, wanted: str, value: Code) -> Name:
        known[name] = found = printer.bind((wanted, level, a, b), wanted, value)
        return found

    def written(piece: str) -> Code:
        return quote(piece, **known)

    local("turn", "turn", written("torch.where({x} > 0, -1.0, 1.0).to({x}.dtype)"))
    local("share", "share", written("torch.sigmoid({turn} * {x})"))
    local("gap", "gap", _apart(printer, b, a, y, x, level))
    local("step", "step", written("{turn} * {gap}.clamp(-1, 1)"))
    local("log", "log_ratio", written("torch.log1p({share} * torch.expm1({step}))"))
    local(
        "far",
        "far",
        written(
            "torch.exp(F.logsigmoid({x})) * (F.logsigmoid({x}) - F.logsigmoid({y}))"
            " + torch.exp(F.logsigmoid(-{x})) * (F.logsigmoid(-{x}) - F.logsigmoid(-{y}))"
        ),
    )
    near = "{share} * _exp_remainder({step}) - _exp_remainder({log})"
    return local("found", "divergence", written(f"torch.where({{gap}}.abs() < 1, {near}, {{far}})"))


def log_of_negated(printer: Scribe, expr: Expr, level: str) -> Code | None:
    """log(-x) where x is made of log-probabilities of tokens with positive factors, by their
    log-odds, which know -x where x rounds to 0; None for another x."""
    if isinstance(expr, Log) and isinstance(expr.args[0], TokenProb):
        odds = printer.odds(expr.args[0].args[0])
        if odds is None:
            given = printer.bind(("logarithm", level, expr), "logp", printer(expr, level))
            return quote("torch.log((-{0}).clamp(min=torch.finfo({0}.dtype).tiny))", given)
        return printer.lift(
            expr,
            printer.local(
                ("log of less", expr.xreplace(dict.fromkeys(roles(expr), RESPONSE))),
                "log_less",
                lambda: quote("_log_softplus(-{})", odds),
            ),
            "token",
            level,
        )
    if isinstance(expr, LogSigmoid):
        return call("_log_softplus", printer.tensor(-expr.args[0], level))
    if isinstance(expr, TokenSum) and level in ("pair", "row"):
        body, _, response = expr.args
        inner = log_of_negated(printer, body, "token")
        if inner is None:
            return None
        name = printer.local(
            ("log of less", expr.xreplace({response: RESPONSE})),
            "token_log_sum",
            lambda: call("_token_log_sum", Name(printer.mask), inner),
        )
        return printer.lift(expr, name, "row", level)
    if isinstance(expr, Add):
        parts = [log_of_negated(printer, term, level) for term in expr.args]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        return reduce(lambda one, other: call("torch.logaddexp", one, other), found)
    moving = [f for f in Mul.make_args(expr) if f.has(TokenProb, LogSigmoid)]
    scale = Mul(*(f for f in Mul.make_args(expr) if f not in moving))
    if len(moving) != 1 or moving[0] == expr or not is_positive(scale):
        return None
    small = log_of_negated(printer, moving[0], level)
    if small is None or scale == 1:
        return small
    return Pair(small, "+", printer.wrapped(Log(scale), level, PRODUCT))


def log_of_complement(printer: Scribe, exponent: Code) -> Code:
    """log(1 - exp(x)) for x < 0: by expm1 near 0 and by log1p away from it."""
    x = printer.bind(("exponent", exponent), "exponent", exponent)
    below = quote("torch.where({0} < 0, {0}, -torch.finfo({0}.dtype).tiny)", x)
    near = printer.bind(("below", x), "below", below)
    written = quote(
        "torch.where({0} > -0.5, torch.log(-torch.expm1({1}.clamp(min=-0.5))), "
        "torch.log1p(-torch.exp({0}.clamp(max=-0.5))))",
        x,
        near,
    )
    return printer.bind(("complement", x), "complement", written)


def bounded_exponential(printer: Scribe, argument: Expr, level: str) -> Code:
    """An exponential that a clip decides long before it overflows."""
    return call("_steep_exp", printer.tensor(argument, level))


def _exponential(exponent: Expr) -> Expr:
    """exp(a), and c of exp(log(c))."""
    if isinstance(exponent, Log):
        return exponent.args[0]
    return S.One if exponent == 0 else Exp(exponent)
