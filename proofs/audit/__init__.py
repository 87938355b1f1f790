"""What a recovery does not mean: gradient, optimum, normalisation, domain, labels.

audit        what "recovered" hides: an audit of a spec's prior
bounds       which priors have a finite mass over all strings, and its bound
calculus     how an expression moves with the policy: the rows of its gradient, symbolically
correction   the correction -alpha*T[pi] of proposition 2.1
domain       where is the objective empty, reversed or undefined?
fixed_point  what the usual reward expression does describe
formulas     gradients and corrections written down, for a terminal and in LaTeX
gradient/    which gradient a loss has
labels       does the prior depend on the label, and what must the comparisons satisfy then?
mass         can the prior be normalised over all finite strings, and does Z exist?
optimum      is r = alpha*log(pi/zeta) + c true at the true optimum
regulariser  has alpha*log(pi/zeta) any regulariser
shape        a prior as a product over tokens of powers of laws
side         one function zeta(y) to audit
words        formulas within sentences
"""
