"""What is written into a kernel's file of the runtime: all that it calls, once, in order."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

import midpo
from midpo.codegen import bundle
from midpo.codegen.backends import BACKENDS
from midpo.codegen.statements.nodes import Argument, Function, Name
from midpo.codegen.statements.quote import block

EVERY = """name = "every"
[target]
margin = '''(log(sum(pi(y_w, t) for t in y_w)) - log(pi(y_l)))*relu(exp(log(pi(y_w))/9) - 1)
    + prod(pi(y_w, t) for t in y_w) + exp(log(pi(y_w))) - exp(log(pi(y_l)))'''
"""


def test_no_two_names_of_the_runtime_are_one() -> None:
    names = Counter(name for piece in bundle.library()[0] for name in piece.names)
    assert {name for name, count in names.items() if count > 1} == set()
    assert all(name.startswith("_") or name.isupper() or name in ("triton", "tl") for name in names)


def test_modules_are_those_of_the_folder() -> None:
    folders = (bundle.RUNTIME, bundle.TRAINING)
    assert {*bundle.MODULES} == {f"{d.name}.{f.stem}" for d in folders for f in d.glob("[a-z]*.py")}


def test_what_is_called_is_there_in_order_of_definition() -> None:
    written = [p.names[0] for p in bundle.called({"_exp_remainder", "_token_sum"})]
    assert written == ["_expm1", "_bounded_expm1", "_exp_remainder", "_token_sum"]


def file_of(name: str, *lines: str) -> bundle.Bundle:
    """A file of one function."""
    body = tuple(line for each in lines for line in block(each))
    function = Function(name, (Argument("x", Name("Tensor")),), Name("Any"), (), body)
    return bundle.bundled(["It."], [function], [], thin=False)


def test_a_name_of_the_runtime_is_not_defined_twice() -> None:
    assert file_of("_token_sum", "return x").source.endswith("return x\n")
    with pytest.raises(AssertionError, match="both define"):
        file_of("_expm1", "return _bounded_expm1(x)")


def test_imports_are_those_that_are_read() -> None:
    found = file_of("f", "return torch, sys, F")
    assert found.source.startswith(
        '"""It.\n"""\n\nfrom __future__ import annotations\n\n'
        "import sys\nfrom typing import Any\n\nimport torch\nimport torch.nn.functional as F\n"
        "from torch import Tensor\n\n\ndef f"
    )
    assert found.computing == found.source.count("\n")


def test_a_local_is_no_definition_of_the_file() -> None:
    found = file_of("f", "Real = x", "return _number(Real, _positive)")
    assert "from numbers import Real\n" in found.source


def test_what_checks_arguments_comes_last() -> None:
    found = file_of("f", "return _token_sum(x, _is_whole(x))")
    lines = found.source.splitlines()
    assert any("def _token_sum" in line for line in lines[: found.computing])
    assert any("def _is_whole" in line for line in lines[found.computing :])


def bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.alias):
            found.add((each.asname or each.name).partition(".")[0])
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            found.add(each.id)
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_holds_what_it_reads_and_no_more(backend: str) -> None:
    for name in ("dpo", "tdpo") if backend != "logps" else ("dpo",):
        tree = ast.parse(midpo.generate(name, backend=backend).source)
        names = [name for node in tree.body for name in bound(node)]
        assert len(names) == len(set(names))
        read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        function = f"{name}_loss"
        assert {n for n in names if n not in read} <= {function, "annotations"}
        known = {n for piece in bundle.library()[0] for n in piece.names} | {*bundle.library()[1]}
        assert (read & known) <= set(names)
