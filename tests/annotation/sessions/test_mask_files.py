import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.mask_files import find_mask_files, read_mask_files
from mst_jax.data.formats.images import encode_png
from tests.helpers.image_files import write_image

same = np.testing.assert_array_equal


def make_map(*labels: int) -> np.ndarray:
    """Return a label map with one row for each label."""
    return np.repeat(np.array(labels, np.uint16)[:, None], 5, axis=1)


@pytest.mark.parametrize(
    ("files", "image_names", "found"),
    [
        ([], [], []),
        (["a.png", "b.png"], [], ["a.png"]),
        (["a_10.png", "a_2.tif"], [], ["a_2.tif", "a_10.png"]),
        (["a.png", "a_0.png"], [], ["a.png", "a_0.png"]),
        (["a.bmp", "a.png"], [], ["a.png"]),
        (["a.json", "a.png", "a_0.png"], [], ["a.json"]),
        # An image of its own, and its layers.
        (["a_1.png", "a_1_0.png", "a_2.png"], ["a.jpg", "a_1.jpg"], ["a_2.png"]),
        (["a_x.png", "a.txt", "a.png.bak", "x/a.png"], [], []),
    ],
)
def test_files_of_an_image_are_found_as_prepare_finds_them(
    tmp_path, files, image_names, found
):
    for name in files:
        (tmp_path / "sub" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sub" / name).write_bytes(b"")
    names = [f"sub/{name}" for name in image_names]
    paths = find_mask_files(tmp_path, "sub/a", names)
    assert [path.as_posix() for path in paths] == [f"sub/{name}" for name in found]


def test_labels_of_layers_become_different_objects(tmp_path):
    layers = [make_map(1, 300, 0), make_map(300, 65535, 2), make_map(0, 1, 1)]
    for index, layer in enumerate(layers):
        write_image(tmp_path / f"a_{index}.png", layer)
    paths = find_mask_files(tmp_path, "a", [])
    masks = read_mask_files(tmp_path, paths, 3, 5)
    assert [item.object_id for item in masks] == [1, 300, 2, 3, 4]
    expected = [(0, 1), (0, 300), (1, 2), (1, 300), (2, 1)]
    for item, (index, label) in zip(masks, expected, strict=True):
        same(item.mask, layers[index] == label)


def test_layer_of_another_size_is_one_sentence(tmp_path):
    (tmp_path / "a_0.png").write_bytes(encode_png(make_map(1, 2)))
    paths = find_mask_files(tmp_path, "a", [])
    with pytest.raises(RequestRejected, match=r"a_0\.png .* 2 rows and 5 columns"):
        read_mask_files(tmp_path, paths, 3, 5)
