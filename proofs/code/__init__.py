"""Does code compute a spec's loss? The claim, its proof, and the answer.

answer     what is found of a function, and on what terms
certified  what was proved of code's value, as a theorem for Coq
claim      a lifted function beside the spec: losses and slopes as pairs of expressions
deciding   a derivation from one expression to another, replayed by the checker
nearly     equal but for a factor, a constant or guards
readable   a lifted loss as people write it
sharing    what two expressions share, as unknowns
sums       sums of exponentials, as unknowns
ways       the ways in which two expressions are shown to be equal
"""
