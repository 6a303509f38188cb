"""The devices of a run, in a file of its workdir."""

import json
from collections.abc import Mapping
from typing import Any

import jax

from mst_jax.atomic_io import PathLike, atomic_write
from mst_jax.checkpoints import store

DEVICES_FILE = "devices.json"
MEMORY_CHANGES_KEY = "memory_changes"


def describe_device_changes(workdir: PathLike) -> list[str]:
    """Describe on which other devices the run in a workdir was interrupted.

    Args:
        workdir: Workdir of the run; it need not exist.

    Returns:
        One sentence; none on the same devices, or if there is nothing to resume.
    """
    path = workdir / DEVICES_FILE
    if not store.list_steps(workdir) or not path.exists():
        return []
    old_devices, new_devices = json.loads(path.read_text()), _list_devices()
    if _are_equal(old_devices, new_devices):
        return []
    texts = [
        f"{devices['count']} x {devices['kind']} in {devices['processes']} process(es)"
        for devices in (old_devices, new_devices)
    ]
    return [
        f"remark: the run in {workdir} used {texts[0]} and resumes on {texts[1]}; what "
        "it learns differs by rounding only"
    ]


def write_devices(workdir: PathLike, *, memory_changes: str = "") -> None:
    """Write which devices the run uses, for `describe_device_changes`.

    Args:
        workdir: Workdir of the run.
        memory_changes: Flags with which the step fits into their memory.
    """
    devices = {**_list_devices(), MEMORY_CHANGES_KEY: memory_changes}
    atomic_write(workdir / DEVICES_FILE, json.dumps(devices).encode())


def read_memory_changes(workdir: PathLike) -> str:
    """Return the flags with which the step of the run in a workdir fits into its devices.

    Args:
        workdir: Workdir of the run; it need not exist.

    Returns:
        The flags; "" without changes, for another run, or on other devices.
    """
    path = workdir / DEVICES_FILE
    if not store.list_steps(workdir) or not path.exists():
        return ""
    devices = json.loads(path.read_text())
    is_same = _are_equal(devices, _list_devices())
    return devices.get(MEMORY_CHANGES_KEY, "") if is_same else ""


def _list_devices() -> dict[str, Any]:
    """Return the number and the kind of the devices of all processes."""
    return {
        "count": jax.device_count(),
        "kind": jax.devices()[0].device_kind,
        "processes": jax.process_count(),
    }


def _are_equal(devices: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Return whether two runs use equal devices, whatever changes they need."""
    return all(devices.get(key) == value for key, value in others.items())
