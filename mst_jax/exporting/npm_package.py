"""Download a package of the npm registry once, and check it against its pinned hash."""

import base64
import configparser
import hashlib
import io
import os
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mst_jax.atomic_io import atomic_write
from mst_jax.compilation_cache import CACHE_DIR

DEFAULT_REGISTRY = "https://registry.npmjs.org"
_TIMEOUT_SECONDS = 60  # without any answer


class NpmPackage(NamedTuple):
    """A pinned version of a package.

    Attributes:
        name: Name in the registry, without scope.
        version: Version.
        integrity: Hash of its archive as npm states it: "sha512-" and base64.
    """

    name: str
    version: str
    integrity: str


# `npm view onnxruntime-web@VERSION dist.integrity` prints the hash of another version.
ONNXRUNTIME_WEB = NpmPackage(
    "onnxruntime-web",
    "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1Si"
    "gqR4CXAfKYQ==",
)
"""The runtime of exported web pages."""


def read_package_files(
    package: NpmPackage, names: Sequence[str], *, cache_dir: Path = CACHE_DIR / "npm"
) -> dict[str, bytes]:
    """Return files of a package; the first call downloads it, later ones need no network.

    Args:
        package: Package to read.
        names: Paths in the package, such as "dist/ort.wasm.min.mjs".
        cache_dir: Folder that keeps the archive.

    Returns:
        Path in the package -> content.

    Raises:
        ValueError: The package cannot be downloaded, or is not the pinned one.
    """
    archive = _read_archive(package, cache_dir)
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for name in names:
            # All members are in the folder "package".
            member = tar.extractfile(f"package/{name}")
            assert member is not None, f"{name} is a folder of {package.name}"
            files[name] = member.read()
    return files


def find_registry(environment: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the registry that npm is configured for, without final slash.

    The environment variable NPM_CONFIG_REGISTRY comes first, then the file .npmrc of the
    user, then the public registry.

    Args:
        environment: Environment variables.
    """
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        if environment.get(name):
            return environment[name].rstrip("/")
    default_path = Path("~/.npmrc").expanduser()
    npmrc_path = Path(environment.get("NPM_CONFIG_USERCONFIG") or default_path)
    # Keys and values without sections, as in an INI file.
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string("[npm]\n" + npmrc_path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return DEFAULT_REGISTRY
    registry = parser.get("npm", "registry", fallback=None) or DEFAULT_REGISTRY
    return registry.strip("\"' ").rstrip("/")


def _read_archive(package: NpmPackage, cache_dir: Path) -> bytes:
    """Return the archive from the cache, or download it into the cache."""
    path = cache_dir / f"{package.name}-{package.version}.tgz"
    if path.is_file():
        archive = path.read_bytes()
        if _has_hash(archive, package.integrity):
            return archive
    url = f"{find_registry()}/{package.name}/-/{path.name}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            archive = response.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(
            f"{package.name} {package.version} cannot be downloaded from {url} "
            f"({reason}); connect to the network once, name a mirror in "
            f"NPM_CONFIG_REGISTRY, or put the file into {cache_dir}"
        ) from None
    if not _has_hash(archive, package.integrity):
        raise ValueError(
            f"{url} is not the pinned {package.name} {package.version}: its SHA-512 "
            "differs; use another registry in NPM_CONFIG_REGISTRY"
        )
    atomic_write(path, archive)
    return archive


def _has_hash(archive: bytes, integrity: str) -> bool:
    algorithm, _, expected = integrity.partition("-")
    digest = hashlib.new(algorithm, archive).digest()
    return base64.b64encode(digest).decode() == expected
