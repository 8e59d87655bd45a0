"""Models of a use case's own, trained by its ``model.py`` and scored as ONNX graphs."""
