import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.store.history import AnnotatedObject
from mst_jax.annotation.store.labels import Label, LabelList, read_label_file
from mst_jax.annotation.store.session_change import SessionChange
from mst_jax.annotation.store.storage import SessionStorage
from tests.helpers.annotation_client import insert_session


def test_labels_are_added_once_and_keep_their_ids(database):
    labels = LabelList(database)
    assert [labels.choose(name) for name in ("cat", "dog", "cat")] == [1, 2, 1]
    assert LabelList(database).labels == [Label(1, "cat"), Label(2, "dog")]
    assert labels.name_of(2) == "dog" and labels.name_of(None) is None


def test_labels_of_files_are_not_offered_until_they_are_chosen(database):
    labels = LabelList(database)
    assert labels.keep("tree") == labels.keep("tree") == 1
    assert labels.labels == [] and labels.category_ids == {"tree": 1}
    assert labels.choose("tree") == 1 and labels.labels == [Label(1, "tree")]


def test_fixed_list_accepts_no_other_label(database):
    LabelList(database).choose("old")
    labels = LabelList(database, ["dog", "cat"])
    assert labels.is_fixed and labels.labels == [Label(2, "dog"), Label(3, "cat")]
    assert labels.choose("cat") == 3
    for name in ("old", "cow"):
        with pytest.raises(RequestRejected, match="dog, cat"):
            labels.choose(name)
    with pytest.raises(RequestRejected, match="--labels") as caught:
        labels.replace([(None, "cow")])
    assert caught.value.status_code == 409
    assert labels.name_of(1) == "old"
    reordered = LabelList(database, ["cat", "dog"]).labels
    assert reordered == [Label(3, "cat"), Label(2, "dog")]


def test_labels_are_renamed_sorted_exchanged_and_removed(database):
    labels = LabelList(database)
    for name in ("cat", "dog", "cow"):
        labels.choose(name)
    labels.replace([(2, "cat"), (1, "dog"), (None, "ox")])
    assert labels.labels == [Label(2, "cat"), Label(1, "dog"), Label(4, "ox")]
    labels.replace([])
    assert labels.labels == [] and labels.choose("cow") == 5


def test_label_that_objects_carry_is_not_removed(database):
    labels = LabelList(database)
    label_id = labels.choose("cat")
    insert_session(database, "one")
    storage = SessionStorage(database, "one")
    labeled = AnnotatedObject(1, label_id, "#000000")
    storage.commit(SessionChange(revision=1, objects=[labeled]))
    with pytest.raises(RequestRejected, match="'cat'") as caught:
        labels.replace([(None, "dog")])
    assert caught.value.status_code == 409 and labels.labels == [Label(1, "cat")]
    storage.commit(SessionChange(revision=2, deleted_ids=[1]))
    labels.replace([])


@pytest.mark.parametrize(
    "new_labels",
    [
        [(1, "a"), (None, "a")],
        [(1, "a"), (1, "b")],
        [(9, "a")],
        [(1, "hidden")],
    ],
)
def test_contradictory_lists_are_rejected(database, new_labels):
    labels = LabelList(database)
    labels.choose("cat")
    labels.keep("hidden")
    with pytest.raises(RequestRejected):
        labels.replace(new_labels)
    assert labels.labels == [Label(1, "cat")]


def test_label_file_has_one_name_a_line(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("cat\n\n  großer Hund \n", encoding="utf-8")
    assert read_label_file(path) == ["cat", "großer Hund"]
    for content in (b"", b"a\na", b"\xff", b"x" * 300):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="--labels"):
            read_label_file(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_label_file(tmp_path / "nothing.txt")
