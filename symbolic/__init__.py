"""What a thing is: the user's language, the generalised loss, and rewriting to a normal form.

Imports SymPy only.
"""

import os

VERSION = "0.1.0"

# SymPy remembers 1,000 expressions unless it is told otherwise before it is imported; a normal form
# has more parts than that, and each one forgotten is built again.
os.environ.setdefault("SYMPY_CACHE_SIZE", "200000")
