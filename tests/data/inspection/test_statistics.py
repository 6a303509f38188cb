import numpy as np

from mst_jax.data.inspection.statistics import print_form, take_survey


def test_a_survey_counts_pictures_layers_and_objects():
    first = np.zeros((2, 10, 10), np.uint16)
    first[0, 0, 0], first[0, 1:6], first[1, 0, :2] = 1, 2, 65535
    second = np.full((1, 4, 20), 9, np.uint16)
    survey = take_survey([first, second])
    np.testing.assert_array_equal(survey.sizes, [[10, 10], [4, 20]])
    np.testing.assert_array_equal(survey.num_layers, [2, 1])
    np.testing.assert_allclose(survey.shares, [0.01, 0.5, 1.0])
    lines = print_form(survey).splitlines()
    assert lines[0] == "2 pictures, 3 objects in 3 layers"
    assert lines[1].startswith("sizes 4x10 to 10x20, median 7x15")
    assert [int(line.split()[3]) for line in lines[3:]] == [0, 0, 1, 0, 0, 2]
