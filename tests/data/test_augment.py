import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data import augment as au
from mst_jax.data.example import Sample

seeds = st.integers(0, 2**32 - 1)


def make_sample(target, image=None):
    target = np.array(target, bool)
    if image is None:
        image = np.repeat(np.arange(target.size, dtype=np.uint8), 3)
        image = image.reshape(*target.shape, 3)
    return Sample(image, target, np.ones_like(target), ~target)


@st.composite
def samples(draw):
    rng = np.random.default_rng(draw(seeds))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    target = rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    target[tuple(rng.integers(shape))] = True
    valid = (rng.random(shape) < 0.8) | target
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return Sample(image, target, valid, (rng.random(shape) < 0.5) & valid & ~target)


def test_a_window_at_scale_1_is_a_cut():
    sample = make_sample([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    cut = au.cut_window(sample, au.Window(1, 1, 2), crop=2)
    np.testing.assert_array_equal(cut.target, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(cut.image[..., 0], [[5, 6], [9, 10]])


def test_outside_the_picture_nothing_is_valid():
    sample = make_sample([[1, 0]])
    cut = au.cut_window(sample, au.Window(-1, 0, 3), crop=3)
    np.testing.assert_array_equal(cut.valid, [[0, 0, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cut.target, [[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cut.others, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cut.image[..., 2], [[0, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_enlarging_keeps_borders_where_they_are():
    sample = make_sample([[1, 0], [0, 0]])
    cut = au.cut_window(sample, au.Window(0, 0, 2), crop=4)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(cut.target, expected)


def test_shrinking_averages_the_picture():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [40] * 3], [[80] * 3, [120] * 3]]
    cut = au.cut_window(make_sample(np.eye(4), image), au.Window(0, 0, 4), crop=2)
    np.testing.assert_array_equal(cut.image[..., 1], [[60, 0], [0, 0]])


@given(seed=seeds, sample=samples(), side=st.integers(1, 60))
def test_a_window_holds_the_anchor_and_no_more_padding_than_needed(seed, sample, side):
    rng = np.random.default_rng(seed)
    anchor = au.draw_anchor(rng, sample.target)
    assert sample.target[anchor]
    window = au.draw_window(rng, sample.target, anchor, side=side)
    for start, at, size in zip(window[:2], anchor, sample.target.shape, strict=True):
        assert start <= at < start + side
        if side <= size:
            assert 0 <= start <= size - side
        else:
            assert start <= 0 and start + side >= size


def test_windows_reach_every_place_that_shows_the_target():
    target = np.zeros((1, 5), bool)
    target[0, 2] = True
    rng = np.random.default_rng(0)
    starts = {au.draw_window(rng, target, (0, 2), side=3).left for _ in range(200)}
    assert starts == {0, 1, 2}


def test_a_window_prefers_much_of_the_target():
    target = np.zeros((1, 200), bool)
    target[0, 90:110] = True
    rng = np.random.default_rng(0)
    windows = [au.draw_window(rng, target, (0, 90), side=40) for _ in range(300)]
    seen = np.array([target[0, w.left : w.left + 40].sum() for w in windows])
    assert (seen >= 5).mean() > 0.99


@given(
    seed=seeds,
    sample=samples(),
    crop=st.integers(1, 33),
    symmetry=st.sampled_from(au.SYMMETRIES),
)
def test_the_target_never_vanishes_and_the_parts_stay_apart(
    seed, sample, crop, symmetry
):
    before = [values.copy() for values in sample]
    rng = np.random.default_rng(seed)
    result = au.augment(rng, sample, crop=crop, scale=(0.3, 2.0), symmetry=symmetry)
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


@given(seed=seeds)
def test_light_is_a_straight_line_within_its_range(seed):
    rng = np.random.default_rng(seed)
    table = au.light_table(rng, brightness=0.3, contrast=(-0.2, 0.5)).astype(int)
    np.testing.assert_array_equal(table, table[:, :1].repeat(3, axis=1))
    assert (np.diff(table[:, 0]) >= 0).all()
    assert -77 <= table[0, 0] - 0 <= 77
    inside = (table[:, 0] > 0) & (table[:, 0] < 255)
    slope = np.polyfit(np.flatnonzero(inside), table[inside, 0], 1)[0]
    assert 0.78 < slope < 1.52


@given(seed=seeds)
def test_each_channel_is_shifted_by_its_own_amount(seed):
    table = au.shift_table(np.random.default_rng(seed), rgb_shift=20).astype(int)
    shift = table[128] - 128
    assert (np.abs(shift) <= 20).all()
    expected = np.clip(np.arange(256)[:, None] + shift, 0, 255)
    np.testing.assert_array_equal(table, expected)


def test_colours_change_in_three_of_four_pictures():
    rng = np.random.default_rng(0)
    options = dict(brightness=0.3, contrast=(-0.2, 0.5))
    same = np.arange(256)[:, None]
    light = [(au.light_table(rng, **options) != same).any() for _ in range(1000)]
    shift = [(au.shift_table(rng, rgb_shift=20) != same).any() for _ in range(1000)]
    assert abs(np.mean(light) - 0.75) < 0.05
    assert abs(np.mean(shift) - 0.75) < 0.05


def test_tables_are_chained_and_looked_up_per_channel():
    first = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    second = np.stack([np.arange(256) // 2, np.arange(256), np.full(256, 7)], 1)
    table = au.chain_tables(first, second.astype(np.uint8))
    image = np.array([[[0, 0, 0], [255, 1, 9]]], np.uint8)
    expected = [[[127, 255, 7], [0, 254, 7]]]
    np.testing.assert_array_equal(au.recolour(image, table), expected)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"scale": (1.5, 0.5)}, "scale"),
        ({"scale": (0, 1)}, "scale"),
        ({"scale": (1.0, float("inf"))}, "scale"),
        ({"scale": (float("nan"), 1.0)}, "scale"),
        ({"scale": 1.5}, "scale"),
        ({"scale": "no"}, "scale"),
        ({"symmetry": "rot"}, "symmetry is 'rot'; choose"),
        ({"symmetry": []}, "symmetry"),
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
        symmetry="none",
        brightness=0,
        contrast=(0.0, 0.0),
        rgb_shift=20,
    )
    au.check_changes(**right)
    with pytest.raises(ValueError, match=reason):
        au.check_changes(**right | wrong)
