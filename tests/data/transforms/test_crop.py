import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.transforms.crop import (
    CropBox,
    extract_crop,
    jitter_crop,
    sample_anchor,
    sample_crop,
    sample_object_crop,
)
from tests.helpers.small_samples import make_sample, seeds, target_samples


def test_crop_at_scale_1_copies_pixels():
    sample = make_sample([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    cropped = extract_crop(sample, CropBox(1, 1, 2), crop_size=2)
    np.testing.assert_array_equal(cropped.target, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(cropped.image[..., 0], [[5, 6], [9, 10]])


def test_padding_outside_the_image_is_not_valid():
    sample = make_sample([[1, 0]])
    cropped = extract_crop(sample, CropBox(-1, 0, 3), crop_size=3)
    np.testing.assert_array_equal(cropped.valid, [[0, 0, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cropped.target, [[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cropped.others, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(
        cropped.image[..., 2], [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    )


def test_enlarging_keeps_mask_borders():
    sample = make_sample([[1, 0], [0, 0]])
    cropped = extract_crop(sample, CropBox(0, 0, 2), crop_size=4)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(cropped.target, expected)


def test_shrinking_averages_the_image():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [40] * 3], [[80] * 3, [120] * 3]]
    cropped = extract_crop(make_sample(np.eye(4), image), CropBox(0, 0, 4), crop_size=2)
    np.testing.assert_array_equal(cropped.image[..., 1], [[60, 0], [0, 0]])


@given(seed=seeds, sample=target_samples(), side=st.integers(1, 60))
def test_crop_holds_the_anchor_and_no_more_padding_than_needed(seed, sample, side):
    rng = np.random.default_rng(seed)
    anchor = sample_anchor(rng, sample.target)
    assert sample.target[anchor]
    crop_box = sample_crop(rng, sample.target, anchor, side=side)
    for start, position, size in zip(
        crop_box[:2], anchor, sample.target.shape, strict=True
    ):
        assert start <= position < start + side
        if side <= size:
            assert 0 <= start <= size - side
        else:
            assert start <= 0 and start + side >= size


@given(seed=seeds, sample=target_samples(), max_scale=st.floats(1.0, 9.0))
def test_object_crop_holds_the_target_and_no_more_padding_than_needed(
    seed, sample, max_scale
):
    rng = np.random.default_rng(seed)
    crop_box = sample_object_crop(rng, sample.target, object_scale=(1.0, max_scale))
    positions = np.argwhere(sample.target)
    box_side = np.ptp(positions, axis=0).max() + 1
    shape = sample.target.shape
    assert box_side <= crop_box.side <= min(round(max_scale * box_side), max(shape))
    extracted = extract_crop(sample, crop_box, crop_size=crop_box.side)
    assert extracted.target.sum() == sample.target.sum()
    for start, size in zip(crop_box[:2], shape, strict=True):
        if crop_box.side <= size:
            assert 0 <= start <= size - crop_box.side
        else:
            assert start <= 0 and start + crop_box.side >= size


def test_object_crop_has_a_log_uniform_side_and_a_uniform_position():
    target = np.zeros((64, 64), bool)
    target[30:32, 30:34] = True
    rng = np.random.default_rng(0)
    crop_boxes = [
        sample_object_crop(rng, target, object_scale=(1.0, 4.0)) for _ in range(2000)
    ]
    sides, counts = np.unique(
        [crop_box.side for crop_box in crop_boxes], return_counts=True
    )
    np.testing.assert_array_equal(sides, np.arange(4, 17))
    # Evenly in the logarithm: half of them up to twice the box, 8 pixels.
    assert abs(counts[sides < 8].sum() / 2000 - np.log(7.5 / 4) / np.log(4)) < 0.04
    tops = {crop_box.top for crop_box in crop_boxes if crop_box.side == 4}
    assert tops == {28, 29, 30}


def test_crops_reach_every_position_that_shows_the_target():
    target = np.zeros((1, 5), bool)
    target[0, 2] = True
    rng = np.random.default_rng(0)
    starts = {sample_crop(rng, target, (0, 2), side=3).left for _ in range(200)}
    assert starts == {0, 1, 2}


def test_crop_prefers_much_of_the_target():
    target = np.zeros((1, 200), bool)
    target[0, 90:110] = True
    rng = np.random.default_rng(0)
    crop_boxes = [sample_crop(rng, target, (0, 90), side=40) for _ in range(300)]
    num_visible = np.array(
        [target[0, box.left : box.left + 40].sum() for box in crop_boxes]
    )
    assert (num_visible >= 5).mean() > 0.99


def test_quarter_turn_is_counter_clockwise():
    sample = make_sample([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    cropped = extract_crop(sample, CropBox(0, 0, 3, angle=90.0), crop_size=3)
    np.testing.assert_array_equal(cropped.target, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    for rotated, array in zip(cropped, sample, strict=True):
        np.testing.assert_array_equal(rotated, np.rot90(array))


def test_rotation_is_about_the_center_and_shows_padding():
    target = np.zeros((9, 9), bool)
    target[4, 4:] = True  # a line from the center to the right
    cropped = extract_crop(
        make_sample(target), CropBox(0, 0, 9, angle=45.0), crop_size=9
    )
    rows, columns = np.nonzero(cropped.target)
    np.testing.assert_array_equal(rows + columns, 8)  # now it leads up and right
    assert rows.min() <= 1 and rows.max() == 4
    corners = cropped.valid[[0, 0, 8, 8], [0, 8, 0, 8]]
    assert not corners.any() and cropped.valid[4].all()
    assert not cropped.image[[0, 0, 8, 8], [0, 8, 0, 8]].any()


@given(seed=seeds, crop=st.integers(8, 60), factor=st.floats(0.7, 1.5))
def test_image_and_masks_rotate_together(seed, crop, factor):
    rng = np.random.default_rng(seed)
    target = np.zeros((50, 60), bool)
    target[10:40, 15:45] = True
    image = np.repeat(target[..., None].astype(np.uint8) * 200, 3, axis=-1)
    start = rng.integers(-10, 20, 2).tolist()
    angle = float(rng.uniform(-30, 30))
    crop_box = CropBox(*start, max(1, round(crop / factor)), angle)
    cropped = extract_crop(make_sample(target, image), crop_box, crop_size=crop)
    is_bright = cropped.image[..., 0] > 100
    # Only a border pixel may be on the one side here and on the other side there.
    assert (is_bright != cropped.target).sum() <= 0.06 * crop * 4
    np.testing.assert_array_equal(cropped.target | cropped.others, cropped.valid)


@given(seed=seeds, sample=target_samples(), angle=st.floats(-180.0, 180.0))
def test_extraction_invents_no_object_pixel(seed, sample, angle):
    rng = np.random.default_rng(seed)
    crop_box = CropBox(*rng.integers(-5, 20, 2).tolist(), 20, angle)
    cropped = extract_crop(sample, crop_box, crop_size=20)
    assert not (cropped.target & ~cropped.valid).any()
    assert not (cropped.others & (cropped.target | ~cropped.valid)).any()
    without_target = sample._replace(target=np.zeros_like(sample.target))
    assert not extract_crop(without_target, crop_box, crop_size=20).target.any()
    all_valid = sample._replace(valid=np.ones_like(sample.valid), target=sample.valid)
    extracted = extract_crop(all_valid, crop_box, crop_size=20)
    np.testing.assert_array_equal(extracted.target, cropped.valid)


@given(seed=seeds)
def test_jitter_stays_in_its_range(seed):
    rng = np.random.default_rng(seed)
    jittered = jitter_crop(rng, CropBox(5, 6, 40), (100, 200), shift=0.03, rotate=3.0)
    assert abs(jittered.top - 5) <= 3 and abs(jittered.left - 6) <= 6
    assert jittered.side == 40 and abs(jittered.angle) <= 3.0


def test_three_of_four_crops_are_jittered_to_all_sides():
    rng = np.random.default_rng(0)
    upright = CropBox(50, 50, 40)
    crop_boxes = [
        jitter_crop(rng, upright, (100, 100), shift=0.1, rotate=3.0)
        for _ in range(1000)
    ]
    jittered = [crop_box for crop_box in crop_boxes if crop_box != upright]
    assert abs(len(jittered) / 1000 - 0.75) < 0.05
    for values, maximum in (
        ([crop_box.top - 50 for crop_box in jittered], 10),
        ([crop_box.left - 50 for crop_box in jittered], 10),
        ([crop_box.angle for crop_box in jittered], 3),
    ):
        assert abs(np.mean(values)) < 0.1 * maximum
        assert 0.9 * maximum < max(values) <= maximum
        assert -maximum <= min(values) < -0.9 * maximum


@pytest.mark.parametrize("angle", [0.0, 1e-9])
def test_upright_and_barely_rotated_extraction_agree(angle):
    rng = np.random.default_rng(0)
    target = rng.random((12, 15)) < 0.5
    image = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    sample = make_sample(target, image)
    cropped = extract_crop(sample, CropBox(-2, 3, 12, angle), crop_size=12)
    for extracted, array in zip(cropped, sample, strict=True):
        np.testing.assert_array_equal(extracted[2:], array[:10, 3:])
        assert not extracted[:2].any()


def test_zero_jitter_keeps_the_crop():
    crop_box = CropBox(5, 6, 40)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        unchanged = jitter_crop(rng, crop_box, (100, 200), shift=0.0, rotate=0.0)
        assert unchanged == crop_box


def test_anchor_of_an_empty_target_raises():
    with pytest.raises(ValueError, match="target is empty"):
        sample_anchor(np.random.default_rng(0), np.zeros((3, 3), bool))
