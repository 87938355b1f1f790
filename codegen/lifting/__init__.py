"""PyTorch code to mathematics: a function of tensors, run on tensors of expressions.

The way back of this floor. Tensors whose entries are expressions of the language are interpreted
below torch's autograd, operation by operation; what comes out is the loss as an expression, and the
gradient that torch's own autograd computes from it. Importing these modules imports torch.

    autograd    the gradient that torch's autograd computes, paired with a direction
    axes        the token axis as segments, the vocabulary axis as one representative entry
    backward    rows: what autograd's formulas ask for
    calls       what code reads of tensors in Python: sizes, numbers, truth values
    contracts   what an operator is declared to compute, in its place
    indexing    rows: gather, masks and places
    layouts     the inputs of a loss as expressions
    lift        a function lifted, every path of it, twice
    movement    rows: views and copies, which move pointers
    numbers     constants as they are read, and Python numbers that remember an expression
    pointwise   rows: one meaning an entry
    reductions  rows: sums, means, maxima and what is made of them
    running     the two modes under which code runs, and the table of all rows
    tensor      the tensor: a buffer of expressions, and pointers into it
    trace       what is met on the way: operations, readings, hypotheses, paths, refusals
    truths      truth values of entries: comparisons and logic
"""
