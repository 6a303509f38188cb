"""Run JAX functions as ONNX models."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime

from mst_jax.exporting.onnx_graph.translate_function import to_onnx


def run_as_onnx(function, *arrays, structs=None, half_products=False):
    """Translate a function to ONNX and return its results from onnxruntime.

    Args:
        function: Takes arrays, returns a tuple of arrays.
        *arrays: Arguments.
        structs: Shapes and dtypes with symbolic sizes; None = those of the arrays.
        half_products: Whether matrix products are computed in float16.
    """
    if structs is None:
        structs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
    names = [f"input{i}" for i in range(len(arrays))]
    num_outputs = len(jax.eval_shape(function, *structs))
    model = to_onnx(
        function,
        dict(zip(names, structs, strict=True)),
        [f"output{i}" for i in range(num_outputs)],
        half_products=half_products,
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, map(np.asarray, arrays), strict=True)))


def assert_same_as_onnx(function, *arrays, structs=None, rtol=1e-6, atol=1e-6):
    """Assert that a function has the same results in JAX and in ONNX.

    Args:
        function: Takes arrays, returns an array or a tuple of arrays.
        *arrays: Arguments.
        structs: Shapes and dtypes with symbolic sizes; None = those of the arrays.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
    """

    def compute_tuple(*arrays):
        results = function(*arrays)
        return results if isinstance(results, tuple) else (results,)

    expected = compute_tuple(*map(jnp.asarray, arrays))
    actual = run_as_onnx(compute_tuple, *arrays, structs=structs)
    assert len(actual) == len(expected)
    for onnx_result, jax_result in zip(actual, expected, strict=True):
        jax_result = np.asarray(jax_result)
        assert onnx_result.dtype == jax_result.dtype
        np.testing.assert_allclose(onnx_result, jax_result, rtol=rtol, atol=atol)
