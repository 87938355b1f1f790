"""How a machine computes it: stable forms and PyTorch source text."""
