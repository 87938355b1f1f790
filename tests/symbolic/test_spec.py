"""Spec files: every key, every way to get one wrong, and whatever else a file may hold."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Rational, S

from midpo.symbolic.errors import SpecError, cells, nearest, printable
from midpo.symbolic.language.spec import CATALOGUE, PAPER, Spec, catalogue, load, loads
from midpo.symbolic.language.table import KEYS

MINIMAL = 'name = "a"\nprior = "pi_ref(y)"\n'


def test_every_key() -> None:
    spec = loads("""
name = "my-own_1"
title = "My own"
reference = "someone2024"
prior = "pi_old(y)*exp(gamma*score(y) + sum(w(y, t) for t in y))"
constraint = "-log(pi(y_w))"
multiplier = "weight"
link = "max(0, 1 - m)"
[parameters]
alpha = { domain = "positive", default = 0.1 }
gamma = "real"
weight = { domain = "nonnegative" }
eta = { domain = "unit", default = 0.25 }
[features]
score = "response"
w = "token"
gap = "pair"
[policies]
pi_old = "frozen"
[target]
margin = "gap"
[bibtex]
author = "Someone"
year = 2024
""")
    assert (spec.name, spec.title, spec.reference) == ("my-own_1", "My own", "someone2024")
    assert spec.bibtex == {"author": "Someone", "year": "2024"}
    assert {n: str(p.domain) for n, p in spec.names.parameters.items()} == {
        "alpha": "positive",
        "gamma": "real",
        "weight": "nonnegative",
        "eta": "unit",
    }
    assert spec.defaults == {"alpha": Rational(1, 10), "eta": Rational(1, 4)}
    assert spec.names.features == {"score": "response", "w": "token", "gap": "pair"}
    assert spec.names.policies == {"pi", "pi_ref", "pi_old"}
    assert spec.policies == ("pi", "pi_old")
    assert spec.multiplier == spec.names.parameters["weight"]
    assert spec.alpha == spec.names.parameters["alpha"]
    assert spec.has_target and spec.loss is None and spec.link is not None
    assert spec.texts["link"] == "max(0, 1 - m)" and len(spec.digest) == 64


def test_only_a_prior_and_only_a_target() -> None:
    prior = loads(MINIMAL)
    assert not prior.has_target and prior.alpha == S.One
    target = loads('name = "a"\n[target]\nloss = "-logsigmoid(log(pi(y_w)/pi(y_l)))"')
    assert target.prior is None and target.has_target


BAD = [
    ("", "name", "the key is missing"),
    ('name = 1\nprior = "1"', "name", "a number"),
    ('name = "A"\nprior = "1"', "name", '"A" is not a name'),
    ('name = "a b"\nprior = "1"', "name", "is not a name"),
    (f'name = "{"a" * 65}"\nprior = "1"', "name", "is not a name"),
    ('name = "a"', "", "neither a prior nor a target"),
    ('name = "a"\nprior = 1', "prior", "a number"),
    ('name = "a"\nprior = true', "prior", "a truth value"),
    ('name = "a"\nprior = ["1"]', "prior", "a list"),
    ('name = "a"\nprior = 2020-01-01', "prior", "a date"),
    ('name = "a"\nprior = ""', "prior", "the expression is empty"),
    ('name = "a"\nprior = "y"', "prior", "is a response, not a number"),
    (MINIMAL + "title = 1", "title", "a number"),
    (MINIMAL + "reference = []", "reference", "a list"),
    (MINIMAL + 'priors = "1"', "priors", "unknown key"),
    (MINIMAL + 'target = "1"', "target", "a text"),
    (MINIMAL + "[target]", "target", "0 targets"),
    (MINIMAL + '[target]\nmargin = "1"\nloss = "1"', "target", "2 targets"),
    (MINIMAL + '[target]\nmargins = "1"', "target.margins", "unknown key"),
    (MINIMAL + "[target]\nmargin = 1", "target.margin", "a number"),
    (MINIMAL + '[target]\nloss = "pi(y)"', "target.loss", "not a response here"),
    (MINIMAL + "parameters = 1", "parameters", "a number"),
    (MINIMAL + '[parameters]\na = "complex"', "parameters.a", "is not a domain"),
    (MINIMAL + "[parameters]\na = 3", "parameters.a", "a number is not a domain"),
    (MINIMAL + "[parameters]\na = {default = 'x'}", "parameters.a", "is not a number"),
    (MINIMAL + "[parameters]\na = {default = true}", "parameters.a", "is not a number"),
    (MINIMAL + "[parameters]\na = {default = nan}", "parameters.a", "not finite"),
    (MINIMAL + "[parameters]\na = {default = inf}", "parameters.a", "not finite"),
    (MINIMAL + f"[parameters]\na = {{default = {10**301}}}", "parameters.a", "too large"),
    (MINIMAL + "[parameters]\na = {domain = 'positive', default = 0}", "parameters.a", "outside"),
    (MINIMAL + "[parameters]\na = {domain = 'unit', default = 1}", "parameters.a", "outside"),
    (MINIMAL + "[parameters]\na = {domain = 'nonnegative', default = -1}", "parameters.a", "outside"),
    (MINIMAL + "[parameters]\na = {domian = 'unit'}", "parameters.a.domian", "unknown key"),
    (MINIMAL + '[parameters]\nalpha = "real"', "parameters.alpha", 'domain "real"'),
    (MINIMAL + '[parameters]\nlog = "real"', "parameters.log", "already has a meaning"),
    (MINIMAL + '[parameters]\nlambda = "real"', "parameters.lambda", "already has a meaning"),
    (MINIMAL + '[parameters]\nprint = "real"', "parameters.print", "already has a meaning"),
    (MINIMAL + '[parameters]\ny = "real"', "parameters.y", "already has a meaning"),
    (MINIMAL + '[parameters]\npi = "real"', "parameters.pi", "cannot be used"),
    (MINIMAL + '[parameters]\npi_x = "real"', "parameters.pi_x", "cannot be used"),
    (MINIMAL + '[parameters]\n__class__ = "real"', "parameters.__class__", "cannot be used"),
    (MINIMAL + '[parameters]\n"a b" = "real"', "parameters.a b", "cannot be used"),
    (MINIMAL + '[parameters]\n"é" = "real"', "parameters.é", "cannot be used"),
    (MINIMAL + '[parameters]\nb = "real"\n[features]\nb = "pair"', "features.b", "twice"),
    (MINIMAL + '[parameters]\nb = "real"\nb = "unit"', "line 5", "this is not TOML"),
    (MINIMAL + '[features]\nb = "word"', "features.b", "is not a kind of feature"),
    (MINIMAL + "[features]\nb = 1", "features.b", "is not a kind of feature"),
    (MINIMAL + '[policies]\nold = "frozen"', "policies.old", "is not a policy name"),
    (MINIMAL + '[policies]\npi_old = "trained"', "policies.pi_old", "is not a kind of policy"),
    (MINIMAL + "[policies]\npi_old = []", "policies.pi_old", "is not a kind of policy"),
    (MINIMAL + '[policies]\npi_policy = "frozen"', "policies.pi_policy", "share its argument"),
    (MINIMAL + 'constraint = "1"', "multiplier", '"lam" is not a parameter'),
    (MINIMAL + 'multiplier = "lam"', "multiplier", "without a constraint"),
    (MINIMAL + 'constraint = "pi(y)"', "constraint", "not a response here"),
    (MINIMAL + 'link = "pi(y)"', "link", "not a response here"),
    (MINIMAL + "bibtex = 1", "bibtex", "a number"),
    (MINIMAL + '[bibtex]\nAuthor = "x"', "bibtex.Author", "not a BibTeX field"),
    (MINIMAL + "[bibtex]\nauthor = []", "bibtex.author", "not a BibTeX field"),
    ("name = ", "line 1", "this is not TOML"),
    ("name = 'a", "line 1", "this is not TOML"),
    ("\x00", "line 1", "this is not TOML"),
    ("name = '\x1b[31m'", "line 1", "this is not TOML"),
    ("a" * 70_000, "", "too large"),
    ("x = " + "[" * 20_000, "line 1", "nested too deeply"),
    ("x = " + "{a=" * 20_000, "line 1", "nested too deeply"),
    ("x = " + "9" * 20_000, "", "out of range"),
]


@pytest.mark.parametrize(("text", "key", "problem"), BAD)
def test_bad_specs(text: str, key: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(text, file="my.toml")
    error = caught.value
    assert (error.file, error.key) == ("my.toml", key)
    message = str(error)
    assert problem in message and "expected: " in message
    assert message.startswith("my.toml: ") and key in message.split("\n")[0]
    assert all(c.isprintable() or c == "\n" for c in message) and len(message) < 1500


def test_a_key_near_the_one_that_was_meant() -> None:
    with pytest.raises(SpecError) as caught:
        loads(MINIMAL + 'refrence = "x"')
    assert 'did you mean "reference"?' in caught.value.expected
    assert all(key in caught.value.expected for key in KEYS)


def test_the_caret_stands_in_the_line_of_a_text_of_several() -> None:
    text = 'name = "a"\nprior = """pi_ref(y)\n  * pi_rf(y)\n  * 2"""'
    with pytest.raises(SpecError) as caught:
        loads(text, file="my.toml")
    lines = str(caught.value).split("\n")
    assert lines[0].endswith('unknown function "pi_rf"')
    assert lines[1] == "  |   * pi_rf(y)" and lines[2] == "  |     ^"


def test_no_message_writes_to_the_terminal() -> None:
    escape = '"\\u001b[2J\\u0007\\u202e\\n"'
    for text in (
        MINIMAL + f"{escape} = 1",
        f"name = {escape}\nprior = '1'",
        MINIMAL + f"[parameters]\n{escape} = 'real'",
        MINIMAL + f"[parameters]\na = {escape}",
        MINIMAL + f"[features]\n{escape} = 'pair'",
        MINIMAL + f"[features]\na = {escape}",
        MINIMAL + f"[policies]\n{escape} = 'frozen'",
        MINIMAL + f"[policies]\npi_a = {escape}",
        MINIMAL + f"[bibtex]\n{escape} = 'x'",
        MINIMAL + f"multiplier = {escape}\nconstraint = '1'",
        f"name = 'a'\nprior = {escape}",
    ):
        with pytest.raises(SpecError) as caught:
            loads(text, file="\x1b]0;my\x07.toml")
        message = str(caught.value)
        assert all(c.isprintable() or c == "\n" for c in message)
        assert len(message.split("\n")) <= 4


def test_load(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(MINIMAL)
    assert load(file).name == load(str(file)).name == "a"
    assert load("dpo").name == "dpo"
    for source, problem in (
        (tmp_path / "other.toml", "cannot be read"),
        (tmp_path, "cannot be read"),
        (str(tmp_path) + "/", "cannot be read"),
        ("dopo", "no algorithm called"),
        ("", "no algorithm called"),
        ("a" * 5000, "no algorithm called"),
        ("a" * 5000 + ".toml", "cannot be read"),
        ("nul\x00l", "no algorithm called"),
        ("nul\x00l.toml", "not a file name"),
    ):
        with pytest.raises(SpecError, match=problem) as caught:
            load(source)
        assert all(c.isprintable() or c == "\n" for c in str(caught.value))
    with pytest.raises(SpecError) as caught:
        load("dopo")
    assert 'did you mean "dpo"?' in caught.value.expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Opening one would wait for a writer."""
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(SpecError, match="not a regular file"):
        load(tmp_path / "pipe.toml")


def test_files_that_hold_no_text(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    for data, problem in (
        (b"name = '\xff'", "byte 9 is not UTF-8"),
        (b"x" * 70_000, "too large"),
        (bytes(range(256)), "not UTF-8"),
        (b"", "the key is missing"),
    ):
        file.write_bytes(data)
        with pytest.raises(SpecError, match=problem):
            load(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(MINIMAL)
    file.chmod(0)
    with pytest.raises(SpecError, match="cannot be read: Permission denied"):
        load(file)


def test_the_largest_text_is_read() -> None:
    filler = "# " + "x" * (64 * 1024 - len(MINIMAL) - 3)
    assert loads(MINIMAL + filler + "\n").name == "a"
    with pytest.raises(SpecError, match="too large"):
        loads(MINIMAL + filler + "xx\n")


def test_catalogue() -> None:
    names = catalogue()
    assert tuple(names[: len(PAPER)]) == PAPER
    assert set(names) == {file.stem for file in CATALOGUE.glob("*.toml")}
    for name in names:
        spec = load(name)
        assert spec.name == name and spec.title and spec.year and spec.reference
        assert spec.reason or spec.has_target
        for parameter, default in spec.defaults.items():
            assert default in spec.names.parameters[parameter].domain


def test_status_and_reason() -> None:
    assert loads(MINIMAL).status == "confirmed" and loads(MINIMAL).year is None
    told = loads('name = "a"\nreason = "sorted over\\n the batch"\nstatus = "unconfirmed: an id"')
    assert (told.reason, told.status) == ("sorted over the batch", "unconfirmed: an id")
    with pytest.raises(SpecError, match="sorted over the batch"):
        _ = told.has_target
    for text, problem in (
        (f'reason = "x"\n{MINIMAL}', "a reason beside"),
        (f'status = "doubtful"\n{MINIMAL}', "not a status"),
        (f"status = 3\n{MINIMAL}", "expected: a string"),
        ('name = "a"\nreason = ""', "neither a prior nor a target"),
    ):
        with pytest.raises(SpecError, match=problem):
            loads(text)


TOML = [
    "name",
    "prior",
    "target",
    "parameters",
    "[",
    "]",
    "=",
    "'",
    '"',
    '"""',
    "{",
    "}",
    "a",
    "1",
    "pi(y)",
    "\n",
    "[target]",
    "[parameters]",
    "loss",
    "alpha",
    "real",
    ",",
    ".",
    "inf",
    "1979-05-27",
    "#",
    "true",
    "\\",
    "é",
    "'a'",
    "'pi(y)'",
]


def read(text: Any) -> Spec | None:
    start = time.process_time()
    try:
        return loads(text)
    except SpecError as error:
        assert all(c.isprintable() or c == "\n" for c in str(error))
        return None
    finally:
        assert time.process_time() - start < 4


@given(st.lists(st.sampled_from(TOML), max_size=30).map(" ".join))
@settings(max_examples=300)
def test_any_toml_is_read_or_refused(text: str) -> None:
    read(text)
    read(MINIMAL + text)


@given(st.text(max_size=200))
@settings(max_examples=150)
def test_any_text_is_read_or_refused(text: str) -> None:
    read(text)


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_any_file_is_read_or_refused(tmp_path_factory: Any, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(data)
    try:
        load(file)
    except SpecError as error:
        assert str(error)


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return repr(value)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
@settings(max_examples=200)
def test_any_values_are_read_or_refused(table: dict[str, Any]) -> None:
    read("\n".join(f"{key} = {toml(value)}" for key, value in table.items()))


def test_pieces_of_messages() -> None:
    assert printable("a\x1b[31mé\n\u202eb") == "a [31mé  b"
    assert cells("aé中e\u0301") == 5
    assert nearest("alpa", ["alpha", "beta"]).startswith('did you mean "alpha"?')
    assert nearest("zzz", ["alpha", "beta"]) == "one of: alpha, beta"
    assert nearest("x", []) == "one of: nothing is declared"
    assert nearest("zzzz", [f"name{i}" for i in range(50)]).endswith("and 20 more")
    assert str(SpecError("wrong")) == "wrong"
    assert str(SpecError("wrong", key="k", expected="right")) == "k: wrong\n  expected: right"
