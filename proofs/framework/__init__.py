"""The paper's own theorems, derived, replayed and held against instances; and its slips.

information       Lemma 1 of the paper with the right marginal
optimum           Appendix A and A.1 of the paper
prior             Sections 5.1 and 5.2 of the paper: constraints, and optimising the prior
representability  Theorems 1 to 8: which losses have a prior
slip_checks       how a slip of the paper is checked
slips             the paper's slips
theorem           Theorems of the framework as data
theorems          the framework's theorems: all of them, and each by its name
"""
