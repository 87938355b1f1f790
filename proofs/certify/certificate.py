"""Certificates: a recovery as a theorem that the kernel of Coq accepts, read back and compared.

`export` writes the text from the spec; `check` compiles it in a folder of its own together with the
library, lists the axioms, and compares what Coq says it has proved with the spec. Nothing is
"checked" unless each of these was done and went well.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sympy import Expr, S

from midpo.numeric.witness import Witness
from midpo.proofs.recover.recovery import Recovery, verify
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, told
from midpo.symbolic.language.spec import Spec, catalogue, load

from .library import AXIOMS, for_release, library_texts
from .printer import NotExportable
from .readback import read_instance, read_recovery
from .readback_refutation import read_refutation
from .recovery import GOAL_SECONDS, recovery_text
from .refutation import refutation_text
from .runner import NotChecked, Refused, Tools, check_again, compile_file, find_tools
from .statement import Statement
from .terms import Mismatch

State = Literal["checked", "exported", "refused", "not exportable", "not checked", "mismatch", "no recovery"]
DEFINITIONS = ("policy", "prior", "recovered", "published", "loss_of")
INSTANCE = "satisfiable"  # of a recovery's first theorem, with every hypothesis proved
LIBRARY = ("Midpo", "MidpoPoint")  # the part of the library that certificates need


@dataclass(frozen=True)
class Certificate:
    """One spec's theorem: its text, and what was done to it.

    `state` says how far it came, `reason` why no further; `axioms` are those Coq lists, `readback`
    and `coqchk` whether these went well (None where they were not asked); `seconds` are of wall
    clock, `cpu_seconds` those that coqc took to compile the file, its start included; `differing`
    is what a refutation, as read back, says to differ: "margins", "losses" or both.
    """

    spec: Spec
    module: str
    text: str = ""
    theorems: tuple[str, ...] = ()
    state: State = "exported"
    reason: str = ""
    coqc: str | None = None
    axioms: tuple[str, ...] | None = None
    readback: bool | None = None
    coqchk: bool | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    factor: Expr = S.One
    constant: Expr = S.Zero
    refutes: bool = False
    differing: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"{self.module}.v"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.spec.name,
            "digest": self.spec.digest,
            "file": self.file if self.text else None,
            "theorems": [f"{self.module}.{name}" for name in self.theorems],
            "state": self.state,
            "reason": self.reason,
            "coqc": self.coqc,
            "axioms": None if self.axioms is None else list(self.axioms),
            "readback": self.readback,
            "coqchk": self.coqchk,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "differing": list(self.differing),
        }

    @property
    def status(self) -> int:
        """The exit status where a check was asked for: 0 accepted, or nothing to accept; 1 refused;
        3 not known."""
        return {"checked": 0, "no recovery": 0, "refused": 1, "mismatch": 1}.get(self.state, 3)

    @property
    def kernel(self) -> Told:
        """What an independent kernel says of the recovery or refutation, in words."""
        if self.state == "checked":
            said = told("{} (Coq {})", Standing.ACCEPTED, f"{self.coqc}")
            if self.differing:
                differing = " and the ".join(self.differing)
                said = told("{}: the {} differ at the witness", said, differing)
            return said
        if self.state == "exported":
            return known(Standing.UNCHECKED)
        return told("{}: {}", self.state, " ".join(self.reason.split()))


def export(spec: Spec, recovery: Recovery | None = None) -> Certificate:
    """The certificate of `spec`, not checked; "not exportable" with a reason where there is none.

    Raises: SpecError where the spec has no prior or no target.
    """
    found = recovery or verify(spec)
    module = _module("recovery", spec)
    if found.verdict == "refuted" and found.witness is not None:
        return _refutation(spec, found, found.witness)
    if found.verdict != "proved":
        return Certificate(spec, module, state="not exportable", reason=f"verify says {found.verdict}")
    by_loss = spec.margin is None or found.kind == "loss"
    try:
        statement = Statement(spec, by_loss, found.factor, found.constant)
        text, theorems = recovery_text(statement)
    except (NotExportable, RecursionError) as error:
        return Certificate(spec, module, state="not exportable", reason=str(error))
    head = f"(* {module}: written from the spec with SHA-256 {_hex(spec.digest)} *)\n"
    return Certificate(spec, module, head + text, theorems, factor=found.factor, constant=found.constant)


def _refutation(spec: Spec, found: Recovery, witness: Witness) -> Certificate:
    """The certificate that the two sides differ at the witness."""
    module = _module("refutation", spec)
    compared = spec
    if found.kind == "margin":  # a logistic loss is refuted by its margin
        compared = replace(spec, margin=found.target, loss=None)
    elif spec.margin is not None:
        compared = replace(spec, margin=None, loss=found.target)
    try:
        if found.kind == "loss" and (found.factor, found.constant) != (1, 0):
            raise NotExportable("a refutation up to a factor and a constant")
        text, theorems = refutation_text(
            Statement(compared, found.kind == "loss"), witness.case, found.difference
        )
    except (NotExportable, RecursionError) as error:
        return Certificate(spec, module, state="not exportable", reason=str(error))
    head = f"(* {module}: written from the spec with SHA-256 {_hex(spec.digest)} *)\n"
    return Certificate(compared, module, head + text, theorems, refutes=True)


def export_all(specs: Sequence[Spec]) -> list[Certificate]:
    """A certificate for each, in files of different names."""
    return named_apart([export(spec) for spec in specs])


def export_catalogue() -> list[Certificate]:
    """A certificate for each row of the catalogue, "no recovery" where the row claims none."""
    found = []
    for name in catalogue():
        spec = load(name)
        why = (
            f"the row has no loss of one pair: {spec.reason}"
            if spec.reason
            else (f"the row has no prior (midpo solve {name} says why)")
        )
        found.append(
            export(spec)
            if spec.prior is not None
            else Certificate(spec, _module("recovery", spec), state="no recovery", reason=why)
        )
    return named_apart(found)


def _module(kind: str, spec: Spec) -> str:
    return f"{kind}_" + re.sub(r"[^a-z0-9_]", "_", spec.name)


def named_apart(certificates: Sequence[Certificate]) -> list[Certificate]:
    """The certificates, with no two files of one name."""
    taken: set[str] = set()
    listed = []
    for found in certificates:
        module, number = found.module, 2
        while module in taken:
            module, number = f"{found.module}_{number}", number + 1
        taken.add(module)
        text = found.text.replace(f"(* {found.module}:", f"(* {module}:", 1)
        listed.append(replace(found, module=module, text=text))
    return listed


def _hex(digest: str) -> str:
    return digest if re.fullmatch(r"[0-9a-f]{0,64}", digest) else "unknown"


# --- Checking ------------------------------------------------------------------------------------


def check(
    certificates: Sequence[Certificate],
    *,
    coqchk: bool = False,
    workers: int = 2,
    timeout: float = 60,
    advance: Callable[[str], None] = lambda now: None,
) -> list[Certificate]:
    """Have Coq check each exported certificate, in a fresh folder. Never raises for what a tool
    does: a certificate that was not accepted says so in its state and reason.

    "refused" and "mismatch" speak against a certificate; "not checked" says that nothing was
    learnt, be it that Coq is missing or that the tactic found no proof of the spec's own statement.
    """
    if not any(c.text for c in certificates):
        return list(certificates)
    try:
        tools = find_tools()
        folder = tempfile.TemporaryDirectory(prefix="midpo-")
    except (NotChecked, OSError) as error:
        return [_failed(c, "not checked", str(error)) for c in certificates]
    with folder as name:
        place = Path(name)
        try:
            _compile_library(tools, place)
        except (NotChecked, Refused, OSError) as error:
            reason = f"the library was not compiled: {error}"
            return [_failed(c, "not checked", reason) for c in certificates]

        def compiled(certificate: Certificate) -> Certificate:
            done = _compile_one(tools, place, certificate, timeout)
            advance(certificate.spec.name)
            return done

        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(compiled, certificates))
            good = [c for c in found if c.state == "exported" and c.text]
            shares = [share for n in range(workers) if (share := good[n::workers])]
            printed: dict[str, str | MidpoError] = {}
            for answers in pool.map(lambda s: _printed(tools, place, s, timeout), shares):
                printed |= answers
            return list(pool.map(lambda c: _judged(tools, place, c, printed.get(c.module), coqchk), found))


def _compile_library(tools: Tools, place: Path) -> None:
    """Put the compiled library into `place`; it is compiled once a process."""
    global _library
    if _library is None or _library[0] != tools:
        folder = tempfile.TemporaryDirectory(prefix="midpo-")
        texts = library_texts(tools.library)
        for module in LIBRARY:
            file = Path(folder.name) / f"{module}.v"
            file.write_text(texts[file.name], encoding="utf-8")
            compile_file(tools, file)
        _library = tools, folder
    for module in LIBRARY:
        for kind in ("v", "vo"):
            shutil.copyfile(Path(_library[1].name) / f"{module}.{kind}", place / f"{module}.{kind}")


_library: tuple[Tools, tempfile.TemporaryDirectory[str]] | None = None


def _failed(certificate: Certificate, state: State, reason: str) -> Certificate:
    if not certificate.text:
        return certificate
    return replace(certificate, state=state, reason=reason)


def _compile_one(tools: Tools, place: Path, certificate: Certificate, timeout: float) -> Certificate:
    """Compile one certificate; what is still "exported" was compiled."""
    if not certificate.text:
        return certificate
    started = time.monotonic()
    found = replace(certificate, coqc=tools.version)
    try:
        file = place / found.file
        file.write_text(for_release(found.text, tools.library), encoding="utf-8")
        _, cpu = compile_file(tools, file, timeout=timeout)
    except Refused as error:
        return _unproved(tools, place, found, str(error), timeout)
    except (NotChecked, OSError) as error:
        return _failed(found, "not checked", str(error))
    return replace(found, seconds=time.monotonic() - started, cpu_seconds=cpu)


def _unproved(tools: Tools, place: Path, found: Certificate, message: str, timeout: float) -> Certificate:
    """What it means that Coq did not accept a file.

    Read back without its proofs, it says what the spec says: then only a proof is missing. Or it
    does not: then a wrong statement was refused.
    """
    text = re.sub(r"(Proof( using All)?\.).*?\bQed\.", r"\1 Admitted.", found.text, flags=re.S)
    if not found.refutes:  # that the hypotheses hold together somewhere is another statement
        text = text.split("(* The hypotheses", 1)[0] + f"Definition {INSTANCE} := O = O.\n"
    try:
        file = place / found.file
        file.write_text(for_release(text, tools.library), encoding="utf-8")
        compile_file(tools, file, timeout=timeout)
        printed = _printed(tools, place, [found], timeout)[found.module]
        if not isinstance(printed, str):
            raise printed
        parts = _parts(printed, found)
        _read_back(found, parts | {INSTANCE: "@eq nat O O"})
    except (NotChecked, Refused, Mismatch, OSError):
        return _failed(found, "refused", message)
    finally:
        file.with_suffix(".vo").unlink(missing_ok=True)
    if re.search("timeout", message, re.I):
        return _failed(found, "not checked", f"the tactic did not end within {GOAL_SECONDS} s on one goal")
    return _failed(found, "not checked", "the tactic found no proof of the spec's statement")


def _printed(
    tools: Tools, place: Path, good: Sequence[Certificate], timeout: float
) -> dict[str, str | MidpoError]:
    """What Coq prints of each compiled certificate: all in one run, or one by one if that fails or
    if any rests on other axioms. The axioms of one run are those of all its certificates."""
    try:
        audit = place / f"audit_{good[0].module}.v"
        audit.write_text(for_release(audit_text(good), tools.library), encoding="utf-8")
        printed, _ = compile_file(tools, audit, timeout=timeout + 5 * len(good))
        start, *pieces = re.split(r"^audit_(\w+) = O\n     : nat\n", printed, flags=re.M)
        if start.strip() or pieces[::2] != [*(c.module for c in good), "axioms"]:
            raise NotChecked("what coqc printed cannot be split")
        axioms = pieces[-1]
        if len(good) > 1 and not set(axioms_of(axioms)) <= set(AXIOMS):
            raise NotChecked("one of them rests on other axioms")
        return {c.module: text + axioms for c, text in zip(good, pieces[1::2], strict=False)}
    except (NotChecked, Refused, OSError) as error:
        if len(good) == 1:
            known = error if isinstance(error, MidpoError) else NotChecked(str(error))
            return {good[0].module: known}
    return {k: v for c in good for k, v in _printed(tools, place, [c], timeout).items()}


def _judged(
    tools: Tools, place: Path, found: Certificate, printed: str | MidpoError | None, coqchk: bool
) -> Certificate:
    """Axioms and statement of a compiled certificate."""
    if not found.text or found.state != "exported":
        return found
    started = time.monotonic()
    try:
        if not isinstance(printed, str):
            raise printed or NotChecked("coqc printed nothing")
        parts = _parts(printed, found)
        axioms = axioms_of(parts["axioms"])
        found = replace(found, axioms=axioms, readback=False)
        if not set(axioms) <= set(AXIOMS):
            extra = ", ".join(sorted(set(axioms) - set(AXIOMS)))
            return _failed(found, "refused", f"it rests on other axioms: {extra}")
        found = replace(found, differing=_read_back(found, parts), readback=True)
        if coqchk:
            found = replace(found, coqchk=False)
            check_again(tools, [found.module], place)
            found = replace(found, coqchk=True)
    except Mismatch as error:
        return _failed(found, "mismatch", f"read back, {error}")
    except Refused as error:
        return _failed(found, "refused", str(error))
    except (NotChecked, OSError) as error:
        return _failed(found, "not checked", str(error))
    seconds = (found.seconds or 0) + time.monotonic() - started
    return replace(found, state="checked", reason="", seconds=seconds)


def _read_back(found: Certificate, parts: Mapping[str, str]) -> tuple[str, ...]:
    """Compare what Coq printed with the spec; what a refutation says to differ. Raises: Mismatch."""
    definitions = {name: parts[name] for name in DEFINITIONS}
    if found.refutes:
        return read_refutation(found.spec, found.module, definitions, parts["refuted"])
    statements = {name: parts[name] for name in found.theorems}
    read_instance(parts[INSTANCE])
    read_recovery(found.spec, found.module, definitions, statements, found.factor, found.constant)
    return ()


def _statements(certificate: Certificate) -> tuple[str, ...]:
    """What Coq is asked to state: the theorems, and the instance of a recovery's."""
    return certificate.theorems if certificate.refutes else (*certificate.theorems, INSTANCE)


def audit_text(certificates: Sequence[Certificate]) -> str:
    """A file that has Coq print what was compiled. The certificates are not imported, so their
    names are printed with the module's in front and can stand for nothing of the library."""
    lines = [
        "From Coq Require Import Reals List.",
        "From Midpo Require Import Midpo MidpoPoint.",
        "Set Printing All. Set Printing Depth 1000000. Set Printing Width 1000000.",
    ]
    for one in certificates:
        module = one.module
        lines += [
            f"From Midpo Require {module}.",
            f"Definition audit_{module} := O.",
            f"Print audit_{module}.",
        ]
        lines += [f"Print {module}.{name}." for name in DEFINITIONS]
        lines += [f"Check @{module}.{name}." for name in _statements(one)]
    together = ", ".join(f"@{one.module}.{name}" for one in certificates for name in one.theorems)
    lines += [
        "Definition audit_axioms := O.",
        "Print audit_axioms.",
        f"Definition audit_theorems := ({together}).",
        "Print Assumptions audit_theorems.",
    ]
    return "\n".join(lines) + "\n"


def _parts(printed: str, certificate: Certificate) -> dict[str, str]:
    """Definition bodies, theorem statements and axioms, from what Coq printed.

    Raises: NotChecked where any is missing.
    """
    module = re.escape(certificate.module)
    parts: dict[str, str] = {}
    for name in DEFINITIONS:
        found = re.search(rf"^{module}\.{name} =(.*?)^     : ", printed, re.M | re.S)
        if found:
            parts[name] = found[1]
    for name in _statements(certificate):
        end = rf"(?=^@|^{module}|^Axioms:|^Closed)"
        found = re.search(rf"^@?{module}\.{name}\n     : (.*?){end}", printed, re.M | re.S)
        if found:
            parts[name] = found[1]
    found = re.search(r"^(Axioms:.*|Closed under the global context.*)\Z", printed, re.M | re.S)
    if found:
        parts["axioms"] = found[1]
    missing = {*DEFINITIONS, *_statements(certificate), "axioms"} - parts.keys()
    if missing:
        raise NotChecked(f"coqc did not print {', '.join(sorted(missing))}")
    return parts


def axioms_of(printed: str) -> tuple[str, ...]:
    """The names of the axioms that `Print Assumptions` lists. Raises: NotChecked."""
    if printed.startswith("Closed under the global context"):
        return ()
    names = re.findall(r"^([A-Za-z_][\w.']*)(?= :|\n  :|$)", printed, re.M)
    lines = [line for line in printed.splitlines()[1:] if line and not line[0].isspace()]
    if len(names) != len(lines) or not names:
        raise NotChecked("what coqc says of axioms cannot be understood")
    return tuple(sorted(names))
