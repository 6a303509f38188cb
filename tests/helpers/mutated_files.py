"""Damage that files get: changed, lost, added and exchanged bytes."""

import numpy as np


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data with one to three random changes; they may cancel out.

    Args:
        data: Content of a file.
        rng: Source of the changes.
    """
    mutated = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        # Half of the changes are in the first bytes, where headers are.
        end = len(mutated) if rng.random() < 0.5 else min(len(mutated), 400)
        if not end:
            break
        start = int(rng.integers(end))
        stop = start + int(rng.integers(1, 40))
        match rng.integers(6):
            case 0:
                mutated[start] ^= 1 << int(rng.integers(8))
            case 1:
                mutated[start:stop] = rng.bytes(len(mutated[start:stop]))
            case 2:
                del mutated[start:]
            case 3:
                del mutated[start:stop]
            case 4:
                mutated[start:start] = mutated[start:stop]
            case 5:
                mutated[start:stop] = b"\xff" * len(mutated[start:stop])
    return bytes(mutated)
