import pytest

from mst_jax.annotation.limits import Limits
from mst_jax.inference.click_session import NUM_SLOTS


def test_clicks_fit_into_the_compiled_click_slots():
    assert Limits().max_clicks == NUM_SLOTS


def test_limits_below_one_are_rejected():
    with pytest.raises(ValueError, match="max_objects is 0"):
        Limits(max_objects=0)
