import jax.numpy as jnp
import numpy as np

from mst_jax.decoders.query_predictions import merge_query_masks

SURE_LOGIT = 100.0


def test_masks_are_weighted_by_the_probability_of_a_click():
    # The logit of "no click" does not matter; sigmoid(log 3) = 3/4.
    class_logits = jnp.array(
        [[5.0, SURE_LOGIT], [5.0, -SURE_LOGIT], [0.0, np.log(3.0)]]
    )
    mask_logits = jnp.array([[[1.0, -2.0]], [[50.0, 50.0]], [[4.0, 8.0]]])
    merged = merge_query_masks(class_logits, mask_logits)
    np.testing.assert_allclose(merged, [[1.0 + 3.0, -2.0 + 6.0]], rtol=1e-6)


def test_order_of_queries_does_not_matter(rng):
    class_logits = jnp.asarray(rng.normal(size=(2, 5, 2)), jnp.float32)
    mask_logits = jnp.asarray(rng.normal(size=(2, 5, 3, 4)), jnp.float32)
    merged = merge_query_masks(class_logits, mask_logits)
    reversed_merged = merge_query_masks(class_logits[:, ::-1], mask_logits[:, ::-1])
    np.testing.assert_allclose(reversed_merged, merged, atol=1e-5)


def test_merging_raises_bfloat16_to_float32():
    merged = merge_query_masks(
        jnp.zeros((1, 3, 2), jnp.bfloat16), jnp.ones((1, 3, 2, 2), jnp.bfloat16)
    )
    assert merged.dtype == jnp.float32
    np.testing.assert_array_equal(merged, np.full((1, 2, 2), 1.5))
