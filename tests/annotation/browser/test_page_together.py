"""Two people on one image: each sees what the other has changed."""

import contextlib

import pytest

from tests.helpers.page_driver import (
    PageDriver,
    delete_folder_objects,
    wait_for_objects,
    wait_until_equal,
)

pytestmark = pytest.mark.browser


@pytest.fixture
def pages(browser, server_url):
    """Return two pages of different users with the same image of the folder."""
    with contextlib.ExitStack() as stack:
        pages = []
        for _ in range(2):
            context = stack.enter_context(browser.new_context())
            delete_folder_objects(context.request, server_url)
            page = PageDriver(context, server_url)
            page.wait_for_session(other_than=None)
            page.open_listed("scene 2.png")
            pages.append(page)
        yield pages
        for page in pages:
            assert page.external_requests == []


def test_changes_of_one_user_appear_at_the_other(pages):
    first, second = pages
    assert first.session_id == second.session_id
    # 1. A new object, its clicks and its name.
    first.click(42, 20)
    first.click(10, 50, button="right")
    wait_for_objects(second, 1)
    wait_until_equal(first, second)
    first.tab.get_by_label("Object name").fill("disk")
    first.press_key("Enter")
    wait_until_equal(first, second)
    # 2. The second user begins an object of their own.
    assert second.current_object is None
    second.click(70, 50)
    wait_for_objects(first, 2)
    assert first.current_object["name"] == "disk"
    # 3. Deletion and undo of the first user.
    first.press_key("Delete")
    wait_for_objects(second, 1)
    first.press_key("Control+z")
    wait_for_objects(second, 2)
    second.press_key("Space")
    wait_until_equal(first, second)
    assert first.console_errors == second.console_errors == []


def test_object_deleted_by_another_user_is_no_ghost(pages):
    first, second = pages
    first.click(42, 20)
    wait_for_objects(second, 1)
    second.tab.locator("#object-list li").first.click()
    first.press_key("Delete")
    wait_for_objects(second, 0)
    assert "Another user" in second.last_toast()
    # The next click of the second user begins a new object.
    second.click(70, 50)
    wait_until_equal(first, second)
    assert [item["clicks"] for item in first.objects] == [[[70, 50, True]]]


def test_click_on_an_object_that_was_just_deleted_is_reported(pages):
    first, second = pages
    first.click(42, 20)
    wait_for_objects(second, 1)
    second.tab.locator("#object-list li").first.click()
    # The second page does not hear of the deletion before its click.
    second.tab.route("**/changes*", lambda route: route.abort())
    first.press_key("Delete")
    second.click(10, 50)
    second.tab.wait_for_selector(".toast")
    second.tab.unroute("**/changes*")
    wait_for_objects(second, 0)
    second.click(70, 50)
    wait_until_equal(first, second)
    assert len(first.objects) == 1
