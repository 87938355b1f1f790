"""Every recovery of the catalogue, its perturbed priors, and random priors, by Coq's kernel."""

from __future__ import annotations

import dataclasses
import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from test_recovery import spec

from midpo.proofs.certify.certificate import Certificate, check, export, export_catalogue, named_apart
from midpo.proofs.certify.statement import Statement
from midpo.proofs.recover.recovery import verify
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import Spec, catalogue, load

coq = pytest.mark.coq
needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="coqc is not installed")
RECOVERED = [name for name in catalogue() if load(name).prior is not None]


def test_every_recovered_row_is_exported() -> None:
    """What is not, docs/certificates.md lists with the reason."""
    guide = (Path(__file__).parents[2] / "docs" / "certificates.md").read_text()
    found = export_catalogue()
    assert [one.spec.name for one in found] == catalogue()
    for one in found:
        if one.spec.name not in RECOVERED:
            assert one.state == "no recovery" and one.reason and not one.text
        elif one.state != "exported":
            assert f"`{one.spec.name}`" in guide, (one.spec.name, one.reason)


@coq
@needs_coq
@pytest.mark.parametrize(
    "names",
    [
        # maxima, odds, sums of powers, discounts, powers of ratios, exponentials, likelihood terms,
        # a third response
        pytest.param(
            ["minor-dpo", "orpo", "infonca", "dmpo", "f-dpo-alpha", "simper", "rpo", "tpo"], id="some"
        ),
        pytest.param(RECOVERED, id="all", marks=pytest.mark.slow),
    ],
)
def test_the_catalogue_is_accepted(names: list[str]) -> None:
    for found in check(named_apart([export(load(name)) for name in names])):
        assert found.state == "checked" and not found.refutes, (found.spec.name, found.reason)


# --- Refutations ---------------------------------------------------------------------------------

CHANGES = ("pi(y)", "exp(len(y))", "exp(by_label(1, 0))", "1/pi(y)**2")


def changed(name: str, factor: str) -> Spec:
    """The catalogue's row with its prior multiplied by `factor`."""
    row = load(name)
    assert row.prior is not None
    return dataclasses.replace(row, prior=row.prior * parse(factor, row.names, PRIOR))


@coq
@needs_coq
@pytest.mark.parametrize(
    "cases",
    [
        # by the margin, through a link, by the loss; with maxima, powers and token-level sums
        pytest.param(
            [
                ("ipo", "pi(y)"),
                ("slic-hf", "exp(len(y))"),
                ("f-dpo-alpha", "pi(y)"),
                ("minor-dpo", "1/pi(y)**2"),
                ("sparsepo", "exp(by_label(1, 0))"),
            ],
            id="some",
        ),
        *(
            pytest.param([(name, factor) for name in RECOVERED], id=f"all*{factor}", marks=pytest.mark.slow)
            for factor in CHANGES
        ),
    ],
)
def test_exact_refutations_are_certified(cases: list[tuple[str, str]]) -> None:
    """Each refutation whose witness is exact, in Q(log 2), and no other."""
    exact, certificates = [], []
    for name, factor in cases:
        wrong = changed(name, factor)
        recovery = verify(wrong)
        if recovery.verdict == "refuted":
            assert recovery.witness is not None
            exact.append(recovery.witness.standing.startswith("exact"))
            certificates.append(export(wrong, recovery))
    assert len(certificates) > 0.9 * len(cases)
    for certified, found in zip(exact, check(named_apart(certificates)), strict=True):
        name = found.spec.name
        if not certified:
            assert found.state == "not exportable" and "not exact" in found.reason, name
            continue
        assert found.refutes and found.state == "checked", (name, found.reason)
        assert found.differing[0] == ("losses" if found.spec.margin is None else "margins")


# --- Random priors -------------------------------------------------------------------------------

TERMS = [
    "log(pi(y))",
    "log(pi_ref(y))",
    "len(y)",
    "score(y)",
    "score(y)/len(y)",
    "score(y)**2",
    "sum(w(y,t) for t in y)",
    "sum(w(y,t)*log(pi(y,t)/pi_ref(y,t)) for t in y)",
    "sum(kl(pi_ref, pi, y, t) for t in y)",
    "sum(w(y,t)*entropy(pi, y, t) for t in y)",
    "sum(mix**t*w(y,t) for t in y)",
    "sum(w(y,t) for t in y)*sum(kl(pi_ref, pi, y, t) for t in y)",
    "sum(w(y,t) for t in y)**2",
    "len(y)*sum(log(pi(y,t)) for t in y)",
    "max(score(y), 0)",
    "max(log(pi(y)/pi_ref(y)), -lam)",
    "sum(max(w(y,t), 0) for t in y)",
    "by_label(gamma, -gamma)",
    "(1 + log(pi(y))/len(y))**3",
]
SCALES = ["beta", "1/alpha", "1 - mix", "3/2", "lam/(1 + gamma)", "-1"]


def random_pair(rng: random.Random) -> tuple[str, str, str]:
    """A prior, its margin, and the prior with one coefficient changed."""
    terms = rng.sample(TERMS, rng.randint(1, 4))
    scales = [rng.choice(SCALES) for _ in terms]
    parts = [f"({c})*({t})" for c, t in zip(scales, terms, strict=True)]
    at = rng.randrange(len(parts))
    wrong = [*parts[:at], f"{rng.choice(('2', '(-1)', '(1/2)'))}*{parts[at]}", *parts[at + 1 :]]
    score = "log(pi(y)) - (" + " + ".join(parts) + ")"
    sides = []
    for role, label in {"y_w": "gamma", "y_l": "-gamma"}.items():
        said = score.replace("by_label(gamma, -gamma)", f"({label})")
        sides.append(re.sub(r"\by\b", role, said))
    return (
        f"exp({' + '.join(parts)})",
        f"alpha*({sides[0]}) - alpha*({sides[1]})",
        f"exp({' + '.join(wrong)})",
    )


def mispriced(right: Certificate, wrong: Spec) -> Certificate:
    """The recovery that a printer would write that takes its prior from `wrong`."""
    said, other = (Statement(one, False).definitions()[1] for one in (right.spec, wrong))
    assert said != other and said in right.text
    return dataclasses.replace(right, text=right.text.replace(said, other))


@coq
@needs_coq
@pytest.mark.parametrize(
    ("seed", "count"), [(2, 2), *(pytest.param(n, 15, marks=pytest.mark.slow) for n in (3, 4, 5))]
)
def test_random_priors_are_accepted_and_perturbed_ones_refused(seed: int, count: int) -> None:
    """The perturbed prior is refuted by a theorem, and refused where it stands in the right
    one's recovery; neither takes longer than a goal may."""
    rng = random.Random(seed)
    listed: list[Certificate] = []
    for prior, margin, other in (random_pair(rng) for _ in range(count)):
        right, wrong = spec(prior, margin), spec(other, margin)
        recovery = export(right)
        assert recovery.theorems, recovery.reason
        listed += [recovery, export(wrong), mispriced(recovery, wrong)]
    found = check(named_apart(listed))
    states = Counter[str]()
    for right_one, refutation, refused in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert right_one.state == "checked" and not right_one.refutes, (right_one.text, right_one.reason)
        if refutation.state == "not exportable":
            assert "not exact" in refutation.reason
        else:
            assert refutation.state == "checked" and refutation.refutes, (refutation.text, refutation.reason)
        assert refused.state == "refused", (refused.text, refused.reason)
        states[refutation.state] += 1
    print(f"seed {seed}: {count} accepted, {count} refused, refutations {dict(states)}")
    assert states["checked"] >= 0.8 * count
