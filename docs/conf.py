# SPDX-License-Identifier: MIT
"""How Sphinx makes the site: ``make docs``. What it is made of, ``tools/site.py`` puts together."""

from __future__ import annotations

from xjrelay import __version__

project = "xjrelay"
author = "the authors of xjrelay"
project_copyright = "the authors of xjrelay, MIT licence"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "index"
# Several classes may have a name: which is meant is clear to a reader from where it stands.
suppress_warnings = ["ref.python"]

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
