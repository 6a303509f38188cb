import contextlib
import os
import pickle

import pytest

from mst_jax.safe_pickle import Record, read_records
from tests.helpers.torch_archive import Call, Name, emit, pickled


def test_plain_values_are_plain():
    value = {"a": [1, 2.5, None, True], "b": ("text", {3: -4})}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert read_records(pickle.dumps(value, protocol)) == value
    assert read_records(pickled(value)) == value


def test_an_object_is_its_name_its_arguments_its_items_and_its_state():
    easy = Call(Name("easydict", "EasyDict"), (1, "x"), {"DEPTH": 12}, {"a": 3})
    record = read_records(pickled(easy))
    assert isinstance(record, Record) and record == {"DEPTH": 12}
    assert record.name == "easydict.EasyDict"
    assert record.arguments == (1, "x") and record.state == {"a": 3}


def test_what_was_called_or_referred_to_stays_a_name():
    device = read_records(pickled(Call(Name("torch", "device"), ("cpu",))))
    assert (device.name, device.arguments) == ("torch.device", ("cpu",))
    kind = read_records(pickled([Name("torch", "FloatStorage")]))[0]
    assert kind.name == "torch.FloatStorage"


def test_real_objects_of_real_classes_are_records_too():
    from collections import OrderedDict
    from pathlib import PurePosixPath

    value = [OrderedDict(a=1), {1, 2}, PurePosixPath("a/b"), complex(1, 2)]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        ordered, *_ = found = read_records(pickle.dumps(value, protocol))
        assert ordered == {"a": 1} and ordered.name == "collections.OrderedDict"
        assert len(found) == 4 and found[2].name.endswith("PurePosixPath")


class Harmful:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def harmful(marker):
    """Pickles that make the file `marker`, if anything in them is run."""
    command, code = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    for protocol in (0, 2, 4):
        for evil in (
            Harmful(os.system, command),
            {"config": {"params": [Harmful(eval, code)]}},
            Harmful(exec, code),
        ):
            yield pickle.dumps(evil, protocol)
    path = Call(Name("pathlib", "Path"), (str(marker),))
    touch = Call(Name("builtins", "getattr"), (path, "touch"))
    yield pickled({"state_dict": {"a": Call(touch)}})
    yield pickled(Call(Name("subprocess", "check_call"), (["touch", str(marker)],)))
    # The opcodes INST and OBJ, which call a class without REDUCE.
    yield b"(" + emit(code) + b"ibuiltins\nexec\n."
    yield b"(" + emit(Name("builtins", "exec")) + emit(code) + b"o."
    # A name with dots, which newer protocols look up step by step.
    system = emit("os") + emit("path.os.system") + b"\x93"
    yield b"\x80\x04" + system + emit((command,)) + b"R."


def test_a_hostile_pickle_runs_nothing(tmp_path):
    marker = tmp_path / "marker"
    for data in harmful(marker):
        pickle.loads(data)
        assert marker.exists(), "the test's own pickle is harmless"
        marker.unlink()
        with contextlib.suppress(ValueError):  # some are refused, none is obeyed
            read_records(data)
        assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        pickled({"a": 1})[:-4],
        # A state for a class, for a list, for a number; an unhashable key.
        b"\x80\x02" + emit(Name("os", "system")) + emit({"name": 3}) + b"b.",
        b"\x80\x02" + emit([]) + emit({"append": 3}) + b"b.",
        b"\x80\x02}(" + emit([]) + emit(1) + b"u.",
        # A name with a zero byte, an extension, a global without a name.
        b"\x80\x04" + emit(1) + emit("b") + b"\x93.",
        b"\x80\x02\x82\x07.",
        # A place in memory far away, and bytes that are not there.
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x05\x96\x00\x00\x00\x00\xff\x00\x00\x00.",
        b"\x80\x02" + b"]" * 3 + b"R.",
    ],
)
def test_what_is_no_pickle_is_one_sentence(data):
    with pytest.raises(ValueError, match="its pickle cannot be read"):
        read_records(data)


def test_records_swallow_what_lists_and_sets_would_hold():
    made = emit(Call(Name("torch", "Size"))) + b"(" + emit(1) + emit(2) + b"e"
    record = read_records(b"\x80\x02" + made + b".")
    assert record.name == "torch.Size" and record == {}
    assert {record: 1}[record] == 1
