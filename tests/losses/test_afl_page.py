"""The code and the numbers of docs/afl.md, and the script that draws its figure."""

import contextlib
import io
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
PAGE = (DOCS / "afl.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# The programs that are followed by their output.
PROGRAMS = re.findall(
    r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```", PAGE, re.DOTALL
)


def test_first_example_works():
    names = {}
    exec(SNIPPETS[0], names)
    target = (jnp.arange(24) % 3 == 0).reshape(2, 3, 4)
    logits, valid = jnp.where(target, 0.5, -2.0), jnp.ones((2, 3, 4), bool)
    valid = valid.at[0, 0].set(False)
    value_and_gradient = jax.jit(jax.value_and_grad(names["loss"]))
    value, gradient = value_and_gradient(logits, target, valid)
    expected = MASK_LOSSES["adaptive_focal"](logits, target, where=valid).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert jnp.isfinite(gradient).all() and (gradient[valid] != 0).all()


@pytest.fixture(scope="module")
def shared_names():
    """Return the data and the functions that the four programs share."""
    (shared,) = (code for code in SNIPPETS if "def report" in code)
    names = {}
    exec(shared, names)
    return names


def assert_same_text(found, expected):
    """Compare words; numbers may differ by one unit of the last printed digit."""
    found_words, expected_words = found.split(), expected.split()
    assert len(found_words) == len(expected_words), found
    for found_word, expected_word in zip(found_words, expected_words, strict=True):
        digits = re.fullmatch(r"(\[*-?\d+\.(\d+))[\],]*", expected_word)
        if digits is None:
            assert found_word == expected_word, found
            continue
        number = re.match(r"\[*-?\d+\.\d+", found_word)
        difference = float(number[0].strip("[")) - float(digits[1].strip("["))
        assert abs(difference) < 1.5 * 10 ** -len(digits[2]), found


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_prints_what_the_page_shows(number, shared_names):
    code, expected = PROGRAMS[number]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, dict(shared_names))
    assert_same_text(printed.getvalue(), expected)


def test_the_four_frameworks_print_the_same_numbers():
    outputs = [expected for _, expected in PROGRAMS if "IoU" in expected]
    assert len(outputs) == 4
    assert len(set(outputs)) == 1


def test_example_configs_are_valid():
    for line in SNIPPETS[-1].splitlines():
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
    assert all(f"{share}%" in PAGE for share in shares.values())


@pytest.mark.slow
def test_script_writes_a_png(tmp_path):
    file = tmp_path / "afl.png"
    runpy.run_path(str(DOCS / "draw_afl.py"))["draw"](file)
    assert file.read_bytes().startswith(b"\x89PNG")
