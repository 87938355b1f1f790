"""The signs of a report, and what each means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from midpo.symbolic.formula.told import Told, told
from midpo.symbolic.formula.tree import (
    Beside,
    Fence,
    Formula,
    Fraction,
    Part,
    Placeholder,
    Sign,
    Spoken,
    Text,
    Upright,
    between,
    call,
    leaf,
    listed,
    nodes,
    row,
    script,
)
from midpo.symbolic.formula.write import GIVEN, PROMPT, indexed, policy, responded, response, state, write
from midpo.symbolic.language.nodes import (
    CHOSEN,
    POLICY,
    REJECTED,
    RESPONSE,
    Index,
    Prob,
    TokenProb,
    TokenProd,
)

Use = Callable[[Formula], bool]
_T = Index("t", position=True)
_PAIR = (CHOSEN, REJECTED)


def _apart(*signs: Part) -> Formula:
    return listed(signs, row(",", r"\ "))


def _law(name: str, of: Part) -> Formula:
    """A law given s."""
    return call(name, row(of, GIVEN, "s"))


def _table() -> tuple[tuple[Formula, Told, Use | None], ...]:
    """(the sign, its meaning, what tells that a formula uses it; none where each report does)."""
    y, preferred, other = map(response, (RESPONSE, *_PAIR))
    policy_given_x = write(Prob(POLICY, RESPONSE))
    token_law, t = write(TokenProb(POLICY, RESPONSE, _T)), leaf("t")
    product = write(TokenProd(TokenProb(POLICY, RESPONSE, _T), _T, RESPONSE))
    vocabulary = leaf(r"\mathcal{V}")
    over = script(r"\sum", row("v", r"\in", vocabulary))
    p, q = _law("p", "v"), _law("q", "v")
    laws = row(_law("p", Placeholder()), r"\,", r"\|", r"\,", _law("q", Placeholder()))
    states = [state(role, _T) for role in (RESPONSE, *_PAIR)]
    before = [Fence("(", listed((PROMPT, indexed("y", role, "<", "t"))), ")") for role in (RESPONSE, *_PAIR)]
    divergence = script("D", Upright("KL"))
    z = call(r"\sigma", "z")
    logistic = Fence("(", row(1, " + ", script("e", above=row("-", "z"))), ")")
    return (
        (_apart(r"\log", z), told("the natural logarithm; {}", row(z, " = ", 1, "/", logistic)), None),
        (
            _apart(y, preferred, other, Fence("|", y, "|")),
            told(
                "a response; the preferred and the dispreferred one of a pair; the number of tokens of {}", y
            ),
            None,
        ),
        (
            policy_given_x,
            told(
                "the probability of the whole response {} to the prompt {} under the policy that is "
                "trained; likewise {} for the reference",
                y,
                PROMPT,
                policy("pi_ref"),
            ),
            None,
        ),
        (policy("pi_old"), told("the policy of the previous round"), _is(policy("pi_old"))),
        (
            token_law,
            told(
                "the probability of the {}-th token of {} after the tokens before it; {}. The tokens "
                "of {} and {} are {} and {}",
                t,
                y,
                row(policy_given_x, " = ", product),
                preferred,
                other,
                *(indexed("y", role, "t") for role in _PAIR),
            ),
            _speaks_of("y"),
        ),
        (vocabulary, told("the vocabulary, of which {} is an entry", leaf("v")), _is(vocabulary)),
        (_apart(*states), told("what precedes a token: {}, {}, {}", *before), _speaks_of("s")),
        (
            row(divergence, between("(", laws, ")", "big")),
            told("{} over the vocabulary {}", row(over, " ", p, r"\log", Fraction(p, q)), vocabulary),
            _is(divergence),
        ),
        (
            row("H", between("(", _law("p", Placeholder()), ")", "big")),
            told("{}", row("-", over, " ", p, r"\log ", p)),
            _is_entropy,
        ),
        (
            row(Upright("sg"), between("[", "e", "]", "")),
            told("{}, with no gradient through it", leaf("e")),
            _is(Upright("sg")),
        ),
        (
            row(r"\mathbf{1}", between("[", "c", "]", "")),
            told("1 where {} holds, else 0", leaf("c")),
            _is(leaf(r"\mathbf{1}")),
        ),
        (
            _apart(*responded()),
            told("in a prior: where {} is the preferred, the dispreferred response of its pair", y),
            _is(Text("if ")),
        ),
        (
            row("b", r" \uparrow ", Fence("(", leaf("e"), ")")),
            told("{}, where {} is too long to be raised", script("b", above="e"), leaf("e")),
            _is_arrow,
        ),
    )


def _is(sign: Formula) -> Use:
    return lambda node: node == sign


def _speaks_of(letter: str) -> Use:
    """Whether a formula has a part of a response, or what precedes it."""
    return lambda node: isinstance(node, Spoken) and node.letter == letter


def _is_entropy(node: Formula) -> bool:
    return isinstance(node, Beside) and any(
        head == leaf("H") and isinstance(body, Fence) for head, body in pairwise(node.parts)
    )


def _is_arrow(node: Formula) -> bool:
    return isinstance(node, Sign) and node.glyph.tex == r"\uparrow"


def notation(formulas: Iterable[Formula]) -> list[tuple[Formula, Told]]:
    """The signs that `formulas` use, with their meaning."""
    rows = list(_table())
    unused = {place: use for place, (_, _, use) in enumerate(rows) if use is not None}
    for node in {node for formula in set(formulas) for node in nodes(formula)}:
        unused = {place: use for place, use in unused.items() if not use(node)}
    return [row[:2] for place, row in enumerate(rows) if place not in unused]
