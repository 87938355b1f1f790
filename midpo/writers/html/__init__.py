"""A report as one HTML page.

    family      the family map in a page: its drawing, in the page's colours
    page        a report as one HTML page that needs nothing else
    plots       a loss and an implicit reward as trees of numbers and knobs
    references  the references of a page, from the specs' BibTeX fields or free text, each once
    section     one spec as a section of a page
    standing    the claims of a section, each with what it rests on
    text        words and formulas of a page
    witness     a refutation's witness as a small worked example
"""
