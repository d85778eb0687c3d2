"""How `make docs` builds the site: Sphinx, Markdown by MyST, the theme furo; what the code knows is made from it."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
from _reference import fill

project = "prefect-globus"
author = "The authors of prefect-globus"
release = metadata.version("prefect-globus")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "prefect-globus"
html_copy_source = False
html_show_copyright = False
templates_path: list[str] = []
exclude_patterns = ["_*", "images/README.md"]
suppress_warnings: list[str] = []

# Each heading has an anchor, so that a link can lead to it as on a page of the repository.
myst_heading_anchors = 4

# The docstrings are written as people read them in the source, with `code` in single backquotes.
default_role = "code"
autodoc_typehints = "none"  # the docstrings say more of an argument than its type does
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def setup(app: Sphinx) -> None:
    """Have each page filled with what is made from the code, and docstrings read as people read them."""
    app.connect("source-read", lambda _app, _page, content: content.__setitem__(0, fill(content[0])))
    app.connect("autodoc-process-docstring", _keep_patterns)


def _keep_patterns(*arguments: Any) -> None:  # noqa: ANN401 - of Sphinx; the last are the lines, to be changed in place
    """Have an asterisk within a word, as in raw/*.h5, be one: Prefect's form shows the same text, without markup."""
    lines: list[str] = arguments[-1]
    lines[:] = [re.sub(r"(?<=[/\w])\*(?=[.\w])", r"\\*", line) for line in lines]
