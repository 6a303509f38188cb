import numpy as np
import pytest

from mst_jax.data.example import Example
from mst_jax.data.pipeline import (
    PipelineOptions,
    pipeline_options_from_config,
    training_batches,
)
from mst_jax.data.targets import TargetSampling
from mst_jax.data.transforms.augment import AugmentationOptions

NO_AUGMENTATION = AugmentationOptions(
    scale=(1.0, 1.0),
    symmetry="none",
    brightness=0.0,
    contrast=(0.0, 0.0),
    rgb_shift=0,
)
PLAIN = PipelineOptions(augmentation=NO_AUGMENTATION)


def make_examples(num_examples):
    """Images filled with their own index, with an object on the left."""
    layers = np.zeros((1, 8, 8), np.uint16)
    layers[0, :, :4], layers[0, :2, 6:] = 1, 2
    return [
        Example(str(index), np.full((8, 8, 3), index, np.uint8), layers)
        for index in range(num_examples)
    ]


def open_stream(options=None, *, num_examples=10, **arguments):
    arguments = dict(batch_size=2, crop_size=8, seed=0) | arguments
    options = PipelineOptions() if options is None else options
    return training_batches(make_examples(num_examples), options, **arguments)


def take_batches(iterator, num_batches):
    return [next(iterator) for _ in range(num_batches)]


def image_indices(batches):
    return [int(index) for batch in batches for index in batch["image"][:, 0, 0, 0]]


def assert_same_batches(first, second):
    assert len(first) == len(second)
    for first_batch, second_batch in zip(first, second, strict=True):
        keys = {"image", "target", "valid", "others"}
        assert set(first_batch) == set(second_batch) == keys
        for key in keys:
            np.testing.assert_array_equal(first_batch[key], second_batch[key])


def test_batch_has_the_fields_of_structs_batch():
    batch = next(open_stream(batch_size=3, crop_size=5))
    assert batch["image"].shape == (3, 5, 5, 3) and batch["image"].dtype == np.uint8
    for key in ("target", "valid", "others"):
        assert batch[key].shape == (3, 5, 5) and batch[key].dtype == bool
    assert batch["target"].any((1, 2)).all()


def test_every_epoch_has_each_image_once_in_another_order():
    indices = image_indices(take_batches(open_stream(PLAIN, batch_size=3), 10))
    epochs = [indices[:10], indices[10:20], indices[20:30]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(range(10))


def test_epochs_are_augmented_differently():
    batches = take_batches(open_stream(num_examples=1, batch_size=1), 8)
    assert len({batch["image"].tobytes() for batch in batches}) > 4


def test_seed_decides_the_stream():
    first, second = (take_batches(open_stream(seed=4), 6) for _ in "ab")
    assert_same_batches(first, second)
    seed_4, seed_5 = (
        image_indices(take_batches(open_stream(PLAIN, seed=seed), 5)) for seed in (4, 5)
    )
    assert seed_4 != seed_5


@pytest.mark.parametrize("num_hosts", [2, 3])
def test_hosts_together_take_the_batches_of_one_host(num_hosts):
    single_host = take_batches(open_stream(batch_size=2 * num_hosts), 7)
    hosts = [
        take_batches(open_stream(batch_size=2, shard=(index, num_hosts)), 7)
        for index in range(num_hosts)
    ]
    joined = [
        {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
        for batches in zip(*hosts, strict=True)
    ]
    assert_same_batches(joined, single_host)


def test_every_epoch_has_each_image_once_over_all_hosts():
    hosts = [
        image_indices(
            take_batches(open_stream(PLAIN, num_examples=12, shard=(k, 3)), 4)
        )
        for k in range(3)
    ]
    first_epoch, second_epoch = (
        [index for indices in hosts for index in indices[start : start + 4]]
        for start in (0, 4)
    )
    assert sorted(first_epoch) == sorted(second_epoch) == list(range(12))
    first_parts = [set(indices[:4]) for indices in hosts]
    assert first_parts != [set(indices[4:]) for indices in hosts]


def test_sharded_stream_resumes_at_its_position():
    uninterrupted = take_batches(open_stream(shard=(1, 3)), 8)
    interrupted = open_stream(shard=(1, 3))
    take_batches(interrupted, 5)
    resumed = open_stream(shard=(1, 3))
    resumed.set_state(interrupted.get_state())
    assert_same_batches(take_batches(resumed, 3), uninterrupted[5:])


class NamedExamples(list):
    """Examples whose names are known without decoding them."""

    def read_ids(self):
        return [example.id for example in self]


@pytest.fixture
def score_file(tmp_path):
    """Image 3 is difficult, 4 half so, all others are easy."""
    path = tmp_path / "scores.csv"
    scores = {3: 0.0, 4: 0.5}
    path.write_text("".join(f"{k},{scores.get(k, 1.0)}\n" for k in range(10)))
    return str(path)


def open_weighted(score_file, *, gamma=1.25, num_examples=10, **arguments):
    options = PipelineOptions(
        augmentation=NO_AUGMENTATION,
        difficulty_file=score_file,
        difficulty_gamma=gamma,
    )
    arguments = dict(batch_size=2, crop_size=8, seed=0) | arguments
    examples = NamedExamples(make_examples(num_examples))
    return training_batches(examples, options, **arguments)


@pytest.mark.parametrize("gamma", [1.25, pytest.param(3.0, marks=pytest.mark.slow)])
def test_difficult_images_come_more_often(score_file, gamma):
    indices = image_indices(take_batches(open_weighted(score_file, gamma=gamma), 300))
    assert set(indices) == {3, 4}
    assert abs(indices.count(3) / 600 - 1 / (1 + 0.5**gamma)) < 0.06


def test_weighted_stream_is_sharded_and_resumed(score_file):
    single_host = take_batches(open_weighted(score_file, batch_size=4), 6)
    hosts = [take_batches(open_weighted(score_file, shard=(k, 2)), 6) for k in range(2)]
    for batch, first, second in zip(single_host, *hosts, strict=True):
        joined = np.concatenate([first["image"], second["image"]])
        np.testing.assert_array_equal(joined, batch["image"])
    resumed = open_weighted(score_file, batch_size=4)
    resumed.set_state({"num_batches": 4})
    assert_same_batches(take_batches(resumed, 2), single_host[4:])


def test_score_file_of_other_images_is_rejected(score_file):
    reason = r"config\.data\.difficulty_file .*scores.csv: 2 of"
    with pytest.raises(ValueError, match=reason):
        open_weighted(score_file, num_examples=12)


def test_options_reach_target_sampling_and_augmentation():
    sampling = TargetSampling(min_area_fraction=0.0, merge_prob=1.0)
    options = PipelineOptions(target_sampling=sampling, augmentation=NO_AUGMENTATION)
    for batch in take_batches(open_stream(options), 3):
        assert (batch["target"].sum((1, 2)) == 36).all()
        assert not batch["others"].any()


def test_options_are_built_from_the_block_of_the_config():
    block = {
        "num_workers": 2,
        "target_sampling": {"min_area_pixels": 80},
        "augmentation": {"scale": [0.6, 2.4]},
        "difficulty_file": None,
    }
    assert pipeline_options_from_config(block) == PipelineOptions(
        num_workers=2,
        target_sampling=TargetSampling(min_area_pixels=80),
        augmentation=AugmentationOptions(scale=(0.6, 2.4)),
    )
    assert pipeline_options_from_config({}) == PipelineOptions()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (dict(num_examples=0), "shard 0 of 1 from 0 images"),
        (dict(shard=(2, 2)), "shard 2 of 2"),
        (dict(batch_size=0), "batch and crop begin at 1"),
        (dict(crop_size=0), "batch and crop begin at 1"),
        (dict(seed=-1), "the seed is 0 to"),
    ],
)
def test_impossible_stream_is_rejected(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        open_stream(**arguments)


AUGMENTATION, SAMPLING = "config.data.augmentation", "config.data.target_sampling"


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"augmentation": {"blur": 1}}, f"{AUGMENTATION} .* keys blur; it takes scale"),
        ({"augmentation": {"crop": 1}}, f"{AUGMENTATION} has unknown keys crop"),
        ({"augmentation": {"symmetry": "rot"}}, f"{AUGMENTATION}: symmetry is 'rot'"),
        ({"augmentation": {"scale": (1.5, 0.5)}}, f"{AUGMENTATION}: scale is"),
        ({"target_sampling": {"least": 1}}, f"{SAMPLING} .* least; it takes min_area"),
        ({"target_sampling": {"merge_prob": 2.0}}, f"{SAMPLING}: merge_prob is 2"),
        ({"num_workers": -1}, "config.data: num_workers is -1, expected 0 or more"),
        ({"difficulty_gamma": -1.0}, "config.data: difficulty_gamma is -1.0, expected"),
        ({"choosing": {}}, "config.data has unknown keys choosing; it takes num_work"),
    ],
)
def test_wrong_block_of_the_config_is_rejected(block, reason):
    with pytest.raises(ValueError, match=reason):
        pipeline_options_from_config(block)
