import numpy as np
import pytest

from mst_jax.checkpoints.parameter_mapping import (
    Account,
    NameTable,
    Rule,
    read_names,
    write_names,
)

TABLE = NameTable(
    (
        Rule("linear.weight", ("dense/kernel",), "d c -> c d"),
        Rule("pair", ("a/kernel", "b/kernel"), "(k a d) c -> k c a d"),
        Rule("places", ("positions",), "1 (i j) c -> i j c", True),
        Rule("extra", ("extra",), "1 1 c -> c"),
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
    "places": np.array([[[9], [1], [2]]], np.float32),
    "idle": np.ones((5, 5)),
    "decoder.norm.weight": np.ones(3),
}
FLAT = {
    "dense/kernel": [[1, 3, 5], [2, 4, 6]],
    "a/kernel": [[[0, 1], [2, 3]]],
    "b/kernel": [[[4, 5], [6, 7]]],
    "positions": [[[1], [2]]],
}


def test_names_shapes_and_axes_become_ours():
    flat, account = read_names(ARRAYS, TABLE, SHAPES)
    assert flat.keys() == FLAT.keys()
    for path, want in FLAT.items():
        np.testing.assert_array_equal(flat[path], want)
        assert flat[path].dtype == np.float32
    assert account == Account(
        used=("linear.weight", "pair", "places"),
        unread=("decoder.norm.weight", "idle"),
        filled=("a/kernel", "b/kernel", "dense/kernel", "positions"),
    )


def test_and_back_with_what_is_idle():
    flat = {path: np.asarray(value, np.float32) for path, value in FLAT.items()}
    arrays = write_names(flat, TABLE)
    assert arrays.keys() == {"linear.weight", "pair", "places", "idle"}
    for name in ("linear.weight", "pair"):
        np.testing.assert_array_equal(arrays[name], ARRAYS[name])
    np.testing.assert_array_equal(arrays["places"], [[[0], [1], [2]]])
    np.testing.assert_array_equal(arrays["idle"], [[1], [0]])


def test_places_by_columns_and_rows_become_rows_and_columns():
    """Two places of one channel, (x, y) = (1, 2) and (3, 4)."""
    rule = Rule("offsets", ("places",), "(p xy) c -> c p xy", ends_in_xy=True)
    table, arrays = NameTable((rule,), {}), {"offsets": np.array([[1], [2], [3], [4]])}
    flat, _ = read_names(arrays, table, {"places": (1, 2, 2)})
    np.testing.assert_array_equal(flat["places"], [[[2, 1], [4, 3]]])
    np.testing.assert_array_equal(
        write_names(flat, table)["offsets"], arrays["offsets"]
    )


def test_what_is_there_twice_must_be_the_same():
    rules = tuple(Rule(name, ("bias",), "c -> c") for name in ("one", "other"))
    table, shapes = NameTable(rules, {}), {"bias": (2,)}
    arrays = write_names({"bias": np.array([1.0, np.nan], np.float32)}, table)
    assert arrays.keys() == {"one", "other"}
    flat, account = read_names(arrays, table, shapes)
    np.testing.assert_array_equal(flat["bias"], [1, np.nan])
    assert account.used == ("one", "other") and account.filled == ("bias",)
    with pytest.raises(ValueError, match="its arrays one and other differ, expected"):
        read_names(arrays | {"other": np.array([1, 2])}, table, shapes)
    with pytest.raises(ValueError, match="lacks 1 arrays: other"):
        read_names({"one": arrays["one"]}, table, shapes)


def without(name):
    return {other: array for other, array in ARRAYS.items() if other != name}


@pytest.mark.parametrize(
    ("arrays", "shapes", "sentence"),
    [
        (without("pair"), SHAPES, "lacks 1 arrays: pair"),
        (ARRAYS | {"new": np.ones(1)}, SHAPES, "1 of its arrays have no place.*: new"),
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
def test_whatever_does_not_fit_is_one_sentence(arrays, shapes, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_names(arrays, TABLE, shapes)


def test_a_parameter_without_a_name_cannot_be_written():
    with pytest.raises(ValueError, match="has no name for 1 parameters: other/bias"):
        write_names({"other/bias": np.ones(1)}, TABLE)


def test_the_account_is_short():
    account = Account(
        used=("a", "b"),
        unread=("c", "d", "e", "f", "g"),
        filled=("embed/image/bias", "backbone/block0/bias"),
        fresh=("decoder/a/bias", "decoder/b/bias", "embed/hints/bias"),
        changed=("embed/positions: resized",),
    )
    assert str(account).splitlines() == [
        "2 arrays used",
        "5 not used, as expected: c, d, e and 2 more",
        "2 parameters filled",
        "3 started afresh: decoder, embed/hints",
        "embed/positions: resized",
    ]
    assert str(Account(("a",), (), ("b",))) == "1 arrays used\n1 parameters filled"
