"""Pictures of an exact problem: policies, curves and residuals, as SVG. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.extras import missing
from midpo.targets import write

if TYPE_CHECKING:
    from midpo.numeric.exact.solved import Part

SHOWN = 8  # prompts, and responses, in a picture
Axes = Any  # matplotlib's, which carries no types that would check


def draw(parts: Sequence[Part], folder: Path, responses: tuple[str, ...]) -> tuple[list[Path], str]:
    """Write the parts' plots into `folder`; the files, and a message where there can be none."""
    try:
        import matplotlib
    except ImportError as error:
        return [], str(missing(error, "plotting"))
    matplotlib.use("svg")
    from matplotlib import pyplot

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
