"""Store the parameters of an ONNX model as float16 where no value changes."""

import numpy as np

from mst_jax.extras import needs_extra

with needs_extra("export"):
    import onnx
    from onnx import numpy_helper

_MIN_VALUES = 1024  # smaller parameters save nothing
_SUFFIX = "_float16"


def store_as_float16(model: onnx.ModelProto) -> int:
    """Replace float32 parameters by float16 ones that the model converts back, in place.

    The model computes in float32 with the same values as before: parameters with a value
    that float16 does not have stay as they are. The file is up to half as large.

    Args:
        model: Model with its parameters inside.

    Returns:
        Number of parameters that were replaced.
    """
    casts = []
    for parameter in model.graph.initializer:
        if parameter.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(parameter)
        with np.errstate(over="ignore"):
            half_values = values.astype(np.float16)
        is_exact = np.array_equal(half_values.astype(np.float32), values)
        if values.size < _MIN_VALUES or not is_exact:
            continue
        name = parameter.name
        parameter.CopyFrom(numpy_helper.from_array(half_values, name + _SUFFIX))
        cast = onnx.helper.make_node(
            "Cast", [name + _SUFFIX], [name], name=name, to=onnx.TensorProto.FLOAT
        )
        casts.append(cast)
    # Before all nodes that use the parameters: the nodes of a graph are in order.
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return len(casts)
