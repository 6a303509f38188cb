"""Adaptive focal loss (AFL): the exponent adapts to the quality of the mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Num

from mst_jax.losses.loss_inputs import (
    AxisName,
    BoolOption,
    PixelAxes,
    PixelReducer,
    ScalarOption,
    make_pixel_reducer,
)
from mst_jax.losses.pixel_errors import (
    PixelErrors,
    choose,
    class_weight,
    compute_pixel_errors,
    focal_weight,
    normalized_focal_weight,
)


def adaptive_focal_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    axis: PixelAxes | None = None,
    axis_name: AxisName | None = None,
    gamma: ScalarOption = 2.0,
    delta: ScalarOption = 0.4,
    alpha: ScalarOption = 1.0,
    epsilon: ScalarOption = 0.5,
    adaptive_gamma: BoolOption = True,
    gradient_correction: BoolOption = True,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss with an exponent and a weight for each example (AFL).

    With pt the probability of the true class and N pixels of the example:

        gamma_a = gamma + 1 - mean of pt over the object      (ADA; no object: gamma + 1)
        omega   = N / ((1 + delta * gamma_a) * sum((1 - pt)^gamma_a))               (AGR)
        loss    = omega * (1 - pt)^gamma_a * (-log pt) + alpha * (1 - pt)^(gamma_a + 1)

    This loss is multiplied by `epsilon` for labels 1 and by `1 - epsilon` for labels 0.
    No gradient flows through gamma_a and omega. Hard examples have a larger exponent;
    omega restores the gradient of their few hard pixels, which many easy pixels would
    outweigh.

    The paper's ADA is the option `adaptive_gamma`, its AGR is `gradient_correction`.
    With `epsilon=-1` and both options off, the loss is the poly loss. With `alpha=0` in
    addition, it is the focal loss. With `gamma=0` as well, it is the cross-entropy.

    Source: Lin et al., AdaptiveClick, TNNLS 2024 (arXiv 2305.04276), as in the published
    program.
    Departure: omega is finite and the loss exact also if every (1 - pt)^gamma_a
    underflows to 0 in float32.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        axis: Axes of the pixels of one example, such as (-2, -1); required if `logits`
            have several axes.
        axis_name: Mesh axes over which the pixels of one example are sharded, inside
            `jax.shard_map`; None: each example is whole.
        gamma: Minimum focal exponent; the larger, the smaller the weight of pixels that
            are already right.
        delta: Factor of gamma_a in the denominator of omega.
        alpha: Weight of the second term, the poly-loss term.
        epsilon: Weight of labels 1, from 0 to 1; negative: no class weights.
        adaptive_gamma: True: adapt the exponent; False: gamma_a = gamma.
        gradient_correction: True: rescale the gradient; False: omega = 1.

    Returns:
        The loss of each pixel, 0 where it does not count. Take the mean over `axis` with
        the same `where`.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), a `where` that does not broadcast,
            or no `axis` for several axes.
    """
    errors = compute_pixel_errors(logits, labels, where)
    reducer = make_pixel_reducer(logits, axis, axis_name)
    # 1. The exponent of each example, gamma_a.
    gamma_a = choose(
        adaptive_gamma, lambda: _adaptive_gamma(errors, gamma, reducer), lambda: gamma
    )
    # 2. The first term: omega and the focal weight times the cross-entropy.
    weight = choose(
        gradient_correction,
        lambda: (
            normalized_focal_weight(errors, gamma_a, reducer=reducer)
            / (1.0 + delta * gamma_a)
        ),
        lambda: focal_weight(errors.neg_margin, gamma_a),
    )
    loss = weight * jax.nn.softplus(errors.neg_margin)
    # 3. The second term, with gradient also where the focal weight vanishes.
    loss = loss + alpha * focal_weight(errors.neg_margin, gamma_a + 1.0)
    # 4. The class weights.
    loss = choose(
        epsilon < 0,
        lambda: loss,
        lambda: class_weight(errors.is_object, epsilon, name="epsilon") * loss,
    )
    return jnp.where(errors.is_counted, loss, 0.0)


def _adaptive_gamma(
    errors: PixelErrors, gamma: ScalarOption, reducer: PixelReducer
) -> Float[Array, "*examples"]:
    """Compute gamma_a: `gamma` for a perfect object, up to `gamma + 1` for a missed one.

    No gradient flows through the result.
    """
    in_object = errors.is_counted & errors.is_object
    true_prob = jnp.where(in_object, jax.nn.sigmoid(-errors.neg_margin), 0.0)
    # At least 1, so that an example without an object has the mean 0.
    num_object_pixels = jnp.maximum(reducer.sum(in_object), 1)
    mean_prob = reducer.sum(true_prob) / num_object_pixels
    return jax.lax.stop_gradient(gamma + 1.0 - mean_prob)
