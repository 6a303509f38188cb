import pickle

import numpy as np
import pytest

from mst_jax.checkpoints.formats.torch_tensors import is_tensor_record, make_array
from mst_jax.safe_pickle import read_pickled_objects
from tests.helpers.torch_archive import (
    GlobalName,
    PickledCall,
    TensorStorage,
    make_pickle,
    make_tensor,
)

ARRAYS = (
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([1.5, -2], ">f4"),
    np.array([True, False]).astype("u1"),
    np.zeros((0, 3), np.float16),
)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_arrays_of_numpy_are_read_without_calling_numpy(protocol, array):
    record = read_pickled_objects(pickle.dumps(array, protocol))
    assert is_tensor_record(record)
    made = make_array(record, {}.__getitem__, 10_000)
    assert made.dtype == array.dtype
    np.testing.assert_array_equal(made, array)


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.array(["text"]), np.array([(1, 2)], "i4,i4"), 3]
)
def test_other_values_are_refused(value):
    record = read_pickled_objects(pickle.dumps(value))
    with pytest.raises((TypeError, ValueError, AttributeError)):
        make_array(record, {}.__getitem__, 10_000)


def test_a_storage_may_be_part_of_another():
    """PyTorch before version 0.4 wrote (key, offset, size) behind the length."""
    rebuild = GlobalName("torch._utils", "_rebuild_tensor_v2")
    hooks = PickledCall(GlobalName("collections", "OrderedDict"))
    arguments = (("s",), 1, (2,), (1,), False, hooks)
    record = read_pickled_objects(make_pickle(PickledCall(rebuild, arguments)))
    storage_type = read_pickled_objects(
        make_pickle([GlobalName("torch", "IntStorage")])
    )
    storage_id = ("storage", storage_type[0], "7", "cpu", 9, ("8", 3, 4))
    record.arguments = (storage_id, *record.arguments[1:])
    values = np.arange(9, dtype=np.int32).tobytes()
    assert make_array(record, {"7": values}.__getitem__, 100).tolist() == [4, 5]


def test_a_tensor_is_a_record_and_a_class_is_not():
    tensor = make_tensor(TensorStorage("FloatStorage", "7", 12), 0, (2,), (1,))
    device = PickledCall(GlobalName("torch", "device"), ("cpu",))
    found = read_pickled_objects(make_pickle([tensor, device, 3]))
    assert [is_tensor_record(value) for value in found] == [True, False, False]
