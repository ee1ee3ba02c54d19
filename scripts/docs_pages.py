"""Pages of the documentation that are generated from the code: a hook of MkDocs, named in mkdocs.yml.

Generated pages are the home page (from README.md) and the files to which it links, the command line, the options and the
HTTP API. For readers of the checkout, docs/reference/ has short pages in their places.
"""

import argparse
import dataclasses
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

ROOT = Path(__file__).resolve().parents[1]
LINKED = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
)  # files of the checkout to which README.md links
sys.path.insert(0, str(ROOT))

from gnmt.__main__ import COMMANDS, MODULES  # noqa: E402
from gnmt.commands.command_line import parser_of  # noqa: E402
from gnmt.search.options import SamplingOptions, SearchOptions  # noqa: E402


def on_files(files: Any, config: Any) -> Any:
    """Adds the generated pages; MkDocs calls it before it reads pages."""
    from mkdocs.structure.files import File

    generated_pages = pages()
    # fairseq, which options() imports, enables the log messages of all libraries.
    logging.getLogger().setLevel(logging.WARNING)
    for path, text in generated_pages.items():
        if (placeholder := files.get_file_from_path(path)) is not None:
            files.remove(placeholder)
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> Dict[str, str]:
    """Returns the text of each generated page, by its path in the documentation."""
    return {
        "index.md": home(),
        **{name: (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](") for name in LINKED},
        "reference/command_line.md": command_line(),
        "reference/options.md": options(),
        "reference/http_api.md": http_api(),
    }


def home() -> str:
    """Returns README.md with links that are relative to the documentation."""
    return (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](").replace('src="docs/', 'src="')


# -- command line


def command_line() -> str:
    """Returns a section for each `gnmt` command."""
    head = "# Command line\n\nGenerated from the commands: each section is what `gnmt COMMAND --help` prints.\n"
    return "\n".join([head, *map(command_section, COMMANDS)])


def command_section(name: str) -> str:
    """Returns the description of a command and tables of its options, including the options of its actions."""
    parser = parser_of(import_module(f"gnmt.commands.{MODULES.get(name, name)}"), f"gnmt {name}")
    parts = [f"## gnmt {name}", "", fenced(parser.description or "")]
    for title, subparser in parsers_of(parser):
        parts += [f"### {title}" if title != parser.prog else "", "", options_table(subparser)]
    return "\n".join(parts) + "\n"


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """Yields a parser and the parsers of its actions, such as `gnmt bulk merge`, with their titles."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from parsers_of(subparser)


def options_table(parser: argparse.ArgumentParser) -> str:
    """Returns a table of the arguments of a parser."""
    rows = ["| option | meaning | default |", "|---|---|---|"]
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        value = f" {metavar(action)}" if action.option_strings and action.nargs != 0 else ""
        default = "" if action.default in (None, False, [], argparse.SUPPRESS) else f"`{action.default}`"
        rows.append(f"| `{name}{value}` | {cell(action.help or '')} | {cell(default)} |")
    return "\n".join(rows) if len(rows) > 2 else ""


def metavar(action: argparse.Action) -> str:
    """Returns the name of an option's value, or its choices."""
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    name = action.metavar or action.dest.upper()
    return " ".join(name) if isinstance(name, tuple) else name


# -- options


def options() -> str:
    """Returns tables of the options of search, sampling and the fairseq task."""
    parts = [
        "# Options",
        "",
        "Generated from the declarations in the code.",
        "",
        "## Beam search",
        "",
        "Options of `gnmt translate`, of `fairseq-generate` and of the other commands that search, where they have them.",
        "",
        dataclass_table(SearchOptions),
        "",
        "## Sampling",
        "",
        dataclass_table(SamplingOptions),
        "",
    ]
    try:
        import fairseq_gnmt  # noqa: F401
        from fairseq_gnmt.fairseq_options import CLASSIFICATION
        from fairseq_gnmt.tasks.options import GNMTTranslationConfig
        from fairseq_gnmt.models.gnmt import GNMTConfig
        from fairseq.tasks.translation import TranslationConfig
    except ImportError:
        return "\n".join([*parts, "The options of the plugin are listed where fairseq is installed."])
    parts += ["## Task `gnmt_translation`", "", dataclass_table(GNMTTranslationConfig, without=TranslationConfig), ""]
    parts += ["## Network (`--arch`)", "", dataclass_table(GNMTConfig), ""]
    parts += ["## Options of fairseq", ""]
    parts += ["An option is honoured, accepted without effect, or refused with a sentence before work starts.", ""]
    parts += ["| commands | options | support | remark |", "|---|---|---|---|"]
    for entry in CLASSIFICATION:
        names = " ".join(f"`{name}`" for name in entry.options.split())
        parts.append(f"| {entry.commands} | {names} | {entry.support.value} | {cell(entry.remark)} |")
    return "\n".join(parts) + "\n"


def dataclass_table(config: type, without: Optional[type] = None) -> str:
    """Returns a table of the fields of a dataclass that have a help text, without the fields of a base class."""
    inherited = set() if without is None else {option.name for option in dataclasses.fields(without)}
    rows = ["| option | default | range | meaning |", "|---|---|---|---|"]
    for option in dataclasses.fields(config):
        if "help" not in option.metadata or option.name in inherited:
            continue
        default = option.default if option.default is not dataclasses.MISSING else ""
        if isinstance(default, str) and default.startswith("${"):
            continue
        accepted = option.metadata.get("range")
        limits = "" if accepted is None else f"{accepted.minimum:g} to {accepted.maximum:g}"
        name = f"`--{option.name.replace('_', '-')}`"
        rows.append(f"| {name} | {cell(f'`{default}`')} | {limits} | {cell(str(option.metadata['help']))} |")
    return "\n".join(rows)


# -- HTTP API


def http_api() -> str:
    """Returns a section for each route of the server, from its OpenAPI description."""
    head = "# HTTP API\n\nGenerated from the OpenAPI description of `gnmt serve`, which a running server has at `/openapi.json`.\n"
    try:
        from gnmt.serving.application import make_application
    except ImportError:
        return head + "\nIt is listed here if the extra `[serve]` is installed.\n"
    parts: List[str] = [head]
    for path, methods in make_application([]).openapi()["paths"].items():
        for method, operation in methods.items():
            parts += [
                f"## {method.upper()} `{path}`",
                "",
                cell(operation.get("description") or operation["summary"]),
                "",
            ]
            parts += ["| status | meaning |", "|---|---|"]
            parts += [
                f"| {code} | {cell(response['description'])} |" for code, response in operation["responses"].items()
            ]
            parts.append("")
    return "\n".join(parts)


# -- Markdown


def cell(text: str) -> str:
    """Returns text for one cell of a table."""
    return " ".join(text.replace("%%", "%").split()).replace("|", "\\|")


def fenced(text: str) -> str:
    """Returns text as it is printed."""
    return f"```text\n{text.strip()}\n```\n"
