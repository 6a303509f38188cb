import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.sessions.session_parts import SessionImages
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE, SMALL_LIMITS, insert_session


def test_images_come_from_the_database_or_the_folder(database, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    insert_session(database, "folder", folder_name="a.png")
    insert_session(database, "upload", image=encode_png(255 - IMAGE))
    images = SessionImages(database, ImageFolder(tmp_path / "photos", SMALL_LIMITS))
    np.testing.assert_array_equal(images.read_pixels("folder"), IMAGE)
    np.testing.assert_array_equal(images.read_pixels("upload"), 255 - IMAGE)
    with pytest.raises(RequestRejected, match="no such session"):
        images.read_image("unknown")
    with pytest.raises(RequestRejected, match="--folder"):
        SessionImages(database, None).read_image("folder")
