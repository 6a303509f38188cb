"""One TFDS builder per data set, from the layout in which it is published."""

from mst_jax.data.builders.berkeley import Berkeley
from mst_jax.data.builders.coco_mval import CocoMval
from mst_jax.data.builders.davis import Davis
from mst_jax.data.builders.folder import Folder
from mst_jax.data.builders.grabcut import Grabcut
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.builders.sstem import Sstem

BUILDERS = {
    builder.name: builder
    for builder in (*(Berkeley, CocoMval, Davis, Folder, Grabcut, Shapes, Sstem),)
}
