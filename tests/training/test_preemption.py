import signal
import subprocess
import sys

import pytest

from mst_jax.training.preemption import CODES, listen

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture
def told():
    return listen()


@pytest.mark.parametrize(
    ("numbers", "code"),
    [((), 0), ((TERM,), 75), ((INT,), 130), ((TERM, TERM, TERM), 75)],
)
def test_the_first_signal_is_the_exit_code(told, capfd, numbers, code):
    for number in numbers:
        signal.raise_signal(number)
    assert told() == code
    assert capfd.readouterr().err.count("saving after this step") == bool(numbers)


@pytest.mark.parametrize("first", [TERM, INT])
def test_a_later_ctrl_c_is_as_usual(told, first):
    signal.raise_signal(first)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    assert told() == CODES[first]


def test_a_signal_in_the_middle_of_a_line_breaks_nothing():
    """Printing from within the signal's function would: a reentrant call."""
    program = (
        "import os, signal, sys, threading\n"
        "from mst_jax.training.preemption import listen\n"
        "told = listen()\n"
        "def send():\n"
        "    for _ in range(300):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "thread = threading.Thread(target=send)\n"
        "thread.start()\n"
        "while thread.is_alive():\n"
        "    print('x' * 5000, file=sys.stderr, flush=True)\n"
        "sys.exit(told())\n"
    )
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert done.returncode == 75
    assert "Error" not in done.stderr
