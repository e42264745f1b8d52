"""The built site: complete in itself, readable by everyone, offline.

All in one file, so that pytest-xdist gives it to one worker and the site is built once.
"""

import doctest
import importlib
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

import lossutils as lu
from lossutils.doctor import CHECKS

ROOT = Path(__file__).parents[2]
COLAB = "https://colab.research.google.com/github/loss-functions-tested/book/blob/main/"

# What a browser fetches by itself: tag and attribute. Links to follow are not among them.
FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
}
FETCHED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}
OFFLINE = {"file", "data", "blob"}
MACHINE_PATH = re.compile(r"/(?:home|Users|root|tmp|work|runner)/\w|site-packages")
RAW_MARKUP = re.compile(r":::|`{3}|\{(?:glossary|ref|cite|term|figure|bibliography)[:}]")
RAW_TEX = re.compile(r"\$\s*\\")  # a formula that was not recognised as one


@dataclass
class Page(HTMLParser):
    """What the tests ask of one page."""

    path: Path
    lang: str | None = None
    title: str = ""
    fetched: list[str] = field(default_factory=list)
    icons: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: list[tuple[str, str | None]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    headings: int = 0
    text: str = ""
    _open: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self._open = tag
        if given.get("id"):
            self.ids.add(given["id"])
        if tag == "html":
            self.lang = given.get("lang")
        if tag == "h1":
            self.headings += 1
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.images.append((given.get("src") or "", given.get("alt")))
        if given.get(FETCHED.get(tag, "")):
            self.fetched.append(given[FETCHED[tag]])
        if tag == "link":
            kinds = set((given.get("rel") or "").split())
            if kinds & FETCHED_LINKS:
                self.fetched.append(given["href"])
            if "icon" in kinds:
                self.icons.append(given["href"])

    def handle_data(self, data: str) -> None:
        if self._open == "title":
            self.title += data
        if self._open not in ("script", "style"):
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site built as README.md says, into a temporary folder."""
    out = tmp_path_factory.mktemp("site")
    command = Path(sys.executable).with_name("jupyter-book")
    built = subprocess.run(
        [command, "build", "-W", "-n", "--keep-going", "--path-output", out, ROOT],
        capture_output=True,
        text=True,
        timeout=600,
    )
    log = built.stdout + built.stderr
    found = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
    if built.returncode:
        pytest.fail("\n".join(found[:20]) or log[-3000:], pytrace=False)
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def pages(site):
    """Every page by its name; the theme's static folder holds templates, not pages."""
    paths = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    return {str(path.relative_to(site)): Page(path) for path in paths}


def sources():
    """The files that `_toc.yml` names, without suffix."""
    text = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"(?:root|file): *(\S+)", text)


def local(page, url):
    """The file that `url` on `page` means, or None if it is on another host."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    return (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path


def test_every_source_has_its_page(pages):
    assert len(sources()) >= 8
    assert {f"{name}.html" for name in sources()} <= pages.keys()


def test_nothing_is_fetched_from_another_host(site, pages):
    fetched = {(name, url) for name, page in pages.items() for url in page.fetched}
    assert fetched
    for style in site.rglob("*.css"):
        for url in re.findall(r"(?:url\(|@import )\s*[\"']?([^\"')]+)", style.read_text()):
            fetched.add((str(style.relative_to(site)), url))
    assert not [(name, url) for name, url in fetched if re.match(r"(?:\w+:)?//", url)]


def test_what_pages_fetch_is_there(pages):
    missing = [
        (name, url)
        for name, page in pages.items()
        for url in page.fetched
        if (file := local(page, url)) and not file.is_file()
    ]
    assert not missing


def test_images_say_what_they_show(pages):
    """Except the logo, which stands beside the book's name."""
    assert any(page.images for page in pages.values())
    faults = [
        (name, source, alt)
        for name, page in pages.items()
        for source, alt in page.images
        if not source.endswith("/logo.svg")
        if not alt or Path(source).stem in alt or re.search(r"\.(png|svg|jpe?g)\b", alt)
    ]
    assert not faults


def test_one_title_a_page_and_the_language_said(pages):
    faults = [
        (name, page.headings, page.lang, page.title)
        for name, page in pages.items()
        if page.lang != "en-GB" or not page.title.strip() or page.headings != 1
    ]
    assert not faults


def test_no_markup_nor_machine_path_shows(pages):
    faults = [
        (name, found.group())
        for name, page in pages.items()
        for pattern in (RAW_MARKUP, RAW_TEX, MACHINE_PATH, re.compile("Traceback"))
        if (found := pattern.search(page.text))
    ]
    assert not faults


def test_internal_links_lead_somewhere(site, pages):
    faults = []
    by_path = {page.path.resolve(): page for page in pages.values()}
    for name, page in pages.items():
        for url in page.links:
            target = local(page, url)
            if target is None:
                continue
            anchor = unquote(urlsplit(url).fragment)
            if not target.is_file() or not target.is_relative_to(site.resolve()):
                faults.append((name, url, "no such file"))
            elif anchor and target in by_path and anchor not in by_path[target].ids:
                faults.append((name, url, "no such anchor"))
    assert not faults


def test_every_page_has_an_icon(pages):
    assert not [name for name, page in pages.items() if not page.icons]


def test_notebooks_open_in_colab(pages):
    notebooks = [name for name in sources() if (ROOT / f"{name}.ipynb").exists()]
    assert notebooks
    faults = {
        name: [url for url in pages[f"{name}.html"].links if "colab" in url]
        for name in notebooks
        if f"{COLAB}{name}.ipynb" not in pages[f"{name}.html"].links
    }
    assert not faults


def test_search_index_knows_the_words(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    assert '"huber"' in index
    assert '"glossary"' in index.lower()


def test_the_whole_face_is_documented(pages):
    documented = {
        anchor.removeprefix("lossutils.")
        for name, page in pages.items()
        if name.startswith("reference/api")
        for anchor in page.ids
        if anchor.startswith("lossutils.")
    }
    entries = lu.CATALOGUE.values()
    face = {"CATALOGUE", "Entry"}
    face |= {name for entry in entries for name in (entry.name, *entry.aliases)}
    face |= {entry.module.__name__ for entry in entries}
    face |= {"Diagnosis", "Finding", "LossCheckError", "check_loss", "diagnose"}
    face |= {*lu.noise.__all__, *lu.landscape.__all__, *lu.distributed.__all__}
    # The names of a room are documented where they live.
    homes = {"", "noise.", "landscape.", "distributed.", "doctor.", "doctor.findings."}
    undocumented = {f for f in face if not {home + f for home in homes} & documented}
    assert not undocumented


@pytest.mark.parametrize("name", CHECKS)
def test_what_the_doctor_says_to_read_is_there(name, site, pages):
    check = CHECKS[name]
    for chapter in {check.chapter, check.classes, f"reference/checks.html#{name}"}:
        path, _, anchor = chapter.partition("#")
        assert path in pages, f"{name} sends its reader to {path}, which is no page"
        assert not anchor or anchor in pages[path].ids, f"no {anchor} on {path}"


def test_mending_a_page_again_changes_nothing(site, pages, monkeypatch):
    """The second build in a folder mends pages that it did not write anew."""
    monkeypatch.syspath_prepend(ROOT / "website")
    mend = importlib.import_module("offline_site").mend
    for name in pages:
        html = (site / name).read_text(encoding="utf-8")
        assert mend(html) == html, name


def test_landing_page_shows_real_output():
    text = (ROOT / "index.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(>>>.*?)```", text, re.DOTALL)
    test = doctest.DocTestParser().get_doctest(example, {}, "index.md", "index.md", 0)
    assert len(test.examples) >= 5
    report = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)


# In a real browser


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def window(browser, request):
    """A page in a window of that width, and what went wrong in it."""
    page = browser.new_page(viewport={"width": request.param, "height": 844})
    seen = SimpleNamespace(page=page, width=request.param, errors=[], requests=[])
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and seen.errors.append(m.text))
    page.on("request", lambda request: seen.requests.append(request.url))
    yield seen
    page.close()


def test_pages_in_a_browser(site, pages, window):
    """By file://: no error, no request elsewhere, nothing too wide, formulas are set."""
    faults = []
    for name in pages:
        window.page.goto((site / name).as_uri())
        drawn = window.page.evaluate(
            """async () => {
                const formulas = document.querySelectorAll(".math").length;
                if (formulas) await MathJax.startup.promise;
                return {
                    formulas,
                    set: document.querySelectorAll(".math mjx-container").length,
                    wrong: document.querySelectorAll("mjx-merror").length,
                    wide: document.documentElement.scrollWidth - window.innerWidth,
                };
            }"""
        )
        if drawn["wide"] > 0:
            faults.append((name, f"{drawn['wide']} pixels too wide"))
        if drawn["set"] < drawn["formulas"] or drawn["wrong"]:
            faults.append((name, f"formulas: {drawn}"))
    assert not faults
    assert not window.errors
    elsewhere = [
        u for u in window.requests if not u.startswith(("file:", "data:", "blob:"))
    ]
    assert not elsewhere


# Looking through every token of code for its contrast takes axe half a minute a page. One
# token of each kind has the colour of all.
ONE_TOKEN_OF_EACH_KIND = """() => {
    const seen = new Set();
    for (const token of document.querySelectorAll(".highlight pre span[class]")) {
        if (seen.has(token.className)) token.replaceWith(token.textContent);
        seen.add(token.className);
    }
}"""
CONTRAST = "color-contrast"


@pytest.mark.parametrize(
    ("window", "theme", "rules"),
    [
        (1280, "light", {}),
        (
            390,
            "light",
            {"rules": {CONTRAST: {"enabled": False}}},
        ),  # no colour depends on it
        (1280, "dark", {"runOnly": [CONTRAST]}),
    ],
    ids=["desktop", "phone", "dark"],
    indirect=["window"],
)
def test_pages_are_accessible(site, pages, window, axe, theme, rules):
    """axe finds nothing serious or critical."""
    options = {"resultTypes": ["violations"], "preload": False, **rules}
    faults = []
    window.page.emulate_media(reduced_motion="reduce")
    for name in pages:
        window.page.goto((site / name).as_uri())
        window.page.evaluate(
            "theme => { document.documentElement.dataset.theme = theme }", theme
        )
        window.page.evaluate(ONE_TOKEN_OF_EACH_KIND)
        for violation in axe(window.page, options=options):
            if violation["impact"] in ("serious", "critical"):
                nodes = [node["html"][:120] for node in violation["nodes"][:3]]
                faults.append((name, violation["id"], len(violation["nodes"]), nodes))
    assert not faults


def test_search_finds_huber(site, window):
    window.page.goto(f"{(site / 'search.html').as_uri()}?q=huber")
    window.page.wait_for_selector("#search-results li a", timeout=20_000)
    found = window.page.locator("#search-results li").all_inner_texts()
    assert any("huber" in text.lower() for text in found)
    assert not window.errors
