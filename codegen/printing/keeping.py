"""Text of functions that keep their digits: logarithms of sums, products and differences of
exponentials.

Each takes the printer of a kernel, which prints the parts and names them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Add, Expr, Mul, S, Symbol

from midpo.codegen.plan.cancellation import Piece, by_logarithm
from midpo.codegen.plan.exponentials import is_positive_total, signed
from midpo.codegen.plan.log_sums import Tilt
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    RESPONSE,
    Entropy,
    Exp,
    Log,
    Parameter,
    TokenProb,
    TokenSum,
)
from midpo.symbolic.language.signs import is_negative, is_positive
from midpo.symbolic.language.text import split_fraction
from midpo.symbolic.language.words import BY_NODE

from .levels import ATOM, EXPONENT, SUM, UNARY
from .scribe import Scribe


def piece(printer: Scribe, piece: Piece, level: str, scale: Expr) -> str:
    """scale*(exp(x) - 1), scale*(exp(x) - 1 - x) or another of the forms of a piece."""
    if piece.even:  # (exp(x) - 1)*(1 - exp(-x))
        first, second = (complement(printer, e, level) for e in (piece.exponent, -piece.exponent))
        return term_of(printer, scale, f"{first} * -{second}", level)
    if piece.least is not None:
        return term_of(printer, scale, gap_of_exponentials(printer, piece, level), level)
    if piece.whole:
        written = f"_exp_remainder({printer.tensor(piece.exponent, level)})"
    else:
        written = complement(printer, piece.exponent, level)
    if scale == 1:
        return written
    if not is_positive(scale) and not is_negative(scale):
        return f"_scaled({printer(scale, level)}, {written})"
    return term_of(printer, scale, written, level)


def complement(printer: Scribe, exponent: Expr, level: str) -> str:
    """exp(x) - 1."""
    argument = printer.tensor(exponent, level)
    if not printer.guards:
        return f"torch.expm1({argument})"
    kind = "bounded_expm1" if printer.guarded else "expm1"
    return f"_{kind}({argument})"


def gap_of_exponentials(printer: Scribe, piece: Piece, level: str) -> str:
    """exp(a + x) - exp(a) by the larger of the two, so that nothing infinite is multiplied by 0."""
    assert piece.least is not None
    gap = printer.bind(("gap", level, piece.exponent), "gap", printer(piece.exponent, level))
    both = [printer.tensor(e, level)
            for e in (by_logarithm(piece.least + piece.exponent), piece.least)]
    top = printer.bind(("larger", level, piece), "larger",
                       f"torch.exp(torch.maximum({', '.join(both)}))")
    return printer.bind(("discount", level, piece), "discount",
                        f"-{top} * torch.sign({gap}) * torch.expm1(-{gap}.abs())")


def term_of(printer: Scribe, scale: Expr, written: str, level: str) -> str:
    above, below = split_fraction(scale)
    top = " * ".join([*(printer.wrapped(f, level, UNARY) for f in above), written])
    bottom = " * ".join(printer.wrapped(f, level, UNARY) for f in below)
    return f"{top} / {bottom if len(below) == 1 else f'({bottom})'}" if below else top


def scaled(printer: Scribe, above: list[Expr], below: list[Expr], level: str) -> str | None:
    """A factor times an exponential or a sum of such, 0 where the factor is 0 and the exponential
    infinite; None where there are not both."""
    grown = [f for f in above if _grows(printer, f)]
    others = [f for f in above if f not in grown and not is_positive(f)]
    if len(grown) != 1 or not others or printer.clipped:
        return None
    rest = Mul(*(f for f in above if f not in grown), *(1 / f for f in below))
    return f"_scaled({printer(rest, level)}, {printer(grown[0], level)})"


def _grows(printer: Scribe, factor: Expr) -> bool:
    """Whether a factor is an exponential of data, or a sum with one."""
    if isinstance(factor, Add):
        return any(_grows(printer, f) for t in factor.args for f in Mul.make_args(t))
    return isinstance(factor, Exp) and not printer.is_scalar(factor) and (
        parameter_power(factor) is None)


def logarithm(printer: Scribe, inside: Expr, level: str) -> tuple[str, int]:
    """log(inside), of sums of exponentials without the exponentials, which may overflow."""
    if isinstance(inside, TokenSum) and is_positive_total(inside) and level in ("pair", "row"):
        return log_of_total(printer, inside, level), ATOM
    parts = signed(inside)
    if parts is not None and parts.plus and parts.plus != (Log(inside),):
        above, strength = log_of_sum(printer, parts.plus, level)
        if not parts.minus:
            return above, strength
        below, _ = log_of_sum(printer, parts.minus, level)
        if parts.plus == (S.Zero,):
            return log_of_complement(printer, below), ATOM
        top = printer.bind(("log", level, parts.plus), "log_sum", above)
        gap = f"-{top}" if below == "0" else f"{below} - {top}"
        rest = log_of_complement(printer, gap)
        return f"{top} + {rest}", SUM
    with printer.guarding(Log(inside)):
        if isinstance(inside, Add) and S.One in inside.args:
            return f"torch.log1p({printer.tensor(inside - 1, level)})", ATOM
        written = printer.tensor(inside, level)
        if _rounds_to_zero(inside):
            tiny = f"torch.finfo({printer.dtype}).tiny"
            written = printer.bind(("argument", level, inside), "inner", written)
            written = f"{written}.clamp(min={tiny})"
        return BY_NODE[Log].pairwise("torch", [written]), ATOM


def _rounds_to_zero(expr: Expr) -> bool:
    """Whether `expr` is positive because entropies are: at large logits they round to 0."""
    if not expr.has(Entropy):
        return False
    any_positive = {
        h: TokenProb(*h.args) / TokenProb(Symbol("other"), *h.args[1:]) for h in expr.atoms(Entropy)
    }
    return is_positive(expr.xreplace(any_positive))


def log_of_total(printer: Scribe, total: TokenSum, level: str) -> str:
    """The logarithm of a sum of positive terms over the tokens."""
    body, _, response = total.args
    name = printer.local(
        ("log of", total.xreplace({response: RESPONSE})), "token_log_sum",
        lambda: f"_token_log_sum({printer.mask}, {printer(Log(body), 'token')})")
    return printer.lift(total, name, "row", level)


def tilted_exponents(printer: Scribe, tilt: Tilt) -> str:
    """The exponent of each entry of the vocabulary, -inf for one that does not count."""
    written = printer(tilt.exponent, "vocab")
    name = printer.bind(("exponents", tilt), "exponents", written)
    if tilt.counted == 0:
        return name
    return f"{name}.where({printer(tilt.counted, 'vocab')} > -torch.inf, -torch.inf)"


def log_of_sum(printer: Scribe, exponents: Sequence[Expr], level: str) -> tuple[str, int]:
    """log(exp(a) + exp(b) + ...), by the largest of them; a 1 among them leaves the others
    their digits where these are small."""
    numbers = [e for e in exponents if printer.is_scalar(e)]
    tensors = [e for e in exponents if e not in numbers]
    constant = Add(*map(_exponential, numbers))
    if not tensors:
        return ("0", ATOM) if constant == 1 else (printer(Log(constant), level), ATOM)
    written, strength = printer.emit(tensors[0], level)
    for n, more in enumerate(tensors[1:], 2):
        written, strength = f"torch.logaddexp({written}, {printer.tensor(more, level)})", ATOM
        if len(tensors) > 2:
            written = printer.bind(("log of sum", level, tuple(tensors[:n])), "log_sum", written)
    if not numbers:
        return written, strength
    if constant == 1:
        inner = -tensors[0] if len(tensors) == 1 else None
        negative = f"-{written}" if inner is None else printer(inner, level)
        return f"-F.logsigmoid({negative})", SUM
    return f"torch.logaddexp({written}, {printer(Log(constant), level)})", ATOM


def logsigmoid_difference(printer: Scribe, a: Expr, b: Expr, level: str) -> str:
    """logsigmoid(a) - logsigmoid(b), which has no digits left as it stands where a is near
    b."""
    x, y = (printer.bind(("logit", level, e), "logit", printer(e, level)) for e in (a, b))
    gap = printer.bind(("gap", level, a, b), "gap", _apart(printer, a, b, x, y, level))
    near = printer.bind(
        ("near", level, a, b), "near",
        f"torch.log1p(torch.exp(F.logsigmoid(-{x})) * torch.expm1({gap}.clamp(-1, 1)))")
    written = f"torch.where({gap}.abs() < 1, {near}, F.logsigmoid({x}) - F.logsigmoid({y}))"
    return printer.bind(("difference", level, a, b), "difference", written)


def _apart(printer: Scribe, a: Expr, b: Expr, x: str, y: str, level: str) -> str:
    """a - b, written x and y: what they share is taken from both first."""
    apart = expand(a - b)
    shared = len(Add.make_args(apart)) < len(Add.make_args(a)) + len(Add.make_args(b))
    return printer.tensor(apart, level) if shared else f"{x} - {y}"


def bernoulli_divergence(printer: Scribe, a: Expr, b: Expr, level: str) -> str:
    """sigmoid(a)*(logsigmoid(a) - logsigmoid(b)) and the same of -a and -b: with s = sigmoid(a),
    g = b - a, w = log(1 + s*(exp(g) - 1)) and r(x) = exp(x) - 1 - x it is s*r(g) - r(w), where a
    sum that is quadratic in g has its digits. Where s > 1/2 the signs of a and b are turned."""
    x, y = (printer.bind(("logit", level, e), "logit", printer.tensor(e, level)) for e in (a, b))

    def local(name: str, text: str) -> str:
        return printer.bind((name, level, a, b), name, text)

    turn = local("turn", f"torch.where({x} > 0, -1.0, 1.0).to({x}.dtype)")
    share = local("share", f"torch.sigmoid({turn} * {x})")
    gap = local("gap", _apart(printer, b, a, y, x, level))
    step = local("step", f"{turn} * {gap}.clamp(-1, 1)")
    log = local("log_ratio", f"torch.log1p({share} * torch.expm1({step}))")
    far = local("far", f"torch.exp(F.logsigmoid({x})) * (F.logsigmoid({x}) - F.logsigmoid({y}))"
                f" + torch.exp(F.logsigmoid(-{x})) * (F.logsigmoid(-{x}) - F.logsigmoid(-{y}))")
    near = f"{share} * _exp_remainder({step}) - _exp_remainder({log})"
    return local("divergence", f"torch.where({gap}.abs() < 1, {near}, {far})")


def log_of_complement(printer: Scribe, exponent: str) -> str:
    """log(1 - exp(x)) for x < 0: by expm1 near 0 and by log1p away from it."""
    x = printer.bind(("exponent", exponent), "exponent", exponent)
    near = f"{x}.clamp(-0.5, -torch.finfo({x}.dtype).tiny)"
    written = (f"torch.where({x} > -0.5, torch.log(-torch.expm1({near})), "
               f"torch.log1p(-torch.exp({x}.clamp(max=-0.5))))")
    return printer.bind(("complement", x), "complement", written)


def bounded_exponential(printer: Scribe, argument: Expr, level: str) -> str:
    """An exponential that a clip decides long before it overflows: beyond EXPONENT it goes on
    as its tangent, so that neither it nor its gradient is infinite and order is kept."""
    name = printer.bind(("exponent", level, argument), "exponent", printer(argument, level))
    return (f"torch.exp({name}.clamp(max={EXPONENT}))"
            f" * (1 + ({name} - {EXPONENT}).clamp(min=0))")


def _exponential(exponent: Expr) -> Expr:
    """exp(a), and c of exp(log(c))."""
    if isinstance(exponent, Log):
        return exponent.args[0]
    return S.One if exponent == 0 else Exp(exponent)


def parameter_power(expr: Exp) -> tuple[Parameter, Expr] | None:
    """exp(e*log(b)) with a parameter b, as (b, e)."""
    factors = Mul.make_args(expr.args[0])
    logs = [f for f in factors if isinstance(f, Log) and isinstance(f.args[0], Parameter)]
    if len(logs) != 1:
        return None
    return logs[0].args[0], Mul(*(f for f in factors if f is not logs[0]))
