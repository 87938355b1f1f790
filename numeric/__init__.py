"""What a thing is worth at a point: policies, evaluation, witnesses and cross-checks.

arithmetic  Kinds of numbers an expression can be evaluated in
case        a concrete case
checking/   a loss function held against a spec, in every way in which a trainer may call it
code/       the inputs of a loss function, as expressions and as numbers
closed      exact numbers as closed expressions
crossing    responses at which a margin's cross difference does not vanish
duals       exact first derivatives
evaluate    the value of an expression at a point, term by term as it is written
exact/      exact problems on finite sets
figures     figures as they are printed: the same on every processor
framework   random instances of the framework
lengths     lengths that a spec's own cuts and maxima ask for
linkage     is a loss a function of one separable margin, whatever the link?
null_sets   whether the zeros of a cut are a null set
slopes      how expressions move as the trained policy does, with stopped gradients held
ties        what a step is where its argument is 0
trees       small worlds on which everything can be computed
turns       values of parameters and features that a spec's own cuts and maxima ask for
witness     a smallest concrete case in which two expressions differ
"""
