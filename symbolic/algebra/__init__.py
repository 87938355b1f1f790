"""Arithmetic in the field of an expression's atoms, normal forms, and proofs by cells.

cells       cells: regions on which the signs of some expressions, the cuts, are known
derivative  the chain rule, and the slopes of each word's row
equality    equality in the field of an expression's atoms, by SymPy's own arithmetic
factor      factors of a polynomial in an expression's atoms
interior    cells without interior, by a linear combination of their facts
linear      linear programming in exact arithmetic
logistic    is a loss a log-sigmoid one in disguise, -factor*log sigmoid(m) + constant?
normal      the normal form
polynomial  arithmetic in the field of an expression's atoms
quotients   one form for quotients under exponentials and sums
separable   is this expression f(y_w) - g(y_l) in disguise? Candidates for the two functions
shapes      other ways to write an expression, in which its structure may be seen
signs       expressions with the same sign: what growing functions leave of it
splitting   finds proofs by cells, and the form of sums whose bodies have cells
"""
