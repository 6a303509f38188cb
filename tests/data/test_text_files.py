import pytest

from mst_jax.data.text_files import read_text_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_read_whatever_the_system(encoding, line_end, tmp_path):
    text = line_end.join(["bäume_1  ", "", "\tb ", "  "])
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert read_text_lines(tmp_path / "a.txt") == ["bäume_1", "", "b", ""]


@pytest.mark.parametrize("data", [b"\xff\x00\xc3\x28", "ab".encode("utf-16-le")])
def test_other_encodings_are_refused(data, tmp_path):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.txt is not a text file in UTF-8"):
        read_text_lines(tmp_path / "a.txt")
