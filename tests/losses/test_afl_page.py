"""The code and the numbers of docs/afl.md, and the script that draws its figure."""

import re
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from mst_jax.losses.mask_losses import MASK_LOSSES
from mst_jax.losses.total_loss import check_loss_config

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def snippets():
    return re.findall(r"```python\n(.*?)```", (DOCS / "afl.md").read_text(), re.DOTALL)


def test_example_code_works(snippets):
    names = {}
    exec(snippets[0], names)
    target = (jnp.arange(24) % 3 == 0).reshape(2, 3, 4)
    logits, valid = jnp.where(target, 0.5, -2.0), jnp.ones((2, 3, 4), bool)
    valid = valid.at[0, 0].set(False)
    value, gradient = jax.value_and_grad(names["loss"])(logits, target, valid)
    expected = MASK_LOSSES["adaptive_focal"](logits, target, where=valid).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert jnp.isfinite(gradient).all() and (gradient[valid] != 0).all()


def test_example_configs_are_valid(snippets):
    for line in snippets[1].splitlines():
        config = ConfigDict()
        exec(line, {"config": config})
        check_loss_config(config.losses.to_dict())


def test_gradient_shares_are_those_of_the_page():
    script = runpy.run_path(str(DOCS / "draw_afl.py"))
    shares = {}
    for name in ("BCE", "FL", "NFL", "AFL"):
        gradients = script["gradient_sizes"](
            script["LINES"][name][0], *script["make_example"](100)
        )
        shares[name] = round(100 * float(gradients[0] / gradients.sum()))
    assert shares == {"BCE": 7, "FL": 76, "NFL": 76, "AFL": 94}
    page = (DOCS / "afl.md").read_text()
    assert all(f"{share}%" in page for share in shares.values())


@pytest.mark.slow
def test_script_writes_a_png(tmp_path):
    file = tmp_path / "afl.png"
    runpy.run_path(str(DOCS / "draw_afl.py"))["draw"](file)
    assert file.read_bytes().startswith(b"\x89PNG")
