"""Reads TensorBoard's event files back, by their published format."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def read_events(folder: Path) -> list[Event]:
    """All events of a folder: length (8 bytes), its checksum (4), the event, its (4)."""
    events = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack("<Q", data[place : place + 8])
            events.append(Event.FromString(data[place + 12 : place + 12 + length]))
            place += length + 16
    return events


def read_scalars(folder: Path) -> dict[tuple[str, int], float]:
    """(tag, step) -> value."""
    return {
        (value.tag, event.step): value.simple_value
        for event in read_events(folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    }
