"""Signals end a run after its step, with the exit code of the first signal."""

import signal
import subprocess
import sys

import pytest

from mst_jax.training.preemption import EXIT_CODES, install_signal_handlers

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture
def exit_code():
    return install_signal_handlers()


@pytest.mark.parametrize(
    ("signals", "code"),
    [((), 0), ((TERM,), 75), ((INT,), 130), ((TERM, TERM, TERM), 75)],
)
def test_the_first_signal_is_the_exit_code(exit_code, capfd, signals, code):
    for signal_number in signals:
        signal.raise_signal(signal_number)
    assert exit_code() == code
    assert capfd.readouterr().err.count("saving after this step") == bool(signals)


@pytest.mark.parametrize("first_signal", [TERM, INT])
def test_a_later_ctrl_c_stops_at_once(exit_code, first_signal):
    signal.raise_signal(first_signal)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    assert exit_code() == EXIT_CODES[first_signal]


def test_a_signal_during_a_print_breaks_nothing():
    """A print in the signal handler would: a reentrant call."""
    program = (
        "import os, signal, sys, threading\n"
        "from mst_jax.training.preemption import install_signal_handlers\n"
        "exit_code = install_signal_handlers()\n"
        "def send():\n"
        "    for _ in range(300):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "thread = threading.Thread(target=send)\n"
        "thread.start()\n"
        "while thread.is_alive():\n"
        "    print('x' * 5000, file=sys.stderr, flush=True)\n"
        "sys.exit(exit_code())\n"
    )
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode == 75
    assert "Error" not in process.stderr
