"""Addresses of the folder of pictures that is served."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

import mst_jax.annotation.api.schemas as say
from mst_jax.annotation.api.session_routes import get_folder
from mst_jax.annotation.files.image_folder import PictureFolder

router = APIRouter(prefix="/api/folder", tags=["folder"])

Served = Annotated[PictureFolder, Depends(get_folder)]


@router.get("")
def list_pictures(folder: Served) -> say.Folder:
    """The pictures of the folder and the folders in it, by name."""
    found = [say.Listed(**one._asdict()) for one in folder.pictures()]
    return say.Folder(pictures=found)


@router.get("/thumbnail", response_class=Response)
def see_thumbnail(
    folder: Served, name: Annotated[str, Query(max_length=1000)]
) -> Response:
    """A picture made small, JPEG."""
    return Response(folder.thumbnail(name), media_type="image/jpeg")
