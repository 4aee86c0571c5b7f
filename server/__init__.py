"""A gateway that serves versioned ONNX models and batches their requests on the CPU."""

__version__ = "0.1.0"
