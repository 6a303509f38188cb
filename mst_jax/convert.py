"""Published PyTorch weights to a checkpoint, and back, with an account of every array.

python -m mst_jax.convert mst.pth models/mst
python -m mst_jax.convert runs/mine models/mine --half
python -m mst_jax.convert runs/one models/both --mean runs/other
python -m mst_jax.convert runs/mine mine.safetensors --to-torch
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Array

from mst_jax import config_options
from mst_jax.checkpoints import store
from mst_jax.checkpoints.parameter_mapping import write_names
from mst_jax.checkpoints.published_file import (
    SUFFIXES,
    is_published_file,
    read_published_file,
)
from mst_jax.checkpoints.torch_file import SAFETENSORS, write_safetensors
from mst_jax.models import detect_architecture
from mst_jax.models.load import TrainedModel, load, make_published

STOPPED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Converts what the command line names and prints the account."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.to_torch and options.mean:
        parser.error("--mean makes a folder; convert that with --to-torch")
    source, destination = options.source, options.destination
    try:
        if options.to_torch:
            print(to_torch(source, destination))
        else:
            others = options.mean
            print(to_folder(source, destination, half=options.half, others=others))
    except (ValueError, OSError) as error:
        parser.exit(2, f"convert: {error}\n")
    except KeyboardInterrupt:
        parser.exit(STOPPED, "convert: stopped; nothing half is left behind\n")


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.convert",
        description=__doc__.splitlines()[0],
        epilog="Weights to start training from, such as MAE's or DINOv2's, become the "
        "plain model, the rest of it drawn afresh; config.start takes them as they are, "
        "too.",
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help=f"{', '.join(SUFFIXES)}, a run, or a checkpoint of ours",
    )
    parser.add_argument(
        "destination",
        type=Path,
        metavar="DST",
        help="folder to make; with --to-torch a .safetensors",
    )
    parser.add_argument(
        "--mean",
        type=Path,
        nargs="+",
        default=[],
        metavar="SRC",
        help="more models of the same form, usually runs from one start: the mean of "
        "all parameters is written, with the first one's config",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--half",
        action="store_true",
        help="write float16, half the size; it is float32 again when it is loaded",
    )
    form.add_argument(
        "--to-torch",
        action="store_true",
        help="write the names of the published program, for its load_state_dict",
    )
    return parser


def to_folder(
    source: Path,
    destination: Path,
    *,
    half: bool = False,
    others: Sequence[Path] = (),
) -> str:
    """Writes a model without a run: a published one, or that of a run of ours.

    Args:
        source: whatever `load` takes.
        destination: folder to make.
        half: write float16.
        others: models whose parameters are averaged with the source's, see `mean_of`.

    Returns:
        The account of a published file's arrays, and what was written.

    Raises:
        ValueError: a source is no checkpoint of a model that we have, the others have
            another form, a number is too large for float16, or the destination is there
            already.
    """
    _check_free(destination)
    told = []
    if is_published_file(source):
        model, account = make_published(source, read_published_file(source))
        told.append(str(account))
    else:
        model = load(source)
    config = config_options.as_json(model.config.to_dict())
    params = mean_of(model, source, others)
    if half:
        params = jax.tree.map(lambda x: np.asarray(x).astype(np.float16), params)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise ValueError(f"{source} has numbers too large for float16; no --half")
    store.write_model(destination, params, config)
    return "\n".join([_describe(config), *told, f"written to {destination}"])


def mean_of(model: TrainedModel, source: Path, others: Sequence[Path]) -> dict:
    """Averages a model's parameters with those of other models of its form.

    Source: Wortsman et al., Model soups, ICML 2022, Section 2 (uniform soup).

    Args:
        model: the first.
        source: where it came from, for the sentence.
        others: whatever `load` takes; none: the parameters as they are.

    Returns:
        Parameters named and shaped as the model's, float32; summed in float64.

    Raises:
        ValueError: another recipe, size or crop.
    """
    if not others:
        return model.params
    loaded = [load(place) for place in others]
    for place, other in zip(others, loaded, strict=True):
        if other.module != model.module:
            raise ValueError(
                f"{place} ({_describe(other.config.to_dict())}) is no model of the form "
                f"of {source} ({_describe(model.config.to_dict())}); average runs of one "
                "model"
            )

    def mean(*leaves: Array) -> np.ndarray:
        return np.mean(
            [np.asarray(leaf, np.float64) for leaf in leaves], axis=0
        ).astype(np.float32)

    return jax.tree.map(mean, model.params, *(other.params for other in loaded))


def to_torch(source: Path, destination: Path) -> str:
    """Writes a model as the published program names its arrays.

    Arrays that the published program has and does not use are zeros; weights of its loss
    are as published. The config goes with the arrays as text, so that this program can
    read the file back.

    Returns:
        What was written.

    Raises:
        ValueError: no model at the source, no published program for it, or the
            destination is there already or no `.safetensors`.
    """
    if destination.suffix != SAFETENSORS:
        raise ValueError(f"{destination} has another ending than {SAFETENSORS}")
    _check_free(destination)
    model = load(source)
    config = config_options.as_json(model.config.to_dict())
    names = detect_architecture.names_of(config["model"], model.module)
    arrays = write_names(flatten_dict(model.params, sep="/"), names)
    write_safetensors(destination, arrays, config)
    num_idle = sum(name in names.unread for name in arrays)
    return (
        f"{_describe(config)}\n{len(arrays)} arrays written to {destination}, "
        f"{num_idle} of which no prediction uses"
    )


def _check_free(place: Path) -> None:
    """Asked before the long work; what writes asks again."""
    if place.exists():
        raise ValueError(f"{place} exists already; choose another place or remove it")


def _describe(config: dict) -> str:
    """One line: the recipe and its arguments."""
    arguments = dict(config["model"])
    name = arguments.pop("name")
    said = ", ".join(f"{key} {value}" for key, value in sorted(arguments.items()))
    return f"{name}: {said}"


if __name__ == "__main__":
    main()
