"""The book's address: in every place the same, and in none while nobody owns one."""

import builtins
import importlib
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from nbformat import v4

from lossutils import _address
from lossutils.doctor.report import where_to_read
from tools import ROOT, SETUP_CELL, address, refresh, setup_cell

FORK = "https://github.com/example/fork"
PAGES = "https://example.github.io/fork/"
HOLDERS = ("lossutils/_address.py", "CITATION.cff", "README.md")


@pytest.fixture
def book(tmp_path):
    """A copy of what holds the address, without one, and a notebook with outputs."""
    for name in HOLDERS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    setup = v4.new_code_cell(setup_cell(""), execution_count=1, id="setup")
    drawn = v4.new_output("stream", name="stdout", text="2\n")
    two = v4.new_code_cell("1 + 1", execution_count=2, outputs=[drawn], id="two")
    cells = [v4.new_markdown_cell("# Title", id="title"), setup, two]
    for folder in ("chapters/one", "reference"):
        (tmp_path / folder).mkdir(parents=True)
        text = refresh.normalise(v4.new_notebook(cells=cells))
        (tmp_path / folder / "page.ipynb").write_text(text, encoding="utf-8")
    address.main(["--none"], root=tmp_path)
    return tmp_path


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def constants(folder):
    values = {}
    exec((folder / "lossutils" / "_address.py").read_text(encoding="utf-8"), values)
    return values["REPOSITORY"], values["SITE"]


# The command


def test_every_file_agrees(book):
    assert constants(book) == ("", "")
    assert address.main([FORK], root=book) == 0
    assert constants(book) == (FORK, PAGES)
    assert f'repository-code: "{FORK}"\n' in (book / "CITATION.cff").read_text()
    assert f"\n{where_to_read(PAGES)}\n" in (book / "README.md").read_text("utf-8")
    notebooks = address.find_notebooks([book])
    assert len(notebooks) == 2
    for path in notebooks:
        nb = nbformat.read(path, as_version=4)
        assert nb.cells[1].source == setup_cell(FORK)
        assert f'%pip install -q "lossutils[book] @ git+{FORK}"' in nb.cells[1].source
        assert nb.cells[2].outputs[0].text == "2\n"
    assert address.changes(FORK, PAGES, book) == {}


def test_none_brings_back_the_same_bytes(book):
    before = contents(book)
    address.main([FORK], root=book)
    assert all(text != before[path] for path, text in contents(book).items())
    address.main(["https://github.com/example/other", "--site", "https://b.org"], root=book)
    assert constants(book) == ("https://github.com/example/other", "https://b.org/")
    assert not [p for p, text in contents(book).items() if b"example/fork" in text]
    address.main(["--none"], root=book)
    assert contents(book) == before


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        (FORK, PAGES),
        ("https://github.com/Some-One/a.b_c-d", "https://some-one.github.io/a.b_c-d/"),
        ("https://github.com/One/one.github.io", "https://one.github.io/"),
    ],
)
def test_the_site_is_that_of_github_pages(repository, site):
    assert address.site_of(repository) == site


@pytest.mark.parametrize(
    "repository",
    [
        "",
        "example/fork",
        "http://github.com/example/fork",
        f"git+{FORK}",
        "https://github.com/example",
        "https://github.com/example/",
        "https://github.com/example/..",
        "https://github.com/example/fork/",
        "https://github.com/example/fork.git",
        "https://github.com/example/fork/tree/main",
        "https://github.com/example/fork?x=1",
        "https://github.com/example/fork#readme",
        "https://github.com/example/fork\n",
        "https://github.com/example/fork ",
        'https://github.com/example/fork"; import os',
        "https://github.com/-example/fork",
        "https://github.com/exämple/fork",
        "https://me:secret@github.com/example/fork",
        "https://github.com.example.org/example/fork",
        "https://gitlab.com/example/fork",
    ],
)
def test_what_is_no_repository_is_refused(repository, book, capsys):
    before = contents(book)
    with pytest.raises(ValueError, match=r"is not https://github\.com/OWNER/NAME"):
        address.site_of(repository)
    with pytest.raises(SystemExit):
        address.main([repository], root=book)
    assert "https://github.com/OWNER/NAME" in capsys.readouterr().err
    assert contents(book) == before


@pytest.mark.parametrize(
    "site",
    ["", "book", "http://b.org/", "https://b.org//", "https://b.org/?x", "https://b"],
)
def test_what_is_no_site_is_refused(site):
    with pytest.raises(ValueError, match="is not https://HOST/PATH/"):
        address.site_of(FORK, site)


@pytest.mark.parametrize(
    "arguments", [[], ["--none", FORK], ["--none", "--site", PAGES], ["--site", PAGES]]
)
def test_half_an_order_is_refused(arguments, book):
    with pytest.raises(SystemExit):
        address.main(arguments, root=book)


def test_no_cell_but_the_setup_cell_is_overwritten(book, capsys):
    path = book / "chapters" / "one" / "page.ipynb"
    nb = nbformat.read(path, as_version=4)
    nb.cells[1].source = "import lossutils as lu"
    path.write_text(refresh.normalise(nb), encoding="utf-8")
    before = contents(book)
    with pytest.raises(SystemExit):
        address.main([FORK], root=book)
    assert "is not the setup cell" in capsys.readouterr().err
    assert contents(book) == before


# The setup cell


def missing(monkeypatch, name):
    """Make an import of `lossutils` end as it does where `name` is not installed."""
    real = builtins.__import__

    def refuse(wanted, *arguments):
        if wanted == "lossutils":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.parametrize("name", ["lossutils", "torch"])
def test_without_an_address_the_setup_cell_says_what_is_missing(monkeypatch, name):
    missing(monkeypatch, name)
    with pytest.raises(ModuleNotFoundError, match=f"^{name} is not installed") as caught:
        exec(setup_cell(""), {})
    for way in ("pip install -r requirements.txt", 'pip install ".[book]"', "wheel"):
        assert way in str(caught.value)
    assert "restart the kernel" in str(caught.value)


def test_the_setup_cell_is_short_and_runs():
    lines = setup_cell("").splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 88
    run = f"import matplotlib\nmatplotlib.use('agg')\n{setup_cell('')}\nprint(lu, torch)"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<module") == 2


@pytest.mark.parametrize("repository", ["", FORK])
def test_the_command_knows_the_setup_cell(repository):
    assert address.SETUP.fullmatch(setup_cell(repository))


# The site


@pytest.fixture
def site(monkeypatch):
    """What the Sphinx extension makes of a repository and a site."""
    monkeypatch.syspath_prepend(ROOT / "website")
    extension = importlib.import_module("offline_site")

    def configured(repository, pages):
        monkeypatch.setattr(extension, "REPOSITORY", repository)
        monkeypatch.setattr(extension, "SITE", pages)
        config = SimpleNamespace(html_baseurl="old", html_theme_options={"kept": 1})
        extension.set_address(None, config)
        info = {"module": "lossutils.losses.robust", "fullname": "tukey"}
        return config, extension.link_to_source("py", info)

    return configured


def test_without_an_address_the_site_links_to_none(site):
    config, source = site("", "")
    options = config.html_theme_options
    assert source is None
    assert config.html_baseurl == options["repository_url"] == ""
    assert not options["use_repository_button"]
    assert not options["use_issues_button"]
    assert not options["launch_buttons"]
    assert "github" not in str(options)
    assert options["extra_footer"].endswith("code MIT.")
    assert options["kept"] == 1


def test_with_an_address_the_site_links_to_it(site):
    config, source = site(FORK, PAGES)
    options = config.html_theme_options
    assert re.fullmatch(rf"{FORK}/blob/main/lossutils/losses/robust\.py#L\d+-L\d+", source)
    assert config.html_baseurl == PAGES
    assert options["repository_url"] == FORK
    assert options["use_repository_button"]
    assert options["use_issues_button"]
    assert options["launch_buttons"] == {"colab_url": "https://colab.research.google.com"}
    assert f'<a href="{FORK}/blob/main/LICENSE">MIT</a>' in options["extra_footer"]


# The repository as it stands


def tracked():
    """The text of every file that Git tracks, by its name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a clone: what is tracked is not known")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    found = [(path, path.read_bytes()) for path in paths if path.is_file()]
    return {p.relative_to(ROOT).as_posix(): t.decode() for p, t in found if b"\0" not in t}


def test_the_files_agree_with_the_constants():
    stale = address.changes(_address.REPOSITORY, _address.SITE)
    assert not [path.relative_to(ROOT).as_posix() for path in stale]
    assert setup_cell(_address.REPOSITORY) == SETUP_CELL
    if _address.REPOSITORY:
        address.site_of(_address.REPOSITORY, _address.SITE)


@pytest.mark.skipif(bool(_address.REPOSITORY), reason="an address is set")
def test_without_an_address_nothing_names_one():
    """Neither the one that stood here once and nobody owned, nor any to install from."""
    texts = tracked()
    assert _address.SITE == ""
    assert len(texts) > 100
    former = "loss-functions-" + "tested"
    for words in (f"{former}/book", f"{former}.github.io", "git+" + "http"):
        assert not [name for name, text in texts.items() if words in text], words
