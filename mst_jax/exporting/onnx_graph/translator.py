"""Translate a JAX program, equation by equation, to nodes of an ONNX graph."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core as jax_core

from mst_jax.exporting.onnx_graph.graph_builder import Dim, GraphBuilder, is_static
from mst_jax.exporting.onnx_graph.translated_value import (
    TranslatedValue,
    UntranslatableError,
)

# Largest constant, in numbers, that is computed during the export unless it has the
# size of its inputs: larger ones are cheaper to compute than to store.
MAX_FOLDED_SIZE = 1 << 16

# Parameter that holds the program of an equation which only calls it.
CALLED_PROGRAM = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}


# Appends the nodes of an equation with these inputs, and returns its outputs.
TranslateEquation = Callable[..., list[TranslatedValue]]


class Translator:
    """Translate programs into one graph.

    Attributes:
        graph: Graph that takes the nodes.
        half_products: Whether matrix products are computed in float16, except those that
            ask for the highest precision.
    """

    def __init__(
        self,
        graph: GraphBuilder,
        operations: Mapping[str, TranslateEquation],
        *,
        half_products: bool = False,
    ) -> None:
        """Create a translator.

        Args:
            graph: Graph that takes the nodes.
            operations: Name of a JAX operation -> function that translates it.
            half_products: Whether matrix products are computed in float16.
        """
        self.graph = graph
        self.half_products = half_products
        self._operations = operations

    def for_body(self) -> "Translator":
        """Return a translator for the body of a loop in this graph."""
        return Translator(
            GraphBuilder(self.graph),
            self._operations,
            half_products=self.half_products,
        )

    def translate(
        self, program: Any, inputs: Sequence[TranslatedValue]
    ) -> list[TranslatedValue]:
        """Append the nodes of a program and return its outputs.

        Args:
            program: Jaxpr, closed or not.
            inputs: One value for each input of the program.

        Raises:
            UntranslatableError: The program has an operation without translation.
        """
        jaxpr = getattr(program, "jaxpr", program)
        values: dict[Any, TranslatedValue] = {}
        constants = getattr(program, "consts", ())
        for variable, constant in zip(jaxpr.constvars, constants, strict=True):
            values[variable] = TranslatedValue.from_array(constant)
        values.update(zip(jaxpr.invars, inputs, strict=True))

        def read(atom: Any) -> TranslatedValue:
            if isinstance(atom, jax_core.Literal):
                aval: Any = atom.aval
                return TranslatedValue.from_array(np.asarray(atom.val, aval.dtype))
            return values[atom]

        for equation in jaxpr.eqns:
            outputs = self._translate_equation(
                equation, [read(atom) for atom in equation.invars]
            )
            values.update(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _translate_equation(
        self, equation: jax_core.JaxprEqn, inputs: list[TranslatedValue]
    ) -> list[TranslatedValue]:
        """Return the outputs of one equation."""
        operation = equation.primitive.name
        # 1. Programs within the program.
        if operation in CALLED_PROGRAM:
            return self.translate(equation.params[CALLED_PROGRAM[operation]], inputs)
        # 2. What depends on no input is computed now.
        if can_fold(equation, inputs):
            return fold(equation, inputs)
        # 3. All others.
        if operation not in self._operations:
            raise UntranslatableError(f"the JAX operation {operation!r}")
        return self._operations[operation](self, equation, inputs)

    def node(
        self, equation: jax_core.JaxprEqn, op_type: str, *names: str, **attributes: Any
    ) -> list[TranslatedValue]:
        """Append a node whose output is that of an equation.

        Args:
            equation: Equation with one output.
            op_type: Operator of ONNX.
            *names: Names of the inputs.
            **attributes: Attributes of the operator.
        """
        return [self.output(equation, self.graph.add(op_type, *names, **attributes))]

    def output(
        self,
        equation: jax_core.JaxprEqn,
        name: str,
        stored_shape: Sequence[Dim] | None = None,
    ) -> TranslatedValue:
        """Return the first output of an equation.

        Args:
            equation: The equation.
            name: Name of the output in the graph.
            stored_shape: Its sizes in ONNX; None = those of JAX.
        """
        aval: Any = equation.outvars[0].aval
        stored = aval.shape if stored_shape is None else tuple(stored_shape)
        return TranslatedValue(aval.shape, stored, aval.dtype, name)

    def reshape(self, name: str, shape: Sequence[Dim]) -> str:
        """Return a value with another shape.

        Args:
            name: Name of the value.
            shape: New sizes.
        """
        symbolic_axes = [i for i, dim in enumerate(shape) if not is_static(dim)]
        if len(symbolic_axes) == 1:
            # ONNX computes one size from the others.
            shape = [dim if is_static(dim) else -1 for dim in shape]
        return self.graph.add("Reshape", name, self.graph.shape(shape))

    def transpose(self, name: str, permutation: Sequence[int]) -> str:
        """Return a value with its axes in another order.

        Args:
            name: Name of the value.
            permutation: Old axis of each new axis.
        """
        permutation = [int(axis) for axis in permutation]
        if permutation == sorted(permutation):
            return name
        return self.graph.add("Transpose", name, perm=permutation)


def can_fold(equation: jax_core.JaxprEqn, inputs: Sequence[TranslatedValue]) -> bool:
    """Return whether an equation is computed during the export.

    Args:
        equation: The equation.
        inputs: Its inputs.
    """
    if not inputs or any(value.array is None for value in inputs):
        return False
    avals: list[Any] = [variable.aval for variable in equation.outvars]
    output_shapes = [aval.shape for aval in avals]
    shapes = [*output_shapes, *(value.shape for value in inputs)]
    if not all(is_static(dim) for shape in shapes for dim in shape):
        return False
    # Broadcasting would make a large constant from a small one.
    if equation.primitive.name == "broadcast_in_dim":
        return False
    num_output = sum(int(np.prod(shape, dtype=int)) for shape in output_shapes)
    num_input = sum(value.array.size for value in inputs if value.array is not None)
    return num_output <= max(MAX_FOLDED_SIZE, num_input)


def fold(
    equation: jax_core.JaxprEqn, inputs: Sequence[TranslatedValue]
) -> list[TranslatedValue]:
    """Compute an equation whose inputs are constants.

    Args:
        equation: The equation.
        inputs: Its inputs.
    """
    arrays = [np.broadcast_to(value.array, value.shape) for value in inputs]  # pyright: ignore[reportArgumentType, reportCallIssue]
    outputs = equation.primitive.bind(*arrays, **equation.params)
    if not equation.primitive.multiple_results:
        outputs = [outputs]
    return [TranslatedValue.from_array(jax.device_get(output)) for output in outputs]
