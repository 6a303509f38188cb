"""Read text files as people have them: byte order marks, CRLF, trailing blanks."""

from __future__ import annotations

import codecs
from pathlib import Path

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text_lines(path: Path) -> list[str]:
    """Read the lines of a text file, without blanks at their ends.

    Args:
        path: UTF-8 text with or without byte order mark, or UTF-16 with one; lines may
            end as on any system.

    Raises:
        ValueError: The file is not text in one of these encodings; the message names it.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} is not a text file in UTF-8: {error.reason}"
        ) from error
    # UTF-16 without a mark, or a binary file.
    if "\0" in text:
        raise ValueError(
            f"{path.name} is not a text file in UTF-8: it holds zero bytes"
        )
    return [line.strip() for line in text.splitlines()]
