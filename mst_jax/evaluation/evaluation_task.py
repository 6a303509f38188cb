"""Evaluate a model on a prepared dataset, without repeating sessions that are logged."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
from ml_collections import FrozenConfigDict
from tqdm import tqdm

from mst_jax.data.dataset import PreparedDataset, list_splits, open_dataset
from mst_jax.data.example import Example
from mst_jax.data.split_overlap import count_shared_images
from mst_jax.data.targets import EvaluationTarget, evaluation_targets
from mst_jax.evaluation.batched import simulate_batched
from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.results_log import ResultsLog, SessionRecord
from mst_jax.evaluation.simulation import NEVER_STOP
from mst_jax.evaluation.summary import Summary, summarize_sessions
from mst_jax.interaction.zoom_predict import ClickModelFn

# Objects side by side on each device, by the JAX backend.
#
# On a CPU one: four take 1.4 times the CPU time per click, because all wait for the
# largest distance transform among them and the network's activations leave the cache
# (measured with a ViT of 0.9 M parameters at 96 pixels).
SLOTS_PER_DEVICE = {"cpu": 1, "gpu": 32, "tpu": 32}

# Objects side by side on each device of any other backend.
FALLBACK_SLOTS_PER_DEVICE = 8

# The first of these splits that a dataset has is meant for testing.
PREFERRED_SPLITS = ("test", "val", "validation", "train")

# Name of the object and index of the simulated user.
SessionKey = tuple[str, int]


def default_batch_size() -> int:
    """Return the number of objects side by side that suits this process's devices."""
    num_slots = SLOTS_PER_DEVICE.get(jax.default_backend(), FALLBACK_SLOTS_PER_DEVICE)
    return num_slots * jax.local_device_count()


def find_split(
    dataset: str, data_dir: str | Path, model_config: FrozenConfigDict
) -> str:
    """Return the split of a prepared dataset that is meant for testing.

    It is the split that the model was validated on during training if that is a part of
    this dataset, else the first of `PREFERRED_SPLITS` or any.

    Args:
        dataset: Name of the dataset.
        data_dir: Folder of the prepared datasets.
        model_config: Config of the model.
    """
    validation: Any = model_config.get("validation") or {}
    if validation.get("name") == dataset:
        return validation["split"]
    splits = list_splits(dataset, data_dir)
    return next((split for split in PREFERRED_SPLITS if split in splits), splits[0])


def count_training_images(
    model_config: FrozenConfigDict, dataset: str, data_dir: str | Path, split: str
) -> int:
    """Count the images of a split that a model was trained on.

    Args:
        model_config: Config of the model; the data of an earlier run that it started
            from is not known.
        dataset: Name of the dataset.
        data_dir: Folder of the prepared datasets.
        split: Split of the dataset.

    Raises:
        ValueError: There is no such dataset or split.
    """
    data: Any = model_config.get("data") or {}
    if data.get("name") != dataset:
        return 0
    training_split = data.get("split", "train")
    try:
        count_shared_images(dataset, data_dir, training_split, training_split)
    except ValueError:
        return 0  # another dataset of the same name
    return count_shared_images(dataset, data_dir, training_split, split)


@dataclasses.dataclass(frozen=True)
class EvaluationTask:
    """The objects of a dataset and how they are clicked.

    Attributes:
        dataset: Name of a prepared dataset.
        data_dir: Folder of the prepared datasets.
        split: Split of the dataset.
        limit: Maximum number of objects, the first ones; None = all.
        min_area_fraction: Minimum area of an object relative to its image's, 0 to 1.
        num_users: Number of simulated users; users 0, 1 ... make different random clicks.
        stop_iou: IoU at which sessions end; above 1 = never.
        protocol: All other options.
    """

    dataset: str
    data_dir: str
    split: str
    limit: int | None = None
    min_area_fraction: float = 0.0
    num_users: int = 1
    stop_iou: float = NEVER_STOP
    protocol: EvaluationProtocol = dataclasses.field(default_factory=EvaluationProtocol)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; those of the protocol are not nested."""
        # Nested options become nested dicts; only the protocol is lifted one level up.
        task_fields = dataclasses.asdict(self)
        return task_fields | task_fields.pop("protocol")

    def open_dataset(self) -> PreparedDataset:
        """Open the images.

        Raises:
            ValueError: There is no such dataset or split.
        """
        return open_dataset(self.dataset, self.data_dir, self.split)

    def iterate_targets(
        self, examples: Iterable[Example]
    ) -> Iterator[EvaluationTarget]:
        """Iterate over the objects to click.

        Args:
            examples: Images of the dataset.
        """
        all_targets = evaluation_targets(
            examples, min_area_fraction=self.min_area_fraction
        )
        return itertools.islice(all_targets, self.limit)


def evaluate_dataset(
    model: ClickModelFn,
    task: EvaluationTask,
    results_log: ResultsLog,
    *,
    batch_size: int | None = None,
) -> Summary:
    """Run the sessions that the log lacks, with a progress bar, and summarize all.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits [b h w]`.
        task: Objects and protocol.
        results_log: Receives each session when it ends; it may hold results of other
            datasets.
        batch_size: Number of objects side by side; None = `default_batch_size`.

    Returns:
        Summary of the dataset, see `summary.summarize_sessions`.

    Raises:
        ValueError: The dataset has no object to click, or one that cannot be evaluated.
    """
    # 1. Sessions of earlier processes; the log may hold those of other datasets.
    finished_records: dict[SessionKey, dict[str, Any]] = {
        (result["record"]["id"], result["record"]["seed"]): result["record"]
        for result in results_log.results
        if result["dataset"] == task.dataset
    }
    # 2. Run the others, user by user. A session is in the log before the next one ends.
    session_order: list[SessionKey] = []
    batch_size = batch_size or default_batch_size()
    for user_seed in range(task.num_users):
        for session_record in _run_user(
            model, task, user_seed, finished_records, session_order, batch_size
        ):
            results_log.append({"dataset": task.dataset, "record": session_record})
    if not session_order:
        raise ValueError(
            f"{task.dataset} has no object of at least {task.min_area_fraction:g} of its "
            f"image in split {task.split!r}; lower --min-area-fraction or choose another "
            "--split"
        )
    # 3. Summarize in the order of the dataset, not in that in which the sessions ended.
    return summarize_sessions(
        task.dataset,
        [SessionRecord.from_json(finished_records[key]) for key in session_order],
        max_clicks=task.protocol.max_clicks,
        stop_iou=task.stop_iou,
        settings=task.to_json(),
    )


def _run_user(
    model: ClickModelFn,
    task: EvaluationTask,
    user_seed: int,
    finished_records: dict[SessionKey, dict[str, Any]],
    session_order: list[SessionKey],
    batch_size: int,
) -> Iterator[dict[str, Any]]:
    """Run the sessions of one user that are not in `finished_records`.

    Args:
        model: Model to evaluate.
        task: Objects and protocol.
        user_seed: Index of the user.
        finished_records: Finished sessions; new ones are added.
        session_order: Keys of all sessions; those of this user are appended.
        batch_size: Number of objects side by side.

    Yields:
        The record of each new session.
    """

    def skip_finished(
        all_targets: Iterable[EvaluationTarget],
    ) -> Iterator[EvaluationTarget]:
        # `simulate_batched` reads targets when a slot is free, so this runs lazily.
        for target in all_targets:
            session_order.append((target.id, user_seed))
            if (target.id, user_seed) in finished_records:
                progress.count_object()
            else:
                yield target

    with _EvaluationProgress(task) as progress:
        finished_sessions = simulate_batched(
            model,
            skip_finished(task.iterate_targets(progress.count_images())),
            batch_size=batch_size,
            stop_iou=task.stop_iou,
            seed=user_seed,
            protocol=task.protocol,
        )
        for target, session in finished_sessions:
            session_record = SessionRecord.from_session(target, session, seed=user_seed)
            finished_records[target.id, user_seed] = session_record.to_json()
            yield finished_records[target.id, user_seed]
            progress.count_object(last_iou=float(session.ious[-1]))


class _EvaluationProgress:
    """Progress bar of one user: over images, or over objects if they are limited.

    The number of images is known, that of their objects is not.
    """

    def __init__(self, task: EvaluationTask) -> None:
        """Open the bar.

        Args:
            task: Objects and protocol.
        """
        self._dataset = task.open_dataset()
        self._counts_objects = task.limit is not None
        self._num_objects = 0
        self._bar = tqdm(
            total=task.limit if self._counts_objects else len(self._dataset),
            unit="object" if self._counts_objects else "image",
            dynamic_ncols=True,
            desc=task.dataset,
        )

    def __enter__(self) -> "_EvaluationProgress":
        return self

    def __exit__(self, error_type: type | None, *_: object) -> None:
        # All images together may have fewer objects than the limit.
        if self._counts_objects and error_type is None:
            self._bar.total = self._num_objects
        self._bar.close()

    def count_images(self) -> Iterator[Example]:
        """Iterate over the images of the dataset."""
        for example in self._dataset:
            yield example
            if not self._counts_objects:
                self._bar.update()

    def count_object(self, last_iou: float | None = None) -> None:
        """Count an object whose session has ended.

        Args:
            last_iou: IoU after its last click; None for a session of an earlier
                process.
        """
        self._num_objects += 1
        if self._counts_objects:
            self._bar.update()
        if last_iou is not None:
            self._bar.set_postfix(objects=self._num_objects, iou=f"{last_iou:.3f}")
