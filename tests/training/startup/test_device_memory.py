import dataclasses
from types import SimpleNamespace

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
    memory_limit,
    remat_mode,
    smaller_options,
    with_remat_mode,
)
from mst_jax.training.training_run import plan_run, plan_state
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_run import draw_scenes, make_command, read_metrics

OPTIONS = check_config(get_config())


def describe(options):
    return options.sharding.rules == FULLY_SHARDED, remat_mode(options)


def test_options_need_less_memory_step_by_step():
    assert [describe(smaller) for smaller in smaller_options(OPTIONS, 4)] == [
        (False, "none"),
        (True, "none"),
        (True, "products"),
        (True, "blocks"),
    ]


@pytest.mark.parametrize(
    ("sharding", "num_devices"),
    [
        (ShardingOptions(), 1),
        (ShardingOptions(transform="pmap"), 2),
        (ShardingOptions(rules=(("head/.*", ("data",)), (".*", ()))), 2),
    ],
)
def test_one_device_and_a_chosen_placement_keep_their_placement(sharding, num_devices):
    options = dataclasses.replace(
        with_remat_mode(OPTIONS, "products"), sharding=sharding
    )
    smaller = list(smaller_options(options, num_devices))
    assert [remat_mode(each) for each in smaller] == ["products", "blocks"]
    assert {each.sharding for each in smaller} == {sharding}


def test_changes_are_described_as_flags():
    *_, smallest = smaller_options(OPTIONS, 2)
    assert describe_changes(OPTIONS, smallest) == (
        "--config.model.remat=blocks "
        "--config.sharding.rules=\"(('.*', ('data', 'model')),)\""
    )
    assert describe_changes(OPTIONS, OPTIONS) == ""


class FailingProgram:
    """A lowered step whose compiler fails."""

    def __init__(self, message):
        self.message = message

    def compile(self):
        raise jax.errors.JaxRuntimeError(self.message)


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: Ran out of memory.\nUsed 18.31G of 15.75G hbm. Exceeded",
        "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total "
        "memory required for HLO temporaries (18.31G) exceeds available HBM (15.75G).",
    ],
)
def test_memory_errors_of_the_compiler_are_one_sentence(message):
    with pytest.raises(DoesNotFitError) as error_info:
        compile_if_it_fits.__wrapped__(FailingProgram(message))
    assert str(error_info.value) == "it needs 18.31G of memory, a device has 15.75G"


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem. Used 20.0M of 16.0M "
        "vmem.",
        "INTERNAL: a bug",
    ],
)
def test_other_errors_of_the_compiler_stay(message):
    with pytest.raises(jax.errors.JaxRuntimeError, match=message[:20]):
        compile_if_it_fits.__wrapped__(FailingProgram(message))


def compile_within(num_gib, function, *shapes, **options):
    """Compile a function of float32 arrays if it needs less than some GiB."""
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    lowered = jax.jit(function, **options).lower(*shapes)
    return compile_if_it_fits(lowered, limit=int(num_gib * 2**30 / 0.95))


def test_arguments_results_and_temporaries_count():
    side = (8192, 8192)  # a quarter of a GiB

    def two_products(x):
        return (x @ x) @ x

    for needed, function, options in (
        (0.5, jnp.sin, {}),
        (0.25, jnp.sin, dict(donate_argnums=0)),
        (0.75, two_products, {}),
    ):
        assert compile_within(needed + 0.01, function, side, **options) is not None
        with pytest.raises(DoesNotFitError, match=f"needs {needed:.2f} GiB of memory"):
            compile_within(needed - 0.01, function, side, **options)


@pytest.mark.parametrize(
    ("platform", "statistics", "expected"),
    [
        ("gpu", [dict(bytes_limit=9), dict(bytes_limit=7)], 7),
        ("gpu", [None, {}], None),
        ("tpu", [dict(bytes_limit=9)], None),
    ],
)
def test_limit_is_that_of_the_smallest_gpu(platform, statistics, expected, monkeypatch):
    devices = [
        SimpleNamespace(memory_stats=lambda values=values: values)
        for values in statistics
    ]
    monkeypatch.setattr(device_memory, "platform_name", lambda: platform)
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert memory_limit() == expected


@pytest.fixture(scope="module")
def plans():
    plan = plan_run(OPTIONS)
    return plan, plan_state(plan)


@pytest.fixture
def fit_with(plans, monkeypatch):
    """Return a function that fits a run of which the last attempt fits, or none."""

    def fit(num_failures, messages, **options):
        tried = []

        def compile_if_enough_failed(lowered, limit):
            tried.append(lowered)
            if len(tried) <= num_failures:
                raise DoesNotFitError(f"it needs {9 - len(tried)} GiB")
            return "program"

        monkeypatch.setattr(device_memory, "platform_name", lambda: "gpu")
        monkeypatch.setattr(device_memory, "memory_limit", lambda: 4)
        monkeypatch.setattr(
            device_memory, "compile_if_it_fits", compile_if_enough_failed
        )
        monkeypatch.setattr(
            device_memory, "lower_train_step", lambda plan, _: plan.options
        )
        return fit_run(*plans, messages.append, **options)

    return fit


def test_first_options_that_fit_are_used(fit_with):
    messages = []
    plan, state_plan, compiled, changes = fit_with(2, messages)
    assert compiled == "program" and changes == "--config.model.remat=blocks"
    assert plan.module.backbone.remat == "blocks" and state_plan.shapes is not None
    assert messages[1:] == [
        "warning: the training step does not fit: it needs 8 GiB",
        "trying --config.model.remat=products",
        "warning: the training step does not fit: it needs 7 GiB",
        "trying --config.model.remat=blocks",
    ]


def test_resumed_run_begins_with_its_changes(fit_with):
    changes = "--config.model.remat=products"
    messages = []
    plan, _, _, found = fit_with(0, messages, previous_changes=changes)
    assert (found, remat_mode(plan.options)) == (changes, "products")
    assert messages[1:] == [f"trying {changes}"]
    # Changes that this config does not lead to are ignored.
    assert fit_with(0, [], previous_changes="--config.other=1")[3] == ""


def test_run_that_never_fits_is_one_sentence(fit_with):
    with pytest.raises(DoesNotFitError) as error_info:
        fit_with(9, [])
    assert str(error_info.value) == (
        "the training step does not fit into the memory of a device: it needs 6 GiB; use "
        "more microbatches (config.grad_accum_steps), or a smaller batch, crop or model"
    )


def test_cpus_change_nothing(plans, monkeypatch):
    monkeypatch.setattr(device_memory, "platform_name", lambda: "cpu")
    assert fit_run(*plans, pytest.fail) == (*plans, None, "")


@pytest.mark.slow
def test_run_that_does_not_fit_is_trained_and_resumed_with_less_memory(
    tmp_path, monkeypatch, capsys
):
    data_dir, losses = draw_scenes(tmp_path / "data"), {}
    monkeypatch.setattr(device_memory, "platform_name", lambda: "gpu")
    compile_step = compile_if_it_fits
    for name, runs in {
        "free": [(None, 4)],
        "limited": [(1, 4)],
        "resumed": [(1, 2), (None, 4)],
    }.items():
        for first_limit, num_steps in runs:
            limits = iter([first_limit])
            monkeypatch.setattr(
                device_memory,
                "compile_if_it_fits",
                lambda lowered, _, limits=limits: compile_step(
                    lowered, next(limits, None)
                ),
            )
            changes = ("checkpoint_every=2", f"steps={num_steps}")
            train.main(make_command(data_dir, tmp_path / name, *changes))
        losses[name] = [row["loss"] for row in read_metrics(tmp_path / name)]
    assert len(losses["free"]) == 4 and losses["resumed"] == losses["limited"]
    np.testing.assert_allclose(losses["limited"], losses["free"], rtol=1e-5)
    printed = capsys.readouterr().err
    assert printed.count("does not fit") == 2
    assert printed.count("trying --config.model.remat=products") == 3
