"""What a thing is: the user's language, the generalised loss, and rewriting to a normal form.

algebra/       arithmetic in the field of an expression's atoms, normal forms
domains/       where numbers lie
ending         an end to what nobody can bound
errors         errors a user sees: what is wrong, where, what was expected, what is near
formula/       expressions as mathematics on a page: LaTeX, MathML, a terminal's line
framework/     the vocabulary of the paper's framework
language/      the user's language: its words, and reading a spec that a stranger wrote
loss           the generalised loss -log sigmoid(m), and the margin through a prior
representable  what a prior depends on, and the prior that a separable margin needs
rewriting/     rewrites as theorems with conditions, and derivations that use them
work           a bound on work that is counted, not timed
"""

import os

VERSION = "0.1.0"

# SymPy remembers 1,000 expressions unless it is told otherwise before it is imported; a normal form
# has more parts than that, and each one forgotten is built again.
os.environ.setdefault("SYMPY_CACHE_SIZE", "200000")
