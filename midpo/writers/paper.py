"""The paper whose framework this is, as BibTeX fields; and which fields say where a work stands."""

from __future__ import annotations

PAPER_FIELDS = {
    "author": "Tutunov, Rasul and Grosnit, Antoine and Bou-Ammar, Haitham",
    "title": "Many of Your DPOs are Secretly One: Attempting Unification Through Mutual Information",
    "journal": "arXiv:2501.01544",
    "year": "2025",
}
PLACE = ("journal", "booktitle", "publisher", "school", "institution", "howpublished", "note")
