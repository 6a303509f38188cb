"""Describe a run before its first step: devices, data, model, start, batch, steps."""

from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from mst_jax.backbones.vit_sizes import VIT_SIZES
from mst_jax.data.example import list_objects
from mst_jax.models.warm_start import StartValues
from mst_jax.training.config import TrainingOptions

# Images whose objects are counted; more would delay the start by seconds.
MAX_COUNTED_IMAGES = 50

# At least this width: such a model does not learn from random weights in a published
# number of steps. nano and tiny do, see docs/results.md.
MIN_PRETRAINED_WIDTH = VIT_SIZES["small"].width

WEIGHTS_PAGE = "docs/training.md#start-weights"

# Size -> file of a pretrained ViT, which `config.init_from` takes.
PRETRAINED_FILES = {
    "small": "dinov2_vits14_pretrain.pth",
    "base": "mae_pretrain_vit_base.pth",
    "large": "mae_pretrain_vit_large.pth",
    "huge": "mae_pretrain_vit_huge.pth",
}

# The releases of token selection that started from MAE instead of SimpleClick.
MAE_RELEASES = ("224", "224-large")


@runtime_checkable
class LabeledImages(Protocol):
    """A dataset whose label maps can be read without the images."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def read_layers(self, index: int) -> Any:
        """Return the [l h w] label maps of an image."""


def describe_devices() -> str:
    """Describe the devices of the run, such as "8 x TPU v4, 2 processes"."""
    kinds = sorted({device.device_kind for device in jax.devices()})
    processes = jax.process_count()
    text = f"devices: {jax.device_count()} x {', '.join(kinds)}"
    return text if processes == 1 else f"{text}, {processes} processes"


def describe_dataset(
    dataset: LabeledImages, *, name: str, split: str, data_dir: str
) -> str:
    """Describe a dataset: where it is, its images and objects.

    Args:
        dataset: Images of the split.
        name: Name of the dataset.
        split: Name of the split.
        data_dir: Folder of the prepared datasets.
    """
    num_images = len(dataset)
    num_counted = min(num_images, MAX_COUNTED_IMAGES)
    indices = np.linspace(0, num_images - 1, num_counted).round().astype(int)
    counts = [len(list_objects(dataset.read_layers(int(i)))) for i in indices]
    num_objects = f"{sum(counts):,}"
    if num_counted < num_images:
        # Two digits: an estimate from a part of the images.
        num_objects = f"about {float(f'{np.mean(counts) * num_images:.1e}'):,.0f}"
    return (
        f"data: {name}, split {split}, in {data_dir}: {num_images:,} images, "
        f"{num_objects} objects"
    )


def describe_model(options: TrainingOptions, params: Any) -> str:
    """Describe the model and count its parameters.

    Args:
        options: Checked values of the config.
        params: Tree of the parameters, or of their shapes.
    """
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    model = options.model
    size = f" {model['size']}" if "size" in model else ""
    return (
        f"model: {model['name']}{size}, {num_params:,} parameters, matrix products in "
        f"{model.get('dtype', 'float32')}"
    )


def describe_start(
    start: StartValues | None, *, newest_step: int | None, workdir: str
) -> str:
    """Describe where the parameters come from.

    Args:
        start: Parameters of another model; None = random ones.
        newest_step: Step of the newest checkpoint; None = a new run.
        workdir: Workdir of the run.
    """
    if newest_step is not None:
        return f"start: resumes {workdir} after step {newest_step}"
    if start is None:
        return "start: random weights"
    report = str(start.report).replace("\n", "; ")
    return f"start: {start.path}: {report}"


def describe_steps(options: TrainingOptions, *, num_images: int) -> str:
    """Describe the batch of each device, the steps and the epochs.

    Args:
        options: Checked values of the config.
        num_images: Number of images in an epoch.
    """
    num_devices = jax.device_count()
    per_device = options.batch // options.grad_accum_steps // num_devices
    parts = [f"{per_device} on each of {num_devices} devices"]
    if num_devices == 1:
        parts = [f"{per_device} on the device"]
    if options.grad_accum_steps > 1:
        parts.append(f"{options.grad_accum_steps} times in a step")
    num_epochs = options.steps * options.batch / num_images
    return (
        f"batch: {options.batch} = {', '.join(parts)}; steps: {options.steps:,} = "
        f"{num_epochs:.3g} epochs"
    )


def random_start_warning(options: TrainingOptions, params: Any) -> str | None:
    """Return a warning if a model that needs pretrained weights starts from random ones.

    Args:
        options: Checked values of the config, without `init_from`.
        params: Tree of the parameters, or of their shapes.

    Returns:
        One sentence with the file to get; None for models of the sizes nano and tiny.
    """
    width = params["embed"]["positions"].shape[-1]
    if width < MIN_PRETRAINED_WIDTH:
        return None
    model = options.model
    size = model.get("size", "base")
    file = PRETRAINED_FILES.get(size, "a pretrained ViT")
    if "mst" in model["name"] and model.get("release") not in MAE_RELEASES:
        file = f"SimpleClick's weights of size {size}, or {file}"
    return (
        f"warning: config.init_from is not set, so this model starts from random "
        f"weights, with the learning rate {options.optimizer.learning_rate:g}; the "
        f"published training starts from pretrained ones: get {file} (links: "
        f"{WEIGHTS_PAGE}) and add --config.init_from=FILE"
    )
