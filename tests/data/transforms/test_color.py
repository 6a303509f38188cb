import numpy as np
from hypothesis import given

from mst_jax.data.transforms import color
from tests.helpers.small_samples import seeds, target_samples


@given(seed=seeds)
def test_contrast_table_is_a_straight_line_within_its_range(seed):
    rng = np.random.default_rng(seed)
    table = color.draw_contrast_table(rng, brightness=0.3, contrast=(-0.2, 0.5))
    table = table.astype(int)
    np.testing.assert_array_equal(table, table[:, :1].repeat(3, axis=1))
    assert (np.diff(table[:, 0]) >= 0).all()
    assert -77 <= table[0, 0] - 0 <= 77
    is_unclipped = (table[:, 0] > 0) & (table[:, 0] < 255)
    slope = np.polyfit(np.flatnonzero(is_unclipped), table[is_unclipped, 0], 1)[0]
    assert 0.78 < slope < 1.52


@given(seed=seeds)
def test_each_channel_is_shifted_by_its_own_amount(seed):
    rng = np.random.default_rng(seed)
    table = color.draw_rgb_shift_table(rng, rgb_shift=20).astype(int)
    shifts = table[128] - 128
    assert (np.abs(shifts) <= 20).all()
    expected = np.clip(np.arange(256)[:, None] + shifts, 0, 255)
    np.testing.assert_array_equal(table, expected)


def test_colors_change_in_three_of_four_images():
    rng = np.random.default_rng(0)
    options = dict(brightness=0.3, contrast=(-0.2, 0.5))
    identity = np.arange(256)[:, None]
    is_contrast_changed = [
        (color.draw_contrast_table(rng, **options) != identity).any()
        for _ in range(1000)
    ]
    is_shifted = [
        (color.draw_rgb_shift_table(rng, rgb_shift=20) != identity).any()
        for _ in range(1000)
    ]
    assert abs(np.mean(is_contrast_changed) - 0.75) < 0.05
    assert abs(np.mean(is_shifted) - 0.75) < 0.05


def test_tables_are_composed_and_applied_per_channel():
    first_table = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    second_table = np.stack([np.arange(256) // 2, np.arange(256), np.full(256, 7)], 1)
    table = color.compose_tables(first_table, second_table.astype(np.uint8))
    image = np.array([[[0, 0, 0], [255, 1, 9]]], np.uint8)
    expected = [[[127, 255, 7], [0, 254, 7]]]
    np.testing.assert_array_equal(color.apply_color_table(image, table), expected)


@given(seed=seeds, sample=target_samples())
def test_colors_stay_in_their_range_and_their_order(seed, sample):
    rng = np.random.default_rng(seed)
    table = color.compose_tables(
        color.draw_contrast_table(rng, brightness=1.0, contrast=(-1.0, 9.0)),
        color.draw_rgb_shift_table(rng, rgb_shift=255),
    )
    # 0 to 255 by its dtype; it must not wrap around.
    assert table.dtype == np.uint8
    assert (np.diff(table.astype(int), axis=0) >= 0).all()
    image = color.apply_color_table(sample.image, table)
    channels = np.arange(3)
    np.testing.assert_array_equal(image, table[sample.image, channels])


@given(seed=seeds)
def test_zero_change_gives_the_identity(seed):
    rng = np.random.default_rng(seed)
    identity = np.arange(256)[:, None].repeat(3, axis=1)
    contrast_table = color.draw_contrast_table(rng, brightness=0.0, contrast=(0.0, 0.0))
    np.testing.assert_array_equal(contrast_table, identity)
    shift_table = color.draw_rgb_shift_table(rng, rgb_shift=0)
    np.testing.assert_array_equal(shift_table, identity)


def test_contrast_is_applied_before_brightness():
    class MaxGenerator(np.random.Generator):
        """Draws the max of every range."""

        uniform = staticmethod(lambda low, high: high)
        random = staticmethod(lambda: 0.0)

    rng = MaxGenerator(np.random.PCG64())
    table = color.draw_contrast_table(rng, brightness=0.2, contrast=(0.0, 0.5))
    assert [int(table[value, 1]) for value in (0, 10, 100, 255)] == [51, 66, 201, 255]
