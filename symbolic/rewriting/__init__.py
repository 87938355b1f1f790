"""Rewrites as theorems with conditions, and derivations that use them.

counting     rows of RULES for sums over positions
derivation   a derivation: a chain of equalities as data
field        rows of RULES for exponentials, and logarithms and roots of polynomials in them
homogeneous  rows of RULES for factors that maxima and powers of sums take in
maxima       rows of RULES for maxima, which become steps
products     logarithms of products and of whole numbers: parts for RULES
rule         rule: one rewrite as a theorem with its condition
rules        RULES: every rewrite that a derivation may use, one row each
series       rows of RULES for sums over positions that have a closed form
steps        rows of RULES for steps
"""
