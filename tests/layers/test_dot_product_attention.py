import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from mst_jax.layers import dot_product_attention as attention
from mst_jax.layers.dot_product_attention import (
    dot_product_attention,
    plain_attention,
)

NUM_TOKENS = 512
KERNEL_NAMES = {"tpu": "tpu_custom_call", "cuda": "__cudnn$fmha"}


def make_tokens(num_tokens=NUM_TOKENS, *, dtype="bfloat16", num_examples=1, width=8):
    rng = np.random.default_rng(0)
    shape = (num_examples, 2, num_tokens, width)
    return [jnp.asarray(rng.normal(size=shape), dtype) for _ in range(3)]


def gradient_of(attend, blocked=None):
    def loss_of(query, key, value):
        output = attend(query, key, value, blocked=blocked)
        return jnp.square(output.astype(jnp.float32)).sum()

    return jax.jit(jax.value_and_grad(loss_of, argnums=(0, 1, 2)))


def lowered_text(platform, tokens, blocked=None):
    """Program of attention and its gradient for a platform."""
    traced = gradient_of(dot_product_attention, blocked).trace(*tokens)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_program_of_the_cpu_is_plain_attention():
    """The branches of the other platforms leave neither operations nor memory."""
    tokens = make_tokens()
    actual = gradient_of(dot_product_attention).lower(*tokens).compile()
    expected = gradient_of(plain_attention).lower(*tokens).compile()
    assert "conditional" not in actual.as_text()
    assert (
        actual.memory_analysis().temp_size_in_bytes
        == expected.memory_analysis().temp_size_in_bytes
    )
    jax.tree.map(np.testing.assert_array_equal, actual(*tokens), expected(*tokens))


def test_float32_program_does_not_depend_on_the_platform():
    tokens = make_tokens(dtype="float32")
    program = str(jax.make_jaxpr(gradient_of(dot_product_attention))(*tokens))
    assert program == str(jax.make_jaxpr(gradient_of(plain_attention))(*tokens))


def test_tpu_computes_both_passes_with_kernels():
    text = lowered_text("tpu", make_tokens())
    assert text.count(KERNEL_NAMES["tpu"]) == 2
    # No product outside the kernels makes logits.
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert not [line for line in products if f"{NUM_TOKENS}x{NUM_TOKENS}" in line]


def test_few_tokens_and_masks_of_queries_need_no_kernel():
    few_tokens = make_tokens(256)
    assert KERNEL_NAMES["tpu"] not in lowered_text("tpu", few_tokens)
    few_queries = [make_tokens(10)[0], *make_tokens(2**15)[1:]]
    assert KERNEL_NAMES["tpu"] not in lowered_text("tpu", few_queries)
    tokens = make_tokens()
    key_mask = jnp.zeros((1, 1, NUM_TOKENS), bool)
    assert KERNEL_NAMES["tpu"] in lowered_text("tpu", tokens, key_mask)
    query_mask = jnp.zeros((1, NUM_TOKENS, NUM_TOKENS), bool)
    assert KERNEL_NAMES["tpu"] not in lowered_text("tpu", tokens, query_mask)


def test_kernel_runs_on_each_shard_of_the_batch():
    """The compiler cannot partition kernels; one example has no shards."""
    mesh = AbstractMesh((2, 1), ("data", "model"), axis_types=(AxisType.Auto,) * 2)

    def sharded_text(num_examples, spec):
        sharding = NamedSharding(mesh, spec)

        def attend(query, key, value, *, blocked):
            query = jax.lax.with_sharding_constraint(query, sharding)
            return dot_product_attention(query, key, value, blocked=blocked)

        shapes = [
            jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)
            for array in make_tokens(num_examples=num_examples)
        ]
        traced = gradient_of(attend).trace(*shapes)
        return traced.lower(lowering_platforms=("tpu",)).as_text()

    text = sharded_text(4, PartitionSpec(("data", "model")))
    assert text.count(KERNEL_NAMES["tpu"]) == 2
    assert f"tensor<2x2x{NUM_TOKENS}x8xbf16>" in text
    text = sharded_text(1, PartitionSpec())
    assert KERNEL_NAMES["tpu"] not in text


@pytest.fixture
def ampere_gpu(monkeypatch):
    """JAX takes the process for one with a GPU and cuDNN."""
    monkeypatch.setattr(attention, "_can_use_cudnn_attention", lambda: True)
    monkeypatch.setattr(
        "jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version", lambda: 91000
    )


def test_gpu_computes_both_passes_with_cudnn(ampere_gpu):
    text = lowered_text("cuda", make_tokens())
    assert text.count(KERNEL_NAMES["cuda"]) == 2
    key_mask = jnp.zeros((1, 1, NUM_TOKENS), bool)
    text = lowered_text("cuda", make_tokens(), key_mask)
    assert "fmhaScaleBiasSoftmax" in text


@pytest.mark.parametrize("shape", [(NUM_TOKENS + 1, 8), (NUM_TOKENS, 12)])
def test_shapes_that_cudnn_refuses_are_plain(ampere_gpu, shape):
    num_tokens, width = shape
    tokens = make_tokens(num_tokens, width=width)
    assert KERNEL_NAMES["cuda"] not in lowered_text("cuda", tokens)


def test_program_for_gpus_that_are_not_here_is_plain():
    """cuDNN's kernel cannot be traced without such a GPU."""
    assert KERNEL_NAMES["cuda"] not in lowered_text("cuda", make_tokens())
