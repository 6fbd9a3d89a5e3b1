"""The search for the weights of the losses and the thresholds τ: its space, its plan, what it found."""
