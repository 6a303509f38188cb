"""Draw docs/pictures/afl.png: which pixels get most of the gradient of each loss.

`python docs/draw_afl.py [FILE]`. Every number is jax.grad of a function of
mst_jax.losses, without class weights.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter

from mst_jax import losses

DEFAULT_FILE = Path(__file__).with_name("pictures") / "afl.png"

# An example: an object that is nearly missed, in a background that is nearly right. The
# numbers are pt, the probability of the true class.
OBJECT_PT, BACKGROUND_PT = 0.2, 0.9

# Numbers of easy background pixels for each hard object pixel.
EASY_RATIOS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

LossFn = Callable[[jax.Array, jax.Array], jax.Array]


def normalized_focal(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Compute the normalized focal loss without class weights: twice that of alpha 0.5."""
    return 2.0 * losses.normalized_focal_loss(logits, targets)


def adaptive_focal(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Compute the adaptive focal loss without class weights."""
    return losses.adaptive_focal_loss(logits, targets, epsilon=-1.0)


# Name -> loss, and the style of its line.
LINES: dict[str, tuple[LossFn, dict]] = {
    "BCE": (losses.binary_cross_entropy_loss, dict(color="#8c8c8c")),
    "FL": (losses.focal_loss, dict(color="#0072b2")),
    "PL": (losses.poly_loss, dict(color="#56b4e9", ls=(0, (5, 2)))),
    "NFL": (normalized_focal, dict(color="#e69f00", ls=(0, (2, 1.5)))),
    "AFL": (adaptive_focal, dict(color="#c1272d", lw=2.8)),
}


@partial(jax.jit, static_argnames="loss_fn")
def gradient_sizes(loss_fn: LossFn, pt: jax.Array, targets: jax.Array) -> jax.Array:
    """Compute |d loss / d logit| of each pixel, the loss being the mean over the pixels.

    Args:
        loss_fn: (logits, targets) -> loss of each pixel.
        pt: [n] probability of the true class of each pixel.
        targets: [n] True on the object.
    """
    true_logits = jnp.log(pt) - jnp.log1p(-pt)
    logits = jnp.where(targets, true_logits, -true_logits)
    return jnp.abs(jax.grad(lambda x: loss_fn(x, targets).mean())(logits))


def make_example(ratio: int) -> tuple[jax.Array, jax.Array]:
    """Return pt and targets of one object pixel and `ratio` pixels of the background."""
    targets = jnp.arange(1 + ratio) == 0
    return jnp.where(targets, OBJECT_PT, BACKGROUND_PT), targets


def gradient_by_pt(loss_fn: LossFn, pt: jax.Array, *, ratio: int = 50) -> jax.Array:
    """Compute the gradient of one background pixel for each value of its pt.

    Args:
        loss_fn: (logits, targets) -> loss of each pixel.
        pt: [m] values of pt of that pixel; the others keep theirs.
        ratio: Number of background pixels.
    """
    example_pt, targets = make_example(ratio)

    def last_gradient(last_pt: jax.Array) -> jax.Array:
        return gradient_sizes(loss_fn, example_pt.at[-1].set(last_pt), targets)[-1]

    # Times the number of pixels: the gradient for the loss of one pixel, not the mean.
    return targets.size * jax.vmap(last_gradient)(pt)


def object_and_total_gradients(loss_fn: LossFn) -> tuple[list[float], list[float]]:
    """Compute the gradient of the object, and that of all pixels, for each ratio."""
    gradients = [gradient_sizes(loss_fn, *make_example(ratio)) for ratio in EASY_RATIOS]
    object_gradients = [float(sizes[0]) for sizes in gradients]
    return object_gradients, [float(sizes.sum()) for sizes in gradients]


def label_panel(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Label one panel and remove its upper and right edges."""
    axes.set_title(title, fontsize=11, loc="left", pad=10)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def label_panels(panels: Sequence[Axes]) -> None:
    """Label the three panels and set their scales."""
    by_pt, share, strength = panels
    pt_label, ratio_label = (
        "pt, probability of the right side",
        "easy pixels for each hard one",
    )
    label_panel(
        by_pt, "Gradient of a pixel (50 easy for each hard)", pt_label, "|dL / d logit|"
    )
    label_panel(
        share, "Swamping: share of the hard pixels", ratio_label, "% of the gradient"
    )
    label_panel(
        strength, "What reaches the hard pixels", ratio_label, "|d mean L / d logit|"
    )
    by_pt.set(yscale="log", ylim=(1e-4, 1e2), xlim=(0, 1))
    share.set(xscale="log", ylim=(0, 102))
    strength.set(xscale="log", yscale="log")
    for panel in panels[1:]:
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.xaxis.set_minor_locator(NullLocator())


def draw(file: Path) -> None:
    """Draw the three panels and write them as PNG.

    Args:
        file: Path of the PNG.
    """
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15)
    pt = jnp.linspace(0.01, 0.99, 99)
    for name, (loss_fn, line_style) in LINES.items():
        line_style = {"lw": 2.0, **line_style}
        hard, total = object_and_total_gradients(loss_fn)
        panels[0].plot(pt, gradient_by_pt(loss_fn, pt), label=name, **line_style)
        hard_share = [100 * h / t for h, t in zip(hard, total, strict=True)]
        panels[1].plot(EASY_RATIOS, hard_share, **line_style)
        panels[2].plot(EASY_RATIOS, hard, **line_style)
    label_panels(panels)
    # One legend for all panels.
    handles_and_names = panels[0].get_legend_handles_labels()
    figure.legend(
        *handles_and_names, loc="outside lower center", ncols=len(LINES), frameon=False
    )
    figure.savefig(file, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FILE)
