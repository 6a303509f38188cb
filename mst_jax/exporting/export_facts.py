"""Facts about an exported file, stored with it as JSON."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

from ml_collections import FrozenConfigDict

from mst_jax import config_options
from mst_jax.interaction.inference_options import ZoomOptions

# Key of the metadata of an ONNX file.
METADATA_KEY = "mst_jax"

ProgramKind = Literal["network", "click"]


@dataclasses.dataclass(frozen=True)
class ExportFacts:
    """What a program of an exported file computes.

    Attributes:
        kind: "network" = the forward pass for images of one size; "click" = zoom, network
            and paste for an image of any size.
        size: Height and width in pixels of the images that the network sees.
        zoom: Zoom that belongs to the network.
        config: Config of the model.
    """

    kind: ProgramKind
    size: tuple[int, int]
    zoom: ZoomOptions
    config: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the facts as JSON text."""
        return json.dumps(
            {
                "kind": self.kind,
                "size": self.size,
                "zoom": dataclasses.asdict(self.zoom),
                "config": self.config,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> "ExportFacts":
        """Read the facts; inverts `to_json`.

        Args:
            text: JSON text.

        Raises:
            ValueError: The text is not JSON, or lacks a fact.
        """
        try:
            facts = json.loads(text)
            height, width = facts["size"]
            return cls(
                facts["kind"],
                (int(height), int(width)),
                ZoomOptions(**facts["zoom"]),
                dict(facts["config"]),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"its description cannot be read ({error!r})") from None

    def config_with_zoom(self) -> FrozenConfigDict:
        """Return the config of the model with the zoom of the file."""
        zoom = dataclasses.asdict(self.zoom)
        return FrozenConfigDict({**self.config, "zoom": zoom})


def config_as_json(config: FrozenConfigDict) -> dict[str, Any]:
    """Return the config of a model as values that JSON can hold.

    Args:
        config: Config of a trained model.
    """
    return config_options.as_json(config.to_dict())
