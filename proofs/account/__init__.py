"""What is claimed of a spec, and on what standing: made once from results, written by many.

account   all that is claimed of a spec, from what was asked of it
check     what the numbers say of a kernel
claim     a statement with its standing, and the claims of one topic
code      what code is found to compute
comparison  how two losses differ
recovery  whether the prior recovers the target
solution  which prior gives the target
source    where the formulas come from
"""
