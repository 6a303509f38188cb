"""The loss of a batch and its gradient, also if the batch is too large for the memory."""

from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array, Float

from mst_jax.collectives import num_shares, total
from mst_jax.geometry.iou import iou
from mst_jax.losses.total_loss import Losses, count_terms, total_loss
from mst_jax.structs import Batch, Outputs
from mst_jax.training.microbatch import sum_parts
from mst_jax.training.optimizer import hold

# (params, number of the part, image, clicks, previous) -> what the model says
Look = Callable[..., Outputs]


def loss_and_gradient(
    look: Look,
    params: dict,
    batch: Batch,
    given: tuple,
    *,
    losses: Losses,
    num_parts: int = 1,
    frozen: Sequence[str] = (),
) -> tuple[tuple[Float[Array, ""], dict[str, Float[Array, ""]]], dict]:
    """Differentiates the loss of a batch.

    In parts the result is that of the whole batch, up to rounding. A loss is a sum of
    values by a sum of counts, so a mean of the parts' losses would weigh a part with few
    counts too much. Hence counts are added up over all parts first, in a forward pass of
    which the compiler drops whatever no count depends on: all of it unless tokens or
    queries are counted.

    Args:
        look: see `Look`.
        params: of the model.
        batch: [b] what is wanted.
        given: [b] what `look` takes after the number.
        losses: see `total_loss`.
        num_parts: a divisor of b.
        frozen: patterns of the parameters whose gradient is zero.

    Returns:
        (the loss, its parts and the mean "iou"), the gradient.
    """
    num_examples = num_shares() * batch.target.shape[0]

    def count(number: Array, part: Batch, given: tuple) -> dict[str, Array]:
        return count_terms(look(params, number, *given), part, losses=losses)

    counts = None
    if num_parts > 1:
        counts = total(sum_parts(count, num_parts, batch, given))

    def loss_of(params: dict, number: Array, part: Batch, given: tuple) -> tuple:
        outputs = look(hold(params, frozen), number, *given)
        loss, terms = total_loss(outputs, part, losses=losses, counts=counts)
        found = jax.vmap(iou)(outputs.logits > 0, part.target, part.valid)
        return loss, terms | {"iou": found.sum() / num_examples}

    def differentiate(*given: object) -> tuple:
        return jax.value_and_grad(loss_of, has_aux=True)(params, *given)

    return total(sum_parts(differentiate, num_parts, batch, given))
