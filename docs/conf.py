# SPDX-License-Identifier: MIT
"""How Sphinx makes the site: ``make docs``. What it is made of, ``tools/site.py`` puts together."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain

from xjrelay import __version__

project = "xjrelay"
author = "the authors of xjrelay"
project_copyright = "the authors of xjrelay, MIT licence"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "index"

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"xjrelay {__version__}"
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"


class ExactDomain(PythonDomain):
    """Names that are what they say, in their module or in full.

    Sphinx would look through everything for something of that ending, once for each name of every
    signature: three minutes of the four that the site took, and often the wrong class of several.
    """

    def find_obj(self, *where: Any) -> list[tuple[str, Any]]:
        """As Sphinx's, without the search."""
        env, module, owner, name, kind, *_ = where
        return super().find_obj(env, module, owner, name, kind, 0)


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.add_domain(ExactDomain, override=True)
