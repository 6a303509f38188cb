"""Path rules: ordered (pattern, value) pairs and a tree of arrays -> a tree of values."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax

T = TypeVar("T")

Rules = Sequence[tuple[str, T]]
"""(regular expression, value): a rule speaks of the paths that it matches wholly."""


def path_of(path: tuple) -> str:
    """The name of a leaf: `backbone/block0/mlp/out/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def map_paths(function: Callable[[str], T], tree: object) -> object:
    """A tree of the same form, of what the function says of each path."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: function(path_of(path)), tree
    )


def apply_rules(rules: Rules, tree: object, *, block: str) -> object:
    """Gives each leaf the value of the first rule that matches its path.

    Args:
        rules: see `Rules`; `(".*", value)` at the end speaks of all that is left.
        tree: whose leaves' paths count, not their values.
        block: what the user calls the rules, such as "config.sharding.rules".

    Returns:
        A tree of the same form, of values.

    Raises:
        ValueError: a rule that is no rule, or a path that no rule matches.
    """
    patterns = [_compiled(rule, block) for rule in rules]

    def value_of(name: str) -> T:
        for pattern, rule in zip(patterns, rules, strict=True):
            if pattern.fullmatch(name):
                return rule[1]
        raise ValueError(
            f"{block} has no rule for {name}; add one, or end with ('.*', VALUE) for all "
            "that is left"
        )

    return map_paths(value_of, tree)


def any_matches(patterns: Sequence[str], tree: object, *, block: str) -> object:
    """True where at least one pattern matches the whole path.

    Raises:
        ValueError: a pattern that is none, or one that matches no path: a slip of the pen.
    """
    for pattern in patterns:
        compiled = _compiled((pattern, True), block)
        paths = jax.tree_util.tree_leaves_with_path(tree)
        if not any(compiled.fullmatch(path_of(path)) for path, _ in paths):
            raise ValueError(
                f"{block}: {pattern!r} matches none of {len(paths)} paths such as "
                f"{path_of(paths[0][0])}; patterns match the whole path"
            )
    rules = [(pattern, True) for pattern in patterns]
    return apply_rules([*rules, (".*", False)], tree, block=block)


def _compiled(rule: object, block: str) -> re.Pattern:
    """The rule's pattern."""
    try:
        if isinstance(rule, str):
            raise ValueError("a string")
        pattern, _ = rule
        return re.compile(pattern)
    except (TypeError, ValueError, re.error) as error:
        raise ValueError(
            f"{block}: {rule!r} is no rule ({error}); expected (PATTERN, VALUE) with a "
            "regular expression, such as ('decoder/.*', 1.0)"
        ) from None
