"""Code proved to compute a spec's loss: where the lifter and the proofs meet.

contracts  whether operators compute what they are declared to
identify   which row of the catalogue code computes
proof      one function and one spec: bound, lifted, tested, decided
"""
