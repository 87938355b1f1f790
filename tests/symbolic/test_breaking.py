"""Long lines of kernels are broken where their structure is: they read back as what was meant."""

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
from midpo.codegen.printing import breaking, native
from midpo.codegen.printing.breaking import WIDTH, in_brackets, split_terms, wrap
from midpo.symbolic.errors import NotYet

LEAVES = ("x", "12", "0.5", "token_sum_w", "policy_token_logps", marked("beta"), "lengths[:, None]",
          "1e-30")
FORMS = (
    "{0} + {1}", "{0} - ({1})", "({0}) * ({1})", "({0}) / ({1})", "({0}) ** ({1})", "({0} >= {1})",
    "({0}, {1})", "({0} if {1} else x)", "({0})", "-({0})", "({0}).sum(-1)", "sum({0} for x in y)",
    "f(*({0}), dim=-1)", "torch.where({0}, {1}, {2})", "g({0})({1})", f"torch.clamp({{0}}, {{1}}, "
    f"max={marked('beta')})", "{0} - {1}", "torch.exp({0})",
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
        for head in ("x = ", "x += ", "a, *_ = "):
            lines = wrap(head, value)
            assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(ast.parse(head + value)), value
            assert len(lines) > 1 or len(lines[0]) <= WIDTH
            broken += len(lines) > 1
        assert "".join(split_terms(value)).replace(" ", "") == value.replace(" ", "")
        assert in_brackets(f"({value})") and not in_brackets(f"({value}) + (x)")
    assert broken > 150


def test_a_broken_statement_of_c_is_the_same_tokens() -> None:
    rng, token = random.Random(1), re.compile(r"[\w.]+|\S")
    for _ in range(100):
        value = expression(rng, 5, C_LEAVES, C_FORMS)
        lines = native.statements([f"slope = {value}", f"slope += {value}"], ())
        floats = native._floats(value)
        assert token.findall(" ".join(lines)) == token.findall(
            f"float slope = {floats}; slope += {floats};")


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
        patch.setattr(breaking, "WIDTH", 10**9)
        patch.setattr(native, "WIDTH", 10**9)
        whole = generate(spec, backend).source
    assert _meaning(broken) == _meaning(whole), spec.name
    return True


ROWS = list(midpo.catalogue())


@pytest.mark.parametrize("name", [
    name if n % 40 == 0 else pytest.param(name, marks=pytest.mark.slow)
    for n, name in enumerate(ROWS)
])
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


@pytest.mark.parametrize("margin", [
    "sum(alpha*(1 + c*log(pi_guide(y_w,t)/pi_ref(y_w,t)))*log(pi(y_w,t)/pi_ref(y_w,t))"
    " for t in y_w)"
    " - alpha*log(pi(y_l)/pi_ref(y_l))",
    # A product whose last factor is a bracket over several lines: no call, and no tuple.
    "beta*(log(pi(y_w)/pi(y_l)) + a_quite_long_parameter_name*(len(y_w) - len(y_l)) + "
    "another_quite_long_parameter_name*(len(y_w)**2 - len(y_l)**2) + beta)",
    "alpha*max(0, min(1, log(pi(y_w)) - a_quite_long_parameter_name*log(pi(y_l)) - "
    "another_quite_long_parameter_name*(len(y_w)*beta - len(y_l)*beta**2)))*log(pi(y_l))",
])
def test_long_margins(margin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = midpo.loads(LONG.format(margin))
    for backend in ("eager", "native"):
        assert held(spec, backend, monkeypatch)
    assert midpo.check(spec, trials=2, dtypes=["float64"]).passed
