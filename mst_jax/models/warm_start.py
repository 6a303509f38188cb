"""Parameters to start training from: another model's, as far as they fit."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mst_jax.atomic_io import Place, place_of
from mst_jax.checkpoints.parameter_mapping import Account, Flat, read_names
from mst_jax.checkpoints.pretrained_vit import BareViT, find_bare_vit
from mst_jax.checkpoints.published_file import is_published_file, read_published_file
from mst_jax.checkpoints.torch_file import TorchFile
from mst_jax.geometry.resize import resize_positions_bicubic
from mst_jax.layers.patchify import resize_kernel
from mst_jax.models.detect_architecture import count_heads
from mst_jax.models.load import TrainedModel, load, make_published
from mst_jax.path_rules import any_matches

IMAGE, POSITIONS = "embed/image/kernel", "embed/positions"
PATCH_KERNELS = (IMAGE, "embed/hints/kernel")
TRUNK = ("embed/", "backbone/")
QUERY = "backbone/block0/attention/query/kernel"


class Form(NamedTuple):
    """What two backbones must have in common."""

    width: int
    depth: int
    num_heads: int

    def __str__(self) -> str:
        return f"width {self.width}, {self.depth} blocks, {self.num_heads} heads"


def start_from(
    params: dict, path: str | os.PathLike, *, fresh: Sequence[str] = ()
) -> tuple[dict, Account]:
    """Puts a checkpoint's arrays in the place of fresh parameters.

    What both have is taken from the checkpoint; positions of another grid are resized
    bicubically, patch kernels of another size by the pseudo-inverse. A model of fewer
    blocks takes so many of a whole model's, evenly from the first to the last (Sanh et
    al., DistilBERT, 2019). The rest stays fresh: all but image's embedding and blocks
    after MAE or DINOv2, token selection after SimpleClick, the learned queries if their
    number differs.

    Args:
        params: fresh parameters of any model.
        path: whatever `load` takes.
        fresh: patterns of the parameters' paths that are not taken, such as
            ("decoder/.*", "embed/positions").

    Returns:
        The parameters, and the account: `fresh` are those that were left as they were.

    Raises:
        ValueError: the checkpoint cannot be read, or does not fit; a pattern that
            matches nothing.
    """
    flat = flatten_dict(params, sep="/")
    path = place_of(path)
    stays = flatten_dict(any_matches(fresh, params, block="config.fresh"), sep="/")
    source, account = _read_source(path, flat)
    source = {name: value for name, value in source.items() if not stays.get(name)}
    started, changed = {}, []
    for name, leaf in flat.items():
        value = source.get(name, leaf)
        if value.shape != leaf.shape:
            changed.append(f"{name}: {list(value.shape)} resized to {list(leaf.shape)}")
            value = _resize(path, name, value, leaf.shape)
        started[name] = jnp.asarray(value, leaf.dtype)
    account = dataclasses.replace(
        account,
        filled=tuple(sorted(flat.keys() & source.keys())),
        fresh=tuple(sorted(flat.keys() - source.keys())),
        changed=(*account.changed, *changed),
    )
    return unflatten_dict(started, sep="/"), account


def _read_source(path: Place, flat: Flat) -> tuple[Flat, Account]:
    """Reads a checkpoint as flat params whose blocks have the form of the model's."""
    if not is_published_file(path):
        return _read_model(path, flat, load(path), ())
    file = read_published_file(path)
    try:
        bare = find_bare_vit(file.arrays)
        if bare:
            return _read_bare(file, bare, flat)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model, account = make_published(path, file)
    return _read_model(path, flat, model, account.unread)


def _read_bare(file: TorchFile, bare: BareViT, flat: Flat) -> tuple[Flat, Account]:
    """Reads a ViT that knows no clicks; without a config its heads are the model's."""
    width, depth, patch, side = bare.measures
    ours = _form(flat)
    num_heads = count_heads(file, width) or ours.num_heads
    _check_form(Form(width, depth, num_heads), ours)
    paths = [path for rule in bare.table.rules for path in rule.paths]
    shapes = {path: flat[path].shape for path in paths}
    shapes[IMAGE] = (patch, patch, *shapes[IMAGE][2:])
    shapes[POSITIONS] = (side, side, width)
    return read_names(file.arrays, bare.table, shapes)


def _read_model(
    path: Place, flat: Flat, model: TrainedModel, unread: tuple[str, ...]
) -> tuple[Flat, Account]:
    """Takes a whole model's params, whatever its recipe; `unread` were not read."""
    whole = flatten_dict(model.params, sep="/")
    theirs, ours = _form(whole), _form(flat)
    kept = _choose_blocks(theirs.depth, ours.depth)
    try:
        _check_form(theirs._replace(depth=len(kept)), ours)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    origin = _renumber_blocks(whole, kept)
    source = {name: whole[old] for name, old in origin.items()}
    unfit = _unfit_parts(source, flat)
    fitting = {
        name: value
        for name, value in source.items()
        if name in flat and _part_of(name) not in unfit
    }
    used = {origin[name] for name in fitting}
    idle = tuple(sorted(whole.keys() - used))
    changed = [f"{part} does not fit, started afresh" for part in sorted(unfit)]
    if len(kept) < theirs.depth:
        changed.append(f"blocks {', '.join(map(str, kept))} of {theirs.depth} taken")
    account = Account(tuple(sorted(used)), unread + idle, (), changed=tuple(changed))
    return fitting, account


def _choose_blocks(depth: int, wanted: int) -> list[int]:
    """Numbers of `wanted` of `depth` blocks, or of all if there are no more."""
    numbers = np.linspace(0, depth - 1, min(depth, wanted))
    return numbers.round().astype(int).tolist()


def _renumber_blocks(names: Iterable[str], kept: Sequence[int]) -> dict[str, str]:
    """Counts the kept blocks from 0: new name -> name; other blocks have none."""
    places = {f"backbone/block{number}": place for place, number in enumerate(kept)}
    origin = {}
    for name in names:
        part = _part_of(name)
        if part in places:
            origin[f"backbone/block{places[part]}{name.removeprefix(part)}"] = name
        elif not part.startswith("backbone/block"):
            origin[name] = name
    return origin


def _unfit_parts(source: Flat, flat: Flat) -> set[str]:
    """Parts behind the backbone some of whose shapes differ."""
    return {
        _part_of(name)
        for name in source.keys() & flat.keys()
        if not name.startswith(TRUNK) and source[name].shape != flat[name].shape
    }


def _part_of(name: str) -> str:
    """What is taken whole or not at all: the first two steps of a path."""
    return "/".join(name.split("/")[:2])


def _form(flat: Flat) -> Form:
    """The form of a model's blocks."""
    blocks = {path.split("/")[1] for path in flat if path.startswith("backbone/block")}
    width, num_heads, _ = flat[QUERY].shape
    return Form(width, len(blocks), num_heads)


def _check_form(theirs: Form, ours: Form) -> None:
    if theirs != ours:
        raise ValueError(
            f"it has {theirs}, the model {ours}; choose another config.model.size or "
            "another checkpoint"
        )


def _resize(
    path: Place, name: str, value: jax.Array | np.ndarray, shape: tuple[int, ...]
) -> jax.Array:
    """Resizes positions and patch kernels; nothing else may have another shape."""
    if name == POSITIONS and value.shape[2:] == shape[2:]:
        return resize_positions_bicubic(jnp.asarray(value), *shape[:2])
    if name in PATCH_KERNELS and value.shape[2:] == shape[2:]:
        return resize_kernel(jnp.asarray(value), shape[0])
    raise ValueError(
        f"{path} does not fit: its {name} is {list(value.shape)}, the model's "
        f"{list(shape)}; start from another checkpoint or change config.model"
    )
