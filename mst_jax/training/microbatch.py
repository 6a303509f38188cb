"""A batch in parts that follow each other: a large batch in the memory of a small one."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array

T = TypeVar("T")


def split(tree: T, num: int) -> T:
    """[b ...] -> [num b/num ...]; part i has the examples i, i + num, i + 2 num ...

    So a part has its share of the examples of each device, and none is moved.
    """
    return jax.tree.map(lambda x: rearrange(x, "(m a) ... -> a m ...", a=num), tree)


def join(tree: T) -> T:
    """Undoes `split`."""
    return jax.tree.map(lambda x: rearrange(x, "a m ... -> (m a) ..."), tree)


def map_parts(function: Callable[..., T], num: int, *trees: object) -> T:
    """What the function says of [b ...] trees, asked part by part.

    Args:
        function: of trees [m ...]; says a tree of [m ...] arrays, one row an example.
        num: parts.
        trees: [b ...] arrays; b is a multiple of `num`.
    """
    if num == 1:
        return function(*trees)
    return join(jax.lax.map(lambda parts: function(*parts), split(trees, num)))


def sum_parts(function: Callable[..., T], num: int, *trees: object) -> T:
    """The sum of what the function says of each part.

    Args:
        function: of the part's number and of trees [m ...]; says a tree of arrays.
        num: parts.
        trees: [b ...] arrays; b is a multiple of `num`.
    """
    if num == 1:
        return function(jnp.int32(0), *trees)

    def add(total: T, part: tuple[Array, tuple]) -> tuple[T, None]:
        number, given = part
        return jax.tree.map(jnp.add, total, function(number, *given)), None

    parts = split(trees, num)
    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(function, jnp.int32(0), *first)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(add, zeros, (jnp.arange(num), parts))[0]
