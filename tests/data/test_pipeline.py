import numpy as np
import pytest

from mst_jax.data.example import Example
from mst_jax.data.pipeline import training_batches

PLAIN = dict(
    scale=(1.0, 1.0),
    symmetry="none",
    brightness=0.0,
    contrast=(0.0, 0.0),
    rgb_shift=0,
)


def make_source(number):
    """Pictures that show their own number everywhere, with an object on the left."""
    layers = np.zeros((1, 8, 8), np.uint16)
    layers[0, :, :4], layers[0, :2, 6:] = 1, 2
    return [
        Example(str(k), np.full((8, 8, 3), k, np.uint8), layers) for k in range(number)
    ]


def stream(number=10, **options):
    options = dict(batch=2, crop=8, seed=0) | options
    return training_batches(make_source(number), **options)


def take(iterator, number):
    return [next(iterator) for _ in range(number)]


def numbers(batches):
    return [int(k) for batch in batches for k in batch["image"][:, 0, 0, 0]]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert set(one) == set(other) == {"image", "target", "valid", "others"}
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_a_batch_has_the_fields_of_structs_batch():
    batch = next(stream(batch=3, crop=5))
    assert batch["image"].shape == (3, 5, 5, 3) and batch["image"].dtype == np.uint8
    for key in ("target", "valid", "others"):
        assert batch[key].shape == (3, 5, 5) and batch[key].dtype == bool
    assert batch["target"].any((1, 2)).all()


def test_every_epoch_shows_each_picture_once_in_another_order():
    seen = numbers(take(stream(batch=3, changes=PLAIN), 10))
    epochs = [seen[:10], seen[10:20], seen[20:30]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(range(10))


def test_epochs_are_augmented_differently():
    batches = take(stream(number=1, batch=1), 8)
    assert len({batch["image"].tobytes() for batch in batches}) > 4


def test_the_seed_decides():
    assert_same(take(stream(seed=4), 6), take(stream(seed=4), 6))
    assert numbers(take(stream(seed=4, changes=PLAIN), 5)) != numbers(
        take(stream(seed=5, changes=PLAIN), 5)
    )


@pytest.mark.parametrize("position", [0, 1, 7])
def test_a_resumed_stream_is_the_unbroken_stream(position):
    unbroken = take(stream(), 12)
    first = stream()
    take(first, position)
    state = first.get_state()
    resumed = stream()
    resumed.set_state(state)
    assert_same(take(resumed, 12 - position), unbroken[position:])


def test_workers_change_neither_order_nor_state():
    unbroken = take(stream(), 9)
    with_workers = stream(num_workers=2)
    assert_same(take(with_workers, 5), unbroken[:5])
    state = with_workers.get_state()
    assert_same(take(with_workers, 1), unbroken[5:6])
    with_workers.set_state(state)
    assert_same(take(with_workers, 4), unbroken[5:])
    with_workers.close()
    resumed = stream(num_workers=2)
    resumed.set_state(state)
    assert_same(take(resumed, 4), unbroken[5:])
    resumed.close()


def test_hosts_share_the_pictures():
    shards = [
        set(numbers(take(stream(number=9, batch=3, shard=(k, 2), changes=PLAIN), 6)))
        for k in range(2)
    ]
    assert shards == [{0, 2, 4, 6, 8}, {1, 3, 5, 7}]


def test_options_reach_the_choice_and_the_changes():
    choosing = dict(smallest=0.0, merge_prob=1.0)
    for batch in take(stream(choosing=choosing, changes=PLAIN), 3):
        assert (batch["target"].sum((1, 2)) == 36).all()
        assert not batch["others"].any()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (dict(number=0), "0 pictures; every host needs"),
        (dict(number=2, shard=(0, 3)), "shard 0 of 3 from 2 pictures"),
        (dict(shard=(2, 2)), "shard 2 of 2"),
        (dict(batch=0), "batch and crop begin at 1"),
        (dict(seed=-1), "the seed is 0 to"),
        (dict(changes={"blur": 1}), "config.data.changes .* keys blur; it takes scale"),
        (dict(changes={"crop": 1}), "config.data.changes has unknown keys crop"),
        (dict(changes={"symmetry": "rot"}), "config.data.changes: symmetry is 'rot'"),
        (dict(changes={"scale": (1.5, 0.5)}), "config.data.changes: scale is"),
        (dict(choosing={"least": 1}), "config.data.choosing .* least; it takes small"),
        (dict(choosing={"merge_prob": 2}), "config.data.choosing: merge_prob is 2"),
    ],
)
def test_impossible_streams_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        stream(**options)
