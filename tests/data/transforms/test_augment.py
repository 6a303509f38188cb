import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.config_options import options_from_config
from mst_jax.data.transforms.augment import (
    SYMMETRIES,
    AugmentationOptions,
    apply_random_symmetry,
    augment_sample,
)
from tests.helpers.small_samples import make_sample, seeds, target_samples


@given(
    seed=seeds,
    sample=target_samples(),
    crop_size=st.integers(1, 33),
    symmetry=st.sampled_from(SYMMETRIES),
    jitter=st.sampled_from([{}, {"shift": 0.03, "rotate": 3.0}, {"rotate": 180.0}]),
)
def test_target_never_vanishes_and_masks_stay_disjoint(
    seed, sample, crop_size, symmetry, jitter
):
    original = [array.copy() for array in sample]
    rng = np.random.default_rng(seed)
    options = AugmentationOptions(scale=(0.3, 2.0), symmetry=symmetry, **jitter)
    result = augment_sample(rng, sample, options, crop_size=crop_size)
    shape = (crop_size, crop_size)
    assert result.image.shape == (*shape, 3) and result.image.dtype == np.uint8
    assert result.target.shape == shape and result.target.dtype == bool
    assert result.target.any()
    assert not (result.target & ~result.valid).any()
    assert not (result.others & (result.target | ~result.valid)).any()
    for array, original_array in zip(sample, original, strict=True):
        np.testing.assert_array_equal(array, original_array)


@given(seed=seeds, sample=target_samples())
def test_same_seed_gives_the_same_sample(seed, sample):
    options = AugmentationOptions()
    first, second = (
        augment_sample(np.random.default_rng(seed), sample, options, crop_size=16)
        for _ in "ab"
    )
    for first_array, second_array in zip(first, second, strict=True):
        np.testing.assert_array_equal(first_array, second_array)


def test_identity_options_keep_the_sample():
    sample = make_sample(np.eye(9))
    options = AugmentationOptions(
        scale=(1.0, 1.0),
        symmetry="none",
        brightness=0.0,
        contrast=(0.0, 0.0),
        rgb_shift=0,
    )
    unchanged = augment_sample(np.random.default_rng(1), sample, options, crop_size=9)
    for array, original_array in zip(unchanged, sample, strict=True):
        np.testing.assert_array_equal(array, original_array)


def test_scale_2_doubles_the_sides():
    target = np.zeros((8, 8), bool)
    target[2:5, 1:4] = True
    rng = np.random.default_rng(0)
    options = AugmentationOptions(scale=(2.0, 2.0), symmetry="none")
    result = augment_sample(rng, make_sample(target), options, crop_size=16)
    np.testing.assert_array_equal(result.target, np.kron(target, np.ones((2, 2))))


def test_object_scale_replaces_scale():
    target = np.zeros((40, 60), bool)
    target[10:15, 20:30] = True
    options = AugmentationOptions(
        scale=(9.0, 9.0), object_scale=(1.0, 1.0), symmetry="none"
    )
    rng = np.random.default_rng(0)
    result = augment_sample(rng, make_sample(target), options, crop_size=20)
    # The box is 10 pixels long, as long as the crop: doubled, it fills the width.
    assert result.target.sum() == 5 * 10 * 4
    assert result.target.any(axis=0).all()


def test_symmetries_move_all_arrays_alike():
    sample = make_sample([[1, 0], [0, 0]])
    rng = np.random.default_rng(0)
    for symmetry, num_corners in (("none", 1), ("mirror", 2), ("all", 4)):
        results = [
            apply_random_symmetry(rng, sample, symmetry=symmetry) for _ in range(100)
        ]
        assert len({result.target.tobytes() for result in results}) == num_corners
        for result in results:
            np.testing.assert_array_equal(result.target, result.image[..., 0] == 0)
            np.testing.assert_array_equal(result.others, ~result.target)
    images = {result.image.tobytes() for result in results}
    assert len(images) == 8


def test_unknown_symmetry_is_rejected():
    rng, sample = np.random.default_rng(0), make_sample([[1]])
    with pytest.raises(ValueError, match="symmetry is 'flip'; choose one of"):
        apply_random_symmetry(rng, sample, symmetry="flip")


def test_empty_target_is_rejected():
    rng, options = np.random.default_rng(0), AugmentationOptions()
    with pytest.raises(ValueError, match="target is empty"):
        augment_sample(rng, make_sample([[0]]), options, crop_size=4)


def test_mirroring_twice_restores_the_sample():
    class ZeroGenerator(np.random.Generator):
        random = staticmethod(lambda: 0.0)

    rng = ZeroGenerator(np.random.PCG64())

    sample = make_sample([[1, 0, 0], [0, 0, 1]])
    once = apply_random_symmetry(rng, sample, symmetry="mirror")
    np.testing.assert_array_equal(once.target, [[0, 0, 1], [1, 0, 0]])
    twice = apply_random_symmetry(rng, once, symmetry="mirror")
    for array, original_array in zip(twice, sample, strict=True):
        np.testing.assert_array_equal(array, original_array)


def test_upright_crop_is_used_where_the_jitter_loses_the_target():
    target = np.zeros((40, 40), bool)
    target[0, 0] = True
    options = AugmentationOptions(scale=(1.0, 1.0), symmetry="none", shift=1.0)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        result = augment_sample(rng, make_sample(target), options, crop_size=8)
        assert result.target.any()


@given(seed=seeds, sample=target_samples())
def test_masks_do_not_depend_on_the_colors(seed, sample):
    first, second = (
        augment_sample(np.random.default_rng(seed), sample, options, crop_size=16)
        for options in (
            AugmentationOptions(
                rotate=3.0, brightness=0.0, contrast=(0.0, 0.0), rgb_shift=0
            ),
            AugmentationOptions(
                rotate=3.0, brightness=1.0, contrast=(-0.9, 3.0), rgb_shift=200
            ),
        )
    )
    for first_mask, second_mask in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(first_mask, second_mask)


@pytest.mark.parametrize(
    ("wrong_option", "reason"),
    [
        ({"scale": (1.5, 0.5)}, "scale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (1.0, float("inf"))}, "scale"),
        ({"scale": (float("nan"), 1.0)}, "scale"),
        ({"scale": 1.5}, "scale"),
        ({"scale": "no"}, "scale"),
        (
            {"object_scale": (0.5, 2.0)},
            "object_scale is .0.5, 2.0., expected .min, max., each 1 to",
        ),
        ({"object_scale": (3.0, 2.0)}, "object_scale"),
        ({"object_scale": 2.0}, "object_scale"),
        ({"symmetry": "rot"}, "symmetry is 'rot'; choose"),
        ({"symmetry": []}, "symmetry"),
        ({"shift": 1.5}, "shift"),
        ({"rotate": -3.0}, "rotate"),
        ({"brightness": -0.1}, "brightness"),
        ({"brightness": "much"}, "brightness"),
        ({"contrast": (0.5, -0.2)}, "contrast"),
        ({"contrast": (-1.5, 0.0)}, "contrast"),
        ({"rgb_shift": 2.5}, "rgb_shift"),
        ({"rgb_shift": 256}, "rgb_shift"),
    ],
    ids=str,
)
def test_wrong_option_is_rejected(wrong_option, reason):
    with pytest.raises(ValueError, match=reason):
        options_from_config(AugmentationOptions, "config.box", wrong_option)


def test_right_options_are_accepted():
    AugmentationOptions(
        scale=(0.5, 1.5),
        object_scale=None,
        symmetry="none",
        shift=0.03,
        rotate=3.0,
        brightness=0.0,
        contrast=(0.0, 0.0),
        rgb_shift=20,
    )
    AugmentationOptions(object_scale=(1.0, 100.0), rgb_shift=0)


def test_options_come_from_a_block_of_the_config():
    block = {"scale": [0.6, 2.4], "object_scale": [1.2, 3.0], "rgb_shift": 5}
    options = options_from_config(
        AugmentationOptions, "config.data.augmentation", block
    )
    assert options == AugmentationOptions(
        scale=(0.6, 2.4), object_scale=(1.2, 3.0), rgb_shift=5
    )
