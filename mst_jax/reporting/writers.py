"""Write metrics and images of a training run: workdir, TensorBoard, Weights & Biases."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from tensorboardX import SummaryWriter

from mst_jax.atomic_io import PathLike, atomic_write
from mst_jax.training import metrics_log
from mst_jax.training.telemetry import MACHINE_METRICS

# Names in the workdir.
IMAGES_DIR = "images"
TENSORBOARD_DIR = "tensorboard"
WANDB_RUN_ID_FILE = "wandb_run_id"

# Name under which the writers file images.
IMAGE_TAG = "images"


class MetricWriter(Protocol):
    """Destination of metrics and images."""

    def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of a step."""

    def write_image(self, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Write an RGB image of a step."""

    def close(self) -> None:
        """Write what is still buffered."""


class FolderWriter:
    """Writer of `metrics.jsonl` and `images/STEP.png` in the workdir."""

    def __init__(self, workdir: PathLike, *, start_step: int) -> None:
        """Open the files of a run that starts or resumes.

        Args:
            workdir: Workdir of the run.
            start_step: Step that the run resumes after; later lines of an interrupted
                run are deleted.
        """
        self._workdir = workdir
        self._metrics_path = workdir / metrics_log.METRICS_FILE
        metrics_log.truncate_after(self._metrics_path, step=start_step)

    def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line.

        Args:
            step: Step of the run.
            metrics: Name -> value.
        """
        metrics_log.append_metrics(self._metrics_path, step, metrics)

    def write_image(self, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Write a PNG file.

        Args:
            step: Step of the run; the name of the file.
            image: [h w 3] RGB.
        """
        # OpenCV expects BGR.
        _, encoded_png = cv2.imencode(".png", image[..., ::-1])
        image_path = self._workdir / IMAGES_DIR / f"{step:08d}.png"
        atomic_write(image_path, encoded_png.tobytes())

    def close(self) -> None:
        """Do nothing: every line and file is written at once."""


def metric_tag(name: str) -> str:
    """Return a metric's name with a group; TensorBoard shows the groups apart.

    Args:
        name: Name of the metric, such as "validation_noc90".

    Returns:
        The tag: "speed/...", "validation/...", "iou/..." or "training/...".
    """
    if name in MACHINE_METRICS:
        return f"speed/{name}"
    name_prefix, _, name_suffix = name.partition("_")
    if name_prefix == "validation":
        return f"validation/{name_suffix}"
    return f"iou/{name}" if name_prefix == "iou" else f"training/{name}"


class TensorBoardWriter:
    """Writer of TensorBoard event files."""

    def __init__(self, folder: PathLike, *, start_step: int) -> None:
        """Open an event file.

        Args:
            folder: Folder of the event files.
            start_step: Step that the run resumes after; TensorBoard drops later events of
                an interrupted run.
        """
        # A new run (step 0) has nothing to purge.
        purge_step = start_step + 1 if start_step else None
        self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a point of each curve.

        Args:
            step: Step of the run.
            metrics: Name -> value.
        """
        for name, metric_value in metrics.items():
            self._writer.add_scalar(metric_tag(name), metric_value, step)
        # A run may be killed at any time, and its curves should be current.
        self._writer.flush()

    def write_image(self, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Write an image.

        Args:
            step: Step of the run.
            image: [h w 3] RGB.
        """
        self._writer.add_image(IMAGE_TAG, image, step, dataformats="HWC")

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def import_wandb() -> ModuleType:
    """Import the module wandb, which is an optional dependency.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import wandb  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError(
            "--wandb needs Weights & Biases, which is not installed: pip install wandb, "
            "then wandb login; or leave the flag out"
        ) from None
    return wandb


class WandbWriter:
    """Writer of one Weights & Biases run, which a resumed training run continues."""

    def __init__(
        self, workdir: PathLike, *, project: str, config: dict[str, Any]
    ) -> None:
        """Start the Weights & Biases run, or resume that of the workdir.

        Args:
            workdir: Workdir of the training run; its name becomes the name of the run.
            project: Project of Weights & Biases.
            config: Config of the training run, JSON values.

        Raises:
            ValueError: wandb is not installed.
        """
        wandb = import_wandb()
        # A resumed training run continues its curves instead of starting new ones.
        id_path = workdir / WANDB_RUN_ID_FILE
        stored_id = id_path.read_text() if id_path.exists() else None
        self._make_image = wandb.Image
        self._run = wandb.init(
            project=project,
            name=workdir.name,
            id=stored_id,
            resume="allow",
            config=config,
        )
        atomic_write(id_path, self._run.id.encode())

    def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send a point of each curve.

        Args:
            step: Step of the run.
            metrics: Name -> value.
        """
        tagged_metrics = {
            metric_tag(name): metric_value for name, metric_value in metrics.items()
        }
        self._run.log(tagged_metrics, step=step)

    def write_image(self, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Send an image.

        Args:
            step: Step of the run.
            image: [h w 3] RGB.
        """
        self._run.log({IMAGE_TAG: self._make_image(image)}, step=step)

    def close(self) -> None:
        """Send what is still buffered."""
        self._run.finish()
