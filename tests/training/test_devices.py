import jax
import jax.numpy as jnp
import pytest

from mst_jax.training import devices

COMPILED = "backend_compile"


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("cpu", None),
    ],
)
def test_peaks_by_the_longest_name_that_fits(kind, peak):
    assert devices.peak_of(kind) == peak


def test_a_product_is_counted_and_not_compiled_again():
    update = jax.jit(lambda x, y: (x @ y).sum())
    x, y = jnp.ones((8, 16)), jnp.ones((16, 32))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if COMPILED in name else None
    )
    update(x, y)
    assert compiled
    compiled.clear()
    flops = devices.flops_of(update, x, y)
    assert not compiled
    assert 2 * 8 * 16 * 32 <= flops <= 1.2 * 2 * 8 * 16 * 32
    assert devices.flops_of(update, x, y, accumulate=3) == 3 * flops


def test_the_share_of_the_peak(monkeypatch):
    monkeypatch.setattr(devices, "peak_of", lambda kind: 100.0)
    assert devices.utilization(80.0, 2.0) == {"flop_utilization": 0.4}
    assert devices.utilization(None, 2.0) == {}
    monkeypatch.setattr(devices, "peak_of", lambda kind: None)
    assert devices.utilization(80.0, 2.0) == {}


def test_the_fullest_device_tells(monkeypatch):
    class Device:
        def __init__(self, stats):
            self.memory_stats = lambda: stats

    stats = [{"peak_bytes_in_use": 2 * devices.GIB}, {"peak_bytes_in_use": 2**29}, None]
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(one) for one in stats])
    assert devices.memory_in_use() == {"device_memory_gib": 2.0}
    stats[:] = [None]
    assert devices.memory_in_use() == {}
