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


@pytest.mark.parametrize("num_hosts", [2, 3])
def test_hosts_together_take_the_batches_of_one(num_hosts):
    alone = take(stream(batch=2 * num_hosts), 7)
    hosts = [
        take(stream(batch=2, shard=(index, num_hosts)), 7) for index in range(num_hosts)
    ]
    together = [
        {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
        for batches in zip(*hosts, strict=True)
    ]
    assert_same(together, alone)


def test_every_epoch_shows_each_picture_once_over_all_hosts():
    hosts = [
        numbers(take(stream(number=12, shard=(k, 3), changes=PLAIN), 4))
        for k in range(3)
    ]
    first, second = ([k for seen in hosts for k in seen[e : e + 4]] for e in (0, 4))
    assert sorted(first) == sorted(second) == list(range(12))
    assert [set(seen[:4]) for seen in hosts] != [set(seen[4:]) for seen in hosts]


def test_a_sharded_stream_is_resumed_where_it_was():
    unbroken = take(stream(shard=(1, 3)), 8)
    first = stream(shard=(1, 3))
    take(first, 5)
    resumed = stream(shard=(1, 3))
    resumed.set_state(first.get_state())
    assert_same(take(resumed, 3), unbroken[5:])


class NamedSource(list):
    """Pictures whose names are known without opening them."""

    def ids(self):
        return [example.id for example in self]


@pytest.fixture
def scores(tmp_path):
    """Picture 3 is hard, 4 half so, all others are easy."""
    path = tmp_path / "scores.csv"
    values = {3: 0.0, 4: 0.5}
    path.write_text("".join(f"{k},{values.get(k, 1.0)}\n" for k in range(10)))
    return str(path)


def weighted(scores, **options):
    options = dict(batch=2, crop=8, seed=0, difficulty=scores) | options
    return training_batches(NamedSource(make_source(10)), **options)


def test_hard_pictures_come_more_often(scores):
    seen = numbers(take(weighted(scores, changes=PLAIN), 300))
    assert set(seen) == {3, 4}
    assert abs(seen.count(3) / 600 - 1 / (1 + 0.5**1.25)) < 0.06
    seen = numbers(take(weighted(scores, changes=PLAIN, gamma=3.0), 300))
    assert abs(seen.count(3) / 600 - 1 / (1 + 0.5**3)) < 0.06


def test_a_weighted_stream_is_shared_and_resumed_like_any_other(scores):
    alone = take(weighted(scores, batch=4), 6)
    hosts = [take(weighted(scores, shard=(k, 2)), 6) for k in range(2)]
    for batch, first, second in zip(alone, *hosts, strict=True):
        both = np.concatenate([first["image"], second["image"]])
        np.testing.assert_array_equal(both, batch["image"])
    resumed = weighted(scores, batch=4)
    resumed.set_state({"taken": 4})
    assert_same(take(resumed, 2), alone[4:])


def test_wrong_scores_are_refused(scores):
    with pytest.raises(ValueError, match=r"config\.data\.gamma is -1.0, expected 0 to"):
        weighted(scores, gamma=-1.0)
    with pytest.raises(
        ValueError, match=r"config\.data\.difficulty .*scores.csv: 2 of"
    ):
        source = NamedSource(make_source(12))
        training_batches(source, batch=1, crop=8, seed=0, difficulty=scores)


def test_options_reach_the_choice_and_the_changes():
    choosing = dict(smallest=0.0, merge_prob=1.0)
    for batch in take(stream(choosing=choosing, changes=PLAIN), 3):
        assert (batch["target"].sum((1, 2)) == 36).all()
        assert not batch["others"].any()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (dict(number=0), "shard 0 of 1 from 0 pictures"),
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
