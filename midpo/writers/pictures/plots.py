"""A report's plots, as SVG and PDF: the same input gives the same bytes. Needs matplotlib.

Each function returns a Plot, or None where there is nothing to draw. Its bytes are drawn when they
are asked for, and raise MidpoError where matplotlib is missing (`available` says so beforehand).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.numeric.arithmetic import DIGITS
from midpo.numeric.figures import figure
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, told
from midpo.symbolic.language.spec import Spec, load

from .curves import LOGISTIC, MARGINS, POINTS, LossCurve, loss_curve, token_weights

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck

Axes = Any  # matplotlib's, which carries no types that would check
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
_STYLE: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


Draw = Callable[[str], bytes]


@dataclass(frozen=True)
class Plot:
    """One picture, drawn when its bytes are first asked for. `alt` says what it shows to who cannot
    see it; `words` what is drawn, `values` at which parameters; `standing` what the points rest on.
    Texts are plain, without markup."""

    name: str
    alt: str
    words: str
    standing: Told
    draw: Draw = field(repr=False, compare=False)
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """What is drawn and at which values, as a sentence."""
        given = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        return f"{self.words}, at {given}." if given else f"{self.words}."

    @cached_property
    def svg(self) -> bytes:
        """An <svg> element that can stand in a page with others: no prologue, its own ids."""
        return _named(self.draw("svg"), self.name)

    @cached_property
    def pdf(self) -> bytes:
        return self.draw("pdf")

    def drawn(self, kinds: Sequence[str]) -> Plot:
        """The same with its bytes in these formats, which another process can be handed."""
        return replace(self, draw=partial(_stored, {kind: self.draw(kind) for kind in kinds}))


def _stored(pictures: Mapping[str, bytes], kind: str) -> bytes:
    return pictures[kind]


def available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    try:
        return find_spec("matplotlib") is not None
    except (ImportError, ValueError):  # kept away, or None in its place
        return False


# --- Pictures ------------------------------------------------------------------------------------


def loss_plot(spec: Spec) -> Plot | None:
    """The loss and its derivative against the margin, in nats."""
    curve = loss_curve(spec)
    if curve is None:
        return None
    logistic = curve.link == LOGISTIC
    usual = None if logistic else loss_curve(load("dpo"))

    def paint(axes: Axes) -> None:
        for axis, what, words in (
            (axes[0], "losses", r"loss $\ell(m)$, nats"),
            (axes[1], "slopes", r"derivative $\mathrm{d}\ell/\mathrm{d}m$"),
        ):
            if usual is not None:
                axis.plot(
                    usual.margins,
                    getattr(usual, what),
                    "--",
                    color=GREY,
                    linewidth=0.9,
                    label=r"$-\log\sigma(m)$",
                )
            values = getattr(curve, what)
            axis.plot(curve.margins, values, color=BLUE, label="this loss")
            axis.axhline(0, color=GREY, linewidth=0.4)
            axis.axvline(0, color=GREY, linewidth=0.4)
            axis.set(xlabel="margin $m$, nats", ylabel=words, xlim=MARGINS, ylim=_room(values))
            if usual is not None:
                axis.legend()

    name = f"loss-{spec.name}"
    return Plot(
        name,
        alt=f"Loss of {spec.name} and its derivative against the margin from {MARGINS[0]} to "
            f"{MARGINS[1]}: {_ends(curve)}.",
        words="The loss as a function of the margin, and its derivative"
              + ("" if logistic else "; dashed: the logistic loss"),
        values=_values(curve.parameters) | dict.fromkeys(curve.features, "1"),
        standing=told(f"{{}} in {DIGITS} digits at {POINTS} margins; derivatives are central "
                 "differences of step 1e-20", Standing.CALCULATED),
        draw=_drawn(name, 2, paint),
    )  # fmt: skip


def token_weights_plot(spec: Spec) -> Plot | None:
    """How far one step of gradient descent pushes the logit of each token, beside DPO's push."""
    found = token_weights(spec)
    if found is None:
        return None

    def paint(axes: Axes) -> None:
        roles = ("preferred response $y_w$", "dispreferred response $y_l$")
        for axis, role, (response, tokens) in zip(axes, roles, found.tokens.items(), strict=True):
            places = range(1, len(tokens) + 1)
            axis.bar(places, found.weights[response], width=0.6, color=BLUE, label="this loss")
            axis.plot(
                places,
                found.dpo[response],
                "D",
                markersize=4,
                markerfacecolor="white",
                markeredgecolor=ORANGE,
                label="DPO",
            )
            axis.axhline(0, color=GREY, linewidth=0.6)
            axis.set(title=role, xlabel="position of the token", xticks=list(places))
        axes[0].set_ylabel(r"$-\partial\ell/\partial z$, nats")
        axes[1].legend()

    rows = "; ".join(
        f"{word}: " + ", ".join(f"{figure(w)}" for w in row)
        for word, row in zip(("preferred", "dispreferred"), found.weights.values(), strict=True)
    )
    name = f"tokens-{spec.name}"
    return Plot(
        name,
        alt=f"Push on each token's logit under {spec.name}, in order of position: {rows}.",
        words="How far gradient descent pushes the logit z of each token of one small pair. "
                "Every token has probability 1/4 under the trained policy, so that DPO, at the "
                "same policies and scale, pushes all of a response alike",
        values=_values(found.parameters),
        standing=told(f"one example, {{}} in {DIGITS} digits; derivatives are central differences "
                 "of step 1e-20", Standing.CALCULATED),
        draw=_drawn(name, 2, paint, sharey=True),
    )  # fmt: skip


def error_plot(checks: Sequence[CrossCheck]) -> Plot | None:
    """The largest errors of kernels by dtype, in units in the last place."""
    dtypes = list(dict.fromkeys(d.dtype for check in checks for d in check.dtypes))
    if not dtypes:
        return None
    limits = {d.dtype: d.limit_ulp for check in checks for d in check.dtypes}

    def paint(axes: Axes) -> None:
        (axis,) = axes
        for shift, color, marker, words, what in (
            (-0.17, BLUE, "o", "loss", "value_ulp"),
            (0.17, ORANGE, "s", "gradient", "gradient_ulp"),
        ):
            points = [
                (dtypes.index(d.dtype) + shift + _spread(place, len(checks)), max(getattr(d, what), LEAST))
                for place, check in enumerate(checks)
                for d in check.dtypes
                if math.isfinite(getattr(d, what))
            ]
            fill = color if marker == "o" else "white"
            axis.plot(
                [x for x, _ in points],
                [y for _, y in points],
                marker,
                color=color,
                markersize=4,
                markerfacecolor=fill,
                label=words,
            )
        for place, dtype in enumerate(dtypes):
            axis.plot(
                [place - 0.42, place + 0.42],
                [limits[dtype]] * 2,
                color=GREY,
                linewidth=1,
                label=None if place else "limit",
            )
        axis.set_yscale("log")
        axis.set(xticks=range(len(dtypes)), ylabel="largest error, ulp", xlim=(-0.6, len(dtypes) - 0.4))
        axis.set_xticklabels(dtypes)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3)

    pairs = sum(check.cases for check in checks)
    one = len(checks) == 1
    which = f"the {checks[0].backend} kernel of {checks[0].name}" if one else (f"{len(checks)} kernels")
    rows = "; ".join(
        f"{dtype}: loss {_largest(checks, dtype, 'value_ulp')}, "
        f"gradient {_largest(checks, dtype, 'gradient_ulp')}"
        for dtype in dtypes
    )
    name = f"errors-{checks[0].name}" if one else "errors"
    return Plot(
        name,
        alt=f"Largest error of {which} by dtype, in units in the last place: {rows}.",
        words=f"The largest error of {which} by dtype, in units in the last place (below "
              f"{LEAST:g}: drawn there); the bar is the limit",
        standing=known(Standing.EVIDENCE, f"{pairs} pairs, against {DIGITS} digits"),
        draw=_drawn(name, 1, paint),
    )  # fmt: skip


def benchmark_plot(table: Path) -> Plot | None:
    """Time of the kernels beside other implementations, from a table of benchmarks/kernels.py."""
    rows = _benchmark(table)
    if not rows:
        return None
    losses = list(dict.fromkeys(row[0] for row in rows))

    def paint(axes: Axes) -> None:
        (axis,) = axes
        places = [place + 0.6 * losses.index(row[0]) for place, row in enumerate(rows)]
        colors = [BLUE if method in _OWN else GREY for _, method, _ in rows]
        axis.barh(places, [ratio for *_, ratio in rows], height=0.7, color=colors)
        axis.axvline(1, color=GREY, linewidth=0.6)
        axis.set(yticks=places, xlabel="time, as a multiple of the fused or linear kernel's")
        axis.set_yticklabels([f"{loss}: {method}" for loss, method, _ in rows])
        axis.invert_yaxis()

    loss, method, ratio = max(rows, key=lambda row: row[2])
    return Plot(
        "benchmark",
        alt=f"Bars of {len(rows)} measurements of {len(losses)} losses; the slowest is {method} of "
            f"{loss}, {ratio:.2f} times the fused kernel's time.",
        words="Time of one loss and its gradient in float32, 512 tokens, vocabulary 32000; this "
              "project's kernels in blue",
        standing=told("{} by benchmarks/kernels.py: {} rows of {}", Standing.MEASURED,
                      str(len(rows)), table.name),
        draw=_drawn("benchmark", 1, paint, height=0.8 + 0.2 * len(rows)),
    )  # fmt: skip


# --- Pieces --------------------------------------------------------------------------------------

LEAST = 1e-2  # of an error that a logarithmic axis shows
_OWN = ("fused", "fused in place", "eager", "compile", "linear", "logps")
_UNDATED: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def _drawn(
    name: str, columns: int, paint: Callable[[Axes], None], *, height: float = 2.1,
    sharey: bool = False,
) -> Draw:  # fmt: skip
    """A function that paints axes side by side and gives the picture's bytes in a format."""

    def draw(kind: str) -> bytes:
        try:
            import matplotlib
            from matplotlib.figure import Figure
        except ImportError:
            raise MidpoError(
                "plots need matplotlib, which is not installed\n  expected: pip install 'midpo[plots]'"
            ) from None
        with matplotlib.rc_context():
            matplotlib.rcdefaults()  # a reader's own style would change the bytes
            matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": name})
            figure = Figure(figsize=(5.9 if columns > 1 else 4.4, height), layout="constrained")
            axes = figure.subplots(1, columns, squeeze=False, sharey=sharey)[0]
            paint(axes)
            stream = BytesIO()
            figure.savefig(stream, format=kind, transparent=True, metadata=_UNDATED[kind])
        return stream.getvalue()

    return draw


def _named(svg: bytes, name: str) -> bytes:
    """The <svg> element without its prologue, every id with `name` before it."""
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    return re.sub(
        r'(href="#|url\(#)([^")]+)', lambda m: f"{m[1]}{name}-{m[2]}" if m[2] in ids else m[0], text
    ).encode("utf-8")


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Limits that show the values around 0 where some are very large."""
    seen = sorted(v for v in values if math.isfinite(v))
    low, high = max(seen[0], -12.0), min(seen[-1], 12.0)
    if high - low < 1e-9:
        low, high = low - 1, high + 1
    space = 0.06 * (high - low)
    return min(low, 0.0) - space, max(high, 0.0) + space


def _spread(place: int, count: int) -> float:
    return 0.0 if count < 2 else 0.2 * (place / (count - 1) - 0.5)


def _largest(checks: Sequence[CrossCheck], dtype: str, what: str) -> str:
    return f"{max(getattr(d, what) for c in checks for d in c.dtypes if d.dtype == dtype):.3g}"


def _values(parameters: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: _number(value) for name, value in parameters.items()}


def _number(value: Fraction) -> str:
    return figure(float(value), 4)


def _ends(curve: LossCurve) -> str:
    finite = [(m, v) for m, v in zip(curve.margins, curve.losses, strict=True) if math.isfinite(v)]
    (first, low), (last, high) = finite[0], finite[-1]
    middle = min(finite, key=lambda pair: abs(pair[0]))[1]
    return f"{figure(low)} at {first:g}, {figure(middle)} at 0, {figure(high)} at {last:g}"


def _benchmark(table: Path) -> list[tuple[str, str, float]]:
    """(loss, method, time over the project's own) of the float32 rows of one shape."""
    if not table.is_file():
        return []
    found: list[tuple[str, str, float]] = []
    for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        shape = ["512", "32000", "float32"]
        if len(cells) == 9 and cells[1:4] == shape and re.fullmatch(r"[\d.]+", cells[5]):
            found.append((cells[0], cells[4], float(cells[5])))
    own = {loss: time for loss, method, time in found if method in ("fused", "linear")}
    return [(loss, method, time / own[loss]) for loss, method, time in found if own.get(loss)]
