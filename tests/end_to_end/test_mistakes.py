"""Tests that errors of users end a command with one sentence, a non-zero exit code and no traceback.

Expected messages are written by hand.
"""

import shutil
import time
from pathlib import Path

import pytest
import torch
from commands import run
from tiny_corpora import DIGITS, MODEL, OBJECTIVE, TASK, digits, scratch, sentences, trained_on_digits

from fairseq_gnmt.errors import explain
from fairseq_gnmt.patches.checkpoint_writing import check_disk_space
from gnmt.errors import UserError


HUGE = "99999999999999999999"


def error_message(name: str, *arguments, **options) -> str:
    """Returns the error message at the end of the command's output."""
    done = run(name, *arguments, **options)
    assert done.code == 1, done.text[-3000:]
    assert "Traceback" not in done.stderr
    messages = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1
    return messages[0]


def train(*more, data=None, **options) -> str:
    return error_message(
        "train",
        data or digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-3",
        "--batch-size",
        32,
        "--max-update",
        1000,
        *more,
        **options,
    )


def generate(*more, data=None, checkpoint=None) -> str:
    return error_message("generate", data or digits(), *TASK, "--path", checkpoint or trained_on_digits(), *more)


@pytest.fixture(scope="module")
def save_dir() -> Path:
    """Fixture: the folder of a training run that has written checkpoints."""
    folder = scratch() / "started"
    done = run(
        "train",
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-3",
        "--batch-size",
        32,
        "--max-update",
        1,
        "--save-dir",
        folder,
    )
    assert done.code == 0
    return folder


@pytest.fixture
def cut_short(save_dir, tmp_path) -> Path:
    checkpoint = tmp_path / "checkpoint_last.pt"
    whole = (save_dir / "checkpoint_last.pt").read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    return checkpoint


def test_dictionaries_differ_though_embeddings_are_shared(tmp_path):
    shutil.copytree(digits(), tmp_path / "data")
    (tmp_path / "data" / "dict.de.txt").write_text("".join(f"{word} 1\n" for word in DIGITS.values()))
    message = train("--save-dir", tmp_path / "out", data=tmp_path / "data")
    assert "differ" in message and "--joined-dictionary" in message and "--no-share-embeddings" in message


def test_checkpoint_whose_output_weights_were_not_shared(tmp_path):
    message = train(
        "--share-decoder-input-output-embed", "--finetune-from-model", trained_on_digits(), "--save-dir", tmp_path
    )
    assert "was trained without --share-decoder-input-output-embed" in message


@pytest.mark.parametrize("other", [["--arch", "gnmt_v2_small"], ["--hidden-size", 16]])
def test_another_network_in_the_save_dir(save_dir, other):
    message = train("--save-dir", save_dir, *other)
    assert str(save_dir) in message and "start in a new --save-dir" in message


def test_another_optimizer_in_the_save_dir(save_dir):
    assert "--reset-optimizer" in train("--save-dir", save_dir, "--optimizer", "adam")


def test_truncated_checkpoint(cut_short):
    assert f"{cut_short} is not a valid checkpoint" in generate(checkpoint=cut_short)
    message = train("--save-dir", cut_short.parent)
    assert f"{cut_short} is not a valid checkpoint" in message and "--restore-file" in message
    cut_short.write_bytes(b"")
    assert f"{cut_short} is not a valid checkpoint" in train("--save-dir", cut_short.parent)


def test_save_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "--save-dir must be a folder that can be written" in train("--save-dir", tmp_path / "file")
    assert "--save-dir must be a folder that can be written" in train("--save-dir", tmp_path / "file" / "below")


def test_data_that_is_not_there(tmp_path):
    assert f"{tmp_path}/none: No such file or directory" in train("--save-dir", tmp_path, data=tmp_path / "none")
    assert f"{tmp_path} has no data of fairseq-preprocess" in train("--save-dir", tmp_path, data=tmp_path)
    assert "Dataset not found: nosuch" in generate("--gen-subset", "nosuch")


def test_no_batch_size(tmp_path):
    message = error_message("train", digits(), *TASK, *MODEL, *OBJECTIVE, "--lr", "1e-3", "--save-dir", tmp_path)
    assert "--max-tokens or --batch-size" in message


@pytest.mark.parametrize(
    "options, words",
    [
        (["--beam", 0], "--beam is 0, but must be at least 1"),
        (["--beam", 2, "--nbest", 3], "--nbest is 3, but must be at most --beam, which is 2"),
        (["--coverage-penalty", -0.1], "--coverage-penalty is -0.1, but must be 0 (off) or above"),
        (["--length-norm-factor", -1], "--length-norm-factor is -1.0, but must be 0 (off) or above"),
        (["--temperature", 0], "--temperature is 0.0, but must be above 0"),
        (["--prune-tokens", -1], "--prune-tokens is -1.0, but must be 0 (off) or above"),
        (["--model-overrides", "{5"], "--model-overrides is not a dictionary"),
        (["--batch-size", 0], "--batch-size is 0, but must be at least 1"),
        (["--max-tokens", 2], "raise --max-tokens, or give --batch-size instead"),
        (["--max-source-positions", 2], "or raise --max-source-positions"),
        (
            ["--post-process", "sentencpiece"],
            "Unknown post_process option: sentencpiece: text is joined by sentencepiece",
        ),
        (["--results-path", "README.md"], "README.md: File exists: name a folder that can be written"),
        (["--lenpen", 2], "GNMT's length normalisation is --length-norm-factor"),
        (["--sampling"], "--sampling requires --nbest to be equal to --beam"),
        (["--sacrebleu", "--scoring", "wer"], "--sacrebleu and --scoring wer are two metrics"),
        (
            ["--precision", "int8", "--diversity-rate", 0.5],
            "--precision is for GNMT's own search, but --diversity-rate is not",
        ),
        (["--precision", "int8", "--fp16"], "leave --fp16 or --precision out"),
        (["--precision", "fp32", "--quantize", "int8"], "leave --quantize out"),
        (["--replace-unk"], "--dataset-impl=raw"),
        (["--left-pad-target"], "--left-pad-target is not supported in fairseq-generate"),
        (["--bf16"], "--bf16 is not supported in fairseq-generate"),
        (["--dropout", "0.5"], "--dropout 0.5 is not supported in fairseq-generate: the checkpoint has the options"),
        (["--constraints"], "--constraints ordered is not supported in fairseq-generate"),
        (
            ["--dataset-impl", "lazy"],
            "is not an index of --dataset-impl lazy: it is damaged, or another --dataset-impl has written it",
        ),
        (["--dataset-impl", "fasta"], "fairseq-preprocess writes mmap, cached, lazy and raw"),
        (["--coverage-penalty", "inf"], "--coverage-penalty is inf, but must be a finite number"),
        (["--length-norm-const", "inf"], "--length-norm-const is inf, but must be a finite number"),
        (["--beam", HUGE], f"--beam is {HUGE}, but must be at most"),
        (["--max-tokens", HUGE], f"--max-tokens is {HUGE}, but must be at most"),
        (["--batch-size", HUGE], f"--batch-size is {HUGE}, but must be at most"),
        (
            ["--model-overrides", "{'dropout':'x'}"],
            "or what overrides its options, has a wrong value in its cfg, model",
        ),
        (["--model-overrides", "5"], "--model-overrides is not a dictionary (5)"),
        (["--eval-bleu-args", "{}", "--path", "none.pt"], "none.pt: --path must name checkpoints"),
    ],
)
def test_options_of_the_search(options, words):
    assert words in generate(*options)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--lr", "2e-3x"], "'2e-3x' is not a number or a list of numbers"),
        (["--lr", -1], "--lr is -1.0, but must be at least 0"),
        (["--adam-eps", -1], "--adam-eps is -1.0, but must be at least 0"),
        (["--weight-decay", -1], "--weight-decay is -1.0, but must be at least 0"),
        (["--batch-size", 0], "--batch-size is 0, but must be at least 1"),
        (["--num-workers", -1], "--num-workers is -1, but must be at least 0"),
        (["--update-freq", 0], "--update-freq is 0, but must be at least 1"),
        (["--amp"], "fairseq unscales its gradients twice; use --fp16 or --bf16"),
        (["--log-interval", 0], "--log-interval is 0, but must be at least 1"),
        (["--seed", -1], "--seed: Seed must be between 0 and"),
        (["--activation-clip", 0], "--activation-clip is 0.0, but must be above 0"),
        (["--lr-scheduler", "gnmt_adam_then_sgd"], "requires --optimizer gnmt_adam_then_sgd"),
        (["--required-batch-size-multiple", 0], "--required-batch-size-multiple is 0, but must be at least 1"),
        (["--max-tokens", 5], "raise --max-tokens"),
        (["--train-max-length", 1], "raise --train-max-length"),
        (["--pretrained-embeddings", "none.txt"], "--pretrained-embeddings none.txt: No such file"),
        (["--finetune-from-model", "none.pt"], "none.pt does not exist: name a checkpoint"),
        (["--best-checkpoint-metric", "bleu"], "--best-checkpoint-metric bleu needs --eval-bleu"),
        (["--eval-bleu", "--eval-bleu-args", "[5]"], """--eval-bleu-args '{"beam": 5}'"""),
        (["--eval-bleu", "--eval-bleu-args", '{"beam": "5"}'], "--beam is '5', but must be a whole number"),
        (["--eval-bleu", "--eval-bleu-detok", "mose"], "--eval-bleu-detok is mose, but must be one of "),
        (["--eval-bleu", "--eval-bleu-remove-bpe", "bpe"], "Unknown post_process option: bpe"),
        (["--quantize", "int8"], "it is for translation; leave it out in training"),
        (["--precision", "bf16"], "it is for translation; train with --fp16 or --bf16"),
        (["--distributed-world-size", 2], "leave them out and give --cpu"),
        (["--left-pad-target"], "--left-pad-target is not supported in fairseq-train"),
        (["--num-batch-buckets", 3], "--num-batch-buckets 3 is not supported in fairseq-train"),
        (["--num-shards", 2], "--distributed-world-size and --distributed-rank"),
        (
            ["--dataset-impl", "cached"],
            "is not an index of --dataset-impl cached: it is damaged, or another --dataset-impl has written it",
        ),
        (["--valid-subset", "valid,valid7"], "Dataset not found: valid7"),
        (["--lr", ""], "--lr has no number"),
        (["--update-freq", ""], "--update-freq has no number"),
        (["--lr", HUGE], "--lr is 1e+20, but must be at most"),
        (["--init-range", "inf"], "--init-range is inf, but must be a finite number"),
        (
            ["--lr-scheduler", "gnmt_warmup_step_decay", "--warmup-steps", "nan"],
            "--warmup-steps is nan, but must be a finite",
        ),
        (["--adam-eps", "inf"], "--adam-eps is inf, but must be a finite number"),
        (["--optimizer-overrides", "{'lr':"], "--optimizer-overrides is not a dictionary"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="one option is an error only without GPUs")
def test_options_of_the_training(options, words, tmp_path):
    assert words in train("--save-dir", tmp_path, *options)
    assert not list(tmp_path.glob("*.pt"))


def test_misspelt_restore_file_does_not_start_again(save_dir):
    before = (save_dir / "checkpoint_last.pt").read_bytes()
    assert "--restore-file none.pt does not exist" in train("--save-dir", save_dir, "--restore-file", "none.pt")
    assert (save_dir / "checkpoint_last.pt").read_bytes() == before


def test_misspelt_option_of_validation_bleu(tmp_path):
    message = train("--save-dir", tmp_path, "--eval-bleu", "--eval-bleu-args", '{"beem": 3}')
    assert "Unknown search options ['beem']" in message and "beam" in message


def test_data_of_another_dictionary():
    assert "trained with another dictionary" in generate(data=sentences())


def test_subword_model_that_is_not_there(tmp_path):
    (tmp_path / "text").write_text("no model")
    options = [
        digits(),
        *TASK,
        "--path",
        trained_on_digits(),
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--bpe",
        "sentencepiece",
    ]
    for model in (["--sentencepiece-model", tmp_path / "none"], ["--sentencepiece-model", tmp_path / "text"], []):
        message = error_message("interactive", *options, *model, stdin="two\n")
        assert "--sentencepiece-model must name the subword model" in message
        assert not model or str(model[1]) in message


def test_disk_space_is_looked_at_before_training(tmp_path, monkeypatch):
    parameters = 1_000_000  # two checkpoints with 12 bytes for each parameter are 24 MB

    def free(size):
        usage = shutil._ntuple_diskusage(total=10**9, used=10**9 - size, free=size)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage if Path(folder) == tmp_path else None)

    free(24_000_000)
    check_disk_space(str(tmp_path / "new" / "folder"), parameters)
    free(23_999_999)
    with pytest.raises(UserError, match="0.024 GB: make room, or give another --save-dir"):
        check_disk_space(str(tmp_path / "new" / "folder"), parameters)


def fill_disk() -> None:
    shutil.disk_usage = lambda folder: shutil._ntuple_diskusage(total=10**6, used=10**6, free=0)


def test_training_on_a_full_disk(tmp_path):
    message = train("--save-dir", tmp_path, before=fill_disk)
    assert "has 0.000 GB free" in message and "give another --save-dir" in message


def fail_to_write() -> None:
    import torch

    def full(state, file):
        raise OSError(28, "No space left on device")

    torch.save = full
    time.sleep = lambda seconds: None  # fairseq tries three times


def test_disk_that_fills_up_during_training(tmp_path):
    message = train("--save-dir", tmp_path, "--save-interval-updates", 1, before=fail_to_write)
    assert f"{tmp_path}/checkpoint_1_1.pt could not be written" in message and "make room" in message


def test_mistakes_of_developers_keep_their_traceback():
    try:
        {}["nothing"]
    except KeyError as error:
        assert explain(error, error.__traceback__) is None


def test_bleu_options_that_are_not_json(tmp_path):
    message = train("--save-dir", tmp_path, "--eval-bleu", "--eval-bleu-args", "beam=5")
    assert "JSON" in message and """--eval-bleu-args '{"beam": 5}'""" in message


@pytest.mark.parametrize(
    "options, words",
    [
        (["--log-file", "{folder}/no/such/log"], "--log-file must name a file that can be written"),
        (["--finetune-from-model", "{checkpoint}", "--restore-file", "{checkpoint}"], "give one of them"),
    ],
)
def test_options_that_fail_while_a_training_is_set_up(options, words, tmp_path):
    values = {"folder": tmp_path, "checkpoint": trained_on_digits()}
    assert words in train("--save-dir", tmp_path / "checkpoints", *[option.format(**values) for option in options])


def test_sides_of_raw_data_of_different_length(tmp_path):
    data = tmp_path / "bin"
    shutil.copytree(digits(), data)
    for language, lines in (("en", "one\ntwo\n"), ("de", "eins\n")):
        (data / f"test.en-de.{language}").write_text(lines, encoding="utf-8")
    assert "binarise both languages again" in generate("--dataset-impl", "raw", data=data)
