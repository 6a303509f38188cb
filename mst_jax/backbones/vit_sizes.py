"""Sizes of the ViT, and what follows from them, as one table."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """One row of the table; every number may be changed in a recipe by its name.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        num_heads: attention heads of a block.
        patch: side of a patch in pixels.
        pyramid: channels of the maps at 1/4, 1/8, 1/16 and 1/32.
        head: channels of the mask head.
    """

    width: int
    depth: int
    num_heads: int
    patch: int
    pyramid: tuple[int, int, int, int]
    head: int = 256

    @property
    def global_every(self) -> int:
        """Blocks in a group; the last of each group attends globally."""
        return 6 if self.depth == 12 else max(self.depth // 4, 1)


# Base, large, huge: Liu et al., SimpleClick, ICCV 2023. Tiny and small have the widths of
# Touvron et al., DeiT, ICML 2021, and a pyramid in the proportions of base. Nano is ours:
# minutes of training on two CPU cores.
SIZES = {
    "nano": Size(96, 6, 3, 8, (32, 48, 64, 96), 64),
    "tiny": Size(192, 12, 3, 16, (32, 64, 128, 256)),
    "small": Size(384, 12, 6, 16, (64, 128, 256, 512)),
    "base": Size(768, 12, 12, 16, (128, 256, 512, 1024)),
    "large": Size(1024, 24, 16, 16, (192, 384, 768, 1536)),
    "huge": Size(1280, 32, 16, 14, (240, 480, 960, 1920)),
}


def pick(size: str, **changes: object) -> Size:
    """Returns a row of the table with some numbers changed.

    Args:
        size: a name in `SIZES`.
        **changes: fields of `Size` and their new values; lists become tuples.

    Raises:
        ValueError: no such size, no such field, or a number that cannot be.
    """
    if size not in SIZES:
        raise ValueError(f"no model size {size!r}; choose one of {', '.join(SIZES)}")
    fields = [field.name for field in dataclasses.fields(Size)]
    unknown = sorted(set(changes) - set(fields))
    if unknown:
        raise ValueError(
            f"a model size has no {', '.join(unknown)}; it has {', '.join(fields)}"
        )
    values = dataclasses.asdict(SIZES[size]) | changes
    values["pyramid"] = tuple(values["pyramid"])
    for field, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(number, int) and number > 0 for number in numbers):
            raise ValueError(
                f"{field} of the model is {value!r}, expected whole numbers from 1"
            )
    if len(values["pyramid"]) != 4 or values["width"] % values["num_heads"]:
        raise ValueError(
            f"the model has {len(values['pyramid'])} pyramid widths, and "
            f"{values['num_heads']} heads for width {values['width']}; expected 4, and "
            "heads that divide the width"
        )
    return Size(**values)
