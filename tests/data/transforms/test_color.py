import numpy as np
from hypothesis import given

from mst_jax.data.transforms import color as co
from tests.helpers.small_samples import samples, seeds


@given(seed=seeds)
def test_light_is_a_straight_line_within_its_range(seed):
    rng = np.random.default_rng(seed)
    table = co.light_table(rng, brightness=0.3, contrast=(-0.2, 0.5)).astype(int)
    np.testing.assert_array_equal(table, table[:, :1].repeat(3, axis=1))
    assert (np.diff(table[:, 0]) >= 0).all()
    assert -77 <= table[0, 0] - 0 <= 77
    inside = (table[:, 0] > 0) & (table[:, 0] < 255)
    slope = np.polyfit(np.flatnonzero(inside), table[inside, 0], 1)[0]
    assert 0.78 < slope < 1.52


@given(seed=seeds)
def test_each_channel_is_shifted_by_its_own_amount(seed):
    table = co.shift_table(np.random.default_rng(seed), rgb_shift=20).astype(int)
    shift = table[128] - 128
    assert (np.abs(shift) <= 20).all()
    expected = np.clip(np.arange(256)[:, None] + shift, 0, 255)
    np.testing.assert_array_equal(table, expected)


def test_colours_change_in_three_of_four_pictures():
    rng = np.random.default_rng(0)
    options = dict(brightness=0.3, contrast=(-0.2, 0.5))
    same = np.arange(256)[:, None]
    light = [(co.light_table(rng, **options) != same).any() for _ in range(1000)]
    shift = [(co.shift_table(rng, rgb_shift=20) != same).any() for _ in range(1000)]
    assert abs(np.mean(light) - 0.75) < 0.05
    assert abs(np.mean(shift) - 0.75) < 0.05


def test_tables_are_chained_and_looked_up_per_channel():
    first = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    second = np.stack([np.arange(256) // 2, np.arange(256), np.full(256, 7)], 1)
    table = co.chain_tables(first, second.astype(np.uint8))
    image = np.array([[[0, 0, 0], [255, 1, 9]]], np.uint8)
    expected = [[[127, 255, 7], [0, 254, 7]]]
    np.testing.assert_array_equal(co.recolour(image, table), expected)


@given(seed=seeds, sample=samples())
def test_colours_stay_in_their_range_and_their_order(seed, sample):
    rng = np.random.default_rng(seed)
    table = co.chain_tables(
        co.light_table(rng, brightness=1.0, contrast=(-1.0, 9.0)),
        co.shift_table(rng, rgb_shift=255),
    )
    assert table.dtype == np.uint8  # 0 to 255 by its kind; it must not wrap around
    assert (np.diff(table.astype(int), axis=0) >= 0).all()
    image = co.recolour(sample.image, table)
    channels = np.arange(3)
    np.testing.assert_array_equal(image, table[sample.image, channels])


@given(seed=seeds)
def test_nothing_to_change_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    same = np.arange(256)[:, None].repeat(3, axis=1)
    light = co.light_table(rng, brightness=0.0, contrast=(0.0, 0.0))
    np.testing.assert_array_equal(light, same)
    np.testing.assert_array_equal(co.shift_table(rng, rgb_shift=0), same)


def test_light_is_contrast_first_then_brightness():
    class Most(np.random.Generator):
        """Draws the most of everything."""

        uniform = staticmethod(lambda least, most: most)
        random = staticmethod(lambda: 0.0)

    chance = Most(np.random.PCG64())
    table = co.light_table(chance, brightness=0.2, contrast=(0.0, 0.5))
    assert [int(table[value, 1]) for value in (0, 10, 100, 255)] == [51, 66, 201, 255]
