"""Do the token scores agree with the target?"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mst_jax.losses.cells import read_cells, token_side
from mst_jax.structs import TokenChoice


def focal(
    scores: Float[Array, "b n"], inside: Bool[Array, "b n"]
) -> Float[Array, "b n"]:
    """-0.25 (1 - s)^2 log s inside, -0.75 s^2 log(1 - s) outside."""
    s = jnp.clip(scores, 1e-7, 1.0 - 1e-7)
    right = jnp.where(inside, s, 1.0 - s)
    return jnp.where(inside, -0.25, -0.75) * jnp.square(1.0 - right) * jnp.log(right)


def squared(
    scores: Float[Array, "b n"], inside: Bool[Array, "b n"]
) -> Float[Array, "b n"]:
    """Squared difference of score and target."""
    return jnp.square(scores - inside)


# slim-448 and 448 have the first; 224, 224-large and 1024 the second.
FORMS = {"focal": focal, "squared": squared}


def token_score(
    choices: Sequence[TokenChoice],
    target: Bool[Array, "b h w"],
    valid: Bool[Array, "b h w"] | None = None,
    *,
    form: str = "focal",
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """Asks tokens inside the target for score 1, outside for 0.

    A term is the mean over the tokens of one scale, in one example and one token
    selection. It counts if any of its scores is not 0 (an example without a positive
    click scores 0 everywhere) and any of its tokens is valid. A token is inside if its
    top-left pixel is. The loss of a batch is `values.sum() / max(counts.sum(), 1)`.

    Source: Xu et al., MST, arXiv 2401.04403, as released.

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
        raise ValueError(f"score form {form!r} is unknown; known: {', '.join(FORMS)}")
    valid = jnp.ones_like(target) if valid is None else valid
    values, counts = [], []
    for scale in (x for choice in choices for x in (choice.fine, choice.coarse)):
        scores = scale.scores.astype(jnp.float32)
        side = token_side(target, scores.shape[1])
        taken = read_cells(valid, side=side)
        loss = FORMS[form](scores, read_cells(target, side=side))
        term = jnp.where(taken, loss, 0.0).sum(1) / jnp.maximum(taken.sum(1), 1)
        count = (scores.sum(1) != 0) & taken.any(1)
        values.append(jnp.where(count, term, 0.0))
        counts.append(count)
    return jnp.stack(values).sum(0), jnp.stack(counts).sum(0, dtype=jnp.float32)
