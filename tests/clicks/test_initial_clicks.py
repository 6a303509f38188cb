import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from mst_jax.clicks.initial_clicks import border_band, sample_initial_clicks

SHAPE = (40, 48)


def sample_many(seed, target, others, valid, *, num_slots=48, num_samples=3000):
    keys = jax.random.split(jax.random.key(seed), 3000)[:num_samples]
    clicks = batched_sampler(num_slots)(keys, target, others, valid)
    return np.asarray(clicks.yx), np.asarray(clicks.label)


@functools.cache
def batched_sampler(num_slots):
    sample_clicks = functools.partial(sample_initial_clicks, num_slots=num_slots)
    return jax.jit(jax.vmap(sample_clicks, in_axes=(0, None, None, None)))


@pytest.fixture(scope="module")
def scene():
    """Return a target, another object, and valid pixels without a strip."""
    target, others = np.zeros((2, *SHAPE), bool)
    valid = np.ones(SHAPE, bool)
    target[10:30, 5:25] = True
    others[5:15, 35:45] = True
    valid[:, 46:] = False
    valid[12:14, 8:12] = False
    return target, others, valid


@pytest.fixture(scope="module")
def sampled(scene):
    return sample_many(0, *scene)


def mean_and_tolerance(hits):
    return hits.mean(), 4 * hits.std() / np.sqrt(hits.size)


def test_click_counts_decay_by_0_8(sampled):
    _, label = sampled
    steps = 0.8 ** np.arange(25)
    for value, first, expected in [(1, 1, steps[:24]), (0, 0, steps)]:
        counts = (label == value).sum(1)
        expected = expected / expected.sum()
        assert counts.min() == first and counts.max() > 12
        for excess in range(4):
            mean, tolerance = mean_and_tolerance(counts == first + excess)
            assert abs(mean - expected[excess]) < tolerance


def test_most_positive_clicks_lie_on_the_eroded_target(sampled, scene):
    yx, label = sampled
    target, _, valid = scene
    row, column = yx[label == 1].astype(int).T
    assert (target & valid)[row, column].all()
    eroded = ~ndimage.binary_dilation(~(target & valid), np.ones((3, 3)), 3)
    share_eroded = eroded.sum() / (target & valid).sum()
    first = yx[:, 0].astype(int)  # one sample per example: these are independent
    mean, tolerance = mean_and_tolerance(eroded[first[:, 0], first[:, 1]])
    assert abs(mean - (0.9 + 0.1 * share_eroded)) < tolerance


def test_negative_clicks_come_from_their_three_sources(sampled, scene):
    yx, label = sampled
    target, others, valid = scene
    row, column = yx[label == 0].astype(int).T
    background = valid & ~target
    assert background[row, column].all()
    reach = int(np.ceil(0.1 * np.sqrt((target & valid).sum())))
    square = np.ones((2 * reach + 1, 2 * reach + 1))
    band = ndimage.binary_dilation(target & valid, square) & background
    for region, probability in [(band, 0.5), (others, 0.4)]:
        mean, tolerance = mean_and_tolerance(region[row, column])
        assert (
            abs(mean - (probability + 0.1 * region.sum() / background.sum()))
            < tolerance
        )


def test_counts_and_pixels_are_independent(sampled, scene):
    yx, label = sampled
    target, others, valid = scene
    both = (label == 0).any(1)
    yx, label = yx[both].astype(int), label[both]
    num_positive, num_negative = (label == 1).sum(1), (label == 0).sum(1)
    on, off = yx[:, 0], yx[np.arange(len(yx)), num_positive]
    eroded = ~ndimage.binary_dilation(~(target & valid), np.ones((3, 3)), 3)
    far = ~ndimage.binary_dilation(target & valid, np.ones((5, 5))) & ~others
    groups = [
        [num_positive, num_positive == 1],
        [num_negative, num_negative == 1],
        [*on.T, eroded[tuple(on.T)]],
        [*off.T, others[tuple(off.T)], far[tuple(off.T)]],
    ]
    group = np.repeat(np.arange(4), [len(items) for items in groups])
    related = np.corrcoef([item for items in groups for item in items])
    related[group[:, None] == group] = 0
    assert np.abs(related).max() < 4 / np.sqrt(len(yx))


def test_without_other_objects_the_background_is_sampled(scene):
    target, _, valid = scene
    yx, label = sample_many(1, target, np.zeros_like(target), valid)
    row, column = yx[label == 0].astype(int).T
    far = np.ones(SHAPE, bool)
    far[8:32, 3:27] = False  # beyond the band of two pixels
    expected = 0.5 * (far & valid).sum() / (valid & ~target).sum()
    mean, tolerance = mean_and_tolerance(far[row, column])
    assert abs(mean - expected) < tolerance


def test_filled_slots_come_first_positive_before_negative(sampled):
    _, label = sampled
    order = np.select([label == 1, label == 0], [0, 1], 2)
    assert (np.diff(order, axis=1) >= 0).all()


def test_few_slots_drop_the_last_clicks(scene, sampled):
    yx, label = sample_many(0, *scene, num_slots=3, num_samples=300)
    all_yx, all_label = sampled
    np.testing.assert_array_equal(label, all_label[:300, :3])
    np.testing.assert_array_equal(yx, all_yx[:300, :3])


def test_slots_for_later_clicks_stay_empty(scene):
    _, label = sample_many(0, *scene, num_slots=51, num_samples=300)
    np.testing.assert_array_equal(label[:, 48:], -1)


def test_a_target_too_thin_to_erode_is_clicked_anyway(scene):
    _, others, valid = scene
    target = np.zeros(SHAPE, bool)
    target[20, 10:30] = True
    yx, label = sample_many(2, target, others, valid, num_samples=300)
    row, column = yx[label == 1].astype(int).T
    assert (label[:, 0] == 1).all()
    assert target[row, column].all()


def test_sources_without_pixels_give_no_click():
    empty, full = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    sample_some = functools.partial(sample_many, 3, num_samples=300)
    _, label = sample_some(empty, empty, full)
    assert not (label == 1).any() and (label == 0).any()
    _, label = sample_some(full, empty, full)
    assert (label == 1).any() and not (label == 0).any()
    _, label = sample_some(full, empty, empty)
    assert (label == -1).all()


@pytest.mark.parametrize("side, reach", [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2)])
def test_the_border_band_is_a_tenth_of_the_side(side, reach):
    target, grown = np.zeros((2, 40, 40), bool)
    target[10 : 10 + side, 10 : 10 + side] = True
    grown[10 - reach : 10 + side + reach, 10 - reach : 10 + side + reach] = True
    np.testing.assert_array_equal(
        jax.jit(border_band)(jnp.asarray(target)), grown & ~target
    )
