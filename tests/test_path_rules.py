import numpy as np
import pytest

from mst_jax.path_rules import any_matches, apply_rules, map_paths

TREE = {
    "decoder": {"kernel": np.zeros(2), "bias": np.zeros(1)},
    "vit": {"block1": {"kernel": np.zeros(3)}, "block10": {"kernel": np.zeros(3)}},
}


def test_the_first_rule_that_matches_the_whole_path_counts():
    rules = (("vit/block1/.*", "first"), (".*/kernel", ("a", None)), ("decoder/.*", 3))
    assert apply_rules(rules, TREE, block="config.rules") == {
        "decoder": {"kernel": ("a", None), "bias": 3},
        "vit": {"block1": {"kernel": "first"}, "block10": {"kernel": ("a", None)}},
    }


def test_the_order_of_the_rules_decides():
    rules = ((".*/kernel", 1), (".*", 2))
    values = apply_rules(rules, TREE, block="config.rules")
    reversed_values = apply_rules(rules[::-1], TREE, block="config.rules")
    assert values["decoder"]["kernel"] == 1
    assert reversed_values["decoder"]["kernel"] == 2


def test_paths_of_sequences_have_indices():
    assert map_paths(str, {"a": [1, (2, 3)]}) == {"a": ["a/0", ("a/1/0", "a/1/1")]}


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ((), "config.rules has no rule for decoder/bias; add one"),
        (((".*/kernel", 1),), "no rule for decoder/bias"),
        ((("bias", 1), (".*/kernel", 1)), "no rule for decoder/bias"),
        ((("(", 1),), r"config.rules: \('\(', 1\) is not a rule"),
        ((".*",), "config.rules: '.*' is not a rule"),
        (("decoder",), "config.rules: 'decoder' is not a rule"),
        (((1, 1),), "is not a rule"),
    ],
)
def test_missing_and_invalid_rules_are_named(rules, sentence):
    with pytest.raises(ValueError, match=sentence):
        apply_rules(rules, TREE, block="config.rules")


def test_patterns_mark_paths_and_each_must_match_one():
    matches = any_matches((".*/bias", "vit/.*"), TREE, block="config.frozen")
    assert matches["decoder"] == {"kernel": False, "bias": True}
    assert matches["vit"]["block10"] == {"kernel": True}
    no_matches = any_matches((), TREE, block="config.frozen")
    assert not any(no_matches["vit"]["block1"].values())
    with pytest.raises(
        ValueError, match=r"config.frozen: 'vit' matches none of 4 paths"
    ):
        any_matches(("vit",), TREE, block="config.frozen")
