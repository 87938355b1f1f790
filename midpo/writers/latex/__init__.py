"""Reports in LaTeX, and a TeX to set them.

claims        claims as items, an audit as a paragraph a topic
bibliography  the references of a report, from the specs' own BibTeX fields or free text
findings      the table of a cycle, and figures
fragment      a section to \\input into one's own paper
framework     the framework's theorems and the paper's slips as parts of a report
pieces        building blocks of a report
renaming      symbols under a reader's names
report        a report whole: its files, its preamble, its tables
sections      one spec as a section of a report
typeset       LaTeX -> PDF, by a pdflatex on the path, away from the user's files
worked        a refutation's witness as a worked example
"""
