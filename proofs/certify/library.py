"""The library of certificates: its files, its theorems, and the axioms it may rest on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "rocq"
# In the order in which they are compiled.
FILES = ("Midpo.v", "MidpoPoint.v", "MidpoRoles.v", "MidpoKL.v", "MidpoNorm.v", "MidpoTok.v")

# Those of Coq's classical real numbers; no certificate may rest on another.
AXIOMS = (
    "ClassicalDedekindReals.sig_forall_dec",
    "ClassicalDedekindReals.sig_not_dec",
    "Classical_Prop.classic",
    "FunctionalExtensionality.functional_extensionality_dep",
)


@dataclass(frozen=True)
class CoqTheorem:
    """A theorem of the library: what it is called there, and what it says."""

    name: str
    file: str
    statement: str


THEOREMS: dict[str, CoqTheorem] = {
    key: CoqTheorem(name, file, statement)
    for key, name, file, statement in (
        ("gibbs", "gibbs", "MidpoKL.v", "KL(p || q) >= 0, over any integral"),
        ("gibbs-finite", "gibbs_finite", "MidpoKL.v", "KL(p || q) >= 0 on a finite set"),
        ("gibbs-equality", "gibbs_finite_eq", "MidpoKL.v",
         "KL(p || q) = 0 only where p = q, on a finite set"),
        ("gibbs-countable", "gibbs_countable", "MidpoKL.v", "KL(p || q) >= 0 for series"),
        ("optimum", "opt_density", "MidpoKL.v", "z exp(b r)/Z is a density where Z is finite"),
        ("gap", "gap", "MidpoKL.v", "J(p*) - J(p) = KL(p || p*)/b >= 0, over any integral"),
        ("gap-finite", "gap_finite", "MidpoKL.v",
         "J(p*) - J(p) = KL(p || p*)/b >= 0 on a finite set"),
        ("gap-countable", "gap_countable", "MidpoKL.v",
         "J(p*) - J(p) = KL(p || p*)/b >= 0 for series"),
        ("optimum-unique", "pstar_unique", "MidpoKL.v",
         "the maximiser of J is unique on a finite set"),
        ("reward", "reward", "MidpoKL.v", "r = (log(p*/z) + log Z)/b"),
        ("normaliser-cancels", "bradley_terry_opt", "MidpoKL.v",
         "the Bradley-Terry probability is sigmoid of the margin; Z cancels"),
        ("normaliser-free", "margin_scale", "Midpo.v",
         "one factor shared by both roles leaves the margin as it is"),
        ("bradley-terry", "bradley_terry", "Midpo.v",
         "exp(a)/(exp(a) + exp(b)) = sigmoid(a - b)"),
        ("loss-of-margin", "loss_eq", "Midpo.v",
         "equal margins give equal losses, for any operator over the data"),
        ("logsigmoid-injective", "logsigmoid_inj", "Midpo.v",
         "different margins have different log-sigmoid losses"),
        ("mutual-information", "mutual_information", "MidpoKL.v",
         "E KL(p(.|x) || q) - I(X;Y) = KL(p_Y || q) >= 0, over any integral"),
        ("mutual-information-finite", "mutual_information_finite", "MidpoKL.v",
         "E KL(p(.|x) || q) - I(X;Y) = KL(p_Y || q) >= 0 on finite sets"),
        ("mutual-information-countable", "mutual_information_countable", "MidpoKL.v",
         "E KL(p(.|x) || q) - I(X;Y) = KL(p_Y || q) >= 0 for series, finitely many prompts"),
        ("normalisable-rdpo", "rdpo_normalisable", "MidpoNorm.v",
         "R-DPO: Z <= 1 for beta >= 0, on a countable set"),
        ("normalisable-tdpo", "tdpo_normalisable", "MidpoNorm.v",
         "TDPO: Z <= 1, on a countable set"),
        ("normalisable-entropy", "hdpo_normalisable", "MidpoNorm.v",
         "entropy-controllable DPO: Z <= 1 for eta <= 1, on a countable set"),
        ("normalisable-simpo", "simpo_normalisable", "MidpoNorm.v",
         "SimPO: Z <= 4 V exp(M) over V tokens and all lengths, M a bound of the bonus"),
        ("step-sparsepo", "sparsepo_step", "MidpoNorm.v",
         "SparsePO: the mass of one step is at most 1 for masks in [0, 1] of the prefix"),
        ("step-tis-dpo", "tisdpo_step", "MidpoNorm.v",
         "TIS-DPO: the mass of one step is at least 1 for weights of the prefix"),
        ("token-mass", "words_mass", "MidpoTok.v",
         "the responses of one length have total probability 1"),
        ("token-divergence", "klpos_nonneg", "MidpoTok.v",
         "the divergence at each position is at least 0"),
        ("separate-normalisers", "separate_normalisers", "MidpoRoles.v",
         "a normaliser for each role shifts the margin by alpha log(Z_w/Z_l)"),
        ("separate-normalisers-simpo", "simpo_separate_normalisers", "MidpoRoles.v",
         "SimPO normalised role by role loses gamma"),
    )
}


# The theorems of the framework (proofs/framework) that the library has, whole or in part.
IN_FRAMEWORK: dict[str, tuple[str, ...]] = {
    "optimal-policy": ("optimum", "gap-finite", "gap-countable", "optimum-unique"),
    "bradley-terry": ("reward", "normaliser-cancels"),
    "mutual-information": ("mutual-information-finite", "mutual-information-countable"),
    "theorem-4": ("normaliser-free",),
}


def cited(keys: Iterable[str]) -> tuple[str, ...]:
    """Theorems of the library by their names in Coq: file and theorem. Raises: KeyError."""
    found = (THEOREMS[key] for key in keys)
    return tuple(f"{theorem.file.removesuffix('.v')}.{theorem.name}" for theorem in found)


def library_texts(library: str = "Coq") -> dict[str, str]:
    """The files of the library, for a release whose standard library is called `library`."""
    return {
        name: for_release((FOLDER / name).read_text(encoding="utf-8"), library) for name in FILES
    }


def for_release(text: str, library: str) -> str:
    """`text` for a release that calls its standard library `Coq` (to 8.20) or `Stdlib` (9)."""
    return "".join(line.replace("From Coq ", f"From {library} ", 1)
                   if line.startswith("From Coq ") else line for line in text.splitlines(True))
