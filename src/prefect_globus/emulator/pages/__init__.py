"""Pages for a person: rendered here, with everything escaped, and without scripts."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

FOLDER = resources.files("prefect_globus.emulator.pages")
STYLE = FOLDER.joinpath("style.css").read_text()
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

# Nothing is loaded, nothing runs, nobody may put a page into a frame, and no address with a code in it is passed on.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("prefect_globus.emulator", "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["style"] = Markup(STYLE)  # noqa: S704 -- our own file


def page(name: str, status: int = 200, **values: object) -> Response:
    """Return a page: the template `name`, which extends base.html, with values."""
    return HTMLResponse(_environment.get_template(name).render(values), status, HEADERS)
