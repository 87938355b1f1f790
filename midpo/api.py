"""The stages as functions: each takes a Spec, a catalogue name or a path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.codegen import emit
from midpo.codegen.emit import Kernel
from midpo.proofs import recovery
from midpo.proofs.check import check as replay
from midpo.proofs.recovery import Recovery
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.loss import loss_of_margin
from midpo.symbolic.spec import Spec, load
from midpo.symbolic.text import text

if TYPE_CHECKING:
    from sympy import Expr

    from midpo.numeric.crosscheck import CrossCheck
    from midpo.proofs.report import Report, Section
    from midpo.proofs.solution import Solution

Source = Spec | str | Path


def spec_of(source: Source) -> Spec:
    return source if isinstance(source, Spec) else load(source)


def describe(spec: Spec) -> dict[str, Any]:
    """Everything a spec says, as plain data; expressions as text and as LaTeX."""
    from midpo.symbolic.notation import latex

    shown = {n: getattr(spec, n) for n in ("prior", "margin", "loss", "constraint", "link")}
    return {
        "name": spec.name,
        "title": spec.title,
        "reference": spec.reference,
        "bibtex": dict(spec.bibtex),
        **{name: None if e is None else text(e) for name, e in shown.items()},
        "latex": {name: latex(e) for name, e in shown.items() if e is not None},
        "parameters": {
            n: {
                "domain": p.domain,
                "default": float(d) if (d := spec.defaults.get(n)) is not None else None,
            }
            for n, p in spec.names.parameters.items()
        },
        "features": dict(spec.names.features),
        "policies": sorted(spec.names.policies),
        "digest": spec.digest,
    }


def verify(source: Source) -> Recovery:
    """Prove or refute that the prior recovers the target.

    Raises: SpecError for a spec that cannot be read, or lacks a prior or a target.
    """
    return recovery.verify(spec_of(source))


def solve(source: Source) -> Solution:
    """Find the prior that gives the spec's target, or the theorem by which there is none.

    Raises: SpecError for a spec that cannot be read, or lacks a target.
    """
    from midpo.proofs import solution

    return solution.solve(spec_of(source))


def generate(source: Source, *, backend: str = "eager") -> Kernel:
    """The PyTorch kernel of the spec's loss: its target's, or its prior's where it has no target.

    `backend` is one of codegen.backends.BACKENDS: eager (readable), fused, triton,
    linear, logps.

    The derivation that lowered the loss to a stable form is replayed by the checker first.
    Raises: SpecError for a spec that cannot be read, NotYet for what no kernel is written for.
    """
    kernel = emit.generate(spec_of(source), backend)
    for derivation in kernel.lowered.derivations:
        replay(derivation, derivation.start, derivation.end)
    return kernel


def check(
    source: Source,
    *,
    backend: str = "eager",
    seed: int = 0,
    trials: int | None = None,
    dtypes: Sequence[str] | None = None,
    device: str = "cpu",
    progress: Callable[[], None] = lambda: None,
) -> CrossCheck:
    """Generate the kernel in memory and hold it against the spec on random logits. Needs torch.

    Raises: SpecError for a spec that cannot be read, MidpoError where torch is missing.
    """
    spec = spec_of(source)
    try:
        from midpo.numeric import crosscheck
    except ImportError as error:
        raise MidpoError(
            f"cross-checks need {error.name}, which is not installed\n"
            "  expected: pip install 'midpo[torch]'"
        ) from None
    return crosscheck.crosscheck(
        spec,
        generate(spec, backend=backend),
        prior_loss=_loss_through_prior(spec),
        seed=seed,
        trials=crosscheck.TRIALS if trials is None else trials,
        dtypes=crosscheck.DTYPES if dtypes is None else dtypes,
        device=device,
        progress=progress,
    )


def _loss_through_prior(spec: Spec) -> Expr | None:
    """The loss that the prior gives, on the target's scale; None where a side is missing."""
    if spec.prior is None or not spec.has_target:
        return None
    answer = recovery.verify(spec)
    inserted = answer.recovered.xreplace(dict(answer.definitions))
    if answer.kind == "loss":
        return inserted
    return answer.factor * loss_of_margin(spec, inserted) + answer.constant


def report(
    sources: Source | Sequence[Source],
    directory: str | Path,
    *,
    checks: Sequence[CrossCheck] | None = None,
    certify: bool = False,
    framework: bool = False,
    pdf: bool = True,
) -> Report:
    """Write report.tex (and report.pdf where a TeX is installed) into `directory`.

    `checks` are cross-checks to include, matched by name; with `certify` Coq's kernel checks each
    recovery too. Raises: SpecError, MidpoError.
    """
    from midpo.proofs.report import Section, write_report

    listed = [sources] if isinstance(sources, (Spec, str, Path)) else list(sources)
    by_name = {c.name: c for c in checks or ()}
    sections = []
    for spec in map(spec_of, listed):
        both = spec.prior is not None and spec.has_target
        sections.append(
            Section(
                spec,
                verify(spec) if both else None,
                by_name.get(spec.name),
                _kernel_text(spec),
            )
        )
    if certify:
        sections = _certified(sections)
    return write_report(sections, Path(directory), framework=framework, pdf=pdf)


def _certified(sections: list[Section]) -> list[Section]:
    """The sections with what Coq's kernel says of their recoveries."""
    from midpo.proofs import certificate

    exported = [certificate.export(s.spec, s.recovery) for s in sections if s.recovery]
    names = certificate.named_apart(exported)
    answers = iter(certificate.check(names))
    return [replace(s, certificate=next(answers).kernel) if s.recovery else s for s in sections]


def _kernel_text(spec: Spec) -> str:
    try:
        return generate(spec).mathematics
    except MidpoError:  # a report without a kernel is still a report
        return ""
