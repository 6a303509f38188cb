"""The keys that a config may have, whether its file sets them or not, and their types."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from mst_jax.data.pipeline import PipelineOptions
from mst_jax.losses.mask_losses import loss_options
from mst_jax.losses.total_loss import LOSS_TERMS
from mst_jax.models.build import (
    FIELD_ARGUMENTS,
    field_argument_types,
    recipe_arguments,
)

ConfigSchema = Mapping[str, Any]
"""Key -> annotation of its value, or the schema of its block."""

DATASET_KEYS = {"name": str, "data_dir": str, "split": str}
"""The keys of the block `data` that name the dataset."""


def config_schema(
    options_class: type, blocks: Mapping[str, type], *, model_name: str | None
) -> dict[str, Any]:
    """Return the schema of a training config.

    Args:
        options_class: Dataclass of the config, whose fields are its keys.
        blocks: Name of a block -> dataclass of its keys.
        model_name: Value of `config.model.name`; None = there is none yet.

    Raises:
        ValueError: An unknown model.
    """
    schema = dataclass_schema(options_class)
    schema |= {name: dataclass_schema(block) for name, block in blocks.items()}
    schema["data"] = DATASET_KEYS | dataclass_schema(PipelineOptions)
    schema["losses"] = {
        name: {"weight": float} | _types_of(loss_options(term.loss_fn))
        for name, term in LOSS_TERMS.items()
    }
    schema["model"] = {"name": str}
    if model_name is not None:
        arguments = recipe_arguments(model_name)
        schema["model"] |= arguments | {
            name: field_argument_types(name)
            for name in FIELD_ARGUMENTS
            if name in arguments
        }
    return schema


def dataclass_schema(options_class: type) -> dict[str, Any]:
    """Return the fields of a dataclass; a field that is a dataclass is a block.

    Args:
        options_class: Dataclass.
    """
    annotations = get_type_hints(options_class)
    return {
        field.name: dataclass_schema(annotations[field.name])
        if dataclasses.is_dataclass(annotations[field.name])
        else annotations[field.name]
        for field in dataclasses.fields(options_class)  # pyright: ignore[reportArgumentType]
        if field.init
    }


def list_keys(schema: ConfigSchema, prefix: str = "config") -> list[str]:
    """List the keys of a schema as a user writes them, such as "config.data.name".

    Args:
        schema: Schema of a config or of a block.
        prefix: Name of the block.
    """
    keys = []
    for name, entry in schema.items():
        keys.append(f"{prefix}.{name}")
        if isinstance(entry, Mapping):
            keys += list_keys(entry, f"{prefix}.{name}")
    return keys


def _types_of(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return an annotation for each option of a loss, from its default."""
    # None stands for a number that is absent; whole numbers may be given fractions.
    return {
        name: float | None
        if default is None
        else float
        if isinstance(default, int) and not isinstance(default, bool)
        else type(default)
        for name, default in defaults.items()
    }
