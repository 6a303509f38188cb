"""The output files of --save: a label map and a COCO file for each annotated image."""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from mst_jax.annotation.files.export_formats import (
    LabeledMask,
    SessionExport,
    export_coco_rle,
    export_label_map,
)
from mst_jax.annotation.sessions.mask_files import (
    find_mask_files,
    list_mask_files,
    read_mask_files,
    without_suffix,
)
from mst_jax.annotation.store.database import Database
from mst_jax.atomic_io import atomic_write
from mst_jax.data.formats.annotation_files import match_mask_name


class SaveFolder:
    """Writes and reads the output files.

    The label map is for `mst_jax.prepare`. Only the COCO file keeps overlaps, labels and
    colors. A file that this server has not written is moved to `replaced/` in the state
    folder before it is overwritten.

    Attributes:
        output_dir: Folder of the output files.
    """

    def __init__(self, output_dir: Path, database: Database) -> None:
        """Use a folder.

        Args:
            output_dir: Folder for the output files; it need not exist.
            database: Database of the server; it remembers what was written.
        """
        self.output_dir, self._database = output_dir, database
        self._replaced_dir = database.path.parent / "replaced"

    def choose_stem(self, image_name: str, folder_names: Iterable[str]) -> str:
        """Return the path of an image's output files without their suffixes.

        The stem is unique among those of all sessions; see `choose_output_stem`.

        Args:
            image_name: Path of the image relative to its folder.
            folder_names: Names of all images of the folder.
        """
        plain_stem = without_suffix(image_name)
        siblings = [name for name in folder_names if without_suffix(name) == plain_stem]
        return choose_output_stem(image_name, siblings, self._is_taken)

    def find_annotated(self, image_names: Iterable[str]) -> set[str]:
        """Return the images that have mask files.

        Args:
            image_names: Paths of all images relative to their folder.
        """
        name_of_stem: dict[str, str] = {}
        # Of images that differ in the suffix only, the first has the plain stem.
        for name in sorted(image_names):
            stem = without_suffix(name)
            name_of_stem[name if stem in name_of_stem else stem] = name
        matches = (
            match_mask_name(without_suffix(path.as_posix()), name_of_stem)
            for path in list_mask_files(self.output_dir, recursive=True)
        )
        return {name_of_stem[matched[0]] for matched in matches if matched}

    def write_objects(self, stem: str, export: SessionExport) -> None:
        """Write the files of an image durably; earlier files of it are replaced.

        Args:
            stem: Path without suffix, relative to the folder.
            export: Image and finished objects.

        Raises:
            OSError: The disk is full, or writing is not permitted.
        """
        for export_format in (export_label_map, export_coco_rle):
            exported_file = export_format(export)
            self._write_file(stem + exported_file.suffix, exported_file.data)

    def read_objects(
        self,
        stem: str,
        height: int,
        width: int,
        image_names: Iterable[str] = (),
    ) -> list[LabeledMask]:
        """Return the objects in the files of an image; none if there are no files.

        Without a COCO file the values of the label map become object IDs. There may be
        several label maps `STEM_0.png`, `STEM_1.png`, ..., as `mst_jax.prepare` reads
        them; a value that occurs twice becomes a free object ID.

        Args:
            stem: Path without suffix, relative to the folder.
            height: Height of the image in pixels.
            width: Width of the image in pixels.
            image_names: Images of the same folder, which may be named as a layer.

        Raises:
            RequestRejected: A file is damaged, or belongs to another image (409).
        """
        return read_mask_files(
            self.output_dir,
            find_mask_files(self.output_dir, stem, image_names),
            height,
            width,
        )

    def find_changed_stems(self) -> set[str]:
        """Return the stems whose files are missing or not as this server wrote them."""
        known_hashes: dict[str, set[str]] = {}
        for row in self._database.fetch_all("SELECT path, sha256 FROM output_files"):
            known_hashes.setdefault(row["path"], set()).add(row["sha256"])
        return {
            path.rpartition(".")[0]
            for path, hashes in known_hashes.items()
            if _hash_file(self.output_dir / path) not in hashes
        }

    def _is_taken(self, stem: str) -> bool:
        return bool(
            self._database.fetch_one(
                "SELECT 1 FROM sessions WHERE output_stem = ?", (stem,)
            )
        )

    def _write_file(self, relative_path: str, data: bytes) -> None:
        path, new_hash = (
            self.output_dir / relative_path,
            hashlib.sha256(data).hexdigest(),
        )
        old_hash = _hash_file(path)
        known_rows = self._database.fetch_all(
            "SELECT sha256 FROM output_files WHERE path = ?", (relative_path,)
        )
        known_hashes = {row["sha256"] for row in known_rows}
        if old_hash is not None and old_hash not in {*known_hashes, new_hash}:
            self._move_away(relative_path)
        # The hash is stored before the file is written: after a crash in between, both
        # the old and the new content are known.
        if new_hash not in known_hashes:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO output_files VALUES (?, ?)", (relative_path, new_hash)
                )
        if old_hash != new_hash:
            atomic_write(path, data, durable=True)
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM output_files WHERE path = ? AND sha256 != ?",
                (relative_path, new_hash),
            )

    def _move_away(self, relative_path: str) -> None:
        """Move a file that this server did not write to a free name."""
        target, index = self._replaced_dir / relative_path, 0
        while target.exists():
            index += 1
            target = self._replaced_dir / f"{relative_path}.{index}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.output_dir / relative_path, target)


def choose_output_stem(
    image_name: str, siblings: Iterable[str], is_taken: Callable[[str], bool]
) -> str:
    """Return the path of an image's label map without `.png`.

    The stem is the image's name without suffix. Of images that differ in the suffix
    only, the first keeps it, and the others keep their suffixes: `a.jpg.png`.

    Args:
        image_name: Path of the image relative to its folder.
        siblings: Names of the images that differ in the suffix only.
        is_taken: Returns whether another image has a stem.
    """
    is_first = image_name == min([image_name, *siblings])
    candidates = [without_suffix(image_name), image_name]
    candidates = candidates if is_first else candidates[1:]
    index = 0
    while is_taken(candidates[0]):
        index += 1
        candidates = [*candidates[1:], f"{image_name}-{index}"]
    return candidates[0]


def _hash_file(path: Path) -> str | None:
    """Return the SHA-256 of a file; None if there is no file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
