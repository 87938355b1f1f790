"""What is written into a kernel's file of the runtime: all that it calls, once, in order."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

import midpo
from midpo.codegen import bundle
from midpo.codegen.backends import BACKENDS

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
    assert {*bundle.MODULES} == {f.stem for f in bundle.RUNTIME.glob("[a-z]*.py")}


def test_what_is_called_is_there_in_order_of_definition() -> None:
    written = [p.names[0] for p in bundle.called({"_exp_remainder", "_token_sum"})]
    assert written == ["_expm1", "_bounded_expm1", "_exp_remainder", "_token_sum"]


def test_a_name_of_the_runtime_is_not_defined_twice() -> None:
    source = "#: imports\n\n\ndef _token_sum(x):\n    return x\n\n\n#: runtime\n"
    assert bundle.bundled(source, thin=False).endswith("return x\n")
    both = source.replace("_token_sum(x)", "_expm1(x)").replace("return x", "return _bounded_expm1")
    with pytest.raises(AssertionError, match="both define"):
        bundle.bundled(both, thin=False)


def test_imports_are_those_that_are_read() -> None:
    source = "#: imports\n\n\ndef f(x: Tensor) -> Any:\n    return torch, sys, F\n\n\n#: runtime\n"
    assert bundle.bundled(source, thin=False).startswith(
        "import sys\nfrom typing import Any\n\nimport torch\nimport torch.nn.functional as F\n"
        "from torch import Tensor\n\n\ndef f")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_holds_what_it_reads_and_no_more(backend: str) -> None:
    for name in ("dpo", "tdpo") if backend != "logps" else ("dpo",):
        tree = ast.parse(midpo.generate(name, backend=backend).source)
        names = [name for node in tree.body for name in bundle.bound(node)]
        assert len(names) == len(set(names))
        read = bundle.read(tree)
        function = f"{name}_loss"
        assert {n for n in names if n not in read} <= {function, "annotations"}
        known = {n for piece in bundle.library()[0] for n in piece.names} | {*bundle.library()[1]}
        assert (read & known) <= set(names)
