"""Hooks of mkdocs: pages of the repository's root, and links that work here and on GitHub.

The pages are written for GitHub: README.md links `docs/training.md`, docs/data.md links
`../configs`. The hooks add the pages of `ROOT_PAGES` to the site and rewrite the links:
to the page on the site where there is one, otherwise to the file on GitHub.
"""

import logging
import os.path
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks.site_hooks")

ROOT_PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "launch.md": "launch/README.md",
    "photos.md": "examples/photos/README.md",
}
"""File in the repository of each page that does not lie in docs/."""

# A fenced block or inline code, which stays unchanged; else the target of a link or image.
_CODE_OR_LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`)"
    r'|(?P<before>\]\(|\b(?:src|href)=")(?P<target>[^)"#\s]+)',
    re.DOTALL | re.MULTILINE,
)


def on_files(files: Files, /, *, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    for name, source in ROOT_PAGES.items():
        text = (_root(config) / source).read_text()
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(
    markdown: str, /, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Rewrite the links of a page."""
    root, name = _root(config), page.file.src_uri
    folder = (root / ROOT_PAGES.get(name, f"docs/{name}")).parent

    def rewrite(match: re.Match[str]) -> str:
        target = match["target"]
        if match["code"] or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = Path(os.path.normpath(folder / target))
        if not path.exists() or not path.is_relative_to(root):
            if match["before"] != "](":  # mkdocs reports only links of Markdown
                LOG.warning("%s: there is no %s", page.file.src_uri, target)
            return match[0]
        relative = path.relative_to(root).as_posix()
        return match["before"] + _link(relative, name, files, config)

    return _CODE_OR_LINK.sub(rewrite, markdown)


def _link(path: str, page_name: str, files: Files, config: MkDocsConfig) -> str:
    """Return the link from a page to a file of the repository."""
    names = {source: name for name, source in ROOT_PAGES.items()}
    file = None
    if path in names or path.startswith("docs/"):
        file = files.get_file_from_path(names.get(path, path.removeprefix("docs/")))
    if file is not None and file.inclusion.is_included():
        return os.path.relpath(file.src_uri, os.path.dirname(page_name) or ".")
    view = "tree" if (_root(config) / path).is_dir() else "blob"
    return f"{config.repo_url}/{view}/main/{path}"


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
