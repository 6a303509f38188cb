"""One TFDS builder per data set, from the layout in which it is published."""

from mst_jax.data.builders.folder import Folder
from mst_jax.data.builders.grabcut import Grabcut
from mst_jax.data.builders.shapes import Shapes

BUILDERS = {"folder": Folder, "grabcut": Grabcut, "shapes": Shapes}
