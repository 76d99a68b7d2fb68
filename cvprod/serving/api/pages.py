"""The API reference as two plain pages, made from the OpenAPI document: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import html
from typing import Any

from cvprod.serving.errors import KINDS

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .2rem; overflow-wrap: anywhere }
p { margin: .2rem 0 }
td { padding: .1rem .8rem .1rem 0; vertical-align: top }
"""
_LINKS = (("/docs", "Operations"), ("/problems", "Problems"), ("/openapi.json", "OpenAPI document"))


def _page(title: str, body: str) -> str:
    links = " · ".join(f'<a href="{address}">{name}</a>' for address, name in _LINKS)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1><p>{links}</p>{body}</main></body></html>"
    )


def problems() -> str:
    """Every type of problem, each with the anchor that its `type` points to."""
    return _page("Problems", "".join(
        f'<section id="{slug}"><h2>{html.escape(kind.title)}</h2>'
        f"<p><code>{slug}</code>, status {kind.status}. {html.escape(kind.advice)}</p></section>"
        for slug, kind in KINDS.items()
    ))  # fmt: skip


def operations(document: dict[str, Any]) -> str:
    """Every operation of an OpenAPI document."""
    return _page("Steel inspection: the interface", "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ))  # fmt: skip


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<tr><td><code>{code}</code></td><td>{html.escape(answer.get('description', ''))}</td></tr>"
        for code, answer in sorted(operation["responses"].items())
    )
    kinds = ", ".join(operation.get("requestBody", {}).get("content", {}))
    body = f"<p>Body: {html.escape(kinds)}</p>" if kinds else ""
    summary, text = (html.escape(operation.get(field, "")) for field in ("summary", "description"))
    return (
        f"<section><h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{summary}. {text}</p>{body}<table>{answers}</table></section>"
    )
