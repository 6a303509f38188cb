"""JAX operations on shapes in ONNX: reshape, slice, concatenate, pad and their like."""

import numpy as np

from mst_jax.exporting.onnx_graph.graph_builder import is_static
from mst_jax.exporting.onnx_graph.translated_value import (
    TranslatedValue,
    UntranslatableError,
)
from mst_jax.exporting.onnx_graph.translator import TranslateEquation, Translator

# End of a slice that runs backward through the first entry.
BEFORE_FIRST = np.iinfo(np.int64).min


def _moved(translator: Translator, value: TranslatedValue, shape, stored_shape, name):
    """Return a value whose axes moved: a constant is reshaped now, others by a node."""
    if value.array is not None:
        array = value.array.reshape(stored_shape)
        return TranslatedValue.from_array(array, shape)
    return TranslatedValue(tuple(shape), tuple(stored_shape), value.dtype, name)


def _translate_broadcast(translator, equation, inputs):
    (value, *_) = inputs
    shape = equation.outvars[0].aval.shape
    kept_axes = [int(axis) for axis in equation.params["broadcast_dimensions"]]
    stored_shape = [1] * len(shape)
    for axis, dim in zip(kept_axes, value.stored_shape, strict=True):
        stored_shape[axis] = dim
    new_axes = [axis for axis in range(len(shape)) if axis not in kept_axes]
    name = value.name
    if name is not None and new_axes:
        name = translator.graph.add(
            "Unsqueeze", name, translator.graph.integers(new_axes)
        )
    return [_moved(translator, value, shape, stored_shape, name)]


def _translate_reshape(translator, equation, inputs):
    value = inputs[0].broadcast(translator.graph)
    shape = equation.outvars[0].aval.shape
    if value.name is None:
        return [_moved(translator, value, shape, shape, None)]
    return [translator.output(equation, translator.reshape(value.name, shape))]


def _translate_squeeze(translator, equation, inputs):
    (value,) = inputs
    axes = [int(axis) for axis in equation.params["dimensions"]]
    stored_shape = [d for i, d in enumerate(value.stored_shape) if i not in axes]
    name = value.name
    if name is not None and axes:
        name = translator.graph.add("Squeeze", name, translator.graph.integers(axes))
    shape = equation.outvars[0].aval.shape
    return [_moved(translator, value, shape, stored_shape, name)]


def _translate_transpose(translator, equation, inputs):
    (value,) = inputs
    permutation = equation.params["permutation"]
    name = translator.transpose(value.stored_name(translator.graph), permutation)
    stored_shape = [value.stored_shape[axis] for axis in permutation]
    return [translator.output(equation, name, stored_shape)]


def _translate_concatenate(translator, equation, inputs):
    names = [value.full_name(translator.graph) for value in inputs]
    axis = int(equation.params["dimension"])
    return translator.node(equation, "Concat", *names, axis=axis)


def _translate_stack(translator, equation, inputs):
    graph, axis = translator.graph, int(equation.params["axis"])
    axes = graph.integers([axis])
    names = [graph.add("Unsqueeze", value.full_name(graph), axes) for value in inputs]
    return translator.node(equation, "Concat", *names, axis=axis)


def _translate_unstack(translator, equation, inputs):
    graph, axis = translator.graph, int(equation.params["axis"])
    name = inputs[0].full_name(graph)
    outputs = []
    for index, variable in enumerate(equation.outvars):
        aval = variable.aval
        scalar_index = graph.constant(np.int64(index))
        entry = graph.add("Gather", name, scalar_index, axis=axis)
        outputs.append(TranslatedValue(aval.shape, aval.shape, aval.dtype, entry))
    return outputs


def _translate_split(translator, equation, inputs):
    graph = translator.graph
    names = graph.add_many(
        "Split",
        inputs[0].full_name(graph),
        graph.integers([int(size) for size in equation.params["sizes"]]),
        num_outputs=len(equation.outvars),
        axis=int(equation.params["axis"]),
    )
    avals = [variable.aval for variable in equation.outvars]
    return [
        TranslatedValue(aval.shape, aval.shape, aval.dtype, name)
        for aval, name in zip(avals, names, strict=True)
    ]


def _translate_slice(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    steps = params["strides"] or (1,) * len(params["start_indices"])
    limits = zip(
        *(params["start_indices"], params["limit_indices"], steps),
        inputs[0].shape,
        strict=True,
    )
    # Axes that keep all entries are left out.
    kept = [
        (axis, start, stop, step)
        for axis, (start, stop, step, dim) in enumerate(limits)
        if (start, step) != (0, 1) or str(stop) != str(dim)
    ]
    if not kept:
        return inputs
    axes, starts, stops, steps = zip(*kept, strict=True)
    return translator.node(
        *(equation, "Slice", inputs[0].full_name(graph)),
        *(graph.shape(starts), graph.shape(stops)),
        *(graph.integers(axes), graph.integers(steps)),
    )


def _translate_reverse(translator, equation, inputs):
    graph = translator.graph
    axes = [int(axis) for axis in equation.params["dimensions"]]
    ends = ([number] * len(axes) for number in (-1, BEFORE_FIRST))
    return translator.node(
        *(equation, "Slice", inputs[0].full_name(graph)),
        *(graph.integers(numbers) for numbers in (*ends, axes, [-1] * len(axes))),
    )


def _translate_pad(translator, equation, inputs):
    graph = translator.graph
    array, fill = inputs
    config = equation.params["padding_config"]
    if any(interior for _, _, interior in config):
        raise UntranslatableError("padding between entries")
    pads = [int(low) for low, _, _ in config] + [int(high) for _, high, _ in config]
    return translator.node(
        *(equation, "Pad", array.full_name(graph), graph.integers(pads)),
        fill.stored_name(graph),
    )


def _translate_iota(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    shape, axis = equation.outvars[0].aval.shape, params["dimension"]
    # Numbered along one axis, broadcast along the others.
    stored_shape = [dim if i == axis else 1 for i, dim in enumerate(shape)]
    if is_static(shape[axis]):
        numbers = np.arange(shape[axis], dtype=params["dtype"]).reshape(stored_shape)
        return [TranslatedValue.from_array(numbers, shape)]
    end = graph.add("Squeeze", graph.size(shape[axis]))
    zero, one = (graph.constant(np.int64(number)) for number in (0, 1))
    numbers = graph.cast(graph.add("Range", zero, end, one), params["dtype"])
    return [
        translator.output(
            equation, translator.reshape(numbers, stored_shape), stored_shape
        )
    ]


def _translate_size(translator, equation, inputs):
    graph = translator.graph
    name = graph.add("Squeeze", graph.size(equation.params["dim"]))
    return [translator.output(equation, graph.cast(name, np.int32))]


SHAPE_OPERATIONS: dict[str, TranslateEquation] = {
    "broadcast_in_dim": _translate_broadcast,
    "dim_as_value": _translate_size,
    "concatenate": _translate_concatenate,
    "iota": _translate_iota,
    "pad": _translate_pad,
    "reshape": _translate_reshape,
    "rev": _translate_reverse,
    "slice": _translate_slice,
    "split": _translate_split,
    "squeeze": _translate_squeeze,
    "stack": _translate_stack,
    "transpose": _translate_transpose,
    "unstack": _translate_unstack,
}
