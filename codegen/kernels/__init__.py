"""A kernel's file as nodes: its function, and what it computes statistics with.

chunked    from statistics: the backends that walk the logits in chunks
documents  what a file and a function say of themselves
frame      what all kernels have: arguments, what they refuse, what they return
linear     from hidden states and output heads, a few pairs at a time
passes     one pass over the logits: its two functions, and its plan
steps      what calls a kernel where people train
whole      written out: from logits by autograd, or from log-probabilities of labels
"""
