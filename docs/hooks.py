"""What the site has beside the pages of docs/: MkDocs calls these functions (mkdocs.yml).

Pages that stand elsewhere in the repository are read from there. Links between files of the
repository become links between pages; one to a file that is no page becomes its text.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.structure.files import File

import keras_archs

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

# Page of the site -> file of the repository.
OUTSIDE = {
    "tour.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    **{
        f"results/{file.name}": file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "benchmarks" / "results").glob("*.md"))
    },
}
INSIDE = {file: page for page, file in OUTSIDE.items()}

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def file_of(page: str) -> str:
    """The file of the repository that a page is made of."""
    return OUTSIDE.get(page, f"docs/{page}")


def page_of(file: str) -> str | None:
    """The page, or picture, that the site makes of a file of the repository."""
    return INSIDE.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)


# -------------------------------------------------------------------------------------- navigation


def on_config(config):
    config.nav = list(_expanded(config.nav, set(_named(config.nav))))
    return config


def _named(entries: list) -> Iterator[str]:
    """What the navigation names itself."""
    for entry in entries:
        inside = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(inside, list):
            yield from _named(inside)
        else:
            yield inside


def _expanded(entries: list, named: set[str]) -> Iterator:
    for entry in entries:
        if isinstance(entry, dict) and isinstance(inside := next(iter(entry.values())), list):
            yield {next(iter(entry)): list(_expanded(inside, named))}
        elif entry == "*" or isinstance(entry, str) and entry.endswith("/"):
            yield from (
                {_title(page): page} if posixpath.basename(page) != "index.md" else page
                for page in pages_in(entry.rstrip("*/"))
                if page not in named
            )
        else:
            yield entry


def pages_in(folder: str) -> list[str]:
    """The pages of a folder of the site, its index first, families in the library's order."""
    pages = [file.relative_to(DOCS).as_posix() for file in (DOCS / folder).glob("*.md")]
    pages += [page for page in OUTSIDE if posixpath.dirname(page) == folder]
    order = {f"families/{module}.md": at for at, module in enumerate(keras_archs.MODULES)}
    return sorted(pages, key=lambda page: (not page.endswith("index.md"), order.get(page, 0), page))


def _title(page: str) -> str:
    """The heading of a page, without the command that some have behind a colon."""
    heading = re.search(r"^# (.+)$", (ROOT / file_of(page)).read_text(), re.MULTILINE)
    return heading[1].partition(": `")[0].replace("`", "") if heading else page


# ------------------------------------------------------------------------------------------- pages


def on_files(files, config):
    for page, file in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri
    known = {file.src_uri for file in files if file.inclusion.is_included()}
    blocks = FENCED.split(markdown)
    blocks[::2] = [
        # In a table a bar within code is escaped on GitHub; Python-Markdown would show the escape.
        CODE.sub(lambda code: code[0].replace(r"\|", "|"), LINK.sub(relinked(here, known), text))
        for text in blocks[::2]
    ]
    return "".join(blocks)


def relinked(here: str, known: set[str]) -> Callable[[re.Match[str]], str]:
    """What makes of a link between files one between pages: on the page `here`, to those known."""
    folder = posixpath.dirname(here)

    def replaced(link: re.Match[str]) -> str:
        picture, text, target, anchor = link.groups(default="")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(file_of(here)), target))
        page = page_of(file)
        if page in known:
            return f"{picture}[{text}]({posixpath.relpath(page, folder or '.')}{anchor})"
        return text if (ROOT / file).exists() else link[0]

    return replaced
