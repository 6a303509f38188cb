"""Translate a JAX function of arrays to an ONNX model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from mst_jax.exporting.onnx_graph.array_operations import ARRAY_OPERATIONS
from mst_jax.exporting.onnx_graph.elementwise_operations import ELEMENTWISE_OPERATIONS
from mst_jax.exporting.onnx_graph.graph_builder import GraphBuilder, is_static
from mst_jax.exporting.onnx_graph.index_operations import INDEX_OPERATIONS
from mst_jax.exporting.onnx_graph.loop_operations import LOOP_OPERATIONS
from mst_jax.exporting.onnx_graph.shape_operations import SHAPE_OPERATIONS
from mst_jax.exporting.onnx_graph.translated_value import TranslatedValue
from mst_jax.exporting.onnx_graph.translator import Translator
from mst_jax.extras import needs_extra

with needs_extra("export"):
    import onnx
    from onnx import helper

# Reductions take their axes as an input since version 18.
OPSET = 18
OPERATIONS = {
    **ARRAY_OPERATIONS,
    **ELEMENTWISE_OPERATIONS,
    **INDEX_OPERATIONS,
    **LOOP_OPERATIONS,
    **SHAPE_OPERATIONS,
}


def to_onnx(
    function: Callable[..., Sequence[jax.Array]],
    inputs: Mapping[str, jax.ShapeDtypeStruct],
    output_names: Sequence[str],
    *,
    half_products: bool = False,
) -> onnx.ModelProto:
    """Translate a function to an ONNX model.

    Args:
        function: Takes arrays, returns a sequence of arrays; its parameters are
            constants in it.
        inputs: Name -> shape and dtype of each argument, in order; shapes may have
            symbolic sizes (`jax.export.symbolic_shape`).
        output_names: Names of the results, in order.
        half_products: Whether matrix products are computed in float16.

    Raises:
        UntranslatableError: The function has an operation without translation.
    """
    program = jax.make_jaxpr(function)(*inputs.values())
    graph = GraphBuilder()
    arguments = []
    for name, struct in inputs.items():
        graph.declare_sizes(name, struct.shape)
        shape = tuple(struct.shape)
        arguments.append(TranslatedValue(shape, shape, np.dtype(struct.dtype), name))
    translator = Translator(graph, OPERATIONS, half_products=half_products)
    results = translator.translate(program, arguments)
    output_types = []
    for name, value in zip(output_names, results, strict=True):
        full_name = value.full_name(graph)
        graph.nodes.append(helper.make_node("Identity", [full_name], [name], name=name))
        output_types.append(_declare(name, value.shape, value.dtype))
    onnx_graph = helper.make_graph(
        graph.nodes,
        "mst_jax",
        [_declare(name, s.shape, s.dtype) for name, s in inputs.items()],
        output_types,
        list(graph.initializers.values()),
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(
        onnx_graph, opset_imports=[opset], ir_version=8, producer_name="mst_jax"
    )


def _declare(name: str, shape: Sequence[Any], dtype: Any) -> onnx.ValueInfoProto:
    """Return the declaration of an input or output; symbolic sizes are named."""
    element_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    dims = [int(dim) if is_static(dim) else str(dim) for dim in shape]
    return helper.make_tensor_value_info(name, element_type, dims)
