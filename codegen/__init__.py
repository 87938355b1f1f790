"""How a machine computes it: stable forms and PyTorch source text.

backends      the backends: how one loss is computed from different inputs, by different roads
bundle        a kernel's file: its own lines, and what they call of the runtime
emit          spec -> Kernel: one self-contained Python file that imports only torch
header        what stands around a kernel's lines, in words
kernels/      a kernel's file around the lines of its loss
interpreting  Triton's interpreter, without what it does over and over
lifting/      the way back: PyTorch code to mathematics, on tensors of expressions
names         the user's names in generated text: they live where ours cannot be
plan/         what is computed and in which form
printing/     expressions as lines of Python, Triton and C
refusals      what a kernel refuses of its parameters
runtime/      what kernels call
seal          the seal of a generated file
statements/   lines of kernels as data
training/     what a training step around a kernel calls
"""
