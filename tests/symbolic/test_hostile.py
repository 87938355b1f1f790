"""Texts of 64 KiB that mean harm: read or refused soon, whatever they hold."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import midpo
from midpo.symbolic.errors import SpecError
from midpo.symbolic.language import toml
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR, Names
from midpo.symbolic.language.toml import MAX_DEPTH, MAX_PARTS, MAX_TEXT, read_toml

KIB = MAX_TEXT - 200


def filled(unit: str, head: str = "", tail: str = "") -> str:
    """`unit` over and over, 64 KiB of it."""
    return head + unit * ((KIB - len(head) - len(tail)) // len(unit)) + tail


def numbered(unit: str, between: str = "\n") -> str:
    """`unit` with a number of its own in each, 64 KiB of it."""
    parts: list[str] = []
    size = 0
    while size < KIB - 100:
        parts.append(unit.format(i=len(parts)))
        size += len(parts[-1]) + len(between)
    return between.join(parts)


DEEP = ".".join("a" * 15)
TOMLS: dict[str, str] = {
    "one dotted key": filled(".a", "a", "=1"),
    "quoted dotted key": filled('."a"', '"a"', "=1"),
    "spaced dotted key": filled(" . a", "a", "=1"),
    "dotted header": filled(".a", "[a", "]"),
    "dotted headers": filled(".a", "[[a", "]]"),
    "dotted in a table": filled(".a", "b = {a", "= 1}"),
    "dotted after a string": filled(".a", 'x = """\n\\"""" # \'\'\' """\nb', "=1"),
    "many dotted keys": numbered(DEEP + ".k{i}=1"),
    "many dotted headers": numbered("[" + DEEP + ".k{i}]"),
    "growing headers": numbered("[[a]]\n[[a.b]]\n[[a.b.c]]\n[a.b.c.d{i}]"),
    "arrays in arrays": "a=" + "[" * 32000 + "]" * 32000,
    "tables in tables": "a=" + "{a=" * 16000 + "1" + "}" * 16000,
    "open arrays": filled("[", "a="),
    "flat arrays in an array": filled("[" * 12 + "]" * 12 + ",", "a=[", "]"),
    "keys": numbered("k{i}=1"),
    "quoted keys": numbered('"k{i}"=1'),
    "keys of a table": numbered("k{i}=1", ",").join(("a={", "}")),
    "tables in an array": filled("{a=1},", "a=[", "]"),
    "headers": numbered("[k{i}]"),
    "one header again": filled("[a]\n"),
    "tables of an array": filled("[[a]]\n"),
    "a string": filled("x", 'a="', '"'),
    "escapes": filled("\\n", 'a="', '"'),
    "letters by number": filled("\\u00e9", 'a="', '"'),
    "escapes over lines": filled("\\n", 'a="""', '"""'),
    "ends of lines escaped": filled("\\\n", 'a="""', '"""'),
    "quotes in a string": filled('""x', 'a="""', '"""'),
    "an open string": filled("x", 'a="'),
    "an open text": filled("x\n", 'a="""'),
    "a literal": filled("x", "a='", "'"),
    "an integer": filled("9", "a="),
    "an integer below Python's bound": filled("9" * 4200 + ",", "a=[", "]"),
    "hexadecimal": filled("f", "a=0x"),
    "binary": filled("1", "a=0b"),
    "underscores": filled("1_", "a=", "1"),
    "a float": filled("9", "a=1."),
    "an exponent": filled("9", "a=1e"),
    "floats": filled("1.5,", "a=[", "]"),
    "dates": filled("1979-05-27T07:32:00Z,", "a=[", "]"),
    "a date": filled("9", "a=1979-05-27T07:32:00."),
    "control characters": filled("a=\x01"),
    "NUL": filled("\0"),
    "marks of order": "\ufeff" * 20000,
    "CRLF": filled("\r\n"),
    "CR": filled("\r"),
    "blanks": filled(" "),
    "tabs": filled("\t", "a", "=1"),
    "comments": filled("#\n"),
    "a comment": filled("x", "#"),
    "commas": filled(",", "a=[", "]"),
    **{f"only {sign}": filled(sign) for sign in "=[]{}\"'.\\"},
}
# What the reader itself would be slow at: refused before it is asked.
BEFORE = {
    "one dotted key",
    "quoted dotted key",
    "spaced dotted key",
    "dotted header",
    "dotted headers",
    "dotted in a table",
    "dotted after a string",
    "arrays in arrays",
    "tables in tables",
    "open arrays",
    "only .",
    "only [",
    "only {",
}


@pytest.mark.parametrize("name", sorted(TOMLS))
def test_a_text_is_read_or_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = tomllib.loads

    def loads(text: str) -> object:
        asked.append(text)
        return real(text)

    monkeypatch.setattr(tomllib, "loads", loads)
    with pytest.raises(SpecError) as caught:
        midpo.loads(TOMLS[name])
    assert len(str(caught.value)) < 1000
    assert (not asked) == (name in BEFORE)


@pytest.mark.parametrize("name", sorted(TOMLS))
def test_one_pass_over_the_text(name: str) -> None:
    """Tokens do not overlap, so that each character is looked at by one of them."""
    ends = [found.span() for found in toml._TOKEN.finditer(TOMLS[name])]
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ends))
    assert all(start < end for start, end in ends)


NAMES = st.sampled_from(["a", "b-c", "d_1", '"e.f"', "'g.#'", '"\\"h"'])
KEYS = st.lists(NAMES, min_size=1, max_size=4).map(" . ".join)
STRINGS = st.sampled_from(
    ['"x.y # z"', "'a = [\"'", '"""a.b\n""c\\""""""', "'''d''e\n[[f.g'''''", '""', "''", '"""\\\n """']
)
PLAIN = st.sampled_from(["1", "1.5", "-0.1e-7", "true", "1979-05-27", "[ ]", "{ }"])
VALUES = st.recursive(
    st.one_of(STRINGS, PLAIN),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: "[" + ",\n # it's \"a\n".join(parts) + "]"),
    max_leaves=8,
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(" = ".join), KEYS.map("[{}]".format), KEYS.map("[[{}]] # ''' [".format)
)


@given(st.lists(LINES, max_size=8))
def test_the_scan_refuses_nothing_ordinary(lines: list[str]) -> None:
    """What is TOML passes, and what is seen of strings is what TOML says of them."""
    text = "\n".join(lines)
    try:
        known = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert read_toml(text, "x") == known


@given(st.lists(LINES, max_size=4), st.integers(MAX_PARTS + 1, 40), st.booleans())
def test_the_scan_sees_a_long_key_behind_anything(lines: list[str], parts: int, header: bool) -> None:
    text = "\n".join(lines)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    key = ".".join("k" * parts)
    long = f"{text}\n[{key}]\n" if header else f"{text}\n{key} = 1\n"
    with pytest.raises(SpecError, match="a key of too many parts"):
        read_toml(long, "x")


def test_bounds_of_the_scan() -> None:
    key = ".".join("a" * MAX_PARTS)
    assert read_toml(f"{key} = 1", "x") and read_toml(f"[{key}]", "x")
    for text in (f"a.{key} = 1", f"[a.{key}]", f"x = {{ a.{key} = 1 }}"):
        with pytest.raises(SpecError, match="line 1, column"):
            read_toml(text, "x")
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert read_toml(f"a = {deep}", "x")
    with pytest.raises(SpecError, match="nested too deeply"):
        read_toml(f"a = [{deep}]", "x")


# --- Expressions ---------------------------------------------------------------------------------


def added(unit: str, terms: int, between: str = "+") -> str:
    return between.join(unit.format(i=number) for number in range(terms))


EXPRESSIONS: dict[str, str] = {
    "fractions": added("1/" + "9" * 40 + "{i}7", 300),
    "fractions of a name": added("beta/" + "9" * 40 + "{i}7", 300),
    "small fractions": added("beta/4294{i}67291", 400),
    "powers of fractions": added("pi(y)**(1/" + "9" * 30 + "{i}7)", 300, "*"),
    "negative powers": added("(4294{i}67291*beta)**-9", 400),
    "divisions in sums": added("exp(beta/4294{i}67291)", 400, "*"),
}
READABLE: dict[str, str] = {
    "ones": added("1", 900),
    "tenths": added("0.1*beta", 900),
    "harmonic": added("1/(1 + {i})", 900),
    "logs": added("log(pi(y))", 900),
    "sums": added("{i}*sum(log(pi(y,t)) for t in y)", 300),
}


def names() -> Names:
    return Names({"beta": Parameter("beta", "positive")})


@pytest.mark.parametrize("name", sorted(EXPRESSIONS))
def test_numbers_stay_bearable(name: str) -> None:
    """Fractions without a common denominator grow with each term: refused before they do."""
    with pytest.raises(SpecError, match="denominators"):
        parse(EXPRESSIONS[name], names(), PRIOR)


@pytest.mark.parametrize(
    "one, power",
    [("1/(2 + log(pi(y)))", 13), ("1/(2 + log(pi(y)))**3", 5), ("1/(2 + 1/(3 + beta)**2)**2", 4)],
)
def test_fractions_in_fractions_stay_bearable(one: str, power: int) -> None:
    """To tell the sign of a sum, SymPy brings fractions in fractions to one denominator."""
    parse(f"exp((1 + {one})**{power})", names(), PRIOR)
    parse(f"exp((1 + {one})**-{power - 1})", names(), PRIOR)
    with pytest.raises(SpecError, match="fractions in fractions"):
        parse(f"exp((1 + {one})**-{power})", names(), PRIOR)


@pytest.mark.parametrize("name", sorted(READABLE))
def test_long_sums_are_read(name: str) -> None:
    parse(READABLE[name], names(), PRIOR)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TOMLS, *EXPRESSIONS, *READABLE])
def test_within_some_seconds_of_processor_time(name: str, tmp_path: Path) -> None:
    """The start of Python is in it; a second is what reading takes, the rest is room."""
    file = tmp_path / "x.toml"
    written = (EXPRESSIONS | READABLE).get(name)
    head, tail = "name='x'\nprior='", "'\nparameters.beta='positive'"
    text = TOMLS.get(name) or f"{head}{written}{tail}"
    file.write_text(text, newline="", encoding="utf-8")
    program = (
        "import sys; from midpo.symbolic.language.spec import load\n"
        "from midpo.symbolic.errors import SpecError\n"
        "try: load(sys.argv[1] + '')\nexcept SpecError: pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        check=False,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (8, 8)),
    )
    assert done.returncode == 0, done.stderr[-500:]


POWERS = (
    "(1 + len(y_w) + len(y_l) + log(pi(y_w)))**999",
    "(2 + len(y_w))**900*log(pi(y_w))",
    "10**400*log(pi(y_w)/pi_ref(y_w))",
    "exp(-999*len(y_w)**3)*log(pi(y_w))",
)


@pytest.mark.parametrize("margin", POWERS)
def test_powers_beyond_all_floats_are_answered(margin: str) -> None:
    """Values beyond float64, and powers of sums that nothing can expand, end in an answer."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    spec = midpo.loads(f'name = "power"\nprior = "pi_ref(y)"\n[target]\nmargin = "{margin}"\n')
    assert midpo.verify(spec).verdict in ("refuted", "undecided")
    assert midpo.generate(spec).source
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 12
