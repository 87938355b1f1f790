"""The family: which loss is which other's special or limiting case, and the drawing of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from midpo.cli import main
from midpo.numeric.arithmetic import Digits
from midpo.numeric.case import Case
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import random_case
from midpo.proofs.compare.family import Edge, family, family_of
from midpo.symbolic.formula.told import proved
from midpo.symbolic.language.places import Names
from midpo.symbolic.language.spec import Spec, catalogue, load, loads
from midpo.symbolic.loss import pair_loss
from midpo.writers.pictures.family import draw
from midpo.writers.pictures.family_layout import layered

# What is known of the losses, from their papers and not from this program.
KNOWN = {
    "dice -> dpo": "pi_old = pi_ref",
    "centropy -> dpo": "eta = 1",
    "simpo -> cpo-normalised": "gamma = 0",
    "rdpo -> dpo": "beta = 0",
    "sparsepo -> tdpo": "mu1 = 1, mu2 = 1",
    "sparsepo -> dpo": "mu1 = 1, mu2 = 0",
    "sparsepo -> tdpo2": "mu1 = 1, mu2 = lam",
    "tdpo2 -> dpo": "lam = 0",
    "tdpo2 -> tdpo": "lam = 1",
    "cdpo -> dpo": "epsilon = 0",
    "robust-dpo -> dpo": "epsilon = 0",
    "dpop -> dpo": "lam = 0",
    "d2po -> dpo": "gamma = 1",
    "ld-dpo -> dpo": "ld = 1",
    "focalpo -> dpo": "c → 0",
    "f-dpo-alpha -> f-dpo-forward": "c → 1",
    "kto -> apo-zero": "z0 = 0",
    "cpo-simpo -> simpo": "lam = 0",
    "beta-dpo -> dpo": "temperature = alpha",
    "mallowspo -> beta-dpo": "alpha = 1, dispersion = temperature",
    "rebel -> reward-distillation": "eta = 1/alpha, pi_old = pi_ref",
}


def arrow(edge: Edge) -> str:
    return f"{edge.general} -> {edge.special}"


def test_known_cases_are_found() -> None:
    family.cache_clear()
    found = family()
    conditions = {arrow(edge): edge.condition for edge in found.edges}
    assert len(conditions) == len(found.edges) >= 40
    assert {name: conditions.get(name) for name in KNOWN} == KNOWN
    assert {c for c in found.classes if len(c) > 1} == {
        ("dpo", "infonca", "step-dpo"),
        ("dice", "sdpo", "spin", "tr-dpo"),
    }
    assert all(edge.standing.startswith("proved: ") for edge in found.edges)
    assert not found.unproved
    # detached divergences: equal in value only
    assert {arrow(e) for e in found.edges if not e.gradient} == {"sparsepo -> tdpo2", "tdpo2 -> tdpo"}
    named = {n for c in found.classes for n in c} | set(found.outside)
    assert named == set(catalogue())


@pytest.mark.parametrize("number", range(3))
def test_edges_hold_at_random_cases(number: int) -> None:
    """In 50 digits and by another road: the general loss at the settings is a*special + b."""
    moved = 0
    for edge in family().edges:
        general, special = load(edge.general), load(edge.special)
        rng = Random(number)
        parameters: dict[str, Fraction] = {}
        sides = []
        for lengths in ((2, 3), (3, 1), (1, 2), (4, 2)):
            named = dict(zip(("y_w", "y_l"), lengths, strict=True))
            named |= {str(y): 2 for y in general.names.responses}
            case = random_case(both(general, special), named, 0, rng)
            parameters = parameters or dict(case.parameters)
            case = Case(case.tokens, case.laws, parameters, case.features)
            ops = Digits()
            sides.append(
                (
                    Evaluator(ops, at(case, edge).point(ops))(pair_loss(general)),
                    Evaluator(ops, case.point(ops))(pair_loss(special)),
                )
            )
        (a0, b0), *others = sides
        steps = [(a - a0, b - b0) for a, b in others]
        assert all(a * b >= 0 for a, b in steps), arrow(edge)
        for (a, b), (c, d) in combinations(steps, 2):
            assert abs(a * d - b * c) <= 1e-40 * (1 + abs(a * d)), arrow(edge)
        moved += any(b != 0 for _, b in steps)
    assert moved > 0.9 * len(family().edges)


def both(general: Spec, special: Spec) -> Spec:
    one, other = general.names, special.names
    names = Names(
        one.parameters | other.parameters, one.features | other.features, one.policies | other.policies
    )
    spoken = sorted(names.policies)
    text = " + ".join(f"log({p}(y_w))" for p in spoken)
    declared = "".join(f'{p} = "frozen"\n' for p in spoken if p not in ("pi", "pi_ref"))
    carrier = loads(f'name = "both"\n[policies]\n{declared}[target]\nmargin = "{text}"')
    return Spec("both", names, margin=carrier.margin)


def at(case: Case, edge: Edge) -> Case:
    """The case with the edge's names fixed, read from the text of its settings."""
    parameters, laws, features = dict(case.parameters), dict(case.laws), dict(case.features)
    for setting in edge.settings:
        name, value = setting.name, setting.value
        if value == "pi_ref":
            laws[name] = laws["pi_ref"]
        elif value in features:
            features[name] = features[value]
        else:
            number = (
                1 / parameters["alpha"]
                if value == "1/alpha"
                else parameters[value]
                if value in parameters
                else Fraction(value)
            )
            if name in parameters:
                parameters[name] = number
            elif isinstance(features[name], dict):
                features[name] = {
                    y: [number] * len(v) if isinstance(v, list) else number for y, v in features[name].items()
                }
            else:
                features[name] = number
    return Case(case.tokens, laws, parameters, features)


def test_implied_cases_follow_from_others() -> None:
    found = family()
    implied = {arrow(e) for e in found.edges if e.implied}
    assert "cpo-simpo -> cpo-normalised" in implied  # by way of simpo
    # sparsepo is tdpo in gradient too, and its way through tdpo2 says that of the value only
    assert "sparsepo -> tdpo" not in implied and "mappo -> dpo" in implied  # by dpo-shift


MARGIN = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"


def spec(name: str, margin: str, declared: str = "") -> Spec:
    return loads(
        f'name = "{name}"\n[parameters]\nalpha = "positive"\n{declared}\n[target]\nmargin = "{margin}"'
    )


def test_near_misses_are_no_edges() -> None:
    dpo = load("dpo")
    wrong = spec("wrong", f"{MARGIN} + gamma*len(y_w)".replace("- alpha", "+ alpha"), 'gamma = "real"')
    assert not family_of([wrong, dpo]).edges
    # a value that the special loss takes and the general one does not
    narrow = spec("narrow", f"k*({MARGIN}) + len(y_w)", 'k = "unit"')
    wide = spec("wide", f"k*({MARGIN}) + len(y_w)", 'k = "positive"')
    found = family_of([narrow, wide])
    assert not any(edge.special == "wide" and not edge.settings for edge in found.edges)


def test_parameters_may_be_called_differently() -> None:
    general = spec("general", f"{MARGIN} + a1*len(y_w) - b1*len(y_l)", 'a1 = "real"\nb1 = "real"')
    (edge,) = family_of([general, load("rdpo"), load("dpo")]).edges[:1]
    assert edge.condition in ("a1 = 0, b1 = 0", "a1 = beta, b1 = beta") or "beta" in edge.condition


def test_drawing() -> None:
    found = family()
    drawing = draw(found)
    root = ElementTree.fromstring(drawing)
    space = "{http://www.w3.org/2000/svg}"
    shown = [t.text for t in root.iter(f"{space}text")]
    for name in catalogue():
        assert shown.count(name) == 1, name
    drawn = [edge for edge in found.edges if not edge.implied]
    lines = [p for p in root.iter(f"{space}path") if p.find(f"{space}title") is not None]
    assert len(lines) == len(drawn)
    for edge in drawn:
        assert edge.condition in shown
    assert "prefers-color-scheme: dark" in drawing and "<script" not in drawing
    # boxes do not overlap
    boxes = [
        [float(r.get(k, "0")) for k in ("x", "y", "width", "height")]
        for r in root.iter(f"{space}rect")
        if r.get("class") == "box"
    ]
    for i, (x, y, w, h) in enumerate(boxes):
        for u, v, _, g in boxes[:i]:
            assert x + w <= u or u + 1 <= x or y + h <= v or v + g <= y


def test_circles_are_told_in_words() -> None:
    found = family_of([load("dpo"), load("simpo")])
    edges = tuple(Edge(a, b, (), proved("x")) for a, b in (("dpo", "simpo"), ("simpo", "dpo")))
    drawing = draw(type(found)(found.classes, edges))
    assert "close a circle" in drawing
    with pytest.raises(ValueError, match="cycle"):
        layered([("a", "b"), ("b", "a")], {"a": 1, "b": 1})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["map", *arguments])


def test_command(tmp_path: Path) -> None:
    file = tmp_path / "family.svg"
    assert run("-o", str(file)).exit_code == 0
    assert file.read_text() == draw(family()) == run("-o", "-").stdout
    answer = json.loads(run("--json").stdout)
    assert answer == json.loads(json.dumps(family().as_json()))
    assert "tdpo2 at lam = 0 is dpo\n" in run().stdout
    assert run("--json", "-o", "-").exit_code == 2
    assert run("-o", str(tmp_path)).exit_code == 2
