"""Domains with open and closed ends: reading, signs, kernels; and that a prior is positive."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
from fractions import Fraction
from typing import Any

import pytest
from click.testing import CliRunner
from sympy import Rational

import midpo
from midpo.cli import main
from midpo.numeric.arithmetic import Digits, Undefined
from midpo.numeric.checking.policies import random_batch
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import cases
from midpo.proofs.recover.conditions import side_conditions
from midpo.symbolic.domains.intervals import DOMAINS, POSITIVE, REAL, Interval, point
from midpo.symbolic.domains.written import MAX_DIGITS, read_domain
from midpo.symbolic.errors import NoValue, SpecError
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import TARGET, Names
from midpo.symbolic.language.signs import enclosure, is_negative, is_positive

DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"


# --- Reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written", "word"),
    [
        ("[0, 1)", "[0, 1)", ""),
        ("(0,1]", "(0, 1]", ""),
        ("  [ 0 , 1 ] ", "[0, 1]", ""),
        ("[0, 1/2)", "[0, 1/2)", ""),
        ("[-0.5, 1e-1]", "[-1/2, 1/10]", ""),
        ("[ - 3/4, +2)", "[-3/4, 2)", ""),
        ("[1, inf)", "[1, inf)", ""),
        ("(-inf, -5]", "(-inf, -5]", ""),
        ("(-inf, inf)", "(-inf, inf)", "real"),
        ("(0, inf)", "(0, inf)", "positive"),
        ("[0, +inf)", "[0, inf)", "nonnegative"),
        ("(0, 1)", "(0, 1)", "unit"),
        (" unit ", "(0, 1)", "unit"),
    ],
)
def test_intervals_are_read(text: str, written: str, word: str) -> None:
    domain = read_domain(text)
    assert (domain.written, domain.word) == (written, word)
    assert read_domain(str(domain)) == domain == read_domain(domain.written)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("[1, 0]", 0, "wrong order"),
        ("[1, 1]", 0, "one number"),
        ("(1, 1)", 0, "empty"),
        ("[1, 1)", 0, "empty"),
        ("[0, inf]", 4, "infinite"),
        ("[-inf, 0]", 1, "infinite"),
        ("(inf, -inf)", 0, "empty"),
        ("[0 1]", 3, "comma"),
        ("[0, 1", 5, "not complete"),
        ("]0, 1[", 0, "no place"),
        ("(0, 1))", 6, "after"),
        ("[a, 1]", 1, "not a number"),
        ("[,1]", 1, "missing"),
        ("[0,]", 3, "missing"),
        ("[1/0, 2]", 1, "zero"),
        ("[0; 1]", 2, "no place"),
        ("[0, oo)", 4, "not a number"),
        ("[0, nan]", 4, "not a number"),
        ("[1e999, 2]", 1, "too large"),
        ("[0, 1e-301]", 4, "too small"),
        ("[" + "9" * (MAX_DIGITS + 1) + ", inf)", 1, "too long"),
        ("[", 1, "missing"),
        ("[0, 1] [2, 3]", 7, "after"),
        ("[0, 1_0]", 5, "no place"),
        ("[٣, 4]", 1, "not a number"),
        ("positve", None, 'did you mean "positive"'),
        ("", None, "is not a domain"),
        ("0..1", None, "is not a domain"),
        ("a" * 70_000, None, "is not a domain"),
    ],
)
def test_what_is_no_interval_is_refused_at_its_column(text: str, column: int | None, said: str) -> None:
    with pytest.raises(SpecError) as error:
        read_domain(text)
    assert error.value.column == column
    assert said in str(error.value) and len(str(error.value)) < 600
    assert error.value.expected


@pytest.mark.parametrize("entry", ["1", "[0, 1]", "true", "{ domain = 1 }", '{ domain = "[1, 0]" }'])
def test_a_spec_names_the_parameter_with_a_bad_domain(entry: str) -> None:
    with pytest.raises(SpecError, match=r"parameters\.k"):
        midpo.loads(f'name = "a"\nprior = "pi_ref(y)"\n[parameters]\nk = {entry}')


def test_features_have_domains() -> None:
    head = 'name = "a"\nprior = "pi_ref(y)"\n[features]\n'
    spec = midpo.loads(
        head + 'g = { kind = "pair", domain = "(0, 1]" }\nh = "token"\ns = { kind = "response" }'
    )
    assert spec.names.features == {"g": "pair", "h": "token", "s": "response"}
    assert str(spec.names.range("g")) == "(0, 1]" and str(spec.names.range("s")) == "real"
    for entry in (
        '{ domain = "unit" }',
        '{ kind = "pairs" }',
        '{ kind = "pair", domain = 2 }',
        '{ kind = "pair", low = 2 }',
        "3",
    ):
        with pytest.raises(SpecError, match=r"features\.g"):
            midpo.loads(f"{head}g = {entry}")


def test_defaults_lie_at_closed_ends_and_not_at_open_ones() -> None:
    text = 'name = "a"\nprior = "pi_ref(y)**k"\n[parameters]\nk = {{ domain = "{}", default = {} }}'
    for domain, default in (("[0, 1)", 0), ("(0, 1]", 1), ("[0.1, 0.3]", 0.1)):
        assert midpo.loads(text.format(domain, default)).defaults["k"] == Rational(str(default))
    for domain, default in (("[0, 1)", 1), ("(0, 1]", 0), ("(0.1, 0.3]", 0.1), ("[2, 3]", 4)):
        with pytest.raises(SpecError, match="outside its domain"):
            midpo.loads(text.format(domain, default))


# --- Signs ---------------------------------------------------------------------------------------

PARAMETERS = {
    "e": "[0, 1/2)",
    "u": "(0, 1]",
    "m3": "[-2, -1/3]",
    "k": "[3, 5]",
    "r": "real",
    "big": "[3/2, inf)",
    "low": "(-inf, -1)",
    "g": "unit",
    "n": "nonnegative",
}
NAMES = Names({name: Parameter(name, read_domain(d)) for name, d in PARAMETERS.items()})


@pytest.mark.parametrize(
    ("text", "positive", "negative"),
    [
        ("1 - e", True, False),
        ("1 - 2*e", True, False),
        ("2*e - 1", False, True),
        ("1 - u", False, False),
        ("k - 2", True, False),
        ("k - 3", False, False),
        ("2 - k", False, True),
        ("1/(k - 2)", True, False),
        ("-1/m3", True, False),
        ("big - 1", True, False),
        ("low + 1", False, True),
        ("low*m3", True, False),
        ("u*e", False, False),
        ("k*u", True, False),
        ("1 - e*u", True, False),
        ("pi(y_w) - e*pi(y_w)", True, False),
        ("pi(y_w) + e*pi(y_l) - e*pi(y_w)", True, False),
        ("pi(y_w) - u*pi(y_w)", False, False),
        ("u*pi(y_w) - 2*pi(y_w)", False, True),
        ("len(y_w) - e*len(y_w)", True, False),
        ("len(y_w) - 1", False, False),
        ("len(y_w) - u/2", True, False),
        ("r**2 + u", True, False),
        ("exp(r) - e", False, False),
        ("1 - exp(low)", True, False),
        ("log(big)", True, False),
        ("tanh(m3)", False, True),
        ("g*n + u", True, False),
        ("1 - g*u", True, False),
        ("(1 - g)*(1 - e)", True, False),
    ],
)
def test_signs_are_read_off_the_ends(text: str, positive: bool, negative: bool) -> None:
    expr = parse(text, NAMES, TARGET)
    assert (is_positive(expr), is_negative(expr)) == (positive, negative)


def random_text(rng: random.Random, depth: int) -> str:
    """A random expression in the parameters, probabilities and lengths."""

    def inner() -> str:
        return random_text(rng, depth - 1)

    if depth == 0:
        return rng.choice(
            [*PARAMETERS, *PARAMETERS, "1", "2", "1/2", "3", "pi(y_w)", "pi_ref(y_w)", "len(y_w)", "len(y_l)"]
        )
    kind = rng.randrange(10)
    if kind < 6:
        return f"({inner()} {rng.choice('+-*+-*/')} {inner()})"
    if kind == 6:
        return f"({inner()})**{rng.choice((2, 3, -1, -2))}"
    if kind == 7:
        return f"{rng.choice(('max', 'min'))}({inner()}, {inner()})"
    word = rng.choice(("exp", "tanh", "abs", "relu", "step", "sigmoid", "logsigmoid", "sg"))
    return f"{word}({inner()})"


def test_no_value_lies_outside_the_enclosure() -> None:
    """Signs are read off intervals: they hold every value that is drawn, ends included, and a
    closed end is what it says."""
    rng, ops, tried, signed = random.Random(7), Digits(40), 0, 0
    declared = "\n".join(f'{name} = "{domain}"' for name, domain in PARAMETERS.items())
    for _ in range(220):
        text = random_text(rng, rng.randint(1, 3))
        try:
            spec = midpo.loads(f'name = "a"\n[parameters]\n{declared}\n[target]\nloss = "{text}"')
        except (SpecError, NoValue):
            continue
        assert spec.loss is not None
        held = enclosure(spec.loss)
        signed += held.nonnegative or held.nonpositive
        for case in itertools.islice(cases(spec), 12):
            try:
                value = Evaluator(ops, case.point(ops))(spec.loss)
            except Undefined:
                continue
            tried += 1
            slack = abs(value) * ops.number(Fraction(1, 10**30))
            below, above = (
                ops.number(end) if isinstance(end, Fraction) else end for end in (held.lower, held.upper)
            )
            assert below - slack <= value <= above + slack, (text, held.written, value)
            if value == 0:
                assert 0 in held, (text, held.written)
    assert tried > 1000 and signed > 60


@pytest.mark.parametrize("text", [*PARAMETERS.values(), *DOMAINS])
def test_what_is_drawn_lies_inside_and_reaches_closed_ends(text: str) -> None:
    spec = midpo.loads(
        f'name = "a"\n[parameters]\np = "{text}"\n[features]\n'
        f'd = {{ kind = "pair", domain = "{text}" }}\n'
        f't = {{ kind = "token", domain = "{text}" }}\n'
        '[target]\nloss = "p + d + sum(t(y_w, i) for i in y_w) + log(pi(y_w))"'
    )
    domain = read_domain(text)
    drawn = {case.parameters["p"] for case in cases(spec)}
    drawn |= {case.features["d"] for case in cases(spec)}
    drawn |= {v for case in cases(spec) for v in case.features["t"]["y_w"]}
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(60):
        batch = random_batch(spec, {"pi": "logits"}, rng, scale=1.0, vocabulary=3)
        drawn.add(batch.parameters["p"])
        drawn |= {Fraction(x) for name in "dt" for x in batch.features[name].ravel().tolist()}
    assert all(
        min(abs(v - e) for e, _ in domain.end_values) < 1e-9 or v in domain
        if domain.end_values
        else v in domain
        for v in drawn
    )
    assert {end for end, closed in domain.end_values if closed} <= drawn
    assert not {end for end, closed in domain.end_values if not closed} & drawn


# --- Kernels -------------------------------------------------------------------------------------

BACKENDS = ("eager", "fused", "linear", "logps", "native")
QUICK = ("cdpo", "robust-dpo", "ld-dpo", "simpo")


def beyond(domain: Interval) -> list[float]:
    """Numbers that a domain does not hold: its open ends, what lies beyond, and no numbers."""
    found = [math.nan, math.inf, -math.inf]
    for end, closed in domain.end_values:
        low = end == domain.lower
        found += [] if closed else [float(end)]
        found += [float(end) - 1e-3, float(end) - 7] if low else [float(end) + 1e-3, float(end) + 7]
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_kernels_refuse_what_lies_outside_a_domain(backend: str) -> None:
    refused_outside("eager", sorted(midpo.catalogue())) if backend == "eager" else refused_outside(
        backend, QUICK
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_kernel_refuses_what_lies_outside_a_domain(backend: str) -> None:
    refused_outside(backend, sorted(midpo.catalogue()))


def refused_outside(backend: str, names: Any) -> None:
    torch = pytest.importorskip("torch")
    import numpy as np

    from midpo.numeric.checking.adapting import from_logits

    tried = 0
    for name in names:
        spec = midpo.load(name)
        try:
            kernel = midpo.generate(spec, backend=backend)
        except midpo.MidpoError:
            continue
        batch = random_batch(
            spec, dict.fromkeys(kernel.policies, "logits"), np.random.default_rng(1), scale=1.0, vocabulary=5
        )
        function = from_logits(torch, kernel)
        given = {
            midpo.symbolic.language.spec.policy_argument(p): torch.tensor(batch.logits[p])
            for p in kernel.policies
        }
        given |= {f: torch.tensor(batch.features[f]) for f in kernel.features}
        given |= {p: float(batch.parameters[p]) for p in kernel.parameters}
        given |= {p: float(d) for p, d in spec.defaults.items() if p in kernel.parameters}
        labels = torch.tensor(batch.labels)
        for parameter, domain in kernel.parameters.items():
            for value in beyond(domain):
                with pytest.raises(ValueError, match=f"{parameter}: got {value}"):
                    function(labels=labels, **{**given, parameter: value})
                tried += 1
            if backend in ("eager", "fused"):
                for end, closed in domain.end_values:
                    if closed:
                        loss = function(labels=labels, **{**given, parameter: float(end)})
                        assert math.isfinite(float(loss)), (name, parameter, end)
    assert tried > 3 * len(names)


CONDITION = """name = "a"
prior = "(beta - k)*pi_ref(y)"
[parameters]
alpha = "positive"
beta = "real"
k = "[1/2, 2]"
[target]
margin = "alpha*log(pi(y_w)/pi_ref(y_w))/(beta - 3) + (5 - exp(beta - k))**(1/2)*log(pi(y_l))"
"""


def test_kernels_refuse_where_a_side_condition_on_parameters_fails() -> None:
    torch = pytest.importorskip("torch")
    function = midpo.generate(midpo.loads(CONDITION)).compile()
    given = {"labels": torch.zeros(2, 3, dtype=torch.int64)}
    given |= {name: torch.zeros(2, 3, 4) for name in ("policy_logits", "reference_logits")}
    for beta, needed in ((3.0, "beta - 3 != 0"), (2.5, "exp(beta - k) > 0"), (0.25, "beta - k > 0")):
        with pytest.raises(ValueError, match="beta") as error:
            function(**given, alpha=1.0, beta=beta, k=0.5)
        assert needed in str(error.value) and str(beta) in str(error.value)


def test_robust_dpo_stops_before_one_half() -> None:
    torch = pytest.importorskip("torch")
    function = midpo.generate("robust-dpo").compile()
    z = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    given = {
        "labels": torch.zeros(2, 3, dtype=torch.int64),
        "policy_logits": z,
        "reference_logits": z.flip(0),
    }
    for epsilon in (0.5, 0.7, -0.1):
        with pytest.raises(ValueError, match="epsilon"):
            function(**given, epsilon=epsilon)
    plain = midpo.generate("dpo").compile()(**given)
    assert torch.allclose(function(**given, epsilon=0.0), plain)
    assert torch.allclose(midpo.generate("cdpo").compile()(**given, epsilon=0.0), plain)


# --- A prior is positive -------------------------------------------------------------------------

HEAD = """name = "a"
prior = "{}"
[parameters]
alpha = "positive"
beta = "real"
eta = "unit"
tau = "positive"
n = "nonnegative"
k = "[3, 5]"
[features]
score = "response"
g = {{ kind = "response", domain = "positive" }}
w = "token"
gap = "pair"
[target]
margin = "DPO"
""".replace("DPO", DPO)


def conditions(prior: str) -> list[str] | None:
    """The conditions under which a prior is positive; None where it is refused."""
    try:
        return list(side_conditions(midpo.loads(HEAD.format(prior))))
    except SpecError as error:
        assert error.key == "prior" and error.column == 0 and error.problem.startswith("the prior ")
        return None


# Positive everywhere, each by something that an enclosure term by term does not see.
POSITIVE_PRIORS = (
    "pi_ref(y)*(1 + len(y))",
    "pi_ref(y)*(2 - pi(y))",
    "pi(y)/(pi(y) + pi_ref(y))",
    "1/(1 - pi(y)/2)",
    "sum(pi(y, t) for t in y)",
    "sum(1 - pi(y, t) for t in y)",
    "pi_ref(y)*(1 - eta/2)",
    "len(y)**2 - len(y) + 1",
    "len(y)**2 - 5*len(y) + 7",
    "sigmoid(beta)",
    "-log(pi_ref(y))",
    "1 - exp(-tau)",
    "pi_ref(y)*(beta**2 - beta + 1)",
    "pi_ref(y)*(1 - 2*pi(y)*(1 - pi(y)))",
    "pi(y)**2 - pi(y)*pi_ref(y) + pi_ref(y)**2",
    "tau + 1/tau - 1",
    "beta**2 - beta*tau + tau**2",
    "1 - sum(pi(y, t) for t in y)/len(y)",
    "1 + len(y) - sum(pi(y, t) for t in y)",
    "max(pi(y), pi_ref(y)) - pi(y)/2",
    "2 - min(1, tau)",
    "abs(beta) - beta + 1",
    "6 - min(len(y), 5)",
)


@pytest.mark.parametrize("prior", POSITIVE_PRIORS)
def test_ordinary_positive_priors_need_no_condition(prior: str) -> None:
    assert conditions(prior) == []


@pytest.mark.parametrize(
    ("prior", "where"),
    [
        ("pi_ref(y)/beta", ["beta > 0"]),
        ("pi_ref(y)/beta**2", ["beta != 0"]),
        ("pi_ref(y)/(beta - 1)**2", ["1 - beta != 0"]),
        ("pi_ref(y)/n", ["n > 0"]),
        ("(exp(beta) - 1)*pi_ref(y)", ["beta > 0"]),
        ("pi_ref(y)*sqrt(beta)/beta", ["beta > 0"]),
        ("pi_ref(y)*beta**tau", ["beta > 0"]),
        ("by_label(beta, 1/beta)*pi_ref(y)", ["beta > 0"]),
        ("(len(y) + beta)**eta*beta", ["beta > 0"]),
        ("log(1 + beta)*pi_ref(y)", ["beta > 0"]),
        ("sum(w(y, t)**2 for t in y)*pi_ref(y)", ["sum(w(y, t)**2 for t in y) > 0"]),
        ("pi_ref(y)/(score(y)*gap)**2", ["score(y) != 0", "gap != 0"]),
    ],
)
def test_conditions_are_said_once(prior: str, where: list[str]) -> None:
    assert sorted(conditions(prior) or ["refused"]) == sorted(where)


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ("by_label(pi_ref(y), -pi_ref(y))", "dispreferred response, -pi_ref(y), is negative "),
        ("by_label(pi_ref(y) - 1, 1)", "the preferred response, pi_ref(y) - 1, is negative "),
        ("pi_ref(y)/(len(y) - 1)", "no value at |y| = 1: len(y) - 1 is 0 there"),
        ("log(len(y))", "0 at |y| = 1"),
        ("pi_ref(y)*(10 - len(y))", "0 at |y| = 10"),
        ("pi_ref(y)*(99/100 - pi(y))", "at pi(y) = "),
        ("1/2 - pi(y)", "at pi(y) = "),
        ("max(pi(y) - pi_ref(y), 0)", "at |y| = 1, pi(y) = "),
        ("sum(kl(pi, pi_ref, y, t) for t in y)", "over the vocabulary"),
        ("pi(y)*(30 + sum(w(y, t)**2 for t in y)) - len(y)", "at |y| = "),
    ],
)
def test_refusals_say_what_is_true(prior: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        midpo.loads(HEAD.format(prior))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("prior", "where"),
    [
        ("pi_ref(y)", []),
        ("2*pi_ref(y)", []),
        ("exp(-alpha)*pi_ref(y)", []),
        ("len(y)", []),
        ("(1 - eta)*pi_ref(y)", []),
        ("pi_ref(y) - eta*pi_ref(y)", []),
        ("(k - 2)*pi_ref(y)", []),
        ("(1 - pi(y))*pi_ref(y)", []),
        ("g(y)*pi_ref(y)", []),
        ("pi_ref(y)**beta", []),
        ("(beta - 1)**2*pi_ref(y)", ["1 - beta != 0"]),
        ("beta*pi_ref(y)", ["beta > 0"]),
        ("beta**3*pi_ref(y)", ["beta > 0"]),
        ("n*pi_ref(y)", ["n > 0"]),
        ("beta*pi_ref(y) + beta*pi(y)", ["beta > 0"]),
        ("(eta - 2)*beta*pi_ref(y)", ["-beta > 0"]),
        ("abs(beta)*pi_ref(y)", ["beta != 0"]),
        ("max(beta, 0)*pi_ref(y)", ["beta > 0"]),
        ("gap*pi_ref(y)", ["gap > 0"]),
        ("step(beta)*tanh(beta)*pi_ref(y)", ["beta > 0"]),
        ("sqrt(beta)*pi_ref(y)", ["beta > 0"]),
        ("sg(beta)*pi_ref(y)", ["beta > 0"]),
        ("by_label(beta, 2)*pi_ref(y)", ["beta > 0"]),
        ("score(y)*pi_ref(y)", ["score(y) > 0"]),
        ("by_label(beta, -beta)*pi_ref(y)", None),
        ("by_label(beta - 1, -beta)*pi_ref(y)", None),
        ("0", None),
        ("pi_ref(y) - pi_ref(y)", None),
        ("-3", None),
        ("-pi_ref(y)", None),
        ("(eta - 2)*pi_ref(y)", None),
        ("-beta**2*pi_ref(y)", None),
        ("-1/pi(y)", None),
        ("pi_ref(y) - tau*pi(y)", None),
        ("pi_ref(y)*step(len(y) - 3)", None),
        ("(len(y) - 1)*pi_ref(y)", None),
        ("(len(y) - 3)*pi_ref(y)", None),
        ("(len(y) - tau)*pi_ref(y)", None),
        ("by_label(beta, -1)*pi_ref(y)", None),
        ("by_label(1, 0)*pi_ref(y)", None),
        ("log(pi_ref(y)) + beta*len(y)", None),
        ("log(pi_ref(y)) + tau*len(y)", None),
        ("sum(log(pi_ref(y, t)) for t in y)", None),
        ("prod(w(y, t)*pi_ref(y, t) for t in y)", None),
        ("relu(pi_ref(y) - pi(y))", None),
        ("logsigmoid(beta)*pi_ref(y)", None),
        ("(1 - 2*pi(y))*pi_ref(y)", None),
        ("(eta*(1 - eta) - 1/4)*pi_ref(y)", None),
        ("(2*beta - beta**2 - 1)*pi_ref(y)", None),
        ("(2*score(y) - score(y)**2 - 1)*pi_ref(y)", None),
    ],
)
def test_a_prior_is_positive_or_says_where(prior: str, where: list[str] | None) -> None:
    assert conditions(prior) == where


@pytest.mark.parametrize(
    "prior",
    [
        "log(pi_ref(y)) + beta*len(y)",
        "log(pi(y)) - log(pi_ref(y))",
        "sum(log(pi_ref(y, t)) for t in y) - tau*len(y)",
    ],
)
def test_a_logarithm_of_a_prior_is_told(prior: str) -> None:
    with pytest.raises(SpecError) as error:
        midpo.loads(HEAD.format(prior))
    assert error.value.expected == "is this log zeta? Then write exp(...) around it"


FACTORS = (
    "beta",
    "(beta - 1)",
    "(eta - 2)",
    "(1 - eta)",
    "pi_ref(y)",
    "tau",
    "exp(beta)",
    "n",
    "(len(y) - 1/2)",
    "(len(y) - 2)",
    "(2 - k)",
    "(pi(y) - pi_ref(y))",
    "(tau + n)",
    "-1",
    "(tau - 1)",
    "tanh(beta)",
    "step(beta)",
    "relu(beta)",
    "len(y)",
)


def test_priors_are_judged_as_their_values_are() -> None:
    """Products and sums of random factors: a prior that is let pass is positive wherever its
    conditions hold, and one that is refused is not positive somewhere."""
    meets = {"positive": lambda x: x > 0, "nonnegative": lambda x: x >= 0, "nonzero": lambda x: x != 0}
    rng, ops, passed, stated, refused = random.Random(11), Digits(40), 0, 0, 0
    for _ in range(120):
        parts = ["*".join(rng.sample(FACTORS, rng.randint(1, 3))) for _ in range(rng.choice((1, 1, 2)))]
        prior = f"({' + '.join(parts)})*pi_ref(y)"
        told = conditions(prior)
        plain = HEAD.format("pi_ref(y)").replace(DPO, prior.replace("(y)", "(y_w)"))
        spec = midpo.loads(plain)
        assert spec.margin is not None
        given = () if told is None else midpo.loads(HEAD.format(prior)).conditions
        lowest = math.inf
        for case in itertools.islice(cases(spec), 40):
            evaluate = Evaluator(ops, case.point(ops))
            value = evaluate(spec.margin)
            held = all(meets[c.kind](evaluate(c.expr.xreplace(at_winner()))) for c in given)
            if told is not None and held:
                assert value > 0, (prior, told, case)
            lowest = min(lowest, float(value))
        passed, stated, refused = (passed + (told == []), stated + bool(told), refused + (told is None))
        if told == []:
            assert lowest > 0, prior
        if told is None:
            assert lowest <= 0, prior
    assert passed > 10 and stated > 20 and refused > 20


def at_winner() -> dict[Any, Any]:
    from midpo.symbolic.language.nodes import CHOSEN, RESPONSE

    return {RESPONSE: CHOSEN}


@pytest.mark.parametrize("prior", ["beta*pi_ref(y)", "0", "-pi_ref(y)", "max(beta, 0)*pi_ref(y)"])
def test_no_command_contradicts_another(prior: str, tmp_path: Any) -> None:
    path = tmp_path / "a.toml"
    path.write_text(HEAD.format(prior).replace('gap = "pair"\n', ""))
    pytest.importorskip("torch")
    told = conditions(prior)
    for command in (
        ["verify"],
        ["solve"],
        ["audit", "--trials", "2"],
        ["show"],
        ["check", "--trials", "1"],
        ["generate", "-o", str(tmp_path / "a.py")],
        ["certify", "-o", str(tmp_path / "c")],
        ["report", "-o", str(tmp_path / "r"), "--no-pdf"],
    ):
        ended = CliRunner().invoke(main, [command[0], str(path), *command[1:], "--json"])
        assert ended.exception is None or isinstance(ended.exception, SystemExit), command
        if told is None:
            assert ended.exit_code == 2, command
            assert "the prior is" in ended.output
        else:
            assert ended.exit_code == 0, (command, ended.output)
            if command[0] == "verify":
                assert json.loads(ended.stdout)[0]["side_conditions"] == told
            if command[0] == "audit":
                assert told[0] in ended.stdout


@pytest.mark.parametrize(
    ("prior", "mass"),
    [
        ("pi_ref(y)", "1"),
        ("2*pi_ref(y)", "2"),
        ("exp(-alpha)*pi_ref(y)", "exp(−α)"),
        ("beta*pi_ref(y)", "β"),
        ("3*pi(y)/7", "3/7"),
        ("tau*pi_ref(y)", "τ"),
        ("pi_ref(y) + 2*pi(y)", "3"),
    ],
)
def test_the_audit_speaks_of_the_prior_as_stated(prior: str, mass: str) -> None:
    pytest.importorskip("numpy")
    from midpo.proofs.audit.audit import audit

    (first, *_) = audit(midpo.loads(HEAD.format(prior)), trials=2)["mass"].claims
    assert first.sentence.startswith(f"the mass is {mass}:") and first.standing.startswith("proved")


@pytest.mark.parametrize("prior", ["3*pi_ref(y)**eta*pi(y)**(1 - eta)", "tau*pi_ref(y)/exp(len(y))"])
def test_a_bound_on_the_mass_keeps_the_factor(prior: str) -> None:
    pytest.importorskip("numpy")
    from midpo.proofs.audit.audit import audit

    (first, *_) = audit(midpo.loads(HEAD.format(prior)), trials=2)["mass"].claims
    factor = prior.split("*")[0].replace("tau", "τ")
    assert first.sentence.startswith(f"{factor} times the mass of ζ/{factor}")


CERTIFIED = """name = "{}"
prior = "max(beta, 0)*(k - 2)*pi_ref(y)*exp({}e*score(y)/h)*prod(u(y, t) for t in y)"
[parameters]
alpha = "(0, 1]"
beta = "real"
k = "[3, 5]"
e = "[0, 1/2)"
h = "[-3, -1/3]"
[features]
score = {{ kind = "response", domain = "[-1/2, inf)" }}
u = {{ kind = "token", domain = "positive" }}
[target]
margin = '''DPO + alpha*e*(score(y_w) - score(y_l))/h
            - alpha*sum(log(u(y_w, t)) for t in y_w) + alpha*sum(log(u(y_l, t)) for t in y_l)'''
""".replace("DPO", DPO)


@pytest.mark.coq
@pytest.mark.parametrize(("name", "sign"), [("recovered", "-"), ("slipped", "")])
def test_domains_and_conditions_are_certified(name: str, sign: str, tmp_path: Any) -> None:
    """Both ways the theorem says that parameters and data lie in their domains."""
    if shutil.which("coqc") is None:
        pytest.skip("needs coqc")
    path = tmp_path / f"{name}.toml"
    path.write_text(CERTIFIED.format(name, sign))
    ended = CliRunner().invoke(main, ["certify", str(path), "-o", str(tmp_path / "c"), "--check"])
    assert ended.exit_code == 0 and "checked" in ended.output, ended.output
    (written,) = (tmp_path / "c").glob(f"re*_{name}.v")
    text = written.read_text()
    for fact in ("p_alpha <= (1)", "p_e < (1/2)", "(-3) <= p_h", "0 < f_u x y t", "0 < p_beta"):
        assert fact in text


@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_beyond_all_floats_meet_infinities(sign: int) -> None:
    huge = point(Fraction(sign * 10**400))
    assert huge + POSITIVE == POSITIVE + huge == (POSITIVE if sign > 0 else REAL)
    assert huge * POSITIVE == POSITIVE * huge == (POSITIVE if sign > 0 else -POSITIVE)
    assert huge * REAL == REAL and huge + REAL == REAL
