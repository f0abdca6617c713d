"""Encoders: the packaged one on ONNX Runtime, every other one by sentence-transformers."""
