"""Attachments: saved as they are, shown only as a picture that was painted anew."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.responses import Response

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.query.served import StoredFile, find_attachment
from agentsight_auto.server.dashboard.pages import Page
from agentsight_auto.server.dashboard.visits import Visit
from agentsight_auto.server.routes.files import file_response
from agentsight_auto.server.routing import parse_id

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_MOST_PIXELS = 40_000_000
_LARGEST_SIDE = 1280
_PREVIEW_HEADERS = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=600",
}
_painting = threading.BoundedSemaphore(2)
"""A large picture takes about 160 MB while it is painted."""


def save(visit: Visit) -> Response:
    """Send the bytes, to be saved and never shown in place."""
    file, path = _find(visit)
    return file_response(path, file)


def show(visit: Visit) -> Response:
    """Send a picture of the picture: decoded, made small and encoded again, so that nothing else in it arrives."""
    _, path = _find(visit)
    try:
        with _painting, Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise NotFoundException("The picture is too large to be shown.")
            image.draft("RGB", (_LARGEST_SIDE, _LARGEST_SIDE))
            painted = ImageOps.exif_transpose(image).convert("RGBA")
            painted.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
            target = io.BytesIO()
            Image.frombytes("RGBA", painted.size, painted.tobytes()).save(target, "WEBP", quality=82)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise NotFoundException("This is no picture that can be shown.") from error
    return Response(target.getvalue(), 200, _PREVIEW_HEADERS, "image/webp")


def _find(visit: Visit) -> tuple[StoredFile, Path]:
    number = parse_id(visit.path_values["id"])
    file = None if number is None else find_attachment(visit.service.database, visit.backend.agent_id, number)
    if file is None:
        raise NotFoundException("There is no such attachment.")
    path = visit.service.attachments(visit.agent.id, visit.agent.name).path(file.sha256)
    if not path.exists():
        raise NotFoundException("The attachment has not arrived.")
    return file, path


PAGES = (Page("GET", "/attachments/{id}/", save), Page("GET", "/attachments/{id}/picture/", show))
