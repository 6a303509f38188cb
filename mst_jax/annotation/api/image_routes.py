"""Routes of the served image folder: file list and thumbnails."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from mst_jax.annotation.api import schemas
from mst_jax.annotation.api.session_routes import get_image_folder
from mst_jax.annotation.files.image_folder import ImageFolder

router = APIRouter(prefix="/api/images", tags=["images"])

ImageFolderParam = Annotated[ImageFolder, Depends(get_image_folder)]


@router.get("")
def list_images(image_folder: ImageFolderParam) -> schemas.ImageListResponse:
    """Return the images of the folder and its sub-folders, sorted by name."""
    images = [
        schemas.FolderImageResponse(**image._asdict())
        for image in image_folder.list_images()
    ]
    return schemas.ImageListResponse(images=images)


@router.get("/thumbnail", response_class=Response)
def read_thumbnail(
    image_folder: ImageFolderParam, name: Annotated[str, Query(max_length=1000)]
) -> Response:
    """Return a small JPEG of an image."""
    return Response(image_folder.thumbnail(name), media_type="image/jpeg")
