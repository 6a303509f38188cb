"""Gather, scatter and dynamic slices of JAX in ONNX.

The indices of one entry are a row of an array [batch, others, i]: i axes of the operand
are indexed, and the operand's batch axes belong to those of the indices.
"""

import numpy as np
from jax.lax import GatherScatterMode

from mst_jax.exporting.onnx_graph.translated_value import UntranslatableError
from mst_jax.exporting.onnx_graph.translator import TranslateEquation, Translator


def _translate_gather(translator, equation, inputs):
    operand, indices = inputs
    graph, params = translator.graph, equation.params
    numbers = params["dimension_numbers"]
    batch_axes = [int(axis) for axis in numbers.operand_batching_dims]
    indexed_axes = [int(axis) for axis in numbers.start_index_map]
    other_axes = [
        axis
        for axis in range(len(operand.shape))
        if axis not in (*batch_axes, *indexed_axes)
    ]
    if len(indices.shape) == 1:
        return _translate_single_slice(translator, equation, operand, indices)
    _check_whole_entries(params, operand, indexed_axes, other_axes)
    # 1. Indices inside the operand.
    index_name = _index_name(translator, equation, operand, indices, indexed_axes)
    # 2. Batch axes, indexed axes, others; the same for the indices.
    index_batch_axes = [int(axis) for axis in numbers.start_indices_batching_dims]
    index_axes = range(len(indices.shape) - 1)
    free_index_axes = [axis for axis in index_axes if axis not in index_batch_axes]
    index_order = [*index_batch_axes, *free_index_axes]
    index_name = translator.transpose(index_name, [*index_order, len(index_order)])
    operand_name = translator.transpose(
        operand.full_name(graph), [*batch_axes, *indexed_axes, *other_axes]
    )
    if len(indexed_axes) == 1 and not batch_axes:
        last = graph.integers([len(index_order)])
        index_name = graph.add("Squeeze", index_name, last)
        name = graph.add("Gather", operand_name, index_name, axis=0)
    else:
        name = graph.add(
            "GatherND", operand_name, index_name, batch_dims=len(batch_axes)
        )
    # 3. JAX's order: `offset_dims` are the places of the other axes of the operand.
    offset_axes = [int(axis) for axis in numbers.offset_dims]
    rank = len(equation.outvars[0].aval.shape)
    index_places = [axis for axis in range(rank) if axis not in offset_axes]
    places = [*(index_places[axis] for axis in index_order), *offset_axes]
    return [translator.output(equation, translator.transpose(name, np.argsort(places)))]


def _translate_single_slice(translator, equation, operand, indices):
    """Translate a gather of one slice, which is how JAX writes `x[..., 2]` and `x[:3]`."""
    graph, params = translator.graph, equation.params
    numbers = params["dimension_numbers"]
    axes = [int(axis) for axis in numbers.start_index_map]
    starts = _index_name(translator, equation, operand, indices, axes)
    sizes = graph.shape([params["slice_sizes"][axis] for axis in axes])
    name = graph.add(
        *("Slice", operand.full_name(graph), starts, graph.add("Add", starts, sizes)),
        graph.integers(axes),
    )
    if numbers.collapsed_slice_dims:
        collapsed = graph.integers([int(axis) for axis in numbers.collapsed_slice_dims])
        name = graph.add("Squeeze", name, collapsed)
    return [translator.output(equation, name)]


def _check_whole_entries(params, operand, indexed_axes, other_axes) -> None:
    """Raise unless each index selects one entry of its axis, with all other axes."""
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    is_single = sorted(indexed_axes) == sorted(map(int, numbers.collapsed_slice_dims))
    is_whole = all(str(sizes[i]) == str(operand.shape[i]) for i in other_axes)
    if not (is_single and is_whole):
        raise UntranslatableError("a gather of slices of more than one entry")


def _index_name(
    translator: Translator, equation, operand, indices, indexed_axes
) -> str:
    """Return the indices of a gather as int64, clipped to the operand."""
    graph = translator.graph
    mode = equation.params["mode"]
    index_name = graph.cast(indices.full_name(graph), np.int64)
    if mode == GatherScatterMode.PROMISE_IN_BOUNDS:
        return index_name
    if mode != GatherScatterMode.CLIP:
        raise UntranslatableError(f"a gather with the mode {mode}")
    one = graph.integers([1])
    last = graph.add("Sub", graph.shape([operand.shape[i] for i in indexed_axes]), one)
    zero = graph.constant(np.int64(0))
    return graph.add("Min", graph.add("Max", index_name, zero), last)


def _translate_scatter(translator, equation, inputs):
    operand, indices, updates = inputs
    graph, params = translator.graph, equation.params
    numbers = params["dimension_numbers"]
    batch_axes = [int(axis) for axis in numbers.operand_batching_dims]
    indexed_axes = [int(axis) for axis in numbers.scatter_dims_to_operand_dims]
    if numbers.update_window_dims or [*batch_axes, *indexed_axes] != list(
        range(len(operand.shape))
    ):
        raise UntranslatableError("a scatter of slices of more than one entry")
    # 1. Entries outside are dropped: they go to one more row, which is cut off again.
    sizes = [operand.shape[axis] for axis in indexed_axes]
    index_name = graph.cast(indices.full_name(graph), np.int64)
    index_name = _dropped_to_extra_row(translator, index_name, sizes)
    axis = len(batch_axes)
    pads = [0] * len(operand.shape) * 2
    pads[len(operand.shape) + axis] = 1
    padded = graph.add("Pad", operand.full_name(graph), graph.integers(pads))
    # 2. The batch axes are indexed, too.
    if batch_axes:
        index_name = _with_batch_index(translator, index_name, indices.shape)
    name = graph.add(
        *("ScatterND", padded, index_name, updates.full_name(graph)),
        reduction="add" if equation.primitive.name == "scatter-add" else "none",
    )
    name = graph.add(
        *("Slice", name, graph.integers([0]), graph.size(sizes[0])),
        graph.integers([axis]),
    )
    return [translator.output(equation, name)]


def _dropped_to_extra_row(translator: Translator, index_name: str, sizes) -> str:
    """Return indices [..., i]; those outside index the row after the last."""
    graph = translator.graph
    limits = graph.shape(sizes)
    zero = graph.constant(np.int64(0))
    is_inside = graph.add(
        "And",
        graph.add("GreaterOrEqual", index_name, zero),
        graph.add("Less", index_name, limits),
    )
    last_axis = graph.integers([-1])
    inside_rows = graph.cast(
        graph.add("ReduceMin", graph.cast(is_inside, np.int32), last_axis, keepdims=1),
        np.bool_,
    )
    num_others = len(sizes) - 1
    extra_row = graph.size(sizes[0])
    if num_others:
        others = graph.integers([0] * num_others)
        extra_row = graph.add("Concat", extra_row, others, axis=0)
    return graph.add("Where", inside_rows, index_name, extra_row)


def _with_batch_index(translator: Translator, index_name: str, index_shape) -> str:
    """Return indices [b, others, i] with the index of the example before them."""
    graph = translator.graph
    zero, one = (graph.constant(np.int64(number)) for number in (0, 1))
    batch_size = graph.add("Squeeze", graph.size(index_shape[0]))
    batch_index = graph.add("Range", zero, batch_size, one)
    column_shape = [index_shape[0]] + [1] * (len(index_shape) - 1)
    batch_index = translator.reshape(batch_index, column_shape)
    batch_index = graph.add("Expand", batch_index, graph.shape([*index_shape[:-1], 1]))
    return graph.add("Concat", batch_index, index_name, axis=-1)


def _translate_dynamic_slice(translator, equation, inputs):
    """Translate a slice at computed indices, which are clipped as JAX does."""
    operand, *start_values = inputs
    graph = translator.graph
    start_names = [
        translator.reshape(graph.cast(start.full_name(graph), np.int64), [1])
        for start in start_values
    ]
    starts = graph.add("Concat", *start_names, axis=0)
    sizes = graph.shape(equation.params["slice_sizes"])
    last_starts = graph.add("Sub", graph.shape(operand.shape), sizes)
    zero = graph.constant(np.int64(0))
    starts = graph.add("Min", graph.add("Max", starts, zero), last_starts)
    name = graph.add(
        *("Slice", operand.full_name(graph), starts, graph.add("Add", starts, sizes)),
        graph.integers(range(len(operand.shape))),
    )
    return [translator.output(equation, name)]


INDEX_OPERATIONS: dict[str, TranslateEquation] = {
    "gather": _translate_gather,
    "dynamic_slice": _translate_dynamic_slice,
    "scatter": _translate_scatter,
    "scatter-add": _translate_scatter,
}
