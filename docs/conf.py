"""How Sphinx builds the documentation: Markdown pages, and the API reference from the docstrings.

Sphinx and not a plain Markdown builder, because the reference must come from the docstrings themselves. Only its own parts and
MyST (Markdown) are used, so that it builds without a network.
"""

import importlib.metadata

project = "Pantile"
author = "The Pantile developers"
copyright = "the Pantile developers"
release = version = importlib.metadata.version("pantile")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images"]
myst_heading_anchors = 3
napoleon_google_docstring = False
napoleon_numpy_docstring = True
# Attributes that a class lists are its properties, which autodoc describes already.
napoleon_use_ivar = True
autodoc_member_order = "groupwise"
autodoc_typehints = "none"

html_theme = "alabaster"
html_theme_options = {
    "description": "Arrays larger than memory, and any Python function, in parallel",
    "fixed_sidebar": True,
    "page_width": "1160px",
    "body_max_width": "auto",
}
html_copy_source = False
