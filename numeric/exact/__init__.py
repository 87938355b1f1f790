"""Exact problems on finite sets: optima, rate-distortion curves, fixed points, joint optima.

blahut         Blahut-Arimoto
bradley_terry  the Bradley-Terry maximum-likelihood value of preference counts
fixed_point    freeze the prior, solve, refresh
joint          the generalised loss over policies and priors
preferences    preference counts N(x
problems       small exact problems: the built-in ones, and those that a TOML file states
solved         what `midpo optimise` computes
tabular        exact problems on finite sets
"""
