"""A value of a JAX program in an ONNX graph."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mst_jax.exporting.onnx_graph.graph_builder import Dim, GraphBuilder, is_static


class UntranslatableError(ValueError):
    """A JAX program contains an operation that has no translation to ONNX."""

    def __init__(self, operation: str) -> None:
        """Create the error.

        Args:
            operation: What the program does, such as "a transposed convolution".
        """
        super().__init__(
            f"the model uses {operation}, which has no translation to ONNX; "
            "use --format stablehlo"
        )


@dataclasses.dataclass(frozen=True)
class TranslatedValue:
    """A constant, or the output of a node.

    An axis that JAX broadcasts stays 1 here until a node needs all its entries: the
    elementwise operators of ONNX broadcast on their own.

    Attributes:
        shape: Sizes of the axes in JAX.
        stored_shape: Sizes of the axes in ONNX; 1 on axes that are still to broadcast.
        dtype: NumPy type.
        name: Name in the graph; None for a constant that no node uses yet.
        array: [stored_shape] the constant; None for the output of a node.
    """

    shape: tuple[Dim, ...]
    stored_shape: tuple[Dim, ...]
    dtype: np.dtype
    name: str | None = None
    array: np.ndarray | None = None

    @classmethod
    def from_array(
        cls, array: Any, shape: Sequence[Dim] | None = None
    ) -> "TranslatedValue":
        """Return a constant.

        Args:
            array: NumPy or JAX array, or a number.
            shape: Sizes in JAX; None = those of the array.
        """
        array = np.asarray(array)
        full_shape = array.shape if shape is None else tuple(shape)
        return cls(full_shape, array.shape, array.dtype, array=array)

    @property
    def is_broadcast(self) -> bool:
        """Whether all axes have the sizes of JAX."""
        return self.stored_shape == self.shape

    def stored_name(self, graph: GraphBuilder) -> str:
        """Return the name of the value as it is stored, for nodes that broadcast."""
        if self.name is not None:
            return self.name
        assert self.array is not None
        return graph.constant(self.array)

    def broadcast(self, graph: GraphBuilder) -> "TranslatedValue":
        """Return the value with all axes in their sizes of JAX."""
        if self.is_broadcast:
            return self
        is_fixed = all(is_static(dim) for dim in self.shape)
        if self.array is not None and is_fixed:
            return self.from_array(np.broadcast_to(self.array, self.shape))
        name = graph.add("Expand", self.stored_name(graph), graph.shape(self.shape))
        return TranslatedValue(self.shape, self.shape, self.dtype, name)

    def full_name(self, graph: GraphBuilder) -> str:
        """Return the name of the value with all axes in their sizes of JAX."""
        return self.broadcast(graph).stored_name(graph)


def broadcast_shapes(shapes: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """Return the shape that NumPy's rules give; symbolic sizes are not 1.

    Args:
        shapes: Shapes of the operands, of the same rank or scalars.
    """
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(
        next((dim for dim in dims if not (is_static(dim) and dim == 1)), 1)
        for dims in zip(*padded, strict=True)
    )
