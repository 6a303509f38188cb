import pytest
from pydantic import ValidationError

from mst_jax.annotation.api.folder_schemas import ReplaceLabelsRequest


def test_labels_have_names_and_optional_ids():
    body = {"labels": [{"name": "cat"}, {"id": 3, "name": "dog"}]}
    request = ReplaceLabelsRequest.model_validate(body)
    assert [(label.id, label.name) for label in request.labels] == [
        (None, "cat"),
        (3, "dog"),
    ]


@pytest.mark.parametrize(
    "label", [{}, {"name": ""}, {"name": "a", "id": "3"}, {"name": "a", "key": 1}]
)
def test_invalid_labels_are_rejected(label):
    with pytest.raises(ValidationError):
        ReplaceLabelsRequest.model_validate({"labels": [label]})
