"""The OpenAPI document as one HTML page: no script, nothing from another host.

In: the document. Out: HTML in which every text is text. Loses: nothing.
"""

from __future__ import annotations

from html import escape
from typing import Any

import msgspec

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c1f26; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; text-transform: capitalize; }
details { border: 1px solid #d5d9e2; border-radius: 6px; margin: .5rem 0; padding: .5rem .8rem; }
summary { cursor: pointer; } code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
.method { display: inline-block; font-weight: 700; min-width: 4.5rem; color: #14509c; }
.muted { color: #5b6270; } table { border-collapse: collapse; width: 100%; }
td, th { border-top: 1px solid #e6e9ef; padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top; }
pre { background: #f5f6f9; overflow-x: auto; padding: .6rem; }
@media (prefers-color-scheme: dark) {
  body { background: #15171c; color: #e4e7ee; } details { border-color: #353a45; } .method { color: #8ab8ff; }
  .muted { color: #a0a7b6; } td, th { border-color: #2a2e37; } pre { background: #1f222a; }
}
"""


def docs_page(document: dict[str, Any]) -> str:
    """Return the page."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(next(iter(operation["tags"]), "other"), []).append(_operation(path, method, operation))
    parts = [f"<h2>{escape(tag)}</h2>\n" + "\n".join(blocks) for tag, blocks in by_tag.items()]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    title = f"{document['info']['title']} {document['info']['version']}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n<body>'
        f"<h1>{escape(title)}</h1><p>{escape(document['info']['description'])}</p>"
        "<p>Send <code>Authorization: Api-Key ags_...</code> with each request. The same as JSON: "
        '<a href="../schema/">/api/schema/</a>.</p>\n'
        + "\n".join(parts)
        + "<h2>Schemas</h2>\n"
        + "\n".join(schemas)
        + "\n</body></html>\n"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    role = operation.get("x-role")
    needs = f"needs a {role} key" if role else "needs no key"
    rows = [
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{escape(parameter.get('description', ''))} <code>{_json(parameter['schema'])}</code></td></tr>"
        for parameter in operation["parameters"]
    ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    body = "".join(
        f"<p>Body, {escape(media_type)}:</p><pre>{_json(content['schema'], indent=2)}</pre>"
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<details><summary><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code> '
        f'<span class="muted">{escape(operation["summary"])}</span></summary>'
        f"<p>{escape(operation['description'])} It {needs}.</p>{table}{body}<table>{answers}</table></details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    return f"<details><summary><code>{escape(name)}</code></summary><pre>{_json(schema, indent=2)}</pre></details>"


def _json(value: Any, *, indent: int = 0) -> str:
    encoded = msgspec.json.encode(value)
    return escape((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode())
