"""What one pass carries gives the sums, and the lines printed for Triton say so: symbolically."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sympy
from sympy import Expr, Rational, Symbol

import midpo
from midpo.codegen import names
from midpo.codegen.backends import passes
from midpo.codegen.plan.lower import lower
from midpo.codegen.plan.online import moments, terms_of
from midpo.codegen.plan.statistics import probability
from midpo.codegen.printing.chunks import Chunk
from midpo.codegen.printing.rows import kernels
from midpo.codegen.statements import python
from midpo.codegen.statements.nodes import Run, Statement
from midpo.codegen.statements.quote import quote
from midpo.symbolic.language.nodes import Exp, Log, Parameter, Sqrt, Tanh, VocabProb

SIZE = 3
P, Q = probability("pi"), probability("pi_ref")
BETA = Parameter("beta", "positive")
KAPPA = Parameter("kappa", "real")
CONTEXT = Symbol("context_1", real=True)
# Logits, and any numbers in the place of maxima: the identities do not need these to be largest.
LOGITS = {"policy": ("1/3", "-1/2", "2"), "reference": ("1", "-1/5", "1/7")}
TOPS = {"policy": ("1/4", "3/5", "-2/3"), "reference": ("-1/9", "5/4", "1/6")}
NUMBERS = {"beta": Rational(2, 5), "kappa": Rational(-3, 7), "w": Rational(5, 3)}

SPECS = {
    "tdpo": "tdpo",
    "tis-dpo": "tis-dpo",
    "wpo": "wpo",
    "combination": """name = "combination"
[parameters]
beta = { domain = "positive", default = 0.4 }
kappa = { domain = "real", default = 0.3 }
[features]
w = "token"
[target]
margin = '''sum(entropy(pi, y_w, t) + kl(pi, pi_ref, y_w, t) + 2*kl(pi_ref, pi, y_w, t)
    + entropy(pi_ref, y_w, t)*kappa + sum(pi(y_w, t, v)**2 for v in vocab)
    + sum(pi(y_w, t, v)**beta*sqrt(pi_ref(y_w, t, v))*(kappa + w(y_w, t)*log(pi(y_w, t, v))
      - 2*log(pi_ref(y_w, t, v))) for v in vocab) for t in y_w)/10 - log(pi(y_l))/10'''
""",
    "tanh": """name = "tanh"
[target]
margin = '''sum(sum(tanh(pi(y_w, t, v)*log(pi_ref(y_w, t, v))) for v in vocab)
    + sum(pi(y_w, t, v)*(log(pi(y_w, t, v)) - log(pi_ref(y_w, t, v)))**2 for v in vocab)
    for t in y_w) - log(pi(y_l))/10'''
""",
}


def passes_of(name: str) -> list[Chunk]:
    lowered = lower(midpo.load(name) if SPECS[name] == name else midpo.loads(SPECS[name]))
    return passes(lowered, {"beta", "kappa", "w"})


# -- the plan


@pytest.mark.parametrize(
    ("body", "weights", "forms"),
    [
        (P * (Log(P) - Log(Q)), 1, 1),
        (Q * (Log(Q) - Log(P)) - Q * Log(Q), 1, 1),
        (P**2 + P, 2, 0),
        (Sqrt(P) * Exp(BETA * Log(Q) + KAPPA), 1, 0),
        (P * (KAPPA + CONTEXT * Log(Q)), 1, 1),
    ],
)
def test_moments_of_sums_with_the_form(body: Expr, weights: int, forms: int) -> None:
    terms = terms_of(body)
    assert terms is not None
    found = moments(terms)
    assert (len(found.weights), len(found.forms)) == (weights, forms)


@pytest.mark.parametrize(
    "body",
    [
        Tanh(P),
        P * Log(P) ** 2,
        P * Log(P) * Log(Q),
        P**2 / Q,
        Log(P),
        Exp(KAPPA * Log(P)),
        P**CONTEXT,
        Exp(P),
        Exp(Log(P) * Log(Q)),
    ],
)
def test_other_sums_take_a_second_pass(body: Expr) -> None:
    assert terms_of(body) is None


# -- the lines, executed on SymPy's numbers


class Symbolic:
    """`tl` for one entry a block."""

    float32 = None

    @staticmethod
    def where(condition: Any, yes: Any, no: Any) -> Any:
        return yes if condition is True else no

    log = staticmethod(sympy.log)
    sqrt = staticmethod(sympy.sqrt)

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return 1 / (1 + sympy.exp(-x))


def moved(moment: Any, weight: Any, shift: Any, scale: Any) -> Any:
    return scale * (moment + shift * weight)


def start(found: Chunk, made: dict[str, Any]) -> dict[str, Any]:
    space: dict[str, Any] = {"tl": Symbolic, "_exp": sympy.exp, "_moved": moved, "inside": True}
    space |= {"_tanh": sympy.tanh} | {f"{name}_number": x for name, x in NUMBERS.items()}
    space |= {name: Rational(7, 9) for name in found.context_names}
    return space | dict.fromkeys(made["accumulated"], Rational(0))


def run(lines: list[Statement], space: dict[str, Any]) -> None:
    exec(names.plain("\n".join(python.lines(lines))), space)


def online(made: dict[str, Any], space: dict[str, Any]) -> None:
    """The pass over the entries, whose maxima move before each."""
    for table in made["walked"]:
        space[table["top"]] = Rational(1, 8)
    for entry in range(SIZE):
        for table in made["walked"]:
            short = table["sum"].removeprefix("sum_")
            top = Rational(TOPS[short][entry])
            space[table["shift"]] = space[table["top"]] - top
            space[table["scale"]] = sympy.exp(space[table["shift"]])
            space[table["top"]] = top
            space[table["u"]] = Rational(LOGITS[short][entry]) - top
        run(made["rescale"], space)
        run(made["accumulate"], space)
    for table in made["walked"]:
        space[table["log"]] = sympy.log(space[table["sum"]])


def probabilities(policy: str, logits: dict[str, Any]) -> list[Any]:
    short = {"pi": "policy", "pi_ref": "reference"}[policy]
    each = [sympy.exp(z) for z in logits[short]]
    return [e / sum(each) for e in each]


def plain(body: Expr, entry: int, logits: dict[str, Any]) -> Any:
    """A statistic's body at an entry, in SymPy's own functions."""
    table = {a: probabilities(str(a.args[0]), logits)[entry] for a in body.atoms(VocabProb)}
    table |= {p: NUMBERS[p.name] for p in body.atoms(Parameter)}
    table |= {s: Rational(7, 9) for s in body.free_symbols if str(s).startswith("context")}
    written = body.xreplace(table)
    for node, function in ((Log, sympy.log), (Exp, sympy.exp), (Sqrt, sympy.sqrt), (Tanh, sympy.tanh)):
        written = written.replace(node, function)
    return written


EXACT = {short: [Rational(z) for z in each] for short, each in LOGITS.items()}


def truth(found: Chunk, logits: dict[str, Any]) -> dict[str, Any]:
    """The pass's statistics by their definitions."""
    values = {}
    for one, name in zip(found.statistics, found.names, strict=False):
        if one.body is not None:
            values[name] = sum(plain(one.body, v, logits) for v in range(SIZE))
    return values


def close(found: Any, expected: Any) -> bool:
    return bool(abs(sympy.N(found - expected, 50)) < 1e-40)


@pytest.mark.parametrize("name", ["tdpo", "tis-dpo", "wpo", "combination"])
def test_printed_moments_give_the_statistics(name: str) -> None:
    (found,) = passes_of(name)
    made = kernels(found, {"beta", "kappa", "w"})
    assert not made["later"]
    space = start(found, made)
    online(made, space)
    run(made["finish"], space)
    expected = truth(found, EXACT)
    assert expected
    for statistic, value in expected.items():
        assert close(space[statistic], value), statistic


@pytest.mark.parametrize("name", SPECS)
def test_printed_sums_give_the_statistics(name: str) -> None:
    (found,) = passes_of(name)
    made = kernels(found, {"beta", "kappa", "w"})
    assert made["later"] is (name == "tanh")
    space = start(found, made) | dict.fromkeys(made["second_sums"], Rational(0))
    for entry in range(SIZE):
        known(made, space, entry)
        run(made["second"], space)
    for statistic, value in truth(found, EXACT).items():
        assert close(space[statistic], value), statistic


def known(made: dict[str, Any], space: dict[str, Any], entry: int) -> None:
    for policy, table in zip(("pi", "pi_ref"), made["walked"], strict=False):
        p = probabilities(policy, EXACT)[entry]
        space[table["logps"]], space[table["probs"]] = sympy.log(p), p


@pytest.mark.parametrize("name", SPECS)
def test_printed_gradient_is_the_derivative(name: str) -> None:
    """Of the sum of all statistics, each times a number, through the softmax."""
    (found,) = passes_of(name)
    made = kernels(found, {"beta", "kappa", "w"})
    space = start(found, made)
    space |= dict.fromkeys(made["second_sums"], Rational(0))
    for entry in range(SIZE):
        known(made, space, entry)
        run(made["second"], space)
    seeds = (Rational(n + 2, 7) for n in itertools.count())
    for seed, _ in zip(found.seeds, found.names, strict=False):
        space[seed] = next(seeds)
    z = sympy.symbols(f"z1:{SIZE + 1}", real=True)
    symbolic = {"policy": list(z), "reference": EXACT["reference"]}
    total = space["grad_policy_token_logps"] * sympy.log(probabilities("pi", symbolic)[0])
    total += sum(
        space[f"grad_{name}"] * value
        for name, value in truth(found, symbolic).items()
        if f"grad_{name}" in found.seeds
    )
    at = dict(zip(z, EXACT["policy"], strict=True))
    for entry in range(SIZE):
        known(made, space, entry)
        run(made["slopes"], space)
        if entry == 0:  # the label
            space[made["slope"]] += space[made["label_slope"]]
        assert close(space[made["slope"]], sympy.diff(total, z[entry]).subs(at)), entry


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("rescale", "shift_reference - shift_policy", "shift_policy - shift_reference"),
        ("rescale", "moment = _moved", "unused = _moved"),
        ("accumulate", "each2 * (u_reference - u_policy)", "each2 * (u_policy - u_reference)"),
        ("finish", "log_policy + moment", "moment"),
        ("finish", "/ sum_reference", "/ sum_policy"),
    ],
)
def test_a_wrong_moment_is_seen(key: str, old: str, new: str) -> None:
    (found,) = passes_of("tdpo")
    made = kernels(found, set())
    written = "\n".join(python.lines(made[key]))
    assert old in written
    space = start(found, made)
    made[key] = [Run(quote(f"exec({written.replace(old, new)!r})"))]
    online(made, space)
    run(made["finish"], space)
    assert not close(space["kl_reference_policy"], truth(found, EXACT)["kl_reference_policy"])
