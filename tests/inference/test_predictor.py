import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.evaluation import simulate
from mst_jax.inference.predictor import Predictor
from mst_jax.structs import struct
from tests.known_network import bumps, draw_picture

IMAGE, TARGET = draw_picture()
QUICK = dict(zoom=48, zoom_min_side=16, mirror=True)
same = np.testing.assert_array_equal


def opened(model=bumps, image=IMAGE, **changes):
    predictor = Predictor(model, **{**QUICK, **changes})
    predictor.set_image(image)
    return predictor


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


class Counted:
    """A model that counts how often it is traced, which is once a compilation."""

    def __init__(self):
        self.traces = 0

    def __call__(self, image, clicks, previous):
        self.traces += 1
        return bumps(image, clicks, previous)


def test_one_program_serves_a_bucket_whatever_the_number_of_clicks():
    model = Counted()
    predictor = opened(model)
    for place in range(24):
        predictor.click(place, 2 * place, place % 3 != 0)
    predictor.undo()
    predictor.finish()
    predictor.load_mask(TARGET)
    predictor.click(3, 3)
    other = opened(model, IMAGE[:50, :70])
    other.click(1, 1)
    other.predict([[4, 5]], [1], mask_input=np.zeros((1, 8, 8)))
    assert model.traces == 1


def test_more_clicks_than_slots_find_room():
    model = Counted()
    predictor = opened(model)
    for place in range(25):
        mask = predictor.click(place, 2 * place)
    assert model.traces == 2 and len(predictor.clicks) == 25
    predictor.undo()
    same(predictor.redo(), mask)


@struct
class Raised:
    """A model with a parameter."""

    bias: jax.Array

    def __call__(self, image, clicks, previous):
        TRACED.append(True)
        return bumps(image, clicks, previous) + self.bias


TRACED = []


def test_new_parameters_need_no_new_program():
    low, high = (Raised(jnp.float32(bias)) for bias in (0.0, 4.0))
    small, large = opened(low).click(20, 42), opened(high).click(20, 42)
    assert len(TRACED) == 1
    assert small.sum() < large.sum()


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: "compile" in event and COMPILED.append(event)
)


@pytest.mark.parametrize("spread", [False, True])
def test_parameters_that_were_put_on_a_device_compile_once(spread):
    devices = np.array(jax.devices()[:1])
    mesh = jax.sharding.Mesh(devices, "data")
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    bias = jax.device_put(np.float32(0.5), place if spread else devices[0])
    predictor = opened(Raised(bias))
    before = len(COMPILED)
    predictor.click(20, 42)
    first = len(COMPILED)
    predictor.click(30, 42)
    predictor.load_mask(TARGET)
    predictor.click(30, 2, False)
    predictor.finish()
    predictor.set_image(IMAGE[:50])
    predictor.click(20, 42)
    predictor.predict([[4, 5]], [1], mask_input=np.zeros(TARGET.shape))
    assert before < first == len(COMPILED)


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


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda p: p.click(60, 0), "row 60, column 0 lies outside .* 60 rows and 84"),
        (lambda p: p.click(0, 84), "outside the picture"),
        (lambda p: p.click(-0.5, 3), "outside the picture"),
        (lambda p: p.click(float("nan"), 3), "row nan, column 3 lies outside"),
        (lambda p: p.click(3, float("inf")), "outside the picture"),
        (lambda p: p.finish(), "the mask is empty"),
        (lambda p: p.load_mask(TARGET[1:]), r"mask is \[59, 84\], expected \[60, 84\]"),
        (lambda p: p.load_mask(TARGET & False), "mask is empty"),
        (lambda p: p.load_mask(np.full(TARGET.shape, np.nan)), "no numbers"),
        (lambda p: p.set_image(IMAGE / 255), "image is float64 .* expected uint8"),
        (lambda p: p.set_image(IMAGE[..., 0]), r"image is uint8 \[60, 84\]"),
        (lambda p: p.set_image(IMAGE[:0]), r"expected uint8 \[h w 3\]"),
        (lambda p: p.predict([[84, 0]], [1]), "row 0, column 84 lies outside"),
        (lambda p: p.predict([[np.nan, 0]], [1]), "column nan lies outside"),
        (lambda p: p.predict([[1, 1]], [-1]), "expected 1 or 0 each"),
        (lambda p: p.predict([], []), "at least one point"),
        (lambda p: p.predict([[1, 1]], [1], np.ones((2, 4, 4))), "mask_input is"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(action, message):
    predictor = opened()
    before = predictor.session
    with pytest.raises(ValueError, match=message) as caught:
        action(predictor)
    assert "\n" not in str(caught.value)
    assert predictor.session is before


@pytest.mark.parametrize(
    "action",
    [
        lambda p: p.click(0, 0),
        lambda p: p.undo(),
        lambda p: p.redo(),
        lambda p: p.reset(),
        lambda p: p.finish(),
        lambda p: p.load_mask(TARGET),
        lambda p: p.predict([[0, 0]], [1]),
        lambda p: p.mask,
    ],
)
def test_there_must_be_a_picture(action):
    with pytest.raises(ValueError, match="call set_image first"):
        action(Predictor(bumps))


@pytest.mark.parametrize("change", [{"zoom": 0}, {"zoom_min_side": -1}])
def test_sides_are_positive(change):
    with pytest.raises(ValueError, match="expected 1 pixel or more"):
        Predictor(bumps, **change)


def test_a_model_that_refuses_a_picture_changes_nothing():
    def only_patches(image, clicks, previous):
        if image.shape[1] % 16:
            raise ValueError("image is 60x84, not a multiple of the 16-pixel patch")
        return bumps(image, clicks, previous)

    predictor = opened(only_patches, zoom=None)
    with pytest.raises(ValueError, match="16-pixel patch"):
        predictor.click(3, 3)
    assert len(predictor.clicks) == 0


def test_a_session_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        opened().session.height = 3
