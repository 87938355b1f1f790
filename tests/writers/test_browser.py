"""The page of a report in a real browser: what a reader does with it, and a silent console."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from browsing import browser, missing, prefer, resize

from midpo.page import write
from midpo.symbolic.language.spec import loads
from midpo.symbolic.language.words import FUNCTIONS
from midpo.symbolic.loss import pair_loss
from midpo.writers.html.plots import tree, variables

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "there is one"),
]

REFUTED = """
name = "refuted"
title = "<script>throw new Error('ran')</script><img src=x onerror=alert(1)>"
prior = "pi_ref(y) * exp(beta*len(y))"
[parameters]
alpha = { domain = "positive", default = 0.1 }
beta = { domain = "real", default = 0.01 }
[target]
margin = '''alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))
            + alpha*beta*(len(y_w) - len(y_l))'''
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    (folder / "refuted.toml").write_text(REFUTED)
    sources: list[str | Path] = ["simpo", "dpo", folder / "refuted.toml", "kto", "aot"]
    return write(sources, folder).as_uri()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def at(driver: Any, page: str) -> Iterator[Any]:
    """The page, freshly opened on a desk; afterwards the console must have stayed silent."""
    prefer(driver, prefers_color_scheme="light")
    resize(driver, 1280, 900)
    driver.get("about:blank")
    driver.get(page)
    driver.execute_script("try { localStorage.clear(); } catch {}")
    driver.get_log("browser")
    driver.get(page)
    yield driver
    assert driver.get_log("browser") == []


def wait(true: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `true` gives once it is there: elements are drawn when they come into view."""
    from selenium.common.exceptions import NoSuchElementException

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(NoSuchElementException):
            found = true()
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError("did not come to pass")


def css(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def click(driver: Any, selector: str) -> None:
    script = "arguments[0].scrollIntoView({block: 'center'})"
    driver.execute_script(script, css(driver, selector))
    css(driver, selector).click()


def names(driver: Any) -> list[str]:
    rows = driver.find_elements("css selector", "#specs tbody tr:not([hidden]) th a")
    return [row.text for row in rows]


def keys(driver: Any, *pressed: str) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    for key in pressed:
        ActionChains(driver).send_keys(getattr(Keys, key, key)).perform()


def test_the_console_test_fires(driver: Any) -> None:
    driver.get("data:text/html,<script>throw new Error('x')</script>")
    assert driver.get_log("browser")


def test_sorting(at: Any) -> None:
    click(at, "#specs th:nth-child(1) button")
    assert names(at) == ["aot", "dpo", "kto", "refuted", "simpo"]
    assert css(at, "#specs th:nth-child(1)").get_attribute("aria-sort") == "ascending"
    click(at, "#specs th:nth-child(1) button")
    assert names(at) == ["simpo", "refuted", "kto", "dpo", "aot"]
    click(at, "#specs th:nth-child(7) button")
    assert names(at)[:2] == ["dpo", "simpo"]  # 1 step and 6; the others have none
    sorted_by = [h.get_attribute("aria-sort") for h in at.find_elements("css selector", "thead th")]
    assert sorted_by.count("ascending") == 1 and "descending" not in sorted_by
    click(at, "#specs th:nth-child(7) button")
    assert names(at)[:2] == ["simpo", "dpo"]  # what is empty stays at the end


def test_searching(at: Any) -> None:
    css(at, "#search").send_keys("preference PROVED")
    assert names(at) == ["simpo", "dpo"]
    assert css(at, "#found").text == "2 of 5 rows"


def test_free_text_is_inert(at: Any) -> None:
    assert "<script>throw" in css(at, "#refuted").text
    assert not at.find_elements("css selector", "img")


def test_light_and_dark(at: Any) -> None:
    def paper() -> str:
        return str(at.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = paper()
    prefer(at, prefers_color_scheme="dark")
    dark = wait(lambda: paper() if paper() != light else None)
    assert css(at, "#theme").get_attribute("aria-pressed") == "true"
    click(at, "#theme")
    assert paper() == light
    at.refresh()
    assert paper() == light, "the reader's choice is kept"
    prefer(at, prefers_color_scheme="light")
    click(at, "#theme")
    assert paper() == dark


def test_steps_open(at: Any) -> None:
    formula = css(at, "#simpo-step-2 math")
    assert not formula.is_displayed()
    click(at, "#simpo-step-2 summary")
    assert formula.is_displayed()
    click(at, "#all-steps")
    assert css(at, "#simpo-step-5 math").is_displayed()
    click(at, "#all-steps")
    assert not css(at, "#simpo-step-5 math").is_displayed()


def test_a_link_opens_its_step(at: Any, page: str) -> None:
    at.get(page + "#simpo-step-3")
    assert wait(lambda: css(at, "#simpo-step-3 math").is_displayed())


def copied(driver: Any) -> str:
    """What lies on the clipboard, by pasting it."""
    driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    script = "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0]('' + e))"
    return str(driver.execute_async_script(script))


def test_copying(at: Any) -> None:
    click(at, "#simpo ~ .formula button.copy")
    assert wait(lambda: css(at, "#status").get_attribute("textContent")) == "Copied"
    assert copied(at) == (
        r"\zeta(y\mid x) \propto \pi(y\mid x)^{1 - 1/|y|} \exp\left(\begin{cases} "
        r"\gamma/(2 \alpha) & \text{if } y = y_w\\ -\gamma/(2 \alpha) & \text{if } y = y_l "
        r"\end{cases}\right)"
    )
    click(at, "#all-steps")
    button = css(at, "[data-target=dpo-source]")
    click(at, "[data-target=dpo-source]")
    wait(lambda: button.text == "Copied")
    source = copied(at)
    assert "def dpo_loss(" in source
    compile(source, "dpo_loss.py", "exec")


def test_a_slider_changes_the_curve(at: Any) -> None:
    at.execute_script("document.getElementById('simpo-plot-difference').scrollIntoView()")
    curve = "#simpo-plot-difference .panels svg:first-child path.own"
    before = wait(lambda: css(at, curve).get_attribute("d"))
    slider = css(at, "[id='simpo-plot-difference-p:gamma']")
    at.execute_script("arguments[0].focus()", slider)
    keys(at, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    after = css(at, curve).get_attribute("d")
    assert after != before
    assert float(slider.get_attribute("aria-valuetext")) > 1
    click(at, "#simpo-plot-difference .reset")
    assert css(at, curve).get_attribute("d") == before


def test_the_other_axis(at: Any) -> None:
    from selenium.webdriver.support.select import Select

    figure = "#simpo-plot-correction"
    at.execute_script("document.querySelector(arguments[0]).scrollIntoView()", figure)
    before = wait(lambda: css(at, f"{figure} path.own").get_attribute("d"))
    assert css(at, "[id='simpo-plot-correction-n:y']").get_attribute("disabled")
    Select(css(at, f"{figure} select")).select_by_index(1)
    assert css(at, f"{figure} path.own").get_attribute("d") != before
    assert not css(at, "[id='simpo-plot-correction-n:y']").get_attribute("disabled")


def test_the_page_computes_what_python_does(at: Any) -> None:
    """Each function of the vocabulary at its corner points, and its derivative."""
    from midpo.numeric.arithmetic import Digits
    from midpo.numeric.evaluate import Evaluator, Point
    from midpo.symbolic.language.nodes import Parameter

    ops, x, other = Digits(), Parameter("x", "real"), Parameter("z", "real")

    def number(value: float) -> Any:
        return ops.number(Fraction(value))

    def exact(expr: Any, value: float) -> float:
        point = Point({}, {}, {"x": number(value), "z": number(0.25)})
        return float(Evaluator(ops, point)(expr))

    for word in FUNCTIONS.values():
        args = (x,) if word.arity[0] == 1 else (x, other)
        expr = word.node(*args)
        for corner in word.corners:
            script = "return midpoEvaluate(arguments[0], arguments[1], 'p:x')"
            value, slope = at.execute_script(script, tree(expr), {"p:x": corner, "p:z": 0.25})
            assert math.isclose(value, exact(expr, corner), rel_tol=1e-12, abs_tol=1e-300)
            step = 1e-6 * max(1.0, abs(corner)) if corner != 0 else None
            if step is None or word.name in ("step", "sg") or abs(corner) < 1e-6:
                continue
            numeric = (exact(expr, corner + step) - exact(expr, corner - step)) / (2 * step)
            assert math.isclose(slope, numeric, rel_tol=1e-4, abs_tol=1e-9), (word.name, corner)


ALIKE = """
name = "alike"
prior = "pi_ref(y)"
[parameters]
alpha = "positive"
gamma = "unit"
[features]
w = "token"
[target]
loss = '''-alpha*logsigmoid(sum(gamma**t*w(y_w, t)*log(pi(y_w, t)) for t in y_w)
  + prod(pi(y_l, t) for t in y_l)**(1/len(y_l)) - log(pi(y_l)/pi_ref(y_l)) + sg(len(y_w)))'''
"""


def test_a_pair_whose_tokens_are_alike(at: Any) -> None:
    """The tree of a loss, against the loss itself at a pair with all tokens alike."""
    from midpo.numeric.arithmetic import Digits
    from midpo.numeric.evaluate import Evaluator, Point

    spec, ops = loads(ALIKE), Digits()

    def number(value: float) -> Any:
        return ops.number(Fraction(value))

    lengths = {"y_w": 3, "y_l": 5}
    chance = {("pi", "y_w"): 0.5, ("pi", "y_l"): 0.125, ("pi_ref", "y_l"): 0.25, ("pi_ref", "y_w"): 0.25}
    point = Point(
        {y: [0] * n for y, n in lengths.items()},
        {at: [[number(p), number(1 - p)]] * lengths[at[1]] for at, p in chance.items()},
        {"alpha": number(0.75), "gamma": number(0.5)},
        {"w": {y: [number(1.5)] * n for y, n in lengths.items()}},
    )
    given = {
        "p:alpha": 0.75,
        "p:gamma": 0.5,
        "n:w": 3,
        "n:l": 5,
        "f:w:w": 1.5,
        **{f"l:{p}:{y[-1]}": math.log(c) for (p, y), c in chance.items()},
    }
    shown = tree(pair_loss(spec))
    assert set(variables(shown)) - {"i:t"} <= set(given)
    (value, _) = at.execute_script("return midpoEvaluate(arguments[0], arguments[1], '')", shown, given)
    assert math.isclose(value, float(Evaluator(ops, point)(pair_loss(spec))), rel_tol=1e-12)


def test_keyboard_only(at: Any) -> None:
    focused = "return document.activeElement"
    keys(at, "TAB")
    assert at.execute_script(focused).get_attribute("class") == "skip"
    for _ in range(80):
        keys(at, "TAB")
        element = at.execute_script(focused)
        outline = at.execute_script("return getComputedStyle(arguments[0]).outlineStyle", element)
        assert outline == "solid", element.get_attribute("outerHTML")[:120]
        if element.find_element("xpath", "..").get_attribute("aria-sort"):
            break
    keys(at, "ENTER")
    assert names(at)[0] == "aot"


def test_a_phone_need_not_be_scrolled_sideways(at: Any, page: str) -> None:
    resize(at, 360, 740)
    at.get(page)
    click(at, "#all-steps")
    assert at.execute_script("return document.documentElement.scrollWidth") == 360
    # No formula of these need be scrolled either.
    wider = (
        "return [...document.querySelectorAll('.steps .pieces')].filter("
        "(p) => p.scrollWidth > p.clientWidth + 1).map((p) => p.ariaLabel)"
    )
    assert at.execute_script(wider) == []


def test_on_paper_all_is_there(at: Any) -> None:
    at.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    at.execute_script("dispatchEvent(new Event('beforeprint'))")
    shown = [css(at, s).is_displayed() for s in ("#simpo-step-5 math", "#dpo-source")]
    hidden = [css(at, s).is_displayed() for s in ("#theme", ".contents", ".knobs", "#search")]
    drawn = len(at.find_elements("css selector", "figure.plot svg"))
    at.execute_script("dispatchEvent(new Event('afterprint'))")
    at.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert all(shown) and not any(hidden) and drawn >= 6
    assert not css(at, "#simpo-step-5 math").is_displayed()


def test_nothing_is_fetched(at: Any) -> None:
    fetched = at.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert fetched == []
    policy = css(at, "meta[http-equiv]").get_attribute("content")
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy


def test_controls_have_names(at: Any) -> None:
    """Every control and picture has a name for those who do not see it."""
    at.execute_script("document.querySelectorAll('figure.plot').forEach(f => f.scrollIntoView())")
    wait(lambda: at.find_elements("css selector", "figure.plot svg"))
    tree_ = at.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("button", "slider", "searchbox", "combobox", "link", "img", "region", "navigation")
    nameless = [
        node["role"]["value"]
        for node in tree_
        if not node.get("ignored")
        and node["role"]["value"] in roles
        and not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []


@pytest.mark.slow
def test_the_whole_catalogue(driver: Any, tmp_path: Path) -> None:
    from midpo.symbolic.language.spec import catalogue

    target = write(list(catalogue()), tmp_path, audit=False)
    resize(driver, 360, 740)
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(target.as_uri())
    assert len(names(driver)) == len(catalogue())
    assert driver.execute_script("return document.documentElement.scrollWidth") == 360
    figures = "for (const f of document.querySelectorAll('figure.plot')) f.scrollIntoView()"
    driver.execute_script(figures)
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    empty = driver.execute_script(
        "return [...document.querySelectorAll('figure.plot')].filter(f => ![...f.querySelectorAll("
        "'path.own')].every(p => p.getAttribute('d') !== 'M0 0')).map(f => f.id)"
    )
    assert empty == []
    assert driver.get_log("browser") == []
