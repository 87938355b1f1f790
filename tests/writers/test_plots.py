"""Plots: the numbers behind them, and bytes that depend on nothing but the input."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from midpo.numeric.checking.found import CrossCheck, DtypeErrors
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import load, loads
from midpo.writers.pictures import plots
from midpo.writers.pictures.curves import loss_curve, token_weights

ROOT = Path(__file__).parents[2]
CHECK = CrossCheck(
    name="dpo", passed=True, cases=49, seed=0, device="cpu", prior_gap=1e-50, gradcheck=True,
    dtypes=(
        DtypeErrors("float64", 49, 1.36, 0.97, 16.0, True),
        DtypeErrors("float32", 49, float("nan"), 0.0, 16.0, True),
    ),
)  # fmt: skip


def test_the_logistic_loss_and_its_slope() -> None:
    curve = loss_curve(load("dpo"))
    assert curve is not None
    for margin, loss, slope in zip(curve.margins, curve.losses, curve.slopes, strict=True):
        assert loss == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-14)
        assert slope == pytest.approx(-1 / (1 + math.exp(margin)), rel=1e-14)


def test_a_link_is_drawn_at_the_defaults() -> None:
    curve = loss_curve(load("ipo"))  # (m - 1/(2 tau))^2 at tau = 0.1
    assert curve is not None and set(curve.parameters) == {"tau"}
    pairs = list(zip(curve.margins, curve.losses, curve.slopes, strict=True))
    assert all(loss == pytest.approx((m - 5) ** 2, abs=1e-12) for m, loss, _ in pairs)
    assert all(slope == pytest.approx(2 * (m - 5), abs=1e-12) for m, _, slope in pairs)


def test_a_loss_written_without_a_margin_is_drawn_where_it_is_logistic() -> None:
    curve, usual = loss_curve(load("infonca")), loss_curve(load("dpo"))
    assert curve is not None and usual is not None and curve.losses == usual.losses


@pytest.mark.parametrize("name", ["kto", "wpo", "sft", "aot"])
def test_no_curve_where_the_loss_is_no_function_of_a_margin(name: str) -> None:
    assert loss_curve(load(name)) is None
    assert plots.loss_plot(load(name)) is None


def test_a_link_without_values_has_no_plot() -> None:
    spec = loads("""
name = "x"
prior = "pi_ref(y)"
link = "log(m - 7)"
[target]
margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))"
""")
    assert plots.loss_plot(spec) is None


def test_tokens_that_count_less_are_pushed_less() -> None:
    # LD-DPO weighs tokens beyond the shorter response's length by ld: the fifth, by a half.
    found = token_weights(load("ld-dpo"))
    assert found is not None
    *first, last = found.weights["y_w"]
    assert all(weight == pytest.approx(first[0], rel=1e-12) for weight in first)
    assert last == pytest.approx(first[0] / 2, rel=1e-12)
    assert all(w == pytest.approx(found.weights["y_l"][0]) for w in found.weights["y_l"])


def test_dpo_pushes_all_tokens_alike() -> None:
    found = token_weights(load("tdpo"))
    assert found is not None
    for response, sign in (("y_w", 1), ("y_l", -1)):
        row = found.dpo[response]
        assert all(value == pytest.approx(row[0], rel=1e-12) for value in row)
        assert sign * row[0] > 0
    # d m/d z is alpha*(1 - p) with p = 1/4, and d loss/d m between -1 and 0.
    assert 0 < found.dpo["y_w"][0] < 0.1 * 0.75


def test_stopped_gradients_do_not_push() -> None:
    # WPO is DPO with a weight of which no gradient is taken: one factor for all tokens.
    found = token_weights(load("wpo"))
    assert found is not None
    ratios = {
        round(weight / plain, 12)
        for y in found.tokens
        for weight, plain in zip(found.weights[y], found.dpo[y], strict=True)
    }
    assert len(ratios) == 1 and 0 < ratios.pop() < 1


def test_losses_of_whole_responses_have_no_token_plot() -> None:
    assert plots.token_weights_plot(load("simpo")) is None
    assert plots.token_weights_plot(load("aot")) is None


def test_what_a_plot_says_of_itself() -> None:
    pytest.importorskip("matplotlib")
    exo = plots.loss_plot(load("exo"))
    assert exo is not None and exo.caption.endswith("logistic loss, at epsilon = 0.001.")
    assert exo.pdf.startswith(b"%PDF") and exo.svg.startswith(b"<svg")
    errors = plots.error_plot([CHECK])
    assert errors is not None and "49 pairs" in errors.standing and "1.36" in errors.alt
    assert plots.error_plot([]) is None
    assert plots.error_plot([CHECK, CHECK]) is not None


def test_benchmark_is_read_from_its_table(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    table = tmp_path / "kernels.md"
    assert plots.benchmark_plot(table) is None
    table.write_text(
        "| loss | tokens | vocabulary | dtype | method | ms | of | extra MiB | of one |\n"
        "| dpo | 512 | 32000 | float32 | fused | 200 | 1.00 | 1.6 | 2.6% |\n"
        "| dpo | 512 | 32000 | float32 | TRL | 300 | 1.50 | 1.6 | 2.6% |\n"
        "| dpo | 512 | 32000 | bfloat16 | TRL | 900 | 1.50 | 1.6 | 2.6% |\n"
        "| dpo | 512 | 32000 | float32 | Liger | not installed | | | |\n"
    )
    plot = plots.benchmark_plot(table)
    assert plot is not None and plot.alt.startswith("Bars of 2 measurements")
    assert "TRL of dpo, 1.50 times" in plot.alt
    assert plot.pdf.startswith(b"%PDF")


def test_ids_of_two_plots_do_not_meet() -> None:
    pytest.importorskip("matplotlib")
    ids: list[str] = []
    for plot in (plots.loss_plot(load("ipo")), plots.token_weights_plot(load("tdpo"))):
        assert plot is not None
        tree = ElementTree.fromstring(plot.svg)
        own = [e.get("id", "") for e in tree.iter() if e.get("id")]
        text = plot.svg.decode()
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert used and {a or b for a, b in used} <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_bytes_do_not_depend_on_the_process() -> None:
    pytest.importorskip("matplotlib")
    code = (
        "import hashlib; from midpo.writers.pictures import plots; from midpo import load;"
        "found = [plots.loss_plot(load('exo')), plots.token_weights_plot(load('tdpo'))];"
        "print([hashlib.sha256(b).hexdigest() for p in found for b in (p.svg, p.pdf)])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "MPLSTYLE": "", "TZ": zone},
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }  # fmt: skip
    assert len(seen) == 1 and seen.pop().count("'") == 8


def test_without_matplotlib_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plot = plots.loss_plot(load("dpo"))
    assert plot is not None
    with pytest.raises(MidpoError, match="plots need matplotlib"):
        _ = plot.svg
