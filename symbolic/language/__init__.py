"""The user's language: its words, and reading a spec that a stranger wrote.

    building  expressions made of expressions, within the vocabulary
    nodes   atoms and functions as inert SymPy nodes
    parser  text of a spec -> expression
    peers   what the loss functions of other libraries compute
    signs   what values an expression can take
    sizes   which numbers, exponents and fractions are bearable
    spec    Spec: one algorithm, exactly as its TOML file says
    text    expression -> text of the spec language; reading it back gives the expression
    toml    reading a TOML file that a stranger wrote
    words   the vocabulary: one row a function
"""
