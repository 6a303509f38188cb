import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mst_jax.annotation.sessions.storage import SessionFolder

same = np.testing.assert_array_equal


def test_a_folder_with_a_state_is_a_session(tmp_path):
    folder = SessionFolder(tmp_path / "one")
    assert not folder.exists
    folder.write_picture(b"picture")
    assert not folder.exists
    folder.write_state({"objects": [1, "ä"]})
    again = SessionFolder(tmp_path / "one")
    assert again.exists and again.read_picture() == b"picture"
    assert again.read_state() == {"objects": [1, "ä"]}
    again.remove()
    assert not folder.exists and not (tmp_path / "one").exists()


@given(data=st.data())
def test_arrays_come_back_bit_by_bit(data, tmp_path_factory):
    folder = SessionFolder(tmp_path_factory.mktemp("session"))
    patch = data.draw(arrays.arrays(np.float32, (3, 5)))
    mask = data.draw(arrays.arrays(bool, (4, 3)))
    folder.write_patch(1, patch)
    folder.write_mask(2, mask)
    assert folder.read_patch(1).tobytes() == patch.tobytes()
    same(folder.read_mask(2), mask)


def test_arrays_are_forgotten_by_their_numbers(tmp_path):
    folder = SessionFolder(tmp_path)
    for number in (1, 2, 3):
        folder.write_mask(number, np.ones((2, 2), bool))
    folder.forget({1, 3, 77})
    assert [path.name for path in tmp_path.iterdir()] == ["2.array"]


def test_use_is_noted(tmp_path):
    folder = SessionFolder(tmp_path)
    folder.write_state({})
    before = time.time()
    folder.touch()
    assert before - 1 < folder.used < time.time() + 1
