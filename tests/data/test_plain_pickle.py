import collections
import contextlib
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.plain_pickle import open_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(tree=plain, protocol=st.sampled_from(PROTOCOLS))
def test_plain_things_come_out_as_they_went_in(tree, protocol):
    assert open_pickle(pickle.dumps(tree, protocol)) == tree


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
        np.zeros((0, 2), np.float32),
    ],
    ids=str,
)
def test_arrays_come_out_of_every_protocol(array, protocol):
    (found,) = open_pickle(pickle.dumps([array], protocol))
    np.testing.assert_array_equal(found.value, array)


def test_numbers_of_numpy_and_arrays_of_objects():
    assert open_pickle(pickle.dumps(np.int64(-7))) == -7
    assert open_pickle(pickle.dumps(np.float32(0.5))) == 0.5
    box = np.empty((), object)
    box[()] = {"small": {0: [1]}}
    assert open_pickle(pickle.dumps(box)).value == [{"small": {0: [1]}}]
    ordered = collections.OrderedDict(a=1)
    assert open_pickle(pickle.dumps(ordered)) == {"a": 1}


def test_older_numpy_names_are_known():
    data = pickle.dumps(np.arange(3, dtype=np.uint8), 2)
    older = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert older != data
    np.testing.assert_array_equal(open_pickle(older).value, [0, 1, 2])


class Harm:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "harm",
    [
        Harm(os.system, "touch harmed"),
        Harm(eval, "open('harmed', 'w')"),
        Harm(getattr, "", "join"),
        Harm(np.load, "harmed"),
        Harm(np.dtype, "u1,O"),
    ],
    ids=["system", "eval", "getattr", "load", "dtype"],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_harmful_pickles_are_refused_and_not_run(harm, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"a": [1, harm]}, protocol)
    with pytest.raises(ValueError, match=r"may do harm|expected plain numbers"):
        open_pickle(data)
    assert not list(tmp_path.iterdir())


def test_objects_given_as_bytes_are_refused():
    box = np.empty(1, object)
    box[0] = 1
    forged = pickle.dumps(box, 2).replace(b"]q\x11K\x01a", b"C\x08AAAAAAAA")
    with pytest.raises(ValueError, match="objects as bytes"):
        open_pickle(forged)


@given(seed=st.integers(0, 2**32 - 1))
def test_damage_is_a_value_error_or_is_read(seed):
    rng = np.random.default_rng(seed)
    data = bytearray(pickle.dumps({"a": [np.arange(5), 1.5], "b": (None, "c")}, 4))
    for at in rng.integers(0, len(data), 3):
        data[at] = int(rng.integers(256))
    with contextlib.suppress(ValueError, MemoryError):
        open_pickle(bytes(data[: int(rng.integers(1, len(data) + 1))]))
