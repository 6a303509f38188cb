import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.evaluation import simulate
from tests.helpers.analytic_network import bumps
from tests.helpers.open_predictor import IMAGE, QUICK, TARGET, opened, same


def state(predictor):
    """Everything a user can see."""
    return (
        predictor.prob.copy(),
        predictor.mask,
        predictor.clicks,
        np.array(predictor.finished),
    )


def assert_same_state(one, other):
    for first, second in zip(one, other, strict=True):
        same(first, second)


@pytest.mark.parametrize(
    "setting",
    [{}, {"mirror": False}, {"zoom": None}, {"zoom": None, "mirror": False}],
    ids=str,
)
def test_the_same_clicks_give_the_masks_of_the_evaluation(setting):
    kwargs = {**QUICK, **setting}
    predictor = opened(**setting)
    end = simulate(bumps, IMAGE, TARGET, max_clicks=6, **kwargs)
    for number, (row, column, positive) in enumerate(end.clicks):
        mask = predictor.click(row, column, bool(positive))
        iou = (mask & TARGET).sum() / (mask | TARGET).sum()
        assert iou == pytest.approx(end.ious[number], abs=1e-6)
        same(np.asarray(predictor.session.present.region)[0], end.rois[number])
    same(mask, end.prob > 0.49)
    np.testing.assert_allclose(predictor.prob, end.prob, atol=1e-6)
    same(predictor.clicks, end.clicks)


def test_no_click_no_mask():
    predictor = opened()
    assert not predictor.mask.any() and not predictor.prob.any()
    assert predictor.clicks.shape == (0, 3) and predictor.finished == ()


def test_the_first_mask_is_around_the_click():
    mask = opened().click(20, 42)
    assert mask.shape == TARGET.shape and mask.dtype == bool
    assert mask[20, 42] and not mask[0, 0] and not mask[59, 83]


places = st.tuples(st.integers(0, 59), st.integers(0, 83), st.booleans())
actions = st.lists(
    st.one_of(
        places.map(lambda place: ("click", place)),
        st.sampled_from(["reset", "finish", "load_mask"]).map(lambda name: (name, ())),
    ),
    min_size=1,
    max_size=6,
)


def act(predictor, name, arguments):
    if name == "load_mask":
        arguments = (TARGET,)
    if name == "finish" and not predictor.mask.any():
        name, arguments = "click", (20, 42)
    getattr(predictor, name)(*arguments)


@given(actions=actions)
@settings(max_examples=20)
def test_undo_and_redo_are_exact_whatever_was_done(actions):
    predictor = opened()
    states = [state(predictor)]
    for action in actions:
        act(predictor, *action)
        states.append(state(predictor))
    for before in states[-2::-1]:
        predictor.undo()
        assert_same_state(state(predictor), before)
    assert_same_state(state(predictor), state(opened()))
    for after in states[1:]:
        predictor.redo()
        assert_same_state(state(predictor), after)


@given(actions=actions, place=places)
@settings(max_examples=10)
def test_the_way_back_leaves_no_trace(actions, place):
    direct, detour = opened(), opened()
    direct.click(*place)
    for action in actions:
        act(detour, *action)
    for _ in actions:
        detour.undo()
    detour.click(*place)
    assert_same_state(state(direct), state(detour))


def test_nothing_to_undo_or_redo_gives_the_mask_as_it_is():
    predictor = opened()
    same(predictor.undo(), predictor.mask)
    mask = predictor.click(20, 42)
    same(predictor.redo(), mask)
    predictor.undo()
    assert not predictor.undo().any()
    same(predictor.redo(), mask)


def test_a_new_click_forgets_what_was_taken_back():
    predictor = opened()
    predictor.click(20, 42)
    predictor.undo()
    mask = predictor.click(50, 70)
    same(predictor.redo(), mask)


def test_finished_masks_are_kept_in_order_and_each_object_begins_anew():
    predictor = opened()
    first = predictor.click(20, 42)
    same(predictor.finish(), first)
    assert not predictor.mask.any() and len(predictor.clicks) == 0
    second = predictor.click(50, 70)
    same(second, opened().click(50, 70))
    predictor.finish()
    predictor.reset()
    same(np.array(predictor.finished), [first, second])
    with pytest.raises(ValueError, match="read-only"):
        predictor.finished[0][0, 0] = True


def test_what_a_caller_does_to_a_mask_changes_nothing():
    predictor = opened()
    mask = predictor.click(20, 42)
    kept = mask.copy()
    mask[:] = True
    same(predictor.mask, kept)


def test_a_loaded_mask_is_corrected_by_the_next_click():
    predictor = opened()
    predictor.click(5, 5)
    same(predictor.load_mask(TARGET.astype(np.uint8) * 255), TARGET)
    assert len(predictor.clicks) == 0
    mask = predictor.click(20, 42)
    assert (mask != opened().click(20, 42)).any()  # the model saw the loaded mask
    predictor.undo()
    same(predictor.mask, TARGET)
    predictor.undo()
    same(predictor.clicks, [[5, 5, 1]])


def test_a_loaded_mask_lets_the_first_click_zoom_in():
    small = np.zeros_like(TARGET)
    small[2:8, 2:8] = True
    predictor = opened()
    predictor.load_mask(small)
    predictor.click(4, 4)
    top, bottom, left, right = np.asarray(predictor.session.present.region)[0]
    assert (top, left) == (0, 0) and bottom < 30 and right < 30


def test_a_new_picture_forgets_the_one_before():
    predictor = opened()
    predictor.click(20, 42)
    predictor.finish()
    predictor.set_image(IMAGE[:40, :50])
    assert predictor.mask.shape == (40, 50)
    assert_same_state(state(predictor), state(opened(image=IMAGE[:40, :50])))


def test_the_picture_may_be_written_over_after_it_was_opened():
    image = IMAGE.copy()
    predictor = opened(image=image)
    image[:] = 0
    same(predictor.click(20, 42), opened().click(20, 42))


def test_points_are_clicked_one_after_the_other():
    predictor = opened()
    for row, column, positive in [(20, 42, True), (50, 70, True), (35, 50, False)]:
        mask = predictor.click(row, column, positive)
    other = opened()
    masks, scores, logits = other.predict([[42, 20], [70, 50], [50, 35]], [1, 1, 0])
    same(masks, mask[None])
    assert scores.shape == (1,) and 0 < scores[0] <= 1
    assert logits.shape == (1, *TARGET.shape) and np.isfinite(logits).all()
    same(logits > np.log(0.49 / 0.51), masks)
    assert len(other.clicks) == 0 and not other.mask.any()


def test_an_answer_given_back_is_a_click_more():
    predictor = opened()
    predictor.click(20, 42)
    mask = predictor.click(50, 70)
    points = [[42, 20], [70, 50]]
    _, _, logits = predictor.predict(points[:1], [1])
    for one in (logits, logits[0]):
        again, _, _ = predictor.predict(points, [1, 1], mask_input=one)
        assert (again[0] != mask).sum() <= 1  # the probability 0 comes back as 1e-6


def test_a_mask_input_of_another_size_is_resized():
    predictor = opened()
    _, _, logits = predictor.predict([[42, 20]], [1])
    masks, _, _ = predictor.predict([[42, 20]], [1], mask_input=logits[:, ::2, ::2])
    full, _, _ = predictor.predict([[42, 20]], [1], mask_input=logits)
    assert (masks & full).sum() / (masks | full).sum() > 0.95
