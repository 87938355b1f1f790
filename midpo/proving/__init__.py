"""Code proved to compute a spec's loss: where the lifter and the proofs meet.

contracts  whether operators compute what they are declared to
deciding   one layout: value and gradient against the spec
elsewhere  code that was proved at small sizes, against the spec at others, by numbers
identify   which row of the catalogue code computes
kernels    our own kernels as code to be proved, backend by backend
proof      one function and one spec: bound, lifted, decided at each layout
"""
