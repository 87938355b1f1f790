"""Answers for a reader: reports in LaTeX and HTML, pictures, a terminal.

cited      results that classes and audits cite by number
html/      a report as one HTML page
latex/     reports in LaTeX, and a TeX to set them
paper      the paper whose framework this is, as BibTeX fields
parts      what a section says around its claims, for LaTeX and HTML alike
narrative  what a report says about one spec in words
notation   the signs of a report, and what each means
pictures/  plots and drawings
section    one spec with what is known of it: what a section of a report is made of
terminal/  answers in a terminal: tables and mathematics, with rich
"""
