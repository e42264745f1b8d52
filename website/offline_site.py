"""Make the built site whole without a network, and mend what the theme gets wrong.

It also gives the site the address of `lossutils._address`. A Sphinx extension, loaded by
`_config.yml`.
"""

import importlib
import inspect
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from lossutils._address import REPOSITORY, SITE

BRANCH = "main"
COLAB = "https://colab.research.google.com"
FOOTER = (
    'Text and figures <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>,'
    " code {licence}."
)

# What a page of formulas loads. The package brings 24 MB, most of it for other formats.
MATHJAX = ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")

# Search results show a summary that is fetched, which browsers refuse on file://.
SEARCH = (
    "if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"
)

MENDED = (
    # A second copy of all icons, 1.5 MB of script; the style sheet has them as a font.
    (re.compile(r"<script[^>]*\bfontawesome\.js[^>]*></script>"), ""),
    # Icons in a font are letters of no alphabet: nothing to read aloud.
    (re.compile(r'<(i|span) class="(fa[srb]?[ -])'), r'<\1 aria-hidden="true" class="\2'),
    # pandas leaves the corner of a table an empty header.
    (re.compile(r"<th></th>"), "<td></td>"),
    # An arrow alone names no button.
    (
        re.compile(r'<summary>(<span class="toctree-toggle")'),
        r'<summary aria-label="Sections">\1',
    ),
    # The sources in it are no list items, so it is no list.
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
    # Shown in print only, where it makes a second title. Of the element itself alone: a
    # second build finds pages that are mended already.
    (
        re.compile(r'(<div id="jb-print-docs-body"[^>]*>\s*)<h1>.*?</h1>', re.DOTALL),
        r"\1",
    ),
)


def mend(html: str) -> str:
    for pattern, replacement in MENDED:
        html = pattern.sub(replacement, html)
    return html


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        page.write_text(mend(page.read_text(encoding="utf-8")), encoding="utf-8")
    for script in (out / "_static" / "scripts").glob("fontawesome.js*"):
        script.unlink()
    package = find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("sphinx-mathjax-offline: pip install -r requirements.txt")
    mathjax = Path(package.origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        source, copy = mathjax / name, out / "_static" / "mathjax" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, dirs_exist_ok=True)
        else:
            shutil.copy(source, copy)


def set_address(app: Sphinx, config: Config) -> None:
    """Link to the repository and to Colab, or to neither while there is no address.

    Jupyter Book's own defaults name a repository, its own: an empty one must be said.
    """
    owned = bool(REPOSITORY)
    licence = f'<a href="{REPOSITORY}/blob/{BRANCH}/LICENSE">MIT</a>' if owned else "MIT"
    config.html_baseurl = SITE
    config.html_theme_options.update(
        repository_url=REPOSITORY,
        repository_branch=BRANCH,
        path_to_docs="",
        use_repository_button=owned,
        use_issues_button=owned,
        launch_buttons={"colab_url": COLAB} if owned else {},
        extra_footer=FOOTER.format(licence=licence),
    )


def to_restructured_text(
    app: Sphinx, what: str, name: str, subject: object, options: object, lines: list[str]
) -> None:
    """Docstrings are written to be read: |e| is no substitution, `x`s is a plural."""

    def escape(line: str) -> str:
        text = re.split(r"(``[^`]+``|`[^`]+`)", line)
        text[::2] = [part.replace("|", r"\|") for part in text[::2]]
        text[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in text[2::2]]
        return "".join(text)

    lines[:] = [line if ">>>" in line else escape(line) for line in lines]


def link_to_source(domain: str, info: dict[str, str]) -> str | None:
    """Where GitHub shows a function. Modules are made from functions: no line of theirs."""
    if not REPOSITORY:
        return None
    function = getattr(importlib.import_module(info["module"]), info["fullname"], None)
    if not inspect.isfunction(function):
        return None
    lines, first = inspect.getsourcelines(function)
    path = function.__module__.replace(".", "/")
    last = first + len(lines) - 1
    return f"{REPOSITORY}/blob/{BRANCH}/{path}.py#L{first}-L{last}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.add_js_file(None, body=SEARCH, priority=900)
    app.config.linkcode_resolve = link_to_source
    # With another address, a second build reads anew the pages that hold the old one.
    app.add_config_value("book_repository", REPOSITORY, "env")
    app.connect("config-inited", set_address)
    app.connect("autodoc-process-docstring", to_restructured_text)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
