"""Whole numbers: cuts of lengths, positions and counts are decided at 0 too, by every command."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
import wholes
from test_recovery import both, decide

from midpo.numeric.arithmetic import Digits, Floats
from midpo.numeric.crossing import find_crossing
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import cases, random_case
from midpo.proofs.certify.certificate import export
from midpo.proofs.compare.comparison import compare
from midpo.proofs.recover.recovery import Recovery, verify
from midpo.proofs.recover.solution import solve
from midpo.symbolic.domains.whole import is_whole, lattice
from midpo.symbolic.language.nodes import CHOSEN, Index, Length, Step
from midpo.symbolic.language.spec import Spec, load, loads
from midpo.symbolic.loss import recovered_loss, target_loss

HEAD = """name = "cut"
[parameters]
alpha = {domain = "positive", default = 0.1}
k = "real"
[features]
score = "response"
w = "token"
"""
GAP = 1e-6


def decided(one: str, other: str) -> Recovery:
    return decide(f"pi(y)*exp(-({one}))", both(other), head=HEAD)


# --- Either side of a tie ------------------------------------------------------------------------

EQUAL = {
    "a half token": ("step(len(y) - 3/2)", "step(len(y) - 2)"),
    "the first position": ("sum(step(t - 1)*w(y, t) for t in y)", "sum(w(y, t) for t in y)"),
    "the last position": ("sum(step(len(y) - t)*w(y, t) for t in y)", "sum(w(y, t) for t in y)"),
    "opposite": ("1 - step(len(y) - 2)", "step(1 - len(y))"),
    "a clamped length": ("score(y)/max(len(y), 1)", "score(y)/len(y)"),
    "a distance": (
        "sum(abs(t - 3)*w(y, t) for t in y)",
        "sum((t - 3)*(2*step(t - 4) - 1)*w(y, t) for t in y)",
    ),
    "one length": ("step(len(y) - 4)*step(4 - len(y))*len(y)", "4*step(len(y) - 4) - 4*step(len(y) - 5)"),
    "parity": ("step(len(y)*(len(y) - 1)/2 - 2)", "step(len(y)*(len(y) - 1) - 3)"),
    "between roots": ("step(len(y)**2 - 5*len(y) + 6)", "1"),
    "an irrational root": ("step(3 - len(y)**2)", "step(1 - len(y))"),
    "a root": ("step(sqrt(len(y)) - 2)", "step(len(y) - 4)"),
    "a logarithm": ("step(log(len(y)) - log(3))", "step(len(y) - 3)"),
    "tanh": (
        "sum(step((exp(i) - exp(-i))/(exp(i) + exp(-i))) for i in y)",
        "sum(1 - step(-tanh(t)) for t in y)",
    ),
    "between two powers": ("step(2**len(y) - 9)", "step(len(y) - 4)"),
    "a root of a number": ("step(sqrt(2)*len(y) - sqrt(8))", "step(len(y) - 2)"),
    "two of tanh": ("step(tanh(len(y)/2) - tanh(3/2))", "step(len(y) - 3)"),
    "between two lengths": ("step(log(len(y)) - 1)", "step(exp(len(y)) - 8)"),
    "a count": ("step(sum(step(w(y, t)) for t in y) - 1/2)", "1 - step(-sum(step(w(y, t)) for t in y))"),
    "counted": ("sum(step(3 - t) for t in y)", "min(len(y), 3)"),
    "weighted": (
        "sum(t*step(t - 3) for t in y)",
        "len(y)*(len(y) + 1)/2 - min(len(y), 2)*(min(len(y), 2) + 1)/2",
    ),
    "two positions": ("sum(sum(step(t - s) + step(s - t) for s in y) for t in y)", "len(y)**2 + len(y)"),
    "a number of one value inside a maximum": (
        "abs(len(y) - 1 - k)",
        "abs((len(y) - 1)*step(len(y) - 2) - k)",
    ),
    "a polynomial in a maximum": (
        "relu(abs(len(y)**2 - 3) - 5/2)",
        "relu((len(y)**2 - 3)*(2*step(len(y)**2 - 3) - 1) - 5/2)",
    ),
    "a count is at most the length": ("step(len(y) - sum(step(w(y, t)) for t in y))", "1"),
    "weights of a series": (
        "sum((2*t - 2)*2**(-t) for t in y)",
        "sum((2*t - 2)*step(t - 2)*2**(-t) for t in y)",
    ),
    "a sum of positions beside a length": (
        "sum(abs(2*t - 3)*w(y, t) for t in y) + score(y)*max(0, len(y) - 3)",
        "sum(max(abs(2*t - 3), 1)*w(y, t) for t in y) + score(y)*(len(y) - 3)*step(len(y) - 3)",
    ),
    "order of sums": (
        "sum(sum(step(t - s)*w(y, s) for s in y) for t in y)",
        "sum((len(y) + 1 - t)*w(y, t) for t in y)",
    ),
}
DIFFERENT = {
    "both at 0": ("step(2 - len(y))", "1 - step(len(y) - 2)"),
    "a window": ("sum(step(3 - t)*w(y, t) for t in y)", "sum((1 - step(t - 3))*w(y, t) for t in y)"),
    "a long window": ("sum(step(50 - t)*w(y, t) for t in y)", "sum((1 - step(t - 50))*w(y, t) for t in y)"),
    "thirds": ("step(2*len(y)/3 - 2)", "1 - step(2 - 2*len(y)/3)"),
    "a parameter": ("sum(step(k - t) for t in y)", "sum(1 - step(t - k) for t in y)"),
    "beside whole numbers of a parameter": ("step(len(y) - k)", "step(2*(len(y) - k) + 1)"),
    "a power of that": ("step(len(y) - k)", "step(2*(len(y) - k)**3 + 1)"),
    "beside whole numbers of a score": ("step(score(y) - 3*len(y))", "step(3*score(y) - 9*len(y) - 1)"),
    "of every token": (
        "step(sum(step(w(y, t)) for t in y) - 4)",
        "step(sum(step(2*w(y, t) + 1) for t in y) - 4)",
    ),
    "a length inside a maximum": ("min(max(len(y), 2), 4)", "min(max(len(y), 2), 5)"),
    "a count": ("step(sum(step(w(y, t)) for t in y) - 1)", "1 - step(1 - sum(step(w(y, t)) for t in y))"),
    "a factor": ("step((len(y) - 2)*score(y))", "1 - step((2 - len(y))*score(y))"),
    "always 0 at one token": (
        "step(sum(t*w(y, t) for t in y) - sum(w(y, t) for t in y))",
        "1 - step(sum(w(y, t) for t in y) - sum(t*w(y, t) for t in y))",
    ),
    "a root": ("step(sqrt(len(y)) - 2)", "1 - step(4 - len(y))"),
    "a power": ("step(2**len(y) - 8)", "step(len(y) - 4)"),
    "a logarithm to the base 2": ("step(log(len(y))/log(2) - 2)", "step(len(y) - 5)"),
    "a sigmoid": ("step(sigmoid(len(y)/3) - sigmoid(1))", "step(len(y) - 4)"),
    "a quotient": ("step(1/len(y) - 1/5)", "1 - step(1/5 - 1/len(y))"),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_for_every_whole_number(name: str) -> None:
    found = decided(*EQUAL[name])
    assert found.verdict == "proved", found.explanation
    assert found.side_conditions == ()


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_at_a_tie(name: str) -> None:
    found = decided(*DIFFERENT[name])
    assert found.verdict == "refuted", found.explanation


def test_ties_of_continuous_numbers_stay_conditions() -> None:
    found = decided("step(score(y))", "1 - step(-score(y))")
    assert found.verdict == "proved"
    assert found.side_conditions == ("score(y_l) != 0", "score(y_w) != 0")


def test_conditions_that_whole_numbers_meet_are_not_told() -> None:
    found = decided("1/(2*len(y) - 3)", "1/(2*len(y) - 3)")
    assert found.verdict == "proved" and found.side_conditions == ()
    found = decided("1/(len(y) - 3)", "1/(len(y) - 3)")
    assert found.side_conditions == () and len(found.defined_where) == 3


def target(name: str, expression: str) -> Spec:
    return loads(f'{HEAD.replace("cut", name)}[target]\nmargin = "{expression}"\n')


MARGIN = "alpha*(log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l)))"


def test_lengths_of_the_pair() -> None:
    """step(n - m) + step(m - n) is 2 at equal lengths: no prior. With one less 1 it is 1."""
    apart, back = "len(y_w) - len(y_l)", "len(y_l) - len(y_w)"
    tied = target("tied", f"{MARGIN}*(step({apart}) + step({back}))")
    found = solve(tied)
    assert found.kind == "none" and found.witness is not None
    far = target("far", f"{MARGIN}*(1 + step({apart} - 9)*step(9 + {back}))")
    assert solve(far).kind == "none"
    once = target("once", f"{MARGIN}*(step({apart}) + step({back} - 1))")
    assert solve(once).kind == "fixed"
    assert compare(once, target("plain", MARGIN)).verdict == "equal"
    assert compare(once, tied).verdict != "equal"


def test_windows_that_differ_at_whole_values_of_a_parameter_are_different() -> None:
    one, other = (
        target(name, " - ".join(f"sum({cut}*log(pi({y}, t)) for t in {y})" for y in ("y_w", "y_l")))
        for name, cut in (("up-to", "step(k - t)"), ("below", "(1 - step(t - k))"))
    )
    assert compare(one, other).verdict == "different"


def test_a_difference_is_exact_where_it_can_be() -> None:
    """Refutations are exported although the form with fields was given up for cells."""
    for seed in (20_000, 20_075, 20_100):
        spec = loads(wholes.draw(random.Random(seed), equal=False).recovery())
        found = verify(spec)
        assert found.verdict == "refuted" and export(spec, found).refutes, seed


def test_windows_one_token_apart_are_different() -> None:
    one, other = (
        target(
            name,
            " - ".join(
                f"alpha*sum({cut}*log(pi({y}, t)/pi_ref({y}, t)) for t in {y})" for y in ("y_w", "y_l")
            ),
        )
        for name, cut in (("below", "(1 - step(t - 3))"), ("up-to", "step(3 - t)"))
    )
    found = compare(one, other)
    assert found.verdict == "different" and found.witness is not None
    assert max(map(len, found.witness.case.tokens.values())) >= 3


def test_no_evidence_rests_on_an_accident() -> None:
    """Where a score happens to be 0, what a step is there makes no cross difference."""
    spec = target("accident", f"{MARGIN} + step(score(y_w)) + step(-score(y_w))")
    assert find_crossing(spec, spec.margin) is None


# --- Exactly -------------------------------------------------------------------------------------


def test_lattices() -> None:
    n, t = Length(CHOSEN), Index("t", position=True)
    assert is_whole(n**2 + t) and not is_whole(n / 2)
    for expr, cut in (
        (2 * n - 3, (n - 2, True)),
        (3 - n, (n - 4, False)),
        (n * (n - 1) / 2 - Fraction(1, 2), (n * (n - 1) / 2 - 1, True)),
    ):
        found = lattice(expr)
        assert found is not None and (found.cut[0] - cut[0]).expand() == 0
        assert found.cut[1] == cut[1]
    assert lattice(n ** Fraction(1, 2)) is None


@pytest.mark.parametrize("ops", [Floats(), Digits()], ids=["float64", "50 digits"])
def test_cuts_are_evaluated_exactly(ops: object) -> None:
    """At every multiple of 1/q, rounded or not, a step at 0 is 1."""
    spec, rng = target("any", MARGIN), random.Random(0)
    for length in range(1, 40):
        case = random_case(spec, {"y_w": length, "y_l": 1}, 0, rng)
        for q in (3, 7, 11, 49):
            cut = Length(CHOSEN) * Fraction(2, q) - Fraction(2 * length, q)
            values = Evaluator(ops, case.point(ops))
            assert values(Step(cut)) == 1 and values(Step(-cut)) == 1
            assert values(Step(cut - Fraction(1, 10**60))) == 0


# --- Random specs --------------------------------------------------------------------------------


def agree(drawn: wholes.Drawn, *, all_commands: bool) -> str:
    """What verify says of the pair; the other commands must not contradict it. Scores that differ
    are compared, and certificates exported and numbers held, where all commands are asked."""
    spec = loads(drawn.recovery())
    found = verify(spec)
    told = (drawn.one, drawn.other, found.verdict, found.explanation)
    assert found.verdict != ("refuted" if drawn.equal else "proved"), told
    assert found.side_conditions == (), told
    one, other = (
        loads(drawn.target(score, name)) for score, name in ((drawn.one, "one"), (drawn.other, "other"))
    )
    solved = solve(other)
    assert solved.prior is not None, (told, solved.reason)
    if drawn.equal or all_commands:
        compared = compare(one, other).verdict
        assert found.verdict == "undecided" or compared != "undecided", told
        assert (compared == "equal") == (found.verdict == "proved"), (told, compared)
    if not all_commands:
        return found.verdict
    if found.verdict != "undecided":
        assert export(spec, found).refutes == (found.verdict == "refuted")
    if drawn.equal:
        for case in itertools.islice(cases(spec), 0, None, 5):
            values = Evaluator(Digits(), case.point(Digits()))
            gap = values(target_loss(spec)) - values(recovered_loss(spec))
            assert abs(gap) < 1e-30, told
    return found.verdict


def sample(seeds: range, every: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for seed in seeds:
        for equal in (True, False):
            drawn = wholes.draw(random.Random(seed), equal)
            gap = wholes.gap(drawn)
            assert gap < GAP or not equal, drawn
            if equal or gap > GAP:
                verdict = agree(drawn, all_commands=seed % every == 0)
                counts[verdict] = counts.get(verdict, 0) + 1
    return counts


def test_random_specs() -> None:
    counts = sample(range(6), every=3)
    assert counts.get("undecided", 0) == 0, counts


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 10_000, 500))
def test_ten_thousand_random_specs(start: int) -> None:
    counts = sample(range(start, start + 500), every=25)
    assert counts.get("undecided", 0) <= 0.005 * sum(counts.values()), counts


@pytest.mark.parametrize(
    "cut",
    [
        # 0 at every pair of one-token answers, and at no other
        "sum((t - 1)*w(y_w, t) for t in y_w) + sum((t - 1)*w(y_l, t) for t in y_l)",
        "score(y_w)*(len(y_w)*len(y_l) - 1)",
        # 0 at every answer of some length that is not among the shortest
        "score(y_w)*max(0, 5 - len(y_w))",
        "score(y_w)*(len(y_w)**2 - 36)",
        "c*(len(y_w) - 8)",
    ],
)
def test_a_tie_at_some_lengths_is_no_null_set(cut: str) -> None:
    """step(a) + step(-a) is 2 where a is 0, else 1."""
    d = "(log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l)))"
    spec = loads(
        'name = "x"\nprior = "pi_ref(y)"\n[parameters]\nc = "positive"\n[features]\n'
        'w = "token"\nscore = { kind = "response", domain = "positive" }\n'
        f'[target]\nmargin = "{d}*(step({cut}) + step(-({cut})))"\n'
    )
    found = verify(spec)
    assert found.verdict == "refuted" and not found.side_conditions
    assert solve(spec).representable is not True


def test_two_responses_of_one_token_are_two() -> None:
    spec = load("dpo")
    case = random_case(spec, {"y_w": 1, "y_l": 1}, 0, random.Random(0))
    assert len(set(case.tokens.values())) == 2
