"""Many users at once, while the server is killed and its disk is full.

`MST_JAX_SOAK_SECONDS=1800 python -m pytest -m slow tests/annotation/test_soak.py` runs
the long form. With `MST_JAX_SOAK_PAUSE=1`, users wait about a second before each action.
"""

import json
import os
import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from mst_jax.data.formats.coco_segmentation import decode_segmentation
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import decode_label_map
from tests.helpers.analytic_network import draw_image
from tests.helpers.page_driver import decode_run_lengths
from tests.helpers.soak_users import SoakServer, SoakUser
from tests.helpers.token_model import write_token_model

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("MST_JAX_SOAK_SECONDS", "40"))
NUM_USERS = int(os.environ.get("MST_JAX_SOAK_USERS", "20"))
PAUSE_SECONDS = float(os.environ.get("MST_JAX_SOAK_PAUSE", "0"))
"""Mean pause of a user before each action."""

NUM_KILLS = max(2, round(SECONDS / 180))
NUM_IMAGES = 8 + round(SECONDS / 20)  # an image has at most 500 objects
MAX_FILE_BYTES = 2**16
"""Largest file of the server while its disk is full."""


@pytest.fixture
def server(tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for index in range(NUM_IMAGES):
        folder = tmp_path / "photos" / ("more" if index % 2 else "")
        image, _ = draw_image(60 + index % 8, 84)
        (folder / f"{index}.png").write_bytes(encode_png(image))
    model_dir = write_token_model(tmp_path / "model")
    server = SoakServer(model_dir, tmp_path / "photos", tmp_path / "masks")
    server.start()
    yield server
    server.kill()


def limit_file_size(pid: int, max_bytes: int) -> None:
    """Let all writes beyond a size fail, as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (max_bytes, resource.RLIM_INFINITY))


def compare(server: SoakServer, users: list[SoakUser]) -> None:
    """Compare what users were told with the server and with its output files."""
    server.wait_for_exports()
    for name, session in server.read_sessions().items():
        objects = {item["object_id"]: item for item in session["objects"]}
        told = [user.told[key] for user in users for key in user.told if key[0] == name]
        for item in told:
            item.check(objects.get(item.object_id))
        check_files(server.save_dir / name, objects)


def check_files(image_path: Path, objects: dict[int, dict]) -> None:
    """Compare the output files of an image with the masks of its finished objects."""
    saved = {
        object_id: item
        for object_id, item in objects.items()
        if item["saved_version"] is not None
    }
    path = image_path.with_suffix(".png")
    if not saved and not path.exists():
        return
    coco_tree = json.loads(path.with_suffix(".json").read_bytes())
    annotations = {item["id"]: item for item in coco_tree["annotations"]}
    assert annotations.keys() == saved.keys()
    for object_id, item in saved.items():
        # A reopened object keeps the mask with which it was finished last.
        if item["saved_version"] == item["version"]:
            mask = decode_run_lengths(item["mask"])
            segmentation = annotations[object_id]["segmentation"]
            np.testing.assert_array_equal(
                decode_segmentation(segmentation, *mask.shape), mask
            )
    # Masks of a random model are specks.
    label_map = decode_label_map(path.read_bytes(), may_be_smoothed=False)
    assert set(np.unique(label_map)) - {0} <= set(saved)
    if not saved:
        return
    last_id = max(saved)  # nothing covers the last object
    if saved[last_id]["saved_version"] == saved[last_id]["version"]:
        assert (label_map == last_id).sum() == saved[last_id]["area"]


def test_store_exports_and_clients_agree_after_every_crash(server):
    users = [SoakUser(server, seed, PAUSE_SECONDS) for seed in range(NUM_USERS)]
    randomness = random.Random(0)
    for round_index in range(NUM_KILLS):
        for user in users:
            user.start()
        round_seconds = SECONDS / NUM_KILLS
        time.sleep(round_seconds * randomness.uniform(0.4, 0.6))
        if round_index == NUM_KILLS // 2:
            limit_file_size(server.pid, MAX_FILE_BYTES)
            time.sleep(round_seconds * 0.2)
            limit_file_size(server.pid, resource.RLIM_INFINITY)
        time.sleep(round_seconds * 0.3)
        server.kill()
        for user in users:
            user.stop()
        assert [user.error for user in users] == [None] * NUM_USERS
        server.start()
        compare(server, users)
        print(f"kill {round_index + 1}: store = exports = what users were told")
    print(
        f"{NUM_KILLS} kills, {sum(user.num_actions for user in users)} actions on "
        f"{sum(len(user.told) for user in users)} objects, "
        f"{sum(user.num_full_disk for user in users)} rejected by the full disk"
    )
    assert sum(len(user.told) for user in users) > NUM_USERS
    assert sum(user.num_full_disk for user in users) > 0
    assert sum(user.num_actions for user in users) > 10 * NUM_USERS
