"""The labels of the server: names that objects can carry, with stable category IDs."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.store.database import Database

MAX_LABELS = 1000
_MAX_NAME_LENGTH = 200


class Label(NamedTuple):
    """A label.

    Attributes:
        label_id: Category ID in COCO files; never used for another label.
        name: Name of the label.
    """

    label_id: int
    name: str


class LabelList:
    """Labels in the database; thread-safe.

    Attributes:
        is_fixed: True if users must choose from the list.
    """

    def __init__(
        self, database: Database, fixed_names: Sequence[str] | None = None
    ) -> None:
        """Load the labels.

        Args:
            database: Database of the server.
            fixed_names: Names from which users must choose; None = users add labels.
        """
        self._database, self._lock = database, threading.RLock()
        self.is_fixed = fixed_names is not None
        self._load()
        if fixed_names is not None:
            with self._lock, database.transaction() as connection:
                connection.execute("UPDATE labels SET position = NULL")
                connection.executemany(
                    "INSERT INTO labels (name, position) VALUES (?, ?) "
                    "ON CONFLICT DO UPDATE SET position = excluded.position",
                    [(name, index) for index, name in enumerate(fixed_names)],
                )
            self._load()

    @property
    def labels(self) -> list[Label]:
        """The labels that are offered to users, in the order of the list."""
        return list(self._offered)

    @property
    def category_ids(self) -> Mapping[str, int]:
        """Name -> category ID, of all labels that objects can carry."""
        return dict(self._id_of_name)

    def name_of(self, label_id: int | None) -> str | None:
        """Return the name of a label; None without a label or for a removed one."""
        return self._name_of_id.get(label_id) if label_id is not None else None

    def choose(self, name: str) -> int:
        """Return the ID of the label that a user gives an object; add it if it is new.

        Args:
            name: Name of the label.

        Raises:
            RequestRejected: The list is fixed and has no such label (400), or is full.
        """
        with self._lock:
            known_ids = {label.name: label.label_id for label in self._offered}
            if name in known_ids:
                return known_ids[name]
            if self.is_fixed:
                raise RequestRejected(
                    f"{name[:100]!r} is not a label, expected one of "
                    f"{', '.join(list(known_ids)[:20])}"
                )
            if len(known_ids) >= MAX_LABELS:
                raise RequestRejected(
                    f"there are {MAX_LABELS} labels, the maximum; choose one of them"
                )
            return self._insert(name, position=len(known_ids))

    def keep(self, name: str) -> int:
        """Return the ID of a label from a file; a new one is not offered to users.

        Args:
            name: Name of the label.
        """
        with self._lock:
            known_id = self._id_of_name.get(name)
            return self._insert(name, None) if known_id is None else known_id

    def replace(self, new_labels: Sequence[tuple[int | None, str]]) -> None:
        """Replace the list that is offered to users.

        Args:
            new_labels: ID and name of each label, in order. A known ID with another
                name renames the label; the ID None adds one.

        Raises:
            RequestRejected: The list is fixed, or objects carry a label that would be
                removed (409); a name occurs twice or an ID is not known (400).
        """
        with self._lock:
            self._check_replacement(new_labels)
            kept_ids = {label_id for label_id, _ in new_labels}
            removed_ids = [
                label.label_id
                for label in self._offered
                if label.label_id not in kept_ids
            ]
            with self._database.transaction() as connection:
                for label_id in removed_ids:
                    connection.execute(
                        "DELETE FROM labels WHERE label_id = ?", (label_id,)
                    )
                # Labels may exchange their names, so all get temporary names first.
                connection.executemany(
                    "UPDATE labels SET name = char(1) || label_id WHERE label_id = ?",
                    [(label_id,) for label_id in kept_ids],
                )
                for position, (label_id, name) in enumerate(new_labels):
                    connection.execute(
                        "INSERT INTO labels VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                        "name = excluded.name, position = excluded.position",
                        (label_id, name, position),
                    )
                # The output files name the categories, so they are written again.
                connection.execute(
                    "UPDATE sessions SET saved_revision = saved_revision + 1 "
                    "WHERE saved_revision > 0"
                )
            self._load()

    def _check_replacement(self, new_labels: Sequence[tuple[int | None, str]]) -> None:
        if self.is_fixed:
            raise RequestRejected(
                "the labels are fixed by --labels; change that file and restart the "
                "server",
                409,
            )
        offered_ids = {label.label_id for label in self._offered}
        given_ids = [label_id for label_id, _ in new_labels if label_id is not None]
        names = [name for _, name in new_labels]
        hidden_names = self._id_of_name.keys() - {label.name for label in self._offered}
        if len(set(names)) < len(names) or len(set(given_ids)) < len(given_ids):
            raise RequestRejected("a label occurs twice, expected different ones")
        if not set(given_ids) <= offered_ids:
            raise RequestRejected(
                "a label has an unknown id; leave out the id of a new label"
            )
        # A new label may have the name of a known label that is not offered: it becomes
        # that label.
        taken_names = hidden_names & {name for label_id, name in new_labels if label_id}
        if taken_names:
            raise RequestRejected(
                f"the label {min(taken_names)!r} already exists; choose another name"
            )
        removed_ids = offered_ids - set(given_ids)
        used_names = [
            self._name_of_id[row["label_id"]]
            for row in self._database.fetch_all(
                "SELECT DISTINCT label_id FROM objects WHERE deleted_revision IS NULL"
            )
            if row["label_id"] in removed_ids
        ]
        if used_names:
            raise RequestRejected(
                f"objects have the label {used_names[0]!r}; give them another label "
                "first",
                409,
            )

    def _insert(self, name: str, position: int | None) -> int:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO labels (name, position) VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET position = excluded.position",
                (name, position),
            )
        self._load()
        return self._id_of_name[name]

    def _load(self) -> None:
        rows = self._database.fetch_all("SELECT * FROM labels ORDER BY position")
        self._name_of_id = {row["label_id"]: row["name"] for row in rows}
        self._id_of_name = {row["name"]: row["label_id"] for row in rows}
        self._offered = [
            Label(row["label_id"], row["name"])
            for row in rows
            if row["position"] is not None
        ]


def read_label_file(path: Path) -> list[str]:
    """Read the names of labels, one a line; empty lines are skipped.

    Args:
        path: Text file in UTF-8.

    Raises:
        ValueError: The file cannot be read, has no name, one twice or too long a one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"--labels {path} cannot be read ({error}); expected a text file with one "
            "label a line"
        ) from None
    names = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(names) <= MAX_LABELS or max(map(len, names)) > _MAX_NAME_LENGTH:
        raise ValueError(
            f"--labels {path} has {len(names)} labels, expected 1 to {MAX_LABELS} lines "
            f"of at most {_MAX_NAME_LENGTH} characters"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"--labels {path} has {twice!r} twice; remove one")
    return names
