"""The arguments of a mask loss: their types, and checks with one sentence per error."""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Num

# A number, or an array without axes, which may be traced.
ScalarOption = float | int | Num[Array, ""]
BoolOption = bool | Bool[ArrayLike, ""]

PixelAxes = int | tuple[int, ...]
AxisName = str | tuple[str, ...]

# Number of wrong values that an error lists.
MAX_LISTED = 3


class PixelReducer(NamedTuple):
    """Sums and maxima over the pixels of one example.

    Attributes:
        axis: Array axes of the pixels of one example.
        axis_name: Mesh axes over which the pixels of one example are sharded, inside
            `jax.shard_map`; None: each example is whole.
    """

    axis: PixelAxes
    axis_name: AxisName | None

    def sum(
        self, values: Num[Array, "..."] | Bool[Array, "..."], *, keepdims: bool = True
    ) -> Num[Array, "..."]:
        """Sum over the pixels; with `keepdims` the reduced axes remain with size 1."""
        total = values.sum(self.axis, keepdims=keepdims)
        if self.axis_name is None:
            return total
        return jax.lax.psum(total, self.axis_name)

    def max_without_gradient(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Take the maximum over the pixels; the reduced axes remain with size 1."""
        # `pmax` cannot be differentiated, so the gradient is stopped before it.
        maximum = jax.lax.stop_gradient(values.max(self.axis, keepdims=True))
        if self.axis_name is None:
            return maximum
        return jax.lax.pmax(maximum, self.axis_name)


def make_pixel_reducer(
    logits: Num[ArrayLike, "..."],
    axis: PixelAxes | None,
    axis_name: AxisName | None,
) -> PixelReducer:
    """Check the axes over which the pixels of one example lie.

    Args:
        logits: Logits of any shape.
        axis: Array axes of the pixels of one example; None: the only axis of `logits`.
        axis_name: Mesh axes over which the pixels of one example are sharded, or None.

    Raises:
        ValueError: No `axis` although `logits` do not have exactly one axis, or an `axis`
            that is traced or not an int or tuple of ints.
    """
    if axis is None:
        num_axes = jnp.ndim(logits)
        if num_axes != 1:
            raise ValueError(
                f"logits have {num_axes} axes and axis is not given; give the axes of the "
                "pixels of one example, such as axis=(-2, -1) for [b h w]"
            )
        return PixelReducer(-1, axis_name)
    axes = axis if isinstance(axis, tuple) else (axis,)
    if any(isinstance(number, Tracer) for number in axes):
        raise ValueError(
            "axis is traced, expected fixed numbers; write "
            "jax.jit(loss, static_argnames=('axis', 'axis_name'))"
        )
    try:
        indices = tuple(operator.index(number) for number in axes)
    except TypeError:
        raise ValueError(
            f"axis is {axis!r}, expected an int or a tuple of ints"
        ) from None
    return PixelReducer(indices if isinstance(axis, tuple) else indices[0], axis_name)


def read_logits(logits: Num[ArrayLike, "*pixels"]) -> Float[Array, "*pixels"]:
    """Return logits in float32, or in float64 if they are.

    Raises:
        ValueError: Logits of an integer or bool dtype.
    """
    array = jnp.asarray(logits)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(
            f"logits are {array.dtype}, expected floats; the order is (logits, labels)"
        )
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def read_where(
    where: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."] | None, shape: tuple[int, ...]
) -> Bool[Array, "..."]:
    """Return which pixels count, broadcast to a shape.

    Args:
        where: False on pixels that do not count, broadcasts to `shape`; None: all count.
        shape: Shape of the logits.

    Raises:
        ValueError: An array that does not broadcast to `shape`, or that holds other
            values than 0 and 1 (seen only if it is concrete).
    """
    if where is None:
        return jnp.ones(shape, bool)
    try:
        is_broadcast = jnp.broadcast_shapes(jnp.shape(where), shape) == shape
    except ValueError:
        is_broadcast = False
    if not is_broadcast:
        raise ValueError(
            f"logits are {shape}, where {jnp.shape(where)}; give a `where` that "
            "broadcasts to the logits"
        )
    wrong_values = _find_wrong_values(where, None)
    if wrong_values:
        raise ValueError(
            f"where holds {wrong_values}, expected bool or 0 and 1; to weight pixels, "
            "multiply the loss by the weights"
        )
    return jnp.broadcast_to(jnp.asarray(where, bool), shape)


def read_labels(
    labels: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."],
    where: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."] | None,
    shape: tuple[int, ...],
) -> Bool[Array, "..."]:
    """Return which pixels belong to the object: those with labels above 0.5.

    Args:
        labels: Labels 0 and 1 of any dtype. Pixels that do not count may hold anything.
        where: False on pixels that do not count, broadcasts to `shape`; None: all count.
        shape: Shape of the logits, which `labels` must have.

    Raises:
        ValueError: Another shape, or labels other than 0 and 1 on pixels that count. The
            values are checked if both arrays are concrete: not inside `jax.jit`,
            `jax.vmap` and the like, where the values are unknown.
    """
    if jnp.shape(labels) != shape:
        raise ValueError(
            f"logits are {shape}, labels {jnp.shape(labels)}; give both the same shape"
        )
    wrong_values = _find_wrong_values(labels, where)
    if wrong_values:
        raise ValueError(
            f"labels hold {wrong_values} on pixels that count, expected only 0 and 1; "
            "leave pixels out with `where`, such as where=labels != 255, and make soft "
            "labels hard with labels > 0.5"
        )
    array = jnp.asarray(labels)
    return array if array.dtype == bool else array > 0.5


def _find_wrong_values(array: Any, where: Any) -> str:
    """List the values other than 0 and 1 of a concrete array; "" if there are none."""
    if not hasattr(array, "dtype"):
        # Lists and numbers stay concrete also inside `jax.jit`.
        with jax.ensure_compile_time_eval():
            array = jnp.asarray(array)
    is_bool = jnp.issubdtype(array.dtype, jnp.bool_)
    if is_bool or not all(map(_is_concrete, (array, where))):
        return ""
    # NumPy arrays: inside `jax.jit`, jnp would trace even constants.
    values, is_counted = jax.device_get((array, True if where is None else where))
    is_wrong = (values != 0) & (values != 1) & (is_counted != 0)
    if not is_wrong.any():
        return ""
    found = values[is_wrong] if values.shape else values.reshape(1)
    # Three digits: 0.05 is 0.0499878 in float16.
    texts = (
        f"{value:.0f}" if value % 1 == 0 else f"{value:.3g}"
        for value in map(float, found[:100])
    )
    listed = sorted(set(texts), key=float)
    suffix = ", ..." if len(listed) > MAX_LISTED else ""
    return ", ".join(listed[:MAX_LISTED]) + suffix


def _is_concrete(array: Any) -> bool:
    """Return whether the values of an array are known in this process."""
    if isinstance(array, Tracer):
        return False
    return not isinstance(array, jax.Array) or array.is_fully_addressable
