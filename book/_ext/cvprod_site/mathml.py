"""Formulas as MathML, which browsers and screen readers understand without a script."""

import html
import re

from docutils import nodes


def visit(translator, node, display: bool) -> None:
    """Write one math node; a formula that cannot be converted fails the build, naming its TeX."""
    from latex2mathml.converter import convert  # only pages with formulas need it

    tex = node.astext().strip()
    try:
        markup = convert(tex, display="block" if display else "inline")
    except Exception as error:
        raise ValueError(f"cannot convert the formula {tex!r} to MathML: {error}") from error
    markup = markup.replace("<math ", f'<math alttext="{html.escape(tex)}" ', 1)
    if display:
        label = node.get("number") and f'<span class="eqno">({node["number"]})</span>'
        ids = "".join(f' id="{name}"' for name in node.get("ids", [])[:1])
        translator.body.append(f'<div class="math notranslate"{ids} tabindex="0">{label or ""}{markup}</div>\n')
    else:
        translator.body.append(f'<span class="math notranslate">{re.sub(chr(10), " ", markup)}</span>')
    raise nodes.SkipNode
