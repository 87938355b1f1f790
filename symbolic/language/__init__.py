"""The user's language: its words, and reading a spec that a stranger wrote.

building  expressions made of expressions, within the vocabulary
calls     calls of the language: probabilities, features, lengths, sums, functions
nodes     atoms and functions as inert SymPy nodes
parser    text of a spec -> expression
peers     what the loss functions of other libraries compute
places    where an expression stands, and which names it may use there
signs     what values an expression can take
sizes     which numbers, exponents and fractions are bearable
spec      Spec: one algorithm, exactly as its TOML file says
table     the TOML table of a spec, read key by key
text      expression -> text of the spec language; reading it back gives the expression
toml      reading a TOML file that a stranger wrote
words     the vocabulary: one row a function
"""
