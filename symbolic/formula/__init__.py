"""Expressions as mathematics on a page: LaTeX, MathML, a terminal's line.

    displays  what a spec states, and what a loss is a function of, as LaTeX
    glyphs    the width of a formula, estimated by counting the glyphs of its LaTeX
    latex     expression -> LaTeX
    layout    a formula too wide for one line, broken into several
    mathml    LaTeX as presentation MathML
    unicode   expression -> one line of mathematics for a terminal, in Greek letters and signs
"""
