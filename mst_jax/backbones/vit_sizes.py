"""Published sizes of the vision transformer, and of the neck and head on top of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mst_jax.name_choices import list_choices


@dataclasses.dataclass(frozen=True)
class ViTSize:
    """Widths and depths of a model; a config may change each of them by its name.

    Attributes:
        width: Number of channels of a token.
        depth: Number of transformer blocks.
        num_heads: Number of attention heads of a block; must divide the width.
        patch_size: Side of a patch in pixels.
        pyramid_widths: Number of channels of the maps at 1/4, 1/8, 1/16 and 1/32.
        decoder_width: Number of channels of the mask decoder.
    """

    width: int
    depth: int
    num_heads: int
    patch_size: int
    pyramid_widths: tuple[int, int, int, int]
    decoder_width: int = 256

    @property
    def global_every(self) -> int:
        """Number of blocks in a group; the last of each group attends globally."""
        # Two groups in the 12 blocks of base, four in the larger published models.
        return 6 if self.depth == 12 else max(self.depth // 4, 1)


# Base, large, huge: Liu et al., SimpleClick, ICCV 2023. Tiny and small have the widths
# of Touvron et al., DeiT, ICML 2021, and a pyramid in the proportions of base. Nano is
# not published: it trains in minutes on two CPU cores.
VIT_SIZES = {
    "nano": ViTSize(96, 6, 3, 8, (32, 48, 64, 96), 64),
    "tiny": ViTSize(192, 12, 3, 16, (32, 64, 128, 256)),
    "small": ViTSize(384, 12, 6, 16, (64, 128, 256, 512)),
    "base": ViTSize(768, 12, 12, 16, (128, 256, 512, 1024)),
    "large": ViTSize(1024, 24, 16, 16, (192, 384, 768, 1536)),
    "huge": ViTSize(1280, 32, 16, 14, (240, 480, 960, 1920)),
}


def get_vit_size(size: str, **changes: Any) -> ViTSize:
    """Return a published size, with some of its values changed.

    Args:
        size: Name in `VIT_SIZES`.
        **changes: New values for fields of `ViTSize`; lists become tuples.

    Returns:
        The size that the changes lead to.

    Raises:
        ValueError: An unknown size or field, or a value that no model can have.
    """
    if size not in VIT_SIZES:
        raise ValueError(f"no model size {size!r}; {list_choices(size, VIT_SIZES)}")
    # 1. Only known fields may be changed.
    field_names = [field.name for field in dataclasses.fields(ViTSize)]
    unknown_names = sorted(set(changes) - set(field_names))
    if unknown_names:
        raise ValueError(
            f"a model size has no {', '.join(unknown_names)}; "
            f"it has {', '.join(field_names)}"
        )
    # 2. Configs are JSON, which has lists instead of tuples.
    values = dataclasses.asdict(VIT_SIZES[size]) | changes
    values["pyramid_widths"] = tuple(values["pyramid_widths"])
    _check_values(values)
    return ViTSize(**values)


def _check_values(values: Mapping[str, Any]) -> None:
    """Check the fields of a size before it is made.

    Raises:
        ValueError: A value that no model can have.
    """
    # Every field is a positive integer, or several.
    for name, value in values.items():
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, int) and part > 0 for part in parts):
            raise ValueError(
                f"{name} of the model is {value!r}, expected whole numbers from 1"
            )
    num_levels = len(values["pyramid_widths"])
    if num_levels != 4 or values["width"] % values["num_heads"]:
        raise ValueError(
            f"the model has {num_levels} pyramid widths, and {values['num_heads']} "
            f"heads for width {values['width']}; expected 4 pyramid widths, and a number "
            "of heads that divides the width"
        )
