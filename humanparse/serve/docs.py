"""The page at /docs: the contents of `/openapi.json` in words, with examples to copy.

FastAPI's own page loads its scripts from another site. The content security policy forbids that, and a
machine without internet cannot do it.
"""

from __future__ import annotations

from html import escape
from typing import Any

EXAMPLES = (
    ("Labels as JSON", 'curl -F image=@me.jpg "{base}/v1/parse"'),
    (
        "Labels as a picture: one number per pixel, with colours",
        'curl -H "Content-Type: image/jpeg" --data-binary @me.jpg "{base}/v1/parse?format=png" -o me.png',
    ),
    (
        "The photo with its parts tinted, in a coarser scheme",
        'curl -F image=@me.jpg "{base}/v1/parse?format=overlay&scheme=coarse" -o overlay.png',
    ),
    (
        "Labels as a NumPy archive, by Accept header",
        'curl -H "Accept: application/octet-stream" -F image=@me.jpg "{base}/v1/parse" -o me.npz',
    ),
    ("The models, and the label schemes that each can answer in", 'curl "{base}/v1/models"'),
)
"""Description -> command."""

PYTHON = """\
import json, urllib.request

with open("me.jpg", "rb") as photo:
    request = urllib.request.Request("{base}/v1/parse", photo.read(), {"Content-Type": "image/jpeg"})
with urllib.request.urlopen(request) as reply:
    answer = json.load(reply)
for part in answer["parts"]:
    print(part["name"], f"{part['share']:.1%}", part["box"])

from humanparse.formats import decode_rle
mask = decode_rle(answer["parts"][0]["rle"])   # bool (height, width)
"""


def page(api: dict[str, Any], base: str) -> str:
    """The page as HTML, from the OpenAPI document and the URL of the service, without a final slash."""
    base = escape(base)
    body = [f"<h1>{escape(api['info']['title'])} {escape(api['info']['version'])}</h1>"]
    body.append("<p>For every pixel of a photo of people, which part of which person it is. ")
    body.append('Machines read <a href="openapi.json">openapi.json</a>; <a href="./">try it here</a>.</p>')
    body.append("<h2>Examples</h2>")
    for what, command in EXAMPLES:
        body.append(f"<p>{escape(what)}:</p><pre>{escape(command).replace('{base}', base)}</pre>")
    body.append(f"<p>From Python:</p><pre>{escape(PYTHON).replace('{base}', base)}</pre>")
    body.append("<p>If the service asks for a key, send it, too: <code>-H 'X-API-Key: KEY'</code>.</p>")
    for path, methods in api["paths"].items():
        for method, about in methods.items():
            body += _operation(f"{method.upper()} {path}", about)
    return _FRAME.replace("BODY", "\n".join(body))


def _operation(title: str, about: dict[str, Any]) -> list[str]:
    lines = [f"<h2><code>{escape(title)}</code></h2><p>{escape(about.get('description', ''))}</p>"]
    if about.get("parameters"):
        lines.append("<table><tr><th>parameter</th><th>values</th><th>what it is</th></tr>")
        lines += [_parameter(parameter) for parameter in about["parameters"]]
        lines.append("</table>")
    if "requestBody" in about:
        kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in about["requestBody"]["content"])
        lines.append(f"<p>Body: {escape(about['requestBody']['description'])} Types: {kinds}.</p>")
    lines.append("<table><tr><th>status</th><th>when</th></tr>")
    for status, answer in sorted(about["responses"].items()):
        lines.append(f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>")
    return [*lines, "</table>"]


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    choices = [schema, *schema.get("anyOf", ())]
    values = [str(value) for choice in choices for value in choice.get("enum", ())]
    known = ", ".join(values) or "a name"
    cells = (parameter["name"], known, parameter.get("description", ""))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


_FRAME = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>humanparse: the interface</title><link rel="stylesheet" href="page/style.css">
<link rel="icon" href="page/icon.svg" type="image/svg+xml"></head>
<body><main>
BODY
</main></body>
</html>
"""
