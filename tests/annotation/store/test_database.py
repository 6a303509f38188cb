import sqlite3
import subprocess
import sys

import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.store.database import DATABASE_NAME, Database, lock_folder

INSERT = "INSERT INTO labels (name, position) VALUES (?, 0)"
FILL_DISK = """
import resource, sys
from pathlib import Path
from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.store.database import Database
database = Database(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
stored = 0
try:
    for index in range(1000):
        with database.transaction() as connection:
            connection.execute(
                "INSERT INTO labels (name, position) VALUES (?, 0)", (f"{index}" * 2000,)
            )
        stored += 1
except RequestRejected as error:
    assert error.status_code == 507, error
    print(stored, error.detail)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
with database.transaction() as connection:
    connection.execute("INSERT INTO labels (name, position) VALUES ('last', 0)")
import os
os._exit(9)  # as after kill -9
"""


def test_transaction_is_stored_completely_or_not_at_all(tmp_path):
    database = Database(tmp_path)
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(INSERT, ("a",))
        connection.execute(INSERT, ("b",)).fetchone()[1 / 0]
    assert database.fetch_all("SELECT * FROM labels") == []
    with database.transaction() as connection:
        connection.execute(INSERT, ("c",))
    database.close()
    reopened = Database(tmp_path)
    assert reopened.fetch_one("SELECT name FROM labels")["name"] == "c"
    assert reopened.fetch_one("SELECT name FROM labels WHERE name = ?", ("x",)) is None
    reopened.close()


def test_file_is_private_and_durable(tmp_path):
    database = Database(tmp_path / "state")
    assert database.path.stat().st_mode & 0o077 == 0
    assert database.path.parent.stat().st_mode & 0o077 == 0
    assert database.fetch_one("PRAGMA journal_mode")[0] == "wal"
    assert database.fetch_one("PRAGMA synchronous")[0] == 2  # FULL
    database.close()


def test_second_server_is_refused(tmp_path):
    database = Database(tmp_path)
    with pytest.raises(ValueError, match="another server"):
        Database(tmp_path)
    database.close()
    Database(tmp_path).close()
    lock_folder(tmp_path).close()


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(900)])
def test_damaged_file_is_one_sentence_and_is_kept(tmp_path, content):
    (tmp_path / DATABASE_NAME).write_bytes(content)
    with pytest.raises(ValueError, match="move it away"):
        Database(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == content
    (tmp_path / DATABASE_NAME).unlink()
    Database(tmp_path).close()


def test_file_of_another_version_is_refused(tmp_path):
    Database(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match="format 99"):
        Database(tmp_path)


def test_full_disk_is_one_sentence_and_keeps_what_was_acknowledged(tmp_path):
    command = [sys.executable, "-c", FILL_DISK, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 9, result.stderr
    num_stored, message = result.stdout.split(" ", 1)
    assert "nothing was changed" in message and 0 < int(num_stored) < 1000
    database = Database(tmp_path)
    names = [row["name"] for row in database.fetch_all("SELECT name FROM labels")]
    assert names == [f"{index}" * 2000 for index in range(int(num_stored))] + ["last"]
    database.close()


def test_errors_of_statements_are_reported(tmp_path):
    database = Database(tmp_path)
    with pytest.raises(RequestRejected) as caught:
        database.fetch_all("SELECT * FROM nothing")
    assert caught.value.status_code == 507
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute("INSERT INTO labels (name, position) VALUES (NULL, 0)")
    database.close()
