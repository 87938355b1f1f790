"""compare over the catalogue: slips are seen, names are free, and the order changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import pytest
from sympy import Add, Expr, Symbol

from midpo.proofs.compare.comparison import compare
from midpo.proofs.compare.family import family
from midpo.proofs.compare.found import Comparison
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, LogSigmoid
from midpo.symbolic.language.spec import CATALOGUE, Spec, catalogue, load, loads
from midpo.symbolic.loss import is_constant, loss_of_margin, pair_loss

DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
HEAD = """name = "other"
parameters = { alpha = "positive", beta = "real", gamma = "nonnegative" }
[target]
"""
EQUAL = ("equal", "equal up to factor and constant")
ROWS = [name for name in catalogue() if not load(name).reason]


def margin(expression: str) -> Spec:
    return loads(f"{HEAD}margin = '''{expression}'''")


def loss(expression: str) -> Spec:
    return loads(f"{HEAD}loss = '''{expression}'''")


def at(found: Comparison) -> dict[str, str]:
    return {s.name: s.value for s in found.settings}


# Every value that is tried turns either of them, or a row, into what the policy does not move.
INVENTED = (
    margin("alpha*(len(y_w)*log(pi(y_l))**2 - gamma*exp(pi(y_w)))"),
    loss("beta*pi(y_w)*pi(y_l)*alpha"),
)


def taken_for_the_invented(names: Iterable[str]) -> list[str]:
    rows = map(load, names)
    found = [c for row in rows for c in (compare(INVENTED[0], row), compare(row, INVENTED[1]))]
    return [c.sentence for c in found if c.verdict != "different" or c.settings]


def test_an_invented_loss_is_no_row_at_any_value() -> None:
    assert not taken_for_the_invented(ROWS[::12])


@pytest.mark.slow
def test_an_invented_loss_is_none_of_all_rows() -> None:
    assert not taken_for_the_invented(ROWS)


def mutants(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """Other losses, one slip away from this one: a term's sign, a term twice, a term left out, and
    the roles exchanged; of the margin where there is one, else of the loss."""
    expr = pair_loss(spec) if spec.margin is None else spec.margin

    def other(changed: Expr) -> Spec:
        told = replace(spec, prior=None, constraint=None, multiplier=None, name="mutant")
        if spec.margin is None:
            return replace(told, margin=None, link=None, loss=changed)
        if spec.constraint is None:
            return replace(told, margin=changed, loss=None)
        return replace(told, margin=None, link=None, loss=loss_of_margin(spec, changed))

    terms, whole = Add.make_args(expr), expr
    logistic = sorted(expr.atoms(LogSigmoid), key=str)
    if len(terms) == 1 and logistic:  # the terms of the margin that it holds
        whole, terms = logistic[0].args[0], Add.make_args(logistic[0].args[0])

    def within(changed: Expr) -> Spec:
        return other(changed if whole is expr else expr.xreplace({logistic[0]: LogSigmoid(changed)}))

    for number, term in enumerate(terms if len(terms) > 1 else ()):
        if whole is expr and spec.margin is None and is_constant(term):
            continue  # no optimiser sees it
        rest = Add(*(t for t in terms if t is not term))
        yield f"sign of term {number}", within(rest - term)
        yield f"term {number} twice", within(rest + 2 * term)
        yield f"without term {number}", within(rest)
    roles = {CHOSEN: Symbol("y_o"), REJECTED: CHOSEN}
    yield "roles", other(substitute(substitute(expr, roles), {Symbol("y_o"): REJECTED}))


def missed(names: Iterable[str]) -> tuple[int, list[str]]:
    """How many slips there are, and those that are said to be no difference."""
    count, found = 0, []
    for name in names:
        row = load(name)
        for what, mutant in mutants(row):
            count += 1
            answer = compare(mutant, row)
            if answer.verdict in EQUAL:
                found.append(f"{name}, {what}: {answer.sentence}")
    return count, found


def test_slips_in_rows_are_seen() -> None:
    count, found = missed(ROWS[::16])
    assert count > 10 and not found


@pytest.mark.slow
def test_slips_in_every_row_are_seen() -> None:
    count, found = missed(ROWS)
    assert count > 300 and not found


def renamed(spec: Spec) -> Spec:
    """The same loss with every name called something else."""
    text = (CATALOGUE / f"{spec.name}.toml").read_text()
    text = re.sub(
        r'^(name|title|reference|conventions|status)\s*=\s*("""(.|\n)*?"""|".*")$', "", text, flags=re.M
    )
    text = re.sub(r"\[bibtex\][^[]*", "", text)
    names = {
        *spec.names.parameters,
        *spec.names.features,
        *map(str, spec.names.responses),
        *(spec.names.policies - {"pi", "pi_ref"}),
    }
    for name in names:
        kind = next((k for k in ("pi_", "y_") if name.startswith(k)), "")
        text = re.sub(rf"\b{name}\b", f"{kind}q{name.removeprefix(kind)}", text)
    return loads(f'name = "renamed"\n{text}')


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_itself_by_any_other_name(name: str) -> None:
    row = load(name)
    other = renamed(row)
    assert not row.names.taken() & other.names.taken() - {"pi", "pi_ref"}
    assert compare(row, row).verdict == "equal"
    for one, two in ((row, other), (other, row)):
        found = compare(one, two)
        assert found.verdict == "equal", found.sentence
        assert all(value in two.names.taken() for value in at(found).values())


def test_what_the_policy_does_not_move_is_equal_only_to_itself() -> None:
    still = margin("len(y_w) - len(y_l)")
    assert compare(still, still).verdict == "equal"
    assert compare(still, margin("len(y_w) + len(y_l)")).verdict == "different"
    assert compare(loss("3"), loss("4")).verdict == "different"


def test_a_gradient_that_is_stopped_makes_another_loss() -> None:
    for stopped in (margin(f"sg({DPO})"), loss(f"-sg(logsigmoid({DPO}))")):
        for found in (compare(stopped, load("dpo")), compare(load("dpo"), stopped)):
            assert found.verdict == "different" and found.gradient is False
            assert found.sentence.endswith("equal in value; their gradients differ")
    # what is stopped does not speak of the policy; the same gradient, written in two ways
    assert compare(margin(f"sg(alpha)*({DPO})/alpha"), margin(f"alpha*({DPO})/sg(alpha)")).gradient
    half = loss(f"({DPO})**2/2 + sg({DPO})**2/2")
    assert compare(half, loss(f"sg({DPO})*({DPO})")).verdict in ("equal", "undecided")
    assert compare(loss(f"sg({DPO})*({DPO})"), loss(f"({DPO})*sg({DPO})")).verdict == "equal"


def test_links_that_differ_are_told() -> None:
    hinge = loads(f"{HEAD}margin = '{DPO}'".replace("[target]", 'link = "max(0, 1 - m)"\n[target]'))
    found = compare(hinge, load("dpo"))
    assert found.verdict == "different" and found.explanation == (
        "The links differ: max(0, 1 - m) in other, -logsigmoid(m) in dpo; the margins are equal."
    )


def test_the_order_changes_nothing() -> None:
    """Verdict, settings, factor and witness, with the two sides exchanged."""
    rng = Random(0)
    for one, other in (rng.sample(ROWS, 2) for _ in range(5)):
        there, back = compare(load(one), load(other)), compare(load(other), load(one))
        turned = {"first": "second", "second": "first", "both": "both", None: None}
        assert (back.verdict, back.gradient) == (there.verdict, there.gradient)
        assert back.special == turned[there.special] and at(back) == at(there)
        assert back.factor == 1 / there.factor
        assert (back.witness is None) == (there.witness is None)
        if there.witness is not None and back.witness is not None:
            assert back.witness.case == there.witness.case


def test_the_map_and_compare_say_one_thing() -> None:
    """An arrow of the family is a special case, at as few names or fewer."""
    for edge in Random(0).sample(family().edges, 5):
        found = compare(load(edge.general), load(edge.special))
        assert found.special == "second" and len(found.settings) <= len(edge.settings)
        assert (found.verdict == "limiting case") == any(s.limit for s in found.settings)
