"""Draws docs/pictures/afl.png: which pixels the losses teach most.

`python docs/draw_afl.py [FILE]`. Every number is jax.grad of a function
of mst_jax.losses, without weights of the classes.
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

FILE = Path(__file__).with_name("pictures") / "afl.png"

# An example: an object that is nearly missed, in a background that is nearly done. The
# numbers are pt, the probability of the right side.
OBJECT_PT, BACKGROUND_PT = 0.2, 0.9

RATIOS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def normalized_focal(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Twice the loss with alpha 0.5: no weights of the classes."""
    return 2.0 * losses.normalized_focal_loss(logits, targets)


def adaptive_focal(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """The loss without weights of the classes."""
    return losses.adaptive_focal_loss(logits, targets, epsilon=-1.0)


# Name -> loss, and how its line looks.
LINES: dict[str, tuple[Loss, dict]] = {
    "BCE": (losses.binary_cross_entropy_loss, dict(color="#8c8c8c")),
    "FL": (losses.focal_loss, dict(color="#0072b2")),
    "PL": (losses.poly_loss, dict(color="#56b4e9", ls=(0, (5, 2)))),
    "NFL": (normalized_focal, dict(color="#e69f00", ls=(0, (2, 1.5)))),
    "AFL": (adaptive_focal, dict(color="#c1272d", lw=2.8)),
}


@partial(jax.jit, static_argnames="loss")
def slopes(loss: Loss, pt: jax.Array, targets: jax.Array) -> jax.Array:
    """|d loss / d logit| of the pixels of an example, their mean taken as its loss."""
    right_side = jnp.log(pt) - jnp.log1p(-pt)
    logits = jnp.where(targets, right_side, -right_side)
    return jnp.abs(jax.grad(lambda x: loss(x, targets).mean())(logits))


def example(ratio: int) -> tuple[jax.Array, jax.Array]:
    """Gives pt and targets of one object pixel and `ratio` pixels of the background."""
    targets = jnp.arange(1 + ratio) == 0
    return jnp.where(targets, OBJECT_PT, BACKGROUND_PT), targets


def slope_by_pt(loss: Loss, pt: jax.Array, *, ratio: int = 50) -> jax.Array:
    """What a background pixel gets for the loss of one pixel, the others as they are."""
    others, targets = example(ratio)
    one = jax.vmap(lambda p: slopes(loss, others.at[-1].set(p), targets)[-1])
    return targets.size * one(pt)


def object_and_all(loss: Loss) -> tuple[list[float], list[float]]:
    """The gradient that reaches the object, and that of all pixels, for each ratio."""
    each = [slopes(loss, *example(ratio)) for ratio in RATIOS]
    return [float(s[0]) for s in each], [float(s.sum()) for s in each]


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Writes on a panel and takes its upper and right edges away."""
    axes.set_title(title, fontsize=11, loc="left", pad=10)
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def label_all(panels: Sequence[Axes]) -> None:
    """Says what the three panels show."""
    by_pt, share, strength = panels
    pt, easy = "pt, probability of the right side", "easy pixels for each hard one"
    label(by_pt, "Gradient of a pixel (50 easy for each hard)", pt, "|dL / d logit|")
    label(share, "Swamping: share of the hard pixels", easy, "% of the gradient")
    label(strength, "What reaches the hard pixels", easy, "|d mean L / d logit|")
    by_pt.set(yscale="log", ylim=(1e-4, 1e2), xlim=(0, 1))
    share.set(xscale="log", ylim=(0, 102))
    strength.set(xscale="log", yscale="log")
    for panel in panels[1:]:
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.xaxis.set_minor_locator(NullLocator())


def draw(file: Path) -> None:
    """Draws the three panels and writes them as PNG."""
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15)
    pt = jnp.linspace(0.01, 0.99, 99)
    for name, (loss, look) in LINES.items():
        look = {"lw": 2.0, **look}
        hard, total = object_and_all(loss)
        panels[0].plot(pt, slope_by_pt(loss, pt), label=name, **look)
        share = [100 * h / t for h, t in zip(hard, total, strict=True)]
        panels[1].plot(RATIOS, share, **look)
        panels[2].plot(RATIOS, hard, **look)
    label_all(panels)
    names = panels[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=len(LINES), frameon=False)
    figure.savefig(file, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
