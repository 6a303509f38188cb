"""The formula of `analytic_network` as an ONNX model, for pages without a server."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save


def write_analytic_onnx(path: Path, size: int) -> Path:
    """Write the ONNX model of `analytic_model` for images of one size.

    Args:
        path: File to write.
        size: Height and width of the images in pixels.

    Returns:
        The path.
    """
    column = np.arange(size, dtype=np.float32)
    constants = {
        "row": column[None, None, :, None],
        "column": column[None, None, None, :],
        "slope": np.asarray(np.float32(-1 / (2 * (0.12 * size) ** 2))),
        "trend": (2 * (column / size - 0.5) - 2)[None, None].astype(np.float32),
        **{
            f"v{value}": np.asarray(np.float32(value))
            for value in (9, -9, 0, 1, -1, 2, 3, 0.5)
        },
        "axes_3": np.array([3]),
        "ones_3": np.array([1, 1, 1]),
        "axes_1": np.array([1]),
    }
    nodes = [
        # 1. A bump around each click, positive or negative.
        ("Split", ["clicks", "ones_3"], ["y", "x", "label"], {"axis": 2}),
        ("Unsqueeze", ["y", "axes_3"], ["y4"], {}),
        ("Unsqueeze", ["x", "axes_3"], ["x4"], {}),
        ("Sub", ["row", "y4"], ["dy"], {}),
        ("Sub", ["column", "x4"], ["dx"], {}),
        ("Mul", ["dy", "dy"], ["dy2"], {}),
        ("Mul", ["dx", "dx"], ["dx2"], {}),
        ("Add", ["dy2", "dx2"], ["distance2"], {}),
        ("Mul", ["distance2", "slope"], ["exponent"], {}),
        ("Exp", ["exponent"], ["bump"], {}),
        ("Equal", ["label", "v1"], ["is_positive"], {}),
        ("Equal", ["label", "v-1"], ["is_empty"], {}),
        ("Where", ["is_empty", "v0", "v-9"], ["negative_sign"], {}),
        ("Where", ["is_positive", "v9", "negative_sign"], ["sign"], {}),
        ("Unsqueeze", ["sign", "axes_3"], ["sign4"], {}),
        ("Mul", ["sign4", "bump"], ["hills_of_clicks"], {}),
        ("ReduceSum", ["hills_of_clicks", "axes_1"], ["hills"], {"keepdims": 0}),
        # 2. Image, previous mask and column.
        ("ReduceMean", ["image"], ["gray"], {"axes": [3], "keepdims": 0}),
        ("Sub", ["gray", "v0.5"], ["gray_part"], {}),
        ("Mul", ["gray_part", "v3"], ["gray_logits"], {}),
        ("Sub", ["prev_mask", "v0.5"], ["mask_part"], {}),
        ("Mul", ["mask_part", "v2"], ["mask_logits"], {}),
        ("Sum", ["hills", "gray_logits", "mask_logits", "trend"], ["logits"], {}),
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, *ends, **options) for op, *ends, options in nodes],
        "analytic",
        [
            helper.make_tensor_value_info("image", floats, ["b", size, size, 3]),
            helper.make_tensor_value_info("clicks", floats, ["b", "k", 3]),
            helper.make_tensor_value_info("prev_mask", floats, ["b", size, size]),
        ],
        [helper.make_tensor_value_info("logits", floats, ["b", size, size])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path
