"""Expressions as lines of Python, Triton and C.

    blocks    expression -> text inside a kernel that walks a row of logits in blocks
    breaking  long statements on several lines, broken where their structure is
    chunks    the two functions of a kernel that see logits
    keeping   text of functions that keep their digits
    levels    how tightly text binds, and how long it may be
    native    the lines of a kernel's rows -> statements of C
    printer   expression -> PyTorch text, at a level of indexing
    rows      the kernels of one pass over the logits
    scribe    what the printer of a kernel's body does for the tables of text that it reads
"""
