"""Path rules: a leaf of a tree gets the value of the first pattern that matches."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

T = TypeVar("T")

PathRules = Sequence[tuple[str, T]]
"""Pairs (regular expression, value); a pattern must match the whole path of a leaf."""


def leaf_path(key_path: tuple) -> str:
    """Return the path of a leaf, such as `backbone/block0/mlp/out/kernel`.

    Args:
        key_path: Key path of the leaf, as `jax.tree_util` gives it.
    """
    return jax.tree_util.keystr(key_path, simple=True, separator="/")


def map_paths(function: Callable[[str], Any], tree: Any) -> Any:
    """Apply a function to the path of each leaf.

    Args:
        function: Function of a path.
        tree: Tree whose leaves' paths count, not their values.

    Returns:
        Tree of the same structure, of the function's results.
    """
    return jax.tree_util.tree_map_with_path(
        lambda key_path, _: function(leaf_path(key_path)), tree
    )


def apply_rules(rules: PathRules[T], tree: Any, *, block: str) -> Any:
    """Give each leaf the value of the first rule that matches its path.

    Args:
        rules: Path rules; `(".*", value)` at the end matches all remaining leaves.
        tree: Tree whose leaves' paths count, not their values.
        block: Name of the rules as the user writes them, such as
            "config.sharding.rules".

    Returns:
        Tree of the same structure, of values.

    Raises:
        ValueError: Something that is not a rule, or a path that no rule matches.
    """
    patterns = [_compile_rule(rule, block) for rule in rules]

    def first_matching_value(path: str) -> T:
        for pattern, rule in zip(patterns, rules, strict=True):
            if pattern.fullmatch(path):
                return rule[1]
        raise ValueError(
            f"{block} has no rule for {path}; add one, or end with ('.*', VALUE) for "
            "all remaining paths"
        )

    return map_paths(first_matching_value, tree)


def any_matches(patterns: Sequence[str], tree: Any, *, block: str) -> Any:
    """Return whether any pattern matches the whole path of each leaf.

    Args:
        patterns: Regular expressions.
        tree: Tree whose leaves' paths count, not their values.
        block: Name of the patterns as the user writes them.

    Returns:
        Tree of the same structure, of booleans.

    Raises:
        ValueError: An invalid pattern, or a pattern that matches no path: a typo.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    paths = [leaf_path(key_path) for key_path, _ in leaves]
    for pattern in patterns:
        compiled_pattern = _compile_rule((pattern, True), block)
        if not any(compiled_pattern.fullmatch(path) for path in paths):
            raise ValueError(
                f"{block}: {pattern!r} matches none of {len(paths)} paths such as "
                f"{paths[0]}; patterns match the whole path"
            )
    rules = [(pattern, True) for pattern in patterns]
    # Leaves that no pattern matches fall through to the last rule.
    return apply_rules([*rules, (".*", False)], tree, block=block)


def _compile_rule(rule: Any, block: str) -> re.Pattern[str]:
    """Return the compiled pattern of a rule; a rule comes from the user unchecked."""
    try:
        # A string of two characters would unpack into two, too.
        if isinstance(rule, str):
            raise ValueError("a string")
        pattern, _ = rule
        return re.compile(pattern)
    except (TypeError, ValueError, re.error) as error:
        raise ValueError(
            f"{block}: {rule!r} is not a rule ({error}); expected (PATTERN, VALUE) with a "
            "regular expression, such as ('decoder/.*', 1.0)"
        ) from None
