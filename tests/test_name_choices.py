"""Messages list the known names and the one that was probably meant."""

from mst_jax.name_choices import closest_name, closest_names, list_choices


def test_the_closest_name_is_named():
    assert list_choices("mts", ["simpleclick", "mst"]) == (
        "choose one of simpleclick, mst (closest: mst)"
    )
    assert closest_name("stepz", {"steps": 1, "seed": 2}) == "steps"
    assert closest_name("MST", ["simpleclick", "mst"]) == "mst"
    assert closest_name("lr", ["learning_rate", "name"]) == "learning_rate"


def test_nothing_is_guessed_if_no_name_is_close():
    assert list_choices("big", ["base", "huge"]) == "choose one of base, huge"
    assert closest_name("xyz", ["steps"]) is None
    assert closest_names([], ["steps"]) == ""


def test_several_words_have_a_name_each():
    assert closest_names(["hight", "widht"], ["width", "height"]) == (
        " (closest: height, width)"
    )
