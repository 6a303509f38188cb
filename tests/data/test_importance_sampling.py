import numpy as np
import pytest

from mst_jax.data.importance_sampling import DrawNumber, draw_shares, read_scores


def write(folder, text):
    path = folder / "scores.csv"
    path.write_text(text)
    return path


def test_a_line_is_a_name_and_a_score(tmp_path):
    text = '2008_000003,0.25\nb,1\n"name, with comma",0\n'
    scores = {"2008_000003": 0.25, "b": 1.0, "name, with comma": 0.0}
    assert read_scores(write(tmp_path, text)) == scores


def test_shares_are_powers_of_what_is_missing_to_1():
    scores = {"easy": 1.0, "half": 0.5, "hard": 0.0, "elsewhere": 0.3}
    shares = draw_shares(["hard", "easy", "half"], scores, gamma=1.25)
    total = 1 + 0.4204482  # 0.5 ** 1.25
    np.testing.assert_allclose(shares, [1 / total, 0, 0.4204482 / total], rtol=1e-6)
    even = draw_shares(["hard", "half"], scores, gamma=0.0)
    np.testing.assert_allclose(even, [0.5, 0.5])


def test_numbers_are_drawn_by_their_shares():
    draw = DrawNumber(np.array([0.25, 0.0, 0.75]))
    rng = np.random.default_rng(0)
    numbers = [draw.random_map(None, rng) for _ in range(4000)]
    shares = np.bincount(numbers, minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.25, 0.0, 0.75], atol=0.025)
    assert shares[1] == 0.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,0.5\na 0.5\n", "line 2 is not ID,SCORE: 'a 0.5'"),
        ("a,0.5\n\n", "line 2 is not ID,SCORE: ''"),
        ("a,high\n", "line 1 is not ID,SCORE"),
        ("a,1.5\n", "line 1 is not ID,SCORE"),
        ("a,nan\n", "line 1 is not ID,SCORE"),
        ("a,0.5\na,0.6\n", "line 2 names a picture again: 'a,0.6'"),
    ],
)
def test_other_lines_are_refused(tmp_path, text, reason):
    with pytest.raises(ValueError, match=reason):
        read_scores(write(tmp_path, text))


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read the scores .*gone\.csv"):
        read_scores(tmp_path / "gone.csv")
    (tmp_path / "scores.pkl").write_bytes(b"\x80\x04\x95\xff\xfe")
    with pytest.raises(ValueError, match="expected a text file with lines ID,SCORE"):
        read_scores(tmp_path / "scores.pkl")


def test_every_picture_needs_a_score_and_some_picture_a_share():
    with pytest.raises(ValueError, match="1 of 2 pictures have no score, such as 'b'"):
        draw_shares(["a", "b"], {"a": 0.5}, gamma=1.0)
    with pytest.raises(ValueError, match="every picture has the score 1"):
        draw_shares(["a"], {"a": 1.0}, gamma=1.25)
