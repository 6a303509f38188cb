import collections
import contextlib
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.safe_pickle import (
    PickledObject,
    read_pickled_arrays,
    read_pickled_objects,
)
from tests.helpers.torch_archive import (
    GlobalName,
    PickledCall,
    make_pickle,
    pickle_opcodes,
)

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def test_plain_values_are_returned_unchanged():
    value = {"a": [1, 2.5, None, True], "b": ("text", {3: -4})}
    for protocol in PROTOCOLS:
        assert read_pickled_objects(pickle.dumps(value, protocol)) == value
    assert read_pickled_objects(make_pickle(value)) == value


def test_object_becomes_record_of_name_arguments_items_and_state():
    easy_dict = PickledCall(
        GlobalName("easydict", "EasyDict"), (1, "x"), {"DEPTH": 12}, {"a": 3}
    )
    record = read_pickled_objects(make_pickle(easy_dict))
    assert isinstance(record, PickledObject) and record == {"DEPTH": 12}
    assert record.type_name == "easydict.EasyDict"
    assert record.arguments == (1, "x") and record.state == {"a": 3}


def test_called_and_referenced_functions_stay_names():
    device = read_pickled_objects(
        make_pickle(PickledCall(GlobalName("torch", "device"), ("cpu",)))
    )
    assert (device.type_name, device.arguments) == ("torch.device", ("cpu",))
    storage = read_pickled_objects(make_pickle([GlobalName("torch", "FloatStorage")]))[
        0
    ]
    assert storage.type_name == "torch.FloatStorage"


def test_objects_of_standard_classes_become_records():
    from collections import OrderedDict
    from pathlib import PurePosixPath

    value = [OrderedDict(a=1), {1, 2}, PurePosixPath("a/b"), complex(1, 2)]
    for protocol in PROTOCOLS:
        ordered, *_ = records = read_pickled_objects(pickle.dumps(value, protocol))
        assert ordered == {"a": 1} and ordered.type_name == "collections.OrderedDict"
        assert len(records) == 4 and records[2].type_name.endswith("PurePosixPath")


class HarmfulCall:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def harmful_pickles(marker):
    """Yield pickles that create the file `marker` if anything in them is executed."""
    command, code = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    for protocol in (0, 2, 4):
        for harmful in (
            HarmfulCall(os.system, command),
            {"config": {"params": [HarmfulCall(eval, code)]}},
            HarmfulCall(exec, code),
        ):
            yield pickle.dumps(harmful, protocol)
    path = PickledCall(GlobalName("pathlib", "Path"), (str(marker),))
    touch = PickledCall(GlobalName("builtins", "getattr"), (path, "touch"))
    yield make_pickle({"state_dict": {"a": PickledCall(touch)}})
    yield make_pickle(
        PickledCall(GlobalName("subprocess", "check_call"), (["touch", str(marker)],))
    )
    # The opcodes INST and OBJ, which call a class without REDUCE.
    yield b"(" + pickle_opcodes(code) + b"ibuiltins\nexec\n."
    yield (
        b"("
        + pickle_opcodes(GlobalName("builtins", "exec"))
        + pickle_opcodes(code)
        + b"o."
    )
    # A name with dots, which newer protocols look up step by step.
    system = pickle_opcodes("os") + pickle_opcodes("path.os.system") + b"\x93"
    yield b"\x80\x04" + system + pickle_opcodes((command,)) + b"R."


def test_hostile_pickle_executes_nothing(tmp_path):
    marker = tmp_path / "marker"
    for data in harmful_pickles(marker):
        pickle.loads(data)
        assert marker.exists(), "this pickle of the test is harmless"
        marker.unlink()
        with contextlib.suppress(ValueError):  # some are refused, none is executed
            read_pickled_objects(data)
        assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        make_pickle({"a": 1})[:-4],
        # A state for a class, for a list, for a number; an unhashable key.
        b"\x80\x02"
        + pickle_opcodes(GlobalName("os", "system"))
        + pickle_opcodes({"name": 3})
        + b"b.",
        b"\x80\x02" + pickle_opcodes([]) + pickle_opcodes({"append": 3}) + b"b.",
        b"\x80\x02}(" + pickle_opcodes([]) + pickle_opcodes(1) + b"u.",
        # A name with a zero byte, an extension, a global without a name.
        b"\x80\x04" + pickle_opcodes(1) + pickle_opcodes("b") + b"\x93.",
        b"\x80\x02\x82\x07.",
        # A memo index far beyond the data, and bytes that do not exist.
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x05\x96\x00\x00\x00\x00\xff\x00\x00\x00.",
        b"\x80\x02" + b"]" * 3 + b"R.",
    ],
)
def test_invalid_pickle_is_one_clear_error(data):
    with pytest.raises(ValueError, match="its pickle cannot be read"):
        read_pickled_objects(data)


def test_records_discard_elements_of_lists_and_sets():
    made = (
        pickle_opcodes(PickledCall(GlobalName("torch", "Size")))
        + b"("
        + pickle_opcodes(1)
        + pickle_opcodes(2)
        + b"e"
    )
    record = read_pickled_objects(b"\x80\x02" + made + b".")
    assert record.type_name == "torch.Size" and record == {}
    assert {record: 1}[record] == 1


@given(tree=plain_values, protocol=st.sampled_from(PROTOCOLS))
def test_plain_containers_round_trip(tree, protocol):
    assert read_pickled_arrays(pickle.dumps(tree, protocol)) == tree


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
def test_arrays_are_read_from_every_protocol(array, protocol):
    (pickled_array,) = read_pickled_arrays(pickle.dumps([array], protocol))
    np.testing.assert_array_equal(pickled_array.value, array)


def test_numpy_scalars_and_object_arrays_are_read():
    assert read_pickled_arrays(pickle.dumps(np.int64(-7))) == -7
    assert read_pickled_arrays(pickle.dumps(np.float32(0.5))) == 0.5
    box = np.empty((), object)
    box[()] = {"small": {0: [1]}}
    assert read_pickled_arrays(pickle.dumps(box)).value == [{"small": {0: [1]}}]
    ordered = collections.OrderedDict(a=1)
    assert read_pickled_arrays(pickle.dumps(ordered)) == {"a": 1}


def test_names_of_older_numpy_are_known():
    data = pickle.dumps(np.arange(3, dtype=np.uint8), 2)
    older = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert older != data
    np.testing.assert_array_equal(read_pickled_arrays(older).value, [0, 1, 2])


@pytest.mark.parametrize(
    "harmful",
    [
        HarmfulCall(os.system, "touch harmed"),
        HarmfulCall(eval, "open('harmed', 'w')"),
        HarmfulCall(getattr, "", "join"),
        HarmfulCall(np.load, "harmed"),
        HarmfulCall(np.dtype, "u1,O"),
    ],
    ids=["system", "eval", "getattr", "load", "dtype"],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_harmful_array_pickle_is_refused_and_not_executed(
    harmful, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"a": [1, harmful]}, protocol)
    with pytest.raises(ValueError, match=r"may do harm|expected plain numbers"):
        read_pickled_arrays(data)
    assert not list(tmp_path.iterdir())


def test_objects_stored_as_bytes_are_refused():
    box = np.empty(1, object)
    box[0] = 1
    forged = pickle.dumps(box, 2).replace(b"]q\x11K\x01a", b"C\x08AAAAAAAA")
    with pytest.raises(ValueError, match="objects as bytes"):
        read_pickled_arrays(forged)


@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_pickle_is_read_or_raises_value_error(seed):
    rng = np.random.default_rng(seed)
    data = bytearray(pickle.dumps({"a": [np.arange(5), 1.5], "b": (None, "c")}, 4))
    for position in rng.integers(0, len(data), 3):
        data[position] = int(rng.integers(256))
    with contextlib.suppress(ValueError, MemoryError):
        read_pickled_arrays(bytes(data[: int(rng.integers(1, len(data) + 1))]))
