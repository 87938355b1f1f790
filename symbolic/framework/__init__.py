"""The vocabulary of the paper's framework: laws, rewards, sums and derivatives on finite sets.

hypothesis  a hypothesis of a theorem as a row, so that its steps are checked
rules       FRAMEWORK
words       the vocabulary of the framework
"""
