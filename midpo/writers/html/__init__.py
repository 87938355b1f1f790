"""A report as one HTML page.

page        a report as one HTML page that needs nothing else
plots       a loss and an implicit reward as trees of numbers and knobs
references  the references of a page, from the specs' BibTeX fields or free text, each once
section     one spec as a section of a page
standing    claims on a page, each with a mark for its standing
text        words and formulas of a page
witness     a refutation's witness as a small worked example
"""
