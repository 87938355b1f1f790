"""What check and paper answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from midpo.proofs.account.check import check_topic

from .pieces import STYLE, claims, headed, line, out, table

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.reproduction import Reproduction


def crosscheck(found: CrossCheck) -> None:
    style, word = ("bold green", "agrees") if found.passed else ("bold red", "differs")
    topic = check_topic(found)
    headed(found.name, word, style, topic.claims[0].standing)
    claims(topic, first=True)
    if found.code:
        said = "" if found.backend == "code" else f" (generated, backend {found.backend})"
        line(f"  code: {escape(found.code)}{said}")
    shown = table("  dtype", "pairs", "value, ulp", "gradient, ulp")
    for row in found.dtypes:
        errors = (_ulp(row.value_ulp), _ulp(row.gradient_ulp))
        shown.add_row(f"  {row.dtype}", str(row.cases), *errors)
    out.print(shown)
    gradcheck = {True: "passes", False: "fails", None: "does not apply"}
    if not found.code:
        line(f"  torch.autograd.gradcheck: {gradcheck[found.gradcheck]}")
    if found.ways:
        line(f"  called in {len(found.ways)} ways (--json names them)")
    for note in found.notes:
        line(f"  {escape(note)}")
    for name, value in (found.case or {}).get("inputs", {}).items():
        if name != "parameters":
            line(f"    {escape(f'{name}: {value}')}")


def _ulp(error: float) -> str:
    return f"{error:.2f}" if error < 1e4 else f"{error:.1e}"


def paper(found: Reproduction) -> None:
    columns = ("algorithm", "recovery", "steps", "prior", "kernel", "value, ulp", "gradient, ulp")
    shown = table(*columns)
    for answer, check in zip(found.recoveries, found.checks, strict=True):
        facts = answer.facts
        assert facts is not None
        kinds = [facts.policy, *["by label"] * (not facts.label_free)]
        kinds += ["by token"] * facts.token_level
        agrees = "[bold green]agrees[/]" if check.passed else "[bold red]differs[/]"
        shown.add_row(
            answer.spec.name,
            f"[{STYLE[answer.verdict]}]{answer.verdict}[/]",
            str(len(answer.steps)),
            ", ".join(kinds),
            agrees,
            f"{max(d.value_ulp for d in check.dtypes):.1f}",
            f"{max(d.gradient_ulp for d in check.dtypes):.1f}",
        )
    out.print(shown)
    pairs = sum(c.cases for c in found.checks)
    dtypes = ", ".join(d.dtype for d in found.checks[0].dtypes)
    line(
        "\nproved: a derivation, replayed by a separate checker.\n"
        f"agrees: numerical evidence from {pairs} random pairs against 50 digits in {dtypes};\n"
        "  the largest error, in units in the last place."
    )
    line(f"wrote {len(found.kernels)} kernels into {escape(str(found.files[0].parent))}")
    for path in found.files[len(found.kernels) :]:
        line(f"wrote {escape(str(path))}")
    if found.report.pdf is None:
        line(escape(found.report.message))
