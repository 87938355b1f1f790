"""What a training step around a kernel calls, written into a file as the runtime's functions are.

models      a model's hidden states and output head, where its forward has them whole
preference  what a DPOTrainer of TRL becomes by a kernel
responses   a loss of log-probabilities of tokens, as NeMo-RL calls it
sequences   a loss of log-probabilities, as trainers hold them who ask for a module
steps       the loss of a batch of token ids under a model and its reference
"""
