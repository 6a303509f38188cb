"""Read TensorBoard's event files, by their published format."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

# Each event follows its length (8 bytes) and a checksum (4 bytes); a checksum comes
# after.
HEADER_SIZE, FOOTER_SIZE = 12, 4


def read_events(folder: Path) -> list[Event]:
    """Return all events of a folder, file by file."""
    events = []
    for path in sorted(folder.iterdir()):
        data, offset = path.read_bytes(), 0
        while offset < len(data):
            (length,) = struct.unpack("<Q", data[offset : offset + 8])
            start = offset + HEADER_SIZE
            events.append(Event.FromString(data[start : start + length]))
            offset = start + length + FOOTER_SIZE
    return events


def read_scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Return the scalars of a folder by tag and step."""
    return {
        (value.tag, event.step): value.simple_value
        for event in read_events(folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    }
