"""The pages of the networks and their drawings, made from the code.

    python docs/families.py                    # writes them anew, in a minute or two
    python docs/families.py vgg mobilenet      # those of these modules of keras_archs.families
    python docs/families.py --check            # exit 1 where one is not current

What a family's page says stands elsewhere: in the module's docstring, the builders' documentation,
the published figures of `keras_archs.info`, the recipes and the catalogue of weights; costs are
counted. docs/reference/networks.md has what all builders share.
"""

import argparse
import dataclasses
import functools
import importlib
import inspect
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import DATA, accuracy

import applications
import keras_archs
from applications.console import markdown
from applications.recipes.schema import Recipe
from keras_archs.architecture import Figure
from keras_archs.registry import builder
from keras_archs.weights import KnownWeights, TrainedWeights

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "families"
BUILDERS = "../reference/networks.md"
NOTE = "<!-- Made by `python docs/families.py`: change the code that it describes. -->"
SMALL = 32  # side in pixels of what the second table of costs is for
SMALL_CLASSES = 10
STEPS = 8  # of a schedule that is written out

profile = functools.cache(keras_archs.profile)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="default: all")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is old")
    arguments = parser.parse_args()
    old = []
    for name, make in files().items():
        if arguments.modules and Path(name).stem not in arguments.modules:
            continue
        path, text = PAGES / name, make()
        if not path.exists() or path.read_text() != text:
            old.append(name)
            if not arguments.check:
                path.write_text(text)
    print(f"{'not current' if arguments.check else 'written'}: {', '.join(old) or 'none'}")
    sys.exit(bool(arguments.check and old))


def files() -> dict[str, Callable[[], str]]:
    """What makes each file, by its path from docs/families/."""
    made: dict[str, Callable[[], str]] = {"index.md": index, BUILDERS: builders}
    for module in keras_archs.MODULES:
        made[f"{module}.md"] = lambda module=module: page(module)
        made[f"{module}.svg"] = lambda module=module: drawing(module)
    return made


def drawing(module: str) -> str:
    """The first network of a family, stage by stage."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawing.svg"
        applications.plot_architecture(keras_archs.MODULES[module][0].lower(), path)
        return path.read_text()


def index() -> str:
    rows = []
    for module, titles in keras_archs.MODULES.items():
        years = sorted({keras_archs.info(title).year for title in titles})
        named = ", ".join(f"`{title}`" for title in titles)
        rows.append([f"[{heading(module)}]({module}.md)", " and ".join(map(str, years)), named])
    parts = [
        "# Networks",
        NOTE,
        "Each family has a page: its papers, a drawing, the published counts beside ours, what it "
        "costs, its own arguments, how its paper trained it, whose weights load, where it departs "
        "from the paper. [The lineage](../lineage.md) tells how each came from the one before.",
        *table(("family", "published", "networks"), rows, left=3),
    ]
    return "\n\n".join(parts) + "\n"


def builders() -> str:
    """What all builders share, and the signature of each."""
    build = keras_archs.MobileNet
    texts = argument_docs(inspect.cleandoc(build.__doc__))
    rows = [
        [f"`{name}`", f"`{parameter.default!r}`", markdown_text(texts[name])]
        for name, parameter in inspect.signature(build).parameters.items()
        if name not in build.spec.own
    ]
    parts = [
        "# Builders",
        NOTE,
        "Every architecture is a function of this signature, which returns a plain functional "
        "`keras.Model`: images (batch, height, width, channels) to predictions (batch, classes). "
        "What it raises is a `ValueError` for an argument outside its range or weights that do not "
        "fit, and a `TypeError` for an unknown keyword. Of `MobileNet`:",
        *table(("argument", "default", "what it is"), rows, left=3),
        "Some families have [arguments of their own](../families/index.md), which their page "
        "explains, as `help` does.",
    ]
    for module, titles in keras_archs.MODULES.items():
        parts.append(f"## {heading(module)}")
        parts.append(f"[Paper, costs, recipe](../families/{module}.md)")
        parts += [f"::: keras_archs.{title}" for title in titles]
    return "\n\n".join(parts) + "\n"


def page(module: str) -> str:
    """Markdown of a family's page."""
    titles = keras_archs.MODULES[module]
    first, rest = described(module)
    parts = [
        f"# {heading(module)}",
        NOTE,
        first,
        *code(titles),
        "## The network",
        '<div class="drawing" markdown>\n\n'
        f"[![{titles[0]}, stage by stage]({module}.svg)]({module}.svg)\n\n</div>",
        f"`{titles[0]}`. `keras-archs summary {titles[-1].lower()} --svg FILE.svg` draws "
        + ("it anew." if len(titles) == 1 else "another one, or one of other arguments."),
        "## Counted and published",
        "Parameters are all that Keras counts, BatchNorm's statistics included. MACs are the "
        "multiply-adds of convolutions and dense layers at the network's own input.",
        *published(titles),
        "## What it costs",
        *costs(titles),
        *arguments(titles),
        "## How it was trained",
        *recipes(module, titles),
        *weights(titles),
        "## The paper, and departures from it",
        rest or first,
        f"The code is `keras_archs/families/{module}.py`; `tests/expected.py` has the independent "
        "source of every count.",
    ]
    return "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------------------------ its docstring


def docstring(module: str) -> str:
    return inspect.getdoc(importlib.import_module(f"keras_archs.families.{module}")) or ""


def heading(module: str) -> str:
    """ "MobileNet. Howard et al. 2017, ..." -> "MobileNet"."""
    return re.match(r"[^.]+", docstring(module).replace("\n", " "))[0]


def described(module: str) -> tuple[str, str]:
    """The first paragraph of a docstring without its heading, and the rest, in Markdown."""
    first, _, rest = docstring(module).partition("\n\n")
    first = " ".join(first.split()).removeprefix(heading(module)).lstrip(". ")
    if not first:
        first, _, rest = rest.partition("\n\n")
    return as_markdown(first), as_markdown(rest)


def as_markdown(text: str) -> str:
    """Addresses become links, lists stand by themselves, what is set apart stays as it is."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            paragraphs.append(f"```text\n{textwrap.dedent(paragraph)}\n```")
            continue
        code = re.split(r"(`[^`]*`)", paragraph)
        code[::2] = [linked(part.replace("*", r"\*")) for part in code[::2]]
        paragraphs.append(re.sub(r"\A(?!- )(.*?)\n- ", r"\1\n\n- ", "".join(code), flags=re.DOTALL))
    return "\n\n".join(paragraphs)


def linked(text: str) -> str:
    """Addresses, and papers on arXiv, as links."""
    text = re.sub(r"https?://[^\s),]*[^\s),.]", r"<\g<0>>", text)
    return re.sub(r"arXiv:([\d.]+\d)", r"[\g<0>](https://arxiv.org/abs/\1)", text)


# --------------------------------------------------------------------------------------- its tables


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """A Markdown table whose first columns are of text; empty columns are left out."""
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    if not rows:
        return []
    lines = [[head[at] for at in kept], ["---" if at < left else "--:" for at in kept]]
    lines += [[row[at] for at in kept] for row in rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]


def published(titles: Sequence[str]) -> list[str]:
    rows, notes = [], []
    for title in titles:
        info, cost = keras_archs.info(title), profile(title.lower())
        figures = info.published
        row = [f"`{title}`"]
        for quantity, ours in (("params", cost.params), ("macs", cost.macs)):
            theirs = figures.get(quantity)
            row += [f"{ours:,}", f"{theirs.value:,.0f}" if theirs else ""]
        rows.append([*row, accuracy(figures)])
        notes.append(f"- `{title}`: {linked(info.paper)}{sources(figures)}")
    head = ("network", "parameters", "published", "MACs", "published", "published top-1")
    return [*table(head, rows), "Where the figures stand:", "\n".join(notes)]


def sources(figures: Mapping[str, Figure]) -> str:
    """Which figure stands where."""
    found: dict[str, list[str]] = {}
    for quantity, figure in figures.items():
        found.setdefault(figure.source, []).append(quantity_name(quantity))
    return "".join(f"; {' and '.join(of)}: {markdown(source)}" for source, of in found.items())


def quantity_name(quantity: str) -> str:
    data, _, top = quantity.partition("_top")
    return f"top-{top} on {DATA[data]}" if top else {"params": "parameters", "macs": "MACs"}[data]


def costs(titles: Sequence[str]) -> list[str]:
    own, small = [], []
    for title in titles:
        info, cost = keras_archs.info(title), profile(title.lower())
        side = str(info.min_size)
        if "small" in info.stems:
            side += f" ({info.min_size_for(stem='small')})"
        shape = "x".join(map(str, info.input_shape))
        memory = size(cost.weight_bytes), size(cost.peak_activation_bytes)
        own.append([f"`{title}`", shape, f"{info.classes:,}", *memory, side])
        if given := small_arguments(title):
            cost = profile(title.lower(), **given)
            counts = f"{cost.params:,}", f"{cost.macs:,}", size(cost.peak_activation_bytes)
            small.append([f"`{title}`", *counts])
    stems = any(keras_archs.info(title).stems for title in titles)
    in_brackets = ', in brackets that with `stem="small"`' if stems else ""
    parts = [
        "Memory in float32: that of the weights, and the most bytes of activations that live at "
        f"once for one image. The smallest input is a side in pixels{in_brackets}.",
        *table(("network", "input", "classes", "weights", "activations", "smallest input"), own),
    ]
    if small:
        stem = ' and `stem="small"`' if stems else ""
        parts += [
            f"For images of {SMALL}x{SMALL} pixels, with {SMALL_CLASSES} classes{stem}:",
            *table(("network", "parameters", "MACs", "activations"), small),
        ]
    return parts


def small_arguments(title: str) -> dict[str, Any]:
    """A builder's arguments for small images; empty where they are its own or too small for it."""
    info = keras_archs.info(title)
    given = {"stem": "small"} if "small" in info.stems else {}
    shape = (SMALL, SMALL, info.input_shape[2])
    if info.min_size_for(**given) > SMALL or shape == info.input_shape:
        return {}
    return {"input_shape": shape, "classes": SMALL_CLASSES, **given}


def size(count: int) -> str:
    """Bytes as people read them."""
    for unit, of in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= of:
            return f"{count / of:.1f} {unit}"
    return f"{count} B"


# ------------------------------------------------------------------------------------------ its use


def code(titles: Sequence[str]) -> list[str]:
    """Lines to begin with."""
    title, info = titles[0], keras_archs.info(titles[0])
    shape = "x".join(map(str, info.input_shape))
    lines = [
        "import keras_archs\n",
        f"model = keras_archs.{title}()  # {shape}, {info.classes:,} classes",
        f"half = keras_archs.{title}(alpha=0.5)  # half as wide",
    ]
    if small := small_arguments(title):
        text = ", ".join(f"{name}={value!r}" for name, value in small.items())
        lines.append(f"small = keras_archs.{title}({text.replace(chr(39), chr(34))})")
    data = {(32, 32, 3): "cifar10", 1: "mnist"}
    where = data.get(info.input_shape) or data.get(info.input_shape[2]) or "FOLDER"
    recipe = applications.recipe(title)
    command = f"keras-archs train --arch {title.lower()} --data {where} --recipe {title.lower()}"
    if recipe.teaching:
        command += " --teacher RUN"
    if recipe.pretrained_from:
        command += f" --weights runs/{recipe.pretrained_from}/model.keras"
    return [
        "```python\n" + "\n".join(lines) + "\n```",
        "As its paper trained it:",
        f"```sh\n{command}\n```",
    ]


def arguments(titles: Sequence[str]) -> list[str]:
    """The arguments that not every architecture has."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for title in titles:
        build = builder(title.lower())
        texts = argument_docs(inspect.cleandoc(build.__doc__))
        for name, parameter in build.spec.own.items():
            key = f"`{name}`", f"`{parameter.default!r}`", markdown_text(texts.get(name, ""))
            found.setdefault(key, []).append(title)
    rows = [
        [*key, "" if len(owners) == len(titles) else ", ".join(f"`{owner}`" for owner in owners)]
        for key, owners in found.items()
    ]
    if not rows:
        return []
    return [
        "## Arguments of its own",
        "Beside those that [every builder](../reference/networks.md) takes:",
        *table(("argument", "default", "what it is", "of"), rows, left=4),
    ]


def argument_docs(text: str) -> dict[str, str]:
    """The texts of a docstring's arguments."""
    section = text.partition("\nArgs:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", section, re.MULTILINE)
    return {name: " ".join(described.split()) for name, described in found}


def markdown_text(text: str) -> str:
    """Text that has code in backquotes, as a cell of a table."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [
        re.sub(r"\S(.*\S)?", lambda words: markdown(words[0]), part) for part in parts[::2]
    ]
    return "".join(parts)


def recipes(module: str, titles: Sequence[str]) -> Iterator[str]:
    """The papers' recipes, what differs from a recipe's defaults."""
    used: dict[str, list[str]] = {}
    for title in titles:
        used.setdefault(applications.recipe(title).name, []).append(title)
    yield (
        "`--recipe NAME` trains so. Schedules are points of the training, between 0 and 1, and the "
        "factor of the rate from there on. [Recipe](../reference/applications.md"
        "#applications.recipes.schema.Recipe) explains each line, and "
        "`applications/recipes/papers.py` has the source of each figure."
    )
    recipe_of = {name: applications.recipe(name) for name in used}
    rows = []
    for field in dataclasses.fields(Recipe)[2:]:  # behind its name and source
        values = [getattr(each, field.name) for each in recipe_of.values()]
        cells = ["" if value == default_of(field) else shown(value) for value in values]
        rows += [[field.name.replace("_", " "), *cells]] if any(cells) else []
    yield from table(("", *(f"`{name}`" for name in used)), rows, left=1 + len(used))
    lines = []
    for name, owners in used.items():
        of = "" if len(used) == 1 else f", of {', '.join(f'`{owner}`' for owner in owners)}"
        lines.append(f"- `{name}`{of}: {linked(markdown(recipe_of[name].source))}")
    yield "\n".join(lines)


def default_of(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def shown(value: Any) -> str:
    """A figure of a recipe, in a cell."""
    if value is None or value is False or value == ():
        return ""
    if value is True:
        return "yes"
    if isinstance(value, float):
        return f"{value:.4g}"
    if hasattr(value, "_asdict"):
        usual = value._field_defaults
        value = {name: v for name, v in value._asdict().items() if v != usual.get(name)}
    if isinstance(value, Mapping):
        pairs = ((name, shown(item)) for name, item in value.items())
        return ", ".join(f"{str(name).replace('_', ' ')} {text}" for name, text in pairs if text)
    if isinstance(value, tuple) and all(isinstance(item, tuple) for item in value):
        steps = [f"x{factor:.4g} from {at:.4g}" for at, factor in value]
        if len(steps) > STEPS:
            steps[2:-1] = ["..."]
            steps.append(f"{len(value)} in all")
        return ", ".join(steps)
    if isinstance(value, tuple):
        return ", ".join(shown(item) for item in value)
    return markdown(value)


def weights(titles: Sequence[str]) -> list[str]:
    rows = [
        [
            f"`{known.weights}`",
            f"`{title}`" + "".join(f", {name} {value}" for name, value in known.kwargs.items()),
            known.data,
            f"{known.accuracy:g} %" if known.accuracy else "",
            markdown(known.licence or "not stated"),
            _published_at(known),
        ]
        for title in titles
        for known in keras_archs.info(title).weights
    ]
    parts = ["## Trained weights"]
    if rows:
        head = ("weights", "network", "trained on", "top-1", "licence", "published at")
        parts += table(head, rows, left=6)
    parts.append(
        "[Weights from elsewhere](../weights.md) says what else loads, from timm, torchvision and "
        "Caffe, and how."
    )
    return parts


def _published_at(known: KnownWeights) -> str:
    if isinstance(known, TrainedWeights):
        return f"[in the package](../weights.md#in-the-package), {known.bytes:,} bytes"
    return f"[{re.sub('^https?://', '', known.source)}]({known.source})" if known.source else ""


if __name__ == "__main__":
    main()
