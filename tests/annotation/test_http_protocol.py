import socket
import threading
import time

import pytest
import uvicorn

from mst_jax.annotation import http_protocol
from mst_jax.annotation.http_protocol import TimeoutProtocol


async def answer(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer"})


@pytest.fixture
def port(monkeypatch):
    """Serve with a short timeout; return the port."""
    monkeypatch.setattr(http_protocol, "HEADER_TIMEOUT", 0.4)
    config = uvicorn.Config(answer, http=TimeoutProtocol, log_level="error")
    server = uvicorn.Server(config)
    server_socket = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([server_socket],))
    thread.start()
    yield server_socket.getsockname()[1]
    server.should_exit = True
    thread.join()
    server_socket.close()


def read_until_closed(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    data = b""
    while block := connection.recv(1000):
        data += block
    return data


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nhost: a\r\nx: "])
def test_connection_without_complete_headers_is_closed(port, start):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(start)
        start_time = time.monotonic()
        assert read_until_closed(connection) == b""
        assert time.monotonic() - start_time < 15


def test_headers_that_trickle_do_not_postpone_the_end(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n")
        with pytest.raises(OSError):
            for _ in range(300):
                connection.sendall(b"x: y\r\n")
                time.sleep(0.05)


def test_complete_requests_are_answered_one_after_the_other(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            data = b""
            while not data.endswith(b"0\r\n\r\n"):  # the last chunk
                data += connection.recv(1000)
            assert b"answer" in data
            time.sleep(0.6)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert b"answer" in read_until_closed(connection)
