"""The list of a large folder: status, filter, search, and images that fail."""

import shutil
import time

import pytest

from mst_jax.data.formats import images
from tests.helpers.analytic_network import draw_image
from tests.helpers.browser import serve
from tests.helpers.page_driver import PageDriver
from tests.helpers.token_model import write_token_model

pytestmark = pytest.mark.browser

NUM_IMAGES = 10_000
MAX_SECONDS = 0.3  # of a request for a page of the list
BROKEN_NAME = "image 00001.png"


@pytest.fixture(scope="module")
def large_folder_url(tmp_path_factory):
    """Start a server with 10,000 images, one of them damaged; return its URL."""
    folder = tmp_path_factory.mktemp("large") / "images"
    folder.mkdir()
    first_path = folder / "image 00000.png"
    first_path.write_bytes(images.encode_png(draw_image(60, 84)[0]))
    for index in range(1, NUM_IMAGES - 1):
        # Links: a copy of each would take longer.
        (folder / f"image {index:05}.png").hardlink_to(first_path)
    (folder / BROKEN_NAME).unlink()
    (folder / BROKEN_NAME).write_text("no image")
    shutil.copy(first_path, folder / "zebra.png")
    model_dir = write_token_model(tmp_path_factory.mktemp("models") / "token model")
    sessions_dir = tmp_path_factory.mktemp("sessions")
    with serve(model_dir, "--sessions", sessions_dir, "--folder", folder) as server_url:
        yield server_url


@pytest.fixture
def page(context, large_folder_url):
    """Return a page with the first image of the large folder open."""
    page = PageDriver(context, large_folder_url)
    page.wait_for_session(other_than=None)
    wait_for_scan(page)
    # Before that, the list asked for a thumbnail of the damaged image.
    page.console_errors.clear()
    yield page
    assert page.console_errors == page.external_requests == []


def test_list_of_ten_thousand_images_is_quick(page):
    # 1. Every page of the list arrives in time; only visible rows exist.
    seconds = []
    for offset in (0, 5000, 9800):
        url = f"{page.server_url}api/images?offset={offset}&limit=200"
        start_time = time.perf_counter()
        assert page.tab.request.get(url).json()["total"] == NUM_IMAGES
        seconds.append(time.perf_counter() - start_time)
    assert max(seconds) < MAX_SECONDS
    rows = page.tab.locator("#image-list li")
    assert rows.count() < 60
    # 2. The end of the list is one scroll away.
    page.tab.evaluate("document.getElementById('image-scroll').scrollTop = 1e9")
    page.tab.locator("#image-list button[title='zebra.png']").click()
    page.wait_for_image("zebra.png")
    assert rows.count() < 60
    # 3. A reload finds the image again in the middle of nowhere.
    page.tab.reload()
    page.wait_for_image("zebra.png")
    page.tab.wait_for_selector("#image-list button[title='zebra.png'][aria-current]")
    page.press_key("a")
    page.wait_for_image("image 09998.png")


def test_search_and_filter_list_matching_images(page):
    page.press_key("/")
    page.tab.keyboard.type("00042", delay=page.press_ms)
    page.tab.wait_for_function(
        "() => document.querySelectorAll('#image-list li').length === 1"
    )
    page.open_listed("image 00042.png")
    page.click(42, 20)
    page.tab.wait_for_selector("#image-list small:has-text('in progress')")
    page.press_key("Space")
    page.tab.wait_for_selector("#image-list small:has-text('✓ 1 object')")
    # The filter lists it among the images that are done.
    page.tab.locator("#image-search").fill("")
    page.tab.locator("#image-status").select_option("done")
    page.tab.wait_for_function(
        "() => document.querySelectorAll('#image-list li').length === 1"
    )
    options = page.tab.locator("#image-status option").all_inner_texts()
    assert options[1:] == [
        "Empty (9,998)",
        "In progress (0)",
        "Done (1)",
        "Cannot be shown (1)",
    ]
    # Without a match there is a message, not an empty list.
    page.tab.locator("#image-search").fill("nothing")
    page.tab.wait_for_selector("#no-images:visible")


def test_damaged_image_is_listed_with_its_reason_and_skipped(page):
    page.wait_for_image("image 00000.png")
    row = page.tab.locator(f"#image-list li:has(button[title='{BROKEN_NAME}'])")
    reason = row.locator("small").inner_text()
    assert reason
    # The next image is the one after it.
    page.press_key("d")
    page.wait_for_image("image 00002.png")
    # Opened by hand, it says why, and the next image is one key away.
    row.locator("button").click()
    page.tab.wait_for_selector("#open-error:visible")
    assert BROKEN_NAME in page.tab.locator("#open-error p").inner_text()
    page.press_key("d")
    page.wait_for_image("image 00002.png")
    page.console_errors.clear()


def wait_for_scan(page):
    """Wait until the server has read the headers of all images."""
    for _ in range(600):
        url = f"{page.server_url}api/images?status=failed"
        if page.tab.request.get(url).json()["total"] == 1:
            return
        page.tab.wait_for_timeout(100)
    raise AssertionError("the folder is not read after 60 s")
