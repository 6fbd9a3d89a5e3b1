"""The page ``/docs`` of a served model: what to send, what comes back, and the limits. It loads nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_ROUTES = (
    (
        "POST /inpaint",
        "a form with the files image and hole_mask, or JSON of the two in base64; white is what is missing",
        "the filled image as PNG to a form, JSON to JSON; the header Accept (image/png, application/json) chooses",
    ),
    (
        "POST /invocations",
        'rows as MLflow takes them: {"inputs": [{"image": …, "hole_mask": …}, …]}',
        '{"predictions": [{"inpainted": …, "segmentation": …, "confidence": …, "warning": …}, …]}',
    ),
    ("GET /model", "", "name, version, method, class names and limits as JSON"),
    ("GET /healthz", "", "that the server is up"),
    ("GET /metrics", "", "counts and times for Prometheus"),
)
_EXAMPLES = """\
curl -sS -F image=@photo.jpg -F hole_mask=@mask.png ADDRESS/inpaint -o filled.png

printf '{"image": "%s", "hole_mask": "%s"}' "$(base64 -w0 photo.jpg)" "$(base64 -w0 mask.png)" |
  curl -sS -H 'Content-Type: application/json' --data-binary @- ADDRESS/inpaint"""


def docs_page(description: Mapping[str, Any], address: str) -> str:
    """The page as HTML.

    Args:
        description: what ``GET /model`` answers.
        address: of the server, as the reader wrote it.
    """
    routes = "".join(
        f"<tr><td><code>{escape(route)}</code></td><td>{escape(sent) or '–'}</td><td>{escape(answered)}</td></tr>"
        for route, sent, answered in _ROUTES
    )
    limits = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{value:,}</td></tr>"
        for name, value in description["limits"].items()
    )
    name = " ".join(str(description[key]) for key in ("name", "version") if description.get(key))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(name)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; }}
pre {{ overflow-x: auto; padding: 1rem; background: #8882; border-radius: 8px; }}
</style></head><body>
<h1>{escape(name)}</h1>
<p>Fills the hole of an image ({escape(str(description.get("method", "")))}). Every known pixel comes back as it was,
with depth, alpha, colour profile, EXIF data and resolution.</p>
<table><tr><th>request</th><th>send</th><th>answer</th></tr>{routes}</table>
<pre>{escape(_EXAMPLES.replace("ADDRESS", address))}</pre>
<p>What cannot be done is answered with 4xx and one sentence: <code>{{"error_code": …, "message": …}}</code>. The
limits:</p><table>{limits}</table></body></html>"""
