"""`midpo optimise`: exact problems on finite sets, solved, checked and plotted."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from midpo.extras import missing, needed
from midpo.streams import echo, print_json
from midpo.symbolic.errors import MidpoError, SpecError

from . import options

if TYPE_CHECKING:
    from midpo.numeric.exact.solved import Part

WHAT = ("optimum", "rate-distortion", "fixed-point", "joint")
SHOWN = 8  # prompts, and responses, in a picture
Axes = Any  # matplotlib's, which carries no types that would check


@click.command("optimise")
@click.argument("problem", metavar="PROBLEM")
@options.as_json
@options.output_folder("plots (SVG; needs matplotlib)")
@options.parents
@click.option(
    "--what",
    multiple=True,
    type=click.Choice(WHAT),
    help="May be repeated; all that the problem has data for by default.",
)
@click.option("--seed", default=0, show_default=True, help="Of the random policies and priors.")
def optimise(
    problem: str, as_json: bool, output: str | None, parents: bool, what: tuple[str, ...], seed: int
) -> None:
    """Solve a small problem exactly: the optimum for a prior, the rate-distortion curve
    (Blahut-Arimoto), frozen-prior fixed points, and the loss over policy and prior.

    PROBLEM is a .toml file or one of bss-hamming, three-prompts, acyclic, cyclic,
    strongly-connected. A file states alpha, rewards (a row for each prompt) and, where it has
    them, prompts (probabilities), reference, prior, lengths, eta, alphas, responses (names) and
    comparisons (rows of prompt, chosen, rejected, count; indices from 0).

    Exit status: 0 all checks hold, 1 one fails, 2 bad input.

    \b
    Example:
      midpo optimise three-prompts -o plots
      midpo optimise my-problem.toml --what rate-distortion
    """
    needed("optimise", "numpy")
    from midpo.numeric.exact import problems
    from midpo.numeric.exact import solved as exact
    from midpo.targets import folder

    if seed < 0:
        raise MidpoError(f"--seed {seed}: expected 0 or more")
    case = problems.load(problem)
    for asked in what:
        if asked not in exact.applicable(case):
            raise SpecError(
                f"{asked} cannot be computed",
                file=problem,
                expected="comparisons = [...]" if asked == "joint" else "rewards = [...]",
            )
    into = None if output is None else folder(Path(output), parents=parents)
    parts = []
    with _progress(as_json, case.name) as advance:
        for name in dict.fromkeys(what or exact.applicable(case)):
            parts.append(exact.PARTS[name](case, seed, advance))
    written, message = ([], "") if into is None else draw(parts, into, case.responses)
    if as_json:
        document = {
            "name": case.name,
            "passed": all(part.passed for part in parts),
            "parts": [_described(part) for part in parts],
            "files": [str(path) for path in written],
            "message": message,
        }
        print_json(document)
    else:
        _print(case.name, parts)
        for path in written:
            echo(f"wrote {path}")
        if message:
            echo(message, err=True)
    sys.exit(0 if all(part.passed for part in parts) else 1)


@contextmanager
def _progress(as_json: bool, label: str) -> Iterator[Callable[[str], None]]:
    if as_json or not sys.stderr.isatty():
        yield lambda now: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(label) as status:
        yield lambda now: status.update(escape(f"{label}: {now}"))


def _plain(value: Any) -> Any:
    """`value` as what JSON has; an infinity or nan as its name."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _described(part: Part) -> dict[str, Any]:
    checks = [
        {
            "statement": check.statement,
            "holds": check.holds,
            "measured": _plain(check.measured),
            "limit": check.limit,
        }
        for check in part.checks
    ]
    rows = [dict(zip(part.columns, row, strict=True)) for row in part.rows]
    return {
        "what": part.what,
        "passed": part.passed,
        "table": rows,
        "notes": list(part.notes),
        "checks": checks,
        "series": _plain(part.series),
    }


def _print(name: str, parts: list[Part]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from midpo.show.terminal import out
    from midpo.symbolic.errors import printable

    def line(text: str, indent: str = "  ") -> None:
        out.print(indent + escape(printable(text)), soft_wrap=True)

    from midpo.numeric.figures import figure

    for number, part in enumerate(parts):
        if number:
            out.print()
        out.print(f"[bold]{escape(name)}[/]  {escape(part.title)}", soft_wrap=True)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in part.columns:
            table.add_column(escape(column), overflow="fold")
        for row in part.rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        out.print(table)
        for note in part.notes:
            line(note)
        for check in part.checks:
            word = "[bold green]holds[/]" if check.holds else "[bold red]fails[/]"
            limit = "exactly" if check.limit == 0 else f"at most {check.limit:.1e}"
            held = check.holds and check.limit != 0
            measured = limit if held else f"{figure(check.measured, 2)}, {limit}"
            out.print(f"  {word}  {escape(check.statement)} ({measured})", soft_wrap=True)


# --- Pictures ------------------------------------------------------------------------------------


def draw(parts: list[Part], folder: Path, responses: tuple[str, ...]) -> tuple[list[Path], str]:
    """Write the parts' plots into `folder`; the files, and a message where there can be none."""
    try:
        import matplotlib
    except ImportError as error:
        return [], str(missing(error, "plotting"))
    matplotlib.use("svg")
    from matplotlib import pyplot

    from midpo.targets import write

    written = []
    # Without a salt and a date the same input gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "midpo"}):
        for part in parts:
            for name, paint, columns in PICTURES[part.what]:
                size = (4.2 * columns + 0.6, 3.6)
                figure, axes = pyplot.subplots(1, columns, figsize=size, squeeze=False)
                paint(axes[0], part.series, responses)
                figure.tight_layout()
                stream = StringIO()
                figure.savefig(stream, format="svg", metadata={"Date": None})
                pyplot.close(figure)
                path = folder / f"{name}.svg"
                write(path, stream.getvalue())
                written.append(path)
    return written, ""


def _curve(axes: Axes, series: dict[str, Any], responses: tuple[str, ...]) -> None:
    axes[0].plot(series["distortions"], series["rates"], "o-", markersize=3)
    axes[0].set(xlabel="distortion -E[r]", ylabel="I(X;Y), nats", title="rate-distortion curve")


def _gaps(axes: Axes, series: dict[str, Any], responses: tuple[str, ...]) -> None:
    # A gap of 0 has no place on a logarithmic axis.
    axes[0].semilogy([gap or math.nan for gap in series["gaps"]], "o-", markersize=3)
    axes[0].set(xlabel="iteration", ylabel="duality gap, nats", title="Blahut-Arimoto")


def _residuals(axes: Axes, series: dict[str, Any], responses: tuple[str, ...]) -> None:
    for name, values in series["residuals"].items():
        axes[0].semilogy([value or math.nan for value in values], label=name)
    axes[0].set(xlabel="iteration", ylabel="residual, nats", title="frozen-prior iteration")
    axes[0].legend(frameon=False)


def _losses(axes: Axes, series: dict[str, Any], responses: tuple[str, ...]) -> None:
    axes[0].plot(series["alternating"], "o-", markersize=3, label="alternating")
    axes[0].plot(series["both"], "s--", markersize=3, label="both at once")
    axes[0].axhline(series["bradley_terry"], color="gray", linestyle=":", label="Bradley-Terry")
    axes[0].set(xlabel="iteration", ylabel="J, nats", title="loss over policy and prior")
    axes[0].legend(frameon=False)


def _heat(axes: Axes, names: list[str], series: dict[str, Any], responses: tuple[str, ...]) -> None:
    """Probabilities as heat maps: prompts down, responses across, the first SHOWN of each."""
    for axis, name in zip(axes, names, strict=True):
        values = series[name][:SHOWN, :SHOWN]
        axis.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (row, column), value in _cells(values):
            color = "white" if value < 0.6 else "black"
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
        shown = [text.replace("$", r"\$") for text in responses[:SHOWN]]
        axis.set_xticks(range(values.shape[1]), shown)
        axis.set_yticks(range(values.shape[0]), [f"x{i}" for i in range(values.shape[0])])
        axis.set_title(name.replace("_", " "))


def _cells(values: Any) -> Iterator[tuple[tuple[int, int], float]]:
    for row, cells in enumerate(values.tolist()):
        for column, value in enumerate(cells):
            yield (row, column), value


def _pair(axes: Axes, series: dict[str, Any], responses: tuple[str, ...]) -> None:
    _heat(axes, ["prior", "policy"], series, responses)


def _before_and_after(axes: Axes, series: dict[str, Any], responses: tuple[str, ...]) -> None:
    _heat(axes, ["policy_before", "policy", "prior_before", "prior"], series, responses)


Paint = Callable[[Axes, dict[str, Any], tuple[str, ...]], None]
# What is drawn for each part: the file's name, the function, how many pictures side by side.
PICTURES: dict[str, tuple[tuple[str, Paint, int], ...]] = {
    "optimum": (("optimum-policies", _pair, 2),),
    "rate-distortion": (
        ("rate-distortion", _curve, 1),
        ("blahut-arimoto-gap", _gaps, 1),
        ("blahut-arimoto-policies", _pair, 2),
    ),
    "fixed-point": (("fixed-point-residual", _residuals, 1),),
    "joint": (("joint-loss", _losses, 1), ("joint-policies", _before_and_after, 4)),
}
