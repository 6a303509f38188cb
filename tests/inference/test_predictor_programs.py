"""Number of compilations of a predictor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.structs import pytree_dataclass
from tests.helpers.analytic_network import analytic_model
from tests.helpers.open_predictor import IMAGE, TARGET, assert_same, open_predictor


class TraceCounter:
    """A model that counts its traces: one for each compilation."""

    def __init__(self):
        self.traces = 0

    def __call__(self, image, clicks, prev_mask):
        self.traces += 1
        return analytic_model(image, clicks, prev_mask)


def test_one_program_serves_a_padded_size_and_any_number_of_clicks():
    model = TraceCounter()
    predictor = open_predictor(model)
    for index in range(24):
        predictor.click(index, 2 * index, index % 3 != 0)
    predictor.undo()
    predictor.finish()
    predictor.load_mask(TARGET)
    predictor.click(3, 3)
    other = open_predictor(model, IMAGE[:50, :70])
    other.click(1, 1)
    other.predict([[4, 5]], [1], mask_input=np.full((1, 8, 8), -2.0))
    assert model.traces == 1


def test_more_clicks_than_slots_double_the_slots():
    model = TraceCounter()
    predictor = open_predictor(model)
    for index in range(25):
        mask = predictor.click(index, 2 * index)
    assert model.traces == 2 and len(predictor.clicks) == 25
    predictor.undo()
    assert_same(predictor.redo(), mask)


@pytree_dataclass
class BiasedModel:
    """A model with one parameter."""

    bias: jax.Array

    def __call__(self, image, clicks, prev_mask):
        TRACED.append(True)
        return analytic_model(image, clicks, prev_mask) + self.bias


TRACED = []


def test_new_parameters_need_no_new_program():
    low, high = (BiasedModel(jnp.float32(bias)) for bias in (0.0, 4.0))
    small, large = open_predictor(low).click(20, 42), open_predictor(high).click(20, 42)
    assert len(TRACED) == 1
    assert small.sum() < large.sum()


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: "compile" in event and COMPILED.append(event)
)


@pytest.mark.parametrize("is_sharded", [False, True])
def test_parameters_that_were_put_on_a_device_compile_once(is_sharded):
    devices = np.array(jax.devices()[:1])
    mesh = jax.sharding.Mesh(devices, "data")
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    bias = jax.device_put(np.float32(0.5), sharding if is_sharded else devices[0])
    predictor = open_predictor(BiasedModel(bias))
    before = len(COMPILED)
    predictor.click(20, 42)
    first = len(COMPILED)
    predictor.click(30, 42)
    predictor.load_mask(TARGET)
    predictor.click(30, 2, False)
    predictor.finish()
    predictor.set_image(IMAGE[:50])
    predictor.click(20, 42)
    predictor.predict([[4, 5]], [1], mask_input=np.full(TARGET.shape, -2.0))
    assert before < first == len(COMPILED)
