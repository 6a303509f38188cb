"""Stop a run early: Ctrl-C by a person, SIGTERM when the machine is preempted."""

import os
import signal
from collections.abc import Callable

# The exit code of a run that failed; argparse exits with 2 for wrong use.
EXIT_FAILED = 1

# The exit codes of a run that was stopped by a signal and has saved a checkpoint. 75 is
# "try again" of sysexits.h: the launch scripts restart the run. 130 is a shell's
# Ctrl-C.
EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
SIGNAL_MESSAGES = {
    signal.SIGTERM: "SIGTERM: saving after this step",
    signal.SIGINT: "saving after this step; Ctrl-C again stops at once",
}


def install_signal_handlers() -> Callable[[], int]:
    """Let Ctrl-C and SIGTERM end the run after the current step instead of at once.

    SIGTERM may come several times: schedulers send it to each process and to their
    group. After the first signal, Ctrl-C stops the process at once.

    Returns:
        Function that returns the exit code of the first signal, 0 if there was none.
    """
    received_signals = []
    default_handler = signal.getsignal(signal.SIGINT)

    def handle_signal(signal_number: int, _: object) -> None:
        if not received_signals:
            signal.signal(signal.SIGINT, default_handler)
            # Not print: the signal may have interrupted a print, which is not
            # reentrant.
            signal_message = SIGNAL_MESSAGES[signal.Signals(signal_number)]
            os.write(2, f"\n{signal_message}\n".encode())
        received_signals.append(signal.Signals(signal_number))

    for signal_number in EXIT_CODES:
        signal.signal(signal_number, handle_signal)
    return lambda: EXIT_CODES[received_signals[0]] if received_signals else 0
