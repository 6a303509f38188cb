import numpy as np
import pytest
from jax import export

from mst_jax.exporting.onnx_graph.graph_builder import GraphBuilder


def test_equal_nodes_and_constants_are_stored_once():
    graph = GraphBuilder()
    names = [graph.constant(np.ones(3, np.float32)) for _ in range(2)]
    assert names[0] == names[1] and len(graph.initializers) == 1
    assert graph.add("Neg", names[0]) == graph.add("Neg", names[0])
    assert graph.add("Neg", names[0]) != graph.add("Abs", names[0])
    assert len(graph.nodes) == 2


def test_constants_of_a_body_belong_to_the_outermost_graph():
    graph = GraphBuilder()
    body = GraphBuilder(graph)
    name = body.constant(np.ones(3))
    assert list(graph.initializers) == [name] and not body.initializers
    assert body.new_name("x") != graph.new_name("x")


def test_size_that_onnx_cannot_compute_is_refused():
    (b,) = export.symbolic_shape("b")
    graph = GraphBuilder()
    graph.declare_sizes("x", (b,))
    graph.size(2 * b + 1)
    with pytest.raises(ValueError, match="export with fixed sizes"):
        graph.size(b // 3)


def test_nodes_have_different_names():
    graph = GraphBuilder()
    for number in range(3):
        graph.add("Neg", graph.integers([number]))
    names = [node.name for node in graph.nodes]
    assert all(names) and len(set(names)) == 3
