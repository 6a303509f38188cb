"""Install the package for a notebook of colab/, in Colab or any other Jupyter kernel.

The first cell of each notebook calls `install`. It runs in a Python that may have none of
the dependencies, so this file imports nothing but the standard library and packaging.

Colab provides jax with a CUDA plugin or a TPU runtime. They are kept if `pyproject.toml`
allows their versions; otherwise the extra of the accelerator installs others.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

# The packages that belong to a jax release: they have its version, except libtpu.
JAX_PACKAGES = (
    *("jax", "jaxlib", "libtpu"),
    *("jax-cuda12-plugin", "jax-cuda12-pjrt", "jax-cuda13-plugin", "jax-cuda13-pjrt"),
)

# The package without which jax does not use the accelerator, by the name of the extra.
RUNTIME_PACKAGES = {
    "cuda12": "jax-cuda12-plugin",
    "cuda13": "jax-cuda13-plugin",
    "tpu": "libtpu",
}

_RESTART = "restart the session (Runtime > Restart session) and run this cell again"


def install(*extras: str) -> None:
    """Install what is missing, make the clone importable and print the devices of JAX.

    Does nothing but the latter two if all requirements are met, as in a restarted session.

    Args:
        *extras: Extras of `pyproject.toml` that the notebook needs.

    Raises:
        SystemExit: The packages cannot be installed, the session must be restarted, or JAX
            does not use the accelerator of the machine; one sentence says so.
    """
    accelerator = find_accelerator()
    versions = installed_versions()
    missing = missing_requirements(extras, versions)
    runtime_extra = missing_runtime(accelerator, versions)
    if missing or runtime_extra or "mst-jax" not in versions:
        names = sorted({*extras} | ({runtime_extra} if runtime_extra else set()))
        # jax stays as it is unless another one is needed.
        replaced = runtime_extra or any(item.name == "jax" for item in missing)
        run_pip(names, {} if replaced else versions)
        check_loaded_modules(versions)
    use_clone()
    print(describe_devices(accelerator))


def find_accelerator() -> str:
    """Return the extra of the machine's accelerator: cuda12, cuda13, tpu; cpu = none."""
    # Environment variables of Colab's TPU runtimes; devices of TPU virtual machines.
    tpu_variables = {"COLAB_TPU_ADDR", "TPU_ACCELERATOR_TYPE"} & set(os.environ)
    tpu_devices = [*Path("/dev").glob("accel[0-9]*"), *Path("/dev/vfio").glob("[0-9]*")]
    if tpu_variables or tpu_devices:
        return "tpu"
    # Colab's CPU runtimes may have the program, but no driver that answers it.
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    answer = subprocess.run(["nvidia-smi"], capture_output=True, text=True)
    if answer.returncode != 0:
        return "cpu"
    # The newest CUDA version that the driver supports.
    newest = re.search(r"CUDA Version:\s*(\d+)", answer.stdout)
    return "cuda13" if newest and int(newest[1]) >= 13 else "cuda12"


def installed_versions() -> dict[str, str]:
    """Return the version of each installed package, by its name with hyphens."""
    # The first one on the path is the one that Python imports.
    versions: dict[str, str] = {}
    for package in metadata.distributions():
        versions.setdefault(normalize_name(package.name), package.version)
    return versions


def normalize_name(name: str) -> str:
    """Return the name of a package in lower case with hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirements(extras: Iterable[str]) -> list[Requirement]:
    """Return the requirements of the package and of extras, without those of tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*map(Requirement, project["dependencies"])]
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            requirement = Requirement(line)
            # An extra may include others: `mst_jax[data]`.
            own = normalize_name(requirement.name) == normalize_name(project["name"])
            if own:
                requirements += read_requirements(requirement.extras)
            else:
                requirements.append(requirement)
    return requirements


def missing_requirements(
    extras: Iterable[str], versions: Mapping[str, str]
) -> list[Requirement]:
    """Return the requirements that are not installed in a version that they allow.

    Args:
        extras: Extras of `pyproject.toml`.
        versions: Version of each installed package.
    """
    return [
        requirement
        for requirement in read_requirements(extras)
        if (version := versions.get(normalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version, prereleases=True)
    ]


def missing_runtime(accelerator: str, versions: Mapping[str, str]) -> str | None:
    """Return the extra that makes JAX use the accelerator; None if it does already.

    Args:
        accelerator: Result of `find_accelerator`.
        versions: Version of each installed package.
    """
    if accelerator == "cpu":
        return None
    jax_allowed = "jax" not in {
        item.name for item in missing_requirements((), versions)
    }
    # A driver of CUDA 13 also runs the plugin of CUDA 12.
    runtimes = ("cuda12", "cuda13") if accelerator == "cuda13" else (accelerator,)
    for runtime in runtimes:
        version = versions.get(RUNTIME_PACKAGES[runtime])
        same_release = runtime == "tpu" or version == versions.get("jaxlib")
        if version is not None and jax_allowed and same_release:
            return None
    return accelerator


def run_pip(extras: Iterable[str], kept_versions: Mapping[str, str]) -> None:
    """Install the clone and extras; jax and its packages keep their versions.

    pip downloads everything before it changes anything.

    Args:
        extras: Extras of `pyproject.toml`.
        kept_versions: Version of each installed package; those of `JAX_PACKAGES` are kept.

    Raises:
        SystemExit: pip failed.
    """
    kept = [
        f"{name}=={kept_versions[name]}"
        for name in JAX_PACKAGES
        if name in kept_versions
    ]
    with tempfile.TemporaryDirectory() as folder:
        constraints_file = Path(folder, "constraints.txt")
        constraints_file.write_text("\n".join(kept))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1"]
        command += [
            "--disable-pip-version-check",
            "--constraint",
            str(constraints_file),
        ]
        command += ["--editable", f"{ROOT}[{','.join(extras)}]"]
        answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        errors = [line for line in answer.stderr.splitlines() if "ERROR" in line]
        reason = errors[-1].partition("ERROR: ")[2] if errors else answer.stderr[-200:]
        raise SystemExit(
            "The packages were not installed; check the network and run this cell again. "
            f"pip reports: {reason.strip()}"
        )


def check_loaded_modules(versions_before: Mapping[str, str]) -> None:
    """Check that no module in use was replaced.

    Args:
        versions_before: Version of each package before the installation.

    Raises:
        SystemExit: The session must be restarted.
    """
    versions = installed_versions()
    replaced = {
        name
        for name, version in versions_before.items()
        if versions.get(name) != version
    }
    packages = metadata.packages_distributions()
    loaded = {
        package
        for module in {name.partition(".")[0] for name in sys.modules}
        for package in map(normalize_name, packages.get(module, ()))
    }
    if replaced & loaded:
        names = ", ".join(sorted(replaced & loaded))
        raise SystemExit(f"Packages in use were replaced ({names}): {_RESTART}.")


def use_clone() -> None:
    """Make `import mst_jax` import the package of this clone.

    Without it, a folder `mst_jax` in the working directory would be imported as a namespace
    package.
    """
    if sys.path[:1] != [str(ROOT)]:
        sys.path.insert(0, str(ROOT))
    importlib.invalidate_caches()
    module = sys.modules.get("mst_jax")
    if module is None:
        return
    if getattr(module, "__file__", None) is None:  # a namespace package
        del sys.modules["mst_jax"]
    elif not Path(str(module.__file__)).resolve().is_relative_to(ROOT):
        raise SystemExit(f"Another mst_jax is in use ({module.__file__}): {_RESTART}.")


def describe_devices(accelerator: str) -> str:
    """Return the devices of JAX and a sentence about them.

    Args:
        accelerator: Result of `find_accelerator`.

    Raises:
        SystemExit: The machine has an accelerator that JAX does not use.
    """
    # Here, because it may have been installed just now.
    import jax

    devices: list[Any] = jax.devices()
    platform, kind = devices[0].platform, devices[0].device_kind
    if accelerator != "cpu" and platform == "cpu":
        raise SystemExit(
            f"This machine has an accelerator ({accelerator}), but JAX {jax.__version__} "
            f"computes on the CPU: {_RESTART}; if that does not help, "
            f"pip install 'jax[{accelerator}]'."
        )
    where = {
        "cpu": "the CPU (in Colab: Runtime > Change runtime type offers a GPU or TPU)",
        "gpu": f"{len(devices)} GPU ({kind})",
        "tpu": f"{len(devices)} TPU devices ({kind})",
    }.get(platform, f"{len(devices)} devices ({kind})")
    return f"{devices}\nJAX {jax.__version__} computes on {where}."
