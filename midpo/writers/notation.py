"""The signs of a report, and what each means."""

from __future__ import annotations

from midpo.symbolic.formula.sentence import Sentence, said
from midpo.symbolic.formula.tree import (
    Fence,
    Formula,
    Fraction,
    Part,
    Placeholder,
    Word,
    between,
    call,
    leaf,
    listed,
    row,
    script,
)
from midpo.symbolic.formula.write import (
    GIVEN,
    PROMPT,
    indexed,
    policy,
    responded,
    response,
    state,
    write,
)
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

_T = Index("t", position=True)
_PAIR = (CHOSEN, REJECTED)


def _apart(*signs: Part) -> Formula:
    return listed(signs, row(",", r"\ "))


def _law(name: str, of: Part) -> Formula:
    """A law given s."""
    return call(name, row(of, GIVEN, "s"))


def _table() -> tuple[tuple[Formula, Sentence, str], ...]:
    """(the sign, its meaning, what must occur in a report's LaTeX for the row to be printed)."""
    y, preferred, other = map(response, (RESPONSE, *_PAIR))
    policy_given_x = write(Prob(POLICY, RESPONSE))
    token_law, t = write(TokenProb(POLICY, RESPONSE, _T)), leaf("t")
    product = write(TokenProd(TokenProb(POLICY, RESPONSE, _T), _T, RESPONSE))
    vocabulary = leaf(r"\mathcal{V}")
    over = script(r"\sum", row("v", r"\in", vocabulary))
    p, q = _law("p", "v"), _law("q", "v")
    laws = row(_law("p", Placeholder()), r"\,", r"\|", r"\,", _law("q", Placeholder()))
    states = [state(role, _T) for role in (RESPONSE, *_PAIR)]
    before = [Fence("(", listed((PROMPT, indexed("y", role, "<", "t"))), ")")
              for role in (RESPONSE, *_PAIR)]
    z = call(r"\sigma", "z")
    logistic = Fence("(", row(1, " + ", script("e", above=row("-", "z"))), ")")
    return (
        (_apart(r"\log", z),
         said("the natural logarithm; {}", row(z, " = ", 1, "/", logistic)), ""),
        (_apart(y, preferred, other, Fence("|", y, "|")),
         said("a response; the preferred and the dispreferred one of a pair; the number of tokens "
              "of {}", y), ""),
        (policy_given_x,
         said("the probability of the whole response {} to the prompt {} under the policy that is "
              "trained; likewise {} for the reference", y, PROMPT, policy("pi_ref")), ""),
        (policy("pi_old"), said("the policy of the previous round"), r"\pi_{\mathrm{old}}"),
        (token_law,
         said("the probability of the {}-th token of {} after the tokens before it; {}. The tokens "
              "of {} and {} are {} and {}", t, y,
              row(policy_given_x, " = ", product), preferred, other,
              *(indexed("y", role, "t") for role in _PAIR)), r"\mid x, y_{"),
        (vocabulary, said("the vocabulary, of which {} is an entry", leaf("v")), r"\mathcal{V}"),
        (_apart(*states),
         said("what precedes a token: {}, {}, {}", *before), r"\mid s_{"),
        (row(script("D", Word("KL")), between("(", laws, ")", "big")),
         said("{} over the vocabulary {}", row(over, " ", p, r"\log", Fraction(p, q)), vocabulary),
         r"D_{\mathrm{KL}}"),
        (row("H", between("(", _law("p", Placeholder()), ")", "big")),
         said("{}", row("-", over, " ", p, r"\log ", p)), r"H\bigl("),
        (row(Word("sg"), between("[", "e", "]", "")),
         said("{}, with no gradient through it", leaf("e")), r"\mathrm{sg}"),
        (row(r"\mathbf{1}", between("[", "c", "]", "")),
         said("1 where {} holds, else 0", leaf("c")), r"\mathbf{1}"),
        (_apart(*responded()),
         said("in a prior: where {} is the preferred, the dispreferred response of its pair", y),
         r"\text{if } y"),
        (row("b", r" \uparrow ", Fence("(", leaf("e"), ")")),
         said("{}, where {} is too long to be raised", script("b", above="e"), leaf("e")),
         r"\uparrow"),
    )


def notation(body: str) -> list[tuple[Formula, Sentence]]:
    """The signs that `body` uses, with their meaning."""
    return [(sign, meaning) for sign, meaning, trigger in _table() if trigger in body]
