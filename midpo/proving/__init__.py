"""Code proved to compute a spec's loss: where the lifter and the proofs meet.

identify  which row of the catalogue code computes
proof     one function and one spec: bound, lifted, tested, decided
"""
