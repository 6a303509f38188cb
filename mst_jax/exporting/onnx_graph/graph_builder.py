"""Build an ONNX graph node by node: names, constants and sizes that are not static."""

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from mst_jax.extras import needs_extra

with needs_extra("export"):
    import onnx
    from onnx import helper, numpy_helper

# A size of an axis: a number, or an expression in symbolic sizes such as `2*b`.
Dim = Any


def is_static(dim: Dim) -> bool:
    """Return whether the size of an axis is a number."""
    return isinstance(dim, (int, np.integer))


class GraphBuilder:
    """Collect the nodes of an ONNX graph, or of the body of a loop in it.

    Constants and sizes belong to the outermost graph, whose values all bodies see.

    Attributes:
        nodes: Nodes in an order in which they can run.
        initializers: Constants by name; of the outermost graph.
    """

    def __init__(self, parent: "GraphBuilder | None" = None) -> None:
        """Create an empty graph.

        Args:
            parent: Graph that contains this body; None = this is the outermost one.
        """
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._root: GraphBuilder = parent._root if parent else self
        self._num_names = 0
        self._known_nodes: dict[tuple, list[str]] = {}
        self._known_constants: dict[tuple, str] = {}
        # Symbolic size -> name of its value, an int64 array [1].
        self._sizes: dict[str, str] = {}

    def new_name(self, prefix: str) -> str:
        """Return a name that no other value of the file has.

        Args:
            prefix: First part of the name.
        """
        self._root._num_names += 1
        return f"{prefix}_{self._root._num_names}"

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output and return the name of the output.

        Args:
            op_type: Operator of ONNX.
            *inputs: Names of the inputs; "" = an optional input that is left out.
            **attributes: Attributes of the operator.
        """
        return self.add_many(op_type, *inputs, num_outputs=1, **attributes)[0]

    def add_many(
        self, op_type: str, *inputs: str, num_outputs: int, **attributes: Any
    ) -> list[str]:
        """Append a node and return the names of its outputs; see `add`.

        Args:
            op_type: Operator of ONNX.
            *inputs: Names of the inputs.
            num_outputs: Number of outputs.
            **attributes: Attributes of the operator.
        """
        # A node with the same inputs computes the same: reuse it.
        key = (op_type, inputs, num_outputs, repr(sorted(attributes.items())))
        if key not in self._known_nodes:
            names = [self.new_name(op_type.lower()) for _ in range(num_outputs)]
            # Named like its first output: onnxruntime 1.21 derives the names of fused
            # nodes from it, and refuses two that are equal.
            self.nodes.append(
                helper.make_node(
                    op_type, list(inputs), names, name=names[0], **attributes
                )
            )
            self._known_nodes[key] = names
        return self._known_nodes[key]

    def constant(self, array: np.ndarray | np.generic) -> str:
        """Return the name of a constant.

        Args:
            array: Array of any type that ONNX knows.
        """
        root = self._root
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, hash(array.tobytes()))
        if key not in root._known_constants:
            name = root.new_name("constant")
            root.initializers[name] = numpy_helper.from_array(array, name)
            root._known_constants[key] = name
        return root._known_constants[key]

    def integers(self, values: Sequence[int]) -> str:
        """Return the name of a constant int64 list, such as axes.

        Args:
            values: Whole numbers.
        """
        return self.constant(np.array(values, np.int64))

    def cast(self, name: str, dtype: Any) -> str:
        """Return a value converted to another type.

        Args:
            name: Name of the value.
            dtype: NumPy type.
        """
        element_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", name, to=element_type)

    def declare_sizes(self, input_name: str, shape: Sequence[Dim]) -> None:
        """Read the symbolic sizes of an input of the outermost graph.

        Args:
            input_name: Name of the input.
            shape: Its sizes.
        """
        for axis, dim in enumerate(shape):
            if not is_static(dim) and str(dim) not in self._sizes:
                self._sizes[str(dim)] = self.add(
                    "Shape", input_name, start=axis, end=axis + 1
                )

    def size(self, dim: Dim) -> str:
        """Return the name of a size, an int64 array [1].

        Args:
            dim: Number or symbolic size.
        """
        if is_static(dim):
            return self.integers([int(dim)])
        root = self._root
        if str(dim) not in root._sizes:
            # Symbolic sizes are polynomials, written as in Python.
            root._sizes[str(dim)] = root._compute_size(ast.parse(str(dim)).body[0])
        return root._sizes[str(dim)]

    def _compute_size(self, tree: ast.AST) -> str:
        """Append the nodes that compute an expression of sizes."""
        match tree:
            case ast.Expr(value):
                return self._compute_size(value)
            case ast.Name(identifier):
                return self._sizes[identifier]
            case ast.Constant(int(number)):
                return self.integers([number])
            case ast.UnaryOp(ast.USub(), operand):
                return self.add("Neg", self._compute_size(operand))
            case ast.BinOp(left, operator, right):
                op_type = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul"}.get(
                    type(operator)
                )
                if op_type:
                    sides = self._compute_size(left), self._compute_size(right)
                    return self.add(op_type, *sides)
        raise ValueError(
            f"the size {ast.unparse(tree)} of an axis cannot be computed in ONNX; "
            "export with fixed sizes"
        )

    def shape(self, dims: Sequence[Dim]) -> str:
        """Return the name of a shape, an int64 list.

        Args:
            dims: Numbers and symbolic sizes.
        """
        if all(is_static(dim) for dim in dims):
            return self.integers([int(dim) for dim in dims])
        sizes = [self._root.size(dim) for dim in dims]
        return self._root.add("Concat", *sizes, axis=0)
