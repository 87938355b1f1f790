"""Answers for a reader: reports in LaTeX and HTML, pictures, a terminal.

    cited      results that classes and audits cite by number
    findings   what a section says beside the recovery
    html/      a report as one HTML page
    latex/     reports in LaTeX, and a TeX to set them
    narrative  what a report says about one spec in words
    notation  the signs of a report, and what each means
    pictures/  plots and drawings
    section    one spec with what is known of it: what a section of a report is made of
    terminal/  answers in a terminal: tables and mathematics, with rich
    worked     a refutation's witness as a worked example
"""
