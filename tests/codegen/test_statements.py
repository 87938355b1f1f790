"""Lines of kernels as data: what is printed of them, broken where it is long, is what was meant."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence

import pytest

import midpo
from midpo.codegen.backends import BACKENDS
from midpo.codegen.emit import generate
from midpo.codegen.names import marked
from midpo.codegen.printing import memory
from midpo.codegen.statements import c, python
from midpo.codegen.statements.nodes import Assign, Call, Group, Name, Statement, names, walk
from midpo.codegen.statements.python import WIDTH, terms, text
from midpo.codegen.statements.quote import quote
from midpo.symbolic.errors import NotYet

LEAVES = ("x", "12", "0.5", "token_sum_w", "policy_token_logps", marked("beta"), "lengths[:, None]", "1e-30")
FORMS = (
    "{0} + {1}",
    "{0} - ({1})",
    "({0}) * ({1})",
    "({0}) / ({1})",
    "({0}) ** ({1})",
    "({0} >= {1})",
    "({0}, {1})",
    "({0} if {1} else x)",
    "({0})",
    "-({0})",
    "({0}).sum(-1)",
    "[{0}, *({1})]",
    "f(*({0}), dim=-1)",
    "(not {0})",
    "({0})[: {1}]",
    "({0}, )",
    "(~{0} | {1})",
    "torch.where({0}, {1}, {2})",
    "g({0})({1})",
    f"torch.clamp({{0}}, {{1}}, max={marked('beta')})",
    "{0} - {1}",
    "torch.exp({0})",
)
C_LEAVES = ("policy_probs", "coefficient", "0.5", "3", "1e-30")
C_FORMS = ("{0} + {1}", "({0}) * {1}", "_where({0} == 0.0, 0.0, {1})", "_exp({0})", "-({0})")


def expression(rng: random.Random, depth: int, leaves: Sequence[str], forms: Sequence[str]) -> str:
    if depth == 0 or rng.random() < 0.1:
        return rng.choice(leaves)
    form = rng.choice(forms)
    return form.format(*(expression(rng, depth - 1, leaves, forms) for _ in range(3)))


@pytest.mark.parametrize("seed", range(5))
def test_a_broken_statement_reads_back(seed: int) -> None:
    rng, broken = random.Random(seed), 0
    for _ in range(200):
        value = expression(rng, rng.randint(1, 5), LEAVES, FORMS)
        code = quote(value)
        assert quote(text(code)) == code
        for sign in ("=", "+="):
            for spread in (False, isinstance(code, Call)):
                lines = python.lines([Assign(Name("x"), code, sign, spread)])
                meant = ast.dump(ast.parse(f"x {sign} {value}"))
                assert ast.dump(ast.parse("\n".join(lines))) == meant, value
                assert len(lines) > 1 or len(lines[0]) <= WIDTH
                broken += len(lines) > 1
        assert " ".join(terms(code)) == text(code)
    assert broken > 150


@pytest.mark.parametrize(
    ("piece", "holes", "written"),
    [
        ("{} * {}", ("a + b", "-c"), "(a + b) * -c"),
        ("{}.sum(-1)", ("a - b",), "(a - b).sum(-1)"),
        ("a - {}", ("b - c",), "a - (b - c)"),
        ("{0} ** {0}", ("-a",), "(-a) ** -a"),
        ("f({}, key={})", ("a if b else c", "a == b"), "f(a if b else c, key=a == b)"),
    ],
)
def test_what_fills_a_hole_stays_whole(piece: str, holes: tuple[str, ...], written: str) -> None:
    assert text(quote(piece, *map(quote, holes))) == written


FROZEN = """name = "frozen"
[policies]
pi_old = "frozen"
[target]
margin = '''log(pi(y_w)) - log(pi(y_l)) + sum(sum(tanh(log(pi_old(y_w, t, v)) -
    log(pi_ref(y_w, t, v))) for v in vocab) for t in y_w)'''
"""


def test_the_brackets_of_a_call_are_not_those_of_a_difference() -> None:
    assert midpo.check(midpo.loads(FROZEN), backend="fused", trials=1, dtypes=["float64"]).passed


# -- questions to the lines of a pass, and what is changed in them


def lines_of(*written: str) -> list[Statement]:
    return [Assign(Name(name), quote(value)) for name, value in (line.split(" = ", 1) for line in written)]


@pytest.mark.parametrize(
    ("lines", "spent"),
    [
        (["h = expectation(p, log_p)"], ["h = expectation(p, log_p, True)"]),
        (["h = expectation(p, log_p)", "x = log_p"], None),
        (["h = expectation(p, log_p_x)"], None),
        (["s = expectation(p, p)"], ["s = expectation(p, p, True)"]),
        (["s = expectation(p, p) + p.sum(-1)"], None),
        # The brackets of a call are not those of a difference.
        (["t = torch.tanh(log_p - log_q).sum(-1)"], None),
    ],
)
def test_a_table_that_is_spoken_of_no_more_is_overwritten(lines: list[str], spent: list[str] | None) -> None:
    tables = [(True, "log_p"), (True, "log_q"), (False, "p")]
    found = memory.spending(lines_of(*lines), tables)
    assert python.lines(found) == python.lines(lines_of(*(spent or lines)))


def test_a_difference_in_brackets_is_made_in_its_first_table() -> None:
    difference = Group(quote("log_p - log_q"))
    (line,) = memory.spending(
        [Assign(Name("kl"), memory.expectation(Name("p"), difference))], [(True, "log_p")]
    )
    assert python.lines([line]) == ["kl = expectation(p, log_p.sub_(log_q))"]
    found = quote("expectation(p, log_p.sub_(log_q), True)")
    assert isinstance(found, Call) and memory.is_in_place(found)


def test_names_are_read_off_nodes() -> None:
    (line,) = lines_of("x = dtype_of(dtype.x, x=y.dtype)")
    assert names([line]) == {"x": 1, "dtype_of": 1, "dtype": 1, "y": 1}
    assert Name("y") in walk(line)


def test_a_broken_statement_of_c_is_the_same_tokens() -> None:
    rng, token = random.Random(1), re.compile(r"[\w.]+|\S")
    for _ in range(100):
        code = quote(expression(rng, 5, C_LEAVES, C_FORMS))
        lines = c.statements([Assign(Name("slope"), code), Assign(Name("slope"), code, "+=")])
        floats = c.text(code)
        assert token.findall(" ".join(lines)) == token.findall(f"float slope = {floats}; slope += {floats};")


def _meaning(source: str) -> str:
    """A file's statements, without its documentation; C without the places where lines end."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = " ".join(node.value.split())
    return ast.dump(tree)


def held(spec: midpo.Spec, backend: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    try:
        broken = generate(spec, backend).source
    except NotYet:
        return False
    with monkeypatch.context() as patch:
        patch.setattr(python, "WIDTH", 10**9)
        patch.setattr(c, "WIDTH", 10**9)
        whole = generate(spec, backend).source
    assert _meaning(broken) == _meaning(whole), spec.name
    return True


ROWS = list(midpo.catalogue())


@pytest.mark.parametrize(
    "name",
    [name if n % 40 == 0 else pytest.param(name, marks=pytest.mark.slow) for n, name in enumerate(ROWS)],
)
def test_every_file_reads_as_it_was_meant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = midpo.load(name)
    written = [held(spec, backend, monkeypatch) for backend in BACKENDS]
    assert any(written) or not (spec.has_target or spec.prior is not None or spec.batch is not None)


LONG = """name = "long"
[parameters]
alpha = "positive"
beta = "real"
c = "positive"
a_quite_long_parameter_name = "real"
another_quite_long_parameter_name = "real"
[policies]
pi_guide = "frozen"
[target]
margin = "{}"
"""


@pytest.mark.parametrize(
    "margin",
    [
        "sum(alpha*(1 + c*log(pi_guide(y_w,t)/pi_ref(y_w,t)))*log(pi(y_w,t)/pi_ref(y_w,t))"
        " for t in y_w)"
        " - alpha*log(pi(y_l)/pi_ref(y_l))",
        # A product whose last factor is a bracket over several lines: no call, and no tuple.
        "beta*(log(pi(y_w)/pi(y_l)) + a_quite_long_parameter_name*(len(y_w) - len(y_l)) + "
        "another_quite_long_parameter_name*(len(y_w)**2 - len(y_l)**2) + beta)",
        "alpha*max(0, min(1, log(pi(y_w)) - a_quite_long_parameter_name*log(pi(y_l)) - "
        "another_quite_long_parameter_name*(len(y_w)*beta - len(y_l)*beta**2)))*log(pi(y_l))",
    ],
)
def test_long_margins(margin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = midpo.loads(LONG.format(margin))
    for backend in ("eager", "native"):
        assert held(spec, backend, monkeypatch)
    assert midpo.check(spec, trials=2, dtypes=["float64"]).passed
