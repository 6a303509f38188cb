"""Pull the chosen tokens of the object to the click token, push the others away."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax.collectives import anywhere
from mst_jax.losses.cells import read_cells, token_side
from mst_jax.structs import Chosen, TokenChoice

# per_channel: distances are taken along the wrong axis. fused: the fine tokens after they
# looked at the coarse ones. coarse_side: side of the cells in which the target of the
# coarse tokens is read, if theirs is 32. shared_rows: row j takes part in every example
# as soon as it is not zero in one of them; else where it was kept and something clicked.
SLIM = dict(per_channel=True, fused=False, coarse_side=32, shared_rows=True)
FUSED = dict(per_channel=False, fused=True, coarse_side=28, shared_rows=True)
FORMS = {
    "tokens": dict(per_channel=False, fused=False, coarse_side=32, shared_rows=False),
    "slim-448": SLIM,
    "448": SLIM,
    "224": FUSED,
    "224-large": FUSED,
    "1024": FUSED,
}


def token_contrast(
    choices: Sequence[TokenChoice],
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"] | None = None,
    *,
    form: str = "tokens",
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """Asks object tokens to be nearer to the click token than the other tokens are.

    A term is log(1 + exp(d+ - d-)) with d+ and d- the mean distances of the click token
    to the chosen tokens of one scale inside and outside the target, in one example and
    one token selection; a token is inside if its top-left pixel is, and left out if that
    is not valid. A term counts if there are tokens on both sides; that of the coarse
    tokens only if that of the fine ones counts too. The loss of a batch is
    `values.sum() / max(counts.sum(), 1)`.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3.4; Hermans et al., In Defense of
    the Triplet Loss, arXiv 1703.07737, Eq. 8.
    Departure: "tokens" mends what the released programs, forms of the other names, do:
    distances along the wrong axis, a coarse target at 1/28 of the picture that is read as
    if at 1/32, and examples of which rows take part by what others of the batch kept.

    Args:
        choices: one a token selection, at least one.
        target: [b h w] at the size of the picture.
        valid: [b h w] False on pixels that do not count; None = all count.
        form: name in `FORMS`.

    Returns:
        [b] sum of the terms that count, and their number.

    Raises:
        ValueError: unknown form.
    """
    if form not in FORMS:
        known = ", ".join(FORMS)
        raise ValueError(f"contrast form {form!r} is unknown; known: {known}")
    does = FORMS[form]
    valid = jnp.ones_like(target) if valid is None else valid

    def term(
        chosen: Chosen, tokens: Array, click: Array, side: int
    ) -> tuple[Float[Array, " b"], Bool[Array, " b"]]:
        own_side = token_side(target, chosen.scores.shape[1])
        cells = read_cells(target, side=own_side * side // 32)
        inside = jnp.take_along_axis(cells, chosen.index, axis=1)
        cells = read_cells(valid, side=own_side)
        taken = jnp.take_along_axis(cells, chosen.index, axis=1)
        if does["shared_rows"]:
            taken &= anywhere((tokens != 0).any(2))[None]
        else:
            taken &= chosen.kept & (chosen.scores != 0).any(1)[:, None]
        apart = jax.vmap(soft_margin, in_axes=(0, 0, 0, 0, None))
        value = apart(
            tokens, click, taken & inside, taken & ~inside, does["per_channel"]
        )
        return value, (taken & inside).any(1) & (taken & ~inside).any(1)

    values, counts = [], []
    for choice in choices:
        tokens = choice.fused if does["fused"] else choice.fine.tokens
        fine, fine_counts = term(choice.fine, tokens, choice.click, 32)
        tokens = choice.coarse.tokens
        coarse, both = term(choice.coarse, tokens, choice.click, does["coarse_side"])
        values += [fine, coarse]
        counts += [fine_counts, fine_counts & both]
    values, counts = jnp.stack(values), jnp.stack(counts)
    return jnp.where(counts, values, 0.0).sum(0), counts.sum(0, dtype=jnp.float32)


def soft_margin(
    tokens: Float[Array, "m c"],
    click: Float[Array, " c"],
    inside: Bool[Array, " m"],
    outside: Bool[Array, " m"],
    per_channel: bool,
) -> Float[Array, ""]:
    """log(1 + exp(d+ - d-)) of one example.

    Args:
        tokens: [m c] any float type.
        click: [c].
        inside: [m] tokens that are to be near; none: d+ = 0.
        outside: [m] tokens that are to be far; none: d- = 0.
        per_channel: see `mean_distance`.
    """
    squares = jnp.square(tokens.astype(jnp.float32) - click.astype(jnp.float32)[None])
    near = mean_distance(squares, inside, per_channel)
    return jax.nn.softplus(near - mean_distance(squares, outside, per_channel))


def mean_distance(
    squares: Float[Array, "m c"], picked: Bool[Array, " m"], per_channel: bool
) -> Float[Array, ""]:
    """Mean over the picked tokens of their distance; 0 if none is picked.

    Args:
        squares: [m c] squared differences.
        picked: [m] tokens that count.
        per_channel: instead, the mean over the channels of the root of the sum over the
            picked tokens, as slim-448 and 448 have it by a slip of axes.
    """
    squares = jnp.where(picked[:, None], squares, 0.0)
    if per_channel:
        return _root(squares.sum(0)).mean()
    return _root(squares.sum(1)).sum() / jnp.maximum(picked.sum(), 1)


def _root(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """Square root whose gradient at 0 is 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)
