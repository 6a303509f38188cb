from pathlib import Path

import pytest

from mst_jax.data.file_errors import BadFileError, ErrorCollector


def test_all_errors_are_raised_as_one():
    errors = ErrorCollector()
    errors.add_error("a.png", "empty")
    errors.add_error("b.png", ValueError("torn"))
    with pytest.raises(
        ValueError, match=r"2 bad files.*\n  a.png: empty\n  b.png: torn"
    ):
        errors.raise_if_errors(skip_bad=False, num_usable=5)
    errors.raise_if_errors(skip_bad=True, num_usable=5)


def test_no_usable_image_raises_even_when_bad_files_are_skipped():
    with pytest.raises(ValueError, match="no image is left"):
        ErrorCollector().raise_if_errors(skip_bad=True, num_usable=0)


def test_error_in_the_block_is_recorded_for_the_file(tmp_path):
    errors = ErrorCollector(tmp_path)
    for error in (ValueError("torn\n in two"), OSError("gone"), MemoryError()):
        with errors.collect_errors(tmp_path / "a.png"):
            raise error
    with errors.collect_errors("a.png"):
        raise BadFileError(tmp_path / "masks" / "a.png", "empty")
    with errors.collect_errors("a.png"):
        (tmp_path / "gone.png").read_bytes()
    assert errors.messages == [
        "a.png: torn in two",
        "a.png: gone",
        "a.png: does not fit into memory (or is damaged)",
        "masks/a.png: empty",
        "gone.png: is missing",
    ]


def test_programming_error_in_the_block_is_not_collected():
    with pytest.raises(KeyError), ErrorCollector().collect_errors(Path("a.png")):
        raise KeyError("typo")


def test_skipped_items_are_counted_and_listed_when_nothing_is_left():
    errors = ErrorCollector()
    errors.count_skipped("slices without an object", 2)
    errors.count_skipped("slices without an object")
    errors.count_skipped("crowds", 0)
    assert errors.skip_counts == {"slices without an object": 3}
    with pytest.raises(ValueError, match=r"no image is left:\n  slices .*: 3"):
        errors.raise_if_errors(skip_bad=False, num_usable=0)
