import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.clicks import encode
from mst_jax.clicks.encode import clicked_patches
from mst_jax.structs import EMPTY, Clicks

# Compiled as a whole: op by op, each size compiles dozens of programs.
click_disk_maps = jax.jit(
    encode.click_disk_maps, static_argnames=("height", "width", "radius")
)


def dense_disk_maps(clicks, height, width, radius):
    """Compute the distance of every pixel to every click: the slow reference."""
    pixel_yx = np.stack(np.mgrid[:height, :width], -1)[None].astype(np.float32)
    squared_distance = ((pixel_yx - np.asarray(clicks.yx)[:, None, None]) ** 2).sum(-1)
    in_disk = squared_distance <= np.float32(radius**2)
    label = np.asarray(clicks.label)
    return np.stack([in_disk[label == value].any(0) for value in (1, 0)], -1)


def test_disks_by_hand_are_clipped_at_the_border():
    clicks = Clicks.from_lists([(1, 2)], [(4, 7)], num_slots=4)
    positive, negative = np.moveaxis(click_disk_maps(clicks, 5, 8, radius=2.0), -1, 0)
    np.testing.assert_array_equal(
        positive,
        [
            [0, 1, 1, 1, 0, 0, 0, 0],
            [1, 1, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0, 0],
            [0, 0, 1, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ],
    )
    np.testing.assert_array_equal(
        negative,
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 1, 1],
            [0, 0, 0, 0, 0, 1, 1, 1],
        ],
    )


def test_the_disk_of_radius_5_has_81_pixels_and_contains_offset_3_4():
    disk = click_disk_maps(Clicks.from_lists([(8, 8)]), 17, 17)[..., 0]
    assert disk.sum() == 81
    assert disk[8 + 3, 8 + 4] == 1 and disk[8 + 4, 8 + 4] == 0


def test_a_fractional_click_reaches_pixels_on_both_sides():
    row = click_disk_maps(Clicks.from_lists([(0, 3.5)]), 1, 8, radius=1.5)[0, :, 0]
    np.testing.assert_array_equal(row, [0, 0, 1, 1, 1, 1, 0, 0])


def test_clicks_outside_the_image_do_not_wrap_around():
    clicks = Clicks.from_lists([(-2, 3), (-40, 3), (3, 1e9)], [(9, -3)])
    maps = np.asarray(click_disk_maps(clicks, 10, 9))
    np.testing.assert_array_equal(maps, dense_disk_maps(clicks, 10, 9, 5.0))
    assert maps[..., 0].any() and not maps[5:, :, 0].any()


def test_without_clicks_there_are_no_disks():
    assert not click_disk_maps(Clicks.empty(num_slots=3), 9, 9).any()


@given(seed=st.integers(0, 2**32 - 1), radius=st.sampled_from([1.0, 2.5, 5.0]))
def test_disks_equal_the_dense_form(seed, radius):
    rng = np.random.default_rng(seed)
    yx = rng.uniform(-8, 28, (6, 2)).astype(np.float32)
    yx[::2] = np.round(yx[::2])
    yx[1] = np.round(2 * yx[1]) / 2  # the disk's edge may meet pixels
    label = rng.choice([1, 0, EMPTY], 6)
    clicks = Clicks(yx=jnp.asarray(yx), label=jnp.asarray(label))
    np.testing.assert_array_equal(
        click_disk_maps(clicks, 20, 24, radius=radius),
        dense_disk_maps(clicks, 20, 24, radius),
    )


@pytest.mark.parametrize("channel", [0, 1])
def test_empty_slots_draw_nothing(channel):
    clicks = Clicks(yx=jnp.array([[2.0, 2.0]]), label=jnp.array([EMPTY]))
    assert not click_disk_maps(clicks, 5, 5)[..., channel].any()


def test_the_patch_under_each_positive_click():
    clicks = Clicks(
        yx=jnp.array(
            [[0, 0], [15.9, 16], [31, 47.5], [20, 20], [-1, 5], [5, 48], [9, 9]]
        ),
        label=jnp.array([1, 1, 1, 0, 1, 1, -1]),
    )
    index, is_clicked = clicked_patches(clicks, 2, 3, patch_size=16)
    np.testing.assert_array_equal(is_clicked, [1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(index, [0, 1, 5, 0, 0, 0, 0])
