"""The first cell of the notebooks, as Colab would run it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.helpers.notebooks import KERNEL_PYTHON, NOTEBOOK_PATHS, ROOT, read_notebook
from tools import colab_install

# The versions of Colab's GPU image.
COLAB = {"jax": "0.7.2", "jaxlib": "0.7.2", "jax-cuda12-plugin": "0.7.2"}
USED_FILES = "import mst_jax, os; print(mst_jax.__file__, os.getcwd())"


@pytest.fixture
def kernel_folder(tmp_path, monkeypatch):
    """Return a folder like Colab's /content, the working directory of new kernels."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if "COLAB_PYTHON" not in os.environ:
        monkeypatch.setenv(
            "PIP_NO_INDEX", "1"
        )  # changes nothing in the Python of the tests
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


@pytest.fixture
def repository(tmp_path):
    """Return a small git repository under another name, with the code of this one."""
    folder = tmp_path / "fork_of_another_name"
    shutil.copytree(
        ROOT / "mst_jax",
        folder / "mst_jax",
        ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"),
    )
    (folder / "tools").mkdir()
    for name in ("tools/colab_install.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    user = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*user, "commit", "--quiet", "--message", "Add all"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def run_in_kernel(folder, *cells):
    """Run cells in a new kernel and return what each of them printed."""
    manager = KernelManager()
    manager.kernel_spec.argv[0] = KERNEL_PYTHON
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    NotebookClient(notebook, km=manager, timeout=600).execute(cwd=str(folder))
    return [
        "".join(
            output.text for output in cell.outputs if output.output_type == "stream"
        )
        for cell in notebook.cells
    ]


def install_cell(repository):
    """Return the first code cell of a notebook, for another repository."""
    return (
        read_notebook("click_demo", REPOSITORY=f"file://{repository}").cells[1].source
    )


def test_install_cell_works_in_new_and_restarted_sessions(kernel_folder, repository):
    cell = install_cell(repository)
    clone = kernel_folder / "mst_jax_clone"
    expected = f"{clone}/mst_jax/__init__.py {clone}\n"
    # 1. A new session: the cell clones; run twice, it changes nothing.
    first, used, again, used_again = run_in_kernel(
        kernel_folder, cell, USED_FILES, cell, USED_FILES
    )
    assert used == used_again == expected
    assert re.search(r"JAX \S+ computes on the CPU", first)
    assert again == first
    # 2. A restarted session begins in the same folder, without the repository.
    shutil.rmtree(repository)
    restarted, used = run_in_kernel(kernel_folder, cell, USED_FILES)
    assert used == expected and restarted == first


def test_folder_of_the_package_name_does_not_shadow_the_package(
    kernel_folder, repository
):
    # What `git clone` makes of a repository that is called mst_jax, and what importing it
    # leaves behind: a module without a file.
    (kernel_folder / "mst_jax" / "mst_jax").mkdir(parents=True)
    import_folder = (
        "import sys, types; sys.modules['mst_jax'] = types.ModuleType('mst_jax')"
    )
    *_, used = run_in_kernel(
        kernel_folder, import_folder, install_cell(repository), USED_FILES
    )
    assert f"{kernel_folder}/mst_jax_clone/mst_jax/__init__.py" in used


def test_without_network_one_sentence_and_no_folder(kernel_folder):
    address = "file:///there/is/none"
    with pytest.raises(CellExecutionError) as raised:
        run_in_kernel(kernel_folder, install_cell(address.removeprefix("file://")))
    assert "was not cloned: check the network and the address." in str(raised.value)
    assert "Traceback" not in str(raised.value)
    assert not list(kernel_folder.iterdir())


def test_every_notebook_begins_with_the_same_cell():
    cells = {
        re.sub(r'\["install"\]\([^)]*\)', "", read_notebook(path.stem).cells[1].source)
        for path in NOTEBOOK_PATHS
    }
    assert len(cells) == 1


def test_failed_installation_is_one_sentence(monkeypatch):
    def run(command, **_):
        error = (
            "WARNING: Retrying\nERROR: No matching distribution found for hatchling\n"
        )
        return SimpleNamespace(returncode=1, stderr=error, stdout="")

    monkeypatch.setattr(colab_install.subprocess, "run", run)
    with pytest.raises(SystemExit, match=r"check the network.*found for hatchling$"):
        colab_install.run_pip(["notebook"], {})


def test_pip_keeps_the_versions_of_jax(monkeypatch):
    commands, constraints = [], []

    def run(command, **_):
        commands.append(command)
        path = Path(command[command.index("--constraint") + 1])
        constraints.extend(path.read_text().splitlines())
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(colab_install.subprocess, "run", run)
    colab_install.run_pip(["train", "tpu"], COLAB | {"numpy": "2.0.2"})
    assert commands[0][-1] == f"{ROOT}[train,tpu]"
    assert constraints == [f"{name}=={version}" for name, version in COLAB.items()]


@pytest.mark.parametrize(
    ("accelerator", "versions", "extra"),
    [
        ("cuda12", COLAB, None),
        # A driver of CUDA 13 runs the plugin of CUDA 12.
        ("cuda13", COLAB, None),
        # An old jax, no plugin, a plugin of another release: jax on the CPU otherwise.
        ("cuda12", COLAB | {"jax": "0.4.30"}, "cuda12"),
        ("cuda13", {"jax": "0.7.2", "jaxlib": "0.7.2"}, "cuda13"),
        ("cuda12", COLAB | {"jax-cuda12-plugin": "0.7.1"}, "cuda12"),
        ("cuda12", {}, "cuda12"),
        ("tpu", COLAB, "tpu"),
        ("tpu", COLAB | {"libtpu": "0.0.21"}, None),
        ("cpu", {}, None),
    ],
)
def test_accelerator_is_installed_where_jax_lacks_it(accelerator, versions, extra):
    installed = {"numpy": "2.0.2"} | versions
    assert colab_install.missing_runtime(accelerator, installed) == extra


@pytest.mark.parametrize(
    ("answer", "variables", "accelerator"),
    [
        ((0, "| Driver Version: 550.54   CUDA Version: 12.4 |"), {}, "cuda12"),
        ((0, "| Driver Version: 580.82   CUDA Version: 13.0 |"), {}, "cuda13"),
        ((9, "couldn't communicate with the NVIDIA driver"), {}, "cpu"),
        (None, {}, "cpu"),
        (None, {"TPU_ACCELERATOR_TYPE": "v5e-1"}, "tpu"),
    ],
)
def test_accelerator_is_found(monkeypatch, answer, variables, accelerator):
    for name in ("COLAB_TPU_ADDR", "TPU_ACCELERATOR_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        colab_install.shutil, "which", lambda name: answer and "/" + name
    )
    monkeypatch.setattr(
        colab_install.subprocess,
        "run",
        lambda *_, **__: SimpleNamespace(returncode=answer[0], stdout=answer[1]),
    )
    assert colab_install.find_accelerator() == accelerator


def test_accelerator_that_jax_does_not_use_is_one_sentence():
    assert "JAX" in colab_install.describe_devices("cpu")
    with pytest.raises(SystemExit, match=r"has an accelerator \(tpu\), but JAX"):
        colab_install.describe_devices("tpu")


def test_requirements_of_extras_include_those_of_included_extras():
    names = {item.name for item in colab_install.read_requirements(["train"])}
    assert {"jax", "grain", "tensorflow-datasets"} <= names
    missing = colab_install.missing_requirements(["notebook"], {"numpy": "1.26.4"})
    assert {"numpy", "jax", "anywidget"} <= {item.name for item in missing}


def test_replaced_module_in_use_needs_a_restart(monkeypatch):
    versions = colab_install.installed_versions()
    colab_install.check_loaded_modules(versions)
    with pytest.raises(SystemExit, match=r"\(numpy\): restart the session"):
        colab_install.check_loaded_modules(versions | {"numpy": "1.26.4"})
