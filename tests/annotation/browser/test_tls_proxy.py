"""The server behind the proxies of the documentation, with the page in a browser."""

import contextlib
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers.browser import find_free_port, serve
from tests.helpers.page_driver import PageDriver, wait_for_objects, wait_until_equal
from tests.helpers.token_model import write_token_model

pytestmark = pytest.mark.browser

HOST, TOKEN = "labels.example.org", "a token+with/signs="
SERVING_PAGE = Path(__file__).parents[3] / "docs" / "serving.md"
NGINX_FILE = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/a; uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
    {server_block}
}}
"""


@pytest.fixture(scope="module")
def backend_port(image_dir, tmp_path_factory):
    """Start a server with a token and a public host; return its port."""
    model_dir = write_token_model(tmp_path_factory.mktemp("models") / "model")
    flags = ["--sessions", tmp_path_factory.mktemp("sessions")]
    flags += ["--folder", image_dir / "folder", "--public-host", HOST]
    with serve(model_dir, *flags, token=TOKEN) as server_url:
        yield int(server_url.rstrip("/").rpartition(":")[2])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the paths of a certificate signed by itself and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "labels.pem", folder / "labels.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def read_example(first_word: str) -> str:
    """Return the code block of the documentation that begins with a word."""
    blocks = re.findall(r"```\n(.*?)```", SERVING_PAGE.read_text(), re.DOTALL)
    (block,) = (item for item in blocks if item.startswith(first_word))
    return block


def write_nginx(folder: Path, port: int, backend_port: int, certificate) -> list[str]:
    """Write the configuration of the documentation; return the command."""
    block = read_example("server {")
    for old, new in (
        ("443", f"127.0.0.1:{port}"),
        ("/etc/ssl/labels.pem", str(certificate[0])),
        ("/etc/ssl/labels.key", str(certificate[1])),
        (":8000", f":{backend_port}"),
    ):
        assert old in block
        block = block.replace(old, new)
    text = NGINX_FILE.format(folder=folder, server_block=block)
    (folder / "nginx.conf").write_text(text)
    return ["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def write_caddy(folder: Path, port: int, backend_port: int, certificate) -> list[str]:
    """Write the configuration of the documentation; return the command."""
    block = read_example(HOST).replace(":8000", f":{backend_port}")
    # A real host name has a certificate that Caddy fetches by itself.
    block = block.replace(
        f"{HOST} {{", f"{HOST}:{port} {{\n tls {certificate[0]} {certificate[1]}"
    )
    options = "{\n admin off\n auto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + block)
    return ["caddy", "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


@pytest.fixture(params=[write_nginx, write_caddy], ids=["nginx", "caddy"])
def proxy_port(request, tmp_path, backend_port, certificate):
    """Run a proxy with the configuration of the documentation; return its port."""
    port = find_free_port()
    command = request.param(tmp_path, port, backend_port, certificate)
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with subprocess.Popen(command) as process:
        wait_until_open(port, process)
        yield port
        process.terminate()


def wait_until_open(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 20
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.1)


@pytest.fixture
def make_context(browser):
    """Return a function that makes a browser profile, as of another person."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            browser.new_context(ignore_https_errors=True, **options)
        )


def open_url(context, url: str):
    """Return the response to the request of a new tab; only tabs resolve the name."""
    return context.new_page().goto(url)


def test_two_users_annotate_through_the_proxy(make_context, proxy_port):
    url = f"https://{HOST}:{proxy_port}/"
    assert open_url(make_context(), f"{url}api/about").status == 401
    program = make_context(extra_http_headers={"authorization": f"Bearer {TOKEN}"})
    counts = open_url(program, f"{url}api/images").json()["counts"]
    assert sum(counts.values()) == 3 and counts["empty"]
    pages = []
    for _ in range(2):
        context = make_context()
        page = PageDriver(context, f"{url}?token={quote(TOKEN, safe='')}")
        # The token leaves the address bar, and the cookie is sent over TLS only.
        assert page.tab.url.partition("#")[0] == url
        (cookie,) = context.cookies()
        assert cookie["secure"] and cookie["httpOnly"]
        page.wait_for_session(other_than=None)
        page.open_listed(f"scene {counts['done']}.png")  # without objects
        pages.append(page)
    first, second = pages
    first.click(42, 20)
    first.press_key("Space")
    wait_for_objects(second, 1)
    wait_until_equal(first, second)
    (item,) = second.objects
    assert item["finished"] and item["area"] > 0
    assert first.console_errors == second.console_errors == []
