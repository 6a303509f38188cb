"""Rewrite the address of the repository on GitHub in every file of the checkout.

python tools/set_repository.py OWNER/NAME

Run it in a fork: the address stands in pyproject.toml, in notebooks, links and badges.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+"


def main() -> None:
    """Rewrite the address that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", metavar="OWNER/NAME")
    new_slug = parser.parse_args().repository
    if not re.fullmatch(_SLUG, new_slug):
        parser.error(
            f"the repository is {new_slug!r}; expected OWNER/NAME as in the address "
            "https://github.com/OWNER/NAME"
        )
    for path in rewrite_address(ROOT, new_slug):
        print(path)


def read_address(root: Path) -> str:
    """Return OWNER/NAME of the repository, from `pyproject.toml`.

    Args:
        root: Folder of the checkout.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project["urls"]["Source"].removeprefix("https://github.com/")


def rewrite_address(root: Path, new_slug: str) -> list[str]:
    """Replace the address in all files that git tracks.

    Args:
        root: Folder of the checkout.
        new_slug: OWNER/NAME of the new address.

    Returns:
        The paths of the changed files, relative to `root`.
    """
    old_slug, changed_paths = read_address(root), []
    # No part of a longer name: `mst-jax/mst_jax_data` stays.
    pattern = re.compile(rf"(?<![\w-]){re.escape(old_slug)}(?![\w-])".encode())
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    )
    for name in listing.stdout.decode().rstrip("\0").split("\0"):
        path = root / name
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        replaced = pattern.sub(new_slug.encode(), content)
        # Binary files hold a zero byte.
        if replaced != content and b"\0" not in content:
            path.write_bytes(replaced)
            changed_paths.append(name)
    return changed_paths


if __name__ == "__main__":
    sys.exit(main())
