"""What is to be evaluated, and the doing of it; what is done already is not done again."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import jax
from tqdm import tqdm

from mst_jax.data.dataset import Source, open_source
from mst_jax.data.example import Example
from mst_jax.data.targets import EvaluationTarget, evaluation_targets
from mst_jax.evaluation.batched import simulate_many
from mst_jax.evaluation.journal import Journal
from mst_jax.evaluation.protocol import Protocol
from mst_jax.evaluation.session_record import Record
from mst_jax.evaluation.summary import summarise
from mst_jax.interaction.zoom_predict import Model

LANES = {"cpu": 1, "gpu": 32, "tpu": 32}
"""Objects side by side on each device, by its kind.

On a CPU one: four take 1.4 times the CPU time a click, because all wait for the deepest
distance among them and the network's maps leave the cache (a 0.9 M ViT at 96 pixels).
"""


@dataclasses.dataclass(frozen=True)
class Task:
    """The objects of a data set, and how they are to be clicked.

    Attributes:
        dataset: name of a prepared set.
        data_dir: where prepared sets live.
        split: of the set.
        limit: the first so many objects only; None: all.
        min_area: least object, as a share of its picture.
        users: the set is repeated with so many users; users 0, 1 ... draw other clicks.
        stop_iou: sessions end at this IoU; above 1: they do not.
        protocol: everything else.
    """

    dataset: str
    data_dir: str
    split: str
    limit: int | None = None
    min_area: float = 0.0
    users: int = 1
    stop_iou: float = 1.01
    protocol: Protocol = dataclasses.field(default_factory=Protocol)

    def to_plain(self) -> dict:
        """Strings, numbers and None, all at one level."""
        plain = dataclasses.asdict(self)
        return plain | plain.pop("protocol")

    def open(self) -> Source:
        """The pictures; ValueError if there is no such set or split."""
        return open_source(self.dataset, self.data_dir, self.split)

    def targets(self, pictures: Iterable[Example]) -> Iterator[EvaluationTarget]:
        """The objects of these pictures that are to be clicked."""
        targets = evaluation_targets(pictures, min_area=self.min_area)
        return itertools.islice(targets, self.limit)


def click_set(
    model: Model, task: Task, journal: Journal, *, lanes: int | None = None
) -> dict:
    """Plays the sessions that the journal does not hold yet; shows how far it is.

    Args:
        model: as in `simulate`.
        task: what is to be done.
        journal: takes each session when it ends; may hold those of other sets.
        lanes: objects side by side; None: `LANES` for each device.

    Returns:
        The numbers of the set, see `summary.summarise`.
    """
    done = {
        (line["record"]["id"], line["record"]["seed"]): line["record"]
        for line in journal.lines
        if line["dataset"] == task.dataset
    }
    order: list[tuple[str, int]] = []
    for seed in range(task.users):
        for record in _click(model, task, seed, done, order, lanes):
            journal.append({"dataset": task.dataset, "record": record})
    if not order:
        raise ValueError(
            f"{task.dataset} has no object of at least {task.min_area:g} of its picture "
            f"in split {task.split!r}; lower --min-area or choose another --split"
        )
    return summarise(
        task.dataset,
        [Record.from_plain(done[key]) for key in order],
        max_clicks=task.protocol.max_clicks,
        stop_iou=task.stop_iou,
        settings=task.to_plain(),
    )


def _click(
    model: Model,
    task: Task,
    seed: int,
    done: dict[tuple[str, int], dict],
    order: list[tuple[str, int]],
    lanes: int | None,
) -> Iterator[dict]:
    """Lets one user click; adds to `done` and notes in `order` all there is to do."""

    def left(targets: Iterable[EvaluationTarget]) -> Iterator[EvaluationTarget]:
        for target in targets:
            order.append((target.id, seed))
            if (target.id, seed) not in done:
                yield target

    lanes = lanes or LANES.get(jax.default_backend(), 8) * jax.local_device_count()
    settings = vars(task.protocol) | {"num_lanes": lanes, "stop_iou": task.stop_iou}
    bar = tqdm(task.open(), unit="picture", dynamic_ncols=True, desc=task.dataset)
    with bar:
        targets = left(task.targets(bar))
        for target, session in simulate_many(model, targets, seed=seed, **settings):
            record = Record.of(target, session, seed=seed).to_plain()
            done[target.id, seed] = record
            yield record
            bar.set_postfix(objects=len(done), iou=f"{session.ious[-1]:.3f}")
