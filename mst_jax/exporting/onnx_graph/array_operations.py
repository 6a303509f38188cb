"""Reductions, matrix products, convolution, pooling and top-k of JAX in ONNX."""

import math

import jax
import numpy as np

from mst_jax.exporting.onnx_graph.translated_value import (
    TranslatedValue,
    UntranslatableError,
)
from mst_jax.exporting.onnx_graph.translator import TranslateEquation, Translator

REDUCTIONS = {
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
}
# ONNX reduces no booleans: any is their maximum, all their minimum.
BOOLEAN_REDUCTIONS = {"reduce_or": "ReduceMax", "reduce_and": "ReduceMin"}


def _reduction(op_type: str, *, is_boolean: bool) -> TranslateEquation:
    """Return the translation of a reduction."""

    def translate(translator, equation, inputs):
        graph = translator.graph
        name = inputs[0].full_name(graph)
        if is_boolean:
            name = graph.cast(name, np.int32)
        axes = graph.integers([int(axis) for axis in equation.params["axes"]])
        name = graph.add(op_type, name, axes, keepdims=0)
        if is_boolean:
            name = graph.cast(name, np.bool_)
        return [translator.output(equation, name)]

    return translate


def _arg_reduction(op_type: str) -> TranslateEquation:
    """Return the translation of argmax or argmin; the first of equal entries."""

    def translate(translator, equation, inputs):
        graph = translator.graph
        (axis,) = equation.params["axes"]
        name = inputs[0].full_name(graph)
        name = graph.add(op_type, name, axis=int(axis), keepdims=0)
        index = graph.cast(name, equation.params["index_dtype"])
        return [translator.output(equation, index)]

    return translate


def _translate_top_k(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    axis = int(params.get("axis", len(inputs[0].shape) - 1))
    numbers, index = graph.add_many(
        *("TopK", inputs[0].full_name(graph), graph.integers([int(params["k"])])),
        num_outputs=2,
        axis=axis,
    )
    avals = [variable.aval for variable in equation.outvars]
    names = (numbers, graph.cast(index, avals[1].dtype))
    return [
        TranslatedValue(aval.shape, aval.shape, aval.dtype, name)
        for aval, name in zip(avals, names, strict=True)
    ]


def _translate_dot_general(translator, equation, inputs):
    contracted, batch = equation.params["dimension_numbers"]
    shapes = [value.shape for value in inputs]
    free = [
        [i for i in range(len(shape)) if i not in (*contracted[side], *batch[side])]
        for side, shape in enumerate(shapes)
    ]
    # 1. The left side as [batch, free, contracted]; free axes are merged only if there
    # are batch axes, because MatMul accepts more axes on the left.
    left, right = (
        _permuted(translator, inputs[side], order)
        for side, order in enumerate(
            (
                (*batch[0], *free[0], *contracted[0]),
                (*batch[1], *contracted[1], *free[1]),
            )
        )
    )
    batch_sizes, free_sizes, inner_sizes = (
        [shapes[0][axis] for axis in axes]
        for axes in (batch[0], free[0], contracted[0])
    )
    inner_size = math.prod(inner_sizes)
    merges_rows = bool(batch_sizes) and len(free_sizes) != 1
    rows = [math.prod(free_sizes)] if merges_rows else free_sizes
    left = _reshaped(translator, left, [*batch_sizes, *rows, inner_size])
    # 2. The right side as [batch, contracted, free].
    column_sizes = [shapes[1][axis] for axis in free[1]]
    columns = math.prod(column_sizes)
    right = _reshaped(translator, right, [*batch_sizes, inner_size, columns])
    # 3. The product, and the axes that were merged.
    product = _matrix_product(translator, equation, left, right)
    shape = equation.outvars[0].aval.shape
    if merges_rows or len(column_sizes) != 1:
        product = translator.reshape(product, shape)
    return [translator.output(equation, product)]


def _matrix_product(translator: Translator, equation, left, right) -> str:
    """Return a product, in float16 where the user asks for it."""
    graph, dtype = translator.graph, equation.outvars[0].aval.dtype
    names = [value.full_name(graph) for value in (left, right)]
    precision = equation.params["precision"]
    is_highest = precision is not None and jax.lax.Precision.HIGHEST in precision
    if not translator.half_products or is_highest:
        return graph.add("MatMul", *names)
    names = [
        graph.constant(value.array.astype(np.float16))
        if value.array is not None
        else graph.cast(value.full_name(graph), np.float16)
        for value in (left, right)
    ]
    return graph.cast(graph.add("MatMul", *names), dtype)


def _permuted(translator: Translator, value, order) -> TranslatedValue:
    """Return a value with its axes in another order; a constant is changed now."""
    order = [int(axis) for axis in order]
    value = value.broadcast(translator.graph)
    shape = tuple(value.shape[axis] for axis in order)
    if value.array is not None:
        return TranslatedValue.from_array(value.array.transpose(order))
    name = translator.transpose(value.name, order)
    return TranslatedValue(shape, shape, value.dtype, name)


def _reshaped(translator: Translator, value, shape) -> TranslatedValue:
    """Return a value with another shape; a constant is changed now."""
    if tuple(map(str, shape)) == tuple(map(str, value.shape)):
        return value
    if value.array is not None:
        return TranslatedValue.from_array(value.array.reshape(shape))
    name = translator.reshape(value.name, shape)
    return TranslatedValue(tuple(shape), tuple(shape), value.dtype, name)


def _translate_convolution(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    numbers = params["dimension_numbers"]
    if any(step != 1 for step in params["lhs_dilation"]):
        raise UntranslatableError("a transposed convolution")
    # ONNX has the order batch or output, channels, rows, columns.
    image = _permuted(translator, inputs[0], numbers.lhs_spec)
    kernel = _permuted(translator, inputs[1], numbers.rhs_spec)
    low, high = zip(*params["padding"], strict=True)
    name = graph.add(
        *("Conv", image.full_name(graph), kernel.full_name(graph)),
        strides=[int(step) for step in params["window_strides"]],
        pads=[int(pad) for pad in (*low, *high)],
        dilations=[int(step) for step in params["rhs_dilation"]],
        group=int(params["feature_group_count"]),
    )
    name = translator.transpose(name, np.argsort(numbers.out_spec))
    return [translator.output(equation, name)]


def _translate_max_pool(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    window, padding = params["window_dimensions"], params["padding"]
    pooled_axes = [axis for axis, size in enumerate(window) if size != 1]
    kept_axes = [axis for axis in range(len(window)) if axis not in pooled_axes]
    is_plain = all(
        tuple(padding[axis]) == (0, 0) and params["window_strides"][axis] == 1
        for axis in kept_axes
    )
    if (
        len(kept_axes) != 2
        or not is_plain
        or any(n != 1 for n in params["base_dilation"])
    ):
        raise UntranslatableError("max pooling over other than two axes")
    order = [*kept_axes, *pooled_axes]
    name = graph.add(
        *("MaxPool", _permuted(translator, inputs[0], order).full_name(graph)),
        kernel_shape=[int(window[axis]) for axis in pooled_axes],
        strides=[int(params["window_strides"][axis]) for axis in pooled_axes],
        pads=[int(padding[axis][end]) for end in (0, 1) for axis in pooled_axes],
        dilations=[int(params["window_dilation"][axis]) for axis in pooled_axes],
    )
    return [translator.output(equation, translator.transpose(name, np.argsort(order)))]


def _translate_cumulative_sum(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    axis = graph.constant(np.int64(params["axis"]))
    return translator.node(
        *(equation, "CumSum", inputs[0].full_name(graph), axis),
        reverse=int(params["reverse"]),
    )


ARRAY_OPERATIONS: dict[str, TranslateEquation] = {
    **{
        name: _reduction(op_type, is_boolean=False)
        for name, op_type in REDUCTIONS.items()
    },
    **{
        name: _reduction(op_type, is_boolean=True)
        for name, op_type in BOOLEAN_REDUCTIONS.items()
    },
    "argmax": _arg_reduction("ArgMax"),
    "argmin": _arg_reduction("ArgMin"),
    "conv_general_dilated": _translate_convolution,
    "cumsum": _translate_cumulative_sum,
    "dot_general": _translate_dot_general,
    "reduce_window_max": _translate_max_pool,
    "top_k": _translate_top_k,
}
