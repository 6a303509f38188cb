"""Convert published PyTorch weights to checkpoints of mst_jax, and back.

python -m mst_jax.convert mst.pth models/mst
python -m mst_jax.convert runs/mine models/mine.safetensors --half
python -m mst_jax.convert runs/one models/both --mean runs/other
python -m mst_jax.convert runs/mine mine.safetensors --to-torch
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from mst_jax import config_options
from mst_jax.checkpoints import model_folder, packed_model
from mst_jax.checkpoints.formats.weight_file import (
    SAFETENSORS_SUFFIX,
    WEIGHT_SUFFIXES,
    is_weight_file,
    read_weight_file,
    write_safetensors,
)
from mst_jax.checkpoints.parameter_mapping import arrays_from_params, flatten_params
from mst_jax.command_line import EXIT_INTERRUPTED, CommandParser
from mst_jax.models.load import build_published_model, load
from mst_jax.models.published_mapping import published_parameter_mapping
from mst_jax.models.trained_model import TrainedModel

# Suffixes of files; a folder with such a name would be unexpected.
OTHER_SUFFIXES = (".pth", ".pt", ".npz", ".onnx", ".ckpt", ".bin", ".h5")


def main(argv: Sequence[str] | None = None) -> None:
    """Convert what the command line names and print a report.

    Args:
        argv: Words of the command line, those of the process for None.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    # Combinations that argparse cannot express.
    if options.to_torch and options.mean:
        parser.error(
            "--mean writes a model of mst_jax; convert its result with --to-torch"
        )
    if options.card and (
        options.to_torch or options.destination.suffix != SAFETENSORS_SUFFIX
    ):
        parser.error("--card needs NAME.safetensors as DST, without --to-torch")
    try:
        if options.to_torch:
            print(convert_to_torch(options.source, options.destination))
        else:
            report = convert_to_model(
                options.source,
                options.destination,
                half=options.half,
                averaged_with=options.mean,
                card_path=options.card,
            )
            print(report)
    except (ValueError, OSError) as error:
        parser.exit_with_error(error)
    except KeyboardInterrupt:
        parser.exit(EXIT_INTERRUPTED, "stopped; nothing was written\n")


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.convert",
        description=(__doc__ or "").splitlines()[0],
        epilog="Pretrained backbones, such as MAE or DINOv2, are converted to the plain "
        "model; its other parameters are initialized randomly. config.init_from also "
        "accepts these files without conversion.",
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help=f"{', '.join(WEIGHT_SUFFIXES)}, a training run, or a checkpoint of "
        "mst_jax",
    )
    parser.add_argument(
        "destination",
        type=Path,
        metavar="DST",
        help="folder to create, or NAME.safetensors (NAME.json is written beside it); "
        "with --to-torch: a .safetensors file",
    )
    parser.add_argument(
        "--mean",
        type=Path,
        nargs="+",
        default=[],
        metavar="SRC",
        help="further models of the same architecture, usually runs that start from the "
        "same parameters; the mean of all parameters is written, with the config of the "
        "first model",
    )
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="JSON file with facts about the model (name, license ...), which are copied "
        "to NAME.json",
    )
    # A file for PyTorch is float32 always.
    format_flags = parser.add_mutually_exclusive_group()
    format_flags.add_argument(
        "--half",
        action="store_true",
        help="store the parameters as float16 (half the size); they are converted to "
        "float32 when they are loaded",
    )
    format_flags.add_argument(
        "--to-torch",
        action="store_true",
        help="write the parameter names of the published program, for its "
        "load_state_dict",
    )
    return parser


def convert_to_model(
    source: Path,
    destination: Path,
    *,
    half: bool = False,
    averaged_with: Sequence[Path] = (),
    card_path: Path | None = None,
) -> str:
    """Write a published model, or the model of a run, as a model of mst_jax.

    Args:
        source: Whatever `load` takes.
        destination: Folder to create, or `.safetensors` (with a `.json` beside it).
        half: Whether parameters are written as float16.
        averaged_with: Models whose parameters are averaged with the source's, see
            `average_params`.
        card_path: JSON with facts about the model for the JSON beside a `.safetensors`.

    Returns:
        The report on a published file's arrays, and what was written.

    Raises:
        ValueError: A source is not a checkpoint of a known model, the other models
            have another architecture, a number is too large for float16, or the
            destination already exists or has the suffix of another format.
    """
    _check_free(destination)
    if destination.suffix in OTHER_SUFFIXES:
        raise ValueError(
            f"{destination} has the suffix of another format; expected the name of a new "
            f"folder or NAME{SAFETENSORS_SUFFIX}"
        )
    facts = packed_model.read_facts(card_path) if card_path else None
    # 1. Load, and average.
    report_lines = []
    if is_weight_file(source) and not packed_model.is_packed_model(source):
        model, report = build_published_model(source, read_weight_file(source))
        report_lines.append(str(report))
    else:
        model = load(source)
    config = config_options.as_json(model.config.to_dict())
    params = average_params(model, source, averaged_with)
    # 2. Float16 has no numbers above 65504.
    if half:
        params = jax.tree.map(lambda x: np.asarray(x).astype(np.float16), params)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise ValueError(
                f"{source} has numbers too large for float16; leave out --half"
            )
    # 3. Write.
    if destination.suffix == SAFETENSORS_SUFFIX:
        flat_params = flatten_params(params)
        packed_model.write_packed_model(destination, flat_params, config, facts=facts)
    else:
        model_folder.write_model_folder(destination, params, config)
    return "\n".join(
        [_describe_model(config), *report_lines, f"written to {destination}"]
    )


def average_params(
    model: TrainedModel, source: Path, averaged_with: Sequence[Path]
) -> dict:
    """Average a model's parameters with those of other models of its architecture.

    Source: Wortsman et al., Model soups, ICML 2022, Section 2 (uniform soup).

    Args:
        model: First model.
        source: Path that it was loaded from, for error messages.
        averaged_with: Paths that `load` takes; none: the parameters are returned
            unchanged.

    Returns:
        Parameters named and shaped as the model's, float32; summed in float64.

    Raises:
        ValueError: A model has another architecture, size or crop.
    """
    if not averaged_with:
        return model.params
    # All are loaded first: an architecture that differs is an error before the work.
    other_models = [load(path) for path in averaged_with]
    for path, other_model in zip(averaged_with, other_models, strict=True):
        if other_model.module != model.module:
            raise ValueError(
                f"{path} ({_describe_model(other_model.config.to_dict())}) does not have "
                f"the architecture of {source} "
                f"({_describe_model(model.config.to_dict())}); average runs of one model"
            )

    def mean_of_leaves(*leaves: Array) -> np.ndarray:
        stacked_leaves = [np.asarray(leaf, np.float64) for leaf in leaves]
        return np.mean(stacked_leaves, axis=0).astype(np.float32)

    other_params = (other_model.params for other_model in other_models)
    return jax.tree.map(mean_of_leaves, model.params, *other_params)


def convert_to_torch(source: Path, destination: Path) -> str:
    """Write a model as the published program names its arrays.

    Arrays that the published program holds and does not use are zeros; weights of its
    loss are as published. The config is stored with the arrays as text, so that this
    program can read the file back.

    Args:
        source: Whatever `load` takes.
        destination: `.safetensors` to create.

    Returns:
        What was written.

    Raises:
        ValueError: There is no model at the source, no published program for it, or the
            destination already exists or has another suffix.
    """
    if destination.suffix != SAFETENSORS_SUFFIX:
        raise ValueError(f"{destination} does not end in {SAFETENSORS_SUFFIX}")
    _check_free(destination)
    model = load(source)
    config = config_options.as_json(model.config.to_dict())
    mapping = published_parameter_mapping(config["model"], model.module)
    arrays = arrays_from_params(flatten_params(model.params), mapping)
    write_safetensors(destination, arrays, config)
    num_unused = sum(name in mapping.unused_arrays for name in arrays)
    return (
        f"{_describe_model(config)}\n{len(arrays)} arrays written to {destination}, "
        f"{num_unused} of which no prediction uses"
    )


def _check_free(path: Path) -> None:
    """Raise ValueError before the long work; what writes checks again."""
    if path.exists():
        raise ValueError(f"{path} already exists; choose another path or remove it")


def _describe_model(config: dict[str, Any]) -> str:
    """Return one line: the model's name and its arguments."""
    arguments = dict(config["model"])
    name = arguments.pop("name")
    argument_text = ", ".join(
        f"{key} {value}" for key, value in sorted(arguments.items())
    )
    return f"{name}: {argument_text}"


if __name__ == "__main__":
    main()
