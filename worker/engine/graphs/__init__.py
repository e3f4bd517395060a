"""Transformers as ONNX graphs, written node by node: nothing is traced, so no length is baked in."""
