"""Tables of clicks on many images: read and grouped, or every wrong row is named."""

import numpy as np
import pytest

from mst_jax.inference.click_session import Click
from mst_jax.inference.click_table import read_click_table, repeat_clicks
from tests.helpers.image_files import write_image

SIZES = {"a.png": (4, 6), "sub/b.jpg": (5, 3)}


@pytest.fixture
def image_folder(tmp_path):
    for name, size in SIZES.items():
        write_image(tmp_path / "images" / name, np.full((*size, 3), 90, np.uint8))
    return tmp_path / "images"


@pytest.fixture
def read(image_folder, tmp_path):
    """Returns a function that reads a table with the given text."""

    def read_text(text):
        path = tmp_path / "clicks.csv"
        path.write_bytes(text.encode())
        return read_click_table(path, image_folder)

    return read_text


def test_rows_are_grouped_by_image_and_object_in_their_order(read, image_folder):
    text = (
        "\ufeffobject, image,positive,row,column\r\n"
        "2,a.png,1,0,5.5\r\n"
        "7,sub/b.jpg,TRUE,4,2\r\n"
        '1,"a.png",1,3,0\r\n'
        "2,a.png,0,1,1\r\n"
    )
    first, second = read(text)
    assert first == (
        "a.png",
        image_folder / "a.png",
        (4, 6),
        {2: [Click(0, 5.5, True), Click(1, 1, False)], 1: [Click(3, 0, True)]},
        (),
    )
    assert second.name == "sub/b.jpg" and second.size == (5, 3)
    assert second.objects == {7: [Click(4, 2, True)]}


def test_a_click_is_positive_and_the_only_object_without_these_columns(read):
    (task,) = read("image,row,column\na.png,1,2\na.png,3,4\n")
    assert task.objects == {None: [Click(1, 2, True), Click(3, 4, True)]}


def test_all_wrong_rows_are_named_in_order(read):
    lines = [
        "image,row,column,positive,object",
        "a.png,1,1,1,1",
        "a.png,4,0,1,1",
        "a.png,nan,0,1,1",
        "gone.png,0,0,1,1",
        "gone.png,0,0,1,1",
        "a.png,x,0,1,1",
        "a.png,1,1,2,1",
        "a.png,1,1,1,cat",
        "a.png,1,1,1",
        "../a.png,1,1,1,1",
        "/a.png,1,1,1,1",
        "sub/b.jpg,0,0,0,3",
    ]
    with pytest.raises(ValueError, match="has 10 bad rows, nothing") as error_info:
        read("\n".join(lines))
    messages = [line.strip() for line in str(error_info.value).splitlines()[1:]]
    expected = [
        "line 3: row 4, column 0 lies outside a.png of 4 rows, 6 columns",
        "line 4: row nan, column 0 lies outside",
        "line 5: cannot read ",
        "line 7: row, column are 'x', '0', expected numbers",
        "line 8: positive is '2', expected 1 or 0",
        "line 9: object is 'cat', expected a whole number",
        "line 10: has another number of values than the header",
        "line 11: image is '../a.png', expected a path below the folder",
        "line 12: image is '/a.png'",
        "sub/b.jpg, object 3 has no positive click",
    ]
    assert len(messages) == len(expected)
    for message, beginning in zip(messages, expected, strict=True):
        assert message.startswith(beginning)


def test_a_long_list_of_errors_is_cut(read):
    with pytest.raises(ValueError, match=r"30 bad rows(.*\n){21}  and 10 more"):
        read("image,row,column\n" + "a.png,9,9\n" * 30)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,row,column\n", "clicks.csv has no rows"),
        ("", "has the columns none; expected image, row, column and"),
        ("image;row;column\na.png;1;2\n", "image;row;column; expected .* by commas"),
        ("image,row,column,postive\n", "has the columns image, row, column, postive"),
        ("image,row\n", "has the columns image, row; expected"),
    ],
)
def test_a_wrong_table_is_one_sentence(read, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(text)


def test_a_missing_or_binary_table_is_one_sentence(image_folder):
    with pytest.raises(ValueError, match=r"cannot read .*none.csv: No such file"):
        read_click_table(image_folder / "none.csv", image_folder)
    with pytest.raises(ValueError, match=r"a.png is not a text file, expected CSV"):
        read_click_table(image_folder / "a.png", image_folder)


def test_the_same_clicks_on_every_image(image_folder):
    (image_folder / "notes.txt").write_text("no image")
    clicks = [Click(3, 2, True), Click(0, 0, False)]
    tasks = repeat_clicks(clicks, image_folder)
    assert [task.name for task in tasks] == ["a.png", "sub/b.jpg"]
    assert all(task.objects == {None: clicks} for task in tasks)
    with pytest.raises(
        ValueError, match=r"1 bad images(.*\n)  row 4, .* outside a.png"
    ):
        repeat_clicks([Click(4, 2, True)], image_folder)
    with pytest.raises(ValueError, match="has no image, expected"):
        (image_folder / "empty").mkdir()
        repeat_clicks(clicks, image_folder / "empty")
