from pathlib import Path

import pytest

from mst_jax.data.errors import BadFile, Faults


def test_all_faults_stand_in_one_error():
    faults = Faults()
    faults.add("a.png", "empty")
    faults.add("b.png", ValueError("torn"))
    with pytest.raises(
        ValueError, match=r"2 bad files.*\n  a.png: empty\n  b.png: torn"
    ):
        faults.settle(skip=False, num_good=5)
    faults.settle(skip=True, num_good=5)


def test_a_set_without_any_good_file_is_an_error_even_when_skipping():
    with pytest.raises(ValueError, match="no picture is left"):
        Faults().settle(skip=True, num_good=0)


def test_what_goes_wrong_inside_is_the_files_fault_and_the_next_is_read(tmp_path):
    faults = Faults(tmp_path)
    for error in (ValueError("torn\n in two"), OSError("gone"), MemoryError()):
        with faults.caught(tmp_path / "a.png"):
            raise error
    with faults.caught("a.png"):
        raise BadFile(tmp_path / "masks" / "a.png", "empty")
    assert faults.lines == [
        "a.png: torn in two",
        "a.png: gone",
        "a.png: does not fit into memory (or is damaged)",
        "masks/a.png: empty",
    ]


def test_our_own_slips_are_not_the_files_fault():
    with pytest.raises(KeyError), Faults().caught(Path("a.png")):
        raise KeyError("typo")


def test_remarks_are_counted_and_told_when_nothing_is_left():
    faults = Faults()
    faults.remark("slices without an object", 2)
    faults.remark("slices without an object")
    faults.remark("crowds", 0)
    assert faults.remarks == {"slices without an object": 3}
    with pytest.raises(ValueError, match=r"no picture is left:\n  slices .*: 3"):
        faults.settle(skip=False, num_good=0)
