"""The paper's slips, each with a check of its own (arXiv:2501.01544, its first version).

Letters: E an error (false as printed), G a gap (a hidden assumption or a missing case), N notation.
"""

from __future__ import annotations

from sympy import Expr, S

from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import told
from midpo.symbolic.framework.hypothesis import Hypothesis
from midpo.symbolic.framework.words import PROMPTS, Element, Mean, Partial, Relative, SumOver, mass
from midpo.symbolic.language.nodes import Exp, Log, Parameter, Sigmoid

from .optimum import ALPHA, BETA, MARGIN, L, W, Y, Z, margin, pi, r, star, zeta
from .slip_checks import (
    ByReading,
    Computed,
    Derived,
    Finding,
    InTheorem,
    Recovered,
    Refuted,
    Slip,
    catalogued,
    chain_and_triangle,
    growing_mass,
    lost_support,
    numbers_have_no_divergence,
    second_differences,
    self_referential,
    temperatures,
    unbounded,
    without_log_sigmoid,
    written,
)
from .theorem import Fact

_B2, _GAMMA, _ETA = (Parameter(n, d) for n, d in (
    ("beta2", "positive"), ("gamma", "positive"), ("eta", "real")))
_N1, _N2, _GAP = Parameter("N1", "positive"), Parameter("N2", "positive"), Parameter("d")
_X, _X1 = Element("x", PROMPTS), Element("x'", PROMPTS)


def _length(y: Expr) -> Expr:
    return mass("n", y)


def _reference(y: Expr) -> Expr:
    return mass("pi_ref", y)


_LOG_RATIO = Log(star(Y) / zeta(Y))
_p, _q = mass("p", Y), mass("q", Y)
_DELTA = Log(_p / _q)

_inverse = Hypothesis("inverse", "beta of section 2 is 1/beta of section 3", _B2, 1 / BETA)
_beta = Hypothesis("one beta", "beta of the length term is beta of section 3, 1/alpha",
                   BETA, 1 / ALPHA)
_rdpo = Hypothesis("length prior", "R-DPO's prior", zeta(Y),
                   _reference(Y) * Exp(-BETA * _length(Y)), (Y,))
_both_prompts = Hypothesis(
    "one prior", "one function of y is the reference at every prompt, up to a factor",
    mass("pi_ref", Y, _X), zeta(Y) * mass("N", _X), (Y, _X))
_plus = Hypothesis("prior for the chosen", "zeta*exp(gamma/(2*alpha)), normalised",
                   mass("zeta_w", Y), zeta(Y) * Exp(_GAMMA / (2 * ALPHA)) / _N1, (Y,))
_minus = Hypothesis("prior for the rejected", "zeta*exp(-gamma/(2*alpha)), normalised",
                    mass("zeta_l", Y), zeta(Y) * Exp(-_GAMMA / (2 * ALPHA)) / _N2, (Y,))
_norm_w = Hypothesis("first normaliser", "the sum of zeta*exp(gamma/(2*alpha))",
                     _N1, SumOver(zeta(Y) * Exp(_GAMMA / (2 * ALPHA)), Y))
_norm_l = Hypothesis("second normaliser", "the sum of zeta*exp(-gamma/(2*alpha))",
                     _N2, SumOver(zeta(Y) * Exp(-_GAMMA / (2 * ALPHA)), Y))
_law = Hypothesis("law q", "the probabilities q(y) sum to one", SumOver(_q, Y), S.One)
_law_p = Hypothesis("law p", "the probabilities p(y) sum to one", SumOver(_p, Y), S.One)
_at_zero = Hypothesis("eta", "eta is 0", _ETA, S.Zero)

_SIMPO = SumOver(pi(Y) * (r(Y) - ALPHA * Log(pi(Y))
                          + ALPHA * (1 - 1 / _length(Y)) * Log(pi(Y))), Y)
_PAIRWISE = '[target]\nmargin = "{0}*log(pi(y_w)/pi_ref(y_w)) - {0}*log(pi(y_l)/pi_ref(y_l))"\n'

SLIPS: tuple[Slip, ...] = (
    Slip("A1", "sections 2 and 3", "G", "one letter beta for a temperature and for its inverse",
         "beta of section 2 is alpha, beta of section 3 is 1/alpha", (
             Derived(Fact("inverse", "The rewards of the two sections agree",
                          _B2 * _LOG_RATIO, "=", _LOG_RATIO / BETA, (_inverse,))),
             Derived(Fact("rdpo", "Were R-DPO's beta the global one, its length coefficient would "
                          "be 1", margin("pi", zeta(W), zeta(L)), "=",
                          margin("pi", _reference(W), _reference(L)) + _length(W) - _length(L),
                          (_rdpo, _beta))),
         )),
    Slip("A2", "section 3.2", "E", "r = (1/beta)*log(pi) + log(Z) - log(zeta)",
         "the factor 1/beta belongs to all three terms", (
             Derived(Fact("bracket", "Printed less right, which is 0 only for beta = 1 or Z = zeta",
                          Log(star(Y)) / BETA + Log(Z) - Log(zeta(Y))
                          - (_LOG_RATIO / BETA + Log(Z) / BETA), "=",
                          (1 - 1 / BETA) * (Log(Z) - Log(zeta(Y))))),
             InTheorem("optimal-policy", "reward"),
         )),
    Slip("A3", "appendix B, DPO", "E", "choose alpha = 1 and zeta = pi_ref",
         "zeta = pi_ref, and alpha stays free", (
             Refuted("with alpha = 1 the prior pi_ref does not give DPO at another temperature",
                     written('name = "dpo-1"\nprior = "pi_ref(y)"\n[parameters]\n'
                             'beta = "positive"\n' + _PAIRWISE.format("beta"))),
             Computed("the DPO loss of a log-ratio gap of 1.7", temperatures),
             Recovered("with alpha free it does", catalogued("dpo")),
         )),
    Slip("A4", "after Lemma 1", "E", "the optimal q_Y is the marginal conditioned on X",
         "it is the unconditional marginal; conditioned on X the least divergence is 0", (
             InTheorem("mutual-information", "least"),
             InTheorem("mutual-information", "conditional"),
         )),
    Slip("A5", "sections 3 and 4", "E", "a prior of y alone in section 3, of y and x in section 4",
         "a prior free of x gives not even DPO; one that sees x leaves no mutual information", (
             Derived(Fact("one-prior", "A prior free of x can be the reference at two prompts only "
                          "where log-ratios of the reference agree: their difference must be",
                          Log(mass("pi_ref", W, _X) / mass("pi_ref", L, _X))
                          - Log(mass("pi_ref", W, _X1) / mass("pi_ref", L, _X1)), "=", S.Zero,
                          (_both_prompts,))),
             InTheorem("mutual-information", "conditional"),
         )),
    Slip("A6", "section 3.1", "G", "the reward is read off log(pi/zeta) at the best prior",
         "the best prior can be 0 on a response, where that is 0/0", (
             Computed("two prompts, three responses, exact conditions of optimality", lost_support,
                      told("{} exactly (sums at most 1, and 1 where the prior is positive)",
                           Standing.CALCULATED)),
         )),
    Slip("A7", "appendix A", "G", "the Lagrangian imposes only that probabilities sum to one",
         "also needed: pi ≥ 0 within the support of zeta, and a finite Z; the Gibbs identity "
         "settles both", (
             InTheorem("optimal-policy", "optimal"),
             InTheorem("optimal-policy", "infinite"),
         )),
    Slip("A8", "section 4", "G", "priors are stated up to proportionality",
         "only one factor, common to both responses of a pair, is harmless", (
             Derived(Fact("gamma", "With a normaliser for each label SimPO's gamma disappears",
                          margin("pi", mass("zeta_w", W), mass("zeta_l", L)), "=", MARGIN,
                          (_norm_w, _norm_l, _plus, _minus))),
             InTheorem("bradley-terry", "common-factor"),
             InTheorem("bradley-terry", "two-normalisers"),
             InTheorem("bradley-terry", "two-prompts"),
         )),
    Slip("A9", "section 4", "E", "the optimum derived for a fixed prior is used for priors that "
         "depend on the policy",
         "then the reward has a further term, which is constant only for some priors", (
             Derived(Fact("simpo", "With SimPO's prior varied along with the policy, the derivative"
                          " of the objective has the further term -alpha/n(y)",
                          Partial(_SIMPO, pi(Y)), "=",
                          r(Y) - ALPHA / _length(Y) * Log(pi(Y)) - ALPHA / _length(Y))),
             Computed("priors of section 4 that depend on the policy", self_referential),
         )),
    Slip("A10", "section 4", "G", "the same prior is held fixed and recovers the algorithm",
         "the algorithm's gradient needs the prior differentiated", (
             Derived(Fact("differentiated", "cEntropy's margin, its prior differentiated",
                          Partial(ALPHA * (_ETA * Log(pi(Y)) - Log(_reference(Y))), pi(Y)), "=",
                          ALPHA * _ETA / pi(Y))),
             Derived(Fact("held", "the same with the prior held", Partial(
                 ALPHA * Log(pi(Y) / zeta(Y)), pi(Y)), "=", ALPHA / pi(Y))),
         )),
    Slip("A11", "section 4, SimPO and TIS-DPO", "G", "labels follow an absolute criterion",
         "sufficient and not necessary: the offsets must sum to zero around every cycle", (
             Computed("a constant offset as one function of the response", chain_and_triangle),
             Derived(Fact("ties", "With the label as an input the probabilities of the two outcomes"
                          " fall short of one by",
                          1 - Sigmoid(_GAP - _GAMMA) - Sigmoid(-_GAP - _GAMMA), "=",
                          (Exp(2 * _GAMMA) - 1) * Sigmoid(_GAP - _GAMMA)
                          * Sigmoid(-_GAP - _GAMMA))),
         )),
    Slip("A12", "section 4", "G", "priors over all strings are taken to have finite mass",
         "some have only for some parameters, such as R-DPO's for a negative coefficient", (
             Computed("mass of pi_ref*exp(b*n) for exp(b) = 2 and a geometric length", growing_mass,
                      told("{} exactly", Standing.CALCULATED)),
             InTheorem("optimal-policy", "infinite"),
         )),
    Slip("A13", "section 4, SparsePO", "E", "the target is minus the margin",
         "the target is minus log sigmoid of the margin", (
             Refuted("as printed the target is not the loss of the prior", without_log_sigmoid),
             Computed("printed and right loss at the margins 1, 10, 100", unbounded),
             Recovered("with the log-sigmoid it is", catalogued("sparsepo")),
         )),
    Slip("A14", "section 4, TIS-DPO", "N", "a divergence between probabilities of one token",
         "it is between the laws of the next token", (
             Computed("the spec language on the printed form", numbers_have_no_divergence),
             Recovered("with laws the prior recovers TIS-DPO", catalogued("tis-dpo")),
         )),
    Slip("A15", "section 4, TDPO and TIS-DPO", "none", "opposite signs with opposite divergences",
         "both are right: each token's term is centred, once on the reference, once on the policy",
         (
             Derived(Fact("reference", "TDPO's term has mean 0 under the reference q",
                          Mean(_q, Y, _DELTA + Relative(_q, Y, _p)), "=", S.Zero,
                          (_law,))),
             Derived(Fact("policy", "TIS-DPO's has mean 0 under the policy p",
                          Mean(_p, Y, _DELTA - Relative(_p, Y, _q)), "=", S.Zero,
                          (_law_p,))),
         )),
    Slip("A16", "section 4, SimPO", "N", "offsets of the prior, hard to read in print",
         "plus and minus gamma/(2*alpha)", (
             Recovered("plus and minus gamma/(2*alpha) recover SimPO", catalogued("simpo")),
             Refuted("plus and minus gamma/2 do not", written(
                 'name = "simpo-half"\n'
                 'prior = "pi(y)**(1 - 1/len(y))*exp(by_label(gamma/2, -gamma/2))"\n'
                 '[parameters]\nalpha = "positive"\ngamma = "nonnegative"\n[target]\n'
                 'margin = "alpha/len(y_w)*log(pi(y_w)) - alpha/len(y_l)*log(pi(y_l)) - gamma"\n')),
         )),
    Slip("A17", "section 4, TDPO", "G", "TDPO is recovered",
         "that is TDPO1; TDPO2, the authors' default, weighs and detaches the divergences", (
             Recovered("the prior recovers TDPO1", catalogued("tdpo")),
             Refuted("it does not give TDPO2 with another weight c", written(
                 'name = "tdpo2"\n'
                 'prior = "pi_ref(y)*exp(-sum(kl(pi_ref, pi, y, t) for t in y))"\n'
                 '[parameters]\nalpha = "positive"\nc = "positive"\n[target]\n'
                 'margin = """alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))\n'
                 ' - alpha*c*(sum(kl(pi_ref, pi, y_l, t) for t in y_l)\n'
                 ' - sg(sum(kl(pi_ref, pi, y_w, t) for t in y_w)))"""\n')),
         )),
    Slip("A18", "section 5.1", "E", "a constraint in the regularised problem gives CPO and ORPO",
         "it changes the margin; CPO and ORPO are penalised preference losses", (
             InTheorem("constraints", "rl-margin"),
             InTheorem("constraints", "cpo"),
             InTheorem("constraints", "orpo"),
             InTheorem("theorem-7", "cross"),
         )),
    Slip("A19", "section 5.2", "E", "joint minimisation improves the loss; but for DICE the "
         "special cases use a fixed prior",
         "without restrictions nothing is gained, and most priors depend on the policy", (
             InTheorem("learned-prior", "every-score"),
             InTheorem("learned-prior", "every-policy"),
             InTheorem("learned-prior", "not-attained"),
             Computed("priors that depend on the policy", self_referential),
         )),
    Slip("A20", "section 4", "G", "priors that depend on the policy count as recoveries",
         "with those every loss -log sigmoid(f(y_w) - f(y_l)) has a prior", (
             InTheorem("theorem-4", "existence"),
             Computed("other links have none; how far psi = -log(exp(link) - 1) is from affine",
                      second_differences),
         )),
    Slip("A21", "section 4", "G", "parameters are not restricted",
         "at eta = 0 cEntropy's margin does not move with the policy, below 0 it moves backwards", (
             Derived(Fact("zero", "The derivative of cEntropy's margin at eta = 0",
                          ALPHA * _ETA / pi(Y), "=", S.Zero, (_at_zero,))),
             Derived(Fact("backwards", "and with -eta: minus the one with eta",
                          Partial(ALPHA * (-_ETA * Log(pi(Y)) - Log(_reference(Y))), pi(Y)), "=",
                          -(ALPHA * _ETA / pi(Y)))),
         )),
    Slip("A22", "section 4, cEntropy and SimPO", "N", "the data are called D_t",
         "the data are D; only DICE has rounds t", (
             ByReading("the displays of the two losses against their definitions"),
         )),
)


def checked() -> tuple[tuple[Slip, tuple[Finding, ...]], ...]:
    """Each slip with what its checks find."""
    return tuple((slip, slip.findings()) for slip in SLIPS)
