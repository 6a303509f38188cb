import numpy as np
import pytest

from mst_jax.data.importance_sampling import (
    WeightedIndexSampler,
    read_score_file,
    sampling_probabilities,
)


def write_score_file(folder, text):
    path = folder / "scores.csv"
    path.write_text(text)
    return path


def test_each_line_is_a_name_and_a_score(tmp_path):
    text = '2008_000003,0.25\nb,1\n"name, with comma",0\n'
    scores = {"2008_000003": 0.25, "b": 1.0, "name, with comma": 0.0}
    assert read_score_file(write_score_file(tmp_path, text)) == scores


def test_probabilities_are_powers_of_one_minus_the_score():
    scores = {"easy": 1.0, "half": 0.5, "hard": 0.0, "elsewhere": 0.3}
    probabilities = sampling_probabilities(["hard", "easy", "half"], scores, gamma=1.25)
    total = 1 + 0.4204482  # 0.5 ** 1.25
    expected = [1 / total, 0, 0.4204482 / total]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    uniform = sampling_probabilities(["hard", "half"], scores, gamma=0.0)
    np.testing.assert_allclose(uniform, [0.5, 0.5])


def test_indices_are_sampled_by_their_probabilities():
    sampler = WeightedIndexSampler(np.array([0.25, 0.0, 0.75]))
    rng = np.random.default_rng(0)
    indices = [sampler.random_map(None, rng) for _ in range(4000)]
    frequencies = np.bincount(indices, minlength=3) / 4000
    np.testing.assert_allclose(frequencies, [0.25, 0.0, 0.75], atol=0.025)
    assert frequencies[1] == 0.0


def test_score_file_of_another_system_is_read(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_bytes(b"\xef\xbb\xbfa,0.5 \r\n\r\nb, 1\r\n\r\n")
    assert read_score_file(path) == {"a": 0.5, "b": 1.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,0.5\na 0.5\n", "line 2 is not ID,SCORE: 'a 0.5'"),
        ("a,0.5\n\nb\n", "line 3 is not ID,SCORE: 'b'"),
        ("a,high\n", "line 1 is not ID,SCORE"),
        ("a,1.5\n", "line 1 is not ID,SCORE"),
        ("a,nan\n", "line 1 is not ID,SCORE"),
        ("a,0.5\na,0.6\n", "line 2 repeats an image: 'a,0.6'"),
    ],
)
def test_malformed_line_is_rejected(tmp_path, text, reason):
    with pytest.raises(ValueError, match=reason):
        read_score_file(write_score_file(tmp_path, text))


def test_unreadable_score_file_is_rejected(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read the scores .*gone\.csv"):
        read_score_file(tmp_path / "gone.csv")
    (tmp_path / "scores.pkl").write_bytes(b"\x80\x04\x95\xff\xfe")
    with pytest.raises(ValueError, match="expected a text file with lines ID,SCORE"):
        read_score_file(tmp_path / "scores.pkl")


def test_missing_score_and_all_scores_of_1_are_rejected():
    with pytest.raises(ValueError, match="1 of 2 images have no score, such as 'b'"):
        sampling_probabilities(["a", "b"], {"a": 0.5}, gamma=1.0)
    with pytest.raises(ValueError, match="every image has the score 1"):
        sampling_probabilities(["a"], {"a": 1.0}, gamma=1.25)
