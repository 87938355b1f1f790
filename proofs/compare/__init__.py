"""Two losses as one question, special cases, and the family of all.

comparison    how two losses differ
family        the family of losses: which one is which other's special or limiting case
fingerprint   numbers that two losses share up to a factor and a constant
found         what comparing two losses found
settings      special values
side_by_side  two losses as one question
specialise    what a loss becomes at special values, and whether it is then another loss
"""
