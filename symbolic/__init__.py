"""What a thing is: the user's language, the generalised loss, and rewriting to a normal form.

Imports SymPy only.
"""

VERSION = "0.1.0"
