"""TFDS builders, one for each dataset, that read the layout its authors publish."""

from mst_jax.data.builders.berkeley import Berkeley
from mst_jax.data.builders.brats import Brats
from mst_jax.data.builders.bsds500 import Bsds500
from mst_jax.data.builders.coco_json import CocoJson
from mst_jax.data.builders.coco_lvis import CocoLvis
from mst_jax.data.builders.coco_mval import CocoMval
from mst_jax.data.builders.davis import Davis
from mst_jax.data.builders.davis2017 import Davis2017
from mst_jax.data.builders.folder import Folder
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.builders.grabcut import Grabcut
from mst_jax.data.builders.hqseg44k import Hqseg44k
from mst_jax.data.builders.love_da import LoveDa
from mst_jax.data.builders.oaizib import Oaizib
from mst_jax.data.builders.pascal_voc import PascalVoc
from mst_jax.data.builders.sbd import Sbd
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.builders.sstem import Sstem

# By the name that TFDS derives from the class: it is the folder of the prepared set.
BUILDERS: dict[str, type[FolderDatasetBuilder] | type[Shapes]] = {
    "berkeley": Berkeley,
    "brats": Brats,
    "bsds500": Bsds500,
    "coco_json": CocoJson,
    "coco_lvis": CocoLvis,
    "coco_mval": CocoMval,
    "davis": Davis,
    "davis2017": Davis2017,
    "folder": Folder,
    "grabcut": Grabcut,
    "hqseg44k": Hqseg44k,
    "love_da": LoveDa,
    "oaizib": Oaizib,
    "pascal_voc": PascalVoc,
    "sbd": Sbd,
    "shapes": Shapes,
    "sstem": Sstem,
}
