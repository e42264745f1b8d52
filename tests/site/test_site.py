"""The built site: complete in itself, readable by everyone, offline.

All in one group, so that pytest-xdist gives it to one worker: the site is built once and
each of its pages is opened once in a browser.
"""

import doctest
import importlib
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import lossutils as lu
from lossutils._address import REPOSITORY
from lossutils.doctor import CHECKS

ROOT = Path(__file__).parents[2]
COLAB = "https://colab.research.google.com/github/"
# Buttons and links that only an address of our own can have.
OURS = re.compile(r"https://github\.com/[^/]+/[^/]+(?:/?$|/blob/|/issues/new)")

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


def test_notebooks_open_in_colab_once_the_book_has_an_address(pages):
    """Until then no page links to Colab, nor to any repository as if it were ours."""
    notebooks = [name for name in sources() if (ROOT / f"{name}.ipynb").exists()]
    assert notebooks
    folder = f"{COLAB}{REPOSITORY.removeprefix('https://github.com/')}/blob/main/"
    expected = {f"{folder}{name}.ipynb" for name in notebooks} if REPOSITORY else set()
    links = {url for page in pages.values() for url in page.links}
    assert {url for url in links if "colab" in url} == expected
    ours = {url for url in links if OURS.match(url)}
    assert not {url for url in ours if not REPOSITORY or not url.startswith(REPOSITORY)}


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

DESKTOP, PHONE = ({"width": width, "height": 844} for width in (1280, 390))
CONTRAST = "color-contrast"
NO_CONTRAST = {"rules": {CONTRAST: {"enabled": False}}}
SCROLLING = {"runOnly": ["scrollable-region-focusable"]}

DRAWN = """async () => {
    const formulas = document.querySelectorAll(".math").length;
    if (formulas) await MathJax.startup.promise;
    return {
        formulas,
        set: document.querySelectorAll(".math mjx-container").length,
        wrong: document.querySelectorAll("mjx-merror").length,
    };
}"""
# The sidebars slide in when the window is widened, and 300 ms after its last change the
# theme looks which boxes scroll and makes those focusable: on a busy machine in the middle
# of the slide, and not again. So: to its end, and let the theme look then.
SETTLE = """async () => {
    await new Promise(requestAnimationFrame);
    for (const slide of document.getAnimations()) slide.finish();
    dispatchEvent(new Event("resize"));
    await new Promise(done => setTimeout(done, 350));
}"""
TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"

# Two thirds of the elements of some pages are tokens of code, and axe looks at each. One
# of each kind has the colour of all.
ONE_TOKEN_OF_EACH_KIND = """() => {
    const seen = new Set();
    for (const token of document.querySelectorAll(".highlight pre span[class]")) {
        if (seen.has(token.className)) token.replaceWith(token.textContent);
        seen.add(token.className);
    }
}"""

# Nine tenths of axe's time are contrasts: it looks at what lies behind each word of each
# page. A text's contrast depends on its own style and on what is painted behind it, so
# that some of each kind speak for all, on this page and on those after it. Some, not one:
# axe passes over a text that it cannot judge, such as one that is partly covered.
ENOUGH = 3
MARK_NEW_KINDS = """([known, enough]) => {
    const painted = new Map();
    const behind = e => {
        if (!e) return "";
        if (!painted.has(e)) {
            const s = getComputedStyle(e);
            const own = [
                s.backgroundColor, s.backgroundImage, s.opacity, s.position
            ].join();
            const plain = own === "rgba(0, 0, 0, 0),none,1,static";
            painted.set(e, behind(e.parentElement) + (plain ? "" : "/" + own));
        }
        return painted.get(e);
    };
    for (const e of document.body.querySelectorAll("*")) {
        e.classList.remove("new-kind");
        const text = [...e.childNodes].map(n => n.nodeType === 3 ? n.data : "").join("");
        if (!text.trim() || !e.checkVisibility()) continue;
        const s = getComputedStyle(e);
        const kind = [
            behind(e), s.color, s.fontSize, s.fontWeight, s.textShadow,
            /[\\p{L}\\p{N}]{2}/u.test(text),  // axe passes over a single sign
            !!e.closest(":disabled, [aria-disabled=true], label"),  // and over these
        ].join("|");
        const count = known[kind] ?? 0;
        if (count < enough) e.classList.add("new-kind");
        known[kind] = count + 1;
    }
    return known;
}"""
RUN_AXE = """async options => {
    const given = {resultTypes: ["violations"], preload: false, ...options};
    axe.configure({rules: [{id: "color-contrast", selector: ".new-kind"}]});
    const {violations} = await axe.run(document, given);
    return violations.filter(v => ["serious", "critical"].includes(v.impact)).map(v => [
        v.id, v.nodes.length, v.nodes.slice(0, 3).map(n => n.html.slice(0, 120))
    ]);
}"""


class Visitor:
    """Opens each page once, on the phone, and widens it; notes by topic what is wrong."""

    def __init__(self, browser, axe_script):
        self.context = browser.new_context(viewport=PHONE, reduced_motion="reduce")
        self.page, self.axe_script = self.context.new_page(), axe_script
        self.name, self.faults, self.folders = "", defaultdict(list), set()
        self.known = {"light": {}, "dark": {}}
        self.page.on("pageerror", lambda error: self.note("errors", str(error)))
        self.page.on("console", lambda m: m.type == "error" and self.note("errors", m.text))
        self.page.on("request", lambda request: self.check_url(request.url))

    def note(self, topic, what):
        self.faults[topic].append((self.name, what))

    def check_url(self, url):
        if not url.startswith(("file:", "data:", "blob:")):
            self.note("requests", url)

    def visit(self, name, path):
        self.name = name
        self.page.set_viewport_size(PHONE)
        self.page.goto(path.as_uri())
        drawn = self.page.evaluate(DRAWN)
        if drawn["set"] < drawn["formulas"] or drawn["wrong"]:
            self.note("formulas", drawn)
        self.page.evaluate(self.axe_script)
        self.page.evaluate(SETTLE)
        self.look_at_the_phone(Path(name).parent)
        self.page.set_viewport_size(DESKTOP)
        self.page.evaluate(SETTLE)
        self.look_at_the_desktop()

    def look_at_the_phone(self, folder):
        """All rules on one page of each layout; on others, what the page's own text needs.

        Of the rest only what opens menu and contents is not on the desktop too, and that is
        the same everywhere.
        """
        self.check_width("phone")
        self.page.evaluate(ONE_TOKEN_OF_EACH_KIND)
        self.run_axe("phone", SCROLLING if folder in self.folders else NO_CONTRAST)
        self.folders.add(folder)

    def look_at_the_desktop(self):
        self.check_width("desktop")
        self.mark_new_kinds("light")
        self.run_axe("light", {})
        self.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        if self.mark_new_kinds("dark"):
            self.run_axe("dark", {"runOnly": [CONTRAST]})

    def check_width(self, window):
        wide = self.page.evaluate(TOO_WIDE)
        if wide > 0:
            self.note("width", f"{window}: {wide} pixels too wide")

    def mark_new_kinds(self, theme):
        given = [self.known[theme], ENOUGH]
        self.known[theme] = self.page.evaluate(MARK_NEW_KINDS, given)
        return self.page.locator(".new-kind").count()

    def run_axe(self, topic, options):
        for violation in self.page.evaluate(RUN_AXE, options):
            self.note(topic, violation)


@pytest.fixture(scope="module")
def visited(site, pages, browser, axe_script):
    """A visitor who has been to every page, by file://."""
    visitor = Visitor(browser, axe_script)
    for name in pages:
        visitor.visit(name, site / name)
    yield visitor
    visitor.context.close()


TOPICS = {
    "errors": "nothing in the console",
    "requests": "nothing from another host",
    "width": "nothing too wide, on desktop and phone",
    "formulas": "all set",
    "light": "axe finds nothing serious or critical on the desktop",
    "phone": "nor on the phone",
    "dark": "nor a contrast that is too low in the dark",
}


@pytest.mark.parametrize("topic", TOPICS)
def test_pages_in_a_browser(visited, topic):
    assert not visited.faults[topic], TOPICS[topic]


# What a visitor has to see. The text is dark on white in the light, white on black in the
# dark, so that a grey word is readable in one of the two.
PLANTED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Planted</title>
<meta name="viewport" content="width=device-width"><style>
html {{ background: white; color: black }}
html[data-theme=dark] {{ background: black; color: white }}
html[data-theme=dark] body {{ color: white }}
</style></head><body><main><h1>Planted</h1><p>Some words.</p>{fault}</main></body></html>"""
SCROLLER = f'<div style="overflow: auto; width: {{}}"><pre>{"word " * 20}</pre></div>'
FAULTS = {
    "nothing": ("", set()),
    "error": ("<script>throw Error('planted')</script>", {"errors"}),
    "console": ("<script>console.error('planted')</script>", {"errors"}),
    "request": (
        "<script>fetch('http://127.0.0.1:9/').catch(() => 0)</script>",
        {"errors", "requests"},
    ),
    "too wide on the phone": ('<div style="width: 600px">Wide</div>', {"width"}),
    "formula": (
        '<script>MathJax = {startup: {}}</script><p class="math">x</p>',
        {"formulas"},
    ),
    "no alt": ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', {"light"}),
    "pale": ('<p style="color: #aaa">Pale words</p>', {"light"}),
    "dim": ('<p style="color: #555">Dim words</p>', {"dark"}),
    "scrolling": (SCROLLER.format("300px"), {"light", "phone"}),
    "scrolling on the phone": (SCROLLER.format("auto"), {"phone"}),
}


@pytest.fixture(scope="module")
def visitor(browser, axe_script, tmp_path_factory):
    """A visitor who has been to a page without faults: what is the same is known."""
    visitor = Visitor(browser, axe_script)
    path = tmp_path_factory.mktemp("planted") / "sound.html"
    path.write_text(PLANTED.format(fault=""), encoding="utf-8")
    visitor.visit("sound.html", path)
    yield visitor
    visitor.context.close()


def topics_of(visitor, name, folder, fault):
    """What the visitor finds wrong on a page with that fault."""
    path = folder / "planted.html"
    path.write_text(PLANTED.format(fault=fault), encoding="utf-8")
    visitor.faults.clear()
    visitor.visit(name, path)
    return {topic for topic, found in visitor.faults.items() if found}


@pytest.mark.parametrize(("fault", "topics"), FAULTS.values(), ids=FAULTS)
def test_what_is_planted_is_seen(visitor, tmp_path, fault, topics):
    assert topics_of(visitor, "planted.html", tmp_path, fault) == topics


def test_all_rules_hold_on_the_phone_once_a_folder(visitor, tmp_path):
    fault, _ = FAULTS["no alt"]
    for topics in ({"light", "phone"}, {"light"}):
        assert topics_of(visitor, "folder/planted.html", tmp_path, fault) == topics


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_search_finds_huber(site, browser, size):
    page, errors = browser.new_page(viewport=size), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and errors.append(m.text))
    page.goto(f"{(site / 'search.html').as_uri()}?q=huber")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    found = page.locator("#search-results li").all_inner_texts()
    page.close()
    assert any("huber" in text.lower() for text in found)
    assert not errors
