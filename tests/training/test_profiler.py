import jax
import jax.numpy as jnp
import optax
import pytest

from mst_jax.training.profiler import make_profiler, read_range
from mst_jax.training.train_state import start_state


def test_a_range_is_two_numbers():
    assert read_range("10:13", 13) == (10, 13)


@pytest.mark.parametrize(
    "text", ["10", "13:10", "0:3", "4:4", "a:b", "-1:3", "1:2:3", "3:21"]
)
def test_anything_else_is_one_sentence(text):
    with pytest.raises(ValueError, match="expected START:STOP"):
        read_range(text, 20)


def play(folder, steps, first=0):
    is_due, toggle = make_profiler(folder, 2, 3)
    state = start_state({"x": jnp.ones(3)}, optax.identity(), jax.random.key(0))
    for step in range(first + 1, steps + 1):
        jnp.ones(step + 3).sum().block_until_ready()
        if is_due(step):
            toggle(step, state, {})


def test_a_trace_is_written(tmp_path):
    play(tmp_path, 5)
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert any(name.endswith(".xplane.pb") for name in names)


def test_a_run_that_goes_on_behind_the_start_traces_nothing(tmp_path):
    play(tmp_path, 5, first=2)
    assert not list(tmp_path.iterdir())
