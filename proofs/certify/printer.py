"""Expression -> term of Coq, in the words of rocq/Midpo.v.

Every name of a spec gets a prefix that says what it is, so that none can be a keyword, a name of
the library, or another name: parameter `alpha` is `p_alpha`, feature `w` is `f_w`, and policy
`pi_ref` is `mass_pi_ref` (probabilities of whole responses) or, where the spec looks at its tokens,
`law_pi_ref` (the law of the next token at each position).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sympy import Add, Expr, Integer, Mul, Number, Pow, Rational, Symbol

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    REJECTED,
    RESPONSE,
    ByLabel,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Parameter,
    Prob,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.signs import is_positive
from midpo.symbolic.language.text import ATOM, POWER, PRODUCT, SUM, Writer
from midpo.symbolic.language.words import BY_NODE

MAX_POWER = 60  # of x ^ n, whose n is a tower of successors

RESPONSES = {RESPONSE: "y", CHOSEN: "w", REJECTED: "l"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d+")


class NotExportable(MidpoError):
    """An expression outside what a certificate states; the message says what and why."""


def identifier(prefix: str, name: object) -> str:
    """`prefix` and a name of the spec as one identifier. Raises: NotExportable."""
    text = str(name)
    if not _NAME.fullmatch(text):
        raise NotExportable("a name that is no identifier")
    return f"{prefix}_{text}"


def by_token(exprs: Iterable[Expr]) -> frozenset[str]:
    """The policies whose tokens the expressions look at."""
    found: set[str] = set()
    for expr in exprs:
        for node in expr.atoms(TokenProb, VocabProb, Divergence, Entropy):
            count = 2 if isinstance(node, Divergence) else 1
            found.update(str(policy) for policy in node.args[:count])
    return frozenset(found)


class Printer(Writer):
    """Writes expressions as terms of type R; `laws` are the policies known token by token,
    `positive` what a spec's own side conditions say is positive; `prompt` and `responses` are what
    these are called."""

    POWER = "^"
    TIMES = " * "
    MINUS = "-"

    def __init__(
        self,
        laws: frozenset[str],
        positive: Iterable[Expr] = (),
        *,
        prompt: str = "x",
        responses: Mapping[Expr, str] = RESPONSES,
    ) -> None:
        super().__init__(frozenset())
        self.laws = laws
        self.prompt, self.responses = prompt, responses
        self.positive = frozenset(positive)

    def spoken(self, response: Expr) -> str:
        """A response: of the pair a variable, beside it a function of the prompt."""
        return self.responses.get(response) or f"({identifier('r', response)} {self.prompt})"

    def term(self, expr: Expr) -> str:
        """`expr` as a term. Raises: NotExportable."""
        return self.write(expr)[0]

    def write(self, expr: Expr) -> tuple[str, int]:
        if isinstance(expr, Number) and not isinstance(expr, Rational):
            raise NotExportable(f"the number {expr}")
        if isinstance(expr, Index):
            if not expr.is_positive:
                raise NotExportable("a vocabulary entry as a number")
            return f"INR {self.scope[expr]} + 1", SUM
        if isinstance(expr, Pow) and not (expr.exp.is_Number and expr.exp < 0):
            return self.power(expr)
        if isinstance(expr, (Add, Mul, Pow, Number)):
            return super().write(expr)
        return self.atom(expr), ATOM

    def terms(self, expr: Add) -> list[Expr]:
        """As for the prior's response, of whichever they are: inside a function that the tactic
        leaves alone, such as `sqrt`, it takes terms in another order for another number."""
        roles = expr.free_symbols & {RESPONSE, CHOSEN, REJECTED}
        if len(roles) != 1:
            return super().terms(expr)
        (role,) = roles
        return [term.xreplace({RESPONSE: role}) for term in super().terms(expr.xreplace({role: RESPONSE}))]

    def power(self, expr: Pow) -> tuple[str, int]:
        base, exponent = expr.args
        if isinstance(exponent, Integer):
            if exponent > MAX_POWER:
                raise NotExportable(f"a power of {exponent}")
            return f"{self.wrap(base, ATOM)} ^ {exponent}", POWER
        if exponent == Rational(1, 2):
            return f"sqrt {self.argument(base)}", ATOM
        shift = exponent - next(iter(exponent.atoms(Index)), 0)
        if isinstance(shift, Integer) and -1 <= shift <= MAX_POWER:
            (index,) = exponent.atoms(Index)
            count = self.scope[index]
            for _ in range(int(shift) + 1):  # positions start at 1, those of Coq at 0
                count = f"S {count}" if " " not in count else f"S ({count})"
            return f"{self.wrap(base, ATOM)} ^ {self.bracket(count)}", POWER
        if not is_positive(base) and base not in self.positive:
            raise NotExportable("a power whose base is not seen to be positive")
        return f"Rpower {self.argument(base)} {self.argument(exponent)}", ATOM

    def argument(self, expr: Expr) -> str:
        """`expr` as the argument of a function."""
        return self.bracket(self.write(expr)[0])

    @staticmethod
    def bracket(text: str) -> str:
        return text if _SIMPLE.fullmatch(text) else f"({text})"

    def atom(self, expr: Expr) -> str:
        if isinstance(expr, Parameter):
            return identifier("p", expr.name)
        if expr == MARGIN:
            return "m"
        if isinstance(expr, Symbol):
            raise NotExportable(f"the symbol {expr}")
        if isinstance(expr, Feature):
            return self.feature(expr)
        if isinstance(expr, Prob):
            policy, response = expr.args
            return self.mass(str(policy), self.spoken(response))
        if isinstance(expr, TokenProb):
            policy, response, at = expr.args
            y, t = self.spoken(response), self.scope[at]
            return f"{self.law(policy, y, t)} (tok {y} {t})"
        if isinstance(expr, VocabProb):
            policy, response, at, entry = expr.args
            return f"{self.law(policy, self.spoken(response), self.scope[at])} {self.scope[entry]}"
        if isinstance(expr, Length):
            return f"INR (n {self.spoken(expr.args[0])})"
        if isinstance(expr, Divergence):
            p, q, response, at = expr.args
            y, t = self.spoken(response), self.scope[at]
            return f"KL vocab ({self.law(p, y, t)}) ({self.law(q, y, t)})"
        if isinstance(expr, Entropy):
            policy, response, at = expr.args
            return f"entropy vocab ({self.law(policy, self.spoken(response), self.scope[at])})"
        if isinstance(expr, ByLabel):
            preferred, other = (self.write(arg)[0] for arg in expr.args)
            return f"(if chosen then {preferred} else {other})"
        if isinstance(expr, (TokenSum, TokenProd, VocabSum)):
            return self.binder(expr)
        return self.function(expr)

    def function(self, expr: Expr) -> str:
        word = BY_NODE.get(type(expr))
        if word is None:
            raise NotExportable(f"{type(expr).__name__} has no word in Coq")
        if word.coq is None:
            raise NotExportable(word.lacks("coq"))
        args = [self.argument(arg) for arg in expr.args]
        if word.arity[0] == word.arity[1]:
            return " ".join([word.coq, *args])
        *rest, last = args
        for arg in reversed(rest):
            last = f"({word.coq} {arg} {last})"
        return last[1:-1]

    def feature(self, expr: Expr) -> str:
        name, *at = expr.args
        word = identifier("f", name)
        if not at:
            pair = (self.responses[role] for role in (CHOSEN, REJECTED))
            return " ".join([word, self.prompt, *pair])
        index = [self.scope[i] for i in at[1:]]
        return " ".join([word, self.prompt, self.spoken(at[0]), *index])

    def law(self, policy: object, response: str, at: str) -> str:
        return f"{identifier('law', policy)} {self.prompt} {response} {at}"

    def mass(self, policy: str, response: str) -> str:
        if policy in self.laws:
            law = f"{identifier('law', policy)} {self.prompt} {response}"
            return f"seq_prob ({law}) (tok {response}) (n {response})"
        return f"{identifier('mass', policy)} {self.prompt} {response}"

    def binder(self, expr: Expr) -> str:
        body, index, *response = expr.args
        name = f"{'t' if index.is_positive else 'v'}{len(self.scope)}"
        outer = self.scope
        self.scope = {**outer, index: name}
        written = self.write(body)[0]
        self.scope = outer
        if isinstance(expr, VocabSum):
            return f"suml vocab (fun {name} => {written})"
        word = "prodn" if isinstance(expr, TokenProd) else "sumn"
        return f"{word} (n {self.spoken(response[0])}) (fun {name} => {written})"


__all__ = ["ATOM", "PRODUCT", "NotExportable", "Printer", "by_token", "identifier"]
