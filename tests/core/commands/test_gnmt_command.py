"""Tests the `gnmt` command in this process: subcommands, exit codes and outputs. Expected texts are written by hand."""

import json
import math
from importlib import import_module
from pathlib import Path

import pytest
import torch
from model_folders import make_model_folder
from png import file_size

import gnmt
from gnmt.__main__ import COMMANDS, MODULES, main
from gnmt.checkpoints.model_folder import read_model_folder
from gnmt.commands import bench, export, grid, import_model, plot
from gnmt.commands.command_line import run_module
from gnmt.errors import UserError
from gnmt.evaluation.bleu import corpus_bleu
from gnmt.translator import Translator

ROOT = Path(__file__).resolve().parents[3]


def exit_of(*arguments) -> int:
    """Returns the exit code of a command line that ends the process."""
    with pytest.raises(SystemExit) as ending:
        main(list(map(str, arguments)))
    return ending.value.code


# -- the list of commands


def test_help_lists_all_commands_in_their_order(capsys):
    main(["--help"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)


def test_version_is_printed(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"gnmt {gnmt.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(name, capsys):
    assert exit_of(name, "--help") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: gnmt {name} ") and f"\n    gnmt {name} " in printed
    assert import_module(f"gnmt.commands.{MODULES.get(name, name)}").__doc__.splitlines()[0] in printed


def test_help_names_each_default_once(capsys):
    exit_of("clean", "--help")
    assert " ".join(capsys.readouterr().out.split()).count("(default: 9.0)") == 1
    exit_of("train", "--help")
    assert "None" not in capsys.readouterr().out


# -- wrong command lines


@pytest.mark.parametrize("typo, meant", [("tranlsate", "translate"), ("exprot", "export"), ("imoprt", "import")])
def test_a_typo_gets_the_nearest_command(typo, meant, capsys):
    assert exit_of(typo) == 2
    assert capsys.readouterr().err == f"error: gnmt has no command '{typo}': did you mean `gnmt {meant}`?\n"


def test_an_unrelated_name_gets_the_list_of_commands(capsys):
    assert exit_of("xyzzy") == 2
    assert "`gnmt --help` lists the commands" in capsys.readouterr().err


def test_a_missing_command_is_wrong_usage(capsys):
    assert exit_of() == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("usage: gnmt COMMAND")


def test_an_unknown_option_is_wrong_usage(capsys):
    assert exit_of("info", "model", "--jsno") == 2
    assert "--jsno" in capsys.readouterr().err


def test_a_missing_model_is_an_error_in_one_line(tmp_path):
    for command in ("info", "translate"):
        message = exit_of(command, tmp_path / "none")
        assert message.startswith(f"error: {tmp_path / 'none'} is not a folder") and "\n" not in message


def test_help_has_no_empty_defaults(capsys):
    for command in (["prepare"], ["bulk", "translate"]):
        assert exit_of(*command, "--help") in (None, 0)
        printed = capsys.readouterr().out
        assert "(default: " in printed and "(default: )" not in printed


def test_info_describes_a_model(model, capsys):
    main(["info", str(model)])
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "languages   en to de" and "max. length 12 tokens of a translation" in rows
    assert (
        exit_of("info", model.parent)
        == f"error: {model.parent} is not a model folder, but {model} is one: name that folder."
    )


# -- import


@pytest.fixture
def model(tmp_path) -> Path:
    return make_model_folder(tmp_path / "model")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"share_embeddings": False},
        {"tie_output_layer": True, "source_bos": True},
        {"attention_query": "previous", "activation_clip": 1.5},
    ],
    ids=["defaults", "unshared", "tied_nvidia", "paper"],
)
def test_export_of_an_imported_model_is_the_same_model(options, tmp_path, capsys):
    folder = make_model_folder(tmp_path / "model", **options)
    run_module(import_model, "gnmt import", [str(folder), str(tmp_path / "made")])
    export.export(tmp_path / "made" / "checkpoint.pt", tmp_path / "again", tokenizer="words")
    imported, exported = read_model_folder(folder), read_model_folder(tmp_path / "again")
    assert imported.config == exported.config
    weights = exported.network.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in imported.network.state_dict().items())
    assert imported.source_vocabulary.tokens == exported.source_vocabulary.tokens
    assert "--hidden-size 16 --encoder-layers 3" in capsys.readouterr().out


def test_import_replaces_only_its_own_output(model, tmp_path):
    arguments = [str(model), str(tmp_path / "made")]
    run_module(import_model, "gnmt import", arguments)
    with pytest.raises(UserError, match="made exists"):
        run_module(import_model, "gnmt import", arguments)
    run_module(import_model, "gnmt import", [*arguments, "--overwrite"])
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    with pytest.raises(UserError, match="precious exists"):
        run_module(import_model, "gnmt import", [str(model), str(tmp_path / "precious"), "--overwrite"])
    with pytest.raises(UserError, match="the model folder itself"):
        run_module(import_model, "gnmt import", [str(model), str(model), "--overwrite"])
    assert (tmp_path / "precious" / "file").read_text() == "kept"


# -- grid

SOURCES = ["The dog sees the cat.", "A cat runs, and the dog sees.", "The cat"]
REFERENCES = ["The dog runs.", "The cat, a dog.", "The dogs"]


def write(path: Path, lines) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def run_grid(model: Path, *options) -> None:
    files = ["--source", write(model.with_name("s"), SOURCES), "--references", write(model.with_name("r"), REFERENCES)]
    run_module(grid, "gnmt grid", list(map(str, [model, *files, *options])))


def test_grid_scores_every_combination(model, tmp_path, capsys):
    run_grid(model, "--beam", 1, 3, "--length-norm-factor", 0, 2, "--prune-tokens", 1, "--json", tmp_path / "g.json")
    printed, report = capsys.readouterr().out, json.loads((tmp_path / "g.json").read_text())
    assert [(row["beam"], row["length_norm_factor"]) for row in report["measured"]] == [(1, 0), (1, 2), (3, 0), (3, 2)]
    translator = Translator.from_pretrained(model)
    texts = [
        translation.text
        for translation in translator.translate(SOURCES, beam=3, length_norm_factor=2.0, prune_tokens=1.0)
    ]
    expected, _ = corpus_bleu(texts, REFERENCES)
    assert report["measured"][3]["bleu"] == pytest.approx(expected.score)
    assert f"| 3 | 2 | {expected.score:.2f} |" in printed and "prune tokens" not in printed
    scores = [score for text in translator.score(SOURCES, REFERENCES) for score in text]
    assert report["log_perplexity"] == pytest.approx(-math.fsum(scores) / len(scores))
    with pytest.raises(UserError, match="g.json exists"):
        run_grid(model, "--json", tmp_path / "g.json")


def test_grid_refuses_mistakes_before_it_measures(model, capsys):
    with pytest.raises(UserError, match="beam is 0"):
        run_grid(model, "--beam", 5, 0)
    write(model.with_name("short"), REFERENCES[:1])
    with pytest.raises(UserError, match="short has 1 lines, but .* has 3"):
        run_grid(model, "--references", model.with_name("short"))
    assert capsys.readouterr().out == ""


# -- bench


@pytest.mark.end_to_end
def test_bench_reports_each_precision(model, tmp_path, capsys):
    small = ["--input", str(write(tmp_path / "s", SOURCES)), "--repetitions", "1", "--single", "2", "--threads", "1"]
    run_module(bench, "gnmt bench", [str(model), *small, "--precision", "fp32", "int8", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [row["precision"] for row in report["measured"]] == ["fp32", "int8"]
    translated = Translator.from_pretrained(model).translate(SOURCES)
    first = report["measured"][0]
    assert first["target_tokens"] == sum(len(translation.tokens) for translation in translated)
    assert first["sentences_per_second"] == pytest.approx(len(SOURCES) / first["seconds"][0])
    assert min(first[name] for name in ("latency_ms", "ms_per_step", "load_seconds", "peak_memory_mib")) > 0


@pytest.mark.end_to_end
def test_bench_refuses_mistakes(model, tmp_path):
    for options, words in (
        (["--repetitions", "0"], "--repetitions is 0"),
        (["--input", str(write(tmp_path / "blank", ["", " "]))], "blank lines only"),
        (["--precision", "fp7"], "precision is 'fp7'"),
    ):
        with pytest.raises(UserError, match=words):
            run_module(bench, "gnmt bench", [str(model), *options])


# -- plot attention


def test_attention_of_text_is_drawn(model, tmp_path, capsys):
    text = write(tmp_path / "text", [SOURCES[0], "", SOURCES[2]])
    run_module(
        plot, "gnmt plot", ["attention", str(model), str(text), "--output-dir", str(tmp_path / "maps"), "--words"]
    )
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["attention-0.png", "attention-2.png"]
    best = Translator.from_pretrained(model).translate([SOURCES[2]])[0]
    assert f"sentence 2, score {best.score:.3f}: {' '.join(best.tokens)}" in capsys.readouterr().out
    run_module(plot, "gnmt plot", ["attention", str(model), str(text), "--page", str(tmp_path / "page.png")])
    heights = [file_size(tmp_path / "maps" / f"attention-{number}.png")[1] for number in (0, 2)]
    assert file_size(tmp_path / "page.png")[1] == sum(heights)


def test_attention_has_a_row_for_each_token_and_its_end(model):
    (attention_map,) = plot.attention_maps(model, [SOURCES[0]], [7])
    best = Translator.from_pretrained(model).translate([SOURCES[0]])[0]
    assert (
        attention_map.number == 7
        and attention_map.target == [*best.tokens, "</s>"]
        and attention_map.source[-1] == "</s>"
    )
    assert attention_map.weights.shape == (len(attention_map.target), len(attention_map.source))
    assert attention_map.weights.sum(axis=1) == pytest.approx(1, abs=1e-5)


# -- names and texts that are not UTF-8


def test_a_text_that_is_not_utf_8_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match="--names is '.udcff', which is not UTF-8"):
        run_module(import_module("gnmt.commands.score"), "gnmt score",
                   ["--hypotheses", "a", "--references", "b", "--names", "x", "\udcff"])  # fmt: skip
