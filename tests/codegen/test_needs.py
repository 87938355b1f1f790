"""What a loss needs of each policy, and what its kernel takes."""

from __future__ import annotations

from collections import Counter

import pytest

import midpo
from midpo.codegen.plan.needs import NEEDS, Takes
from midpo.generating import takes_of
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import Spec

SPECS = [midpo.load(name) for name in midpo.catalogue()]
TOKENS = {"d2po", "dmpo", "ld-dpo"}
DISTRIBUTIONS = {"tdpo", "tdpo2", "tis-dpo", "sparsepo", "wpo", "mallowspo-entropy"}


def test_the_catalogue_by_need() -> None:
    found = {spec.name: takes for spec in SPECS if (takes := takes_of(spec)) is not None}
    usual = {n: t for n, t in found.items() if {*t.policies} <= {"pi", "pi_ref"} and len(t.responses) == 2}
    counts = Counter(takes.needs for takes in usual.values())
    assert counts == {"responses": 47, "lengths": 14, "tokens": 3, "distributions": 6}
    assert {n for n, t in usual.items() if t.needs == "tokens"} == TOKENS
    assert {n for n, t in usual.items() if t.needs == "distributions"} == DISTRIBUTIONS
    beside = {n: (t.policies, t.responses) for n, t in found.items() if n not in usual}
    old = ("pi", "pi_old"), ("y_w", "y_l")
    assert {n for n, takes in beside.items() if takes == old} == {
        "dice", "irpo", "rebel", "sdpo", "spin", "sppo", "tr-dpo",
    }  # fmt: skip
    assert {n for n, (_, responses) in beside.items() if len(responses) == 3} == {"tpo", "tpo-l"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_needs_are_those_of_the_kernel_of_log_probabilities(spec: Spec) -> None:
    """That kernel refuses distributions, takes whole responses where they are enough, and then
    lengths where they are not."""
    takes = takes_of(spec)
    if takes is None:
        with pytest.raises((NotYet, midpo.SpecError)):
            midpo.generate(spec)
        return
    if takes.needs == "distributions":
        with pytest.raises(NotYet, match="needs the whole distribution"):
            midpo.generate(spec, backend="logps")
        return
    kernel = midpo.generate(spec, backend="logps")
    assert kernel.takes == takes and kernel.needs == takes.needs
    whole = "sequence_lengths: " in kernel.source
    assert whole == (takes.needs in ("responses", "lengths"))
    assert ("and then needed" in kernel.source) == (takes.needs == "lengths")


def test_only_what_the_loss_uses_is_taken() -> None:
    idle = midpo.loads(
        """
        name = "idle"
        [features]
        mu1 = "token"
        mu2 = "token"
        [parameters]
        alpha = { domain = "positive", default = 0.1 }
        gamma = { default = 0.5 }
        [target]
        margin = "alpha*sum(mu1(y_w,t)*log(pi(y_w,t)) for t in y_w) - alpha*log(pi(y_l))"
        """
    )
    takes = midpo.generate(idle).takes
    assert takes == Takes("tokens", ("pi",), ("y_w", "y_l"), {"mu1": "token"}, takes.parameters)
    assert [*takes.parameters] == ["alpha"]
    assert takes.as_json()["parameters"] == {"alpha": "positive"}
    assert takes_of(idle) == takes and takes.needs in NEEDS
