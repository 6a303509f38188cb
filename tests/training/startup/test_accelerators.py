"""Accelerators that JAX does not use are found by their files."""

import jax
import pytest

from mst_jax.training.startup.accelerators import (
    find_accelerator,
    unused_accelerator_warning,
)


def make_file(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_pci_device(root, vendor, device):
    folder = root / "sys/bus/pci/devices/0000:00:04.0"
    make_file(folder / "vendor", f"{vendor}\n")
    make_file(folder / "device", f"{device}\n")


def test_nothing_is_found_on_an_empty_machine(tmp_path):
    assert find_accelerator(tmp_path) is None


@pytest.mark.parametrize("name", ["nvidia0", "nvidiactl", "dxg"])
def test_a_gpu_is_found_by_its_device_file(tmp_path, name):
    make_file(tmp_path / "dev" / name)
    assert find_accelerator(tmp_path) == "NVIDIA GPU"


def test_a_tpu_is_found_by_its_device_file_or_its_pci_identifier(tmp_path):
    make_file(tmp_path / "a" / "dev" / "accel0")
    assert find_accelerator(tmp_path / "a") == "TPU"
    make_pci_device(tmp_path / "b", "0x1ae0", "0x005e")
    assert find_accelerator(tmp_path / "b") == "TPU"
    # A network card of the same vendor.
    make_pci_device(tmp_path / "c", "0x1ae0", "0x0042")
    assert find_accelerator(tmp_path / "c") is None


def test_the_warning_has_the_install_line(tmp_path, monkeypatch):
    make_file(tmp_path / "dev" / "nvidia0")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    warning = unused_accelerator_warning(tmp_path)
    assert "has a NVIDIA GPU, but JAX runs on the CPU" in warning
    assert f'pip install -U "jax[cuda12]=={jax.__version__}"' in warning
    assert unused_accelerator_warning(tmp_path / "empty") is None


@pytest.mark.parametrize(("backend", "platforms"), [("gpu", ""), ("cpu", "cpu")])
def test_no_warning_where_the_accelerator_is_used_or_not_wanted(
    tmp_path, monkeypatch, backend, platforms
):
    make_file(tmp_path / "dev" / "nvidia0")
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert unused_accelerator_warning(tmp_path) is None
