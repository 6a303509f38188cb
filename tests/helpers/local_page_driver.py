"""Drive the page without a server like a user, see `PageDriver`."""

from tests.helpers.page_driver import PageDriver


class LocalPageDriver(PageDriver):
    """A browser tab with the page; its sessions are in the browser's storage."""

    def reload(self) -> None:
        """Reload the page, and wait until the last session is open again."""
        self.tab.reload()
        self.tab.wait_for_selector("#canvas[data-tool]")
        self.wait_for_session(other_than=None)

    def fetch_session(self) -> dict:
        """Return the session as the browser has stored it."""
        return self.run_script(
            "const {requestJson} = await import('/static/server/api_client.js');"
            "return requestJson('GET', `/sessions/${a[0]}`);",
            self.session_id,
        )
