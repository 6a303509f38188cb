import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.evaluation import metrics

IOU_CURVES = [
    [0.50, 0.86, 0.80, 0.95],  # reaches 0.85 with click 2, falls, reaches 0.95
    [0.10, 0.20, 0.30, 0.40],  # never reaches anything
    [0.90],  # reached 0.90 with the first click and stopped
]
iou_curve = st.lists(st.floats(0, 1), min_size=1, max_size=25)
iou_curves = st.lists(iou_curve, min_size=1, max_size=6)
target_ious = st.floats(0.01, 1.0)


@pytest.mark.parametrize(
    ("target_iou", "expected"), [(0.85, [2, 20, 1]), (0.90, [4, 20, 1])]
)
def test_clicks_needed(target_iou, expected):
    got = [metrics.clicks_needed(ious, target_iou=target_iou) for ious in IOU_CURVES]
    assert got == expected


def test_noc_and_nof():
    limits = {"target_iou": 0.85, "max_clicks": 4}
    assert metrics.number_of_clicks(IOU_CURVES, **limits) == pytest.approx(
        (2 + 4 + 1) / 3
    )
    assert metrics.number_of_failures(IOU_CURVES, **limits) == 1
    assert metrics.number_of_failures(IOU_CURVES, target_iou=0.95) == 2


def test_an_iou_equal_to_the_target_reaches_it():
    assert metrics.clicks_needed([0.8, 0.85], target_iou=0.85) == 2


@pytest.mark.parametrize("target_iou", [0.8, 0.85, 0.9, 0.95])
def test_the_target_in_float32_reaches_it(target_iou):
    ious = np.array([0.1, target_iou], np.float32)
    assert metrics.clicks_needed(ious, target_iou=target_iou) == 2


def test_reaching_the_target_with_the_last_click_is_no_failure():
    limits = {"target_iou": 0.9, "max_clicks": 3}
    assert metrics.clicks_needed([0.1, 0.1, 0.9], **limits) == 3
    assert not metrics.is_failure([0.1, 0.1, 0.9], **limits)


def test_clicks_after_the_limit_do_not_count():
    limits = {"target_iou": 0.9, "max_clicks": 2}
    assert metrics.clicks_needed([0.1, 0.1, 0.9], **limits) == 2
    assert metrics.is_failure([0.1, 0.1, 0.9], **limits)


def test_a_stopped_session_keeps_its_last_iou():
    np.testing.assert_allclose(
        metrics.mean_ious(IOU_CURVES, max_clicks=5),
        [1.5 / 3, 1.96 / 3, 2.0 / 3, 2.25 / 3, 2.25 / 3],
    )


def test_seconds_per_click_weighs_clicks_not_sessions():
    assert metrics.seconds_per_click([1.0, 3.0], [1, 7]) == 0.5


@given(curves=iou_curves, low=target_ious, high=target_ious)
def test_a_higher_target_never_needs_fewer_clicks(curves, low, high):
    low, high = min(low, high), max(low, high)
    few = metrics.number_of_clicks(curves, target_iou=low)
    many = metrics.number_of_clicks(curves, target_iou=high)
    assert 1 <= few <= many <= 20
    assert metrics.number_of_failures(
        curves, target_iou=low
    ) <= metrics.number_of_failures(curves, target_iou=high)


@given(ious=iou_curve, target_iou=target_ious)
def test_stopping_at_the_target_changes_neither_clicks_nor_failures(ious, target_iou):
    needed = metrics.clicks_needed(ious, target_iou=target_iou)
    stopped = ious[:needed]
    assert metrics.clicks_needed(stopped, target_iou=target_iou) == needed
    assert metrics.is_failure(stopped, target_iou=target_iou) == metrics.is_failure(
        ious, target_iou=target_iou
    )


@given(ious=iou_curve)
def test_repeating_the_last_iou_changes_nothing(ious):
    longer = [*ious, ious[-1], ious[-1]]
    np.testing.assert_array_equal(
        metrics.mean_ious([ious]), metrics.mean_ious([longer])
    )


@pytest.mark.parametrize("bad", [[], [0.5, 1.2], [-0.1], [float("nan")]])
def test_invalid_curves_are_refused(bad):
    with pytest.raises(ValueError, match="a curve is a list of IoU values"):
        metrics.clicks_needed(bad, target_iou=0.9)


def test_missing_data_is_refused():
    with pytest.raises(ValueError, match="no object was evaluated"):
        metrics.number_of_clicks([], target_iou=0.9)
    with pytest.raises(ValueError, match="at least one click"):
        metrics.seconds_per_click([], [])
    with pytest.raises(ValueError, match="one time for each session"):
        metrics.seconds_per_click([1.0], [1, 2])


def test_the_interval_contains_the_mean_and_has_the_expected_width():
    values = np.random.default_rng(0).normal(10, 2, 400)
    low, high = metrics.bootstrap_interval(values)
    assert low < values.mean() < high
    # Of a normal mean: 1.96 deviations by the root of n, to either side.
    assert high - low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.1)
    assert metrics.bootstrap_interval(values) == (low, high)
    assert metrics.bootstrap_interval([3.0]) == (3.0, 3.0)


def test_boundary_iou_by_hand():
    """The diagonal of 40x40 is 57 pixels: the boundary is one pixel wide."""
    target = np.zeros((40, 40), bool)
    target[10:20, 10:20] = True
    hollow = target.copy()
    hollow[12:18, 12:18] = False
    everywhere = np.ones_like(target)
    # Boundaries: 36 pixels of the square; those and 8 x 4 - 4 around the hole of 6x6.
    assert metrics.boundary_iou(target, target, everywhere) == 1.0
    assert metrics.boundary_iou(hollow, target, everywhere) == 36 / (36 + 28)
    assert metrics.boundary_iou(~everywhere, ~everywhere, everywhere) == 1.0


def test_the_image_border_is_an_edge_and_ignored_pixels_do_not_count():
    whole, half = np.ones((2, 40, 40), bool)
    half[:, 20:] = False
    valid = np.ones_like(whole)
    # 156 pixels around the image, 2 x 20 + 2 x 38 around its half, 78 of them shared.
    assert metrics.boundary_iou(half, whole, valid) == 78 / (156 + 38)
    valid[:, 19:] = False
    assert metrics.boundary_iou(half, whole, valid) == 1.0


@given(seed=st.integers(0, 2**31), width=st.floats(0.005, 0.2))
def test_boundary_iou_is_symmetric(seed, width):
    first, second, valid = np.random.default_rng(seed).random((3, 20, 30)) < 0.8
    got = metrics.boundary_iou(first, second, valid, boundary_width=width)
    assert (
        got == metrics.boundary_iou(second, first, valid, boundary_width=width)
        and 0 <= got <= 1
    )
