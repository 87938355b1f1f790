"""Which gradient a loss has, with its prior differentiated, frozen, or detached in part.

answers  what an audit says of the gradient
cosine   how far apart are the gradients with the prior differentiated and with it frozen?
curl     is the field that a frozen prior gives the gradient of a loss? Its Jacobian tells
outer    the loss as a function of the generalised margin
pair     the gradients of one pair's margin and loss
"""
