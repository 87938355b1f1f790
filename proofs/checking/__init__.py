"""The checker: it replays a derivation, and finds and decides nothing.

cases  replays a proof by cells
check  replays a derivation
"""
