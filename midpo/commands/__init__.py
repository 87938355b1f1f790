"""The commands of the command line, a file each: options, and nothing decided.

audit     what a recovery does and does not mean
certify   recoveries as theorems for Coq
check     a kernel or a given function held against the spec
compare   how two losses differ
derive    the framework's own theorems
generate  the kernel of a spec's loss, as one file
list      the catalogue as a table
map       the family of losses
optimise  exact problems on finite sets
options   options that several commands have, each said once
paper     the paper, reproduced
prove     does this PyTorch function compute that loss?
report    the derivations as LaTeX and PDF, or as one page
show      the whole row of a spec
solve     the prior of a target, or why there is none
verify    does the prior recover the target?
"""
