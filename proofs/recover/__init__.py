"""Which prior gives which loss: proved, refuted with a case, or undecided.

anatomy     a target taken apart: weight * link(margin) + term
classes     the class of a target that has a prior, and the theorem behind it
conditions  what a statement leaves out
diagnosis   what is off: a refuted recovery in one sentence
display     a recovery as one display for notebooks
gradients   are gradients equal too, where gradients are stopped?
levels      can one prior serve both roles on given comparisons?
links       is a link an affine log-sigmoid one, -c*log sigmoid(a*m + b) + d with c > 0?
needless    a prior less what it is written with and does not need
positive    where is an expression positive: everywhere, nowhere, or under which conditions?
problem     what is compared: the margins, or the losses, of a target and of a prior
recovery    does this prior recover that target? A derivation, a witness, or neither
solution    which prior gives this loss? The prior, its class, or the theorem
solved      what solve answers
words       expressions within sentences
"""
