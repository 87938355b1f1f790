"""The audit: expected verdicts for the paper's eight and their relatives, and planted mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from midpo.cli import main
from midpo.commands import audit as command
from midpo.numeric.trees import Movement, centre, centred_response, full_tree, random_world
from midpo.proofs.audit import audit as room
from midpo.proofs.audit import bounds as audit_bounds
from midpo.proofs.audit import labels as audit_labels
from midpo.proofs.audit import mass as audit_mass
from midpo.proofs.audit import optimum as audit_optimum
from midpo.proofs.audit import side as audit_side
from midpo.proofs.audit.audit import Audit, audit
from midpo.proofs.audit.gradient import answers as audit_gradient
from midpo.proofs.audit.gradient import pair as audit_pair
from midpo.proofs.recover.levels import Preference
from midpo.symbolic.errors import MidpoError, SpecError
from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.formula.told import proved
from midpo.symbolic.language.nodes import CHOSEN, Log
from midpo.symbolic.language.spec import CATALOGUE, PAPER, Spec, catalogue, load, loads
from midpo.writers.latex.claims import paragraphs
from midpo.writers.latex.typeset import TypesetFailed, typeset
from midpo.writers.terminal.audit import written

PARAMETERS = """
[parameters]
alpha = { domain = "positive", default = 0.5 }
gamma = { domain = "unit", default = 0.5 }
lam = { domain = "real", default = 0.5 }
[features]
w = "token"
score = "response"
"""

# Priors beyond the catalogue; a pair is a prior and a target's margin.
VARIANTS: dict[str, str | tuple[str, str]] = {
    "cpo": "1",
    "length-only": "exp(-lam*len(y))",
    "score": "pi_ref(y)*exp(score(y))",
    "f-dpo-js": "(pi(y) + pi_ref(y))/2",
    "alpha-divergence": "pi(y)*exp(-(1 - (pi_ref(y)/pi(y))**gamma)/gamma)",
    "chi-po": "pi_ref(y)*exp(-pi(y)/pi_ref(y))",
    "ln-dpo": "pi(y)*exp(-log(pi(y)/pi_ref(y))/len(y))",
    "d2po": "pi(y)*exp(-sum(gamma**t*log(pi(y,t)/pi_ref(y,t)) for t in y))",
    "dmpo": "pi(y)*exp(-sum(gamma**t/(1-gamma**len(y))*log(pi(y,t)/pi_ref(y,t)) for t in y))",
    "mask": "pi(y)*exp(-sum(w(y,t)*log(pi(y,t)/pi_ref(y,t)) for t in y))",
    "tis-one": "pi_ref(y)*exp(sum(kl(pi, pi_ref, y, t) for t in y))",
    "tdpo-half": "pi_ref(y)*exp(-sum(kl(pi_ref, pi, y, t) for t in y)/2)",
    "odds": "pi(y)**(1 - 1/len(y))*(1 - pi(y)**(1/len(y)))",
    "dpo-shift": "by_label(pi_ref(y), pi(y)*(pi_ref(y)/pi(y))**lam)",
    "tdpo2": (
        "pi_ref(y)*exp(-gamma*sum(kl(pi_ref, pi, y, t) for t in y))",
        "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
        " - gamma*alpha*(sum(kl(pi_ref,pi,y_l,t) for t in y_l)"
        " - sg(sum(kl(pi_ref,pi,y_w,t) for t in y_w)))",
    ),
    "tdpo2-by-label": (
        "by_label(pi_ref(y)*exp(-gamma*sum(sg(kl(pi_ref,pi,y,t)) for t in y)),"
        " pi_ref(y)*exp(-gamma*sum(kl(pi_ref,pi,y,t) for t in y)))",
        "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
        " - gamma*alpha*(sum(kl(pi_ref,pi,y_l,t) for t in y_l)"
        " - sg(sum(kl(pi_ref,pi,y_w,t) for t in y_w)))",
    ),
    "frozen-simpo": (
        "pi(y)**(1 - 1/len(y))",
        "alpha*log(pi(y_w)/sg(pi(y_w))**(1 - 1/len(y_w))) - alpha*log(pi(y_l)/sg(pi(y_l))**(1 - 1/len(y_l)))",
    ),
    "wrong": ("pi_ref(y)", "alpha*log(pi(y_w)) - alpha*log(pi(y_l))"),
}


def variant(name: str, prior: str, margin: str = "") -> Spec:
    target = f'[target]\nmargin = "{margin}"\n' if margin else ""
    return loads(f'name = "{name}"\nprior = "{prior}"\n{PARAMETERS}{target}')


def told(name: str) -> Spec:
    if name not in VARIANTS:
        return load(name)
    found = VARIANTS[name]
    return variant(name, *([found] if isinstance(found, str) else found))


@cache
def audited(name: str) -> Audit:
    return audit(told(name), trials=12)


def verdict(name: str, section: str, question: str) -> str:
    return audited(name)[section][question].verdict


STATE = "if features see only the tokens before"
# (raw, normalised, regulariser, fixed point) of mathematics: proposition 2.1 to 2.6.
OPTIMUM = {
    "dpo": ("exact", "exact", "exists", "the optimum"),
    "dice": ("exact", "exact", "exists", "the optimum"),
    "rdpo": ("exact", "exact", "exists", "the optimum"),
    "centropy": ("exact", "not exact", "exists", "frozen-prior fixed point"),
    "simpo": ("not exact", "not exact", "exists", "frozen-prior fixed point"),
    "tdpo": ("not exact", "not exact", "none", "reference's value"),
    "tis-dpo": ("not exact", "not exact", "none", "unregularised on-policy value"),
    "sparsepo": ("not exact", "not exact", "none", "frozen-prior fixed point"),
    "cpo": ("exact", "exact", "exists", "the optimum"),
    "score": ("exact", "exact", "exists", "the optimum"),
    "f-dpo-js": ("not exact", "not exact", "exists", "frozen-prior fixed point"),
    "alpha-divergence": ("not exact", "not exact", "exists", "does not converge"),
    "ln-dpo": ("not exact", "not exact", "exists", "frozen-prior fixed point"),
    "d2po": ("exact", "not exact", "exists", "frozen-prior fixed point"),
    "dmpo": ("not exact", "not exact", "none", "frozen-prior fixed point"),
    "mask": (f"exact {STATE}", "not exact", f"exists {STATE}", "frozen-prior fixed point"),
    "tis-one": ("not exact", "not exact", "none", "unregularised on-policy value"),
    "tdpo-half": ("not exact", "not exact", "none", "frozen-prior fixed point"),
    "odds": ("not exact", "not exact", "exists", "frozen-prior fixed point"),
}


@pytest.mark.parametrize("name", OPTIMUM)
def test_the_optimum(name: str) -> None:
    found = tuple(
        verdict(name, "optimum", question) for question in ("raw", "normalised", "regulariser", "fixed point")
    )
    assert found == OPTIMUM[name]


def test_every_algorithm_of_the_paper_has_its_expected_answers() -> None:
    for table in (OPTIMUM, GRADIENT, MASS, DOMAIN):
        assert set(PAPER) <= set(table)


# r - alpha*log(pi/zeta), up to constants: raw and normalised.
CORRECTIONS = {
    ("simpo", "raw"): "α/|y|",
    ("simpo", "normalised"): "α·(1 − 1/|y|)·((ζ̄(y)/π(y)) − 1)",
    ("ln-dpo", "raw"): "α/|y|",
    ("centropy", "normalised"): "α·(ζ̄(y)/π(y))·(1 − η)",
    ("tdpo", "raw"): "α·(Σ_{t∈y} (1 − π_ref(y, t)/π(y, t)))",
    ("tdpo", "normalised"): "α·(Σ_{t∈y} (1 − π_ref(y, t)/π(y, t))·(1 − κ(y_<t)))",
    ("sparsepo", "raw"): "α·(Σ_{t∈y} (E_π[μ₂(y, t) | y_<t]·(1 − π_ref(y, t)/π(y, t))"
    " + μ₁(y, t) − E_π[μ₁(y, t) | y_<t]))",
    ("f-dpo-js", "raw"): "−α·π(y)/(π(y) + π_ref(y))",
    ("alpha-divergence", "raw"): "α·π(y)^(−γ)·π_ref(y)^γ",
}


def squeezed(text: str) -> str:
    """Without blanks and brackets: how a product is bracketed is not what is tested."""
    return re.sub(r"[\s()]", "", text)


@pytest.mark.parametrize("name, question", CORRECTIONS)
def test_the_correction_is_written_down(name: str, question: str) -> None:
    formula = audited(name)["optimum"][question].formulas[0].unicode
    _, found = formula.split(" ≡ ")
    assert squeezed(found) == squeezed(CORRECTIONS[name, question])


def test_tis_with_weights_of_the_state_regularises_nothing() -> None:
    for name in ("tis-dpo", "tis-one"):
        assert verdict(name, "optimum", "degenerate") == "no interior optimum"
    assert "degenerate" not in {a.question for a in audited("tdpo")["optimum"].claims}
    # With weights of the token the total is alpha*sum (w - mean w)*(delta - R + 1).
    formula = audited("tis-dpo")["optimum"]["raw"].formulas[0].unicode
    assert "+ w(y, t) − E_π[w(y, t) | y_<t]" in formula


def test_what_makes_the_masks_exact() -> None:
    sentence = audited("sparsepo")["optimum"]["raw"].sentence
    assert "exact where μ₂(y, t) = 0 and the other features see only the tokens before" in sentence
    assert "exact where w(y, t) = 0" in audited("tis-dpo")["optimum"]["raw"].sentence
    assert "η = 1" in audited("centropy")["optimum"]["normalised"].sentence


def test_the_variational_prior_and_the_rate() -> None:
    (formula,) = audited("simpo")["optimum"]["regulariser"].formulas
    assert "ζ·exp(1/|y|)" in formula.unicode
    (rate,) = audited("centropy")["optimum"]["fixed point"].formulas
    assert "0 < η < 2" in rate.unicode
    # And it is right at the optimum: with it, T is compensated.
    spec = variant("var", "pi(y)**(1 - 1/len(y))*exp(1/len(y))")
    world = random_world(spec, full_tree(3), np.random.default_rng(0))
    assert spec.prior is not None
    # F's gradient for r = alpha*log(pi/zeta) with the loss prior, F with the variational one.
    log_var, slopes = world.jacobian(Log(spec.prior))
    log_pi = np.log(world.probability())
    lengths = np.array([len(y) for y in world.responses])
    r = log_pi / lengths
    field = r - log_pi + log_var + world.probability() @ slopes
    assert np.abs(centre(field)).max() < 1e-12


def test_tdpo_ends_after_depth_plus_one_sweeps() -> None:
    assert max(audited("tdpo")["optimum"]["fixed point"].data["sweeps"]) == 3
    assert max(audited("tis-one")["optimum"]["fixed point"].data["sweeps"]) == 3


# --- Gradient -------------------------------------------------------------------------------------

GRADIENT = {
    "dpo": ("either", "conservative"),
    "dice": ("either", "conservative"),
    "rdpo": ("either", "conservative"),
    "centropy": ("differentiate", "conservative"),
    "simpo": ("differentiate", "not conservative"),
    "tdpo": ("differentiate", "not conservative"),
    "tis-dpo": ("differentiate", "not conservative"),
    "sparsepo": ("differentiate", "not conservative"),
    "tdpo2": ("detach the chosen side's prior", "not conservative"),
    "tdpo2-by-label": ("differentiate", "not conservative"),
    "frozen-simpo": ("freeze", "not conservative"),
    "wrong": ("either", "conservative"),
    "d2po": ("no target", "not conservative"),
}


@pytest.mark.parametrize("name", GRADIENT)
def test_the_gradient(name: str) -> None:
    found = audited(name)["gradient"]
    verdicts = (found["what is differentiated"].verdict, found["is the frozen field a gradient"].verdict)
    assert verdicts == GRADIENT[name]


FORMULAS = {
    "centropy": "G(y) = η·∇log π(y)",
    "simpo": "G(y) = 1/|y|·∇log π(y)",
    "tdpo": "G(y) = ∇log π(y) − Σ_{t∈y} E_{v~π_ref}[∇log π(v)]",
    "sparsepo": "G(y) = Σ_{t∈y} (μ₁(y, t)·∇log π(y, t) − μ₂(y, t)·E_{v~π_ref}[∇log π(v)])",
    "dpo-shift": "G⁺(y) = ∇log π(y), G⁻(y) = λ·∇log π(y)",
    "f-dpo-js": "G(y) = (1 − π(y)/(π(y) + π_ref(y)))·∇log π(y)",
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradient_is_written_down(name: str) -> None:
    formula = audited(name)["gradient"]["the margin's gradient"].formulas[0].unicode
    assert formula.endswith(FORMULAS[name])


@pytest.mark.parametrize("name", ["simpo", "tdpo", "tis-dpo", "sparsepo", "f-dpo-js", "dmpo"])
def test_the_rows_are_the_gradient(name: str) -> None:
    """Sum over t of weight * nabla log pi(y, t) + ... from the rows, against the duals."""
    spec = told(name)
    assert spec.prior is not None
    side = audit_side.PriorSide.of(spec, CHOSEN, "")
    assert side.rows is not None and side.log is not None
    y = (1, 2, 1, 0)
    world = random_world(spec, (y,), np.random.default_rng(1), sight="free")
    _, exact = world.gradient(Log(side.expr), {"y": y})
    at = world.evaluator({"y": y}, None)
    total = np.zeros((len(y), 3))
    for row in side.rows:
        for t in range(len(y)):
            p = world.laws["pi"][y[:t]]
            weight = at.value(row.weight, {row.position: t})
            if row.law is None:
                total[t] += weight * (np.eye(3)[y[t]] - p)
                continue
            law = [at.value(row.law, {row.position: t, row.entry: v}) for v in range(3)]
            total[t] += weight * (np.array(law) - sum(law) * p)
    assert total.ravel() == pytest.approx(exact, abs=1e-12)


def test_cosines() -> None:
    parallel = audited("centropy")["gradient"]["the two gradients' cosine"]
    assert parallel.verdict == "parallel" and parallel.standing.startswith("proved")
    simpo = audited("simpo")["gradient"]["the two gradients' cosine"].data
    assert 0 < simpo["tabular"] < 0.9  # never opposite for a tabular policy
    more = audit(told("simpo"), trials=60)["gradient"]["the two gradients' cosine"].data
    assert more["shared"] < 0 < more["tabular"]  # opposite with shared parameters
    for name in ("tdpo", "tis-dpo", "sparsepo"):
        assert audited(name)["gradient"]["the two gradients' cosine"].data["tabular"] < 0.9


def test_curls() -> None:
    for name in ("simpo", "tdpo"):
        data = audited(name)["gradient"]["is the frozen field a gradient"].data
        assert data["curl"] > 1e-3 and data["curl_differentiated"] < 1e-7
    own = audited("tdpo2")["gradient"]["is the target's field a gradient"]
    assert own.verdict == "not conservative" and own.data["curl"] > 1e-3
    assert audited("centropy")["gradient"]["is the frozen field a gradient"].data["curl"] < 1e-7


def test_a_detached_prior_is_seen() -> None:
    """Planted: the target detaches the rejected side alone."""
    spec = variant(
        "rejected",
        "pi(y)**(1 - 1/len(y))",
        "alpha*log(pi(y_w))/len(y_w) - alpha*log(pi(y_l)/sg(pi(y_l))**(1 - 1/len(y_l)))",
    )
    found = audit_gradient.mode(audit_pair.Gradients(spec), 0)
    assert found.verdict == "detach the rejected side's prior"


def test_a_prior_of_another_loss_is_seen() -> None:
    spec = variant(
        "other",
        "pi(y)**gamma*pi_ref(y)**(1 - gamma)",
        "alpha*log(pi(y_w))/len(y_w) - alpha*log(pi(y_l))/len(y_l)",
    )
    found = audit_gradient.mode(audit_pair.Gradients(spec), 0)
    assert found.verdict == "none" and "midpo verify" in found.sentence


# --- Planted mistakes in the symbolic half --------------------------------------------------------


def sides(name: str) -> audit_side.PriorSide:
    return audit_side.sides_of(told(name), True)[0]


def mistakes(rows: tuple[Movement, ...]) -> Iterator[tuple[Movement, ...]]:
    for at, row in enumerate(rows):
        rest = (*rows[:at], *rows[at + 1 :])
        yield rest  # one row forgotten
        yield (*rest, replace(row, weight=-row.weight))  # a sign
        yield (*rest, replace(row, weight=2 * row.weight))  # a factor
        if row.law is not None:
            yield (*rest, replace(row, law=-row.law))
            yield (*rest, replace(row, law=None))  # the token's own law


@pytest.mark.parametrize("name", ["simpo", "tdpo", "tis-dpo", "sparsepo", "f-dpo-js"])
def test_a_wrong_correction_is_caught_by_exact_differentiation(name: str) -> None:
    side = sides(name)
    right = audit_optimum.measure(side, "token", 0, bar=False)
    assert right is not None and side.rows is not None
    assert right.formula < 1e-12 and right.usual_most > 1e-3
    for wrong in mistakes(side.rows):
        planted = replace(side, rows=wrong)
        found = audit_optimum.measure(planted, "token", 0, bar=False)
        assert found is not None
        assert found.formula > 1e-3 or same_up_to_constants(side, wrong)
        if found.formula > 1e-3:
            answer = audit_optimum.expression_answer(planted, 0, bar=False)
            assert answer.verdict == "undecided" and not answer.decided


def same_up_to_constants(side: audit_side.PriorSide, wrong: tuple[Movement, ...]) -> bool:
    """A planted change may leave T as it is: a constant weight contributes nothing to it."""
    assert side.rows is not None
    world = side.random_worlds("token", 0)[0]
    pi = world.probability()
    both = [centred_response(world, rows, pi) for rows in (side.rows, wrong)]
    return bool(np.abs(centre(both[0] - both[1])).max() < 1e-12)


def test_a_wrong_claim_of_exactness_is_caught() -> None:
    """A prior that is called exact and is not: its rows are emptied."""
    planted = replace(sides("simpo"), rows=())
    answer = audit_optimum.expression_answer(planted, 0, bar=False)
    assert answer.verdict == "undecided" and "differ" in answer.sentence


# --- Labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, expected",
    [
        ("simpo", "constant offset"),
        ("dpo", "label-free"),
        ("tis-dpo", "label-free"),
        ("dpo-shift", "two functions"),
        ("tdpo2-by-label", "label-free"),
    ],
)
def test_labels(name: str, expected: str) -> None:
    assert verdict(name, "labels", "one function or two") == expected


def test_a_constant_offset_needs_levels_and_makes_ties() -> None:
    found = audited("simpo")["labels"]
    levelled = found["one function or two"].data["levelled"]
    assert list(levelled.values()) == [True, False, False, True]
    assert found["probabilities"].formulas[0].unicode == ("P(tie) = (e^(2·γ) − 1)·σ(d − γ)·σ(−d − γ)")
    known, error = audit_labels.tie_identity()
    assert known and error < 1e-14


def test_labels_on_data() -> None:
    spec = told("simpo")
    total = audit_labels.swap_sum(spec)
    chain = [Preference("x", "a", "b"), Preference("x", "b", "c")]
    for pairs, expected in (
        (chain, "one function"),
        ([*chain, Preference("x", "a", "c")], "no single function"),
    ):
        *_, last = audit_labels.answers(spec, total, pairs)
        assert last.verdict == expected


# --- Mass -----------------------------------------------------------------------------------------

MASS = {
    "dpo": "finite",
    "dice": "finite",
    "centropy": "conditional",
    "simpo": "finite",
    "rdpo": "conditional",
    "tdpo": "finite",
    "tis-dpo": "can diverge",
    "sparsepo": "conditional",
    "cpo": "infinite",
    "length-only": "conditional",
    "f-dpo-js": "finite",
    "ln-dpo": "finite",
    "d2po": "finite",
    "tis-one": "can diverge",
    "mask": "conditional",
    "odds": "not decided",
    "tdpo-half": "finite",
}


@pytest.mark.parametrize("name", MASS)
def test_mass(name: str) -> None:
    assert verdict(name, "mass", "normalisable") == MASS[name]


def test_conditions_of_the_mass() -> None:
    def sentence(name: str) -> str:
        return audited(name)["mass"]["normalisable"].sentence

    assert "at most 1 if η ≤ 1" in sentence("centropy")
    assert "η < 1.00093" in sentence("centropy")
    assert "at most 1 if β ≥ 0" in sentence("rdpo") and "0.01005" in sentence("rdpo")
    assert "1 + TV" in sentence("sparsepo") and "−log(1 − ρ)" in sentence("tis-dpo")
    assert verdict("cpo", "mass", "Z exists") == "no"


def test_the_perplexity_constant() -> None:
    """The largest sum of P_n**(1 - 1/n): the stationary law against many random ones."""
    sharp = audit_bounds.perplexity_constant()
    assert sharp == pytest.approx(2.7065, abs=1e-4)
    rng = np.random.default_rng(0)
    n = np.arange(1, 60)
    for _ in range(400):
        law = rng.dirichlet(np.exp(rng.normal(size=len(n)) * 2 - rng.uniform(0, 1.5) * n))
        law = np.maximum(law, 1e-300)
        assert (law ** (1 - 1 / n)).sum() <= sharp + 1e-9


def test_a_wrong_bound_is_caught() -> None:
    """Planted: a rule that claims less mass than there is."""
    bound = audit_bounds.Bound("finite", "the mass is at most 1/10", proved("not"), 0.1)
    assert "exceeds" in audit_mass._violated(bound, [0.5])
    assert not audit_mass._violated(bound, [0.05])


def test_masses_are_those_of_geometric_lengths() -> None:
    """The reference weighs (1 - stop)^(n-1)*stop by length, and R-DPO times exp(-b*n)."""
    plain = audit_mass.partial_masses(sides("dpo"), 0)
    for masses in plain:
        stop = masses[0]
        assert masses == pytest.approx([stop * (1 - stop) ** n for n in range(len(masses))])
    shorter = audit_mass.partial_masses(sides("rdpo"), 0)
    for masses, other in zip(plain, shorter, strict=True):
        damped = [m * np.exp(-0.01 * n) for n, m in enumerate(masses, 1)]
        assert other == pytest.approx(damped)


# --- Domain ---------------------------------------------------------------------------------------

DOMAIN = {
    "dpo": "positive",
    "dice": "positive",
    "rdpo": "positive",
    "centropy": "excluded",
    "simpo": "positive",
    "tdpo": "positive",
    "tis-dpo": "by feature",
    "sparsepo": "by feature",
    "f-dpo-js": "positive",
    "d2po": "positive",
    "mask": "by feature",
}


@pytest.mark.parametrize("name", DOMAIN)
def test_domain(name: str) -> None:
    assert verdict(name, "domain", "policy's weight") == DOMAIN[name]


def test_where_the_objective_is_empty_or_reversed() -> None:
    text = audited("centropy")["domain"]["policy's weight"].sentence
    assert "empty at η = 0, reversed for η < 0" in text and "excludes both" in text
    shift = audited("dpo-shift")["domain"]["policy's weight (rejected)"]
    assert shift.verdict == "allowed" and "λ = 0" in shift.sentence
    assert verdict("simpo", "domain", "empty response") == "undefined"
    assert verdict("simpo", "domain", "temperature") == "excluded"


def test_a_policy_free_margin_is_empty() -> None:
    spec = variant("empty", "pi(y)*score(y)*score(y) + 0*pi(y)")
    found = audit(spec, trials=2)["domain"]["policy's weight"]
    assert found.verdict in ("empty", "undecided")
    plain = variant("empty", "pi(y)*pi_ref(y)")
    assert audit(plain, trials=2)["domain"]["policy's weight"].verdict == "empty"


# --- Everything -----------------------------------------------------------------------------------


# The paper's eight, and one row of each other kind; the rest are slow.
QUICK = {*PAPER, "cpo", "exo", "npo", "rebel", "tdpo2", *VARIANTS}


@pytest.mark.parametrize("name", ["aot", "nca"])
def test_a_loss_without_a_prior_is_not_audited(name: str) -> None:
    with pytest.raises(SpecError, match=r"no (prior to audit|loss of one pair)"):
        audit(load(name))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in (*catalogue(), *VARIANTS)
        if name in VARIANTS or load(name).prior is not None
    ],
)
def test_every_answer_says_what_it_rests_on(name: str) -> None:
    known = (
        "proved",
        "exact differentiation",
        "exact computation",
        "numerical evidence",
        "not decided",
        "read off the spec",
    )
    found = audited(name)
    assert [s.name for s in found.sections] == list(room.TITLES)
    for section in found.sections:
        assert section.claims
        for answer in section.claims:
            assert answer.standing.startswith(known), answer
    json.dumps(found.as_json(), allow_nan=False)
    assert all(len(line) <= 80 for line in written(found).splitlines() if " " in line.strip())


def test_no_algorithm_is_known_by_name() -> None:
    """The same spec under another name has the same answers."""
    text = (CATALOGUE / "tdpo.toml").read_text()
    other = loads(text.replace('"tdpo"', '"my-own"', 1))
    ours, theirs = audit(other, trials=12).as_json(), audited("tdpo").as_json()
    assert {**ours, "name": ""} == {**theirs, "name": ""}
    for file in Path(room.__file__).parent.rglob("*.py"):
        code = re.sub(r'""".*?"""', "", file.read_text(), flags=re.S)
        assert not re.search(r'"(simpo|tdpo|centropy|sparsepo|tis-dpo|dice|rdpo)"', code)


HOSTILE = {
    "never": "exp(log(pi(y) - 2 + step(pi(y))))",
    "product over the vocabulary": "exp(sum(sum(pi(y,t,v)*sum(pi(y,t,u)*log(pi(y,t,u)) for u in vocab)"
    " for v in vocab) for t in y))",
    "sums in sums": "exp(sum(sum(log(pi(y,t))*log(pi(y,s)) for s in y) for t in y))",
    "huge power": "pi(y)**1000",
    "tower": "exp(exp(exp(exp(exp(10*len(y))))))*pi(y)",
    "own token in a law": "exp(sum(sum(pi(y,t,v)*abs(pi(y,t) - pi(y,t,v)) for v in vocab) for t in y))",
    "kinks": "exp(min(log(pi(y)), max(score(y), relu(log(pi_ref(y))))))",
    "negative": "pi(y)/2 - pi_ref(y)",
    "nested means": "pi(y)*exp(sum(kl(pi, pi_ref, y, t)**3/len(y)**2 for t in y))",
    "prod": "prod(1 + pi(y,t) for t in y)",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_priors_end_cleanly(name: str) -> None:
    try:
        spec = variant("hostile", HOSTILE[name])
    except SpecError:
        return
    found = audit(spec, trials=4)
    json.dumps(found.as_json(), allow_nan=False)
    for section in found.sections:
        for answer in section.claims:
            assert answer.sentence and answer.standing


def test_a_feature_cannot_pass_for_a_quantity_of_the_audit() -> None:
    spec = loads('name = "a"\nprior = "pi(y)**(1 - w(y))"\n[features]\nw = "response"\n')
    formula = audit(spec, trials=2)["optimum"]["raw"].formulas[0].unicode
    assert formula == "r − log(π/ζ) ≡ w(y)"
    assert "⟦" not in json.dumps(audit(spec, trials=2).as_json(), ensure_ascii=False)


def test_a_target_alone_is_solved_first() -> None:
    spec = loads('name = "a"\n[target]\nmargin = "log(pi(y_w))/len(y_w) - log(pi(y_l))/len(y_l)"\n')
    found = audit(spec, trials=2)
    assert found.solved and found["optimum"]["raw"].verdict == "not exact"
    none = loads('name = "a"\n[target]\nmargin = "log(pi(y_w))*log(pi(y_l))"\n')
    with pytest.raises(SpecError, match="no prior to audit"):
        audit(none)


def test_a_link_and_a_constraint_are_audited() -> None:
    spec = loads(
        'name = "a"\nprior = "pi(y)**(1 - 1/len(y))"\nlink = "exp(-m)"\n'
        'constraint = "-log(pi(y_w))"\n[parameters]\nlam = "positive"\n'
        '[target]\nmargin = "log(pi(y_w))/len(y_w) - log(pi(y_l))/len(y_l)"\n'
    )
    found = audit(spec, trials=4)
    assert found["gradient"]["what is differentiated"].verdict == "differentiate"


def test_seeds_repeat() -> None:
    assert audit(told("simpo"), trials=5).as_json() == audit(told("simpo"), trials=5).as_json()


def test_latex_compiles() -> None:
    names = ("simpo", "tis-dpo", "sparsepo", "centropy", "f-dpo-js", "dpo-shift", "cpo")
    body = "\n".join(paragraphs(audited(name).sections) for name in names)
    assert body.isascii() and "U+" not in body
    tex = (
        r"\documentclass{article}\usepackage[margin=2cm]{geometry}\usepackage[T1]{fontenc}"
        r"\usepackage{textcomp,amsmath,amssymb,graphicx}\begin{document}" + body + r"\end{document}"
    )
    log: list[str] = []
    try:
        assert typeset(tex, log).startswith(b"%PDF")
    except TypesetFailed as error:
        if "not found" in str(error):
            pytest.skip(str(error))
        raise
    assert "Overfull" not in log[0]


# --- The command ----------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(main, ["audit", *arguments])
    return found.exit_code, found.stdout, found.stderr


def test_the_command(tmp_path: Path) -> None:
    assert command.TRIALS == room.TRIALS
    status, out, err = run("dpo", "centropy", "--json", "--trials", "3")
    assert status == 0 and not err
    document = json.loads(out)
    assert [entry["name"] for entry in document] == ["dpo", "centropy"]
    status, out, err = run("nothing-like-it")
    assert status == 2 and not out and "no algorithm" in err and "Traceback" not in err
    odd = tmp_path / "odd.toml"
    odd.write_text('name = "odd"\nprior = "pi(y)**(1-1/len(y))*(1-pi(y)**(1/len(y)))"\n')
    status, out, _ = run(str(odd), "--trials", "3")
    assert status == 3 and "not decided" in out
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("prompt,chosen,rejected\nx,a,b\nx,b,c\nx,a,c\n")
    status, out, _ = run("simpo", "--trials", "3", "--pairs", str(pairs))
    assert status == 0 and "no single function" in out
    assert run("simpo", "--pairs", str(tmp_path / "none.csv"))[0] == 2


def test_titles_are_harmless_in_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('name = "a"\ntitle = "\\u001b[31mred [bold]x[/]"\nprior = "pi_ref(y)"\n')
    status, out, _ = run(str(file))
    assert status == 0 and "\x1b" not in out


def test_the_example_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    shown = page.split("$ midpo audit centropy\n")[1].split("```")[0]

    def measured(text: str) -> str:
        """Rounding errors differ between machines."""
        return " ".join(re.sub(r"\d+(\.\d+)?e-\d+", "e", text).split())

    assert measured(shown) == measured(written(audit(load("centropy"))))
    for title in room.TITLES:
        assert f"## {title.capitalize()}" in page


def test_formulas_are_the_spec_s_own_letters() -> None:
    assert mathematics(load("simpo").alpha) == "α"
    assert issubclass(SpecError, MidpoError)
