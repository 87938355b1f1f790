"""Where numbers lie: intervals, whole numbers, positive priors, and conditions that say something.

cases      a case at which an expression is not positive, looked for exactly
constants  between which whole numbers a closed expression lies
definite   the sign of a polynomial in one number over all that the number may be
intervals  intervals of real numbers: the domains of parameters and data
minimal    conditions without what the others say already: beta > 0 makes beta != 0 needless
needs      conditions that say something
positive   a prior is positive: seen to be, on a condition, or it is none
whole      what takes whole values: lengths, positions, counts, and polynomials of them
written    domains as a spec writes them
"""
