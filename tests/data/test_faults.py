import pytest

from mst_jax.data.faults import Faults


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
