"""The stages as functions: each takes a Spec, a catalogue name or a path."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.codegen.emit import Kernel
from midpo.extras import needed
from midpo.generating import checked_kernel, usual_backend
from midpo.proofs.recover import recovery
from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.errors import MidpoError, SpecError
from midpo.symbolic.language.spec import Spec, load
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import loss_of_margin

if TYPE_CHECKING:
    from sympy import Expr

    from midpo.gathering import Fragment, Wanted
    from midpo.numeric.checking.found import CrossCheck
    from midpo.numeric.exact.problems import ProblemFile
    from midpo.numeric.exact.solved import Part
    from midpo.proofs.audit.audit import Audit
    from midpo.proofs.certify.certificate import Certificate
    from midpo.proofs.code.answer import CodeProof
    from midpo.proofs.compare.found import Comparison
    from midpo.proofs.framework.theorem import Theorem
    from midpo.proofs.recover.levels import Preference
    from midpo.proofs.recover.solved import Solution
    from midpo.writers.latex.report import Report

Source = Spec | str | Path


def spec_of(source: Source) -> Spec:
    return source if isinstance(source, Spec) else load(source)


def describe(spec: Spec) -> dict[str, Any]:
    """Everything a spec says, as plain data; expressions as text and as LaTeX."""
    from midpo.symbolic.formula.latex import latex

    kinds = ("prior", "margin", "loss", "batch", "constraint", "link")
    shown = {n: getattr(spec, n) for n in kinds}
    return {
        "name": spec.name,
        "title": spec.title,
        "reference": spec.reference,
        "bibtex": dict(spec.bibtex),
        **{name: None if e is None else text(e) for name, e in shown.items()},
        "latex": {name: latex(e) for name, e in shown.items() if e is not None},
        "parameters": {
            n: {
                "domain": str(p.domain),
                "default": float(d) if (d := spec.defaults.get(n)) is not None else None,
            }
            for n, p in spec.names.parameters.items()
        },
        "features": dict(spec.names.features),
        "feature_domains": {n: str(spec.names.range(n)) for n in spec.names.features},
        "policies": sorted(spec.names.policies),
        "responses": dict(spec.responses),
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
    from midpo.proofs.recover import solution

    return solution.solve(spec_of(source))


def generate(
    source: Source,
    backend: str | None = None,
    *,
    thin: bool = False,
    where: str = "",
    token_metrics: bool = False,
) -> Kernel:
    """The PyTorch kernel of the spec's loss: its target's, or its prior's where it has no target.

    `backend` is one of codegen.backends.BACKENDS: eager (readable, the default), fused, triton,
    native, linear, logps. The file needs torch and nothing else; a `thin` one is short, and
    imports what all kernels share from midpo.codegen. With `where` the file holds what calls the
    kernel in a trainer too, a row of codegen.kernels.steps.WHERES: "loop" has a function `step`
    for a loop of one's own; its backend is by default linear. With `token_metrics` it logs entropy,
    mean logits and top-1 accuracy too, under TRL's names; for "trl" it always does.

    The derivation that lowered the loss to a stable form is replayed by the checker first; where a
    step does not follow, the loss is computed as it is written, and the kernel says so.
    Raises: SpecError for a spec that cannot be read, NotYet for what no kernel is written for.
    """
    return checked_kernel(spec_of(source), backend or usual_backend(where), thin, where, token_metrics)


def trainer(source: Source, base: type | None = None, *, backend: str | None = None) -> type[Any]:
    """The trainer that `midpo generate SPEC --for trl` writes, as a class in memory. Needs trl.

    `base` is the DPOTrainer that it is one of, TRL's by default; `midpo.trainer("tdpo")(model=...,
    ref_model=..., args=DPOConfig(...), train_dataset=..., processing_class=..., alpha=0.5)`.
    Raises: SpecError for a spec that cannot be read, NotYet for one that does not fit, MidpoError
    where trl is missing.
    """
    needed("trainer", "torch", "trl")
    kind: type[Any] = generate(source, backend, where="trl").compile()
    if base is None or base in kind.__bases__:
        return kind
    own = {name: value for name, value in vars(kind).items() if name in kind.__bases__[0].__annotations__}
    return type(kind.__name__, (kind.__bases__[0], base), {"__doc__": kind.__doc__, **own})


def check(
    source: Source,
    *,
    backend: str = "eager",
    seed: int = 0,
    trials: int | None = None,
    dtypes: Sequence[str] | None = None,
    device: str = "cpu",
    code: str | Path | Callable[..., Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    bind: Mapping[str, str] | None = None,
    contracts: Sequence[str] = (),
    progress: Callable[[], None] = lambda: None,
) -> CrossCheck:
    """Hold a kernel against the spec on random inputs. Needs torch.

    The kernel is generated in memory; or it is `code`: a function, or "FILE.py" or
    "FILE.py:FUNCTION", which is run. Its arguments are bound by name (numeric.checking.binding);
    `arguments` says what else they are, as {"beta": "alpha"}, and `bind` what they are made of, as
    {"logps": "cat(policy_chosen_logps, policy_rejected_logps)"} (numeric.checking.composing).
    `contracts` of its operators, as "MODULE:NAME = kl(pi_ref, pi, y, t)", are tested too.
    Raises: SpecError for a spec that cannot be read, MidpoError where torch or numpy is missing,
    or code cannot be run or bound.
    """
    spec = spec_of(source)
    arguments = _with_made(arguments, bind)
    needed("check", "torch", "numpy")
    from midpo.codegen.interpreting import patched_once
    from midpo.numeric.checking import crosscheck
    from midpo.numeric.checking.found import Code

    held: Kernel | Code
    if code is None:
        if arguments:
            raise MidpoError("arguments are given without code\n  expected: both, or none")
        held = generate(spec, backend=backend)
    else:
        from midpo.code import function_of

        held = function_of(code, spec, arguments, contracts)
    own = isinstance(held, Code) and not held.generated
    usual = crosscheck.CODE_DTYPES if own else crosscheck.DTYPES
    with patched_once() if held.backend == "triton" else nullcontext():
        found = crosscheck.crosscheck(
            spec,
            held,
            prior_loss=_loss_through_prior(spec),
            seed=seed,
            trials=crosscheck.TRIALS if trials is None else trials,
            dtypes=usual if dtypes is None else dtypes,
            device=device,
            progress=progress,
        )
    said: tuple[str, ...] = () if isinstance(held, Code) else held.notes
    if isinstance(held, Code) and contracts:
        from midpo.proving.contracts import tested

        kept = tested(spec, held)
        said = (f"contracts: {kept}",)
        found = dataclasses.replace(
            found, passed=found.passed and not kept.wrong, failure=found.failure or kept.wrong
        )
    return dataclasses.replace(found, notes=(*said, *found.notes))


def prove(
    source: Source | None = None,
    code: str | Path | Callable[..., Any] | None = None,
    *,
    backend: str = "eager",
    arguments: Mapping[str, Any] | None = None,
    bind: Mapping[str, str] | None = None,
    contracts: Sequence[str] = (),
    layout: str = "aligned",
    pairs: Sequence[int] = (1, 2),
    shapes: Sequence[tuple[tuple[int, ...], int]] = (),
    value_only: bool = False,
    certify: bool = False,
) -> CodeProof:
    """Prove or refute that PyTorch code computes the spec's loss, value and gradient. Needs torch.

    `code` is a function (a closure is an adapter), "FILE.py", "FILE.py:FUNCTION" or
    "MODULE:FUNCTION"; it is run. Without it, the kernel of `backend`; without `source`, the row of
    the catalogue that the code is found to compute. Arguments are bound by name
    as in `check`, with `arguments` and `bind`; `contracts` say what operators compute that are not
    lifted, which is then given (numeric.code.contracts). `layout` is "aligned" (logits predict the
    labels beside them) or "unshifted" (as trainers hold them: the code shifts); `pairs` are the
    sizes of batches. Where positions matter the answer is for small sizes; `shapes` names some:
    tokens of each row, and how long rows are. With `certify`, the value's theorem for Coq.
    Raises: SpecError for a spec that cannot be read, MidpoError where torch or numpy is missing,
    or code cannot be run or bound.
    """
    needed("prove", "torch", "numpy")
    arguments = _with_made(arguments, bind)
    from midpo.proving import identify, kernels, proof

    options: dict[str, Any] = {
        "unshifted": layout == "unshifted",
        "pairs": pairs,
        "shapes": shapes,
        "value_only": value_only,
        "certify": certify,
    }
    if source is None:
        from midpo.code import function_of

        if code is None:
            raise MidpoError("nothing to prove\n  expected: a spec, code, or both")
        return identify.identify(function_of(code, load("dpo"), arguments, contracts), **options)
    spec = spec_of(source)
    if code is None:
        held = kernels.kernel_code(spec, backend, arguments)
    else:
        from midpo.code import function_of

        held = function_of(code, spec, arguments, contracts)
    return proof.prove(spec, held, **options)


def _with_made(arguments: Mapping[str, Any] | None, bind: Mapping[str, str] | None) -> dict[str, Any]:
    """Arguments, those among them that are made of several.
    Raises: MidpoError for one that is given twice."""
    from midpo.numeric.checking.composing import Made

    twice = set(arguments or {}) & set(bind or {})
    if twice:
        raise MidpoError(f"{min(twice)} is given twice\n  expected: --set or --bind")
    return dict(arguments or {}) | {name: Made(text) for name, text in (bind or {}).items()}


def compare(first: Source, second: Source) -> Comparison:
    """How two losses differ: equal, one the other's special or limiting case, or different.

    Raises: SpecError for a spec that cannot be read, or states no loss of one pair.
    """
    from midpo.proofs.compare import comparison

    return comparison.compare(spec_of(first), spec_of(second))


def audit(
    source: Source,
    *,
    seed: int = 0,
    trials: int = 80,
    pairs: Sequence[Preference] | None = None,
    progress: Callable[[str], None] = lambda now: None,
) -> Audit:
    """What a recovery does and does not mean: gradient, optimum, labels, mass, domain.

    `trials` are random pairs on which gradients are compared, `pairs` comparisons on which one
    function is asked for. Needs numpy. Raises: SpecError where there is no prior, MidpoError
    without numpy.
    """
    needed("audit", "numpy")
    from midpo.proofs.audit import audit as auditing

    return auditing.audit(spec_of(source), seed=seed, trials=trials, pairs=pairs, progress=progress)


def derive(*names: str) -> tuple[Theorem, ...]:
    """The framework's theorems of these names, all of them without a name; `Theorem.proofs` are
    their derivations, replayed by the checker.

    Raises: SpecError for a name that no theorem has.
    """
    from midpo.proofs.framework.theorems import theorem, theorems

    return tuple(map(theorem, dict.fromkeys(names))) if names else theorems()


def certify(source: Source, *, check: bool = False, coqchk: bool = False) -> Certificate:
    """The recovery, or its refutation, as a theorem for Coq; with `check` accepted or refused by
    coqc and read back, with `coqchk` checked again.

    Raises: SpecError where the spec has no prior or no target.
    """
    from midpo.proofs.certify import certificate

    found = certificate.export(spec_of(source))
    if check or coqchk:
        (found,) = certificate.check([found], coqchk=coqchk)
    return found


def optimise(
    problem: str | Path | ProblemFile,
    *,
    what: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[str], None] = lambda now: None,
) -> tuple[Part, ...]:
    """A small problem solved exactly: optimum, rate-distortion curve, fixed points, joint optimum.

    `problem` is a built-in one's name, a TOML file or a case that was read; `what` names parts, all
    that it has data for by default. Needs numpy. Raises: SpecError for a problem that cannot be
    read, or has no data for a part.
    """
    needed("optimise", "numpy")
    from midpo.numeric.exact import problems, solved

    if isinstance(problem, problems.ProblemFile):
        case, file = problem, ""
    else:
        case, file = problems.load(str(problem)), str(problem)
    return tuple(solved.PARTS[name](case, seed, progress) for name in asked_of(case, what, file))


def asked_of(case: ProblemFile, what: Sequence[str], file: str = "") -> tuple[str, ...]:
    """The parts of a problem that are asked for, each once; all that it has data for by default.

    Raises: SpecError for a part without data.
    """
    from midpo.numeric.exact import solved

    for asked in what:
        if asked not in solved.applicable(case):
            raise SpecError(
                f"{asked} cannot be computed",
                file=file or case.name,
                expected="comparisons = [...]" if asked == "joint" else "rewards = [...]",
            )
    return tuple(dict.fromkeys(what or solved.applicable(case)))


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
    wanted: Wanted | None = None,
    macros: Mapping[str, str] | None = None,
    fragment: Fragment | None = None,
    date: str = "",
    benchmark: Path | None = None,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda name: None,
) -> Report:
    r"""Write report.tex, report.bib, figures (and report.pdf where a TeX is installed).

    `checks` are cross-checks to include, matched by name; with `certify` Coq's kernel checks each
    recovery too. `wanted` says what sections hold beside the recovery. `macros` renames symbols
    (name -> mathematics); with `fragment` a part to \input is written instead of a document.
    `benchmark` is a table of benchmarks/kernels.py to draw. `jobs` processes share the work, and
    `progress(name)` is called as each section is done. Raises: SpecError, MidpoError.
    """
    from midpo.gathering import Wanted, certified, gather, opening
    from midpo.writers.latex.renaming import checked
    from midpo.writing import write_fragment, write_report

    listed = [sources] if isinstance(sources, (Spec, str, Path)) else list(sources)
    specs = [spec_of(source) for source in listed]
    if macros is not None:
        macros = checked(macros, {n for s in specs for n in (*s.names.taken(), *s.policies)})
    wanted = wanted or Wanted()
    sections = gather(specs, wanted, checks=checks or (), jobs=jobs, progress=progress)
    if certify:
        sections = certified(sections)
    if fragment is not None:
        return write_fragment(
            sections, Path(directory), macros=macros, level=fragment.level, text_width=fragment.text_width
        )
    return write_report(
        sections,
        Path(directory),
        framework=framework,
        pdf=pdf,
        macros=macros,
        date=date,
        opening=opening(wanted.plots, benchmark),
    )
