"""A gateway that serves ONNX models, batches requests, mirrors traffic and watches for drift."""

__version__ = "0.1.0"
