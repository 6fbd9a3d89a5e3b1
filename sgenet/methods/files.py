"""What a released model's folder holds, see :mod:`sgenet.methods.release`; imports nothing."""

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
