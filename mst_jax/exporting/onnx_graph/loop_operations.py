"""Loops of JAX in ONNX."""

import numpy as np

from mst_jax.exporting.onnx_graph.translated_value import (
    TranslatedValue,
    UntranslatableError,
)
from mst_jax.exporting.onnx_graph.translator import TranslateEquation, Translator
from mst_jax.extras import needs_extra

with needs_extra("export"):
    from onnx import TensorProto, helper


def _translate_scan(translator, equation, inputs):
    """Write the steps of a loop over the first axis one after the other."""
    graph, program = translator.graph, equation.params["jaxpr"]
    length, is_reverse = equation.params["length"], equation.params["reverse"]
    inner_shapes = [variable.aval.shape for variable in program.jaxpr.invars]
    # An input or output whose shape differs from that of the body is sliced or stacked.
    is_sliced = [
        value.shape != shape for value, shape in zip(inputs, inner_shapes, strict=True)
    ]
    pairs = zip(equation.outvars, program.jaxpr.outvars, strict=True)
    is_stacked = [outer.aval.shape != inner.aval.shape for outer, inner in pairs]
    num_carry, num_constants = is_stacked.count(False), is_sliced.count(False)
    num_constants -= num_carry
    constants = inputs[:num_constants]
    carry = inputs[num_constants : num_constants + num_carry]
    slices = inputs[num_constants + num_carry :]
    steps = range(length)[::-1] if is_reverse else range(length)
    rows: dict[int, list[TranslatedValue]] = {}
    for step in steps:
        step_inputs = [_row(translator, value, step) for value in slices]
        outputs = translator.translate(program, [*constants, *carry, *step_inputs])
        carry, rows[step] = outputs[:num_carry], outputs[num_carry:]
    stacked = []
    for output, variable in enumerate(equation.outvars[num_carry:]):
        first_axis = graph.integers([0])
        names = [
            graph.add("Unsqueeze", rows[step][output].full_name(graph), first_axis)
            for step in range(length)
        ]
        name = graph.add("Concat", *names, axis=0)
        aval = variable.aval
        stacked.append(TranslatedValue(aval.shape, aval.shape, aval.dtype, name))
    return [*carry, *stacked]


def _row(translator: Translator, value: TranslatedValue, step: int) -> TranslatedValue:
    """Return one entry of the first axis."""
    graph, shape = translator.graph, value.shape[1:]
    value = value.broadcast(graph)
    if value.array is not None:
        return TranslatedValue.from_array(value.array[step])
    index = graph.constant(np.int64(step))
    name = graph.add("Gather", value.full_name(graph), index, axis=0)
    return TranslatedValue(shape, shape, value.dtype, name)


def _translate_while(translator, equation, inputs):
    graph, params = translator.graph, equation.params
    num_condition, num_body = params["cond_nconsts"], params["body_nconsts"]
    condition_inputs = inputs[:num_condition]
    body_inputs = inputs[num_condition : num_condition + num_body]
    start = inputs[num_condition + num_body :]
    # 1. Whether there is a first step.
    (goes_on,) = translator.translate(params["cond_jaxpr"], [*condition_inputs, *start])
    # 2. The step, and whether there is another one.
    body = translator.for_body()
    carry = [
        TranslatedValue(value.shape, value.shape, value.dtype, body.graph.new_name("x"))
        for value in start
    ]
    next_carry = body.translate(params["body_jaxpr"], [*body_inputs, *carry])
    (goes_on_after,) = body.translate(
        params["cond_jaxpr"], [*condition_inputs, *next_carry]
    )
    # An output must be that of a node in the body.
    output_names = [
        body.graph.add("Identity", value.full_name(body.graph))
        for value in (goes_on_after, *next_carry)
    ]
    step_name, goes_on_name = body.graph.new_name("step"), body.graph.new_name("go")
    inner_inputs = [
        helper.make_tensor_value_info(step_name, TensorProto.INT64, []),
        helper.make_tensor_value_info(goes_on_name, TensorProto.BOOL, []),
        *(_type_of(value.name, value) for value in carry),
    ]
    inner_outputs = [
        _type_of(name, value)
        for name, value in zip(output_names, (goes_on_after, *next_carry), strict=True)
    ]
    body_graph = helper.make_graph(
        body.graph.nodes, body.graph.new_name("body"), inner_inputs, inner_outputs
    )
    # 3. The loop, without a maximum number of steps.
    names = graph.add_many(
        *("Loop", "", goes_on.full_name(graph)),
        *(value.full_name(graph) for value in start),
        num_outputs=len(start),
        body=body_graph,
    )
    return [
        TranslatedValue(value.shape, value.shape, value.dtype, name)
        for value, name in zip(start, names, strict=True)
    ]


def _type_of(name, value: TranslatedValue):
    """Return the declaration of a value: its type and number of axes."""
    element_type = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return helper.make_tensor_value_info(name, element_type, [None] * len(value.shape))


def _translate_platform_index(translator, equation, inputs):
    """Return the index of the branch for other platforms than those of JAX."""
    return [TranslatedValue.from_array(np.int32(len(equation.params["platforms"]) - 1))]


def _translate_cond(translator, equation, inputs):
    """Write the branch that is known now, such as the one for a platform."""
    index, *operands = inputs
    if index.array is None:
        raise UntranslatableError("the JAX operation 'cond' with a computed condition")
    return translator.translate(equation.params["branches"][int(index.array)], operands)


LOOP_OPERATIONS: dict[str, TranslateEquation] = {
    "cond": _translate_cond,
    "platform_index": _translate_platform_index,
    "scan": _translate_scan,
    "while": _translate_while,
}
