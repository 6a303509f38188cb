"""Rejected requests and the error responses of the annotation server."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

ERROR_DESCRIPTIONS = {
    400: "The request cannot be fulfilled.",
    401: "The token is missing or wrong.",
    403: "The request comes from another origin or uses another host name.",
    404: "The resource does not exist.",
    408: "The body did not arrive in time.",
    409: "The request contradicts the present state.",
    413: "The body or the image is too large.",
    415: "The body is not an image, or has another content type.",
    422: "The body or a parameter is invalid.",
    429: "Too many sessions, or too many concurrent requests.",
    507: "The disk of the server is full; nothing was stored.",
}
"""HTTP status -> its meaning, for the OpenAPI description."""


class ErrorResponse(BaseModel):
    """The reason of a rejection, in one sentence."""

    error: str
    retry_with: str | None = Field(
        None, description="query parameter with which the request is accepted"
    )


class RequestRejected(HTTPException):
    """A request of a user that cannot be fulfilled.

    Attributes:
        retry_with: Query parameter with which the same request is accepted, such as
            `binarize=true`; None = there is none.
    """

    def __init__(
        self, message: str, status_code: int = 400, *, retry_with: str | None = None
    ) -> None:
        """Describe the rejection.

        Args:
            message: One sentence for the user: what came, what was expected, what to
                do.
            status_code: HTTP status of the response.
            retry_with: See the class.
        """
        super().__init__(status_code, message)
        self.retry_with = retry_with


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of an app with JSON `{"error": "one sentence"}`.

    Args:
        app: Application that gets the handlers.
    """
    app.exception_handler(HTTPException)(http_error)
    app.exception_handler(RequestValidationError)(validation_error)
    app.exception_handler(ClientDisconnect)(client_disconnected)
    app.exception_handler(Exception)(unexpected_error)


async def http_error(request: Request, error: HTTPException) -> JSONResponse:
    """Return the sentence and the status of a rejected request."""
    content = {"error": str(error.detail)}
    if isinstance(error, RequestRejected) and error.retry_with is not None:
        content["retry_with"] = error.retry_with
    return JSONResponse(content, error.status_code, headers=error.headers)


async def validation_error(
    request: Request, error: RequestValidationError
) -> JSONResponse:
    """Return the first invalid field of a body or a parameter, with status 422."""
    # FastAPI's own response is a nested list; clients of this server expect a sentence.
    first_error = error.errors()[0]
    field_location = ".".join(
        str(location_part) for location_part in first_error["loc"]
    )
    return JSONResponse({"error": f"{field_location}: {first_error['msg']}"}, 422)


async def client_disconnected(
    request: Request, error: ClientDisconnect
) -> JSONResponse:
    """Return status 400 for a request that ended before its body was complete."""
    return JSONResponse({"error": "the request ended before its body"}, 400)


async def unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """Return status 500; the server's log has the traceback."""
    # The exception may name files or hold user data, so it is not sent to the client.
    return JSONResponse(
        {"error": "an internal error occurred; see the log of the server"}, 500
    )
