"""From pictures to an endless stream of training batches whose place can be saved.

Everything random follows from the seed and from the number of the example in one stream
that all hosts and workers share, so that what is learned does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import grain
import numpy as np

from mst_jax.config_options import check_block, is_number
from mst_jax.data.batches import Batches
from mst_jax.data.example import Example
from mst_jax.data.importance_sampling import DrawNumber, draw_shares, read_scores
from mst_jax.data.targets import check_choosing, choose_target
from mst_jax.data.transforms.augment import augment, check_changes


class DrawSample(grain.transforms.RandomMap):
    """Example -> dict of one training sample: object chosen, picture augmented."""

    def __init__(
        self, crop: int, choosing: Mapping[str, object], changes: Mapping[str, object]
    ) -> None:
        self._crop, self._choosing, self._changes = crop, choosing, changes

    def random_map(
        self, element: Example, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Draws one target and one view of it; the fields of `structs.Batch`."""
        sample = choose_target(rng, element, **self._choosing)
        return augment(rng, sample, crop=self._crop, **self._changes)._asdict()


def training_batches(
    source: Sequence[Example],
    *,
    batch: int,
    crop: int,
    seed: int,
    num_workers: int = 0,
    shard: tuple[int, int] = (0, 1),
    choosing: Mapping[str, object] | None = None,
    changes: Mapping[str, object] | None = None,
    difficulty: str = "",
    gamma: float = 1.25,
) -> Batches:
    """Shuffles, repeats, augments and batches without end.

    The iterator's `get_state()` is a small tree of plain values; `set_state()` on an
    iterator made with the same arguments, but for `num_workers`, goes on with the very
    next batch.

    Args:
        source: pictures, each with at least one object; see `open_source`.
        batch: examples in a batch of this host.
        crop: side of the pictures, in pixels.
        seed: 0 to 2**32 - 1; the same seed gives the same stream.
        num_workers: processes that decode and augment; 0: threads of this process.
        shard: (index, count) of this host. The batches that the hosts take at the same
            time are, in order, one batch of a single host: over all of them each
            picture comes once an epoch.
        choosing: keyword arguments of `choose_target`.
        changes: keyword arguments of `augment` besides the crop.
        difficulty: file with a score for each picture, see `difficulty`; pictures are
            then drawn by their shares, and there are no epochs. None if empty.
        gamma: how much hard pictures are preferred, see `draw_shares`.

    Returns:
        Iterator over {"image": uint8 [b crop crop 3], "target", "valid", "others":
        bool [b crop crop]}.

    Raises:
        ValueError: no picture, an impossible shard, batch or seed, a key or value of
            `choosing` or `changes` that nobody understands, a wrong file of scores.
    """
    index, count = shard
    if not len(source) or not 0 <= index < count:
        raise ValueError(
            f"shard {index} of {count} from {len(source)} pictures; expected an index "
            "below the number of hosts and at least one picture"
        )
    if batch < 1 or crop < 1 or num_workers < 0 or not 0 <= seed < 2**32:
        raise ValueError(
            f"batch {batch}, crop {crop}, num_workers {num_workers}, seed {seed}: "
            "batch and crop begin at 1, num_workers at 0, the seed is 0 to 2**32 - 1"
        )
    choosing, changes = dict(choosing or {}), dict(changes or {})
    check_block("config.data.choosing", choosing, choose_target, check_choosing)
    check_block("config.data.changes", changes, augment, check_changes)
    if difficulty:
        examples = _draw_by_difficulty(source, seed, difficulty, gamma)
    else:
        examples = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    examples = examples.random_map(DrawSample(crop, choosing, changes))
    stream = examples.batch(batch, drop_remainder=True)[index::count]
    return Batches(stream, num_workers=num_workers)


def _draw_by_difficulty(
    source: Sequence[Example], seed: int, path: str, gamma: float
) -> grain.MapDataset:
    """An endless stream in which hard pictures come more often."""
    if not is_number(gamma, least=0, most=100):
        raise ValueError(f"config.data.gamma is {gamma!r}, expected 0 to 100")
    scores = read_scores(Path(path))
    try:
        shares = draw_shares(source.ids(), scores, gamma=gamma)
    except ValueError as error:
        raise ValueError(f"config.data.difficulty {path}: {error}") from None
    numbers = grain.MapDataset.range(len(source)).seed(seed).repeat()
    return numbers.random_map(DrawNumber(shares)).map(source.__getitem__)
