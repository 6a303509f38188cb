import json

import pytest

from mst_jax.training.startup.used_devices import (
    describe_device_changes,
    read_memory_changes,
    write_devices,
)


@pytest.fixture
def workdir(tmp_path):
    """The workdir of a run that has made a checkpoint."""
    (tmp_path / "checkpoints" / "4" / "params" / "d").mkdir(parents=True)
    return tmp_path


def test_other_devices_are_a_remark(workdir, tmp_path):
    assert describe_device_changes(workdir) == []  # written before this file existed
    write_devices(workdir)
    assert describe_device_changes(workdir) == []
    path = workdir / "devices.json"
    devices = json.loads(path.read_text())
    path.write_text(json.dumps(devices | {"count": 32, "kind": "TPU v4"}))
    (sentence,) = describe_device_changes(workdir)
    assert "used 32 x TPU v4 in 1 process(es) and resumes on" in sentence


def test_changes_belong_to_a_run_on_equal_devices(workdir, tmp_path_factory):
    assert read_memory_changes(workdir) == ""  # written before this file existed
    write_devices(workdir, memory_changes="--config.model.remat=blocks")
    assert read_memory_changes(workdir) == "--config.model.remat=blocks"
    assert describe_device_changes(workdir) == []
    path = workdir / "devices.json"
    devices = json.loads(path.read_text())
    path.write_text(json.dumps({**devices, "kind": "TPU v9"}))
    assert read_memory_changes(workdir) == ""
    # A run without a checkpoint starts again.
    new_workdir = tmp_path_factory.mktemp("new")
    write_devices(new_workdir, memory_changes="--config.model.remat=blocks")
    assert read_memory_changes(new_workdir) == ""
