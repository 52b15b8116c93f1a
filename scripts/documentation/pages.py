"""Hooks of mkdocs: pages and parts made from README, notebooks, configs, sources and cards.

They are made here, and not written down, so that nothing is said in two places.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from docstrings import markdown_of
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

from mersynth.config import config_folder
from mersynth.gan.checkpoint import CARD as GENERATOR_CARD
from mersynth.gan.checkpoint import SHIPPED
from mersynth.phantom.version import VERSION
from mersynth.sources import SOURCES, Source, composite
from recognizers.trained.card import CARD as RECOGNIZER_CARD
from recognizers.trained.card import shipped

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
CHOSEN_BY = {"model": "--model au_gacn", "flow": "flow@feature.flow=dis"}
"""How to choose from a group that is not chosen by ``group=file``."""
MAGNET = SHIPPED.parent / "magnet" / "magnet.json"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of the configs to the navigation."""
    added = [
        {"Commands": [{title: page} for page, title, _ in _files()]},
        {"Groups": [{title: page} for page, title, _ in _folders()]},
    ]
    for entry in config.nav or []:
        for inside in entry.values():
            if "choices/index.md" in inside:
                inside += added
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made whole: README, SECURITY, and those of notebooks and configs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    made: dict[str, str | bytes] = {
        "index.md": readme.replace("](docs/", "]("),
        "security.md": security,
    }
    made |= {page: text for page, _, text in (*_files(), *_folders())}
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        made |= _notebook(notebook)
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def _notebook(file: Path) -> dict[str, str | bytes]:
    """A notebook's page and its pictures, as it was run when it was saved."""
    page = Path(NOTEBOOKS.name, file.name).with_suffix(".md")
    exporter = MarkdownExporter(exclude_input_prompt=True, exclude_output_prompt=True)
    beside = {"unique_key": file.stem, "output_files_dir": ""}
    text, resources = exporter.from_filename(file, beside)
    link = (
        f"[Download this page as a notebook]({file.name}){{: download }}, for Jupyter or VS Code."
    )
    title, _, rest = text.partition("\n\n")
    pictures = {
        (page.parent / name).as_posix(): data for name, data in resources["outputs"].items()
    }
    return {page.as_posix(): f"{title}\n\n{link}\n\n{rest}", **pictures}


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the parts that are made, and turn links out of ``docs`` into links on the site."""
    for name, part in PARTS.items():
        mark = f"<!-- the site puts here: {name} -->"
        if mark in text:
            text = text.replace(mark, part())
    text = re.sub(r"\]\(\.\./configs/([\w/]+)\.yaml\)", _to_choices, text)
    # A notebook's page, but for its download.
    text = re.sub(r"\.ipynb\)(?!\{)", ".md)", text)
    # The site holds no code: its name is enough.
    return re.sub(r"\[([^\]]+)\]\(\.\./(?:mersynth|recognizers|scripts)/[^)]*\)", r"`\1`", text)


def _to_choices(match: re.Match[str]) -> str:
    group, _, name = match[1].rpartition("/")
    return f"](choices/group_{group}.md#{name})" if group else f"](choices/{name}.md)"


def _files() -> Iterator[tuple[str, str, str]]:
    """The address, title and text of the page of each file of values, one per command."""
    files = config_folder().glob("*.yaml")
    for file in sorted(files, key=lambda file: (file.stem == "ranges", file.stem)):
        title = "allowed values" if file.stem == "ranges" else file.stem
        text = _yaml(file)
        links = [f"[{name}](group_{name}.md)" for name in _groups(text)]
        chosen = f"It chooses from the groups {', '.join(links)}.\n\n" if links else ""
        # The comments are long lines, and there is nothing for a table of contents.
        page = f"---\nhide: [toc]\n---\n\n# {title}\n\n{chosen}{_block(text)}"
        yield f"choices/{file.stem}.md", title, page


def _folders() -> Iterator[tuple[str, str, str]]:
    """The address, title and text of the page of each group, which holds all of its files."""
    for folder in sorted(path for path in config_folder().iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.yaml"))
        parts = [f"## {file.stem}\n\n{_block(_yaml(file))}" for file in files]
        if parts:
            example = CHOSEN_BY.get(folder.name, f"{folder.name}={files[0].stem}")
            chosen = f"One of these files is chosen, for instance by `{example}`."
            text = "\n\n".join([f"# {folder.name}", chosen, *parts])
            yield f"choices/group_{folder.name}.md", folder.name, text


def _yaml(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _groups(text: str) -> list[str]:
    """The groups in a config's list of defaults."""
    defaults = yaml.safe_load(text).get("defaults", [])
    names = {
        key.partition("@")[0] for entry in defaults if isinstance(entry, dict) for key in entry
    }
    return sorted(names)


def _block(text: str) -> str:
    return f"```yaml\n{text.rstrip()}\n```"


def _databases() -> str:
    """A section for each database, from the attributes and docstrings of its sources."""
    modules: dict[str, list[Source]] = {}
    for source in SOURCES.values():
        modules.setdefault(type(source).__module__, []).append(source)
    parts: list[str] = []
    for module, sources in modules.items():
        parts += [_heading(sys.modules[module]), *map(_source, sources)]
    parts += [
        _heading(composite),
        f"### `{composite.COMPOSITE}`",
        f"```\nmersynth prepare --source {composite.COMPOSITE}\n```",
        "It is made from the stores `casme2`, `smic` and `samm`, under their three licences.",
        f"- **Cite**: {composite.CITATION}.",
    ]
    return "\n\n".join(parts)


def _heading(module: ModuleType) -> str:
    """The first line of a module's docstring, as a heading and what it says of it."""
    name, _, said = (inspect.getdoc(module) or "").partition("\n")[0].rstrip(".").partition(": ")
    return f"## {name}\n\n{said[:1].upper()}{said[1:]}." if said else f"## {name}"


def _source(source: Source) -> str:
    tree = (inspect.getdoc(type(source)) or "").partition("\n\nArgs:")[0]
    return f"""\
### `{source.name}`

```
mersynth prepare --source {source.name}
```

- **Where it belongs**: `data/{source.home}`, `$MERSYNTH_DATA/{source.home}`, or `--root`
- **How to get it**: {source.request}.
- **Licence**: {source.licence}.
- **Cite**: {source.citation}.

{markdown_of(tree)}"""


def _cards() -> str:
    """A section for each trained thing that ships, from its card file."""
    generator = json.loads(_yaml(SHIPPED / GENERATOR_CARD))
    magnet = json.loads(_yaml(MAGNET))
    parts = [
        _card(
            "`shipped`: the generator AU-ICGAN",
            {
                "Trained on": f"{_people(generator['training_subjects'])}, rendered by version "
                f"{generator['phantom']} of the phantom",
                "Conditions": f"{len(generator['aus'])} AUs: {_listed(generator['aus'])}",
                "Form": f"`{generator['generator']['form']}`, "
                f"working size {generator['image_size']} pixels",
                "Steps, seed": f"{generator['step']:,}, {generator['seed']}",
                "Measured in": "[Control](control.md), [Quality](quality.md)",
            },
            generator,
        )
    ]
    parts += [
        _recognizer(name, json.loads(_yaml(path / RECOGNIZER_CARD)))
        for name, path in shipped().items()
    ]
    data = magnet["data"]
    parts.append(
        _card(
            "MagNet, motion magnification",
            {
                "Model": magnet["model"],
                "Trained on": f"{data['phantom_pairs']:,} pairs of phantom frames and textures "
                f"({data['textures']})",
                "Licence of its data": data["licence"],
                "Parameters": f"{magnet['parameters']:,}",
                "Steps, seed": f"{magnet['training']['steps']:,}, {magnet['training']['seed']}",
                "Measured in": "[Motion and apex](motion.md)",
            },
            magnet,
        )
    )
    return "\n\n".join(parts)


def _recognizer(name: str, card: dict[str, Any]) -> str:
    facts = {
        "Note of the card": card["note"],
        "Model": f"`{card['model']}`, [its configs](choices/group_model.md#{card['model']})",
        "Classes": _listed(card["classes"]),
        "Inputs": "; ".join(
            f"`{key}`: {_listed(spec['channels'])}, {spec['size'][0]} x {spec['size'][1]} pixels"
            for key, spec in card["inputs"].items()
        ),
        "Trained on": f"{card['learned']['clips']:,} clips, {_people(card['learned']['people'])}",
        "Epochs, seed": f"{card['epoch']}, {card['seed']}",
    }
    for test in card["tested"]:
        value, low, high = test["uf1"]
        people = Path(test["path"]).name.replace("_", " set, ")
        facts[f"UF1, {people}"] = (
            f"{value:.2f} ({low:.2f} to {high:.2f}) on {test['clips']} clips of "
            f"{len(test['people'])} people it never saw"
        )
    return _card(f"`{name}`", facts, card)


def _card(title: str, facts: dict[str, str], card: dict[str, Any]) -> str:
    rows = "\n".join(f"| **{key}** | {value} |" for key, value in facts.items())
    named = f"| **SHA-256** | `{card['sha256']}` |"
    whole = json.dumps({k: _short(v) for k, v in card.items()}, indent=1).replace("\n", "\n    ")
    return (
        f"### {title}\n\n| | |\n| :--- | :--- |\n{rows}\n{named}\n\n"
        f'??? note "The whole card; long lists are cut"\n\n    ```json\n    {whole}\n    ```'
    )


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list) and len(value) > 24:
        return [*map(_short, value[:2]), f"... {len(value)} in all"]
    return [*map(_short, value)] if isinstance(value, list) else value


def _people(names: list[str]) -> str:
    return f"{len(names)} rendered people, `{names[0]}` to `{names[-1]}`"


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values))


def _list_of_choices() -> str:
    parts = (("Commands", _files()), ("Groups", _folders()))
    return "\n\n".join(
        f"**{kind}**: " + ", ".join(f"[{title}]({Path(page).name})" for page, title, _ in pages)
        for kind, pages in parts
    )


PARTS = {
    "databases": _databases,
    "cards": _cards,
    "choices": _list_of_choices,
    "version": lambda: str(VERSION),
}
