"""How a statement is known: the kinds, a row each with the word that says it.

Whoever answers names the kind and what the statement rests on; the word stands here alone. A
standing that says more than its kind is a sentence that begins with it (`known`).
"""

from __future__ import annotations

from enum import Enum


class Standing(Enum):
    """The kinds, and their words.

    PROVED is a symbolic argument, for every policy and parameter in its domain: a chain of named
    rewrites that the checker replayed, or the theorem that is named. REFUTED is a case at which two
    sides differ; EXACT and ENCLOSED say how the case is known. DIFFERENTIATED is derivatives
    without a step size at random policies, in float64; COMPUTED a finite case worked out,
    CALCULATED another computation. EVIDENCE is random cases, and no more. READ is what the
    specification's own text shows, READING what a reader
    compared; REFERENCE what a paper is said to say, which is neither proved
    nor computed here.
    """

    PROVED = "proved"
    REFUTED = "refuted"
    EXACT = "exact"
    ENCLOSED = "0 excluded by intervals of 50 digits"
    DIFFERENTIATED = "exact differentiation"
    COMPUTED = "exact computation"
    CALCULATED = "computed"
    EVIDENCE = "numerical evidence"
    READ = "read off"
    READING = "by reading"
    REFERENCE = "taken from the reference"
    STATED = "stated by the file"
    MEASURED = "measured"
    ACCEPTED = "accepted by an independent kernel"
    NOT_PROVED = "not proved"
    CONTRADICTED = "contradicted by instances"
    UNDECIDED = "not decided"
    EMPTY = "there is nothing to decide"
    UNCHECKED = "not checked"

    def __str__(self) -> str:
        return self.value
