import dataclasses
import gc
import os
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mst_jax.annotation.limits import Refused
from mst_jax.annotation.sessions.registry import Sessions
from mst_jax.data.formats.images import as_encoded, encode_png
from tests.helpers.annotation_client import IMAGE, SMALL

PICTURE = as_encoded(encode_png(IMAGE))
CLICKS = [(20, 42, True), (50, 75, True), (3, 4, False)]
same = np.testing.assert_array_equal


def created(sessions, **options):
    return sessions.create(PICTURE, name="scene.png", **options)


def test_a_restart_of_the_server_loses_nothing(sessions, engine, tmp_path):
    session = created(sessions)
    number = session.add("cat", "#123456").number
    for click in CLICKS:
        session.click(number, *click)
    session.change(number, finished=True)
    session.undo(number)
    other = session.add().number
    session.click(other, *CLICKS[1])
    again = Sessions(tmp_path / "sessions", engine, SMALL).get(session.id)
    assert again is not session and again.objects == session.objects
    assert (again.name, again.picture) == (session.name, session.picture)
    for number in session.objects:
        same(again.probability(number), session.probability(number))
    assert again.redo(1) == session.redo(1)
    same(again.mask(1), session.mask(1))
    again.click(1, 5, 5, True), session.click(1, 5, 5, True)
    same(again.probability(1), session.probability(1))
    assert again.add().number == session.add().number


def test_sessions_have_names_that_nobody_guesses(sessions):
    one, other = created(sessions).id, created(sessions).id
    assert len(one) >= 20 and one != other


@pytest.mark.parametrize(
    "id", ["x" * 24, "..", "../sessions", "", "a/b", "%2e%2e", "\0" * 20]
)
def test_an_unknown_session_is_refused(sessions, id):
    for act in (sessions.get, sessions.remove):
        with pytest.raises(Refused) as caught:
            act(id)
        assert caught.value.status_code == 404


def test_there_are_no_more_sessions_than_allowed(sessions):
    opened = [created(sessions) for _ in range(SMALL.sessions)]
    with pytest.raises(Refused, match="5 pictures are open") as caught:
        created(sessions)
    assert caught.value.status_code == 429
    sessions.remove(opened[2].id)
    created(sessions)


def test_those_that_rest_leave_memory_and_come_back(sessions):
    first = created(sessions)
    first.add()
    first.click(1, *CLICKS[0])
    id, prob, gone = first.id, first.probability(1), weakref.ref(first)
    del first
    for _ in range(SMALL.awake):
        created(sessions)
    gc.collect()
    assert gone() is None and sessions.num_awake == SMALL.awake
    same(sessions.get(id).probability(1), prob)


def test_a_session_that_is_in_use_is_never_opened_twice(sessions):
    first = created(sessions)
    others = [created(sessions).id for _ in range(SMALL.awake)]
    assert sessions.get(first.id) is first
    id = others[0]
    del first
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: sessions.get(id), range(8)))
    assert len({*map(builtin_id, found)}) == 1


def builtin_id(x: object) -> int:
    return id(x)


def test_expiry_frees_memory_and_disk(sessions, tmp_path):
    old, new = created(sessions), created(sessions)
    state = tmp_path / "sessions" / old.id / "state.json"
    long_ago = time.time() - SMALL.expiry - 60
    os.utime(state, (long_ago, long_ago))
    id, gone = old.id, weakref.ref(old)
    del old
    sessions.sweep()
    gc.collect()
    assert gone() is None and sessions.num_awake == 1
    assert [path.name for path in (tmp_path / "sessions").iterdir()] == [new.id]
    with pytest.raises(Refused, match="expired"):
        sessions.get(id)


def test_use_keeps_a_session(engine, tmp_path):
    limits = dataclasses.replace(SMALL, expiry=60.0)
    sessions = Sessions(tmp_path, engine, limits)
    id = created(sessions).id
    almost = time.time() - 59
    os.utime(tmp_path / id / "state.json", (almost, almost))
    sessions.get(id)
    assert time.time() - (tmp_path / id / "state.json").stat().st_mtime < 5


def test_the_session_of_a_picture_of_the_folder_is_found_again(
    sessions, engine, tmp_path
):
    session = created(sessions, source="/photos/a.png 17")
    assert sessions.find("/photos/a.png 17") is session
    assert created(sessions, source="/photos/a.png 17") is session
    assert sessions.find("/photos/a.png 18") is None and sessions.find("") is None
    again = Sessions(tmp_path / "sessions", engine, SMALL)
    assert again.find("/photos/a.png 17").id == session.id
    sessions.remove(session.id)
    assert sessions.find("/photos/a.png 17") is None
