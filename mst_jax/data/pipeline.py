"""From pictures to an endless stream of training batches whose place can be saved.

Everything random follows from the seed and from the number of the example in the stream,
so that the order does not depend on the workers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import grain
import numpy as np
from absl import flags

from mst_jax.data.augment import augment, check_changes
from mst_jax.data.example import Example
from mst_jax.data.objects import check_choosing, choose_target
from mst_jax.data.workers import start_workers, tie_to_parent
from mst_jax.settings import check_block


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
) -> grain.DatasetIterator:
    """Shuffles, repeats, augments and batches without end.

    The iterator's `get_state()` is a small tree of plain values; `set_state()` on an
    iterator made with the same arguments goes on with the very next batch.

    Args:
        source: pictures, each with at least one object; see `open_source`.
        batch: examples in a batch of this host.
        crop: side of the pictures, in pixels.
        seed: 0 to 2**32 - 1; the same seed gives the same stream.
        num_workers: processes that decode and augment; 0: threads of this process.
        shard: (index, count) of this host: it sees pictures index, index + count, ...
        choosing: keyword arguments of `choose_target`.
        changes: keyword arguments of `augment` besides the crop.

    Returns:
        Iterator over {"image": uint8 [b crop crop 3], "target", "valid", "others":
        bool [b crop crop]}.

    Raises:
        ValueError: fewer pictures than hosts, an impossible shard, batch or seed, a key
            or value of `choosing` or `changes` that nobody understands.
    """
    index, count = shard
    if not 0 <= index < count <= len(source):
        raise ValueError(
            f"shard {index} of {count} from {len(source)} pictures; "
            "every host needs at least one picture and an index below their number"
        )
    if batch < 1 or crop < 1 or num_workers < 0 or not 0 <= seed < 2**32:
        raise ValueError(
            f"batch {batch}, crop {crop}, num_workers {num_workers}, seed {seed}: "
            "batch and crop begin at 1, num_workers at 0, the seed is 0 to 2**32 - 1"
        )
    choosing, changes = dict(choosing or {}), dict(changes or {})
    check_block("config.data.choosing", choosing, choose_target, check_choosing)
    check_block("config.data.changes", changes, augment, check_changes)
    stream = grain.MapDataset.source(source).seed(seed)[index::count]
    stream = stream.shuffle().repeat()
    stream = stream.random_map(DrawSample(crop, choosing, changes))
    # Grain's own default holds 500 batches ready: gigabytes at 448 pixels.
    num_threads = min(4, os.cpu_count() or 1) if num_workers == 0 else 1
    ready = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=4)
    batches = stream.batch(batch, drop_remainder=True).to_iter_dataset(ready)
    if num_workers:
        if not flags.FLAGS.is_parsed():  # Grain reads its own absl flags for workers
            flags.FLAGS.mark_as_parsed()
        workers = grain.MultiprocessingOptions(
            num_workers=num_workers, per_worker_buffer_size=2
        )
        batches = iter(batches.mp_prefetch(workers, worker_init_fn=tie_to_parent))
        start_workers(batches)
        return batches
    return iter(batches)
