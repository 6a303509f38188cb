"""Translation of JAX programs (jaxprs) to ONNX graphs."""
