"""What is computed and in which form: lowering, stable sums, statistics of the vocabulary.

averages      averages of exponentials, whose logarithms are near 0
cancellation  sums whose terms cancel where a number is near a limit, as terms that do not
derivatives   derivatives of sums over the vocabulary in a log-probability
excess        sums over the vocabulary, counted from what they are where policies agree
exponentials  sums of multiples of exponentials
limits        limits that no form keeps
log_sums      logarithms of sums over the vocabulary
lower         canonical form -> a form that keeps its digits
metrics       what trainers log of a loss, one number a pair
needs         what a loss needs to be told of each policy, and all that its kernel takes
online        which sums over the vocabulary one pass over the logits gives
poles         what is divided by, and is 0 at a value of a parameter
stable        identities of sums that keep digits
statistics    what a loss needs to know of the logits at a position, and its gradient
"""
