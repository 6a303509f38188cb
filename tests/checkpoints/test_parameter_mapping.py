import numpy as np
import pytest

from mst_jax.checkpoints.parameter_mapping import (
    ConversionReport,
    ParameterMapping,
    ParameterRule,
    arrays_from_params,
    params_from_arrays,
)

MAPPING = ParameterMapping(
    (
        ParameterRule("linear.weight", ("dense/kernel",), "d c -> c d"),
        ParameterRule("pair", ("a/kernel", "b/kernel"), "(k a d) c -> k c a d"),
        ParameterRule("positions", ("positions",), "1 (i j) c -> i j c", True),
        ParameterRule("extra", ("extra",), "1 1 c -> c"),
    ),
    {"idle": np.array([[1], [0]], np.float32), "decoder.*": None},
)
SHAPES = {
    "dense/kernel": (2, 3),
    "a/kernel": (1, 2, 2),
    "b/kernel": (1, 2, 2),
    "positions": (1, 2, 1),
}
ARRAYS = {
    "linear.weight": np.array([[1, 2], [3, 4], [5, 6]], np.float16),
    "pair": np.arange(8.0)[:, None],
    "positions": np.array([[[9], [1], [2]]], np.float32),
    "idle": np.ones((5, 5)),
    "decoder.norm.weight": np.ones(3),
}
FLAT_PARAMS = {
    "dense/kernel": [[1, 3, 5], [2, 4, 6]],
    "a/kernel": [[[0, 1], [2, 3]]],
    "b/kernel": [[[4, 5], [6, 7]]],
    "positions": [[[1], [2]]],
}


def test_names_shapes_and_axes_are_converted():
    flat_params, report = params_from_arrays(ARRAYS, MAPPING, SHAPES)
    assert flat_params.keys() == FLAT_PARAMS.keys()
    for path, want in FLAT_PARAMS.items():
        np.testing.assert_array_equal(flat_params[path], want)
        assert flat_params[path].dtype == np.float32
    assert report == ConversionReport(
        used_arrays=("linear.weight", "pair", "positions"),
        unused_arrays=("decoder.norm.weight", "idle"),
        filled_params=("a/kernel", "b/kernel", "dense/kernel", "positions"),
    )


def test_conversion_back_adds_unused_arrays():
    flat_params = {
        path: np.asarray(value, np.float32) for path, value in FLAT_PARAMS.items()
    }
    arrays = arrays_from_params(flat_params, MAPPING)
    assert arrays.keys() == {"linear.weight", "pair", "positions", "idle"}
    for name in ("linear.weight", "pair"):
        np.testing.assert_array_equal(arrays[name], ARRAYS[name])
    np.testing.assert_array_equal(arrays["positions"], [[[0], [1], [2]]])
    np.testing.assert_array_equal(arrays["idle"], [[1], [0]])


def test_xy_offsets_become_row_and_column():
    """Two points of one channel, (x, y) = (1, 2) and (3, 4)."""
    rule = ParameterRule("offsets", ("offsets",), "(p xy) c -> c p xy", ends_in_xy=True)
    mapping, arrays = (
        ParameterMapping((rule,), {}),
        {"offsets": np.array([[1], [2], [3], [4]])},
    )
    flat_params, _ = params_from_arrays(arrays, mapping, {"offsets": (1, 2, 2)})
    np.testing.assert_array_equal(flat_params["offsets"], [[[2, 1], [4, 3]]])
    np.testing.assert_array_equal(
        arrays_from_params(flat_params, mapping)["offsets"], arrays["offsets"]
    )


def test_parameter_stored_twice_must_be_equal():
    rules = tuple(
        ParameterRule(name, ("bias",), "c -> c") for name in ("first", "second")
    )
    mapping, shapes = ParameterMapping(rules, {}), {"bias": (2,)}
    arrays = arrays_from_params({"bias": np.array([1.0, 2.0], np.float32)}, mapping)
    assert arrays.keys() == {"first", "second"}
    flat_params, report = params_from_arrays(arrays, mapping, shapes)
    np.testing.assert_array_equal(flat_params["bias"], [1, 2])
    assert report.used_arrays == ("first", "second") and report.filled_params == (
        "bias",
    )
    with pytest.raises(
        ValueError, match="its arrays first and second differ, expected"
    ):
        params_from_arrays(arrays | {"second": np.array([1, 3])}, mapping, shapes)
    with pytest.raises(ValueError, match="lacks 1 arrays: second"):
        params_from_arrays({"first": arrays["first"]}, mapping, shapes)


def arrays_without(name):
    return {key: array for key, array in ARRAYS.items() if key != name}


@pytest.mark.parametrize(
    ("arrays", "shapes", "sentence"),
    [
        (arrays_without("pair"), SHAPES, "lacks 1 arrays: pair"),
        (
            ARRAYS | {"new": np.ones(1)},
            SHAPES,
            "1 of its arrays do not belong to this model.*: new",
        ),
        (ARRAYS, SHAPES | {"z": (1,)}, "has no name for 1 parameters: z"),
        (ARRAYS, SHAPES | {"dense/kernel": (2, 4)}, r"is \[3, 2\], expected \[4, 2\]"),
        (
            ARRAYS,
            SHAPES | {"positions": (2, 2, 1)},
            r"\[1, 3, 1\], expected \[1, 5, 1\]",
        ),
        (ARRAYS | {"pair": np.ones(8)}, SHAPES, r"pair is \[8\], expected \[8, 1\]"),
        # A release that has the parameter needs the array.
        (ARRAYS, SHAPES | {"extra": (2,)}, "lacks 1 arrays: extra"),
    ],
)
def test_mismatch_is_one_clear_error(arrays, shapes, sentence):
    with pytest.raises(ValueError, match=sentence):
        params_from_arrays(arrays, MAPPING, shapes)


def test_parameter_without_a_name_cannot_be_written():
    with pytest.raises(ValueError, match="has no name for 1 parameters: other/bias"):
        arrays_from_params({"other/bias": np.ones(1)}, MAPPING)


def test_report_is_short():
    report = ConversionReport(
        used_arrays=("a", "b"),
        unused_arrays=("c", "d", "e", "f", "g"),
        filled_params=("embed/image/bias", "backbone/block0/bias"),
        reinitialized=("decoder/a/bias", "decoder/b/bias", "embed/hints/bias"),
        changes=("embed/positions: resized",),
    )
    assert str(report).splitlines() == [
        "2 arrays used",
        "5 not used, as expected: c, d, e and 2 more",
        "2 parameters filled",
        "3 reinitialized: decoder, embed/hints",
        "embed/positions: resized",
    ]
    assert (
        str(ConversionReport(("a",), (), ("b",)))
        == "1 arrays used\n1 parameters filled"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_by_the_name_of_the_array(value):
    mapping = ParameterMapping((ParameterRule("w", ("bias",), "c -> c"),), {"x": None})
    arrays = {"w": np.array([1.0, value]), "x": np.array([np.nan])}
    with pytest.raises(
        ValueError, match="its array w holds numbers that are not finite"
    ):
        params_from_arrays(arrays, mapping, {"bias": (2,)})
    arrays["w"][1] = 2
    # What is not used may be infinite, such as a mask of attention.
    params_from_arrays(arrays, mapping, {"bias": (2,)})
