"""Prepared folders for `gnmt train --dry-run`, and the options that it chooses for them."""

from pathlib import Path
from typing import Dict, List, Optional

from gnmt.commands import train as command
from gnmt.commands.command_line import parser_of
from gnmt.corpora.preparation import Preparation, write_settings
from gnmt.training.options import training_options
from gnmt.training.recipes import SMALL_CORPORA, Recipe

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = Preparation("en", "de", ("train",), "valid", "test")
# 900 pairs of 10 tokens, and 100 pairs of 49 tokens, which are 51 with BOS and EOS
LENGTHS = [0] * 10 + [900] + [0] * 38 + [100]


def options_of(arguments: List[str]) -> Dict[str, Optional[str]]:
    """Returns options by name; the data folder is the value of "data"."""
    options, name = {}, "data"
    for argument in arguments:
        if argument.startswith("--"):
            name, options[argument] = argument, None
        else:
            assert options.get(name) is None, arguments
            options[name] = argument
    return options


def options(
    folder: Path,
    *further: str,
    recipe: Recipe = SMALL_CORPORA,
    gpus: int = 0,
    precision: str = "auto",
    settings: Preparation = SETTINGS,
    is_bf16_faster: bool = False,
) -> Dict[str, Optional[str]]:
    plugin = ROOT / "fairseq_gnmt"
    chosen = training_options(
        folder, settings, LENGTHS, recipe, gpus, precision, plugin, further, lambda width: is_bf16_faster
    )
    return options_of(chosen.arguments)


def prepared(folder: Path, lengths: List[int] = LENGTHS) -> Path:
    """Writes the files that `gnmt train --dry-run` reads; returns their folder."""
    (folder / "encoded").mkdir(parents=True)
    (folder / "encoded" / "train.lengths.json").write_text(str(lengths))
    write_settings(folder / "prepare.json", SETTINGS)
    return folder


def dry_run(capsys, *arguments) -> str:
    parser = parser_of(command, "gnmt train")
    command.run(*parser.parse_known_args([*map(str, arguments), "--dry-run"]))
    return capsys.readouterr().out
