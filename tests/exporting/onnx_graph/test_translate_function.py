import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
from jax import export

from mst_jax.exporting.onnx_graph.translate_function import OPSET, to_onnx


def test_names_and_sizes_of_inputs_and_outputs():
    (b,) = export.symbolic_shape("b")
    inputs = {
        "left": jax.ShapeDtypeStruct((b, 2), jnp.float32),
        "right": jax.ShapeDtypeStruct((b, 2), jnp.float32),
    }
    model = to_onnx(lambda x, y: (x - y, x), inputs, ["difference", "same"])
    assert model.opset_import[0].version == OPSET >= 17
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [x.name for x in session.get_inputs()] == ["left", "right"]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [
        ("difference", ["b", 2]),
        ("same", ["b", 2]),
    ]
    for num_examples in (1, 3):
        left, right = np.ones((2, num_examples, 2), np.float32) * [[[3]], [[1]]]
        left, right = left.astype(np.float32), right.astype(np.float32)
        difference, same = session.run(None, {"left": left, "right": right})
        np.testing.assert_array_equal(difference, left - right)
        np.testing.assert_array_equal(same, left)
