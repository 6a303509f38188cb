"""Told to stop: by a person (Ctrl-C), or because the machine is taken away (SIGTERM)."""

import os
import signal
from collections.abc import Callable

# What a run that was told to stop, and has saved, leaves with. 75 is "try again" of
# sysexits.h: the launch scripts start the run again on it. 130 is a shell's Ctrl-C.
CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
SAVING = {
    signal.SIGTERM: "SIGTERM: saving after this step",
    signal.SIGINT: "saving after this step; Ctrl-C again stops at once",
}


def listen() -> Callable[[], int]:
    """Lets Ctrl-C and SIGTERM end the run after its step instead of at once.

    SIGTERM may come often: schedulers send it to each process and to their group. A
    Ctrl-C after the first signal is as usual.

    Returns:
        Function that returns the exit code of the first signal, 0 if there was none.
    """
    heard = []

    def on_signal(number: int, _: object) -> None:
        if not heard:
            signal.signal(signal.SIGINT, as_usual)
            # Not print: it may be what the signal has just interrupted.
            os.write(2, f"\n{SAVING[number]}\n".encode())
        heard.append(number)

    as_usual = signal.getsignal(signal.SIGINT)
    for number in CODES:
        signal.signal(number, on_signal)
    return lambda: CODES[heard[0]] if heard else 0
