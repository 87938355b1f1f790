"""Reports: free text is inert, everything compiles without an overfull box, files are whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typesetting import needs_tex

from midpo import api, writing
from midpo.gathering import Wanted, gather
from midpo.numeric.checking.found import CrossCheck, DtypeErrors
from midpo.proofs.audit.audit import audit
from midpo.proofs.framework.slips import SLIPS
from midpo.proofs.framework.theorems import theorems
from midpo.proofs.recover.recovery import verify
from midpo.proofs.recover.solution import solve
from midpo.symbolic.formula.latex import tex as in_latex
from midpo.symbolic.language.spec import PAPER, Spec, catalogue, load, loads
from midpo.writers.latex import report as report_module
from midpo.writers.latex import worked
from midpo.writers.latex.bibliography import authors, formatted
from midpo.writers.latex.pieces import escape, plain, scientific
from midpo.writers.latex.report import render
from midpo.writers.latex.sections import listing
from midpo.writers.latex.typeset import TypesetFailed, typeset
from midpo.writers.section import Section
from midpo.writing import derived, write_report

INJECTIONS = (
    r"\input{/etc/passwd}",
    r"\write18{touch pwned}",
    r"\immediate\openout1=pwned.tex",
    r"\end{document}",
    r"\csname end\endcsname",
    r"}\catcode`\%=12{",
    "^^5cinput{/etc/passwd}",
    r"$\def\x{\x}\x$",
    "\\verb|x|\n\n\\par",
)
NASTY = (
    r"100% $x & y_# {a} ~ ^ \ [b] * ` ' \" -- --- ,, << >> !` ?` |",
    "π ≥ 漢字 é ﬁ 🎉 𝛼 \u202e\u200b\x00\x1b ĳ ŉ Ǻ",
    "W" * 300,
    "a-long_name/" * 40,
    "] [ * \\\\[5cm] \\\\* & &",
    *INJECTIONS,
)
CHECK = CrossCheck(
    name="dpo",
    passed=False,
    cases=120,
    seed=0,
    device="cpu_x & y",
    dtypes=(
        DtypeErrors("float64", 60, 1.234567, 2.5e-3, 32.0, True),
        DtypeErrors("bfloat16", 60, float("nan"), 1e17, 32.0, False),
    ),
    prior_gap=3.2e-49,
    gradcheck=True,
    failure="off by 3_000 at case #3 & more",
)

UNIT = '[parameters]\nc = "unit"'
LONG = "a" + "b_c" * 21
SIXTY = " + ".join(f"p{n}*log(pi(y)/pi_ref(y))**{1 + n % 3}" for n in range(60))


def nested(template: str, times: int, inside: str = "c") -> str:
    for _ in range(times):
        inside = template.format(inside)
    return inside


SPECS = {
    "long names": f"""
prior = "pi(y)*exp({LONG}*(1 + a_very_long_parameter_name_indeed)*sum({"q" * 60}(y, t)**2\
*log(pi(y, t)/pi_{"x" * 60}(y, t)) for t in y))"
[parameters]
a_very_long_parameter_name_indeed = "real"
{LONG} = "unit"
[features]
{"q" * 60} = "token"
[policies]
pi_{"x" * 60} = "frozen"
""",
    "sixty terms": f"""
prior = "pi_ref(y)*exp({SIXTY})"
[parameters]
{chr(10).join(f'p{n} = "real"' for n in range(60))}
""",
    "deep fractions": f'prior = "exp({nested("(1 + pi(y))/(2 + {0})", 12)})"\n{UNIT}',
    "deep roots": f'prior = "exp({nested("sqrt(exp({0}))", 28)})"\n{UNIT}',
    "deep powers": f'prior = "{nested("(1 + c)**({0})", 14)}"\n{UNIT}',
    "refuted": """
prior = "pi_ref(y)*pi(y)**c"
[parameters]
c = "real"
[features]
g = "token"
h = "response"
k = "pair"
[target]
loss = "-2*log(sigmoid(h(y_w)*k*sum(g(y_w, t)*log(pi(y_w, t)/pi_ref(y_w, t)) for t in y_w) \
- log(pi(y_l)/pi_ref(y_l))/(h(y_l) - c))) + c"
""",
    "target only": """
[parameters]
alpha = "positive"
gamma = "positive"
[target]
loss = "-log(sigmoid(alpha*len(y_w)*log(pi(y_w)) - alpha*len(y_l)*log(pi(y_l)) - gamma))"
""",
    "constraint": """
prior = "pi_ref(y)"
constraint = "-log(pi(y_w))/len(y_w)"
[parameters]
lam = "positive"
[target]
margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))"
""",
    "link": """
prior = "pi_ref(y)"
link = "max(0, 1 - m)"
[target]
margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))"
""",
}


def spec(text: str, **given: str) -> Spec:
    head = "".join(f"{key} = {value}\n" for key, value in given.items())
    return loads(f'name = "x{"y-" * 10}z"\n{head}{text}')


def section(found: Spec, **more: Any) -> Section:
    both = found.prior is not None and found.has_target
    recovery = verify(found) if both else None
    return Section(found, recovery, more.get("check"), more.get("kernel", ""))


def complaints(log: str) -> list[str]:
    return [
        line
        for line in log.splitlines()
        if line.startswith(("Overfull", "!", "LaTeX Warning", "Package hyperref Warning"))
    ]


def compiled(tex: str) -> str:
    """The log of a compilation that must succeed."""
    log: list[str] = []
    assert typeset(tex, log).startswith(b"%PDF")
    return log[0]


# --- Free text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NASTY)
def test_escaped_text_holds_no_command_of_its_own(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii()
    assert "\n" not in escaped
    for word in ("input", "write", "openout", "csname", "catcode", "def", "verb", "par", "end"):
        assert not re.search(rf"\\{word}(?![a-z])", escaped)
    assert not re.search(r"(?<!\\)[%$&#_]", escaped)
    assert not re.search(r"[\^~`]|\\\\", re.sub(r"\\[`^~]\{[A-Za-z]\}", "", escaped))


@given(st.text(max_size=60))
def test_any_text_becomes_plain_ascii(text: str) -> None:
    for safe in (escape(text), plain(text)):
        assert safe.isascii()
        assert safe.isprintable()
    assert not set(plain(text)) & set("\\{}$&#^_~%[]")


def test_characters() -> None:
    assert escape("50% of A&B_c") == r"50\% of A\&B\_c"
    assert escape("é ñ Ł ß") == r"\'{e} \~{n} \L{} \ss{}"
    assert escape("π ≥ 漢") == r"\ensuremath{\pi} \ensuremath{\ge} \texttt{U+6F22}"
    assert escape("a--b") == "a-{}-b"
    assert escape("two\n\nlines\x00") == "two lines"


def test_numbers() -> None:
    assert scientific(0.25) == "$0.25$"
    assert scientific(3.2e-49) == r"$3.2\times 10^{-49}$"
    assert scientific(float("nan")) == "nan"


def test_bibliography() -> None:
    assert authors("Meng, Yu and Xia, Mengzhou and Chen, Danqi") == ("Yu~Meng, Mengzhou~Xia and Danqi~Chen")
    assert formatted({"author": "Meng, Yu", "title": "{SimPO} & more", "year": "2024"}) == (
        r"Yu~Meng. \emph{SimPO \& more}. 2024."
    )


def test_a_kernel_cannot_leave_its_listing() -> None:
    shown = listing("x = 'π'\n\\end{lstlisting}\n\\input{/etc/passwd}\n" + "y" * 300)
    assert shown.isascii()
    assert r"\end{" not in shown
    assert max(map(len, shown.splitlines())) < 104


@needs_tex()
@pytest.mark.tex
def test_nasty_text_compiles(tmp_path: Path) -> None:
    target = SPECS["link"]
    parts = [
        section(spec(target, title=quoted(text), reference=quoted(text)), kernel=f'"""{text}"""')
        for text in NASTY
    ]
    log = compiled(render(parts))
    assert not complaints(log)
    assert "/etc/passwd)" not in log


def quoted(text: str) -> str:
    """A TOML string."""
    plain_text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return '"""' + plain_text.replace("\\", "\\\\").replace('"', '\\"') + '"""'


# --- Whole reports -------------------------------------------------------------------------------


@needs_tex()
@pytest.mark.tex
def test_the_eight_compile_without_complaints(tmp_path: Path) -> None:
    parts = [section(load(name), check=CHECK, kernel="x = 1\n") for name in PAPER]
    log = compiled(render(parts, framework=derived()))
    assert not complaints(log)
    assert "Shrunk" not in log
    first, second = (write_report(parts, tmp_path / way, framework=True) for way in "ab")
    assert first.pdf is not None and second.pdf is not None
    assert first.tex.read_bytes() == second.tex.read_bytes()
    assert first.pdf.read_bytes() == second.pdf.read_bytes()
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["report.bib", "report.pdf", "report.tex"]


# Long formulas, other links, weights, sums over the vocabulary, no prior, no equation at all.
HARD = (
    "infonca", "f-dpo-js", "f-dpo-alpha", "exo", "wpo", "xpo", "chi-po", "nca", "ld-dpo", "dmpo",
    "discopop", "mallowspo-entropy", "reward-aware-po", "aot",
)  # fmt: skip


@needs_tex()
@pytest.mark.tex
def test_hard_rows_compile_with_all_that_a_report_holds(tmp_path: Path) -> None:
    specs = [load(name) for name in HARD]
    found = api.report(specs, tmp_path, wanted=Wanted(kernel=False), date="1 May 2025")
    assert found.pdf is not None, found.message
    files = {f"figures/{p.name}": p.read_bytes() for p in (tmp_path / "figures").iterdir()}
    log: list[str] = []
    typeset(found.tex.read_text(), log, files)
    assert not complaints(log[0])
    tex = found.tex.read_text()
    assert "1 May 2025" in tex and r"\subsection*{Audit}" in tex
    assert tex.count(r"\subsection*{Standing}") == len(HARD)


@needs_tex()
@pytest.mark.tex
@pytest.mark.slow
def test_the_catalogue_compiles(tmp_path: Path) -> None:
    specs = [load(name) for name in catalogue()]
    found = api.report(specs, tmp_path, wanted=Wanted(kernel=False), jobs=2)
    assert found.pdf is not None, found.message
    files = {f"figures/{p.name}": p.read_bytes() for p in (tmp_path / "figures").iterdir()}
    log: list[str] = []
    typeset(found.tex.read_text(), log, files)
    assert not complaints(log[0])


def test_two_processes_say_what_one_says() -> None:
    specs = [load(name) for name in ("dpo", "kto", "aot", *PAPER[:6])]
    wanted = Wanted(audit=False, plots=(), kernel=False)
    done: list[str] = []
    alone = render(gather(specs, wanted))
    assert render(gather(specs, wanted, jobs=2, progress=done.append)) == alone
    assert done == [spec.name for spec in specs]


@needs_tex()
@pytest.mark.tex
def test_nasty_formulas_compile_without_complaints() -> None:
    parts = [section(spec(text)) for text in SPECS.values()]
    assert not complaints(compiled(render(parts, framework=derived())))


def test_a_proof_is_stated_only_where_there_is_one() -> None:
    assert r"\begin{theorem}" in render([section(load("dpo"))])
    for name in ("refuted", "target only", "deep powers"):
        assert r"\begin{theorem}" not in render([section(spec(SPECS[name]))])


def test_a_refuted_recovery_shows_its_witness() -> None:
    part = section(spec(SPECS["refuted"]))
    assert part.recovery is not None and part.recovery.witness is not None
    tex = render([part])
    assert r"\refuted{}" in tex
    assert f"{part.recovery.witness.target_margin:.12g}" in tex
    assert r"\subsection*{The witness, worked out}" in tex


def test_the_witness_is_worked_out() -> None:
    found = loads("""
name = "x"
prior = "pi_ref(y)*exp(len(y))"
[target]
margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l)) + len(y_w) - len(y_l)"
""")
    recovery = verify(found)
    assert recovery.witness is not None
    shown = worked.example(recovery)
    for side, total in zip(
        shown["sides"], (recovery.witness.target_margin, recovery.witness.recovered_margin), strict=True
    ):
        *terms, last = [float(decimal) for *_, decimal in side["terms"]]
        assert sum(terms) == pytest.approx(last, abs=1e-5)
        assert last == pytest.approx(total, abs=1e-5)
    assert shown["difference"] == "-2" and shown["decimal"] == "-2"
    for _, value in shown["products"]:  # a product over tokens, or the one token's probability
        factors, equals, product = value.partition(" = ")
        numbers = [Fraction(int(a), int(b)) for a, b in re.findall(r"\{(\d+)\}\{(\d+)\}", factors)]
        assert not equals or product == in_latex(worked.fraction(prod(numbers, start=Fraction(1))))


def test_every_statement_has_a_standing() -> None:
    spec_ = load("alphapo")
    answer = solve(spec_)
    found = audit(spec_, trials=2, units=20_000)
    tex = render([Section(spec_, verify(spec_), CHECK, "", solution=answer, audit=found)])
    standing = tex.split(r"\subsection*{Standing}")[1]
    for words in (
        "taken from the reference; unconfirmed",
        "replayed by the checker",
        "not checked",
        "numerical evidence: 120 pairs",
        "read off the normal form",
    ):
        assert words in standing, words
    assert f"(class {answer.kind})" in tex
    answers = [a for s in found.sections for a in s.claims]
    assert tex.count(r"{\footnotesize [") == len(
        Section(spec_, verify(spec_), CHECK, solution=answer, audit=found).account.claims
    )
    assert len(answers) > 10


def test_cited_results_are_listed_once_and_only_where_they_are_cited() -> None:
    part = Section(load("kto"), None, None, solution=solve(load("kto")))
    tex = render([part])
    assert r"\section{Results that are cited}" in tex and "(results 1 and 2)" in tex
    rows = tex.split(r"\label{sec:results}")[1]
    assert re.findall(r"^(\d(?:\.\d)?) & ", rows, re.M) == ["1", "2"]
    assert "Results that are cited" not in render([section(load("dpo"))])


def test_a_row_without_a_loss_says_why() -> None:
    tex = render([Section(load("aot"), None, None)])
    assert "No specification of one pair can hold this loss: the policy's" in tex
    stated = tex.split(r"\section{\texorpdfstring{AOT")[1]
    assert "a loss of the batch" in stated and r"\mathrm{sort}" in stated
    tex = render([Section(load("ropo"), None, None)])
    assert r"\begin{align}" not in tex.split(r"\section{\texorpdfstring{ROPO")[1]


def test_a_perturbed_section_does_not_pass() -> None:
    """Each guard fires: an unbalanced formula, a lost reference, a box too wide."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    tex = render([section(load("dpo"))])
    with pytest.raises(TypesetFailed):
        typeset(tex.replace(r"\fit[", r"\fit[{", 1))
    for old, new in (
        (r"\eqref{eq:s1:prior}", r"\eqref{eq:lost}"),
        (r"\begin{proof}", r"\noindent\hbox to 2\linewidth{x\hfil}\begin{proof}"),
    ):
        assert old in tex and complaints(compiled(tex.replace(old, new, 1)))


def test_steps_are_the_checked_ones_without_detours() -> None:
    tex = render([section(load("dpo"))])
    # DPO's target is what inserting the prior gives: the rest of its derivation leads back there.
    assert re.findall(r"\\reason\{(.*)\}", tex) == [
        r"Insert the prior, on each side for its own response, rule \texttt{prior}:"
    ]
    assert "1 step, replayed by the checker" in tex


def test_what_a_prior_depends_on_is_said() -> None:
    tex = render([section(load("simpo"))])
    assert r"\fact{self-referential}" in tex and r"\fact{label-dependent}" in tex
    assert r"\fact{fixed}" in render([section(load("rdpo"))])
    assert r"\fact{iterative}" in render([section(load("dice"))])


def test_a_target_alone_gets_a_prior() -> None:
    target = spec(SPECS["target only"])
    tex = render([Section(target, None, None, solution=solve(target))])
    assert "Which prior gives this target" in tex and r"\zeta(y\mid x) \propto" in tex


def test_the_check_is_tabulated() -> None:
    tex = render([section(load("dpo"), check=CHECK)])
    assert r"\texttt{float64} & 60 & $1.23$ & $0.0025$ & $32$ & passed" in tex
    assert r"\texttt{bfloat16} & 60 & nan & $1\times 10^{17}$ & $32$ & \textbf{failed}" in tex
    assert r"off by 3\_000 at case \#3 \& more" in tex


def test_the_framework_is_derived_in_the_report() -> None:
    parts = [section(load("dpo"))]
    tex = render(parts, framework=derived())
    for theorem in theorems():
        assert rf"\label{{thm:{theorem.name}}}" in tex
        assert rf"\ref{{thm:{theorem.name}}}" in tex
    for slip in SLIPS:
        assert rf"\paragraph{{{slip.name}}}" in tex
    assert r"\refuted{}:" not in tex.split(r"\label{sec:theorems}")[1]
    plain_report = render(parts)
    assert "thm:" not in plain_report and r"\section{Slips" not in plain_report


def test_every_section_is_in_ascii() -> None:
    assert render([section(load(name)) for name in PAPER], framework=derived()).isascii()


# --- Files ---------------------------------------------------------------------------------------


def test_without_pdflatex_the_source_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = write_report([section(load("dpo"))], tmp_path / "out")
    assert found.tex.read_text().startswith(r"\documentclass")
    assert found.pdf is None
    assert "pdflatex was not found" in found.message
    assert "pdflatex report.tex" in found.message


def test_without_pdf_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "typeset", lambda *given, **more: pytest.fail("was run"))
    found = write_report([section(load("dpo"))], tmp_path, pdf=False)
    assert found.pdf is None and found.tex.is_file()


@needs_tex()
@pytest.mark.tex
def test_a_failure_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = render([section(load("dpo"))]).replace(r"\maketitle", r"\nosuchcommand")
    monkeypatch.setattr(report_module, "render", lambda parts, **options: broken)
    found = write_report([section(load("dpo"))], tmp_path)
    assert found.pdf is None
    assert "Undefined control sequence" in found.message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.bib", "report.tex"]


# What a report can do without, and how its templates ask for it.
OPTIONAL = ("lmodern", "microtype", "booktabs", "listings")


@needs_tex()
@pytest.mark.tex
@pytest.mark.parametrize(
    "lacking", [OPTIONAL, *((name,) for name in OPTIONAL)], ids=lambda names: "-".join(names)
)
def test_a_small_tex_gives_a_pdf(lacking: tuple[str, ...]) -> None:
    """Packages are hidden by asking for them by another name."""
    nasty = loads(f'''name = "x"\ntitle = {quoted(" ".join(NASTY[:2]))}\nprior = "pi_ref(y)"
reference = {quoted("ð Ð þ Þ đ Đ ę ł § © ° « » ` • ¿ ¡")}
[target]\nmargin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l)) + 1"''')
    parts = [section(load("dpo"), check=CHECK, kernel="x = '1'  # `\n"), section(nasty)]
    tex = render(parts)
    for name in lacking:
        assert f"{name}.sty" in tex
        tex = tex.replace(f"{name}.sty", f"no-{name}.sty")
    assert not complaints(compiled(tex))


@needs_tex()
@pytest.mark.tex
def test_a_missing_package_is_one_line_that_names_it() -> None:
    tex = render([section(load("dpo"))])
    lacking = tex.replace(r"\usepackage[margin=26mm]{geometry}", r"\usepackage{nosuchpackage}")
    with pytest.raises(TypesetFailed) as caught:
        typeset(lacking)
    assert str(caught.value) == "this TeX has no nosuchpackage.sty (Debian: texlive-latex-extra)"


def test_a_pdflatex_without_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    with pytest.raises(TypesetFailed, match="does not start"):
        typeset("x")


def test_a_slow_tex_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*args: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("pdflatex", options["timeout"])

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/pdflatex")
    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(TypesetFailed, match="took more than"):
        typeset("x")


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.tex").write_text("old")

    def refuse(source: str, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_report([section(load("dpo"))], tmp_path, pdf=False)
    assert [p.name for p in tmp_path.iterdir()] == ["report.tex"]
    assert (tmp_path / "report.tex").read_text() == "old"


@needs_tex()
@pytest.mark.tex
def test_tex_may_not_read_or_write_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(TypesetFailed):
        typeset(r"\documentclass{article}\begin{document}\input{/etc/passwd}\end{document}")
    target = tmp_path / "pwned"
    with pytest.raises(TypesetFailed):
        typeset(
            r"\documentclass{article}\begin{document}\newwrite\f"
            rf"\immediate\openout\f={target} \immediate\write\f{{x}}x\end{{document}}"
        )
    assert not list(tmp_path.iterdir())
