"""Expressions as mathematics on a page: a small tree, and what is read off it.

    signs     the signs that a formula is written with: LaTeX, character and width, a row each
    tree      laid-out mathematics: signs, rows, fractions, scripts, brackets, cases
    write     expression -> formula: order, brackets, notation
    terms     the loss, the margin and the prior as formulas, of which reports speak again and again
    latex     formula -> LaTeX
    width     how wide a formula is
    told      a text of an answer that knows its formulas
    renamed   symbols under other names
    layout    a formula too wide for one line, broken into several
    breaking  a formula that is there whole, broken into lines or pieces
    sentence  words with formulas in them
    displays  definitions as one display for notebooks
    notebook  answers for notebooks, as small tables in HTML
    mathml    formula -> presentation MathML
    unicode   expression -> one line of mathematics for a terminal, in Greek letters and signs
"""
