import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.transforms import crop as wi
from tests.helpers.small_samples import make_sample, samples, seeds


def test_a_window_at_scale_1_is_a_cut():
    sample = make_sample([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    cut = wi.cut_window(sample, wi.Window(1, 1, 2), crop=2)
    np.testing.assert_array_equal(cut.target, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(cut.image[..., 0], [[5, 6], [9, 10]])


def test_outside_the_picture_nothing_is_valid():
    sample = make_sample([[1, 0]])
    cut = wi.cut_window(sample, wi.Window(-1, 0, 3), crop=3)
    np.testing.assert_array_equal(cut.valid, [[0, 0, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cut.target, [[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cut.others, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cut.image[..., 2], [[0, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_enlarging_keeps_borders_where_they_are():
    sample = make_sample([[1, 0], [0, 0]])
    cut = wi.cut_window(sample, wi.Window(0, 0, 2), crop=4)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(cut.target, expected)


def test_shrinking_averages_the_picture():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [40] * 3], [[80] * 3, [120] * 3]]
    cut = wi.cut_window(make_sample(np.eye(4), image), wi.Window(0, 0, 4), crop=2)
    np.testing.assert_array_equal(cut.image[..., 1], [[60, 0], [0, 0]])


@given(seed=seeds, sample=samples(), side=st.integers(1, 60))
def test_a_window_holds_the_anchor_and_no_more_padding_than_needed(seed, sample, side):
    rng = np.random.default_rng(seed)
    anchor = wi.draw_anchor(rng, sample.target)
    assert sample.target[anchor]
    window = wi.draw_window(rng, sample.target, anchor, side=side)
    for start, at, size in zip(window[:2], anchor, sample.target.shape, strict=True):
        assert start <= at < start + side
        if side <= size:
            assert 0 <= start <= size - side
        else:
            assert start <= 0 and start + side >= size


@given(seed=seeds, sample=samples(), most=st.floats(1.0, 9.0))
def test_a_close_window_holds_the_target_and_no_more_padding_than_needed(
    seed, sample, most
):
    rng = np.random.default_rng(seed)
    window = wi.draw_close_window(rng, sample.target, sides=(1.0, most))
    places = np.argwhere(sample.target)
    box, shape = np.ptp(places, axis=0).max() + 1, sample.target.shape
    assert box <= window.side <= min(round(most * box), max(shape))
    seen = wi.cut_window(sample, window, crop=window.side)
    assert seen.target.sum() == sample.target.sum()
    for start, size in zip(window[:2], shape, strict=True):
        if window.side <= size:
            assert 0 <= start <= size - window.side
        else:
            assert start <= 0 and start + window.side >= size


def test_close_windows_are_as_often_small_as_large_and_everywhere():
    target = np.zeros((64, 64), bool)
    target[30:32, 30:34] = True
    rng = np.random.default_rng(0)
    drawn = [wi.draw_close_window(rng, target, sides=(1.0, 4.0)) for _ in range(2000)]
    sides, counts = np.unique([window.side for window in drawn], return_counts=True)
    np.testing.assert_array_equal(sides, np.arange(4, 17))
    # Evenly in the logarithm: half of them up to twice the box, 8 pixels.
    assert abs(counts[sides < 8].sum() / 2000 - np.log(7.5 / 4) / np.log(4)) < 0.04
    tops = {window.top for window in drawn if window.side == 4}
    assert tops == {28, 29, 30}


def test_windows_reach_every_place_that_shows_the_target():
    target = np.zeros((1, 5), bool)
    target[0, 2] = True
    rng = np.random.default_rng(0)
    starts = {wi.draw_window(rng, target, (0, 2), side=3).left for _ in range(200)}
    assert starts == {0, 1, 2}


def test_a_window_prefers_much_of_the_target():
    target = np.zeros((1, 200), bool)
    target[0, 90:110] = True
    rng = np.random.default_rng(0)
    windows = [wi.draw_window(rng, target, (0, 90), side=40) for _ in range(300)]
    seen = np.array([target[0, w.left : w.left + 40].sum() for w in windows])
    assert (seen >= 5).mean() > 0.99


def test_a_quarter_turn_is_counter_clockwise():
    sample = make_sample([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    cut = wi.cut_window(sample, wi.Window(0, 0, 3, angle=90.0), crop=3)
    np.testing.assert_array_equal(cut.target, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    for turned, values in zip(cut, sample, strict=True):
        np.testing.assert_array_equal(turned, np.rot90(values))


def test_a_turn_is_about_the_middle_of_the_window_and_shows_padding():
    target = np.zeros((9, 9), bool)
    target[4, 4:] = True  # a hand that points to the right
    cut = wi.cut_window(make_sample(target), wi.Window(0, 0, 9, angle=45.0), crop=9)
    rows, columns = np.nonzero(cut.target)
    np.testing.assert_array_equal(rows + columns, 8)  # now it points up and right
    assert rows.min() <= 1 and rows.max() == 4
    corners = cut.valid[[0, 0, 8, 8], [0, 8, 0, 8]]
    assert not corners.any() and cut.valid[4].all()
    assert not cut.image[[0, 0, 8, 8], [0, 8, 0, 8]].any()


@given(seed=seeds, crop=st.integers(8, 60), factor=st.floats(0.7, 1.5))
def test_picture_and_roles_turn_together(seed, crop, factor):
    rng = np.random.default_rng(seed)
    target = np.zeros((50, 60), bool)
    target[10:40, 15:45] = True
    image = np.repeat(target[..., None].astype(np.uint8) * 200, 3, axis=-1)
    start = rng.integers(-10, 20, 2).tolist()
    angle = float(rng.uniform(-30, 30))
    window = wi.Window(*start, max(1, round(crop / factor)), angle)
    cut = wi.cut_window(make_sample(target, image), window, crop=crop)
    bright = cut.image[..., 0] > 100
    # Only a border pixel may be on the one side here and on the other side there.
    assert (bright != cut.target).sum() <= 0.06 * crop * 4
    np.testing.assert_array_equal(cut.target | cut.others, cut.valid)


@given(seed=seeds, sample=samples(), angle=st.floats(-180.0, 180.0))
def test_no_pixel_of_an_object_is_invented(seed, sample, angle):
    rng = np.random.default_rng(seed)
    window = wi.Window(*rng.integers(-5, 20, 2).tolist(), 20, angle)
    cut = wi.cut_window(sample, window, crop=20)
    assert not (cut.target & ~cut.valid).any()
    assert not (cut.others & (cut.target | ~cut.valid)).any()
    nothing = sample._replace(target=np.zeros_like(sample.target))
    assert not wi.cut_window(nothing, window, crop=20).target.any()
    whole = sample._replace(valid=np.ones_like(sample.valid), target=sample.valid)
    shown = wi.cut_window(whole, window, crop=20)
    np.testing.assert_array_equal(shown.target, cut.valid)


@given(seed=seeds)
def test_a_tilt_stays_in_its_range(seed):
    rng = np.random.default_rng(seed)
    tilted = wi.tilt_window(
        rng, wi.Window(5, 6, 40), (100, 200), shift=0.03, rotate=3.0
    )
    assert abs(tilted.top - 5) <= 3 and abs(tilted.left - 6) <= 6
    assert tilted.side == 40 and abs(tilted.angle) <= 3.0


def test_three_of_four_windows_are_tilted_to_all_sides():
    rng = np.random.default_rng(0)
    before = wi.Window(50, 50, 40)
    drawn = [
        wi.tilt_window(rng, before, (100, 100), shift=0.1, rotate=3.0)
        for _ in range(1000)
    ]
    tilted = [window for window in drawn if window != before]
    assert abs(len(tilted) / 1000 - 0.75) < 0.05
    for values, most in (
        ([window.top - 50 for window in tilted], 10),
        ([window.left - 50 for window in tilted], 10),
        ([window.angle for window in tilted], 3),
    ):
        assert abs(np.mean(values)) < 0.1 * most
        assert 0.9 * most < max(values) <= most and -most <= min(values) < -0.9 * most


@pytest.mark.parametrize("angle", [0.0, 1e-9])
def test_an_upright_cut_and_a_turn_by_nothing_agree(angle):
    rng = np.random.default_rng(0)
    target = rng.random((12, 15)) < 0.5
    image = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    sample = make_sample(target, image)
    cut = wi.cut_window(sample, wi.Window(-2, 3, 12, angle), crop=12)
    for values, plane in zip(cut, sample, strict=True):
        np.testing.assert_array_equal(values[2:], plane[:10, 3:])
        assert not values[:2].any()


def test_nothing_to_tilt_tilts_nothing():
    window = wi.Window(5, 6, 40)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        same = wi.tilt_window(rng, window, (100, 200), shift=0.0, rotate=0.0)
        assert same == window


def test_an_anchor_needs_a_target():
    with pytest.raises(ValueError, match="target is empty"):
        wi.draw_anchor(np.random.default_rng(0), np.zeros((3, 3), bool))
