import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.exporting import exportable_model
from mst_jax.exporting.exportable_model import (
    check_parameter_bytes,
    network_size,
    store_parameters_as_float16,
    with_half_parameters,
)
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.exported_models import small_model


def test_half_parameters_are_rounded_once():
    model = small_model("simpleclick")
    rounded = with_half_parameters(model)
    for leaf, original in zip(
        *map(jax.tree.leaves, (rounded.params, model.params)), strict=True
    ):
        assert leaf.dtype == np.float32
        np.testing.assert_array_equal(leaf, np.float16(original).astype(np.float32))
    constants = jax.make_jaxpr(store_parameters_as_float16(rounded))(
        *(jnp.zeros((1, 64, 64, 3)), _no_clicks(), jnp.zeros((1, 64, 64)))
    ).consts
    half_dtypes = {array.dtype for array in constants if array.size > 1000}
    assert half_dtypes == {np.dtype(np.float16)}


def _no_clicks():
    from mst_jax.structs import Clicks

    return Clicks.empty(1, num_slots=1)


def test_too_large_parameters_are_refused(monkeypatch):
    model = small_model("simpleclick")
    large = jax.tree.map(lambda leaf: leaf * 1e9, model.params)
    with pytest.raises(ValueError, match="export without --half"):
        with_half_parameters(dataclasses.replace(model, params=large))
    num_params = sum(leaf.size for leaf in jax.tree.leaves(model.params))
    monkeypatch.setattr(exportable_model, "MAX_PARAMETER_BYTES", 3 * num_params)
    check_parameter_bytes(model, half=True)
    with pytest.raises(ValueError, match=r"one file holds at most .* use --half"):
        check_parameter_bytes(model, half=False)


def test_size_is_that_of_the_zoom():
    assert network_size(ZoomOptions(size=64), None) == (64, 64)
    assert network_size(ZoomOptions(size=64), (64, 64)) == (64, 64)
    assert network_size(ZoomOptions(size=None), (64, 96)) == (64, 96)
    with pytest.raises(ValueError, match="--size is 64x96"):
        network_size(ZoomOptions(size=64), (64, 96))
    with pytest.raises(ValueError, match="give --size HxW"):
        network_size(ZoomOptions(size=None), None)
