"""One step on many devices: where state and batch lie, by path rules.

The devices form a mesh of two axes. `model`: neighbours that may hold one copy of the
model between them; `data`: how often there are so many. All devices have their share of
the batch. See docs/scale.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
from einops import rearrange
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mst_jax.collectives import EXAMPLES
from mst_jax.path_rules import Rules, apply_rules, path_of
from mst_jax.structs import Batch, TrainState
from mst_jax.training.train_step import StepFunction

AXES = ("data", "model")
COPIED = ((".*", ()),)

# Fewer numbers are not split: they would save 16 kB and cost a message a step.
SMALL = 4096


class Layout(NamedTuple):
    """How a run lies on its devices.

    Attributes:
        mesh: all devices of all processes, [data model].
        step: "jit" or "pmap".
        rules: (pattern, mesh axes) for the paths of the parameters.
    """

    mesh: Mesh
    step: str
    rules: Rules

    @property
    def copied(self) -> NamedSharding:
        """The whole array on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def by_example(self) -> NamedSharding:
        """An equal share of the first axis on every device."""
        return NamedSharding(self.mesh, PartitionSpec(AXES))


def make_layout(
    examples: int, *, step: str = "jit", model: int = 1, rules: Rules = COPIED
) -> Layout:
    """Reads the config's block `parallel`.

    Args:
        examples: that go through the network at once, on all devices together.
        step: "jit": one program for all devices, which may split the state; "pmap": the
            same program on each, every one with the whole state.
        model: devices along the mesh's axis `model`; 0: all of this process.
        rules: (pattern, axes): what is to be split over `("data", "model")`, `("model",)`
            or `("data",)`; `()`: copied to every device.

    Raises:
        ValueError: devices or a batch that cannot be shared evenly, an unknown step.
    """
    if step not in ("jit", "pmap"):
        raise ValueError(f"config.parallel.step is {step!r}, expected 'jit' or 'pmap'")
    # By process: then the examples that a process reads lie on its own devices.
    devices = sorted(
        jax.devices(), key=lambda device: (device.process_index, device.id)
    )
    near = model or jax.local_device_count()
    if near < 1 or len(devices) % near:
        raise ValueError(
            f"config.parallel.model is {model}, expected a number that divides the "
            f"{len(devices)} devices, or 0 for those of one process"
        )
    if examples % len(devices):
        raise ValueError(
            f"config.batch / config.accumulate is {examples}, which {len(devices)} "
            f"devices cannot share evenly; take a multiple of {len(devices)}"
        )
    mesh = Mesh(np.array(devices).reshape(-1, near), AXES)
    return Layout(mesh, step, rules)


def split_axis(shape: Sequence[int], num: int) -> int | None:
    """The axis along which an array is split into `num`: the largest that can be.

    Returns:
        Its number, the last among equals; None, and the array is copied, if no axis is a
        multiple of `num` or the array has fewer than `SMALL` numbers.
    """
    fitting = [axis for axis, size in enumerate(shape) if size % num == 0]
    if math.prod(shape) < SMALL or num == 1 or not fitting:
        return None
    return max(fitting, key=lambda axis: (shape[axis], axis))


def check_axes(axes: object, *, splits: bool) -> None:
    """Raises ValueError unless these are mesh axes, and none if nothing `splits`."""
    if isinstance(axes, str) or not set(axes) <= set(AXES):
        raise ValueError(
            f"config.parallel.rules has the value {axes!r}, expected mesh axes, such as "
            "('data', 'model'), or () for a copy on each device"
        )
    if axes and not splits:
        raise ValueError(
            f"config.parallel.rules splits parameters over {axes!r}; with step='pmap' "
            "every device has the whole state: give () or step='jit'"
        )


def shardings_of(layout: Layout, state: TrainState) -> TrainState:
    """Says where each array of a state lies.

    Parameters follow the rules; whatever the state has besides under a parameter's path
    and in its shape (the optimiser's means, an average) lies as the parameter does; the
    rest, the random key and the number of steps, is copied.

    Args:
        layout: of the run.
        state: of arrays, or of their shapes.

    Raises:
        ValueError: a parameter that no rule speaks of, an unknown mesh axis, something to
            split under `pmap`.
    """
    axes_of = apply_rules(layout.rules, state.params, block="config.parallel.rules")

    def place(leaf: object, axes: Sequence[str]) -> tuple:
        check_axes(axes, splits=layout.step == "jit")
        axis = split_axis(leaf.shape, math.prod(layout.mesh.shape[a] for a in axes))
        if axis is None:
            return leaf.shape, layout.copied
        spec = PartitionSpec(*[None] * axis, tuple(axes))
        return leaf.shape, NamedSharding(layout.mesh, spec)

    placed = jax.tree.map(place, state.params, axes_of)
    leaves = jax.tree_util.tree_leaves_with_path(
        placed, is_leaf=lambda node: isinstance(node, tuple)
    )
    params = {path_of(path): pair for path, pair in leaves}

    def follow(path: tuple, leaf: object) -> NamedSharding:
        names = path_of(path).split("/")
        for first in range(len(names)):
            shape, sharding = params.get("/".join(names[first:]), (None, None))
            if shape == leaf.shape:
                return sharding
        return layout.copied

    return jax.tree_util.tree_map_with_path(follow, state)


def make_state(
    layout: Layout, start: Callable[..., TrainState], *given: object
) -> tuple[TrainState, TrainState]:
    """Computes `start(*given)` where it is to lie; no device ever holds the whole.

    Returns:
        The state, and its shardings.
    """
    shardings = shardings_of(layout, jax.eval_shape(start, *given))
    return jax.jit(start, out_shardings=shardings)(*given), shardings


def put(tree: object, shardings: object) -> object:
    """Puts arrays that every process has whole where they are to lie."""

    def one(x: object, sharding: NamedSharding) -> jax.Array:
        if isinstance(x, jax.Array) and x.sharding == sharding:
            return x
        held = np.asarray(x)
        return jax.make_array_from_callback(held.shape, sharding, lambda i: held[i])

    return jax.tree.map(one, tree, shardings)


def local_copy(layout: Layout, tree: object) -> object:
    """The whole of arrays on the first device of each process; all processes call this."""
    whole = jax.jit(_same, out_shardings=layout.copied)(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), whole)


def _same(tree: object) -> object:
    return tree


def put_batch(layout: Layout, batch: Mapping[str, np.ndarray]) -> Batch:
    """Makes the whole batch of what each process has read of it.

    Args:
        layout: of the run.
        batch: fields of `Batch`; the share of this process.

    Returns:
        Arrays of the whole batch; for `pmap`, [devices of this process, examples, ...].
    """
    if layout.step == "pmap":
        near = jax.local_device_count()
        return Batch(
            **{
                k: rearrange(x, "(a b) ... -> a b ...", a=near)
                for k, x in batch.items()
            }
        )
    make = jax.make_array_from_process_local_data
    return Batch(**{name: make(layout.by_example, x) for name, x in batch.items()})


def spread(layout: Layout, update: StepFunction, shardings: TrainState) -> StepFunction:
    """Compiles a step for all devices.

    Split parameters come together for the network (the compiler gathers each where it is
    needed first) and are updated in their parts, as the optimiser's state is.

    Args:
        layout: of the run.
        update: the step, as one device would do it.
        shardings: of the state.

    Returns:
        The step, of a state with these shardings and a batch of `put_batch`. The given
        state's memory is used again: do not touch it afterwards.
    """
    if layout.step == "pmap":
        return jax.pmap(
            update,
            axis_name=EXAMPLES,
            in_axes=(None, 0),
            out_axes=None,
            donate_argnums=0,
        )

    def whole(state: TrainState, batch: Batch) -> tuple:
        gathered = jax.lax.with_sharding_constraint(state.params, layout.copied)
        return update(replace(state, params=gathered), batch)

    return jax.jit(
        whole,
        in_shardings=(shardings, layout.by_example),
        out_shardings=(shardings, layout.copied),
        donate_argnums=0,
    )


def bytes_per_device(tree: object) -> int:
    """Bytes that the fullest device holds of arrays, or of shapes with shardings."""
    held = (
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )
    return sum(held)
