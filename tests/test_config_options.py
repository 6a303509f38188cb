import pytest

from mst_jax import config_options


def area(scale, *, width, height=2):
    return scale * width * height


def test_a_block_becomes_arguments():
    assert config_options.call(area, "config.box", 10, width=3) == 60


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"width": 1, "hight": 3}, "config.box: .*'hight'; it takes width, height"),
        ({}, "config.box: missing .*'width'; it takes width, height"),
    ],
)
def test_wrong_keys_are_one_sentence(block, sentence):
    with pytest.raises(ValueError, match=sentence):
        config_options.call(area, "config.box", 10, **block)


def test_errors_from_inside_are_not_hidden():
    with pytest.raises(TypeError, match="can't multiply"):
        config_options.call(area, "config.box", "a", width="b")


def test_keys_must_be_exactly_the_known_ones():
    config_options.check_keys("config", {"a": 1}, {"a": int})
    with pytest.raises(ValueError, match="config has unknown keys c; it takes a"):
        config_options.check_keys("config", {"a": 1, "c": 2}, {"a": int})
    with pytest.raises(ValueError, match="config has missing keys b; it takes a, b"):
        config_options.check_keys("config", {"a": 1}, {"a": int, "b": int})


def test_json_has_no_tuples():
    assert config_options.as_json({"a": (1, 2), "b": {"c": None}}) == {
        "a": [1, 2],
        "b": {"c": None},
    }


def test_a_block_is_checked_before_it_is_used():
    def paint(canvas, *, size, colour="red", width=1):
        raise AssertionError("called")

    def check(*, colour, width):
        if width < 1:
            raise ValueError(f"width is {width} for {colour}")

    config_options.check_block("config.paint", {"width": 2}, paint, check)
    for given, reason in (
        ({"size": 1}, "config.paint has unknown keys size; it takes colour, width"),
        ({"width": 0}, "config.paint: width is 0 for red"),
    ):
        with pytest.raises(ValueError, match=reason):
            config_options.check_block("config.paint", given, paint, check)


def test_values_are_of_the_kind_of_their_defaults():
    known = {"share": 0.5, "count": 2, "flag": True, "form": "a", "limit": None}
    right = {"share": 1, "count": 2.5, "flag": False, "form": "b", "limit": 3.0}
    config_options.check_kinds("config.box", right, known)
    config_options.check_kinds("config.box", {"limit": None}, known)
    for name, value in {
        "share": True,
        "count": float("inf"),
        "flag": 1,
        "form": 1.0,
        "limit": "x",
    }.items():
        with pytest.raises(ValueError, match=f"config.box.{name} is {value!r}, expect"):
            config_options.check_kinds("config.box", {name: value}, known)


def test_an_argument_is_pairs_over_defaults():
    defaults = dict(model="mst", size="base")
    assert config_options.read_argument("", **defaults) == defaults
    assert config_options.read_argument("size=huge", **defaults)["size"] == "huge"
    both = config_options.read_argument("size=tiny,model=simpleclick", **defaults)
    assert both == dict(model="simpleclick", size="tiny")
    for text in ("huge", "depth=3", "size="):
        with pytest.raises(
            ValueError, match="expected pairs like model=mst, size=base"
        ):
            config_options.read_argument(text, **defaults)
