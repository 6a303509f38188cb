"""Draws docs/pictures/mst-small.jpg: what the model in the box makes of photographs.

`python docs/draw_mst_small.py [FILE] [MODEL]`. The clicks were set by hand, before the
masks were seen; all objects are shown, also those it does not get.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from mst_jax.data.formats.images import decode_picture
from mst_jax.inference import overlay
from mst_jax.inference.predictor import Predictor
from mst_jax.models.load import TrainedModel, load

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "pictures" / "mst-small.jpg"

# Row, column, on the object?
OBJECTS = (
    ("chelsea", ((150, 250, True), (50, 130, True), (200, 430, False))),
    ("coffee", ((110, 250, True), (200, 210, True), (290, 150, False))),
    ("astronaut", ((330, 150, True), (100, 230, True), (200, 400, False))),
    ("flower", ((180, 245, True), (100, 250, True), (325, 280, False))),
    ("china", ((160, 165, True), (210, 130, True), (280, 330, False))),
    ("rocket", ((200, 258, True), (300, 258, True), (230, 155, False))),
)


def draw(model: TrainedModel) -> Figure:
    """Two objects a row: after one click, and after all."""
    figure = Figure((10.4, 5.6), dpi=80, layout="constrained")
    cells = iter(figure.subplots(3, 4).flat)
    predictor = Predictor(model)
    for name, clicks in OBJECTS:
        photograph = ROOT / "examples" / "photos" / f"{name}.jpg"
        image = decode_picture(photograph.read_bytes())
        predictor.set_image(image)
        for number, click in enumerate(clicks, 1):
            mask = predictor.click(*click)
            if number in (1, len(clicks)):
                axis = next(cells)
                axis.set_axis_off()
                axis.imshow(
                    overlay.draw(image, mask, predictor.clicks),
                    interpolation="bilinear",
                )
                axis.set_title(f"clicks: {number}", fontsize=8, loc="left", pad=3)
    return figure


def main() -> None:
    """Draws into the file that the command line names."""
    given = sys.argv[1:]
    file = Path(given[0]) if given else FILE
    model = load(given[1] if given[1:] else "mst-small")
    draw(model).savefig(file, pil_kwargs={"quality": 82})


if __name__ == "__main__":
    main()
