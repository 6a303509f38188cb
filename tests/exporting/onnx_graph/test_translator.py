import jax
import jax.numpy as jnp
import pytest

from mst_jax.exporting.onnx_graph.translate_function import to_onnx

STRUCT = jax.ShapeDtypeStruct((3,), jnp.float32)


def test_what_depends_on_no_input_is_computed_during_the_export():
    weights = jnp.arange(9.0).reshape(3, 3)
    model = to_onnx(lambda x: (x + jnp.exp(weights.T).sum(0),), {"x": STRUCT}, ["y"])
    assert [node.op_type for node in model.graph.node] == ["Add", "Identity"]
    (constant,) = model.graph.initializer
    assert list(constant.dims) == [3]


def test_large_constants_are_not_stored():
    def function(x):
        return (x[:, None] + jnp.zeros((3, 1 << 20)),)

    model = to_onnx(function, {"x": STRUCT}, ["y"])
    assert model.ByteSize() < 1000


def test_unknown_operation_is_one_sentence():
    with pytest.raises(ValueError, match="'sort', which has no translation to ONNX"):
        to_onnx(lambda x: (jnp.sort(x),), {"x": STRUCT}, ["y"])
