"""How tightly text binds, and how long it may be."""

from __future__ import annotations

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)
EXPONENT = 60  # exp of it is far beyond any bound, and far below float32's largest number
LONG = 72  # an argument or term longer than this gets a line of its own
