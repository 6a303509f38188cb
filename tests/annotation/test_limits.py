from mst_jax.annotation.limits import Limits, Refused
from mst_jax.inference.click_session import NUM_SLOTS


def test_clicks_fit_into_the_slots_that_programs_are_compiled_for():
    assert Limits().clicks == NUM_SLOTS


def test_a_refusal_is_a_sentence_with_a_status():
    error = Refused("no", 404)
    assert (error.detail, error.status_code) == ("no", 404)
    assert Refused("no").status_code == 400
