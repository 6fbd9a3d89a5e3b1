"""What the command ``inpaint`` is made of."""
