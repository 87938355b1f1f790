"""Why it is so: recoveries as derivations, audits, comparisons, and certificates.

account/    what is claimed, and on what standing
audit/      what a recovery does not mean: gradient, optimum, normalisation, domain, labels
certify/    recoveries and refutations as theorems for Coq's kernel
checking/   the checker: it replays a derivation, and finds and decides nothing
code/       does code compute a spec's loss?
compare/    two losses as one question, special cases, and the family of all
framework/  the paper's own theorems
recover/    which prior gives which loss: proved, refuted with a case, or undecided
"""
