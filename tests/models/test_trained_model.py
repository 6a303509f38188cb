import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import mst_jax
from mst_jax.models import trained_model
from mst_jax.models.trained_model import TrainedModel, check_model_inputs
from mst_jax.structs import Clicks
from tests.helpers.random_models import SMALL_MST, random_inputs, random_params


@pytest.fixture(scope="module")
def model():
    module = mst_jax.build("mst", **SMALL_MST)
    config = FrozenConfigDict({"model": SMALL_MST})
    return TrainedModel(random_params(module), module, config)


def host_inputs(height=64, width=64):
    """Return the inputs of a model as NumPy arrays that may be written."""
    return jax.tree.map(np.array, random_inputs(height, width))


def test_buffers_may_be_refilled_right_after_a_call(model):
    inputs = host_inputs()
    expected = np.asarray(model(*host_inputs()))
    for _ in range(5):
        image, clicks, prev_mask = host_inputs()
        logits = model(image, clicks, prev_mask)
        for array in (image, prev_mask, clicks.yx, clicks.label):
            array[:] = 0
        np.testing.assert_array_equal(logits, expected)
    outputs = model.forward(*inputs)
    inputs[0][:] = 0
    np.testing.assert_array_equal(outputs.logits, expected)


def test_no_memory_of_the_caller_reaches_jax(model, monkeypatch):
    """The result above may be right by chance; this is so by construction."""
    passed = []
    run = trained_model._apply_module

    def record(module, params, *inputs):
        passed.extend(jax.tree.leaves(inputs))
        return run(module, params, *inputs)

    monkeypatch.setattr(trained_model, "_apply_module", record)
    inputs = host_inputs()
    model(*inputs)
    for array in jax.tree.leaves(inputs):
        assert not any(np.shares_memory(array, other) for other in passed)


def wrong_values():
    image, clicks, prev_mask = host_inputs()
    yield (255 * image, clicks, prev_mask), "image has values from .* by 255"
    normalized = (image - 0.45) / 0.22
    yield (normalized, clicks, prev_mask), "image has values from -2.* expected 0 to 1"
    yield (np.full_like(image, np.nan), clicks, prev_mask), "from nan to nan"
    yield (image, clicks, prev_mask * 20 - 10), "prev_mask has values .* the sigmoid"
    yield (image, clicks, np.full(prev_mask.shape, 255, np.uint8)), "from 255 to 255"
    yield (
        (image.tolist(), clicks, prev_mask),
        "image is a list, expected a NumPy or JAX",
    )
    yield (image, clicks, None), "prev_mask is a NoneType"
    yield (image, [(3, 4)], prev_mask), r"clicks is a list, expected mst_jax\.Clicks"
    labels = np.full_like(clicks.label, 2)
    yield (
        (image, Clicks(clicks.yx, labels), prev_mask),
        "label 2, expected 1 = positive",
    )


@pytest.mark.parametrize(("inputs", "sentence"), wrong_values())
def test_wrong_values_are_one_clear_error(inputs, sentence):
    with pytest.raises(ValueError, match=sentence) as raised:
        check_model_inputs(*inputs)
    assert "\n" not in str(raised.value)


def test_rounding_is_no_error():
    image, clicks, prev_mask = host_inputs()
    check_model_inputs(1.1 * image - 0.05, clicks, prev_mask)
