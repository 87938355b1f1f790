"""The user's language: its words, and reading a spec that a stranger wrote.

    parser  text of a spec -> expression
    peers   what the loss functions of other libraries compute
    spec    Spec: one algorithm, exactly as its TOML file says
    text    expression -> text of the spec language; reading it back gives the expression
    toml    reading a TOML file that a stranger wrote
    words   the vocabulary
"""
