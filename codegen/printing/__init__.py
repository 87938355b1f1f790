"""Expressions as lines of Python, Triton and C: nodes, which `statements` prints.

blocks    expression -> nodes inside a kernel that walks a row of logits in blocks
body      the lines that compute the loss of each pair
chunks    the two functions of a kernel that see logits
extrema   maxima and minima
gradient  the gradient of one pass over the logits
keeping   functions that keep their digits
memory    what the lines of a pass make in which memory
native    the lines of a kernel's rows as statements of C
printer   expression -> nodes for PyTorch, at a level of indexing
rows      the kernels of one pass over the logits
scribe    what the printer of a kernel's body does for those that it asks
shapes    which form an expression has
tables    sums over tables of some rows of the vocabulary
writing   what printers share: names, signs, words, numbers
"""
