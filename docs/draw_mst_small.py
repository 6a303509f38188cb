"""Draw docs/pictures/mst-small.jpg: masks of the bundled model on photographs.

`python docs/draw_mst_small.py [FILE] [MODEL]`. The clicks were chosen by hand, before the
masks were seen; all objects are shown, also those that the model misses.
"""

import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mst_jax.data.formats.images import decode_image
from mst_jax.inference.overlay import draw_overlay
from mst_jax.inference.predictor import Predictor
from mst_jax.models.load import TrainedModel, load

REPOSITORY_ROOT = Path(__file__).parents[1]
OUTPUT_PATH = REPOSITORY_ROOT / "docs" / "pictures" / "mst-small.jpg"

# Photograph, and its clicks: row, column, whether it is positive.
CLICKED_PHOTOS = (
    ("chelsea", ((150, 250, True), (50, 130, True), (200, 430, False))),
    ("coffee", ((110, 250, True), (200, 210, True), (290, 150, False))),
    ("astronaut", ((330, 150, True), (100, 230, True), (200, 400, False))),
    ("flower", ((180, 245, True), (100, 250, True), (325, 280, False))),
    ("china", ((160, 165, True), (210, 130, True), (280, 330, False))),
    ("rocket", ((200, 258, True), (300, 258, True), (230, 155, False))),
)


def draw_photos(click_model: TrainedModel) -> Figure:
    """Draw two photographs in a row, each after one click and after all clicks.

    Args:
        click_model: The model.
    """
    photo_figure = Figure((10.4, 5.6), dpi=80, layout="constrained")
    next_axes = iter(photo_figure.subplots(3, 4).flat)
    predictor = Predictor(click_model)
    for photo_name, photo_clicks in CLICKED_PHOTOS:
        photo_path = REPOSITORY_ROOT / "examples" / "photos" / f"{photo_name}.jpg"
        photo_image = decode_image(photo_path.read_bytes())
        predictor.set_image(photo_image)
        for num_clicks, (row, column, is_positive) in enumerate(photo_clicks, 1):
            object_mask = predictor.click(row, column, is_positive)
            # The masks between are predicted but not drawn.
            if num_clicks in (1, len(photo_clicks)):
                photo_axes: Axes = next(next_axes)
                photo_axes.set_axis_off()
                photo_axes.imshow(
                    draw_overlay(photo_image, object_mask, predictor.clicks),
                    interpolation="bilinear",
                )
                photo_axes.set_title(
                    f"clicks: {num_clicks}", fontsize=8, loc="left", pad=3
                )
    return photo_figure


def main() -> None:
    """Draw into the file that the command line names."""
    arguments = sys.argv[1:]
    output_path = Path(arguments[0]) if arguments else OUTPUT_PATH
    click_model = load(arguments[1] if arguments[1:] else "mst-small")
    draw_photos(click_model).savefig(output_path, pil_kwargs={"quality": 82})


if __name__ == "__main__":
    main()
