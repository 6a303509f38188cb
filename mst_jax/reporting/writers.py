"""Where numbers and pictures of a run go: the workdir, TensorBoard, Weights & Biases."""

from collections.abc import Mapping
from types import ModuleType
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from tensorboardX import SummaryWriter

from mst_jax.atomic_io import Place, write_whole
from mst_jax.training import metrics_log
from mst_jax.training.telemetry import CLOCKED

PICTURES, TENSORBOARD, WANDB = "pictures", "tensorboard", "wandb_run"


class Writer(Protocol):
    """Whoever takes numbers and pictures."""

    def numbers(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes what was measured at a step."""

    def picture(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Takes an RGB picture of a step."""

    def close(self) -> None:
        """Writes what is not written yet."""


class Folder:
    """`metrics.jsonl` and `pictures/STEP.png` in the workdir; goes on after `first`."""

    def __init__(self, workdir: Place, *, first: int) -> None:
        self._workdir = workdir
        metrics_log.keep_until(workdir / metrics_log.METRICS, step=first)

    def numbers(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line."""
        metrics_log.write_line(self._workdir / metrics_log.METRICS, step, metrics)

    def picture(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Writes a file."""
        _, data = cv2.imencode(".png", picture[..., ::-1])
        write_whole(self._workdir / PICTURES / f"{step:08d}.png", data.tobytes())

    def close(self) -> None:
        """Nothing waits."""


def group_of(name: str) -> str:
    """A metric's tag: TensorBoard puts those with the same beginning together."""
    if name in CLOCKED:
        return f"speed/{name}"
    group, _, rest = name.partition("_")
    if group == "validation":
        return f"validation/{rest}"
    return f"iou/{name}" if group == "iou" else f"training/{name}"


class TensorBoard:
    """Event files; what an interrupted run wrote after `first` is marked as void."""

    def __init__(self, folder: Place, *, first: int) -> None:
        self._writer = SummaryWriter(
            str(folder), purge_step=first + 1 if first else None
        )

    def numbers(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes a point of each curve."""
        for name, value in metrics.items():
            self._writer.add_scalar(group_of(name), value, step)
        self._writer.flush()

    def picture(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Writes a picture."""
        self._writer.add_image("pictures", picture, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is not written yet."""
        self._writer.close()


def import_wandb() -> ModuleType:
    """Returns the module wandb.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise ValueError(
            "--wandb needs Weights & Biases, which is not installed: pip install wandb, "
            "then wandb login; or leave the flag out"
        ) from None
    return wandb


class WeightsAndBiases:
    """One run of a project; a run that goes on is the same run there."""

    def __init__(self, workdir: Place, *, project: str, config: dict) -> None:
        wandb = import_wandb()
        place = workdir / WANDB
        before = place.read_text() if place.exists() else None
        self._picture = wandb.Image
        self._run = wandb.init(
            project=project,
            name=workdir.name,
            id=before,
            resume="allow",
            config=config,
        )
        write_whole(place, self._run.id.encode())

    def numbers(self, step: int, metrics: Mapping[str, float]) -> None:
        """Sends a point of each curve."""
        tagged = {group_of(name): value for name, value in metrics.items()}
        self._run.log(tagged, step=step)

    def picture(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Sends a picture."""
        self._run.log({"pictures": self._picture(picture)}, step=step)

    def close(self) -> None:
        """Sends what is not sent yet."""
        self._run.finish()
