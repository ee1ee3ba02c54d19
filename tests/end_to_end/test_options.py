"""Tests options of fairseq that GNMT's search must honour or refuse early.

Expected translations come from runs without the option.
"""

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, run, succeed
from hypotheses import generate, interactive, read, texts
from test_mistakes import error_message
from tiny_corpora import (
    MODEL, OBJECTIVE, TASK, TEST, VALID, digits, scratch, sentences, subword_model, trained_on_digits,
    trained_on_sentences,
)  # fmt: skip

TRAINING = [*TASK, *MODEL, *OBJECTIVE, "--lr", "1e-3", "--batch-size", 64, "--max-update", 1, "--no-save",
            "--save-dir", scratch() / "not-saved"]  # fmt: skip


@functools.cache
def gnmt_translations(*options) -> dict:
    """Returns translations of the validation set by GNMT's search."""
    return generate(*options)


# -- shards


def test_shards_together_are_the_whole_set():
    whole = gnmt_translations()
    shards = [generate("--batch-size", 4, "--num-shards", 3, "--shard-id", shard) for shard in range(3)]
    assert sorted(index for shard in shards for index in shard) == sorted(whole) and all(shards)
    for shard in shards:
        assert texts(shard) == {index: text for index, text in texts(whole).items() if index in shard}


def test_fairseqs_own_task_translates_every_sentence():
    printed = succeed("generate", digits(), *TASK, "--task", "translation", "--path", trained_on_digits(), "--batch-size", 4,
                      "--cpu", "--beam", 2)  # fmt: skip
    assert sorted(read(printed)) == list(range(TEST))


def test_shard_without_sentences():
    message = error_message(
        "generate", digits(), *TASK, "--path", trained_on_digits(), "--num-shards", 2, "--shard-id", 1
    )
    assert "give a smaller --batch-size" in message


# -- alignments in fairseq's own searches

SEARCHES = [
    ["--sampling", "--sampling-topk", 1, "--beam", 1],
    ["--diverse-beam-groups", 1, "--beam", 2],
    ["--diversity-rate", 0, "--beam", 1],
    ["--match-source-len"],
]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search[0])
def test_unknown_words_are_copied_by_fairseqs_own_searches(search):
    text = "two Zoe five\nAnna nine\none two Bob\n"
    printed = interactive(text, "--replace-unk", "--buffer-size", 4, "--batch-size", 4, *search)
    translations = [nbest[0].text for _, nbest in sorted(read(printed).items())]
    assert all(name in text for name, text in zip(("Zoe", "Anna", "Bob"), translations, strict=True))
    assert not any("<unk>" in text for text in translations)


def test_unknown_words_are_copied_under_constraints():
    printed = interactive("two Zoe five\tneun\n", "--constraints", "--replace-unk")
    text = read(printed)[0][0].text
    assert "neun" in text and "Zoe" in text


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("search", [*SEARCHES[:3], ["--score-reference"]], ids=lambda search: search[0])
def test_alignments_of_fairseqs_own_searches(search, kind):
    """They equal the alignments of GNMT's search if both find the same tokens."""
    fairseq_nbest, gnmt_nbest = (
        generate("--print-alignment", kind, *search),
        gnmt_translations("--print-alignment", kind),
    )
    compared = 0
    for index, nbest in fairseq_nbest.items():
        pair = nbest[0], gnmt_nbest[index][0]
        if len({(hypothesis.text, len(hypothesis.steps)) for hypothesis in pair}) == 1:
            compared += 1
            if kind == "hard":
                assert len({hypothesis.alignment for hypothesis in pair}) == 1
            else:
                actual, expected = (
                    [float(weight) for weight in re.split("[ ,]", hypothesis.alignment)] for hypothesis in pair
                )
                assert actual == pytest.approx(expected, abs=2e-4)
    assert compared >= VALID // 2


# -- references


@pytest.fixture
def without_references(tmp_path) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(digits(), folder)
    for file in folder.glob("test.en-de.de.*"):
        file.unlink()
    return folder


def test_data_without_references(without_references):
    options = [without_references, *TASK, "--path", trained_on_digits(), "--source-lang", "en", "--target-lang", "de"]
    assert len(read(succeed("generate", *options))) == TEST
    for given in (["--score-reference"], ["--prefix-size", 2]):
        assert f"{given[0]} needs references, but the test set has none" in error_message("generate", *options, *given)


@pytest.mark.parametrize("option", [["--temperature", 3], ["--beam", 7], ["--length-norm-factor", 1]])
def test_options_of_the_search_have_no_effect_on_references(option):
    path = ["--path", trained_on_digits()]
    message = error_message("generate", digits(), *TASK, *path, "--score-reference", *option)
    assert f"{option[0]} has no effect on --score-reference" in message


@pytest.mark.parametrize(
    "option", [["--score-reference"], ["--prefix-size", 1], ["--num-shards", 2], ["--lm-path", "x"]]
)
def test_interactive_has_neither_references_nor_shards(option):
    message = error_message(
        "interactive",
        digits(),
        *TASK,
        "--path",
        trained_on_digits(),
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        *option,
        stdin="two\n",
    )
    assert f"{option[0]} " in message and "fairseq-interactive" in message


HUB = """
import sys
from fairseq_gnmt.models.gnmt import GNMTModel
folder, name, data = sys.argv[1:]
model = GNMTModel.from_pretrained(folder, name, data, max_tokens=4, source_lang="en", target_lang="de")
print(model.translate("two five"))
for refused in (lambda: model.score(["two"]), lambda: model.translate("two", score_reference=True),
                lambda: model.translate("two", prefix_size=1), lambda: model.translate("one two three four five")):
    try:
        refused()
    except ValueError as error:
        print(type(error).__name__, error)
"""


def test_python():
    checkpoint = trained_on_digits()
    done = subprocess.run(
        [sys.executable, "-c", HUB, checkpoint.parent, checkpoint.name, digits()],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    translation, score, reference, prefix = done.stdout.splitlines()[-4:]
    assert translation == "zwei fünf"
    assert score.startswith("UserError A translation is scored together with its source")
    assert all(line.startswith("UserError --") and "use fairseq-generate" in line for line in (reference, prefix))
    assert "sentence 0 has 6 tokens" in done.stderr  # with max_tokens=4: an empty translation


# -- validation


@pytest.fixture(scope="module")
def subsets(tmp_path_factory) -> Path:
    """Fixture: train and train1 are equal; valid is longer than valid1."""
    folder = tmp_path_factory.mktemp("subsets") / "bin"
    shutil.copytree(digits(), folder)
    for name, source in (("train1", "train"), ("valid1", "test")):
        for file in folder.glob(f"{source}.en-de.*"):
            shutil.copy(file, folder / file.name.replace(source, name, 1))
    return folder


def subset_sizes(printed: str) -> dict:
    """Returns the number of sentences in each validation subset; each subset is one batch."""
    return {name: int(float(size)) for name, size in re.findall(r"valid on '(\w+)' subset .*\| bsz ([\d.]+)", printed)}


def validated(folder: Path, *options) -> dict:
    done = run("train", folder, *TRAINING, *options)
    assert done.code == 0, done.text[-3000:]
    return subset_sizes(done.stdout)


def test_several_validation_subsets(subsets):
    assert validated(subsets, "--valid-subset", "valid,valid1") == {"valid": VALID, "valid1": TEST}
    assert validated(subsets, "--combine-valid-subsets") == {"valid": VALID + TEST}
    assert validated(subsets, "--combine-valid-subsets", "--upsample-primary", 3) == {"valid": VALID + TEST}
    assert validated(subsets, "--ignore-unused-valid-subsets") == {"valid": VALID}
    assert "'valid1'" in error_message("train", subsets, *TRAINING)


def test_shards_of_the_training_set(subsets):
    for options, pairs in (([], 600), (["--upsample-primary", 2], 900)):
        done = run(
            "train",
            subsets,
            *TRAINING,
            "--disable-validation",
            "--max-epoch",
            1,
            "--max-update",
            0,
            "--batch-size",
            100,
            "--required-batch-size-multiple",
            1,
            *options,
        )
        assert done.code == 0, done.text[-3000:]
        assert f"num_updates {pairs // 100} " in done.stdout + " "


def test_validation_by_itself(subsets):
    def validate(*options):
        done = subprocess.run(
            [sys.executable, "-m", "fairseq_cli.validate", subsets, *map(str, TASK[:2]), "--cpu", "--path", trained_on_digits(),
             "--batch-size", "64", "--num-workers", "0", *options],
            cwd=ROOT, capture_output=True, encoding="utf-8",
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]

    task = ["--task", "gnmt_translation"]
    printed = validate(*task, "--valid-subset", "valid,valid1")
    assert subset_sizes(printed) == {"valid": VALID, "valid1": TEST}
    assert validate() == "error: give --task gnmt_translation, the task of the model."
    assert validate(*task, "--combine-valid-subsets").startswith(
        "error: --combine-valid-subsets is not supported in fairseq-validate"
    )


# -- BLEU


def test_no_false_warning_about_bleu():
    def printed(*scoring):
        return succeed(
            "generate",
            sentences(),
            *TASK,
            "--path",
            trained_on_sentences(),
            "--bpe",
            "sentencepiece",
            "--sentencepiece-model",
            subword_model(),
            *scoring,
        )

    assert "BLEU score is computed on BPE tokens" in printed()
    assert "BPE tokens" not in printed("--scoring", "gnmt_bleu")
    assert "BPE tokens" not in printed("--scoring", "sacrebleu")


# -- commands that are started as modules


def test_options_are_checked_when_a_command_is_a_module():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fairseq_cli.generate",
            digits(),
            *map(str, TASK),
            "--path",
            trained_on_digits(),
            "--lenpen",
            "2",
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1 and "error: --lenpen 2.0 is not supported in fairseq-generate" in done.stderr


def test_a_model_without_output_projection_is_named(tmp_path):
    settings = [
        "--arch",
        "lstm",
        "--criterion",
        "gnmt_label_smoothed_cross_entropy",
        "--optimizer",
        "adam",
        "--lr",
        "1e-3",
        "--batch-size",
        32,
        "--cpu",
    ]
    message = error_message("train", digits(), *TASK, *settings, "--save-dir", tmp_path)
    assert "need a model with decoder.output_projection, which LSTMModel does not have: use --arch gnmt_v2" in message


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_validation_translates_in_the_precision_of_the_option(tmp_path, precision):
    """The checkpoint was trained with --eval-bleu, so fairseq-validate translates, too."""
    updates = ["--lr", "1e-3", "--batch-size", 32, "--max-update", 1, "--save-dir", tmp_path]
    succeed("train", digits(), *TASK, *MODEL, *OBJECTIVE, *updates, "--eval-bleu", "--eval-bleu-args", '{"beam": 1}')
    path = ["--path", tmp_path / "checkpoint_last.pt", "--precision", precision]
    assert "bleu" in succeed("validate", digits(), *TASK, *path, "--batch-size", 32, "--cpu")
