"""A report as one page of HTML: whole, inert, the same every time, and legible."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main
from midpo.numeric.checking.found import CrossCheck, DtypeErrors
from midpo.page import _section, write
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import told
from midpo.symbolic.formula.tree import between, call, row, script
from midpo.symbolic.language.nodes import CHOSEN
from midpo.symbolic.language.spec import load, loads
from midpo.symbolic.language.words import FUNCTIONS
from midpo.writers.html.page import PLACE, STYLES, entry, functions, render
from midpo.writers.html.plots import plots, tree
from midpo.writers.html.references import people, references
from midpo.writers.html.section import script_json
from midpo.writers.html.text import formula, words
from midpo.writers.latex.report import TEMPLATES
from midpo.writers.section import Section

NASTY = '</script><script>alert(1)</script> "x" \'y\' & <b onclick="z()"> {{ 7*7 }} \u202e\x00'
HOSTILE = """
name = "hostile"
title = '''{0}'''
reference = "someone1999"
status = "unconfirmed: {1}"
prior = "pi_ref(y)*w_w(y)"
[parameters]
alpha = "positive"
[features]
w_w = "response"
[target]
margin = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
[bibtex]
title = '''{0}'''
author = '''{0}'''
"""
VOID = {"meta", "input", "br", "img", "hr", "link"}


class Reader(HTMLParser):
    """Reads a page strictly: every element is closed, ids are unique."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            kind = dict(attrs).get("type", "")
            self.open.append(f"{tag} {kind}".strip())

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().split()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        if self.open and self.open[-1] == "style":
            self.styles.append(data)


def page(*specs: midpo.Spec, audit: bool = False) -> str:
    return render([entry(_section(spec, None, audit)) for spec in specs])


def hostile() -> midpo.Spec:
    text = NASTY.replace("\x00", "").replace("\u202e", "\\u202e")
    return loads(HOSTILE.format(text.replace("\\u202e", ""), "<i>no</i>"))


def policy_hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_a_page_is_well_formed_and_its_links_lead_somewhere() -> None:
    read = Reader(page(load("simpo"), load("kto"), load("aot"), load("tdpo"), audit=True))
    assert len(read.ids) == len(set(read.ids))
    inside = [link[1:] for link in read.links if link.startswith("#")]
    assert inside and set(inside) <= set(read.ids)
    outside = [link for link in read.links if not link.startswith("#")]
    assert all(link.startswith("https://arxiv.org/abs/") for link in outside)


def test_nothing_is_allowed_but_the_own_script_and_style() -> None:
    text = page(load("dpo"))
    read = Reader(text)
    policy = html.unescape(re.search(r'Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{policy_hash(''.join(read.scripts))}'" in policy
    assert f"style-src 'sha256-{policy_hash(''.join(read.styles))}'" in policy
    assert not [a for a in read.attributes if a.startswith("on") or a in ("style", "src")]


def test_the_script_compiles_no_text() -> None:
    scripts = "".join(p.read_text() for p in TEMPLATES.glob("*.js"))
    for word in ("eval(", "Function(", "innerHTML", "fetch(", "XMLHttp", "import(", "ent.write"):
        assert word not in scripts


def test_hostile_text_is_inert() -> None:
    text = page(hostile(), load("dpo"))
    read = Reader(text)
    assert "alert(1)" in html.unescape(text)
    assert not any("alert" in script for script in read.scripts)
    assert "<b onclick" not in text and "<i>" not in text and "49" not in words(NASTY)
    assert "onclick" not in read.attributes


def test_data_cannot_leave_its_script() -> None:
    assert str(script_json({"a": "</script><!--&\u2028"})) == (
        '{"a":"\\u003c/script\\u003e\\u003c!--\\u0026\\u2028"}'
    )


def test_a_proof_is_stated_only_where_there_is_one() -> None:
    proved = page(load("simpo"))
    assert "<strong>Theorem.</strong>" in proved and 'class="mark proved"' in proved
    assert "a derivation of 6 steps, replayed by the checker" in proved
    refuted = page(hostile())
    assert "<strong>Proposition.</strong>" in refuted and "<strong>Theorem" not in refuted
    assert "The witness, worked out" in refuted
    none = page(load("kto"))
    assert "the target has no prior (class none)" in none and "Theorem.<" not in none


def test_the_proof_kernel_is_named_only_where_it_accepted() -> None:
    spec = load("dpo")

    def marks(section: Section) -> list[tuple[str, str]]:
        return [
            (claim["kind"], claim["standing"])
            for topic in entry(section).section["standings"]
            for claim in topic["claims"]
            if claim["question"] == "proof kernel"
        ]

    unchecked = "not checked here; midpo certify does it"
    assert marks(Section(spec, midpo.verify(spec), None)) == [("none", unchecked)]
    accepted = told("{} (Coq 8.16.1)", Standing.ACCEPTED)
    certified = Section(spec, midpo.verify(spec), None, certificate=accepted)
    assert marks(certified) == [("kernel", accepted)]


def test_a_check_is_numerical_evidence_with_its_count() -> None:
    errors = DtypeErrors("float64", 60, 1.234567, 2.5e-3, 32.0, True)
    check = CrossCheck("dpo", False, 120, 0, "cpu <x>", (errors,), 3.2e-49, True, "off & <b>")
    text = render([entry(_section(load("dpo"), check, False))])
    assert "numerical evidence: 120 pairs, seed 0" in text
    assert "the kernel does not compute the loss and its gradient" in text
    assert "off &amp; &lt;b&gt;" in text and "cpu &lt;x&gt;" in text and "1.23" in text


def test_two_specs_of_one_name_have_two_anchors() -> None:
    read = Reader(page(load("dpo"), load("dpo")))
    assert {"dpo", "dpo-2"} <= set(read.ids)


def test_a_spec_named_like_a_part_of_the_page() -> None:
    text = (Path(midpo.symbolic.language.spec.CATALOGUE) / "dpo.toml").read_text()
    read = Reader(page(loads(text.replace('"dpo"', '"table"')), load("dpo")))
    assert len(read.ids) == len(set(read.ids)) and "table-2" in read.ids


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    """Also with another order of sets, and by several processes."""
    code = (
        "from midpo.page import write\n"
        "if __name__ == '__main__':\n"
        "    write(['tis-dpo', 'kto', 'simpo', 'ipo', 'exo'], {!r}, jobs={})\n"
    )
    pages = []
    for seed, jobs in ((1, 1), (2, 2)):
        target = tmp_path / str(seed)
        script = tmp_path / f"{seed}.py"
        script.write_text(code.format(str(target), jobs))
        environment = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, script], check=True, env=environment)
        pages.append((target / "report.html").read_bytes())
    assert pages[0] == pages[1]
    assert [p.name for p in target.iterdir()] == ["report.html"]


# --- Text ----------------------------------------------------------------------------------------


def test_words_are_escaped_and_formulas_set() -> None:
    assert words(told("a < b: {}.", script("x", 1))) == (
        "a &lt; b: <math><msub><mi>x</mi><mn>1</mn></msub></math>."
    )


def test_a_formula_is_broken_outside_brackets() -> None:
    term = terms.implicit_reward(CHOSEN)
    bracket = between("(", row("a", " - ", "b"), ")")
    shown = formula(
        row("m", " = ", term, " - ", term, " + ", bracket, " ", call(script("G", above="+"), "y"))
    )
    assert len(shown.pieces) > 1
    assert all(piece.count("<mrow>") == piece.count("</mrow>") for piece in shown.pieces)


def test_people() -> None:
    assert people("Meng, Yu and others") == "Yu Meng et al"
    assert people("Meng, Yu and Xia, Mengzhou and {Chen}, Danqi") == ("Yu Meng, Mengzhou Xia and Danqi Chen")
    listed, cited = references([load("simpo"), load("simpo")])
    assert cited == {"simpo": 2} and len(listed) == 2
    assert listed[1].link == "https://arxiv.org/abs/2405.14734"
    assert listed[1].bibtex.startswith("@article{meng2024simpo,")


def test_every_operation_of_a_tree_is_known_to_the_page() -> None:
    script = (TEMPLATES / "page_plots.js").read_text()
    assert PLACE in script
    script = script.replace(PLACE, functions())
    known = set(re.findall(r'^    "?([a-z+*^]+)"?: ', script, re.M)) | {"sum", "prod"}
    for name in midpo.catalogue():
        for plot in plots(load(name))[0]:
            used = {str(part[0]) for panel in plot.panels for c in panel.curves for part in parts(c.tree)}
            assert used <= known, name
    assert set(FUNCTIONS) | {"+", "*", "^"} <= known


def parts(part: object) -> list[list[object]]:
    if not isinstance(part, list):
        return []
    return [part, *(inner for p in part[1:] for inner in parts(p))]


def test_a_sum_over_tokens_is_a_product() -> None:
    spec = loads(HOSTILE.format("t", "u").replace("pi_ref(y)*w_w(y)", "pi(y)"))
    assert spec.prior is not None
    assert tree(spec.prior) == ["exp", ["*", "n:y", "l:pi:y"]]


# --- Contrast ------------------------------------------------------------------------------------

STYLE = "".join((TEMPLATES / name).read_text() for name in STYLES)
INKS = ("ink", "quiet", "accent", "proved", "refuted", "undecided", "kernel", "evidence")


def colours(start: str) -> dict[str, str]:
    block = STYLE.split(start, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    "start",
    [
        ":root {",
        ':root:not([data-theme="light"]) {',
        ':root[data-theme="dark"] {',
        ':root, :root[data-theme="dark"] {',
    ],
)
def test_contrast_is_that_of_wcag_aa(start: str) -> None:
    found = colours(start)
    for ink in INKS:
        for paper in ("paper", "panel"):
            assert contrast(found[ink], found[paper]) >= 4.5, (ink, paper)
    for sign in ("second", "accent", *(["focus"] if "focus" in found else [])):
        assert contrast(found[sign], found["paper"]) >= 3.0, sign


def test_the_contrast_test_fires() -> None:
    assert contrast("#777777", "#888888") < 2 < 20 < contrast("#000000", "#ffffff")


def test_dark_is_one_thing() -> None:
    assert colours(':root:not([data-theme="light"]) {') == colours(':root[data-theme="dark"] {')


# --- The command ---------------------------------------------------------------------------------


def test_report_html(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", "dpo", "simpo", "--html", "-o", str(tmp_path)])
    assert done.exit_code == 0 and done.output == f"wrote {tmp_path}/report.html\n"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    as_json = ["report", "dpo", "--html", "--json", "-o", str(tmp_path)]
    assert "report.html" in CliRunner().invoke(main, as_json).output


def test_a_page_is_no_fragment(tmp_path: Path) -> None:
    arguments = ["report", "dpo", "--html", "--fragment", "-o", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "--html and --fragment" in done.output


def test_progress_names_what_is_done(tmp_path: Path) -> None:
    done: list[str] = []
    write(["dpo", "aot"], tmp_path, audit=False, progress=done.append)
    assert done == ["dpo", "aot"]


def test_the_family_map_is_drawn_in_the_colours_of_the_page() -> None:
    from midpo.proofs.compare.family import family_of
    from midpo.writers.pictures.family import RULES, draw

    svg = draw(family_of([load("simpo"), load("rdpo"), load("dpo")]), alone=False)
    assert "<style>" not in svg and svg.startswith("<svg")
    assert ".midpo-family .box" in RULES and "#" not in RULES
    text = render([entry(_section(load(n), None, False)) for n in ("dpo", "rdpo")], family=svg)
    read = Reader(text)
    assert policy_hash("".join(read.styles)) in html.unescape(text)
    assert len(read.styles) == 1 and 'href="#family"' in text and RULES in read.styles[0]
