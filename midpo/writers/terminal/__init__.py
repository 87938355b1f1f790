"""Answers in a terminal: tables and mathematics, with rich.

answers       what verify and solve answer
audit         an audit, in lines of at most WIDTH columns
certificates  what Coq says of recoveries
checks        what check and paper answer
code          what prove says of a function
comparison    how two losses differ
pieces        what the pieces of an answer look like
problems      what optimise computed
specs         the catalogue and a row of it
theorems      the framework's theorems, and the paper's slips
"""
