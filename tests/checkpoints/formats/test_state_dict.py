import numpy as np
import pytest

from mst_jax.checkpoints.formats.state_dict import find_state_dict, strip_prefixes
from mst_jax.checkpoints.formats.torch_file import read_torch_archive
from mst_jax.checkpoints.formats.weight_file import read_weight_file
from mst_jax.safe_pickle import read_pickled_objects
from tests.helpers.torch_archive import (
    GlobalName,
    PickledCall,
    TensorStorage,
    make_pickle,
    make_tensor,
    write_archive,
)

STORAGE = TensorStorage("FloatStorage", "7", 12)
NUMBERS = {"7": np.arange(12, dtype=np.float32).tobytes()}
FIRST, SECOND = (make_tensor(STORAGE, offset, (2,), (1,)) for offset in (0, 2))


def read(path, content):
    return read_weight_file(write_archive(path / "x.pth", content, NUMBERS))


@pytest.mark.parametrize(
    "content",
    [
        {"a": FIRST},
        {"state_dict": {"a": FIRST}},
        {"model": {"a": FIRST}, "optimizer": {"state": {}}, "epoch": 3},
        {"model_state_dict": {"a": FIRST}, "loss": 0.5},
        {"ema": {"a": FIRST}},
        {"checkpoint": 1, "model": {"state_dict": {"a": FIRST}, "meta": "x"}},
        {"model": {"model": {"a": FIRST}}},
        {"net": {"state_dict": {"module.a": FIRST}}},
        {"state_dict": {"model.a": FIRST}, "pytorch-lightning_version": "2.1"},
        {"_orig_mod.a": FIRST},
        {"module._orig_mod.a": FIRST},
        {"model": {"module.model.a": FIRST}},
        {"state_dict": {"ema.a": FIRST}},
        {"state_dict": {"ema_model.module.a": FIRST}},
        {"a": FIRST, "epoch": 3, "note": "x", "b._extra_state": None},
    ],
    ids=str,
)
def test_arrays_are_found_in_every_container_behind_every_prefix(tmp_path, content):
    weight_file = read(tmp_path, content)
    assert weight_file.arrays.keys() == {"a"}
    np.testing.assert_array_equal(weight_file.arrays["a"], [0, 1])


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        ({"model": {"a": FIRST}, "ema": {"a": SECOND}}, "it holds 'ema' and 'model'"),
        (
            {"state_dict": {"a": FIRST}, "state_dict_ema": {"module.a": SECOND}},
            "it holds 'state_dict_ema' and 'state_dict'; the first is used",
        ),
        (
            {"model": {"a": FIRST}, "ema": {"decay": 0.9, "shadow": {"a": SECOND}}},
            "it holds 'ema' and 'model'",
        ),
        ({"state_dict": {"model.a": FIRST, "ema.a": SECOND}}, "prefix 'ema.' used"),
        ({"model.a": FIRST, "ema_model.module.a": SECOND}, "1 arrays with the prefix"),
    ],
    ids=str,
)
def test_an_average_is_preferred_and_reported(tmp_path, content, remark):
    weight_file = read(tmp_path, content)
    np.testing.assert_array_equal(weight_file.arrays["a"], [2, 3])
    assert any(remark in text for text in weight_file.remarks)


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"a": FIRST}, "ema": {"decay": 0.99}},
        {"model": {"a": FIRST}, "ema": {"decay": 0.99, "shadow": {}}},
        # An average of one of two parameters does not replace the model.
        {"model": {"a": FIRST, "b": FIRST}, "ema": {"a": SECOND}},
        {"model.a": FIRST, "model.b": FIRST, "ema.a": SECOND},
    ],
    ids=str,
)
def test_an_average_without_the_parameters_is_not_used(tmp_path, content):
    weight_file = read(tmp_path, content)
    np.testing.assert_array_equal(weight_file.arrays["a"], [0, 1])


def test_arrays_of_the_training_program_are_left_out_and_reported(tmp_path):
    names = {"model.a": FIRST, "model.b": FIRST, "criterion.weight": SECOND}
    weight_file = read(tmp_path, {"state_dict": names, "epoch": 3})
    assert weight_file.arrays.keys() == {"a", "b"}
    assert weight_file.remarks == (
        "prefix 'model.' used",
        "1 arrays without prefix are not used",
    )


def module_record(parameters, modules):
    """Return a pickled module of PyTorch."""
    state = {"training": True, "_parameters": parameters, "_buffers": {"n": None}}
    return PickledCall(
        GlobalName("nets", "Net"), (), None, state | {"_modules": modules}
    )


def test_a_whole_module_is_read_as_its_arrays(tmp_path):
    inner = module_record({"weight": FIRST, "bias": None}, {})
    outer = module_record({"a": SECOND}, {"block": module_record({}, {"norm": inner})})
    for content in (outer, {"model": outer, "epoch": 3}):
        arrays = read(tmp_path, content).arrays
        assert arrays.keys() == {"a", "block.norm.weight"}
        np.testing.assert_array_equal(arrays["block.norm.weight"], [0, 1])


def test_the_config_of_the_published_program_is_kept(tmp_path):
    content = {"model": {"state_dict": {"a": FIRST}}, "config": {"heads": 3}}
    path = write_archive(tmp_path / "x.pth", content, NUMBERS)
    assert read_torch_archive(path).config == {"heads": 3}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1], "it holds no dict of arrays"),
        ({}, "it holds no dict of arrays"),
        ({"epoch": 3, "loss": 0.1}, "no dict of arrays; its keys are 'epoch', 'loss'"),
        ({"student": {"backbone": FIRST}}, "no dict of arrays; its keys are 'student'"),
        (
            PickledCall(GlobalName("nets", "Net")),
            r"but an object of nets\.Net; save its state_dict",
        ),
    ],
    ids=str,
)
def test_a_file_without_arrays_is_one_clear_error(content, sentence):
    with pytest.raises(ValueError, match=sentence):
        find_state_dict(read_pickled_objects(make_pickle(content)))


def test_two_arrays_of_one_name_are_refused():
    array = np.ones(1)
    with pytest.raises(ValueError, match="two arrays of the name b"):
        strip_prefixes({"_orig_mod.b": array, "b": np.zeros(1)})


def test_words_inside_of_names_stay():
    names = ["backbone.model.a", "submodule.b", "ema2.c", "modules.0.d"]
    arrays, remarks = strip_prefixes(dict.fromkeys(names, np.ones(1)))
    assert list(arrays) == names and remarks == ()
    assert strip_prefixes({}) == ({}, ())
