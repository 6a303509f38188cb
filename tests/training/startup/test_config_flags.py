"""Flags set keys of a config; values have the types of their annotations."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ml_collections import ConfigDict

from mst_jax.training.startup.config_flags import (
    ConfigChange,
    apply_change,
    parse_value,
    split_flags,
    unknown_flags_sentence,
)

SCHEMA = {
    "steps": int,
    "optimizer": {"learning_rate": float, "name": str},
    "losses": {"dice": {"weight": float, "gamma": float}},
    "extra": Mapping[str, Any],
}


def test_words_are_split_into_changes_and_others():
    words = ["--config.a=1", "--workdir", "x", "--config.b.c", "-2", "--config.d"]
    changes, others = split_flags(words)
    assert changes == [
        ConfigChange("a", "1"),
        ConfigChange("b.c", "-2"),
        ConfigChange("d", None),
    ]
    assert others == ["--workdir", "x"]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("1e3", int, 1000),
        ("9007199254740993", int, 9007199254740993),
        ("-1", float, -1.0),
        ("none", int | None, None),
        ("", str | None, None),
        ("", str, ""),
        ("7", int | None, 7),
        ("False", bool, False),
        ("yes", bool, True),
        (None, bool, True),
        ("(1, 2)", tuple[int, int], (1, 2)),
        ("[1, 2]", Sequence[int], (1, 2)),
        ("0.5", Sequence[float], (0.5,)),
        ("decoder/.*", Sequence[str], ("decoder/.*",)),
        ("{'gamma': 2}", Mapping[str, Any], {"gamma": 2}),
        ("0.5", {"weight": float}, 0.5),
        ("a b", Any, "a b"),
    ],
)
def test_text_becomes_a_value_of_the_type(text, annotation, value):
    parsed = parse_value("config.key", text, annotation)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("1.5", int, "int"),
        ("inf", int, "int"),
        ("", int, "int"),
        ("x", int | None, "int or None"),
        ("maybe", bool, "true or false"),
        ("a,b", Sequence[str], "values in parentheses"),
        ("3", Mapping[str, Any], "Mapping"),
        ("x", {"weight": float}, "a weight, or a dict with weight"),
    ],
)
def test_text_of_another_type_is_one_sentence(text, annotation, expected):
    with pytest.raises(ValueError) as error:
        parse_value("config.key", text, annotation)
    assert str(error.value).startswith(f"config.key is {text!r}, expected {expected}")


def test_keys_are_set_whether_the_config_has_them_or_not():
    config = ConfigDict({"steps": 1, "losses": {"dice": 1}, "extra": {"a": 1}}).lock()
    for key, text in (
        ("steps", "2"),
        ("optimizer.learning_rate", "1"),
        ("losses.dice.gamma", "2"),
        ("extra.a", "3"),
        ("extra.b", "x"),
    ):
        apply_change(config, ConfigChange(key, text), SCHEMA)
    assert config.to_dict() == {
        "steps": 2,
        "optimizer": {"learning_rate": 1.0},
        "losses": {"dice": {"weight": 1, "gamma": 2.0}},
        "extra": {"a": 3, "b": "x"},
    }
    assert config.is_locked


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("stepz", "config has no key 'stepz'; it takes steps, .*closest: steps"),
        ("optimizer.nam", "config.optimizer has no key .*learning_rate, name .*: name"),
        ("learning_rate", "closest: --config.optimizer.learning_rate"),
        ("steps.a", "config.steps is a value without keys, got config.steps.a"),
    ],
)
def test_an_unknown_key_names_the_closest(key, sentence):
    with pytest.raises(ValueError, match=sentence):
        apply_change(ConfigDict({"steps": 1}), ConfigChange(key, "1"), SCHEMA)


def test_an_unknown_argument_names_the_closest_flag():
    for words, closest in (
        (["--stepz", "4"], "--config.steps"),
        (["--workdi=x"], "--workdir"),
        (["--learning_rate", "1"], "--config.optimizer.learning_rate"),
    ):
        sentence = unknown_flags_sentence(words, SCHEMA, ["--config", "--workdir"])
        assert sentence.endswith(f"(closest: {closest})")
        assert sentence.startswith(f"unknown argument {words[0]}; expected --config, ")
