import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.transforms import augment as au
from tests.helpers.small_samples import make_sample, samples, seeds


@given(
    seed=seeds,
    sample=samples(),
    crop=st.integers(1, 33),
    symmetry=st.sampled_from(au.SYMMETRIES),
    tilt=st.sampled_from([{}, {"shift": 0.03, "rotate": 3.0}, {"rotate": 180.0}]),
)
def test_the_target_never_vanishes_and_the_parts_stay_apart(
    seed, sample, crop, symmetry, tilt
):
    before = [values.copy() for values in sample]
    rng = np.random.default_rng(seed)
    result = au.augment(
        rng, sample, crop=crop, scale=(0.3, 2.0), symmetry=symmetry, **tilt
    )
    assert result.image.shape == (crop, crop, 3) and result.image.dtype == np.uint8
    assert result.target.shape == (crop, crop) and result.target.dtype == bool
    assert result.target.any()
    assert not (result.target & ~result.valid).any()
    assert not (result.others & (result.target | ~result.valid)).any()
    for values, old in zip(sample, before, strict=True):
        np.testing.assert_array_equal(values, old)


@given(seed=seeds, sample=samples())
def test_the_same_chance_gives_the_same_picture(seed, sample):
    first, second = (
        au.augment(np.random.default_rng(seed), sample, crop=16) for _ in "ab"
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_changes_the_picture_stays():
    sample = make_sample(np.eye(9))
    same = au.augment(
        np.random.default_rng(1),
        sample,
        crop=9,
        scale=(1.0, 1.0),
        symmetry="none",
        brightness=0.0,
        contrast=(0.0, 0.0),
        rgb_shift=0,
    )
    for one, other in zip(same, sample, strict=True):
        np.testing.assert_array_equal(one, other)


def test_scale_2_doubles_the_sides():
    target = np.zeros((8, 8), bool)
    target[2:5, 1:4] = True
    rng = np.random.default_rng(0)
    options = {"crop": 16, "scale": (2.0, 2.0), "symmetry": "none"}
    result = au.augment(rng, make_sample(target), **options)
    np.testing.assert_array_equal(result.target, np.kron(target, np.ones((2, 2))))


def test_close_takes_the_place_of_the_scale():
    target = np.zeros((40, 60), bool)
    target[10:15, 20:30] = True
    options = {"crop": 20, "scale": (9.0, 9.0), "close": (1.0, 1.0), "symmetry": "none"}
    result = au.augment(np.random.default_rng(0), make_sample(target), **options)
    # The box is 10 pixels long, and as long as what is seen: doubled, it fills the width.
    assert result.target.sum() == 5 * 10 * 4
    assert result.target.any(axis=0).all()


def test_symmetries_move_all_arrays_alike():
    sample = make_sample([[1, 0], [0, 0]])
    rng = np.random.default_rng(0)
    for symmetry, corners in (("none", 1), ("mirror", 2), ("all", 4)):
        turned = [au.turn(rng, sample, symmetry=symmetry) for _ in range(100)]
        assert len({item.target.tobytes() for item in turned}) == corners
        for item in turned:
            np.testing.assert_array_equal(item.target, item.image[..., 0] == 0)
            np.testing.assert_array_equal(item.others, ~item.target)
    images = {item.image.tobytes() for item in turned}
    assert len(images) == 8


def test_an_unknown_symmetry_is_refused():
    with pytest.raises(ValueError, match="symmetry is 'flip'; choose one of"):
        au.turn(np.random.default_rng(0), make_sample([[1]]), symmetry="flip")


def test_an_empty_target_is_refused():
    with pytest.raises(ValueError, match="target is empty"):
        au.augment(np.random.default_rng(0), make_sample([[0]]), crop=4)


def test_mirrored_twice_is_as_it_was():
    class Always(np.random.Generator):
        random = staticmethod(lambda: 0.0)

    chance = Always(np.random.PCG64())

    sample = make_sample([[1, 0, 0], [0, 0, 1]])
    once = au.turn(chance, sample, symmetry="mirror")
    np.testing.assert_array_equal(once.target, [[0, 0, 1], [1, 0, 0]])
    twice = au.turn(chance, once, symmetry="mirror")
    for values, before in zip(twice, sample, strict=True):
        np.testing.assert_array_equal(values, before)


def test_a_tilted_away_target_is_shown_by_the_window_that_was_drawn():
    target = np.zeros((40, 40), bool)
    target[0, 0] = True
    options = dict(crop=8, scale=(1.0, 1.0), symmetry="none", shift=1.0)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert au.augment(rng, make_sample(target), **options).target.any()


@given(seed=seeds, sample=samples())
def test_the_roles_do_not_depend_on_the_colours(seed, sample):
    first, second = (
        au.augment(np.random.default_rng(seed), sample, crop=16, rotate=3.0, **colours)
        for colours in (
            dict(brightness=0.0, contrast=(0.0, 0.0), rgb_shift=0),
            dict(brightness=1.0, contrast=(-0.9, 3.0), rgb_shift=200),
        )
    )
    for one, other in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"scale": (1.5, 0.5)}, "scale"),
        ({"scale": (0, 1)}, "scale"),
        ({"scale": (1.0, float("inf"))}, "scale"),
        ({"scale": (float("nan"), 1.0)}, "scale"),
        ({"scale": 1.5}, "scale"),
        ({"scale": "no"}, "scale"),
        ({"close": (0.5, 2.0)}, "close is .0.5, 2.0., expected"),
        ({"close": (3.0, 2.0)}, "close"),
        ({"close": 2.0}, "close"),
        ({"symmetry": "rot"}, "symmetry is 'rot'; choose"),
        ({"symmetry": []}, "symmetry"),
        ({"shift": 1.5}, "shift"),
        ({"rotate": -3}, "rotate"),
        ({"brightness": -0.1}, "brightness"),
        ({"brightness": "much"}, "brightness"),
        ({"contrast": (0.5, -0.2)}, "contrast"),
        ({"contrast": (-1.5, 0.0)}, "contrast"),
        ({"rgb_shift": 2.5}, "rgb_shift"),
        ({"rgb_shift": 256}, "rgb_shift"),
    ],
    ids=str,
)
def test_wrong_changes_are_refused(wrong, reason):
    right = dict(
        scale=[0.5, 1.5],
        close=[],
        symmetry="none",
        shift=0.03,
        rotate=3,
        brightness=0,
        contrast=(0.0, 0.0),
        rgb_shift=20,
    )
    au.check_changes(**right)
    with pytest.raises(ValueError, match=reason):
        au.check_changes(**right | wrong)
