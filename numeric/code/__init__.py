"""The inputs of a loss function, as expressions and as numbers, and cases at which code differs.

arrays     values of formulas in float64, all positions at once
cases      random inputs of any size: laws, tokens, features, parameters
contracts  what an operator is declared to compute, at each position
heads      hidden states and heads, where sizes are concrete
holding    do contracts hold? Operators at random inputs
instances  an expression at concrete sizes
layout     what each argument of a function is given, entry by entry, for every size
places     positions, labels and directions as symbols
reader     the value of a lifted formula at a case
tangent    the derivative of an expression along a direction in which the policy moves
tensors    a layout at a case, as tensors
witness    the formula against the code itself, and a case at which code and spec differ
written    a case as a file that runs without midpo
"""
