"""A model with its trained parameters, from disk."""

import dataclasses
import os
import warnings
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array
from ml_collections import FrozenConfigDict

from mst_jax import config_options
from mst_jax.atomic_io import Place, place_of
from mst_jax.checkpoints import store
from mst_jax.checkpoints.parameter_mapping import Account, read_names
from mst_jax.checkpoints.pretrained_vit import find_bare_vit
from mst_jax.checkpoints.published_file import is_published_file, read_published_file
from mst_jax.checkpoints.torch_file import TorchFile
from mst_jax.models import detect_architecture
from mst_jax.models.build import build
from mst_jax.models.click_model import ClickModel
from mst_jax.structs import Clicks, Outputs

BUNDLED = Path(__file__).parents[1] / "weights"
DEFAULT = "mst-small"
"""The model in the box; its card is `docs/mst-small.md`."""

# Any whole number of patches will do: parameters do not depend on it.
NUM_PATCHES = 4


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["module", "config"],
)
@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model that can be called; a JAX tree, so it may be an argument of jitted code.

    Attributes:
        params: tree of arrays.
        module: the Linen module that the parameters belong to.
        config: everything that the run was told, "model" among it.
    """

    params: dict
    module: ClickModel
    config: FrozenConfigDict

    def __call__(
        self,
        image: Array | np.ndarray,
        clicks: Clicks,
        previous: Array | np.ndarray,
    ) -> Array:
        """Predicts a batch of any size; compiles once for each shape.

        Args:
            image: [b h w 3] RGB, float, 0 to 1; height and width whole patches.
            clicks: [b k] in pixels of the image.
            previous: [b h w] probability of the round before, zeros at first.

        Returns:
            [b h w] float32 logits.

        Raises:
            ValueError: an argument of another shape or kind.
        """
        check_arguments(image, clicks, previous)
        return _forward(self.module, self.params, image, clicks, previous).logits

    def look(
        self,
        image: Array | np.ndarray,
        clicks: Clicks,
        previous: Array | np.ndarray,
    ) -> Outputs:
        """Predicts like a call; returns all that the model says, choices and queries."""
        check_arguments(image, clicks, previous)
        return _forward(self.module, self.params, image, clicks, previous)


@partial(jax.jit, static_argnums=0)
def _forward(module, params, image, clicks, previous):
    return module.apply({"params": params}, image, clicks, previous)


def check_arguments(image: object, clicks: Clicks, previous: object) -> None:
    """Raises ValueError unless the shapes and kinds are those that a model takes."""
    shape, kind = np.shape(image), jnp.result_type(image)
    if len(shape) != 4 or shape[-1] != 3 or not jnp.issubdtype(kind, jnp.floating):
        raise ValueError(
            f"image is {kind} {list(shape)}, expected float [b h w 3] from 0 to 1; "
            "divide uint8 pictures by 255 and add a leading axis to a single one"
        )
    if np.shape(previous) != shape[:3]:
        raise ValueError(
            f"previous is {list(np.shape(previous))}, expected {list(shape[:3])} like "
            "the image; use zeros before the first prediction"
        )
    yx, label = np.shape(clicks.yx), np.shape(clicks.label)
    if len(label) != 2 or label[0] != shape[0] or yx != (*label, 2):
        raise ValueError(
            f"clicks are yx {list(yx)} and label {list(label)}, expected "
            f"[{shape[0]} k 2] and [{shape[0]} k]"
        )


def shapes_of_params(module: ClickModel) -> dict:
    """Returns the tree of shapes that the module's parameters have, without making them."""
    return jax.eval_shape(partial(_init, module))


def _init(module: ClickModel) -> dict:
    """Draws parameters, always the same."""
    side = NUM_PATCHES * module.embed.patch
    image, previous = jnp.zeros((1, side, side, 3)), jnp.zeros((1, side, side))
    clicks = Clicks.empty(1, num_slots=1)
    return module.init(jax.random.key(0), image, clicks, previous)["params"]


@partial(jax.jit, static_argnums=(0, 1))
def _draw(module: ClickModel, paths: tuple[str, ...]) -> dict[str, Array]:
    """Draws some of a module's parameters; the others take no time and no memory."""
    flat = flatten_dict(_init(module), sep="/")
    return {path: flat[path] for path in paths}


def load(path: str | os.PathLike) -> TrainedModel:
    """Loads a model to call.

    Args:
        path: "mst-small", the model in the box, unless there is a folder of this name;
            the workdir of a training run (its newest checkpoint is taken), one of its
            `checkpoints/STEP`, a converted checkpoint, or a published `.pth`, `.pt`,
            `.safetensors` or `.npz`. MAE's and DINOv2's become the plain model, with
            all but the ViT drawn afresh: for training, not for predictions.

    Returns:
        `model(image, clicks, previous) -> logits`, with `.params` and `.config`.

    Raises:
        ValueError: nothing there, or the params of another model.
    """
    path = _find(path)
    if is_published_file(path):
        model, account = make_published(path, read_published_file(path))
        if account.fresh:
            warnings.warn(
                f"{path} holds a ViT alone: the rest of the model is drawn afresh, and "
                "its masks mean nothing; train it with --config.start=FILE",
                stacklevel=2,
            )
        return model
    config_folder, params_folder = store.find_model(path)
    config = store.read_config(config_folder)
    if "model" not in config:
        raise ValueError(
            f"{config_folder}/config.json names no model; expected a key 'model'"
        )
    module = config_options.call(
        build, f"'model' in {config_folder}", **config["model"]
    )
    params = store.read_params(params_folder, shapes_of_params(module))
    return TrainedModel(params, module, FrozenConfigDict(config))


def _find(path: str | os.PathLike) -> Place:
    """The place of a model; the name of one that comes with the package is enough."""
    place = place_of(path)
    is_name = Path(path).name == os.fspath(path)
    if is_name and not place.exists() and (BUNDLED / path).is_dir():
        return BUNDLED / path
    return place


def make_published(path: Place, file: TorchFile) -> tuple[TrainedModel, Account]:
    """Makes the model of a published checkpoint, and says what became of its arrays.

    What a ViT without clicks does not tell is drawn afresh, always the same.

    Args:
        path: of the file; for the errors alone.
        file: what `read_published_file` found there.

    Raises:
        ValueError: it holds no model that we have, or lacks something.
    """
    try:
        model = detect_architecture.find_model(file)
        module = config_options.call(build, "its model", **model)
        shapes = flatten_dict(shapes_of_params(module), sep="/")
        shapes = {path: leaf.shape for path, leaf in shapes.items()}
        bare = find_bare_vit(file.arrays)
        names = bare.table if bare else detect_architecture.names_of(model, module)
        told = {path for rule in names.rules for path in rule.paths} if bare else shapes
        flat, account = read_names(
            file.arrays, names, {path: shapes[path] for path in told}
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    fresh = tuple(sorted(shapes.keys() - flat.keys()))
    if fresh:
        flat |= _draw(module, fresh)
        account = dataclasses.replace(account, fresh=fresh)
    params = jax.tree.map(jnp.asarray, unflatten_dict(flat, sep="/"))
    config = file.config or {"model": model}
    return TrainedModel(params, module, FrozenConfigDict(config)), account
