import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from mst_jax.annotation.sessions.history import Drawn, Moment
from mst_jax.inference.click_session import Click

START = Drawn(1, "cat", "#2c82ff")
ONE, TWO, THREE = (Moment(area=area) for area in (1, 2, 3))


def after(*moments: Moment, most: int = 10) -> Drawn:
    drawn = START
    for moment in moments:
        drawn = drawn.then(moment, most=most)
    return drawn


def test_undo_and_redo_walk_through_the_moments():
    drawn = after(ONE, TWO)
    seen = [drawn.present.area]
    for _ in range(3):
        drawn = drawn.undo()
        seen.append(drawn.present.area)
    assert seen == [2, 1, 0, 0] and not drawn.can_undo
    seen = []
    for _ in range(3):
        drawn = drawn.redo()
        seen.append(drawn.present.area)
    assert seen == [1, 2, 2] and not drawn.can_redo


def test_a_new_action_forgets_what_was_taken_back():
    drawn = after(ONE, TWO).undo().then(THREE, most=10)
    assert drawn.moments == (Moment(), ONE, THREE) and not drawn.can_redo


def test_the_oldest_moment_is_forgotten():
    assert after(ONE, TWO, THREE, most=2).moments == (TWO, THREE)


@given(st.lists(st.sampled_from(["then", "undo", "redo"]), max_size=12))
def test_the_version_grows_with_every_change_and_with_no_other(actions):
    drawn = START
    for number, action in enumerate(actions):
        args = {"moment": Moment(area=number + 1), "most": 5}
        changed = getattr(drawn, action)(**(args if action == "then" else {}))
        is_other = changed.present != drawn.present
        assert changed.version == drawn.version + is_other
        drawn = changed


def test_the_files_that_are_needed():
    first = Moment(loaded=4)
    second = dataclasses.replace(first, clicks=(Click(1, 2, True),), seen=7)
    assert after(first, second).undo().files() == {4, 7}


def test_json_keeps_everything():
    moment = Moment(
        (Click(1.5, 2.0, True), Click(0.0, 3.0, False)), 3, 9, (0, 5, 1, 6), 7
    )
    drawn = dataclasses.replace(after(ONE, moment).undo(), finished=True)
    text = json.dumps(dataclasses.asdict(drawn))
    assert Drawn.from_json(json.loads(text)) == drawn
