import numpy as np
from jax import export

from mst_jax.exporting.onnx_graph.graph_builder import GraphBuilder
from mst_jax.exporting.onnx_graph.translated_value import (
    TranslatedValue,
    broadcast_shapes,
)


def test_shapes_broadcast_as_in_numpy():
    (b,) = export.symbolic_shape("b")
    assert broadcast_shapes([(1, 3), (2, 1), ()]) == (2, 3)
    assert broadcast_shapes([(b, 1), (1, 4)]) == (b, 4)


def test_node_broadcasts_only_on_demand():
    graph = GraphBuilder()
    value = TranslatedValue((2, 3), (1, 3), np.dtype(np.float32), "x")
    assert value.stored_name(graph) == "x" and not graph.nodes
    assert value.full_name(graph) != "x"
    assert [node.op_type for node in graph.nodes] == ["Expand"]


def test_constant_broadcasts_without_a_node():
    graph = GraphBuilder()
    value = TranslatedValue.from_array(np.ones((1, 3), np.float32), (2, 3))
    assert value.broadcast(graph).stored_shape == (2, 3) and not graph.nodes
