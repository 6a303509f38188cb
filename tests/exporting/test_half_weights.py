import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from mst_jax.exporting.half_weights import store_as_float16


def test_values_stay_and_large_parameters_take_half_the_space():
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(64, 64)).astype(np.float16).astype(np.float32)
    inexact = rng.normal(size=(64, 64)).astype(np.float32)
    small = np.ones(3, np.float32)
    arrays = {"exact": exact, "inexact": inexact, "small": small}
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "exact"], ["a"]),
            helper.make_node("MatMul", ["a", "inexact"], ["y"]),
        ],
        "products",
        [helper.make_tensor_value_info("x", floats, [2, 64])],
        [helper.make_tensor_value_info("y", floats, [2, 64])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    x = rng.normal(size=(2, 64)).astype(np.float32)
    results, sizes = [], []
    for is_changed in (False, True):
        if is_changed:
            assert store_as_float16(model) == 1
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString()
        sizes.append(len(data))
        session = onnxruntime.InferenceSession(data)
        results.append(session.run(None, {"x": x})[0])
    np.testing.assert_array_equal(*results)
    assert sizes[0] - sizes[1] > 1.9 * exact.size
