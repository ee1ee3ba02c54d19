"""Tests a checkpoint of NVIDIA's through translation, further training and conversion back.

Expected tokens come from one pass of the network.
"""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import PLUGIN, ROOT, run, succeed
from conftest import Golden
from hypotheses import read
from tiny_corpora import OBJECTIVE, TASK

from fairseq_gnmt.interop.nvidia_conversion import to_nvidia
from fairseq_gnmt.models.gnmt import GNMTModel

pytest.importorskip("subword_nmt")
pytest.importorskip("sacremoses")

from nvidia_checkpoints import save, stored, vocabulary  # noqa: E402

TEXT = ["New-low wonders.", "low", "the lone owl's nest"]
SUBWORDS = [  # tokens of NVIDIA's tokenizer: Moses without splitting at dashes, then CODES
    "N@@ e@@ w@@ -@@ low w@@ o@@ n@@ d@@ e@@ r@@ s .",
    "low",
    "t@@ h@@ e lo@@ n@@ e o@@ w@@ l &@@ a@@ p@@ o@@ s@@ ;@@ s ne@@ s@@ t",
]
SEARCH = "--beam 1 --max-len-b 6 --length-norm-factor 0 --coverage-penalty 0".split()
LANGUAGES = "--source-lang en --target-lang de".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Fixture: a converted checkpoint, and nvidia.pt."""
    folder = tmp_path_factory.mktemp("nvidia")
    source = save(stored(Golden("tiny_4_layers")), folder / "nvidia.pt")
    script = ROOT / "scripts" / "convert_nvidia_checkpoint.py"
    command = [sys.executable, script, "to-fairseq", "--input", source, "--output", folder / "ours"]
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and "ours: converted from" in done.stdout, done.stderr
    return folder / "ours"


@pytest.fixture(scope="module")
def data(folder) -> Path:
    """Fixture: TEXT in subwords, binarised with the checkpoint's dictionary."""
    text, binary = folder.with_name("text"), folder.with_name("data")
    text.mkdir()
    for language in ("en", "de"):
        for split in ("train", "test"):
            (text / f"{split}.{language}").write_text("".join(f"{line}\n" for line in SUBWORDS), encoding="utf-8")
    succeed(
        "preprocess",
        *LANGUAGES,
        "--joined-dictionary",
        "--srcdict",
        folder / "dict.en.txt",
        "--destdir",
        binary,
        "--trainpref",
        text / "train",
        "--validpref",
        text / "test",
        "--testpref",
        text / "test",
    )
    return binary


@pytest.fixture(scope="module")
def text_options(folder) -> list:
    return [*"--tokenizer moses --moses-no-dash-splits --bpe subword_nmt --bpe-codes".split(), folder / "bpecodes"]


@pytest.fixture(scope="module")
def printed(folder, text_options) -> str:
    """Returns the output of fairseq-interactive, without options for the conventions."""
    lines = "".join(f"{line}\n" for line in TEXT)
    return succeed(
        "interactive",
        folder,
        *TASK,
        *LANGUAGES,
        "--path",
        folder / "checkpoint.pt",
        *SEARCH,
        *text_options,
        "--print-alignment",
        stdin=lines,
    )


def nvidias_steps(model, words: list, subwords: str, length: int) -> list:
    """Returns log2 of the most probable token at each step, from BOS + subwords + EOS; decoding begins with BOS."""
    bos, pad, eos, unknown = range(4)
    index = {word: number for number, word in enumerate(words)}  # ids from 4 on equal NVIDIA's
    source = torch.tensor([[bos, *(index.get(word, unknown) for word in subwords.split()), eos]])
    decoded, steps = [bos], []
    for step in range(length):
        logits, _ = model(source, torch.tensor([source.size(1)]), torch.tensor([decoded]))
        log_probs = logits[0, -1].log_softmax(dim=0)
        log_probs[[pad, eos] if step == 0 else pad] = -math.inf
        decoded.append(int(log_probs.argmax()))
        steps.append(float(log_probs.max()) / math.log(2))
        if decoded[-1] == eos:
            break
    return steps


def test_interactive(folder, printed):
    """fairseq prints sources without BOS and EOS; steps follow NVIDIA's conventions."""
    sources = re.findall(r"^S-\d+\t(.*)$", printed, re.MULTILINE)
    words = vocabulary(48)
    known = [" ".join(word if word in words else "<unk>" for word in line.split()) for line in SUBWORDS]
    assert sources == known
    hub = GNMTModel.from_pretrained(str(folder), "checkpoint.pt")
    nbest_lists = read(printed)
    with torch.no_grad():
        for index, subwords in enumerate(SUBWORDS):
            expected = nvidias_steps(hub.models[0], words, subwords, length=6)
            (hypothesis,) = nbest_lists[index]
            assert hypothesis.steps[: len(expected)] == pytest.approx(expected, abs=2e-4)  # four digits are printed
            positions = [int(pair.split("-")[0]) for pair in hypothesis.alignment.split()]
            assert positions and max(positions) < len(subwords.split())


def test_hub_needs_no_options(folder, printed):
    """Tokenizer, subwords and conventions are read from the checkpoint, which may have been moved."""
    moved = folder.rename(folder.with_name("moved"))
    try:
        hub = GNMTModel.from_pretrained(str(moved), "checkpoint.pt")
    finally:
        moved.rename(folder)
    options = dict(beam=1, max_len_b=6, length_norm_factor=0.0, coverage_penalty=0.0)
    assert hub.translate(TEXT, **options) == re.findall(r"^D-\d+\t\S+\t(.*)$", printed, re.MULTILINE)


def test_generate_and_interactive_give_equal_translations(folder, data, printed):
    generated = succeed("generate", data, *TASK, "--path", folder / "checkpoint.pt", *SEARCH, "--print-alignment")
    actual, expected = read(generated), read(printed)
    assert sorted(actual) == sorted(expected)
    for index, (hypothesis,) in actual.items():
        assert hypothesis.text == expected[index][0].text and hypothesis.alignment == expected[index][0].alignment
        assert hypothesis.steps == pytest.approx(expected[index][0].steps, abs=2e-4)  # four digits are printed
    assert "the model was trained with --nvidia-conventions, so it translates with them" in generated


def test_reference_is_scored_from_bos(folder, data):
    """log2 P of the references, which equal the sources."""
    scored = read(succeed("generate", data, *TASK, "--path", folder / "checkpoint.pt", "--score-reference"))
    model = GNMTModel.from_pretrained(str(folder), "checkpoint.pt").models[0]
    source = torch.tensor([[0, vocabulary(48).index("low"), 2]])
    with torch.no_grad():
        logits, _ = model(source, torch.tensor([3]), source[:, :2])
    log_probs = logits[0].log_softmax(dim=1).gather(1, source[0, 1:, None])[:, 0]
    assert scored[1][0].steps == pytest.approx((log_probs / math.log(2)).tolist(), abs=2e-4)


def test_task_of_fairseq_is_refused(folder, data):
    done = run("generate", data, "--user-dir", PLUGIN, "--cpu", "--path", folder / "checkpoint.pt")
    assert done.code == 1 and "error: The model was trained with --nvidia-conventions: give --task gnmt" in done.stderr


def test_training_goes_on_and_back(folder, data, tmp_path):
    options = [data, *TASK, *"--arch gnmt_v2 --hidden-size 16 --no-progress-bar --batch-size 2".split(), *OBJECTIVE,
               *"--lr 1e-2 --max-epoch 2 --eval-bleu".split(), "--eval-bleu-args", '{"beam": 2, "max_len_b": 6}',
               "--finetune-from-model", folder / "checkpoint.pt", "--save-dir", tmp_path]  # fmt: skip
    done = run("train", *options)
    assert done.code == 1 and "was trained with --nvidia-conventions: give it here, too" in done.stderr
    done = run("train", *options, "--nvidia-conventions")
    assert done.code == 0, done.text[-3000:]
    losses = [float(loss) for loss in re.findall(r"valid on 'valid' subset \|.*? nll_loss (\S+)", done.text)]
    assert len(losses) == 2 and losses[1] < losses[0]

    to_nvidia(tmp_path / "checkpoint_last.pt", data, folder / "bpecodes", tmp_path / "nvidia.pt")
    back = torch.load(tmp_path / "nvidia.pt", weights_only=False)
    original = torch.load(folder.with_name("nvidia.pt"), weights_only=False)
    assert back["tokenizer"]["idx2tok"] == original["tokenizer"]["idx2tok"]
    name = "decoder.classifier.classifier.bias"
    assert not back["state_dict"][name].equal(original["state_dict"][name])
