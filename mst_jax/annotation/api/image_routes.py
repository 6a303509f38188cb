"""Routes of the served image folder: list of images, and thumbnails."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from mst_jax.annotation.api import folder_schemas
from mst_jax.annotation.api.session_routes import get_image_folder, get_image_index
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.store.image_index import ImageIndex, ImageStatus

router = APIRouter(prefix="/api/images", tags=["images"])

MAX_PAGE_SIZE = 1000
"""Maximum number of images in one response."""


ImageFolderParam = Annotated[ImageFolder, Depends(get_image_folder)]
ImageIndexParam = Annotated[ImageIndex, Depends(get_image_index)]
ImageName = Annotated[str, Query(max_length=1000)]


@router.get("")
def list_images(
    image_index: ImageIndexParam,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = MAX_PAGE_SIZE,
    status: ImageStatus | None = None,
    search: Annotated[str, Query(max_length=200, description="part of a name")] = "",
    around: Annotated[
        str | None, Query(max_length=1000, description="an image on the page")
    ] = None,
) -> folder_schemas.ImageListResponse:
    """Return a part of the images of the folder, sorted by name, with their status."""
    page = image_index.read_page(
        offset=offset, limit=limit, status=status, search=search, around=around
    )
    return folder_schemas.ImageListResponse(
        images=[
            folder_schemas.FolderImageResponse(**item._asdict()) for item in page.images
        ],
        offset=page.offset,
        total=page.total,
        counts=folder_schemas.StatusCounts(**page.counts),
        is_scanning=page.is_scanning,
    )


@router.get("/thumbnail", response_class=Response)
def read_thumbnail(
    image_folder: ImageFolderParam, image_index: ImageIndexParam, name: ImageName
) -> Response:
    """Return a small JPEG of an image."""
    with image_index.report_damage(name):
        thumbnail = image_folder.thumbnail(name)
    return Response(thumbnail, media_type="image/jpeg")
