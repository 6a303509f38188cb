"""Routes of the whole folder: labels, export and import."""

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from mst_jax.annotation.api import folder_schemas
from mst_jax.annotation.api.image_routes import ImageFolderParam
from mst_jax.annotation.api.session_routes import (
    BinarizeParam,
    BodyBytes,
    LimitsParam,
    RegistryParam,
    RequestKey,
    get_image_folder,
    read_content_type,
)
from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.folder_export import (
    FolderExportFormat,
    write_folder_export,
)
from mst_jax.annotation.sessions.mask_import import import_coco, import_label_maps

router = APIRouter(prefix="/api", tags=["folder"])

_IMPORT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_BLOCK_BYTES = 2**20


@router.get("/labels")
def list_labels(registry: RegistryParam) -> folder_schemas.LabelListResponse:
    """Return the labels that objects can carry."""
    labels = registry.labels
    return folder_schemas.LabelListResponse(
        labels=[
            folder_schemas.LabelResponse(id=label.label_id, name=label.name)
            for label in labels.labels
        ],
        is_fixed=labels.is_fixed,
    )


@router.put("/labels")
def replace_labels(
    registry: RegistryParam, body: folder_schemas.ReplaceLabelsRequest
) -> folder_schemas.LabelListResponse:
    """Replace the labels: rename, add, sort or remove them.

    A label that objects carry cannot be removed.
    """
    registry.labels.replace([(label.id, label.name) for label in body.labels])
    registry.exporter.notify()
    return list_labels(registry)


@router.get(
    "/export",
    response_class=StreamingResponse,
    dependencies=[Depends(get_image_folder)],
)
def export_folder(
    registry: RegistryParam, format: Annotated[FolderExportFormat, Query()]
) -> StreamingResponse:
    """Return the finished objects of all images: one COCO file, or label maps."""
    is_zip = format == "labels"
    # On disk: the export of a large folder need not fit into memory.
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        write_folder_export(file, registry.database, registry.labels, format)
        file.seek(0)
    except OSError as error:
        file.close()
        raise RequestRejected(
            f"the export cannot be written ({error.strerror}); free space on the disk "
            "of the server",
            507,
        ) from None
    name = "labels.zip" if is_zip else "annotations.json"
    return StreamingResponse(
        _iter_blocks(file),
        media_type="application/zip" if is_zip else "application/json",
        headers={"content-disposition": f"attachment; filename={name}"},
    )


@router.post("/import", openapi_extra=_IMPORT_BODY)
def import_folder(
    request: Request,
    body: BodyBytes,
    registry: RegistryParam,
    image_folder: ImageFolderParam,
    limits: LimitsParam,
    binarize: BinarizeParam = False,
    request_key: RequestKey = None,
) -> folder_schemas.ImportResponse:
    """Add finished objects to images of the folder, from COCO or a zip of label maps."""
    content_type = read_content_type(request)
    if content_type == "application/json":
        result = import_coco(registry, body, request_key)
    elif content_type in ("application/zip", "application/x-zip-compressed"):
        names = list(image_folder.list_files())
        result = import_label_maps(
            registry, body, names, limits, request_key, binarize=binarize
        )
    else:
        raise RequestRejected(
            f"the content type is {content_type[:100]!r}, expected application/json "
            "(COCO) or application/zip (label maps)",
            415,
        )
    return folder_schemas.ImportResponse(**result._asdict())


def _iter_blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block
