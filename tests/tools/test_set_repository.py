"""The address of the repository is the same everywhere, and one command changes it."""

import re
import subprocess
import sys

from tests.helpers.notebooks import NOTEBOOK_PATHS, ROOT, read_notebook
from tools.set_repository import read_address, rewrite_address

# Files of the checkout in which users meet the address.
FILES_WITH_ADDRESS = (
    "README.md",
    "pyproject.toml",
    "mkdocs.yml",
    "CITATION.cff",
    "CHANGELOG.md",
    "docs/notebooks.md",
    *(f"colab/{path.name}" for path in NOTEBOOK_PATHS),
)


def copy_files(folder):
    """Make a repository with copies of the files, and three more."""
    for name in FILES_WITH_ADDRESS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    slug = read_address(ROOT)
    (folder / "longer.txt").write_text(f"{slug}_data {slug}-2 x{slug}\n")
    (folder / "binary.bin").write_bytes(f"\0{slug}".encode())
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "untracked.txt").write_text(slug)


def test_address_is_replaced_in_every_file_and_only_there(tmp_path):
    copy_files(tmp_path)
    slug = read_address(tmp_path)
    others = {
        name: (tmp_path / name).read_bytes()
        for name in ("longer.txt", "binary.bin", "untracked.txt")
    }
    assert set(rewrite_address(tmp_path, "someone/fork.jax")) == set(FILES_WITH_ADDRESS)
    assert read_address(tmp_path) == "someone/fork.jax"
    for name in FILES_WITH_ADDRESS:
        assert slug not in (tmp_path / name).read_text()
    assert others == {name: (tmp_path / name).read_bytes() for name in others}
    # And back: nothing else changed.
    rewrite_address(tmp_path, slug)
    for name in FILES_WITH_ADDRESS:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_notebooks_have_badges_and_absolute_links():
    slug = read_address(ROOT)
    for path in NOTEBOOK_PATHS:
        cells = read_notebook(path.stem).cells
        text = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
        badge = f"https://colab.research.google.com/github/{slug}/blob/main/colab/"
        assert badge + path.name in text
        targets = re.findall(r"\]\(([^)]+)\)", text)
        assert targets and all("://" in target for target in targets)
        for page in ("README.md", "docs/notebooks.md"):
            assert badge + path.name in (ROOT / page).read_text()


def test_wrong_address_is_one_sentence():
    for wrong in ("https://github.com/a/b", "name", "a/b/c", ""):
        words = [sys.executable, str(ROOT / "tools/set_repository.py"), wrong]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 2
        assert "expected OWNER/NAME" in done.stderr.splitlines()[-1]
