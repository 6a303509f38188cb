"""Speed of the steps by a fake clock, use of the devices, profiler traces."""

import time

import jax
import jax.numpy as jnp
import optax
import pytest

from mst_jax.training import telemetry
from mst_jax.training.train_state import init_train_state

COMPILE_EVENT = "backend_compile"


@pytest.fixture
def fake_time(monkeypatch):
    """A clock that the test sets."""
    times = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: times[0])
    return times


def test_speed_of_a_window_by_hand(fake_time):
    timer = telemetry.StepTimer()
    with timer.time_input_wait():
        fake_time[0] += 1.0
    fake_time[0] += 3.0
    with timer.exclude_time():
        fake_time[0] += 50.0
    metrics = timer.speed_metrics(num_steps=2, num_examples=24)
    assert metrics == {
        "examples_per_second": 6.0,
        "examples_per_second_per_device": 6.0 / jax.device_count(),
        "step_seconds": 2.0,
        "input_wait_fraction": 0.25,
    }
    assert set(metrics) < set(telemetry.MACHINE_METRICS)


def test_a_new_window_starts_at_zero(fake_time):
    timer = telemetry.StepTimer()
    with timer.time_input_wait():
        fake_time[0] += 1.0
    timer.start_window()
    fake_time[0] += 2.0
    metrics = timer.speed_metrics(num_steps=1, num_examples=1)
    assert metrics["input_wait_fraction"] == 0.0


@pytest.mark.parametrize(
    ("device_kind", "peak"),
    [
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("cpu", None),
    ],
)
def test_peak_flops_are_those_of_the_longest_matching_name(device_kind, peak):
    assert telemetry.peak_flops(device_kind) == peak


def test_flops_of_a_product_are_counted_without_compiling_again():
    product = jax.jit(lambda x, y: (x @ y).sum())
    x, y = jnp.ones((8, 16)), jnp.ones((16, 32))
    compile_events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: (
            compile_events.append(name) if COMPILE_EVENT in name else None
        )
    )
    product(x, y)
    assert compile_events
    compile_events.clear()
    flops = telemetry.count_step_flops(product, x, y)
    assert not compile_events
    assert flops == 2 * 8 * 16 * 32 / jax.device_count()


def flops_of(function, *shapes):
    """FLOP of a function, all devices together."""
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    flops = telemetry.count_step_flops(jax.jit(function), *arrays)
    return flops * jax.device_count()


def test_flops_of_loops_kernels_and_gradients():
    product = 2 * 4**3

    def scan_products(x):
        return jax.lax.scan(lambda x, _: (x @ x, None), x, length=5)[0]

    def one_or_two_products(x):
        return jax.lax.cond(x.sum() > 0, lambda x: x @ x, lambda x: x @ x @ x, x)

    assert flops_of(scan_products, (4, 4)) == 5 * product
    assert flops_of(one_or_two_products, (4, 4)) == 2 * product
    gradient = jax.grad(lambda x: scan_products(x).sum())
    assert flops_of(gradient, (4, 4)) == 15 * product
    recomputed = jax.grad(jax.checkpoint(lambda x: jnp.sin(x @ x @ x).sum()))
    assert flops_of(recomputed, (4, 4)) == 8 * product


def test_flops_of_a_strided_convolution_and_its_gradients():
    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(
            *(image, kernel, (2, 2), "VALID"),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ).sum()

    shapes = (1, 8, 8, 3), (2, 2, 3, 5)
    forward = 2 * 4 * 4 * 5 * (2 * 2 * 3)
    assert flops_of(convolve, *shapes) == forward
    # Each gradient has as many products as the convolution.
    gradients = jax.value_and_grad(convolve, (0, 1))
    assert flops_of(gradients, *shapes) == 3 * forward


def test_mfu_is_the_fraction_of_the_peak(monkeypatch):
    monkeypatch.setattr(telemetry, "peak_flops", lambda device_kind: 100.0)
    assert telemetry.mfu_metric(80.0, 2.0) == {"mfu": 0.4}
    assert telemetry.mfu_metric(None, 2.0) == {}
    monkeypatch.setattr(telemetry, "peak_flops", lambda device_kind: None)
    assert telemetry.mfu_metric(80.0, 2.0) == {}


def test_memory_is_that_of_the_fullest_device(monkeypatch):
    class FakeDevice:
        def __init__(self, stats):
            self.memory_stats = lambda: stats

    stats = [
        {"peak_bytes_in_use": 2 * telemetry.BYTES_PER_GIB},
        {"peak_bytes_in_use": 2**29},
        None,
    ]
    devices = [FakeDevice(device_stats) for device_stats in stats]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert telemetry.memory_metric() == {"device_memory_gib": 2.0}
    monkeypatch.setattr(jax, "local_devices", lambda: devices[2:])
    assert telemetry.memory_metric() == {}


def test_a_profile_range_is_two_steps():
    assert telemetry.parse_profile_range("10:13", 13) == (10, 13)


@pytest.mark.parametrize(
    "text", ["10", "13:10", "0:3", "4:4", "a:b", "-1:3", "1:2:3", "3:21"]
)
def test_a_wrong_profile_range_is_one_sentence(text):
    with pytest.raises(ValueError, match="expected START:STOP"):
        telemetry.parse_profile_range(text, 20)


def run_profiler(folder, num_steps, first_step=0):
    """Trace step 3 of a run that starts or resumes after `first_step`."""
    is_due, toggle_trace = telemetry.make_profiler(folder, 2, 3)
    params = {"x": jnp.ones(3)}
    state = init_train_state(params, optax.identity(), jax.random.key(0))
    for step in range(first_step + 1, num_steps + 1):
        jnp.ones(step + 3).sum().block_until_ready()
        if is_due(step):
            toggle_trace(step, state, {})


def test_a_trace_is_written(tmp_path):
    run_profiler(tmp_path, 5)
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert any(name.endswith(".xplane.pb") for name in names)


def test_a_run_that_resumes_after_the_start_is_not_traced(tmp_path):
    run_profiler(tmp_path, 5, first_step=2)
    assert not list(tmp_path.iterdir())
