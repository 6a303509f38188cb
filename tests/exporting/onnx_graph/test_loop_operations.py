import jax
import jax.numpy as jnp
import numpy as np

from tests.helpers.onnx_functions import assert_same_as_onnx

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def test_map_and_scan():
    def add_row(total, row):
        return total + row, total * row

    assert_same_as_onnx(
        lambda x: (
            jax.lax.map(lambda row: jnp.sin(row) + x[0], x),
            *jax.lax.scan(add_row, x[0], x),
            *jax.lax.scan(add_row, x[0], x, reverse=True),
        ),
        X,
    )


def test_loop_stops_by_a_computed_condition():
    def double(carry):
        step, total = carry
        return step + 1, 2 * total + X[:1]

    def run(start, limit):
        return jax.lax.while_loop(
            lambda carry: (carry[0] < 10) & (carry[1].max() < limit[0]),
            *(double, (jnp.int32(0), start)),
        )

    for limit in (-9.0, 5.0, 300.0, 1e9):
        assert_same_as_onnx(run, X, np.array([limit], np.float32), rtol=1e-5)


def test_branch_for_other_platforms_is_written():
    assert_same_as_onnx(
        lambda x: jax.lax.platform_dependent(x, tpu=jnp.cos, default=jnp.sin), X
    )
