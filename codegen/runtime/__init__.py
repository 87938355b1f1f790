"""What kernels call: real functions, written into each file that calls them, or imported by it.

Their names start with _ or are constants, so that no local of a kernel is called like one; no two
are called alike. `bundle` writes them, with what they call, in order of definition.

    arguments     what a kernel refuses of its arguments
    blocks        kernels in Triton, a program for each row
    exponentials  exponentials that keep their digits, signs and gradients
    groups        the gradient with the loss, a few pairs at a time
    heads         a pass over logits that are made from hidden states
    logits        a pass over logits that are there
    loops         loops over the rows in C; rows.c is what they call
    observing     what trainers log of the logits, whatever the loss
    packing       layouts, padded and packed
    passes        one pass over the logits: statistics, and the gradient from theirs
    pieces        rows of logits a piece at a time, and memory for their tables
    rows          a pass whose kernels walk a row of logits each
    shards        a vocabulary in shards
    sums          sums over the tokens of each response and over pairs
    tables        tables of some rows of a vocabulary, and sums over their entries
    vocabulary    sums over a vocabulary that is there as a whole
"""
