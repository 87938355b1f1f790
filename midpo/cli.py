"""The command line: answers to standard output, messages to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from midpo.commands import options
from midpo.commands.audit import audit
from midpo.commands.certify import certify
from midpo.commands.compare import compare
from midpo.commands.derive import derive
from midpo.commands.list import list_command
from midpo.commands.map import map_command
from midpo.commands.optimise import optimise
from midpo.extras import missing, needed
from midpo.streams import echo, print_file, print_json
from midpo.symbolic.errors import MidpoError

from . import __version__, streams

OK, NEGATIVE, BAD_INPUT, UNDECIDED = 0, 1, 2, 3
# As in numeric.checking.crosscheck, which imports numpy and so is not asked at start-up; a test
# compares.
DTYPES = ("float64", "float32", "bfloat16", "float16")
TRIALS = 24
# As in codegen.backends, which imports SymPy.
BACKENDS = ("eager", "fused", "linear", "triton", "native", "logps")

_specs = click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
_seed = click.option("--seed", default=0, show_default=True, help="Of the random logits.")
_trials = click.option(
    "--trials",
    default=TRIALS,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Random batches a spec.",
)
_backend = click.option(
    "--backend",
    default="eager",
    show_default=True,
    type=click.Choice(BACKENDS),
    help="From logits, readable or fast; from hidden states; from log-probabilities.",
)


class _Commands(click.Group):
    """Lists commands in the order of a spec's path, and turns expected errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _unswallowed():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _unswallowed():
            return super().invoke(ctx)

    def main(self, *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
        """Run a command line and leave with its status; see streams for what can go wrong."""
        plain: Callable[..., Any] = super().main
        if not standalone_mode:
            return plain(*args, standalone_mode=False, **more)
        streams.prepare()
        sys.exit(_finished(lambda: plain(*args, standalone_mode=False, **more)))


class _Broken(Exception):
    """A broken pipe on its way through click, which would end the process with status 1."""

    def __init__(self, error: BrokenPipeError) -> None:
        self.error = error


@contextmanager
def _unswallowed() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _Broken(error) from None


def _finished(answer: Callable[[], Any]) -> int:
    """The exit status of what `answer` does, once all of it is written."""
    try:
        status = _status(answer)
        streams.finish()
    except BrokenPipeError as error:
        if error.filename is None:  # whoever read our output has seen enough
            streams.abandon(sys.stdout)
            return streams.SIGPIPE
        return _told(f"{error.filename}: {error.strerror}")
    except OSError as error:
        if error.filename is None:
            streams.abandon(sys.stdout)
        return _told(f"{error.filename or 'standard output'}: {error.strerror or error}")
    return status


def _status(answer: Callable[[], Any]) -> int:
    try:
        answer()
    except _Broken as wrapped:
        raise wrapped.error from None
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted", err=True)
        return 130
    except MidpoError as error:
        return _told(str(error))
    except ImportError as error:
        return _told(str(missing(error, "this")))
    except (RecursionError, MemoryError):
        return _told("the input takes more memory than there is, or is nested too deeply")
    return OK


def _told(problem: str) -> int:
    echo(f"midpo: {problem}", err=True)
    return BAD_INPUT


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="SPEC is a catalogue name (midpo list) or the path of a .toml file.",
)
@click.version_option(__version__, prog_name="midpo")
def main() -> None:
    """Derive, verify and generate preference-optimisation losses.

    \b
    Example:
      midpo verify simpo my-algorithm.toml
    """


main.add_command(list_command)


@main.command()
@_specs
@options.as_json
def show(specs: tuple[str, ...], as_json: bool) -> None:
    """The whole row: equations, class, facts, conventions, and what libraries compute.

    The class is found by solving the loss, the facts are read off its normal form.

    \b
    Example:
      midpo show simpo
    """
    from midpo.rows import class_of
    from midpo.rows import row as row_of

    from . import api

    def answer(name: str) -> tuple[dict[str, Any], int]:
        spec = api.spec_of(name)
        stated = spec.reason or spec.has_target
        found = row_of(spec, kind=class_of(spec) if stated else None)
        if not as_json:
            from midpo.show import terminal as console

            console.spec(spec)
            console.facts(found)
        return found.as_json() | api.describe(spec) | {"prior_facts": found.as_json()["prior"]}, OK

    _each(specs, as_json, answer)


@main.command()
@_specs
@options.as_json
@click.option("--steps", is_flag=True, help="Print the derivation step by step.")
@click.option("--certify", "certified", is_flag=True, help="Have Coq's kernel check it too (coqc).")
def verify(specs: tuple[str, ...], as_json: bool, steps: bool, certified: bool) -> None:
    """Prove or refute that the prior recovers the target.

    Exit status: 0 all proved, 1 one refuted, 3 one undecided (and none refuted), 2 bad input.
    With --certify also 1 where Coq refuses an answer, 3 where it did not check one.

    \b
    Example:
      midpo verify dpo simpo my-algorithm.toml
    """
    from . import api

    status = {"proved": OK, "refuted": NEGATIVE, "undecided": UNDECIDED}

    def answer(name: str) -> tuple[dict[str, Any], int]:
        recovery = api.verify(name)
        if not as_json:
            from midpo.show import terminal as console

            console.recovery(recovery, steps=steps)
        described, code = recovery.as_json() | {"kernel": "not checked"}, status[recovery.verdict]
        if not certified:
            return described, code
        from midpo.proofs.certify import certificate

        (found,) = certificate.check([certificate.export(recovery.spec, recovery)])
        if not as_json:
            console.kernel(found)
        return described | {"kernel": found.kernel, "certificate": found.as_json()}, max(
            (code, found.status), key=(OK, UNDECIDED, NEGATIVE).index)

    _each(specs, as_json, answer)


@main.command()
@_specs
@options.as_json
@click.option(
    "--pairs",
    type=click.Path(dir_okay=False),
    help="Comparisons (CSV: prompt, chosen, rejected): can one function serve both roles there?",
)
def solve(specs: tuple[str, ...], as_json: bool, pairs: str | None) -> None:
    """Find the prior of a target, or the theorem by which there is none (docs/theorems.md).

    Exit status: 0 all representable, 1 one is not, 3 one undecided, 2 bad input.

    \b
    Example:
      midpo solve my-loss.toml --pairs comparisons.csv
    """
    from midpo.proofs.recover.levels import one_function, read_pairs

    from . import api

    data = None if pairs is None else read_pairs(Path(pairs))
    status = {True: OK, False: NEGATIVE, None: UNDECIDED}

    def answer(name: str) -> tuple[dict[str, Any], int]:
        solution = api.solve(name)
        levels = None if data is None else one_function(solution, data)
        if not as_json:
            from midpo.show import terminal as console

            console.solution(solution, levels)
        described = solution.as_json() | ({} if levels is None else {"pairs": levels.as_json()})
        return described, status[solution.representable]

    _each(specs, as_json, answer)


@main.command()
@click.argument("spec", metavar="SPEC")
@options.output_file("The file to write", required=True)
@options.force
@options.parents
@_backend
@options.as_json
def generate(
    spec: str, output: str, force: bool, parents: bool, backend: str, as_json: bool
) -> None:
    """Write the kernel of the spec's loss: one Python file that imports only torch.

    A kernel that is there already is replaced, unless somebody edited it: its header holds a digest
    of its text. That, and any other file, is replaced with --force only.

    \b
    Example:
      midpo generate tdpo --backend fused -o tdpo_loss.py
    """
    from midpo.files import may_replace
    from midpo.targets import write

    from . import api

    def answer(name: str) -> tuple[dict[str, Any], int]:
        if output != "-":
            may_replace(Path(output), force=force, parents=parents)
        kernel = api.generate(name, backend=backend)
        if output == "-" and not as_json:
            print_file(kernel.source)
        elif output != "-":
            write(Path(output), kernel.source)
            echo(f"wrote {output}: {kernel.function}", err=True)
        described = {
            "name": kernel.name,
            "function": kernel.function,
            "backend": kernel.backend,
            "digest": kernel.digest,
            "file": None if output == "-" else output,
            "policies": list(kernel.policies),
            "features": dict(kernel.features),
            "parameters": {n: str(d) for n, d in kernel.parameters.items()},
        }
        return described | ({"source": kernel.source} if output == "-" else {}), OK

    _each((spec,), as_json, answer)


@main.command()
@_specs
@options.as_json
@_seed
@_trials
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(DTYPES),
    help="May be repeated; all four by default, the first two for code that was not generated.",
)
@click.option("--device", default="cpu", show_default=True, help="Where the kernel runs.")
@_backend
@click.option(
    "--code",
    metavar="FILE.py[:FUNCTION]",
    help="Hold this function, not a fresh kernel, against the spec. The file is run.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="ARG=EXPR",
    help="What an argument of --code is: a name, a number, or an expression in the spec's "
    "parameters (beta=alpha); may be repeated.",
)
@click.pass_context
def check(
    context: click.Context,
    specs: tuple[str, ...],
    as_json: bool,
    seed: int,
    trials: int,
    dtypes: tuple[str, ...],
    device: str,
    backend: str,
    code: str | None,
    settings: tuple[str, ...],
) -> None:
    """Hold the loss that each spec generates, or a given function, against the spec. Needs torch.

    Inputs are random; values, gradients and metrics are compared with 50 digits. With --code the
    file is run, so check only code that you would run; its arguments are bound by name
    (docs/kernels.md).

    Exit status: 0 all agree, 1 one differs, 2 bad input.

    \b
    Example:
      midpo check tdpo --trials 100 --dtype float32
      midpo check dpo --code my_trainer.py:dpo_loss --set beta=alpha
    """
    from . import api

    arguments = _arguments(settings)
    if code is None and settings:
        raise MidpoError("--set without --code\n  expected: --code FILE.py:FUNCTION beside it")
    chosen = context.get_parameter_source("backend") is not ParameterSource.DEFAULT
    if code is not None and chosen:
        raise MidpoError(
            "--code and --backend\n  expected: one of them; a generated file names its backend"
        )

    def answer(name: str) -> tuple[dict[str, Any], int]:
        with _progress(as_json, name, trials) as advance:
            found = api.check(
                name,
                backend=backend,
                seed=seed,
                trials=trials,
                dtypes=dtypes or None,
                device=device,
                code=code,
                arguments=arguments,
                progress=advance,
            )
        if not as_json:
            from midpo.show import terminal as console

            console.crosscheck(found)
        return found.as_json(), OK if found.passed else NEGATIVE

    _each(specs, as_json, answer)


@main.command()
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@options.as_json
@options.output_folder("the report", default="midpo-report", show_default=True)
@options.parents
@click.option("--all", "every", is_flag=True, help="The whole catalogue, as with no SPEC.")
@click.option("--html", is_flag=True, help="One HTML page instead of LaTeX.")
@click.option(
    "--check",
    "with_check",
    is_flag=True,
    help="Cross-check the kernels and include the table (needs torch).",
)
@click.option("--certify", "certified", is_flag=True, help="Have Coq's kernel check each (coqc).")
@click.option(
    "--audit/--no-audit", default=True, show_default=True, help="What a recovery does not mean."
)
@click.option(
    "--plots/--no-plots", default=None, help="Needs matplotlib.  [default: not in a fragment]"
)
@click.option(
    "--kernels/--no-kernels",
    default=None,
    help="List the kernels' source.  [default: not in a fragment, not for the whole catalogue]",
)
@click.option("--fragment", is_flag=True, help="Write a part to \\input into one's own paper.")
@click.option(
    "--level",
    default="section",
    show_default=True,
    type=click.Choice(("section", "subsection", "paragraph")),
    help="Of a fragment's headings.",
)
@click.option(
    "--text-width",
    default=345.0,
    show_default=True,
    type=click.FloatRange(300, 1000),
    help="Of a line of the paper, in points.",
)
@click.option(
    "--macros",
    multiple=True,
    metavar="NAME=MATHS or FILE.toml",
    help="Rename a symbol: pi, pi_ref, y_w, y_l, y, x, zeta, m, a parameter; may be repeated.",
)
@click.option("--date", default="", help="Print this date; none by default.")
@click.option(
    "--benchmark",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A table of benchmarks/kernels.py to draw.",
)
@click.option(
    "--pdf/--no-pdf",
    default=True,
    show_default=True,
    help="Compile the report if a TeX is installed.",
)
def report(
    specs: tuple[str, ...],
    as_json: bool,
    output: str,
    parents: bool,
    every: bool,
    html: bool,
    with_check: bool,
    certified: bool,
    audit: bool,
    plots: bool | None,
    kernels: bool | None,
    fragment: bool,
    level: str,
    text_width: float,
    macros: tuple[str, ...],
    date: str,
    benchmark: Path | None,
    pdf: bool,
) -> None:
    """Write the derivations as LaTeX, and as PDF where a TeX is installed; or as one HTML page.

    \b
    Example:
      midpo report tdpo simpo -o report
      midpo report --all --html -o report
      midpo report tdpo --fragment --macros 'pi=\\pi_\\theta' --macros 'y_w=y^+'
    """
    from midpo.gathering import Fragment, Wanted, cores, left_out, macros_of
    from midpo.symbolic.language.spec import catalogue, load
    from midpo.targets import folder

    from . import api

    if every and specs:
        raise MidpoError("--all and a SPEC\n  expected: one of them")
    if html and fragment:
        raise MidpoError("--html and --fragment\n  expected: one of them")
    loaded = [load(name) for name in specs or catalogue()]
    if with_check:
        needed("--check", "torch", "numpy")
    renamed = macros_of(macros)
    plots = not fragment if plots is None else plots
    lacking = left_out(audit=audit, plots=plots and not html)
    folder(Path(output), parents=parents)
    checks = []
    if with_check:
        for spec in loaded:
            with _progress(as_json, spec.name, TRIALS) as advance:
                checks.append(api.check(spec, progress=advance))
    if html:
        from midpo.page import write

        with _progress(as_json, "report", len(loaded)) as advance:
            page = write(loaded, output, checks=checks, certify=certified, audit=audit,
                         jobs=cores(), progress=advance)
        if as_json:
            print_json({"specs": [s.name for s in loaded], "html": str(page), "left_out": lacking})
        else:
            echo("\n".join([f"wrote {page}", *lacking]))
        return
    if kernels is None:  # of the whole catalogue they would fill a hundred pages
        kernels = bool(specs) and not fragment
    wanted = Wanted(audit=audit, kernel=kernels, plots=("pdf",) if plots else ())
    with _progress(as_json, "report", len(loaded) + 1) as advance:
        written = api.report(
            loaded,
            output,
            checks=checks,
            certify=certified,
            pdf=pdf,
            wanted=wanted,
            macros=renamed or None,
            fragment=Fragment(level, text_width) if fragment else None,
            date=date,
            benchmark=benchmark,
            jobs=cores(),
            progress=advance,
        )
    _wrote(written, as_json, [s.name for s in loaded], lacking)


@main.command()
@options.as_json
@options.output_folder("the report and the kernels", default="midpo-paper", show_default=True)
@options.parents
@options.force
@_seed
@_trials
def paper(
    as_json: bool, output: str, parents: bool, force: bool, seed: int, trials: int
) -> None:
    """Reproduce the paper: prove its eight recoveries, generate and cross-check the eight kernels,
    and write the report.

    Exit status: 0 all of it holds, 1 something does not.

    \b
    Example:
      midpo paper -o midpo-paper
    """
    needed("paper", "torch", "numpy")
    from midpo.paper import reproduce
    from midpo.targets import folder

    into = folder(Path(output), parents=parents)
    with _progress(as_json, "paper", None) as advance:
        result = reproduce(into, seed=seed, trials=trials, force=force, progress=advance)
    if as_json:
        print_json(result.as_json())
    else:
        from midpo.show import terminal as console

        console.paper(result)
    sys.exit(OK if result.passed else NEGATIVE)


main.add_command(audit)
main.add_command(compare)
main.add_command(map_command)
main.add_command(derive)
main.add_command(certify)
main.add_command(optimise)


def _arguments(settings: Sequence[str]) -> dict[str, str]:
    """ARG=EXPR, ... Raises: MidpoError."""
    found = {}
    for setting in settings:
        name, equals, written = setting.partition("=")
        if not equals or not name.strip().isidentifier() or not written.strip():
            raise MidpoError(f"--set {setting}\n  expected: ARG=EXPR, as --set beta=alpha")
        found[name.strip()] = written.strip()
    return found


# --- How every command answers -------------------------------------------------------------------


def _each(
    specs: Sequence[str], as_json: bool, answer: Callable[[str], tuple[dict[str, Any], int]]
) -> NoReturn:
    """Answer for each spec in order; one that cannot be read does not keep the others waiting."""
    answers: list[dict[str, Any]] = []
    statuses: set[int] = set()
    for name in specs:
        try:
            found, status = answer(name)
        except MidpoError as error:
            found, status = {"name": name, "error": str(error)}, BAD_INPUT
            echo(f"midpo: {error}", err=True)
        answers.append(found)
        statuses.add(status)
    if as_json:
        print_json(answers)
    # Bad input outranks a refutation, which outranks "undecided".
    sys.exit(next(s for s in (BAD_INPUT, NEGATIVE, UNDECIDED, OK) if s in statuses))


def _wrote(
    written: Any, as_json: bool, names: Sequence[str], lacking: Sequence[str]
) -> None:
    files = {"tex": str(written.tex), "pdf": str(written.pdf) if written.pdf else None}
    if as_json:
        others = list(map(str, written.others))
        print_json(
            {"specs": list(names), **files, "others": others, "message": written.message,
             "left_out": list(lacking)}
        )
        return
    for path in filter(None, files.values()):
        echo(f"wrote {path}")
    for kind in sorted({path.suffix for path in written.others}):
        some = [path for path in written.others if path.suffix == kind]
        echo(f"wrote {some[0] if len(some) == 1 else some[0].parent}")
    for line in lacking:
        echo(line)
    if written.pdf is None:
        echo(written.message, err=True)


@contextmanager
def _progress(as_json: bool, label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error where that is a terminal; nothing anywhere else."""
    if as_json or not sys.stderr.isatty():
        yield lambda *args, **kwargs: None
        return
    from midpo.show import terminal as console

    with console.progress(label, total) as advance:
        yield advance
