"""Write and read ONNX files."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from mst_jax.atomic_io import atomic_write
from mst_jax.exporting.export_facts import METADATA_KEY, ExportFacts
from mst_jax.exporting.program_functions import ExportableProgram
from mst_jax.extras import needs_extra

with needs_extra("export"):
    import onnxruntime


ERROR_SEVERITY = 3
"""Lowest severity of the messages that onnxruntime prints."""


class OnnxNetwork:
    """A network of an ONNX file, run by onnxruntime."""

    def __init__(self, path: Path) -> None:
        """Load a file.

        Args:
            path: Path of the file.

        Raises:
            ValueError: It is not an ONNX model of `mst_jax.export`.
        """
        options = onnxruntime.SessionOptions()
        # Errors only: its warnings name conversions to float32 that it makes itself.
        options.log_severity_level = ERROR_SEVERITY
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=onnxruntime.get_available_providers()
            )
        # The exceptions of onnxruntime have no public base class.
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"{path} is not an ONNX file that onnxruntime can load ({reason}); "
                "export it again"
            ) from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise ValueError(
                f"{path} was not written by mst_jax.export: it has no metadata "
                f"{METADATA_KEY!r}; export the model with python -m mst_jax.export"
            )
        try:
            self.facts = ExportFacts.from_json(metadata[METADATA_KEY])
        except ValueError as error:
            raise ValueError(f"{path}: {error}; export it again") from None

    def run(
        self,
        image: Float[np.ndarray, "b h w 3"],
        clicks: Float[np.ndarray, "b k 3"],
        prev_mask: Float[np.ndarray, "b h w"],
    ) -> Float[np.ndarray, "b h w"]:
        """Compute the logits.

        Args:
            image: [b h w 3] RGB, 0 to 1.
            clicks: [b k 3] row, column and label.
            prev_mask: [b h w] probability.
        """
        inputs = {"image": image, "clicks": clicks, "prev_mask": prev_mask}
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        (logits,) = self._session.run(["logits"], arrays)
        # An array already; `run` may also return other types.
        return np.asarray(logits)


def write_onnx_file(
    path: Path,
    program: ExportableProgram,
    facts: ExportFacts,
    *,
    half: bool = False,
    half_products: bool = False,
) -> None:
    """Translate a program and write it.

    Args:
        path: File to write.
        program: Program to translate.
        facts: Facts about it, stored as metadata.
        half: Whether constants that float16 can represent are stored so.
        half_products: Whether matrix products are computed in float16.

    Raises:
        ValueError: The program has an operation without translation, or the file cannot
            be written.
    """
    # Imported here: to load a file needs no `onnx`.
    with needs_extra("export"):
        import onnx

        from mst_jax.exporting.half_weights import store_as_float16
        from mst_jax.exporting.onnx_graph.translate_function import to_onnx

    model = to_onnx(*program, half_products=half_products)
    if half:
        store_as_float16(model)
    onnx.helper.set_model_props(model, {METADATA_KEY: facts.to_json()})
    atomic_write(path, model.SerializeToString())
