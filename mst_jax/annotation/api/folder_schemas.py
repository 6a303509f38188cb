"""Bodies of requests and responses about the whole folder, as OpenAPI shows them."""

from pydantic import BaseModel, Field

from mst_jax.annotation.api.schemas import ObjectName, RequestBody
from mst_jax.annotation.store.image_index import ImageStatus
from mst_jax.annotation.store.labels import MAX_LABELS


class FolderImageResponse(BaseModel):
    """An image of the served folder."""

    name: str = Field(description="path relative to the folder")
    width: int | None = Field(description="null = not measured")
    height: int | None = Field(description="null = not measured")
    status: ImageStatus
    num_objects: int = Field(description="number of objects that have a mask")
    session_id: str | None = Field(description="null = never opened")
    reason: str | None = Field(description="why the image cannot be shown")


class StatusCounts(BaseModel):
    """Number of images of each status."""

    done: int = Field(description="all objects are finished")
    in_progress: int = Field(description="an object is not finished")
    empty: int = Field(description="there is no object")
    failed: int = Field(description="the image cannot be shown")


class ImageListResponse(BaseModel):
    """A part of the images of the served folder."""

    images: list[FolderImageResponse]
    offset: int = Field(description="index of the first one among those that match")
    total: int = Field(description="number of images that match")
    counts: StatusCounts = Field(description="of the whole folder")
    is_scanning: bool = Field(description="true while images are measured")


class LabelResponse(BaseModel):
    """A label."""

    id: int = Field(description="category ID in COCO files; never used again")
    name: str


class LabelListResponse(BaseModel):
    """The labels that objects can carry, in the order of the list."""

    labels: list[LabelResponse]
    is_fixed: bool = Field(description="true if --labels fixes the list")


class LabelRequest(RequestBody):
    """A label of the new list."""

    id: int | None = Field(None, description="missing = a new label")
    name: ObjectName


class ReplaceLabelsRequest(RequestBody):
    """The new list of labels."""

    labels: list[LabelRequest] = Field(max_length=MAX_LABELS)


class ImportResponse(BaseModel):
    """The result of an import."""

    num_images: int = Field(description="number of images that got objects")
    num_objects: int = Field(description="number of objects that were added")
    skipped: list[str] = Field(description="what was not imported, one sentence each")
    num_smoothed: int = Field(
        description="number of skipped label maps that binarize=true reads as one object"
    )
