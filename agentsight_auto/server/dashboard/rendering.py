"""From a template to a response: escaped, and with headers that forbid what no page needs.

In: a `Visit`, the template's name, values. Out: a response. Loses: nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agentsight_auto._version import __version__
from agentsight_auto.server.dashboard import languages, markup
from agentsight_auto.server.dashboard.visits import THEMES, Visit, url

_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_YEAR_S = 31_536_000
REPORTS_PATH = "/policy-reports/"
"""Where browsers report what a page tried against its policy."""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        static=static_url, url=url, themes=THEMES, languages=languages.own_names(), version=__version__
    )
    environment.filters.update(plain=markup.plain, rich=markup.rich, visible=markup.visible, pretty=markup.pretty_json)
    return environment


def page(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    texts = visit.texts
    html = _environment().get_template(template).render(visit=visit, texts=texts, t=texts.t, n=texts.n, **values)
    return HTMLResponse(html, status, headers=safe_headers(visit))


def redirect(target: str) -> Response:
    """Return what makes a browser fetch another page after a form."""
    return RedirectResponse(target, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "same-origin"})


def safe_headers(visit: Visit) -> dict[str, str]:
    """Return the headers of every page.

    The referrer goes to this server alone: with ``no-referrer`` browsers send ``Origin: null`` with a form, and where
    there is no ``Sec-Fetch-Site`` either, nothing would tell our own forms from those of others.
    """
    nonce = f"'nonce-{visit.nonce}'"
    policy = (
        f"default-src 'none'; script-src {nonce}; style-src {nonce}; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'; "
        f"report-to policy; report-uri {REPORTS_PATH}"
    )
    headers = {
        "Reporting-Endpoints": f'policy="{REPORTS_PATH}"',
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    if visit.is_secure:
        headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
    return headers


# -- static files ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def static_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the content of each static file, and its version."""
    folder = resources.files(__package__) / "static"
    contents = {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _MEDIA_TYPES
    }
    return {name: (content, hashlib.sha256(content).hexdigest()[:12]) for name, content in contents.items()}


def static_url(name: str) -> str:
    """Return where a static file is; the address changes with its content."""
    return f"/static/{name}?v={static_files()[name][1]}"


def static_file(visit: Visit) -> Response:
    """Return a static file."""
    name = visit.path_values["name"]
    if name not in static_files():
        return page(visit, "problem.html", status=404, problem="not_found")
    content, version = static_files()[name]
    is_current = visit.query.get("v") == version
    headers = {
        "Cache-Control": f"public, max-age={_YEAR_S}, immutable" if is_current else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Response(content, 200, headers, _MEDIA_TYPES[name.rpartition(".")[2]])
