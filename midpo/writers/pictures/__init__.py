"""Plots and drawings.

curves         the numbers behind a report's plots, in 50 digits
family         the family of losses as one SVG
family_layout  where the boxes and lines of a layered drawing stand
problems       pictures of an exact problem: policies, curves and residuals
plots          a report's plots, as SVG and PDF: the same input gives the same bytes
"""
