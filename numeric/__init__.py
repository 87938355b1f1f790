"""What a thing is worth at a point: policies, evaluation, witnesses and cross-checks.

Imports `symbolic` only.
"""
