"""Trained models as files that other runtimes run: ONNX, and the programs of torch.export."""
