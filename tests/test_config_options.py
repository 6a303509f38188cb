import dataclasses
from collections.abc import Sequence

import pytest
from ml_collections import ConfigDict, config_dict

from mst_jax import config_options
from mst_jax.config_options import options_from_config


@dataclasses.dataclass(frozen=True)
class BoxOptions:
    """A block of a config with a field of each type."""

    width: int
    scale: float = 1.0
    name: str | None = None
    is_open: bool = False
    rules: Sequence[tuple[str, tuple[str, ...]]] = ()

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.width < 1:
            raise ValueError(f"width is {self.width}, expected 1 or more")


def box_area(depth, *, width, height=2):
    return depth * width * height


def test_options_are_built_from_a_block_with_defaults():
    options = options_from_config(BoxOptions, "config.box", {"width": 3, "scale": 2})
    assert options == BoxOptions(width=3, scale=2.0)
    assert isinstance(options.scale, float)


def test_options_are_built_from_a_config_dict():
    block = ConfigDict({"width": 3, "name": config_dict.placeholder(str)})
    assert options_from_config(BoxOptions, "config.box", block).name is None
    block.name = "a"
    assert options_from_config(BoxOptions, "config.box", block).name == "a"


def test_lists_of_json_become_tuples():
    block = {"width": 3, "rules": [["a", ["b", "c"]]]}
    options = options_from_config(BoxOptions, "config.box", block)
    assert options.rules == (("a", ("b", "c")),)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (
            {"width": 1, "hight": 2},
            "config.box has unknown keys hight; it takes width,",
        ),
        ({"scale": 1.0}, "config.box has missing keys width; it takes width, scale"),
        ({"width": 0}, "config.box: width is 0, expected 1 or more"),
        ({"width": "1"}, "config.box.width is '1', expected int"),
        ({"width": 1.5}, "config.box.width is 1.5, expected int"),
        ({"width": True}, "config.box.width is True, expected int"),
        ({"width": 1, "scale": None}, "config.box.scale is None, expected float"),
        ({"width": 1, "name": 2}, "config.box.name is 2, expected str or None"),
        ({"width": 1, "is_open": 1}, "config.box.is_open is 1, expected bool"),
        ({"width": 1, "rules": "a"}, "config.box.rules is 'a', expected "),
    ],
)
def test_wrong_options_are_one_sentence(block, sentence):
    with pytest.raises(ValueError, match=sentence):
        options_from_config(BoxOptions, "config.box", block)


def test_a_block_becomes_keyword_arguments():
    assert config_options.call_with_options(box_area, "config.box", 10, width=3) == 60


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (
            {"width": 1, "hight": 3},
            r"config.box has unknown keys hight; it takes width, height .*: height\)",
        ),
        ({}, "config.box has missing keys width; it takes width, height"),
    ],
)
def test_wrong_keyword_arguments_are_one_sentence(block, sentence):
    with pytest.raises(ValueError, match=sentence):
        config_options.call_with_options(box_area, "config.box", 10, **block)


def test_errors_inside_the_call_are_not_hidden():
    with pytest.raises(TypeError, match="can't multiply"):
        config_options.call_with_options(box_area, "config.box", "a", width="b")


def test_types_of_annotated_arguments_are_checked():
    def resize(*, side: int, name: str | None = None):
        return side

    call = config_options.call_with_options
    assert call(resize, "config.box", side=3) == 3
    with pytest.raises(ValueError, match=r"config.box.side is '3', expected int"):
        call(resize, "config.box", side="3")


def test_check_keys_rejects_unknown_and_missing_keys():
    config_options.check_keys("config", {"a": 1}, {"a": int})
    with pytest.raises(ValueError, match="config has unknown keys c; it takes a"):
        config_options.check_keys("config", {"a": 1, "c": 2}, {"a": int})
    with pytest.raises(ValueError, match="config has missing keys b; it takes a, b"):
        config_options.check_keys("config", {"a": 1}, {"a": int, "b": int})
    config_options.check_keys("config", {"a": 1}, {"a": int, "b": int}, required=["a"])


def test_as_json_turns_tuples_into_lists():
    assert config_options.as_json({"a": (1, 2), "b": {"c": None}}) == {
        "a": [1, 2],
        "b": {"c": None},
    }


def test_values_have_the_types_of_their_defaults():
    defaults = {"ratio": 0.5, "count": 2, "flag": True, "form": "a", "limit": None}
    valid = {"ratio": 1, "count": 2.5, "flag": False, "form": "b", "limit": 3.0}
    config_options.check_value_types("config.box", valid, defaults)
    config_options.check_value_types("config.box", {"limit": None}, defaults)
    for name, value in {
        "ratio": True,
        "count": float("inf"),
        "flag": 1,
        "form": 1.0,
        "limit": "x",
    }.items():
        with pytest.raises(ValueError, match=f"config.box.{name} is {value!r}, expect"):
            config_options.check_value_types("config.box", {name: value}, defaults)


def test_integers_too_large_for_a_float_count_as_infinite():
    assert not config_options.is_number_between(
        10**400, 0, config_options.LARGEST_FLOAT
    )
    assert not config_options.is_number_between(-(10**400), -1, 1)
    options = options_from_config(
        BoxOptions, "config.box", {"width": 1, "scale": -(10**400)}
    )
    assert options.scale == -float("inf")


def test_keyword_defaults_are_the_keyword_only_ones():
    assert config_options.keyword_defaults(box_area) == {"height": 2}


def test_a_config_argument_is_pairs_over_defaults():
    defaults = dict(model="mst", size="base")
    parse = config_options.parse_config_argument
    assert parse("", **defaults) == defaults
    assert parse("size=huge", **defaults)["size"] == "huge"
    both = parse("size=tiny,model=simpleclick", **defaults)
    assert both == dict(model="simpleclick", size="tiny")
    for text in ("huge", "depth=3", "size="):
        with pytest.raises(
            ValueError, match="expected pairs like model=mst, size=base"
        ):
            parse(text, **defaults)
