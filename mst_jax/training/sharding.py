"""Shard the training state and the batch over the devices of all processes.

The devices form a mesh of two axes: `model`, a group of neighboring devices that may
share one copy of the model, and `data`, the number of such groups. Path rules say which
parameters are sharded over which axes; the batch is sharded over all devices. See
docs/scale.md.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from einops import rearrange
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from mst_jax.path_rules import PathRules, apply_rules, leaf_path
from mst_jax.structs import Batch
from mst_jax.training.train_state import TrainState

T = TypeVar("T")

TRANSFORM_NAMES = ("jit", "pmap")
MESH_AXES = ("data", "model")

REPLICATED: PathRules[Sequence[str]] = ((".*", ()),)
"""Every parameter is replicated on every device."""

# Smaller arrays are replicated: sharding them would save 16 kB and cost a collective per
# step.
MIN_SHARDED_SIZE = 4096


@dataclasses.dataclass(frozen=True)
class ShardingOptions:
    """Options of sharding, block `sharding` of a config.

    Attributes:
        transform: "jit" = one program for all devices, which may shard the state;
            "pmap" = the same program on each device, each with the whole state.
        model_axis_size: Number of devices along the mesh axis `model`; 0 = all devices
            of a process.
        rules: Path rules whose values are the mesh axes over which a parameter is
            sharded: `("data", "model")`, `("model",)` or `("data",)`; `()` = replicated.
    """

    transform: str = "jit"
    model_axis_size: int = 1
    rules: PathRules[Sequence[str]] = REPLICATED

    def __post_init__(self) -> None:
        """Check the name of the transform and the size of the axis."""
        if self.transform not in TRANSFORM_NAMES:
            raise ValueError(
                f"transform is {self.transform!r}, expected 'jit' or 'pmap'"
            )
        if self.model_axis_size < 0:
            raise ValueError(
                f"model_axis_size is {self.model_axis_size}, expected 0 or more"
            )


class ShardingLayout(NamedTuple):
    """The devices of a run and how arrays are placed on them.

    Attributes:
        mesh: Mesh of all devices of all processes, [data model].
        transform: "jit" or "pmap", see `ShardingOptions`.
        rules: Path rules whose values are mesh axes, see `ShardingOptions`.
    """

    mesh: Mesh | AbstractMesh
    transform: str
    rules: PathRules[Sequence[str]]

    @property
    def replicated(self) -> NamedSharding:
        """Sharding with the whole array on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch_sharded(self) -> NamedSharding:
        """Sharding with an equal share of the first axis on every device."""
        return NamedSharding(self.mesh, PartitionSpec(MESH_AXES))


def make_sharding_layout(
    options: ShardingOptions,
    *,
    num_examples: int,
    devices: Sequence[Any] | None = None,
) -> ShardingLayout:
    """Arrange all devices in a mesh.

    Args:
        options: Options of sharding.
        num_examples: Number of examples that go through the network at once, on all
            devices together.
        devices: Devices of the run, such as those of a topology to compile for; None =
            those of all processes.

    Raises:
        ValueError: The devices do not form the mesh, or cannot share the batch evenly.
    """
    # By process: then the examples that a process reads are placed on its own devices.
    sorted_devices = sorted(
        jax.devices() if devices is None else devices,
        key=lambda device: (device.process_index, device.id),
    )
    num_local = sum(
        device.process_index == sorted_devices[0].process_index
        for device in sorted_devices
    )
    axis_size = options.model_axis_size or num_local
    if len(sorted_devices) % axis_size:
        raise ValueError(
            f"config.sharding.model_axis_size is {options.model_axis_size}, expected a "
            f"number that divides the {len(sorted_devices)} devices, or 0 for those of "
            "one process"
        )
    if num_examples % len(sorted_devices):
        raise ValueError(
            f"config.batch / config.grad_accum_steps is {num_examples}, which "
            f"{len(sorted_devices)} devices cannot share evenly; choose a multiple of "
            f"{len(sorted_devices)}"
        )
    # Neighboring devices, the fastest axis, form a `model` group.
    mesh = Mesh(np.array(sorted_devices).reshape(-1, axis_size), MESH_AXES)
    return ShardingLayout(mesh, options.transform, options.rules)


def axis_to_shard(shape: Sequence[int], num_shards: int) -> int | None:
    """Return the axis along which an array is sharded: the largest that can be.

    Args:
        shape: Shape of the array.
        num_shards: Number of equal shards.

    Returns:
        Index of the axis, the last among equals; None = replicated, because no axis is
        a multiple of `num_shards` or the array has fewer than `MIN_SHARDED_SIZE`
        elements.
    """
    divisible_axes = [axis for axis, size in enumerate(shape) if size % num_shards == 0]
    if math.prod(shape) < MIN_SHARDED_SIZE or num_shards == 1 or not divisible_axes:
        return None
    return max(divisible_axes, key=lambda axis: (shape[axis], axis))


def check_mesh_axes(axes: Any, *, can_shard: bool) -> None:
    """Check the value of a sharding rule.

    Args:
        axes: Value of the rule, a sequence of mesh axes.
        can_shard: Whether the state may be sharded, which "pmap" does not allow.

    Raises:
        ValueError: Unknown mesh axes, or any axes although the state may not be sharded.
    """
    # A string is a sequence of characters: "data" instead of ("data",) is a typo.
    if isinstance(axes, str) or not set(axes) <= set(MESH_AXES):
        raise ValueError(
            f"config.sharding.rules has the value {axes!r}, expected mesh axes, such "
            "as ('data', 'model'), or () to replicate the parameter on every device"
        )
    if axes and not can_shard:
        raise ValueError(
            f"config.sharding.rules shards parameters over {axes!r}; with "
            "transform='pmap' every device has the whole state: give () or "
            "transform='jit'"
        )


def state_shardings(layout: ShardingLayout, state: TrainState) -> TrainState:
    """Return the sharding of each array of a training state.

    Parameters follow the rules. Other arrays of the state that have the path and the
    shape of a parameter (moments of the optimizer, moving averages) are sharded like
    the parameter. The rest, such as the PRNG key and the step, is replicated.

    Args:
        layout: Devices and rules.
        state: State of arrays, or of their shapes.

    Raises:
        ValueError: A parameter that no rule matches, an unknown mesh axis, or a
            parameter to shard under `pmap`.
    """
    axes_tree = apply_rules(layout.rules, state.params, block="config.sharding.rules")

    def shape_and_sharding(leaf: Any, axes: Sequence[str]) -> tuple:
        check_mesh_axes(axes, can_shard=layout.transform == "jit")
        num_shards = math.prod(layout.mesh.shape[axis] for axis in axes)
        axis_index = axis_to_shard(leaf.shape, num_shards)
        if axis_index is None:
            return leaf.shape, layout.replicated
        partition_spec = PartitionSpec(*[None] * axis_index, tuple(axes))
        return leaf.shape, NamedSharding(layout.mesh, partition_spec)

    # 1. Path of each parameter -> its shape and sharding.
    param_tree = jax.tree.map(shape_and_sharding, state.params, axes_tree)
    param_leaves = jax.tree_util.tree_leaves_with_path(
        param_tree, is_leaf=lambda node: isinstance(node, tuple)
    )
    params = {leaf_path(path): entry for path, entry in param_leaves}

    # 2. Each array of the state: the longest suffix of its path that names a parameter.
    def sharding_of(path: tuple, leaf: Any) -> NamedSharding:
        path_names = leaf_path(path).split("/")
        for start_index in range(len(path_names)):
            shape, sharding = params.get(
                "/".join(path_names[start_index:]), (None, None)
            )
            if sharding is not None and shape == leaf.shape:
                return sharding
        return layout.replicated

    return jax.tree_util.tree_map_with_path(sharding_of, state)


def init_sharded_state(
    shardings: TrainState, init_state: Callable[..., TrainState], *args: Any
) -> TrainState:
    """Compute a sharded `init_state(*args)`; no device holds the whole state.

    Args:
        shardings: Shardings of the state, see `state_shardings`.
        init_state: Function that returns the state before the first step.
        *args: Arguments of `init_state`.
    """
    # With the shardings the program computes shards only.
    return jax.jit(init_state, out_shardings=shardings)(*args)


def shard_tree(tree: T, shardings: T) -> T:
    """Place arrays that every process holds whole on the devices of their shardings.

    Args:
        tree: Tree of arrays.
        shardings: Tree of the same structure, of shardings.
    """

    def shard(array: Any, sharding: NamedSharding) -> jax.Array:
        if isinstance(array, jax.Array) and array.sharding == sharding:
            return array
        # Each process provides the shards of its own devices.
        host_array = np.asarray(array)
        return jax.make_array_from_callback(
            host_array.shape, sharding, lambda index: host_array[index]
        )

    return jax.tree.map(shard, tree, shardings)


def gather_to_local_device(layout: ShardingLayout, tree: T) -> T:
    """Copy whole arrays to the first device of each process; all processes call this.

    Args:
        layout: Devices of the run.
        tree: Tree of arrays, sharded in any way.
    """
    replicated = jax.jit(_identity, out_shardings=layout.replicated)(tree)
    # Replicated arrays have a whole copy in each process: the data of one device.
    return jax.tree.map(lambda array: array.addressable_data(0), replicated)


def _identity(tree: T) -> T:
    """Return the tree unchanged. A new lambda in each call would miss the jit cache."""
    return tree


def shard_batch(layout: ShardingLayout, batch: Mapping[str, np.ndarray]) -> Batch:
    """Assemble the global batch from the share that each process has read.

    Args:
        layout: Devices of the run.
        batch: Fields of `Batch`, the share of this process.

    Returns:
        Arrays of the global batch; for `pmap` [devices of this process, examples, ...].
    """
    if layout.transform == "pmap":
        # `pmap` takes the devices of this process as the first axis.
        num_devices = jax.local_device_count()
        device_batch: dict[str, Any] = {
            name: rearrange(array, "(a b) ... -> a b ...", a=num_devices)
            for name, array in batch.items()
        }
        return Batch(**device_batch)
    make_global = jax.make_array_from_process_local_data
    global_batch: dict[str, Any] = {
        name: make_global(layout.batch_sharded, array) for name, array in batch.items()
    }
    return Batch(**global_batch)
