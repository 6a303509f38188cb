import base64
import hashlib
import io
import tarfile

import pytest

from mst_jax.exporting import npm_package
from mst_jax.exporting.npm_package import (
    DEFAULT_REGISTRY,
    NpmPackage,
    find_registry,
    read_package_files,
)
from tests.helpers.static_site import host_folder


@pytest.fixture
def archive():
    """Return the archive of a package with one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo("package/dist/run.mjs")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"run;"))
    return file.getvalue()


@pytest.fixture
def package(archive):
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    return NpmPackage("runner", "1.2.3", f"sha512-{digest}")


@pytest.fixture
def registry(archive, tmp_path, monkeypatch):
    """Host a registry with the package; it is the configured one."""
    folder = tmp_path / "registry" / "runner" / "-"
    folder.mkdir(parents=True)
    (folder / "runner-1.2.3.tgz").write_bytes(archive)
    with host_folder(tmp_path / "registry") as site:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", site.url)
        yield site


def test_a_package_is_downloaded_once(package, registry, tmp_path):
    for _ in range(2):
        files = read_package_files(
            package, ["dist/run.mjs"], cache_dir=tmp_path / "cache"
        )
        assert files == {"dist/run.mjs": b"run;"}
    assert registry.requested_paths == ["/runner/-/runner-1.2.3.tgz"]


def test_a_damaged_file_of_the_cache_is_downloaded_again(package, registry, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "runner-1.2.3.tgz").write_bytes(b"half")
    files = read_package_files(package, ["dist/run.mjs"], cache_dir=tmp_path / "cache")
    assert files == {"dist/run.mjs": b"run;"}


def test_another_archive_than_the_pinned_one_is_refused(package, registry, tmp_path):
    other = package._replace(integrity="sha512-" + base64.b64encode(b"0" * 64).decode())
    with pytest.raises(ValueError, match=r"is not the pinned runner 1\.2\.3"):
        read_package_files(other, ["dist/run.mjs"], cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_without_network_one_sentence_says_what_to_do(package, tmp_path, monkeypatch):
    # Nothing listens to port 9 of this machine.
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="connect to the network once") as caught:
        read_package_files(package, ["dist/run.mjs"], cache_dir=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "cache") in str(caught.value)


def test_the_registry_is_the_one_that_npm_uses(tmp_path):
    npmrc = tmp_path / "npmrc"
    npmrc.write_text("fund=false\nregistry=https://mirror.example/npm/\n")
    configured = {"NPM_CONFIG_USERCONFIG": str(npmrc)}
    assert find_registry(configured) == "https://mirror.example/npm"
    variable = {**configured, "npm_config_registry": "https://other.example"}
    assert find_registry(variable) == "https://other.example"
    npmrc.write_text("fund=false\n")
    assert find_registry(configured) == DEFAULT_REGISTRY


def test_onnxruntime_web_is_pinned_with_a_sha512():
    algorithm, _, digest = npm_package.ONNXRUNTIME_WEB.integrity.partition("-")
    assert algorithm == "sha512"
    assert len(base64.b64decode(digest, validate=True)) == 64
