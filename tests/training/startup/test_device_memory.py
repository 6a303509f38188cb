import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import train
from mst_jax.training.config import check_config
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.startup import device_memory
from mst_jax.training.startup.device_memory import (
    FULLY_SHARDED,
    DoesNotFitError,
    compile_if_it_fits,
    describe_changes,
    fit_run,
    remat_mode,
    shorten_memory_error,
    smaller_options,
    with_remat_mode,
)
from mst_jax.training.training_run import plan_run, plan_state
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_run import draw_scenes, make_command, read_metrics

OPTIONS = check_config(get_config())


def describe(options):
    is_sharded = options.sharding.rules == FULLY_SHARDED
    return is_sharded, remat_mode(options), options.grad_accum_steps


def test_options_need_less_memory_step_by_step():
    options = dataclasses.replace(OPTIONS, batch=16)
    assert [describe(smaller) for smaller in smaller_options(options, 4)] == [
        (False, "none", 1),
        (True, "none", 1),
        (True, "products", 1),
        (True, "blocks", 1),
        (True, "blocks", 2),
        (True, "blocks", 4),
    ]
    # One device has no other to share the state with; a placement that the user has
    # chosen stays.
    for sharding in (ShardingOptions(), ShardingOptions(transform="pmap")):
        options = with_remat_mode(dataclasses.replace(options, batch=6), "products")
        options = dataclasses.replace(options, sharding=sharding)
        num_devices = 1 if sharding.transform == "jit" else 2
        assert {describe(each) for each in smaller_options(options, num_devices)} == {
            (False, "products", 1),
            (False, "blocks", 1),
            *([(False, "blocks", 2)] if num_devices == 1 else []),
        }


def test_changes_are_described_as_flags():
    *_, smallest = smaller_options(dataclasses.replace(OPTIONS, batch=4), 2)
    assert describe_changes(OPTIONS, smallest) == (
        "--config.model.remat=blocks --config.grad_accum_steps=2 "
        "--config.sharding.rules=\"(('.*', ('data', 'model')),)\""
    )
    assert describe_changes(OPTIONS, OPTIONS) == ""


def test_memory_errors_are_shortened():
    for message in (
        "RESOURCE_EXHAUSTED: Ran out of memory.\nUsed 18.31G of 15.75G hbm. Exceeded",
        "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total "
        "memory required for HLO temporaries (18.31G) exceeds available HBM (15.75G).",
    ):
        assert shorten_memory_error(message) == "18.31G of 15.75G"
    assert shorten_memory_error("RESOURCE_EXHAUSTED: new\nmore") == (
        "RESOURCE_EXHAUSTED: new"
    )


def test_arguments_results_and_temporaries_count():
    # A quarter of a GiB is read, and a quarter is written.
    lowered = jax.jit(jnp.sin).lower(jax.ShapeDtypeStruct((8192, 8192), jnp.float32))
    with pytest.raises(DoesNotFitError, match=r"0\.50 GiB of 0\.47 GiB"):
        compile_if_it_fits(lowered, limit=2**29)
    assert compile_if_it_fits(lowered, limit=2**30) is not None


@pytest.fixture
def plans():
    plan = plan_run(OPTIONS)
    return plan, plan_state(plan)


def test_first_options_that_fit_are_used(plans, monkeypatch):
    tried = []

    def compile_if_large_enough(lowered, limit):
        tried.append(lowered)
        if len(tried) < 3:
            raise DoesNotFitError(f"{9 - len(tried)} of {limit} GiB")
        return "program"

    monkeypatch.setattr(device_memory, "memory_limit", lambda: 4)
    monkeypatch.setattr(device_memory, "compile_if_it_fits", compile_if_large_enough)
    monkeypatch.setattr(device_memory, "lower_train_step", lambda plan, _: plan.options)
    messages = []
    plan, state_plan, compiled = fit_run(*plans, messages.append)
    assert compiled == "program" and plan.options is tried[-1]
    assert plan.module.backbone.remat == "blocks" and state_plan.shapes is not None
    assert messages[1:] == [
        "warning: the training step does not fit: 8 of 4 GiB",
        "trying --config.model.remat=products",
        "warning: the training step does not fit: 7 of 4 GiB",
        "trying --config.model.remat=blocks",
    ]


def test_run_that_never_fits_is_one_sentence(plans, monkeypatch):
    def compile_nothing(*_):
        raise DoesNotFitError("9 of 4 GiB")

    monkeypatch.setattr(device_memory, "memory_limit", lambda: 4)
    monkeypatch.setattr(device_memory, "compile_if_it_fits", compile_nothing)
    monkeypatch.setattr(device_memory, "lower_train_step", lambda *_: None)
    messages = []
    with pytest.raises(DoesNotFitError, match="use a smaller model, crop or batch"):
        fit_run(*plans, messages.append)
    assert (
        messages[-2] == "trying --config.model.remat=blocks --config.grad_accum_steps=2"
    )


def test_devices_without_a_limit_change_nothing(plans):
    assert fit_run(*plans, pytest.fail) == (*plans, None)


@pytest.mark.slow
def test_run_that_does_not_fit_is_trained_with_less_memory(
    tmp_path, monkeypatch, capsys
):
    data_dir, losses = draw_scenes(tmp_path / "data"), {}
    for name, limits in {"free": [None], "limited": [1, 2**40]}.items():
        remaining = iter(limits)
        monkeypatch.setattr(device_memory, "memory_limit", lambda: limits[0])  # noqa: B023
        compile_step = compile_if_it_fits
        monkeypatch.setattr(
            device_memory,
            "compile_if_it_fits",
            lambda lowered, _: compile_step(lowered, next(remaining)),  # noqa: B023
        )
        workdir = tmp_path / name
        train.main(make_command(data_dir, workdir, "steps=3"))
        losses[name] = [row["loss"] for row in read_metrics(workdir)]
    assert len(losses["free"]) == 3
    np.testing.assert_allclose(losses["limited"], losses["free"], rtol=1e-5)
    printed = capsys.readouterr().err
    assert (
        "does not fit" in printed and "trying --config.model.remat=products" in printed
    )
