"""Fragments to \\input into a paper: packages named, labels and commands apart, symbols renamed."""

from __future__ import annotations

import ast
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typesetting import needs_tex

from midpo import api
from midpo.gathering import Fragment, Wanted, macros_of
from midpo.proofs.audit.audit import audit
from midpo.proofs.recover.recovery import verify
from midpo.symbolic.errors import SpecError
from midpo.symbolic.formula import layout
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.renamed import renamed
from midpo.symbolic.formula.told import CutShort, Displayed, parts_of, theorem, told
from midpo.symbolic.formula.tree import Fence, Formula, Text, Upright, between, leaf, row, script
from midpo.symbolic.formula.width import width
from midpo.symbolic.formula.write import PROMPT, ZETA, indexed, name, state, write
from midpo.symbolic.language.nodes import CHOSEN, POLICY, REFERENCE, REJECTED, RESPONSE, Index, Prob
from midpo.symbolic.language.spec import Spec, load, loads
from midpo.writers.cited import RESULTS, results
from midpo.writers.latex.fragment import LEVELS, render_fragment
from midpo.writers.latex.pieces import answered, named
from midpo.writers.latex.renaming import Symbols, checked, default, estimated, table, usual
from midpo.writers.latex.typeset import typeset
from midpo.writers.section import Section

ROOT = Path(__file__).parents[2]
MACROS = {"pi": r"\pi_\theta", "y_w": "y^+", "y_l": "y^-", "alpha": r"\beta"}
WRONG = """
name = "wrong"
prior = "pi_ref(y) * exp(beta*len(y))"
[parameters]
alpha = { domain = "positive" }
beta = { domain = "real" }
[target]
margin = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l)) \
+ alpha*beta*(len(y_w) - len(y_l))"
"""
PAPER = r"""\documentclass{article}
\usepackage{amsmath,amssymb,amsthm}
\usepackage{array,booktabs,graphicx,xcolor}
\newcommand{\fit}{my own}\newcommand{\reason}{mine too}
\newtheorem{theorem}{Theorem}
\begin{document}
\section{Mine}\label{sec:loss}
\input{fragment}
\fit, \reason
\begin{thebibliography}{9}
BIBITEMS
\end{thebibliography}
\end{document}
"""


def section(spec: Spec) -> Section:
    return Section(spec, verify(spec), None)


def names(spec: Spec) -> set[str]:
    return {*spec.names.taken(), *spec.policies}


def signs(spec: Spec, **macros: str) -> dict[str, str]:
    return checked(macros, names(spec))


# --- Fragments -----------------------------------------------------------------------------------


def test_a_fragment_has_no_preamble_and_names_of_its_own() -> None:
    tex = render_fragment([section(load("rdpo")), section(loads(WRONG))])
    assert tex.isascii() and r"\documentclass" not in tex and r"\usepackage{amsmath" in tex
    assert all(line.startswith("%") for line in tex.splitlines() if r"\usepackage" in line)
    labels = re.findall(r"\\label\{([^}]*)\}", tex)
    assert labels and len(set(labels)) == len(labels)
    assert all(label.startswith("midpo:") for label in labels)
    used = set(re.findall(r"\\(?:eq)?ref\{([^}]*)\}", tex))
    assert used and used <= set(labels)
    defined = re.findall(r"\\(?:new|provide)command\{\\(\w+)", tex)
    assert {name for name in defined if not name.startswith("midpo")} == {"texorpdfstring"}
    assert "longtable" not in tex and "lstlisting" not in tex


@pytest.mark.parametrize("level", LEVELS)
def test_headings_are_of_the_level_asked_for(level: str) -> None:
    tex = render_fragment([section(load("dpo"))], level=level)
    assert rf"\{level}{{The generalised loss}}" in tex
    assert (r"\section{" in tex) == (level == "section")


def test_two_specs_of_one_name_have_labels_of_their_own() -> None:
    tex = render_fragment([section(load("dpo")), section(load("dpo"))])
    labels = re.findall(r"\\label\{([^}]*)\}", tex)
    assert "midpo:eq:dpo-2:prior" in labels and len(set(labels)) == len(labels)


def test_text_is_pinned(golden: Callable[[str, str], None]) -> None:
    spec = load("rdpo")
    golden("reports/rdpo.tex", render_fragment([section(spec)]))
    golden(
        "reports/rdpo-renamed.tex",
        render_fragment(
            [section(spec)],
            macros=checked(
                {"pi": r"\pi_\theta", "y_w": "y^+", "y_l": "y_{-}", "beta": r"\alpha", "alpha": r"\beta"},
                names(spec),
            ),
        ),
    )
    golden("reports/refuted.tex", render_fragment([section(loads(WRONG))]))


def test_a_narrow_paper_gets_more_lines() -> None:
    parts = [section(load("sparsepo"))]
    wide, narrow = (render_fragment(parts, text_width=w).count(r"\notag") for w in (600, 320))
    assert narrow > wide


@needs_tex("xcolor.sty", "booktabs.sty")
@pytest.mark.tex
def test_a_fragment_compiles_in_a_paper_with_macros_of_its_own(tmp_path: Path) -> None:
    specs = [load("sparsepo"), loads(WRONG), load("xpo"), load("aot")]
    written = api.report(
        specs,
        tmp_path,
        fragment=Fragment(),
        wanted=Wanted(kernel=False),
        macros={"pi": r"\pi_\theta", "y_w": "y^+", "y_l": "y^-"},
    )
    tex = written.tex.read_text()
    keys = re.findall(r"^@\w+\{([^,]+),$", (tmp_path / "fragment.bib").read_text(), re.M)
    items = "\n".join(rf"\bibitem{{{key}}} x" for key in keys)
    files = {"fragment.tex": tex.encode()}
    files |= {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*.pdf")}
    log: list[str] = []
    assert typeset(PAPER.replace("BIBITEMS", items), log, files).startswith(b"%PDF")
    assert not complaints(log[0])


@needs_tex("xcolor.sty", "booktabs.sty")
@pytest.mark.tex
@pytest.mark.skipif(shutil.which("bibtex") is None, reason="bibtex is not installed")
def test_the_references_are_bibtex(tmp_path: Path) -> None:
    spec = loads("""
name = "x"
[target]
margin = "log(pi(y_w)) - log(pi(y_l))"
[bibtex]
author = "O\u2019Neil, \u00c9. and others"
title = "{A} & B_c #1 50%"
year = 2024
journal = "J"
""")
    api.report([spec, load("dpo")], tmp_path, fragment=Fragment(), wanted=Wanted(False, False, False, ()))
    keys = re.findall(r"^@\w+\{([^,]+),$", (tmp_path / "fragment.bib").read_text(), re.M)
    assert len(keys) == 3
    (tmp_path / "p.aux").write_text(
        "\\relax\n"
        + "".join(rf"\citation{{{key}}}" + "\n" for key in keys)
        + "\\bibstyle{plain}\n\\bibdata{fragment}\n"
    )
    done = subprocess.run(["bibtex", "p"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Warning" not in done.stdout, done.stdout
    assert "'{E}" in (tmp_path / "p.bbl").read_text()


def complaints(log: str) -> list[str]:
    """Errors, warnings of LaTeX and boxes more than a point too wide."""
    found = []
    for line in log.splitlines():
        box = re.match(r"Overfull \\hbox \((\d+\.\d+)pt", line)
        if line.startswith(("!", "LaTeX Warning")) or (box and float(box[1]) > 1):
            found.append(line)
    return found


# --- Renaming ------------------------------------------------------------------------------------


def shown(formula: Formula, signs: dict[str, str]) -> str:
    return tex(renamed(formula, table(signs)))


def test_symbols_are_looked_up() -> None:
    known = signs(load("dpo"), pi=r"\pi_\theta", y_w="y^+", y_l="y^-", x="q", alpha=r"\beta")
    assert shown(write(Prob(POLICY, CHOSEN)), known) == r"\pi_\theta(y^+\mid q)"
    assert shown(write(Prob(REFERENCE, REJECTED)), known) == r"\pi_{\mathrm{ref}}(y^-\mid q)"
    t = Index("t", position=True)
    parts = row(indexed("y", CHOSEN, "<", "t"), state(REJECTED, t), indexed("y", RESPONSE, "t"))
    assert shown(parts, known) == r"y^+_{<t}s^-_{t}y_{t}"
    assert shown(row(Text("x"), r"\max", Fence("(", PROMPT, ")")), known) == r"\text{x}\max(q)"
    assert shown(name("alpha"), known) == r"\beta" and shown(Upright("alpha"), known) != r"\beta"


def test_a_template_s_symbols_are_looked_up() -> None:
    with named(table(signs(load("dpo"), y_w="y^+", zeta="p"))) as written:
        assert (Symbols().y_w, Symbols().zeta, Symbols().pi) == ("y^+", "p", r"\pi")
    assert Symbols().y_w == "y_w" and ZETA in written.formulas


def test_two_symbols_can_change_places() -> None:
    known = signs(load("rdpo"), alpha=r"\beta", beta=r"\alpha")
    assert shown(row(name("alpha"), " - ", name("beta")), known) == r"\beta - \alpha"


def test_a_sign_with_an_index_takes_another_in_braces() -> None:
    part = indexed("y", CHOSEN, "t")
    assert shown(part, signs(load("dpo"), y_w="y_{+}")) == "{y_{+}}_{t}"


def test_a_command_does_not_grow_together_with_a_letter() -> None:
    assert shown(row(PROMPT, "y"), signs(load("dpo"), x=r"\xi")) == r"\xi y"


def test_the_width_of_a_reader_s_mathematics_is_estimated() -> None:
    for key in ("pi", "pi_ref", "y_w", "zeta", "alpha"):
        assert estimated(default(key)) == pytest.approx(width(usual(key)), rel=0.3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (r"\input{/etc/passwd}", r"command \\input"),
        (r"\write18{rm}", r"command \\write"),
        (r"\catcode`\%=12", "character"),
        (r"\csname end\endcsname", r"command \\csname"),
        (r"\def\x{\x}\x", r"command \\def"),
        (r"\pi_{\theta", "balance"),
        (r"\pi}{", "balance"),
        ("^^5cinput", "character"),
        ("$x$", "character"),
        ("a%b", "character"),
        ("a\\\\b", "character"),
        ("x\\", "character"),
        ("", "not a text"),
        ("a" * 201, "longer"),
        (r"\begin{document}", r"command \\begin"),
        (r"\pdfximage", r"command \\pdfximage"),
        ("\u03c0", "character"),
    ],
)
def test_macros_that_are_no_mathematics_are_refused(value: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        signs(load("dpo"), pi=value)


def test_a_symbol_that_is_not_there_is_named() -> None:
    with pytest.raises(SpecError, match=r"(?s)alpah: no such symbol.*alpha"):
        signs(load("dpo"), alpah=r"\beta")


def test_no_two_symbols_become_one() -> None:
    with pytest.raises(SpecError, match="both written"):
        signs(load("rdpo"), alpha=r"\beta")
    with pytest.raises(SpecError, match="both written"):
        signs(load("dpo"), y_w="y", y_l="z")


def test_macros_are_read_from_files_and_options(tmp_path: Path) -> None:
    file = tmp_path / "macros.toml"
    file.write_text("pi = '\\pi_\\theta'\n'y_w' = 'y^+'\n")
    assert macros_of([str(file), "y_w=y^{1}"]) == {"pi": r"\pi_\theta", "y_w": "y^{1}"}
    file.write_text("[macros]\npi = 'p'\n")
    assert macros_of([str(file)]) == {"pi": "p"}
    file.write_text("pi = 3\n")
    with pytest.raises(SpecError, match="not a table of texts"):
        macros_of([str(file)])


# --- Mathematics in sentences --------------------------------------------------------------------


def test_expressions_in_sentences_are_set() -> None:
    recovery = verify(loads(WRONG))
    assert "len(y_w) has the wrong sign (coefficient -alpha*beta" in recovery.explanation
    assert r"$|y_w|$ has the wrong sign (coefficient $-\alpha \beta$, " in answered(recovery.explanation)
    cut = told("{}: {} mixes 50%", theorem("2").capitalised(), CutShort("max(-max(-2*bound, -alpha..."))
    assert answered(cut) == r"Result 2: \texttt{max(-max(-2{*}bound,}~\dots{} mixes 50\%"
    assert r"\input" not in answered(told(r"the \input{x} of {}", "x"))


def test_a_text_keeps_its_formulas_only_where_told() -> None:
    whole = told("less {}, {}", Displayed(leaf("a"), spelt="a*b"), told("then {}", "c"))
    assert whole == "less a*b, then c" and len(whole.parts) == 5
    assert pickle.loads(pickle.dumps(whole)).parts == whole.parts
    assert whole.capitalised() == "Less a*b, then c"
    assert answered(f"{whole}.") == "less a{*}b, then c."
    with pytest.raises(ValueError, match="1 holes for 0 parts"):
        told("{}")


@pytest.mark.parametrize("name", ["dpo", "simpo", "sparsepo"])
def test_the_audit_s_sentences_know_their_formulas(name: str) -> None:
    """Where a sentence is put together by anything but `told`, its formulas are lost."""
    found = audit(load(name), trials=2)
    texts = [
        text
        for section in found.sections
        for answer in section.claims
        for text in (section.title, answer.sentence, answer.standing)
    ]
    words = [part for text in texts for part in parts_of(text) if isinstance(part, str)]
    assert not [part for part in words if re.search("[α-ωΣ∇∝‖·−≤≥∞]", part)]
    assert len(words) > len(texts)


def test_words_of_an_answer_are_inert() -> None:
    assert answered(r"a \input{x}, b > c") == r"a \textbackslash{}input\{x\}, b \textgreater{} c"
    assert answered("nothing here: 3 of 4") == "nothing here: 3 of 4"


def test_a_formula_breaks_in_as_few_brackets_as_can_be() -> None:
    def broken(formula: Formula, width: float) -> list[str]:
        return [tex(line) for line in layout.lines(formula, width)]

    first = row(between("(", row(script("a", 1), " + ", script("b", 2)), ")"), " ", "c")
    total = script(r"\sum", row("t", "=", 1), "n")
    whole = row(
        "r", r" \equiv ", first, " - ", total, " ", between("(", row("d", " - ", "e"), ")"), " + ", "f"
    )
    assert broken(whole, 100) == [
        r"r \equiv \left(a_{1} + b_{2}\right) c - \sum_{t=1}^{n} \left(d - e\right) + f"
    ]
    assert broken(whole, 26) == [
        r"r \equiv \left(a_{1} + b_{2}\right) c - \sum_{t=1}^{n} \left(d - e\right)",
        r"{}+ f",
    ]
    terms = row(*"a" * 16, " + ", *"b" * 16, " + ", *"c" * 16)
    inside = broken(script(between("(", terms, ")"), above=row("x", " + ", "y")), 30)
    assert len(inside) == 3 and not any("left" in line or "right" in line for line in inside)
    assert inside[-1] == rf"\quad {{}}+ {'c' * 16}\Bigr)^{{x + y}}"


def test_a_formula_is_cut_at_what_stands_outermost() -> None:
    def cut(formula: Formula, width: float) -> list[str]:
        return [tex(piece) for piece in layout.pieces(formula, width)]

    inside = between("(", row("c", " + ", *"d" * 16), ")")
    whole = row(*"a" * 16, " = ", "-", *"b" * 16, " ", inside, r"\quad", "x", " > ", 0)
    assert cut(whole, 10) == [
        "a" * 16, f" = -{'b' * 16} \\left(c + {'d' * 16}\\right)", r"\quadx > 0",
    ]  # fmt: skip
    assert cut(whole, 200) == [tex(whole)]


# --- The command ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    seen = []
    for seed in ("1", "77"):
        folder = tmp_path / seed
        arguments = ["report", "tdpo", "wpo", "kto", "-o", str(folder), "--macros", "pi=p"]
        subprocess.run(
            [sys.executable, "-m", "midpo", *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        seen.append(
            {
                p.relative_to(folder).as_posix(): p.read_bytes().replace(str(folder).encode(), b"")
                for p in folder.rglob("*")
                if p.is_file()
            }
        )
    assert seen[0].keys() == seen[1].keys() and "report.tex" in seen[0]
    assert [name for name in seen[0] if seen[0][name] != seen[1][name]] == []


def test_every_result_that_is_cited_is_told() -> None:
    """Numbers in the calls of `theorem` and `proposition`, and in the results themselves."""
    cited = {
        arg.value
        for file in (ROOT / "proofs").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("theorem", "proposition")
        for arg in node.args
        if isinstance(arg, ast.Constant)
    }
    assert {"5", "2.1", "2.7"} <= cited <= set(RESULTS)
    assert [number for number, _, _ in results(["4"])] == ["2", "4"]
