import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.evaluation import simulate
from mst_jax.evaluation.protocol import EvaluationProtocol
from tests.helpers.analytic_network import analytic_model
from tests.helpers.open_predictor import (
    IMAGE,
    SMALL_ZOOM,
    TARGET,
    assert_same,
    open_predictor,
)


def visible_state(predictor):
    """Return everything that a user can see."""
    return (
        predictor.prob.copy(),
        predictor.mask,
        predictor.clicks,
        np.array(predictor.finished),
    )


def assert_same_state(state, other_state):
    for first, second in zip(state, other_state, strict=True):
        assert_same(first, second)


@pytest.mark.parametrize(
    "changes",
    [{}, {"flip_tta": False}, {"size": None}, {"size": None, "flip_tta": False}],
    ids=str,
)
def test_the_same_clicks_give_the_masks_of_the_evaluation(changes):
    zoom = dataclasses.replace(SMALL_ZOOM, **changes)
    predictor = open_predictor(**changes)
    end = simulate(
        analytic_model,
        IMAGE,
        TARGET,
        protocol=EvaluationProtocol(max_clicks=6, zoom=zoom),
    )
    for index, (row, column, positive) in enumerate(end.clicks):
        mask = predictor.click(row, column, bool(positive))
        iou = (mask & TARGET).sum() / (mask | TARGET).sum()
        assert iou == pytest.approx(end.ious[index], abs=1e-6)
        assert_same(np.asarray(predictor.session.current.roi)[0], end.rois[index])
    assert_same(mask, end.prob > 0.49)
    np.testing.assert_allclose(predictor.prob, end.prob, atol=1e-6)
    assert_same(predictor.clicks, end.clicks)


def test_without_a_click_the_mask_is_empty():
    predictor = open_predictor()
    assert not predictor.mask.any() and not predictor.prob.any()
    assert predictor.clicks.shape == (0, 3) and predictor.finished == ()


def test_the_first_mask_is_around_the_click():
    mask = open_predictor().click(20, 42)
    assert mask.shape == TARGET.shape and mask.dtype == bool
    assert mask[20, 42] and not mask[0, 0] and not mask[59, 83]


clicks = st.tuples(st.integers(0, 59), st.integers(0, 83), st.booleans())
actions = st.lists(
    st.one_of(
        clicks.map(lambda click: ("click", click)),
        st.sampled_from(["reset", "finish", "load_mask"]).map(lambda name: (name, ())),
    ),
    min_size=1,
    max_size=6,
)


def perform(predictor, name, arguments):
    if name == "load_mask":
        arguments = (TARGET,)
    if name == "finish" and not predictor.mask.any():
        name, arguments = "click", (20, 42)
    getattr(predictor, name)(*arguments)


@given(actions=actions)
@settings(max_examples=20)
def test_undo_and_redo_are_exact_after_any_actions(actions):
    predictor = open_predictor()
    states = [visible_state(predictor)]
    for action in actions:
        perform(predictor, *action)
        states.append(visible_state(predictor))
    for before in states[-2::-1]:
        predictor.undo()
        assert_same_state(visible_state(predictor), before)
    assert_same_state(visible_state(predictor), visible_state(open_predictor()))
    for after in states[1:]:
        predictor.redo()
        assert_same_state(visible_state(predictor), after)


@given(actions=actions, click=clicks)
@settings(max_examples=10)
def test_undone_actions_have_no_effect(actions, click):
    direct, detour = open_predictor(), open_predictor()
    direct.click(*click)
    for action in actions:
        perform(detour, *action)
    for _ in actions:
        detour.undo()
    detour.click(*click)
    assert_same_state(visible_state(direct), visible_state(detour))


def test_nothing_to_undo_or_redo_returns_the_current_mask():
    predictor = open_predictor()
    assert_same(predictor.undo(), predictor.mask)
    mask = predictor.click(20, 42)
    assert_same(predictor.redo(), mask)
    predictor.undo()
    assert not predictor.undo().any()
    assert_same(predictor.redo(), mask)


def test_a_new_click_clears_the_states_for_redo():
    predictor = open_predictor()
    predictor.click(20, 42)
    predictor.undo()
    mask = predictor.click(50, 70)
    assert_same(predictor.redo(), mask)


def test_finished_masks_stay_in_order_and_each_object_starts_empty():
    predictor = open_predictor()
    first = predictor.click(20, 42)
    assert_same(predictor.finish(), first)
    assert not predictor.mask.any() and len(predictor.clicks) == 0
    second = predictor.click(50, 70)
    assert_same(second, open_predictor().click(50, 70))
    predictor.finish()
    predictor.reset()
    assert_same(np.array(predictor.finished), [first, second])
    with pytest.raises(ValueError, match="read-only"):
        predictor.finished[0][0, 0] = True


def test_a_caller_may_change_a_returned_mask():
    predictor = open_predictor()
    mask = predictor.click(20, 42)
    original = mask.copy()
    mask[:] = True
    assert_same(predictor.mask, original)


def test_a_loaded_mask_is_corrected_by_the_next_click():
    predictor = open_predictor()
    predictor.click(5, 5)
    assert_same(predictor.load_mask(TARGET.astype(np.uint8) * 255), TARGET)
    assert len(predictor.clicks) == 0
    mask = predictor.click(20, 42)
    assert (
        mask != open_predictor().click(20, 42)
    ).any()  # the model saw the loaded mask
    predictor.undo()
    assert_same(predictor.mask, TARGET)
    predictor.undo()
    assert_same(predictor.clicks, [[5, 5, 1]])


def test_a_loaded_mask_lets_the_first_click_zoom_in():
    small = np.zeros_like(TARGET)
    small[2:8, 2:8] = True
    predictor = open_predictor()
    predictor.load_mask(small)
    predictor.click(4, 4)
    top, bottom, left, right = np.asarray(predictor.session.current.roi)[0]
    assert (top, left) == (0, 0) and bottom < 30 and right < 30


def test_a_new_image_discards_the_previous_state():
    predictor = open_predictor()
    predictor.click(20, 42)
    predictor.finish()
    predictor.set_image(IMAGE[:40, :50])
    assert predictor.mask.shape == (40, 50)
    assert_same_state(
        visible_state(predictor), visible_state(open_predictor(image=IMAGE[:40, :50]))
    )


def test_the_caller_may_overwrite_the_image():
    image = IMAGE.copy()
    predictor = open_predictor(image=image)
    image[:] = 0
    assert_same(predictor.click(20, 42), open_predictor().click(20, 42))


def test_an_image_without_padding_may_be_overwritten():
    """No pixel is copied for padding, so JAX would read the memory of the caller."""
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (128, 256, 3), np.uint8)
    expected = open_predictor(image=original.copy()).click(60, 100)
    for _ in range(5):
        image = original.copy()
        predictor = open_predictor(image=image)
        image[:] = 0
        assert_same(predictor.click(60, 100), expected)


def test_arguments_of_every_action_may_be_overwritten():
    mask, logits = TARGET.copy(), np.where(TARGET, 4.0, -4.0)[None]
    points, labels, box = np.array([[42, 20]]), np.array([1]), np.array([20, 5, 60, 40])
    predictor = open_predictor()
    predictor.load_mask(mask)
    mask[:] = True
    assert_same(predictor.mask, TARGET)
    expected = open_predictor().predict([[42, 20]], [1], mask_input=logits.copy())
    found = predictor.predict(points, labels, mask_input=logits)
    logits[:], points[:], labels[:] = 9, 0, 0
    assert_same(found[2], expected[2])
    expected = open_predictor().predict(box=[20, 5, 60, 40])
    found = predictor.predict(box=box)
    box[:] = 1
    assert_same(found[0], expected[0])


def test_an_image_of_opencv_gives_the_same_mask():
    predictor = open_predictor()
    expected = predictor.click(20, 42)
    predictor.set_image(np.ascontiguousarray(IMAGE[..., ::-1]), image_format="BGR")
    assert_same(predictor.click(20, 42), expected)


@pytest.mark.parametrize("positive", [False, 0, np.bool_(False), np.int64(0), 0.0])
def test_every_spelling_of_a_label_is_a_click(positive):
    predictor, other = open_predictor(), open_predictor()
    predictor.click(20, 42, positive)
    other.click(20, 42, False)
    assert_same_state(visible_state(predictor), visible_state(other))


def test_sam_calls_with_all_arguments():
    predictor = open_predictor()
    points = {"point_coords": np.array([[42, 20]]), "point_labels": np.array([1])}
    masks, scores, logits = predictor.predict(**points)
    for multimask_output in (False, True):
        again = predictor.predict(**points, multimask_output=multimask_output)
        assert_same(again[0], masks)
    same_logits, same_scores, _ = predictor.predict(**points, return_logits=True)
    assert_same(same_logits, logits)
    assert_same(same_scores, scores)
    fractions = np.array([[42 / 84, 20 / 60]])
    again = predictor.predict(fractions, [1], normalize_coords=False)
    assert_same(again[0], masks)


def test_a_sam_box_is_a_click_on_its_center_in_the_region_around_it():
    predictor = open_predictor(min_side=1)
    masks, _, _ = predictor.predict(box=np.array([32, 10, 51, 29]))
    # The region is 1.4 times 20 x 20 pixels around (19.5, 41.5).
    region = (slice(6, 35), slice(28, 57))
    alone = open_predictor(image=IMAGE[region], min_side=1)
    expected = np.zeros_like(TARGET)
    expected[region] = alone.click(19.5 - 6, 41.5 - 28)
    assert_same(masks[0], expected)
    assert expected.any()


def test_sam_points_are_clicked_one_after_the_other():
    predictor = open_predictor()
    for row, column, positive in [(20, 42, True), (50, 70, True), (35, 50, False)]:
        mask = predictor.click(row, column, positive)
    other = open_predictor()
    masks, scores, logits = other.predict([[42, 20], [70, 50], [50, 35]], [1, 1, 0])
    assert_same(masks, mask[None])
    assert scores.shape == (1,) and 0 < scores[0] <= 1
    assert logits.shape == (1, *TARGET.shape) and np.isfinite(logits).all()
    assert_same(logits > np.log(0.49 / 0.51), masks)
    assert len(other.clicks) == 0 and not other.mask.any()


def test_sam_logits_can_be_passed_as_mask_input():
    predictor = open_predictor()
    predictor.click(20, 42)
    mask = predictor.click(50, 70)
    points = [[42, 20], [70, 50]]
    _, _, logits = predictor.predict(points[:1], [1])
    for mask_input in (logits, logits[0]):
        again, _, _ = predictor.predict(points, [1, 1], mask_input=mask_input)
        assert (again[0] != mask).sum() <= 1  # the probability 0 comes back as 1e-6


def test_a_mask_input_of_another_size_is_resized():
    predictor = open_predictor()
    _, _, logits = predictor.predict([[42, 20]], [1])
    masks, _, _ = predictor.predict([[42, 20]], [1], mask_input=logits[:, ::2, ::2])
    full, _, _ = predictor.predict([[42, 20]], [1], mask_input=logits)
    assert (masks & full).sum() / (masks | full).sum() > 0.95
