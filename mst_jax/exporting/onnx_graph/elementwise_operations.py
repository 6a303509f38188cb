"""Elementwise JAX operations in ONNX, which broadcasts by NumPy's rules."""

import numpy as np

from mst_jax.exporting.onnx_graph.translated_value import (
    TranslatedValue,
    broadcast_shapes,
)
from mst_jax.exporting.onnx_graph.translator import TranslateEquation, Translator

# JAX operations that are one operator of ONNX.
SAME_OPERATORS = {
    "abs": "Abs",
    "add": "Add",
    "add_any": "Add",
    "and": "And",
    "ceil": "Ceil",
    "cos": "Cos",
    "div": "Div",
    "eq": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "log": "Log",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "not": "Not",
    "or": "Or",
    "pow": "Pow",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "sub": "Sub",
    "tanh": "Tanh",
    "xor": "Xor",
}
IDENTITIES = ("copy", "copy_p", "name", "stop_gradient", "optimization_barrier")


def _elementwise(translator: Translator, equation, inputs, compute):
    """Return the output of `compute(*names)`, broadcast as far as the inputs are."""
    names = [value.stored_name(translator.graph) for value in inputs]
    stored_shape = broadcast_shapes([value.stored_shape for value in inputs])
    return [translator.output(equation, compute(*names), stored_shape)]


def _same_operator(op_type: str) -> TranslateEquation:
    """Return the translation of an operation to one operator."""

    def translate(translator, equation, inputs):
        def compute(*names: str) -> str:
            return translator.graph.add(op_type, *names)

        return _elementwise(translator, equation, inputs, compute)

    return translate


def _translate_square(translator, equation, inputs):
    return _elementwise(
        translator, equation, inputs, lambda x: translator.graph.add("Mul", x, x)
    )


def _translate_rsqrt(translator, equation, inputs):
    graph = translator.graph
    return _elementwise(
        *(translator, equation, inputs),
        lambda x: graph.add("Reciprocal", graph.add("Sqrt", x)),
    )


def _translate_erfc(translator, equation, inputs):
    graph = translator.graph
    one = graph.constant(np.ones((), inputs[0].dtype))
    return _elementwise(
        *(translator, equation, inputs),
        lambda x: graph.add("Sub", one, graph.add("Erf", x)),
    )


def _translate_not_equal(translator, equation, inputs):
    graph = translator.graph
    return _elementwise(
        *(translator, equation, inputs),
        lambda x, y: graph.add("Not", graph.add("Equal", x, y)),
    )


def _translate_integer_power(translator, equation, inputs):
    graph = translator.graph
    exponent = graph.constant(np.asarray(equation.params["y"], inputs[0].dtype))
    return _elementwise(
        *(translator, equation, inputs), lambda x: graph.add("Pow", x, exponent)
    )


def _translate_remainder(translator, equation, inputs):
    # The sign of the dividend, as in C.
    return _elementwise(
        *(translator, equation, inputs),
        lambda x, y: translator.graph.add("Mod", x, y, fmod=1),
    )


def _translate_is_finite(translator, equation, inputs):
    graph = translator.graph

    def compute(x: str) -> str:
        is_not = graph.add("Or", graph.add("IsInf", x), graph.add("IsNaN", x))
        return graph.add("Not", is_not)

    return _elementwise(translator, equation, inputs, compute)


def _translate_select(translator, equation, inputs):
    # JAX's order: the condition, the value where it is False, where it is True.
    return _elementwise(
        *(translator, equation, inputs),
        lambda condition, on_false, on_true: translator.graph.add(
            "Where", condition, on_true, on_false
        ),
    )


def _translate_clamp(translator, equation, inputs):
    graph = translator.graph
    return _elementwise(
        *(translator, equation, inputs),
        lambda low, x, high: graph.add("Min", graph.add("Max", x, low), high),
    )


def _translate_cast(translator, equation, inputs):
    dtype = equation.params["new_dtype"]
    if inputs[0].dtype == dtype:
        return inputs
    return _elementwise(
        *(translator, equation, inputs), lambda x: translator.graph.cast(x, dtype)
    )


def _translate_identity(
    translator: Translator, equation, inputs: list[TranslatedValue]
) -> list[TranslatedValue]:
    return inputs


ELEMENTWISE_OPERATIONS: dict[str, TranslateEquation] = {
    **{name: _same_operator(op_type) for name, op_type in SAME_OPERATORS.items()},
    **dict.fromkeys(IDENTITIES, _translate_identity),
    "clamp": _translate_clamp,
    "convert_element_type": _translate_cast,
    "erfc": _translate_erfc,
    "integer_pow": _translate_integer_power,
    "is_finite": _translate_is_finite,
    "ne": _translate_not_equal,
    "rem": _translate_remainder,
    "rsqrt": _translate_rsqrt,
    "select_n": _translate_select,
    "square": _translate_square,
}
