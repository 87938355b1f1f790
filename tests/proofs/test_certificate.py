"""Certificates: what is written, what Coq accepts, and that a wrong one is caught."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sympy import Rational
from test_recovery import PERTURBED, perturbed, spec

from midpo.cli import main
from midpo.commands.certify import command as certify
from midpo.proofs.certify import library as rocq_library
from midpo.proofs.certify.certificate import Certificate, axioms_of, check, export, export_all, named_apart
from midpo.proofs.certify.library import for_release
from midpo.proofs.certify.printer import NotExportable, Printer, identifier
from midpo.proofs.certify.reader import _ARITHMETIC
from midpo.proofs.certify.runner import NotChecked, find_tools, run
from midpo.proofs.certify.terms import Mismatch, parse_term
from midpo.symbolic.language.nodes import Parameter, Sqrt
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import PAPER, load, loads
from midpo.symbolic.language.words import FUNCTIONS, Word

coq = pytest.mark.coq
needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="coqc is not installed")
DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"


# --- The text, without Coq -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PAPER)
def test_text_of_the_eight(name: str, golden: Callable[[str, str], None]) -> None:
    found = export(load(name))
    assert found.state == "exported" and found.text.isascii()
    golden(found.file, found.text)


def test_text_of_a_refutation(golden: Callable[[str, str], None]) -> None:
    found = export(perturbed(*PERTURBED[10]))
    assert found.refutes and found.theorems == ("refuted",)
    golden(found.file, found.text)


def test_the_published_margin_is_the_targets() -> None:
    """Another prior changes the definition of the prior and nothing else."""
    texts = [export(spec(prior, DPO)).text for prior in ("pi_ref(y)", "7*pi_ref(y)")]
    changed = [pair for pair in zip(*(t.splitlines() for t in texts), strict=True) if pair[0] != pair[1]]
    assert len(changed) == 2 and all("SHA" in a or "Z x" in a for a, _ in changed)


@pytest.mark.parametrize(
    ("prior", "margin", "reason"),
    [
        ("pi_ref(y)", "2*" + "(" + DPO + ")", ""),  # refuted: a refutation is exported
        ("pi_ref(y)*exp(gap - gap + gap)", f"{DPO}", "pair"),
        ("pi(y)*exp(-score(y)**100)", "alpha*score(y_w)**100 - alpha*score(y_l)**100", "power"),
    ],
)
def test_what_is_not_exportable_says_why(prior: str, margin: str, reason: str) -> None:
    found = export(spec(prior, margin))
    assert (found.state == "exported") == (not reason) and reason in found.reason


def test_names_stay_names() -> None:
    for name in ("a b", "a)", "*)", '"', "a\nb", "", "1a", "é", "a.b"):
        with pytest.raises(NotExportable):
            identifier("p", name)
    hostile = ["fun", "forall", "Type", "R", "ln", "INR", "PI", "Qed", "Axiom", "nat", "Z", "E"]
    names = random.Random(0)
    hostile += ["".join(names.choices("abAB_09", k=8)) for _ in range(20)]
    hostile = [n for n in hostile if n[0].isalpha()]
    rows = "\n".join(f'{name} = "real"' for name in hostile)
    text = "*".join(hostile)
    source = (
        f'name = "fun"\ntitle = "*) Axiom bad : False. (*"\nprior = "pi_ref(y)*exp({text})"\n'
        f'[parameters]\nalpha = "positive"\n{rows}\n[target]\nmargin = "{DPO}"'
    )
    found = export(loads(source))
    assert found.module == "recovery_fun" and "bad" not in found.text
    words = set(re.findall(r"p_\w+", found.text))
    assert {f"p_{n}" for n in hostile} <= words
    assert found.text.count("(*") == found.text.count("*)") == 2


def test_equal_names_get_different_files() -> None:
    one = load("dpo")
    assert [c.module for c in export_all([one, one])] == ["recovery_dpo", "recovery_dpo_2"]


def test_library_table() -> None:
    texts = rocq_library.library_texts()
    for theorem in rocq_library.THEOREMS.values():
        assert re.search(rf"^ *(Theorem|Lemma) {theorem.name}\b", texts[theorem.file], re.M)
    for name, text in texts.items():
        plain = re.sub(r"\(\*.*?\*\)", "", text, flags=re.S)
        assert not re.search(r"\b(Axiom|Admitted|Parameter|Conjecture|admit)\b", plain), name
    assert {p.name for p in rocq_library.FOLDER.glob("*.v")} == set(rocq_library.FILES)
    assert "From Coq" not in "".join(rocq_library.library_texts("Stdlib").values())
    assert for_release("From Coq Require", "Stdlib") == "From Stdlib Require"


CITED = {
    "audit": {
        "simpo": "MidpoNorm.simpo_normalisable",
        "rdpo": "MidpoNorm.rdpo_normalisable",
        "tdpo": "MidpoNorm.tdpo_normalisable",
        "centropy": "MidpoNorm.hdpo_normalisable",
        "sparsepo": "MidpoNorm.sparsepo_step",
        "tis-dpo": "MidpoNorm.tisdpo_step",
    },
    "derive": {
        "optimal-policy": "MidpoKL.gap_finite, MidpoKL.gap_countable",
        "bradley-terry": "MidpoKL.bradley_terry_opt",
        "theorem-4": "Midpo.margin_scale",
        "mutual-information": "MidpoKL.mutual_information_countable",
    },
}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        pytest.param(c, n, marks=pytest.mark.slow if n in ("rdpo", "tdpo", "sparsepo") else ())
        for c in CITED
        for n in CITED[c]
    ],
)
def test_derive_and_audit_cite_the_library(command: str, name: str) -> None:
    printed = " ".join(CliRunner().invoke(main, [command, name]).output.split())
    assert re.search(rf"in Coq[^:]*: [\w., ]*{re.escape(CITED[command][name])}", printed)
    theorems = {f"{t.file[:-2]}.{t.name}" for t in rocq_library.THEOREMS.values()}
    assert set(re.findall(r"\bMidpo[A-Z]?[A-Za-z]*\.\w+", printed)) <= theorems


def test_unread_output_is_a_failure() -> None:
    assert axioms_of("Closed under the global context\n") == ()
    for text in ("Axioms:\n", "Axioms:\n??? : nat\n", ""):
        with pytest.raises(NotChecked):
            axioms_of(text)
    for text in ("", "fun x", "(a", "a $ b", "match a with end", "fun (x : R => x"):
        with pytest.raises(Mismatch):
            parse_term(text)


def test_without_coq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    runner = CliRunner()
    done = runner.invoke(certify, ["dpo", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0 and "exported, not checked" in done.output
    assert (tmp_path / "out" / "recovery_dpo.v").is_file()
    assert (tmp_path / "out" / "Midpo.v").is_file()
    done = runner.invoke(certify, ["dpo", "-o", str(tmp_path / "out"), "--check", "--json"])
    (answer,) = json.loads(done.stdout)
    assert done.exit_code == 3 and answer["state"] == "not checked"
    assert answer["readback"] is None and answer["axioms"] is None


def test_a_time_out_kills_the_whole_group(tmp_path: Path) -> None:
    marker = tmp_path / "late"
    started = time.monotonic()
    with pytest.raises(NotChecked, match="more than"):
        run(["sh", "-c", f"(sleep 3; touch {marker}) & sleep 30"], tmp_path, timeout=0.5)
    assert time.monotonic() - started < 3
    time.sleep(3)
    assert not marker.exists()


# --- With Coq ------------------------------------------------------------------------------------


def accepted(*listed: Any) -> list[Certificate]:
    return check(export_all(list(listed)))


@coq
@needs_coq
def test_the_eight_are_accepted_and_read_back() -> None:
    for found in accepted(*map(load, PAPER)):
        assert found.state == "checked", (found.spec.name, found.reason)
        assert found.readback and set(found.axioms or ()) == set(rocq_library.AXIOMS)


def by_role(text: str) -> str:
    """`text` of the chosen response less that of the rejected one."""
    return f"{text.format('y_w')} - {text.format('y_l')}"


@coq
@needs_coq
def test_other_ways_of_writing_are_accepted() -> None:
    loss = f"gamma*log(1 + exp(-({DPO}))) - 3"
    found = accepted(
        spec("prod(pi_ref(y, t) for t in y)", DPO),
        spec("pi_ref(y)", loss=loss),
        spec("pi_ref(y)", DPO, link="max(0, 1 - m)"),
        spec(
            "pi_ref(y)*exp(-tanh(log(pi_ref(y))/2))",
            f"{DPO} + alpha*2*({by_role('sigmoid(log(pi_ref({})))')})",
        ),
        spec(
            "pi_ref(y)*exp(-sum(tanh(3*log(pi_ref(y, t))) for t in y))",
            f"{DPO} + alpha*({by_role('sum(2*sigmoid(6*log(pi_ref({0}, t))) - 1 for t in {0})')})",
        ),
    )
    for one in found:
        assert one.state == "checked", one.reason


@coq
@needs_coq
def test_perturbed_priors_are_refuted() -> None:
    for found in accepted(*(perturbed(*case) for case in PERTURBED[1::5])):
        assert found.refutes and found.state == "checked", (found.spec.name, found.reason)


@coq
@needs_coq
def test_library_theorems_are_there_with_their_axioms(tmp_path: Path) -> None:
    from midpo.proofs.certify.runner import compile_file

    tools = find_tools()
    for name, text in rocq_library.library_texts(tools.library).items():
        (tmp_path / name).write_text(text)
    for name in rocq_library.FILES:
        compile_file(tools, tmp_path / name)
    modules = " ".join(Path(f).stem for f in rocq_library.FILES)
    names = ", ".join(f"@{t.file[:-2]}.{t.name}" for t in rocq_library.THEOREMS.values())
    (tmp_path / "all.v").write_text(
        for_release(
            f"From Coq Require Import Reals.\nFrom Midpo Require {modules}.\n"
            f"Definition all := ({names}).\nPrint Assumptions all.\n",
            tools.library,
        )
    )
    printed, _ = compile_file(tools, tmp_path / "all.v")
    assert set(axioms_of(printed[printed.index("Axioms:") :])) <= set(rocq_library.AXIOMS)


@coq
@needs_coq
def test_the_tactic_refuses_a_wrong_prior_soon() -> None:
    """A recovery whose prior is changed in the text is refused, in bounded time."""
    for name, old, new in (
        ("sparsepo", "1 - f_mu1", "2 - f_mu1"),
        ("tdpo", "exp (-", "exp ("),
        ("tis-dpo", "(tok y t0)/law_pi", "(tok y t0) * law_pi"),
    ):
        honest = export(load(name))
        text = honest.text.replace(old, new, 1)
        assert text != honest.text
        started = time.monotonic()
        (found,) = check([dataclasses.replace(honest, text=text)])
        assert found.state == "refused" and time.monotonic() - started < 60


@coq
@needs_coq
def test_a_true_statement_without_a_proof_is_not_refused() -> None:
    """That the tactic gives up, or does not end, says nothing of the spec's own statement."""
    given_up, endless = "timeout 20 fail.", "timeout 1 (do 1000000000 idtac)."
    refuted = export(perturbed(*PERTURBED[10]))
    cases = [
        (export(load("dpo")), "timeout 20 midpo_losses midpo.", given_up, "no proof"),
        (export(load("dpo")), "timeout 20 midpo_losses midpo.", endless, "within"),
        (refuted, "timeout 20 midpo_refuted.", given_up, "no proof"),
        (refuted, "timeout 20 midpo_refuted.", endless, "within"),
    ]
    unproved = [
        dataclasses.replace(one, text=one.text.replace(tactic, other)) for one, tactic, other, _ in cases
    ]
    answers = check(named_apart(unproved), timeout=200)
    for (honest, *_, reason), found in zip(cases, answers, strict=True):
        assert honest.text.split("\n", 1)[1] != found.text.split("\n", 1)[1]
        assert (found.state, found.status) == ("not checked", 3), found.reason
        assert reason in found.reason


@coq
@needs_coq
def test_verify_says_what_the_kernel_says() -> None:
    done = CliRunner().invoke(main, ["verify", "dpo", "--certify", "--json"])
    (answer,) = json.loads(done.stdout)
    assert done.exit_code == 0
    assert answer["kernel"] == f"accepted by an independent kernel (Coq {find_tools().version})"
    assert answer["certificate"]["cpu_seconds"] > 0


def test_without_coq_verify_says_not_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (answer,) = json.loads(CliRunner().invoke(main, ["verify", "dpo", "--json"]).stdout)
    assert answer["kernel"] == "not checked"
    done = CliRunner().invoke(main, ["verify", "dpo", "--certify", "--json"])
    (answer,) = json.loads(done.stdout)
    assert done.exit_code == 3 and answer["kernel"].startswith("not checked: coqc was not found")
    done = CliRunner().invoke(
        main, ["report", "dpo", "--certify", "--no-pdf", "-o", str(tmp_path / "report")]
    )
    text = (tmp_path / "report" / "report.tex").read_text()
    assert done.exit_code == 0 and "not checked: coqc was not found" in text


def test_printing_needs_a_positive_base() -> None:
    names = spec("pi_ref(y)", DPO).names
    with pytest.raises(NotExportable, match="positive"):
        Printer(frozenset()).term(parse("score(y)**beta", names, PRIOR))


def test_the_documented_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "certificates.md").read_text()
    command, answer = guide.split("    $ midpo ")[1].split("\n\n")[0].split("\n", 1)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(certify, command.split()[1:])
    assert [line.strip() for line in done.output.splitlines()] == [
        line.strip() for line in answer.splitlines()
    ]
    assert all(axiom in guide for axiom in rocq_library.AXIOMS)


@pytest.mark.parametrize("word", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_the_name_of_each_function_is_defined_and_read_back_as_it(word: Word) -> None:
    """The reader has its own table: a wrong name in a row is found by it."""
    args = [Parameter(name) for name in "ab"[: word.arity[0]]]
    found = _ARITHMETIC[str(word.coq)](*args)
    assert found == (args[0] ** Rational(1, 2) if word.node is Sqrt else word.node(*args))
    library = (rocq_library.FOLDER / "Midpo.v").read_text()
    coqs_own = ("ln", "exp", "sqrt", "tanh", "Rabs", "Rmax", "Rmin")
    assert word.coq in coqs_own or f"Definition {word.coq} " in library
