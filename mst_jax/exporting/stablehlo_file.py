"""Write and read StableHLO files: artifacts of `jax.export`, with a JSON beside."""

from pathlib import Path

import jax
from jax import export as jax_export

from mst_jax.atomic_io import atomic_write
from mst_jax.exporting.export_facts import ExportFacts
from mst_jax.exporting.program_functions import ExportableProgram
from mst_jax.layers.dot_product_attention import without_kernels

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms that a file is compiled for."""


def write_stablehlo_file(
    path: Path, program: ExportableProgram, facts: ExportFacts
) -> None:
    """Write NAME.stablehlo, which `jax.export.deserialize` reads, and NAME.json.

    Args:
        path: File to write.
        program: Program to export; its parameters are constants in it.
        facts: Facts about it.

    Raises:
        ValueError: A file cannot be written.
    """
    with without_kernels():
        exported = jax_export.export(jax.jit(program.function), platforms=PLATFORMS)(
            *program.inputs.values()
        )
    # The JSON last: without it the file is not loaded.
    atomic_write(path, bytes(exported.serialize()))
    atomic_write(path.with_suffix(".json"), f"{facts.to_json()}\n".encode())


def read_stablehlo_file(path: Path) -> tuple[jax_export.Exported, ExportFacts]:
    """Read both files.

    Args:
        path: Path of the StableHLO file.

    Raises:
        ValueError: A file is missing or damaged.
    """
    json_path = path.with_suffix(".json")
    try:
        facts = ExportFacts.from_json(json_path.read_text())
    except OSError as error:
        raise ValueError(
            f"{json_path}, which describes {path.name}, cannot be read ({error}); "
            "restore it"
        ) from None
    except ValueError as error:
        raise ValueError(f"{json_path}: {error}; export the model again") from None
    try:
        return jax_export.deserialize(bytearray(path.read_bytes())), facts
    # The errors of the deserialization have no common class.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is not a StableHLO file that this JAX can load ({reason}); export the "
            "model again"
        ) from None
