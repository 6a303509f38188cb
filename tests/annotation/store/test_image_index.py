import threading
import time

import pytest

from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.store import image_index
from mst_jax.annotation.store.image_index import ImageIndex
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE, insert_session


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("a.png", "B.png", "more/c.png", "more/d.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    return tmp_path / "photos"


@pytest.fixture
def index(photos, database):
    return ImageIndex(
        database, ImageFolder(photos, Limits()), lambda names: {"more/d.png"}
    )


def read_all(index: ImageIndex, **options):
    page = index.read_page(**{"offset": 0, "limit": 100, **options})
    while page.is_scanning:
        time.sleep(0.01)
        page = index.read_page(**{"offset": 0, "limit": 100, **options})
    return page


def test_images_are_listed_with_size_status_and_reason(index, database):
    insert_session(
        database, "one", folder_name="a.png", num_objects=2, num_unfinished=1
    )
    insert_session(database, "two", folder_name="B.png", num_objects=2)
    page = read_all(index)
    assert [(item.name, item.status) for item in page.images] == [
        ("B.png", "done"),
        ("a.png", "in_progress"),
        ("broken.png", "failed"),
        ("more/c.png", "empty"),
        ("more/d.png", "done"),
    ]
    assert page.counts == {"done": 2, "in_progress": 1, "empty": 1, "failed": 1}
    assert page.images[1][1:] == (60, 84, "in_progress", 2, "one", None)
    assert page.images[2].height is None and "readable image" in page.images[2].reason


def test_list_that_a_scan_outdates_while_it_is_read_is_marked(index, monkeypatch):
    has_rows, measure = threading.Event(), ImageFolder.measure
    count_images = ImageIndex._count

    def measure_later(folder, name):
        assert has_rows.wait(timeout=60)
        return measure(folder, name)

    def end_scan_before_counting(index, *args):
        has_rows.set()
        deadline = time.monotonic() + 60
        while index._is_scanning and time.monotonic() < deadline:
            time.sleep(0.01)
        return count_images(index, *args)

    monkeypatch.setattr(ImageFolder, "measure", measure_later)
    monkeypatch.setattr(ImageIndex, "_count", end_scan_before_counting)
    page = index.read_page(offset=0, limit=9)
    assert page.images[2].status == "empty" and page.is_scanning
    # However slow the machine is, no further scan begins.
    monkeypatch.setattr(image_index, "_RESCAN_SECONDS", 1e9)
    page = index.read_page(offset=0, limit=9)
    assert page.images[2].status == "failed" and not page.is_scanning


def test_list_is_filtered_searched_and_paged(index):
    assert [item.name for item in read_all(index, search="MORE/").images] == [
        "more/c.png",
        "more/d.png",
    ]
    page = index.read_page(offset=1, limit=2)
    assert (page.total, page.offset) == (5, 1)
    assert [item.name for item in page.images] == ["a.png", "broken.png"]
    page = index.read_page(offset=0, limit=10, status="failed")
    assert [item.name for item in page.images] == ["broken.png"] and page.total == 1
    page = index.read_page(offset=0, limit=2, around="more/d.png")
    assert "more/d.png" in [item.name for item in page.images] and page.offset == 3
    assert index.read_page(offset=0, limit=9, search="100%_").images == []


def test_new_changed_and_removed_files_are_noticed(index, photos, monkeypatch):
    read_all(index)
    monkeypatch.setattr(image_index, "_RESCAN_SECONDS", 0.0)
    (photos / "new.png").write_bytes(encode_png(IMAGE[:7]))
    (photos / "a.png").write_bytes(encode_png(IMAGE[:9]))
    (photos / "B.png").unlink()
    for _ in range(100):
        page = read_all(index)
        heights = {item.name: item.height for item in page.images}
        if (heights.get("new.png"), heights["a.png"]) == (7, 9):
            break
        time.sleep(0.02)
    assert (heights["new.png"], heights["a.png"]) == (7, 9) and "B.png" not in heights


def test_page_of_ten_thousand_images_takes_under_a_third_of_a_second(
    tmp_path, database
):
    (tmp_path / "empty").mkdir()
    index = ImageIndex(database, ImageFolder(tmp_path / "empty", Limits()), None)
    read_all(index)
    with database.transaction() as connection:
        for number in range(10_000):
            name = f"folder {number % 7}/image {number}.jpg"
            connection.execute(
                "INSERT INTO folder_images VALUES (?, ?, 0, 60, 84, NULL, 0)",
                (name, name),
            )
    start = time.perf_counter()
    page = index.read_page(
        offset=0, limit=200, status="empty", around="folder 6/image 9.jpg", search="9"
    )
    assert time.perf_counter() - start < 0.3
    assert len(page.images) == 200 and page.counts["empty"] == 10_000
