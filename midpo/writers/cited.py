"""Results that classes and audits cite by number, and what each says, for a reader of a report.

Numbers are those of `solve` and `audit` (docs/theorems.md, docs/audit.md). A report has theorems of
its own, so that there these are called results.
"""

from __future__ import annotations

import re

_DERIVED = r"\proved{}: derived and replayed by the checker (\texttt{midpo derive})"
_PAPER = r"proved on paper (\texttt{docs/audit.md}); each use is checked by computation"
_M = r"\alpha\log(\pi/\zeta)"
RESULTS: dict[str, tuple[str, str]] = {
    "1": (r"A positive loss $L$ is $-\log\sigma$ of the margin of some prior if and only if "
          r"$-\log(e^{L} - 1)$ is a function of $y_w$ less a function of $y_l$.", _DERIVED),
    "2": ("A margin is a function of $y_w$ less a function of $y_l$ if and only if "
          "$m(w, l) - m(w, l') - m(w', l) + m(w', l')$ vanishes for all responses.", _DERIVED),
    "3": ("One function serves both roles if and only if the margin changes sign when the pair is "
          "swapped.", _DERIVED),
    "4": ("Every margin of the form of result 2 has a prior, unique up to one factor free of $y$; "
          r"the scale $\alpha$ is not determined by the margin.", _DERIVED),
    "5": (r"The prior is free of the policy if and only if the margin less "
          r"$\alpha\log\pi(y_w\mid x) - \alpha\log\pi(y_l\mid x)$ is.", _DERIVED),
    "6": (r"A link is that of the generalised loss only if it is $-\log\sigma(am + b)$, $a > 0$.",
          f"{_DERIVED}; with cited facts"),
    "7": (r"A term $A(y_w)$ beside the link leaves the prior form unless $(1 - e^{-A})e^{f}$ is "
          "constant, $f$ being the part of $y_w$ in the margin.", _DERIVED),
    "8": (r"A loss is a smooth function of one margin of the form of result 2 only if "
          r"$\log|\partial L/\partial a \,/\, \partial L/\partial b|$ is a sum of a function of "
          "$y_w$ and one of $y_l$.", _DERIVED),
    "2.4": ("Fixed points of solving the regularised problem with the prior frozen, then "
            f"refreshing the prior, are the policies with $r = {_M} + c$.", _PAPER),
    "2.5": (r"Where each token's share of $\log(\pi/\zeta)$ has mean 0 under a law $q$, some "
            "fixed points are greedy for a value: their next-token law is proportional to "
            r"$q\,e^{V/\alpha}$.", _PAPER),
    "2.6": (rf"The implicit reward ${_M}$ belongs to some regulariser if and only if it is a "
            r"gradient: its Jacobian $M$ in $\pi$ has $P(M - M^{\mathsf{T}})P = 0$, where $P$ "
            "takes off constants.", _PAPER),
    "2.7": ("With a constant offset in the margin, one function serves both roles if and only if "
            "the comparisons of each prompt are levelled: a rank rises by one along each.", _PAPER),
}  # fmt: skip
_NUMBERS = r"\d(?:\.\d)?"
_CITATION = re.compile(
    rf"\b([Tt]heorem|[Pp]roposition)(s?) ((?:{_NUMBERS})(?:(?:, | and )(?:{_NUMBERS})\b)*)"
)
_CALLED = re.compile(rf"\b[Rr]esults? ((?:{_NUMBERS})(?:(?:, | and )(?:{_NUMBERS})\b)*)")


def worded(text: str) -> str:
    """`text` with theorems and propositions called results."""
    return _CITATION.sub(lambda m: f"{'R' if m[1][0].isupper() else 'r'}esult{m[2]} {m[3]}", text)


def results(body: str) -> list[tuple[str, str, str]]:
    """The results that a report's `body` cites: number, statement, standing; cited ones too."""
    found: set[str] = set()
    new = _numbers(body)
    while new - found:
        found |= new
        new = {n for number in found for n in _numbers(RESULTS[number][0])}
    return [(number, *RESULTS[number]) for number in RESULTS if number in found]


def _numbers(text: str) -> set[str]:
    numbers = (n for m in _CALLED.finditer(text) for n in re.findall(_NUMBERS, m[1]))
    return {n for n in numbers if n in RESULTS}
