"""How often does a predictor compile?"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.structs import struct
from tests.helpers.analytic_network import bumps
from tests.helpers.open_predictor import IMAGE, TARGET, opened, same


class Counted:
    """A model that counts how often it is traced, which is once a compilation."""

    def __init__(self):
        self.traces = 0

    def __call__(self, image, clicks, previous):
        self.traces += 1
        return bumps(image, clicks, previous)


def test_one_program_serves_a_bucket_whatever_the_number_of_clicks():
    model = Counted()
    predictor = opened(model)
    for place in range(24):
        predictor.click(place, 2 * place, place % 3 != 0)
    predictor.undo()
    predictor.finish()
    predictor.load_mask(TARGET)
    predictor.click(3, 3)
    other = opened(model, IMAGE[:50, :70])
    other.click(1, 1)
    other.predict([[4, 5]], [1], mask_input=np.zeros((1, 8, 8)))
    assert model.traces == 1


def test_more_clicks_than_slots_find_room():
    model = Counted()
    predictor = opened(model)
    for place in range(25):
        mask = predictor.click(place, 2 * place)
    assert model.traces == 2 and len(predictor.clicks) == 25
    predictor.undo()
    same(predictor.redo(), mask)


@struct
class Raised:
    """A model with a parameter."""

    bias: jax.Array

    def __call__(self, image, clicks, previous):
        TRACED.append(True)
        return bumps(image, clicks, previous) + self.bias


TRACED = []


def test_new_parameters_need_no_new_program():
    low, high = (Raised(jnp.float32(bias)) for bias in (0.0, 4.0))
    small, large = opened(low).click(20, 42), opened(high).click(20, 42)
    assert len(TRACED) == 1
    assert small.sum() < large.sum()


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: "compile" in event and COMPILED.append(event)
)


@pytest.mark.parametrize("spread", [False, True])
def test_parameters_that_were_put_on_a_device_compile_once(spread):
    devices = np.array(jax.devices()[:1])
    mesh = jax.sharding.Mesh(devices, "data")
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    bias = jax.device_put(np.float32(0.5), place if spread else devices[0])
    predictor = opened(Raised(bias))
    before = len(COMPILED)
    predictor.click(20, 42)
    first = len(COMPILED)
    predictor.click(30, 42)
    predictor.load_mask(TARGET)
    predictor.click(30, 2, False)
    predictor.finish()
    predictor.set_image(IMAGE[:50])
    predictor.click(20, 42)
    predictor.predict([[4, 5]], [1], mask_input=np.zeros(TARGET.shape))
    assert before < first == len(COMPILED)
