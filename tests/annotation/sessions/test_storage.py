import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.storage import SessionStorage

same = np.testing.assert_array_equal


def test_folder_with_a_state_is_a_session(tmp_path):
    storage = SessionStorage(tmp_path / "one")
    assert not storage.exists
    storage.write_image(b"image")
    assert not storage.exists
    storage.write_state({"objects": [1, "ä"]})
    reopened = SessionStorage(tmp_path / "one")
    assert reopened.exists and reopened.read_image() == b"image"
    assert reopened.read_state() == {"objects": [1, "ä"]}
    reopened.delete_folder()
    assert not storage.exists and not (tmp_path / "one").exists()


def test_state_of_another_version_is_rejected(tmp_path):
    storage = SessionStorage(tmp_path)
    for state in ({"objects": []}, {"format": 1, "objects": []}):
        (tmp_path / "state.json").write_text(json.dumps(state))
        with pytest.raises(RequestRejected, match="version") as caught:
            storage.read_state()
        assert caught.value.status_code == 404


@given(data=st.data())
def test_arrays_are_bitwise_identical_after_reading(data, tmp_path_factory):
    storage = SessionStorage(tmp_path_factory.mktemp("session"))
    prob = data.draw(arrays.arrays(np.float32, (3, 5)))
    mask = data.draw(arrays.arrays(bool, (4, 3)))
    storage.write_prediction(1, prob)
    storage.write_mask(2, mask)
    assert storage.read_prediction(1).tobytes() == prob.tobytes()
    same(storage.read_mask(2), mask)


def test_arrays_are_deleted_by_their_ids(tmp_path):
    storage = SessionStorage(tmp_path)
    for array_id in (1, 2, 3):
        storage.write_mask(array_id, np.ones((2, 2), bool))
    storage.delete_arrays({1, 3, 77})
    assert [path.name for path in tmp_path.iterdir()] == ["2.array"]


def test_use_is_recorded(tmp_path):
    storage = SessionStorage(tmp_path)
    storage.write_state({})
    before = time.time()
    storage.mark_used()
    assert before - 1 < storage.last_used < time.time() + 1
