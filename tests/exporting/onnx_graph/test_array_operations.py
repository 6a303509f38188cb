import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from mst_jax.exporting.onnx_graph.translate_function import to_onnx
from tests.helpers.onnx_functions import assert_same_as_onnx, run_as_onnx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
KERNELS = RNG.normal(size=(4, 5, 2, 3)).astype(np.float32)
KERNEL = RNG.normal(size=(2, 2, 5, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.sum(1), x.max((0, 2)), x.min(-1, keepdims=True), x.prod(0)),
        lambda x: ((x > 0).any((1, 2)), (x > -1).all(3)),
        lambda x: (x.argmax(2), x.argmin(-1), jnp.cumsum(x, axis=1)),
        lambda x: jax.nn.softmax(x, axis=(-2, -1)),
        lambda x: tuple(jax.lax.top_k(x, 3)),
    ],
)
def test_reductions(function):
    assert_same_as_onnx(function, X, rtol=1e-5)


def test_first_of_equal_entries_is_the_highest():
    scores = np.array([[1, 3, 3, 0, 3, 1]], np.float32)
    assert_same_as_onnx(lambda x: (*jax.lax.top_k(x, 5), x.argmax(1)), scores)


@pytest.mark.parametrize(
    "pattern", ["bnc,cd->bnd", "bnc,dc->bnd", "bnc,bmc->bnm", "nbc,bcn->b", "bnc,n->bc"]
)
def test_products(pattern):
    sizes = dict(b=2, n=3, m=4, c=5, d=6)
    left, right = pattern.partition("->")[0].split(",")
    arrays = [
        RNG.normal(size=[sizes[axis] for axis in term]).astype(np.float32)
        for term in (left, right)
    ]
    assert_same_as_onnx(lambda x, y: jnp.einsum(pattern, x, y), *arrays, rtol=1e-5)


def test_products_with_merged_axes_and_constants():
    def function(x):
        heads = jnp.einsum("bncd,cdae->bnae", x, KERNELS)
        return heads, jnp.einsum("bnae,bmae->banm", heads, heads)

    assert_same_as_onnx(function, X, rtol=1e-5, atol=1e-5)


def test_convolution_and_pooling():
    def function(x):
        convolved = jax.lax.conv_general_dilated(
            *(x, KERNEL, (2, 1), ((0, 1), (1, 0))),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        padding = ((1, 1), (1, 1))
        return convolved, nn.max_pool(x, (3, 3), strides=(2, 2), padding=padding)

    assert_same_as_onnx(function, X, rtol=1e-5, atol=1e-5)


def test_half_products_spare_those_of_the_highest_precision():
    def function(x):
        highest = jnp.einsum("nc,mc->nm", x, x, precision=jax.lax.Precision.HIGHEST)
        return x @ x.T, highest

    inputs = {"x": jax.ShapeDtypeStruct((3, 40), jnp.float32)}
    model = to_onnx(function, inputs, ["half", "full"], half_products=True)
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    products = [n for n in model.graph.node if n.op_type == "MatMul"]
    assert [types[node.output[0]] for node in products] == [
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
    ]
    tokens = RNG.normal(size=(3, 40)).astype(np.float32)
    # onnxruntime computes float16 products in float32 on a CPU.
    for result in run_as_onnx(function, tokens, half_products=True):
        np.testing.assert_allclose(result, tokens @ tokens.T, rtol=1e-2, atol=1e-2)


def test_transposed_convolution_is_refused():
    def function(x):
        return (
            jax.lax.conv_general_dilated(
                *(x, KERNEL, (1, 1), ((1, 1), (1, 1))),
                lhs_dilation=(2, 2),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            ),
        )

    inputs = {"x": jax.ShapeDtypeStruct(X.shape, X.dtype)}
    with pytest.raises(ValueError, match="--format stablehlo"):
        to_onnx(function, inputs, ["y"])
