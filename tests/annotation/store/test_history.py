import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from mst_jax.annotation.store.history import (
    DEFAULT_COLORS,
    AnnotatedObject,
    ObjectSnapshot,
    default_color,
)
from mst_jax.inference.click_session import Click

NEW_OBJECT = AnnotatedObject(1, None, "#2c82ff")
ONE, TWO, THREE = (ObjectSnapshot(area=area) for area in (1, 2, 3))


def append_all(*snapshots: ObjectSnapshot, max_snapshots: int = 10) -> AnnotatedObject:
    annotated_object = NEW_OBJECT
    for snapshot in snapshots:
        annotated_object = annotated_object.append_snapshot(
            snapshot, max_snapshots=max_snapshots
        )
    return annotated_object


def test_undo_and_redo_walk_through_the_snapshots():
    annotated_object = append_all(ONE, TWO)
    areas = [annotated_object.current_snapshot.area]
    for _ in range(3):
        annotated_object = annotated_object.undo()
        areas.append(annotated_object.current_snapshot.area)
    assert areas == [2, 1, 0, 0] and not annotated_object.can_undo
    areas = []
    for _ in range(3):
        annotated_object = annotated_object.redo()
        areas.append(annotated_object.current_snapshot.area)
    assert areas == [1, 2, 2] and not annotated_object.can_redo


def test_new_action_drops_undone_snapshots():
    undone = append_all(ONE, TWO).undo()
    annotated_object = undone.append_snapshot(THREE, max_snapshots=10)
    assert annotated_object.snapshots == (ObjectSnapshot(), ONE, THREE)
    assert not annotated_object.can_redo


def test_oldest_snapshot_is_dropped_and_counted():
    annotated_object = append_all(ONE, TWO, THREE, max_snapshots=2)
    assert annotated_object.snapshots == (TWO, THREE)
    assert annotated_object.num_dropped == 2


def test_default_colors_are_used_in_turn():
    num_colors = len(DEFAULT_COLORS)
    colors = [default_color(object_id) for object_id in range(1, num_colors + 2)]
    assert colors == [*DEFAULT_COLORS, DEFAULT_COLORS[0]]


@given(st.lists(st.sampled_from(["append_snapshot", "undo", "redo"]), max_size=12))
def test_version_grows_exactly_when_the_mask_changes(actions):
    annotated_object = NEW_OBJECT
    for index, action in enumerate(actions):
        args = {"snapshot": ObjectSnapshot(area=index + 1), "max_snapshots": 5}
        args = args if action == "append_snapshot" else {}
        changed = getattr(annotated_object, action)(**args)
        is_changed = changed.current_snapshot != annotated_object.current_snapshot
        assert changed.version == annotated_object.version + is_changed
        annotated_object = changed


def test_mask_ids_are_those_of_all_snapshots():
    first = ObjectSnapshot(initial_mask_id=4)
    click = Click(1, 2, True)
    second = dataclasses.replace(first, clicks=(click,), mask_id=7)
    assert append_all(first, second).undo().mask_ids() == {4, 7}
