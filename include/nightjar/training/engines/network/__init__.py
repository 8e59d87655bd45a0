"""Neural networks by PyTorch, scored as ONNX graphs."""
