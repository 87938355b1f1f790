"""Expressions as mathematics on a page: a small tree, and what is read off it.

signs     the signs that a formula is written with: LaTeX, character and width, a row each
tree      laid-out mathematics: signs, rows, fractions, scripts, brackets, cases
write     expression -> formula: order, brackets, notation
terms     the loss, the margin and the prior as formulas, of which reports speak again and again
latex     formula -> LaTeX
characters  formula -> one line of characters
width     how wide a formula is
standing  how a statement is known: the kinds, and the word of each
told      a text of an answer that knows its formulas, the results it cites and its standing
renamed   symbols under other names
layout    a formula too wide for one line, over several lines or cut into pieces
displays  definitions as one display for notebooks
notebook  answers for notebooks, as small tables in HTML
mathml    formula -> presentation MathML
"""
