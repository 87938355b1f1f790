"""A loss function held against a spec, in every way in which a trainer may call it.

adapting    a kernel of any backend as a function of logits
binding     how the arguments of a loss function are bound to what a spec speaks of: by name
calling     one call of a loss function
composing   what an argument is made of that is none of a batch's own things
crosscheck  a function held against the spec
found       what a check is held against and what it found
holding     one function called on batches, and judged
judging     is what a call gave what the oracle says? Errors in units
logged      what a kernel logs beside the loss, said again from the spec and compared
oracle      what the oracle says of one batch
policies    random batches to hold a kernel against
ranks       processes that share a vocabulary, as threads of one
reading     the inputs that an evaluation reads, and their rounding errors
tape        numbers that remember how they were made
truths      truths that are kept: one batch has one truth
ways        the ways in which a trainer calls a loss; a check takes each of them
"""
