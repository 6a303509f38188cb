import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import pytest

from benchmarks import tpu
from benchmarks.step_report import StepReport
from mst_jax.layers.remat import REMAT_MODES
from mst_jax.training.config import TrainingOptions, check_config
from mst_jax.training.startup.device_memory import (
    DoesNotFitError,
    remat_mode,
    with_remat_mode,
)
from tests.helpers.tiny_config import get_config

CONFIG = str(Path(__file__).parents[1] / "helpers" / "tiny_config.py")
NUM_DEVICES = 4


def fake_report(options: TrainingOptions) -> StepReport:
    zeros = {field.name: 0 for field in dataclasses.fields(StepReport)}
    remat = remat_mode(options)
    return StepReport(**zeros | dict(batch=options.batch, remat=remat))


class FakeCompiler:
    """Steps fit up to a largest batch, which depends on the rematerialization."""

    def __init__(self, **largest_batches):
        self.largest_batches = largest_batches
        self.tried = []

    def __call__(self, options):
        remat = remat_mode(options)
        self.tried.append((remat, options.batch))
        if options.batch > self.largest_batches[remat]:
            raise DoesNotFitError("too large")
        return fake_report(options)


def search(compiler, batch):
    options = dataclasses.replace(check_config(get_config()), batch=batch)
    options, report = tpu.find_fitting_options(options, NUM_DEVICES, compiler)
    return tpu.search_largest_batch(options, report, NUM_DEVICES, compiler)


def test_search_finds_least_remat_and_largest_batch():
    compiler = FakeCompiler(none=16, products=100, blocks=1000)
    report = search(compiler, 32)
    assert (report.remat, report.batch) == ("products", 96)
    assert ("blocks", 32) not in compiler.tried
    # Every batch can be shared, and none is tried twice with the same remat.
    tried_products = [batch for remat, batch in compiler.tried if remat == "products"]
    assert len(set(tried_products)) == len(tried_products)
    assert not [batch for _, batch in compiler.tried if batch % NUM_DEVICES]


def test_search_keeps_remat_none_if_it_fits():
    report = search(FakeCompiler(none=64), 32)
    assert (report.remat, report.batch) == ("none", 64)


def test_search_fails_if_nothing_fits():
    with pytest.raises(
        DoesNotFitError, match="batch 32 with one example on each device"
    ):
        search(FakeCompiler(none=4, products=4, blocks=4), 32)


def test_microbatches_are_halved_as_long_as_devices_share_them():
    options = dataclasses.replace(
        check_config(get_config()), batch=24, grad_accum_steps=3
    )
    found = [each.grad_accum_steps for each in tpu.more_microbatches(options, 2)]
    assert found == [6, 12]
    assert list(tpu.more_microbatches(options, 8)) == []


def test_roofline_is_the_longer_time():
    report = dataclasses.replace(
        fake_report(with_remat_mode(check_config(get_config()), "none")),
        arithmetic_seconds=1.0,
        memory_seconds=4.0,
        hbm_seconds=2.0,
    )
    assert (report.roofline_seconds, report.mfu_bound) == (4.0, 0.25)
    assert report.hbm_mfu_bound == 0.5
    report = dataclasses.replace(report, memory_seconds=0.5)
    assert (report.roofline_seconds, report.mfu_bound) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology", "v9:2x2"], "expected one of v4, v5e, v5p, v6e"),
        ([], "nothing to do"),
        (["--cuda", "--batch", "0"], "batch is 0"),
    ],
)
def test_bad_flags_are_one_sentence(flags, message, capsys):
    with pytest.raises(SystemExit) as exit_info:
        tpu.main([CONFIG, *flags])
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is not None, reason="libtpu is installed"
)
def test_missing_compiler_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as exit_info:
        tpu.main([CONFIG, "--topology", "v5e:2x2"])
    assert exit_info.value.code == 2
    assert "pip install 'mst_jax[tpu-compile]'" in capsys.readouterr().err


def test_step_is_lowered_for_cuda(capsys):
    tpu.main([CONFIG, "--cuda", "--no-rounds"])
    assert "cuda: lowered" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("remat", REMAT_MODES)
def test_step_compiles_for_v5e(remat, tmp_path, capsys):
    """The step that `train` runs, sharded over four devices of a topology."""
    pytest.importorskip("libtpu")
    path = tmp_path / "report.json"
    flags = ["--topology", "v5e:2x2", "--batch", "8", "--remat", remat]
    tpu.main([CONFIG, *flags, "--sharding", "fsdp", "--json", str(path)])
    report = json.loads(path.read_text())
    assert report["num_devices"] == 4
    assert report["model_flops"] > 1e6
    assert report["argument_bytes"] > 0
    assert {"all-gather", "all-reduce"} <= report["collectives"].keys()
    printed = capsys.readouterr().out
    assert "fits" in printed and "operations with the most traffic:" in printed


@pytest.mark.slow
def test_pmap_step_compiles_for_v5e(capsys):
    pytest.importorskip("libtpu")
    flags = ["--topology", "v5e:2x2", "--batch", "8", "--no-rounds"]
    tpu.main([CONFIG, *flags, "--sharding", "pmap"])
    assert "all-reduce" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v4:2x2x1", "v5e:2x4", "v5p:2x2x1", "v6e:2x4"])
def test_a_chip_is_a_device(name):
    pytest.importorskip("libtpu")
    sides = [int(side) for side in name.partition(":")[2].split("x")]
    assert len(tpu.topology_devices(name)) == math.prod(sides)
