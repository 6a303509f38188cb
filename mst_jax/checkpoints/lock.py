"""One run at a time in a workdir."""

import contextlib
import fcntl
from collections.abc import Iterator

from mst_jax.atomic_io import Place

LOCK = ".lock"


@contextlib.contextmanager
def only_run(workdir: Place) -> Iterator[None]:
    """Keeps other runs out of a workdir, which is made if it is missing.

    The lock ends with the process, however it ends; what stays is an empty file. File
    systems without locks, such as buckets, keep nobody out.

    Raises:
        ValueError: another run is at work there.
        OSError: the workdir cannot be written to.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    if "://" in str(workdir):
        yield
        return
    with open(workdir / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another training is at work in {workdir}; wait for its end, stop it, or "
                "choose another --workdir"
            ) from None
        except OSError:
            pass  # some cluster file systems have no locks
        yield
