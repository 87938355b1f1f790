"""Certificates fail closed: every fault of the printer, of the text or of a tool is seen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_recovery import spec

from midpo.cli import main
from midpo.commands.certify import _status
from midpo.proofs.certify.certificate import Certificate, check, export, named_apart
from midpo.proofs.certify.library import AXIOMS
from midpo.proofs.certify.runner import NotChecked, Refused, Tools, check_again, find_tools
from midpo.symbolic.language.spec import CATALOGUE, load, loads

coq = pytest.mark.coq
needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="coqc is not installed")
DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
BIG = 10**21


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def swapped(text: str, *pairs: tuple[str, str]) -> str:
    """`text` with both of each pair exchanged."""
    for one, other in pairs:
        assert one in text and other in text
        text = other.join(part.replace(other, one) for part in text.split(one))
    return text


SIMPO = export(load("simpo"))
TPO = export(load("tpo"))
NUMBERS = export(spec(f"pi_ref(y)*exp({BIG}*len(y))", f"{DPO} - {BIG}*alpha*(len(y_w) - len(y_l))"))
_PROOF = "Proof using All. timeout 20 midpo. Qed."


def _published(one: Certificate) -> str:
    return one.text.split("Definition published")[1].split(".\n")[0]


def other_instance(text: str, instance: str = "eq_refl O") -> str:
    return text.split("(* The hypotheses")[0] + f"Definition satisfiable := {instance}.\n"


# name: (certificate, text of the faulty file, the state that it must get)
FAULTS: dict[str, tuple[Certificate, str, str]] = {
    "gamma dropped on both sides": (
        SIMPO,
        replaced(
            SIMPO.text,
            (" - p_gamma.", " - 0 * p_gamma."),
            ("p_gamma/(2 * p_alpha)", "0 * p_gamma/(2 * p_alpha)"),
        ),
        "mismatch",
    ),
    "roles swapped on both sides": (
        NUMBERS,
        NUMBERS.text.replace(
            _published(NUMBERS), swapped(_published(NUMBERS), ("x w", "x l"), ("n w", "n l"))
        ).replace(
            "(policy x w) (prior true x w) (policy x l) (prior false x l)",
            "(policy x l) (prior false x l) (policy x w) (prior true x w)",
        ),
        "mismatch",
    ),
    "a large number printed as 0": (NUMBERS, replaced(NUMBERS.text, (str(BIG), "0")), "mismatch"),
    "a number printed wrong": (NUMBERS, replaced(NUMBERS.text, (str(BIG), str(BIG + 1))), "mismatch"),
    "the published side is the recovered one": (
        SIMPO,
        SIMPO.text.replace(_published(SIMPO), " (x : X) (w l : Y) : R := recovered x w l"),
        "refused",
    ),  # nothing is left to prove, which the proof does not expect
    "a likelihood of another response": (TPO, replaced(TPO.text, ("(r_y_g x)", "w")), "mismatch"),
    "no normaliser": (SIMPO, replaced(SIMPO.text, (") / Z x.", ") / 1.")), "mismatch"),
    "a word of the library redefined": (
        SIMPO,
        replaced(
            SIMPO.text,
            (
                "Section Recovery.",
                "Definition margin (a b c d e : R) : R := "
                "Midpo.margin a b c d e.\n#[local] Hint Unfold margin : midpo.\nSection Recovery.",
            ),
        ),
        "mismatch",
    ),
    "a hypothesis too many": (
        SIMPO,
        other_instance(
            replaced(SIMPO.text, ("0 < p_alpha.", "0 < p_alpha.\n  Hypothesis extra : p_alpha < 1."))
        ),
        "mismatch",
    ),
    "hypotheses that contradict each other": (
        SIMPO,
        other_instance(
            replaced(
                SIMPO.text,
                ("0 < p_alpha.", "0 < p_alpha.\n  Hypothesis extra : p_alpha < 0."),
                (_PROOF, "Proof using All. exfalso; lra. Qed."),
            )
        ),
        "mismatch",
    ),
    "a domain of the wrong sign": (
        SIMPO,
        other_instance(replaced(SIMPO.text, ("0 < p_alpha.", "p_alpha < 0."))),
        "mismatch",
    ),
    "no instance of the hypotheses": (SIMPO, SIMPO.text.split("(* The hypotheses")[0], "refused"),
    "an instance of something else": (SIMPO, other_instance(SIMPO.text, "@losses_agree"), "mismatch"),
    "a hypothesis missing": (
        SIMPO,
        replaced(SIMPO.text, ("  Hypothesis mass_pi_positive : forall x y, 0 < mass_pi x y.", "")),
        "not checked",
    ),
    "an axiom that proves everything": (
        SIMPO,
        replaced(
            SIMPO.text,
            ("Section Recovery.", "Axiom bad : forall P : Prop, P.\nSection Recovery."),
            (_PROOF, "Proof using All. apply bad. Qed."),
        ),
        "refused",
    ),
    "an admitted proof": (SIMPO, replaced(SIMPO.text, (_PROOF, "Proof using All. Admitted.")), "refused"),
    "a wrong prior": (SIMPO, replaced(SIMPO.text, ("(prior true x w)", "(prior false x w)")), "refused"),
    "no fault": (SIMPO, SIMPO.text, "checked"),
    "large numbers": (NUMBERS, NUMBERS.text, "checked"),
}


COMMON = [
    "gamma dropped on both sides",
    "a large number printed as 0",
    "no fault",
    "hypotheses that contradict each other",
    "no instance of the hypotheses",
    "an axiom that proves everything",
    "an admitted proof",
    "a wrong prior",
]


@coq
@needs_coq
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(COMMON, id="common"),
        pytest.param([name for name in FAULTS if name not in COMMON], id="others", marks=pytest.mark.slow),
    ],
)
def test_every_fault_is_seen(names: list[str]) -> None:
    faulty = [dataclasses.replace(FAULTS[name][0], text=FAULTS[name][1]) for name in names]
    for name, found in zip(names, check(named_apart(faulty)), strict=True):
        honest, text, state = FAULTS[name]
        assert (text == honest.text) == (state == "checked"), name
        assert found.state == state, (name, found.state, found.reason)
        assert bool(found.readback) == (state == "checked"), name


# --- Tools that are missing, silent, slow or talk nonsense ---------------------------------------

VERSION = 'if [ "$1" = --version ]; then echo version 8.16.1; exit 0; fi\nfor f; do :; done\n'
LEAVES = 'touch "${f%.v}.vo"\n'
FALSE_TOOLS = {
    "compiles nothing": "exit 0",
    "dies": "kill -9 $$",
    "refuses the library": "exit 1",
    "leaves a file and says nothing": LEAVES,
    "leaves a file and talks nonsense": LEAVES + "echo 'audit_axioms = O'; head -c 900 /dev/urandom",
    "does not end": 'case "$f" in recovery*) sleep 60;; esac\n' + LEAVES,
    "does not stop printing": 'case "$f" in recovery*) yes;; esac\n' + LEAVES,
}


@pytest.mark.parametrize("kind", FALSE_TOOLS)
def test_a_false_coqc_checks_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = tmp_path / "coqc"
    false.write_text(f"#!/bin/sh\n{VERSION}{FALSE_TOOLS[kind]}\n")
    false.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = check([SIMPO], timeout=1)
    assert found.state == "not checked" and not found.readback and found.axioms is None
    assert found.status == 3 and found.kernel.startswith("not checked")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 0", NotChecked),
        ("echo nonsense", NotChecked),
        ("kill -9 $$", NotChecked),
        ("sleep 60", NotChecked),
        ("exit 1", Refused),
        ("echo CONTEXT SUMMARY", None),
    ],
)
def test_a_false_coqchk_checks_nothing(script: str, error: type[Exception] | None, tmp_path: Path) -> None:
    false = tmp_path / "coqchk"
    false.write_text(f"#!/bin/sh\n{script}\n")
    false.chmod(0o755)
    for coqchk, expected in ((str(false), error), (None, NotChecked)):
        tools = Tools(("coqc",), coqchk, "8.16.1", "Coq")
        with contextlib.nullcontext() if expected is None else pytest.raises(expected):
            check_again(tools, ["recovery_simpo"], tmp_path, timeout=1)


@coq
@needs_coq
def test_rocq_nine_by_its_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that knows `rocq c` and `From Stdlib` only, and has coqc do the work."""
    script = f"""#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" = c ] || exit 1
shift
if [ "$1" = --version ]; then echo 'The Rocq Prover, version 9.0.0'; exit 0; fi
for f; do :; done
if grep -q '^From Coq' "$f"; then echo 'no library Coq'; exit 1; fi
sed -i 's/^From Stdlib/From Coq/' "$f"
exec {shutil.which("coqc")} "$@"
"""
    (tmp_path / "rocq").write_text(script)
    (tmp_path / "rocq").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    tools = find_tools()
    assert (tools.version, tools.library) == ("9.0.0", "Stdlib")
    (found,) = check([SIMPO])
    assert (found.state, found.coqc) == ("checked", "9.0.0"), found.reason
    done = CliRunner().invoke(main, ["certify", "simpo", "-o", str(tmp_path / "out"), "--check"])
    assert done.exit_code == 0, done.output
    written = [path.read_text() for path in (tmp_path / "out").glob("*.v")]
    assert len(written) > 1 and all("From Stdlib Require" in text for text in written)
    assert "From Coq" not in "".join(written)


# --- Exit statuses and JSON ----------------------------------------------------------------------


def test_exit_statuses(tmp_path: Path) -> None:
    """2 is bad input; without a check what is exported is enough; with it, the worst counts."""
    out = ["-o", str(tmp_path)]
    for arguments, status in (
        (["certify", "simpo", *out], 0),
        (["certify", *out], 2),
        (["certify", "nothing", *out], 2),
        (["certify", "--all", "simpo", *out], 2),
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output

    def statuses(*states: str) -> int:
        return _status([dataclasses.replace(SIMPO, state=state) for state in states], True)  # type: ignore[arg-type]

    assert statuses("checked", "no recovery") == 0
    assert statuses("checked", "not checked") == statuses("not exportable", "checked") == 3
    assert statuses("not checked", "refused") == statuses("mismatch", "checked") == 1
    assert _status([dataclasses.replace(SIMPO, state="not exportable", text="")], False) == 3


@coq
@needs_coq
def test_json_says_what_was_done(tmp_path: Path) -> None:
    import hashlib

    done = CliRunner().invoke(main, ["certify", "simpo", "-o", str(tmp_path), "--check", "--json"])
    (answer,) = json.loads(done.stdout)
    assert done.exit_code == 0
    source = (CATALOGUE / "simpo.toml").read_bytes()
    assert answer.pop("seconds") > 0 and answer.pop("cpu_seconds") > 0
    assert answer == {
        "name": "simpo",
        "digest": hashlib.sha256(source).hexdigest(),
        "file": "recovery_simpo.v",
        "folder": str(tmp_path),
        "theorems": ["recovery_simpo.margins_agree", "recovery_simpo.losses_agree"],
        "state": "checked",
        "reason": "",
        "coqc": find_tools().version,
        "axioms": sorted(AXIOMS),
        "readback": True,
        "coqchk": None,
        "differing": [],
    }


# --- Names ---------------------------------------------------------------------------------------


@coq
@needs_coq
def test_hostile_names_are_only_names() -> None:
    """Words of Coq, of the library and of the certificate as names, and a title that ends
    comments and strings."""
    words = [
        "fun",
        "forall",
        "Type",
        "Prop",
        "R",
        "ln",
        "INR",
        "Qed",
        "Axiom",
        "nat",
        "Z",
        "E",
        "w",
        "n",
        "tok",
        "margin",
        "policy",
        "published",
        "sumn",
        "p_alpha",
        "v0",
        "t0",
        "long" * 15,
    ]
    rows = "\n".join(f'{name} = "real"' for name in words)
    total = " + ".join(words)
    source = (
        'name = "fun"\ntitle = \'*) Axiom bad : False. (* " \\\\ ∀ é 😀\'\n'
        f'prior = "pi_ref(y)*exp(len(y)*({total}))"\n'
        f'[parameters]\nalpha = "positive"\n{rows}\n[target]\n'
        f'margin = "{DPO} - alpha*(len(y_w) - len(y_l))*({total})"'
    )
    (found,) = check([export(loads(source))])
    assert found.state == "checked" and found.text.isascii(), found.reason
    assert found.text.count("(*") == found.text.count("*)") and "bad" not in found.text
