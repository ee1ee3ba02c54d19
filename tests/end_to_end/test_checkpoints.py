"""Tests each command that reads checkpoints with forged, damaged and unsuitable ones.

Expected messages are written by hand.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest
import torch
from commands import ROOT, Done, run, script, succeed
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits, trained_on_digits
from gnmt.checkpoints.reader import read

TRAIN = [
    *TASK,
    *MODEL,
    *"--hidden-size 64 --encoder-layers 2 --decoder-layers 2".split(),
    *OBJECTIVE,
    "--lr",
    "1e-3",
    "--batch-size",
    32,
    "--no-epoch-checkpoints",
    "--disable-validation",
    "--max-update",
]
FROM_PYTHON = """if True:
    import sys
    from fairseq_gnmt.models.gnmt import GNMTModel
    from gnmt.errors import UserError
    try:
        GNMTModel.from_pretrained(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
"""


class Call:
    """An object whose pickle calls a function with the given arguments."""

    def __init__(self, function: Callable, *arguments: Any):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def run_so(*command, **options) -> Done:
    return run(*command, before=allow_everything, **options)


def trained() -> Dict[str, Any]:
    return torch.load(trained_on_digits(), weights_only=True)


def from_pretrained(*arguments) -> Done:
    done = subprocess.run([sys.executable, "-c", FROM_PYTHON, *map(str, arguments)], cwd=ROOT, capture_output=True,
                          encoding="utf-8")  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def resume(checkpoint: Path, folder: Path) -> Done:
    folder.mkdir()
    (folder / "checkpoint_last.pt").symlink_to(checkpoint)
    return run_so("train", digits(), *TRAIN, 501, "--save-dir", folder)


def hydra(checkpoint: Path, folder: Path) -> Done:
    return run_so(
        "hydra-train",
        "--config-dir",
        ROOT / "fairseq_gnmt/config",
        "--config-name",
        "gnmt_v2_tiny",
        f"common.user_dir={ROOT / 'fairseq_gnmt'}",
        f"task.data={digits()}",
        f"checkpoint.save_dir={folder}",
        f"checkpoint.restore_file={checkpoint}",
        f"hydra.run.dir={folder}",
    )


def compare(checkpoint: Path, folder: Path) -> Done:
    references = folder.with_suffix(".references")
    references.write_text("eins\n")
    return script("compare_searches.py", digits(), "--path", checkpoint, "--references", references)


READERS = {  # commands that read a checkpoint; `out` may be created
    "generate": lambda path, out: run_so("generate", digits(), *TASK, "--path", path),
    "generate --lm-path": lambda path, out: run_so("generate", digits(), *TASK, "--path", trained_on_digits(), "--lm-path", path),
    "interactive": lambda path, out: run_so("interactive", digits(), *TASK, "--source-lang", "en", "--target-lang", "de",
                                         "--path", path, stdin="one\n"),
    "resuming": resume,
    "--restore-file": lambda path, out: run_so("train", digits(), *TRAIN, 501, "--save-dir", out, "--restore-file", path),
    "--finetune-from-model": lambda path, out: run_so("train", digits(), *TRAIN, 1, "--save-dir", out,
                                                   "--finetune-from-model", path),
    "hydra-train": hydra,
    "from_pretrained": lambda path, out: from_pretrained(path.parent, path.name, digits()),
    "averaging": lambda path, out: script("average_checkpoints.py", "--inputs", path, "--output", out),
    "quantising": lambda path, out: script("quantize_checkpoint.py", "--input", path, "--output", out),
    "plotting": lambda path, out: script("plot_attention.py", "--path", path, "--data", digits(), "--page",
                                          out.with_suffix(".png"), stdin="one\n"),
    "comparing": compare,
    "to-nvidia": lambda path, out: script("convert_nvidia_checkpoint.py", "to-nvidia", "--input", path, "--data", digits(),
                                          "--bpe-codes", path, "--output", out),
    "to-fairseq": lambda path, out: script("convert_nvidia_checkpoint.py", "to-fairseq", "--input", path, "--output", out),
}  # fmt: skip


def sentence(done: Done) -> str:
    assert done.code == 1, done.text[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return message


def allow_everything() -> None:
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"


@pytest.mark.parametrize("reader", READERS)
def test_forged_checkpoints_are_refused(reader, tmp_path, monkeypatch):
    """numpy.ndarray would create an object at a chosen address."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # some scripts set this
    path = tmp_path / "forged.pt"
    torch.save({**trained(), "forged": Call(np.ndarray, (1,), "O", b"AAAAAAAA")}, path)
    message = sentence(READERS[reader](path, tmp_path / "out"))
    words = "is not a valid checkpoint (its pickle calls an object that is not a function)"
    assert f"{path.name} {words}" in message or f"checkpoint_last.pt {words}" in message


def test_archives_of_models_are_not_unpacked(tmp_path):
    """fairseq would write members outside of the folder and delete the archive."""
    outside = tmp_path / "outside" / "escaped.txt"
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        for name in ("../outside/escaped.txt", str(outside), "model/checkpoint.pt"):
            archive.addfile(tarfile.TarInfo(name))
    before = (tmp_path / "model.tar.gz").read_bytes()
    message = sentence(from_pretrained(tmp_path / "model.tar.gz", "checkpoint.pt"))
    assert f"{tmp_path}/model.tar.gz is not a folder: unpack the archive" in message
    assert [path.name for path in tmp_path.iterdir()] == ["model.tar.gz"]
    assert (tmp_path / "model.tar.gz").read_bytes() == before


@pytest.mark.parametrize("name", ["none", "https://example.com/model.tar.gz"])
def test_models_are_folders_on_this_machine(name):
    assert f"{name} does not exist: name the folder of a model on this machine" in sentence(
        from_pretrained(name, "c.pt")
    )


def test_training_does_not_go_on_with_other_batches(tmp_path):
    message = sentence(resume(trained_on_digits(), tmp_path / "out"))
    assert "out/checkpoint_last.pt" in message and "--reset-dataloader" in message


def with_numpy(value: Any) -> Any:
    """Returns the checkpoint with numpy scalars in its meters, as fairseq's own --eval-bleu leaves them."""
    if isinstance(value, dict):
        return OrderedDict((name, with_numpy(part)) for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(map(with_numpy, value))
    return np.float64(value) if type(value) is float else value


def test_training_goes_on_from_meters_with_numbers_of_numpy(tmp_path):
    checkpoint = trained()
    metrics = with_numpy(checkpoint["extra_state"]["metrics"])
    metrics["default"].append((1000, "_bleu_counts", "AverageMeter", {"val": np.arange(4), "sum": np.arange(4), "count": 1,
                                                                     "round": None}))  # fmt: skip
    checkpoint["extra_state"]["metrics"] = metrics
    torch.save(checkpoint, tmp_path / "checkpoint_last.pt")
    with pytest.raises(Exception, match="numpy"):  # otherwise the test would check nothing
        torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
    succeed("train", digits(), *TRAIN, 502, "--batch-size", 12, "--save-dir", tmp_path)
    assert read(tmp_path / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == 502


def test_training_with_moving_averages_goes_on(tmp_path):
    for updates in (3, 6):
        succeed(
            "train", digits(), *TRAIN, updates, "--save-dir", tmp_path, "--store-ema", "--ema-fp32", "--ema-decay", 0.5
        )
    average = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)["extra_state"]["ema"]
    assert average.keys() == trained()["model"].keys()


@pytest.mark.parametrize("ending", ["train.en-de.en.idx", "train.en-de.de.bin", "dict.de.txt"])
def test_training_on_damaged_data(ending, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(digits(), data)
    whole = (data / ending).read_bytes()
    (data / ending).write_bytes(whole[: len(whole) // 2] + b"\xff" * (ending == "dict.de.txt"))
    message = sentence(run("train", data, *TRAIN, 1, "--save-dir", tmp_path / "out"))
    assert f"{data}/{ending}" in message


def test_translating_damaged_data(tmp_path):
    data = tmp_path / "data"
    shutil.copytree(digits(), data)
    (data / "test.en-de.en.bin").write_bytes(b"\xff" * (data / "test.en-de.en.bin").stat().st_size)
    message = sentence(run("generate", data, *TASK, "--path", trained_on_digits()))
    assert f"{data}/test.en-de.en.bin has the token id 65535" in message
