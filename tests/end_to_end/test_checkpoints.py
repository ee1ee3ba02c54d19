"""Checkpoints that are forged, damaged or of another kind, given to every command that reads one."""
import json
import os
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

TRAIN = [*TASK, *MODEL, *"--hidden-size 64 --encoder-layers 2 --decoder-layers 2".split(), *OBJECTIVE, "--lr", "1e-3",
         "--batch-size", 32, "--no-epoch-checkpoints", "--disable-validation", "--max-update"]
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
    """Pickled, it is a call of a function with these arguments."""

    def __init__(self, function: Callable, *arguments: Any):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def trained() -> Dict[str, Any]:
    return torch.load(trained_on_digits(), weights_only=True)


def from_pretrained(*arguments) -> Done:
    done = subprocess.run([sys.executable, "-c", FROM_PYTHON, *map(str, arguments)], cwd=ROOT, capture_output=True,
                          encoding="utf-8")  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def resume(checkpoint: Path, folder: Path) -> Done:
    folder.mkdir()
    (folder / "checkpoint_last.pt").symlink_to(checkpoint)
    return run("train", digits(), *TRAIN, 501, "--save-dir", folder)


def hydra(checkpoint: Path, folder: Path) -> Done:
    return run("hydra-train", "--config-dir", ROOT / "fairseq_gnmt/config", "--config-name", "gnmt_v2_tiny",
               f"common.user_dir={ROOT / 'fairseq_gnmt'}", f"task.data={digits()}", f"checkpoint.save_dir={folder}",
               f"checkpoint.restore_file={checkpoint}", f"hydra.run.dir={folder}")


def compare(checkpoint: Path, folder: Path) -> Done:
    references = folder.with_suffix(".references")
    references.write_text("eins\n")
    return script("compare_searches.py", digits(), "--path", checkpoint, "--references", references)


READERS = {  # by what reads the checkpoint; each also gets a path that may be made
    "generate": lambda path, out: run("generate", digits(), *TASK, "--path", path),
    "generate --lm-path": lambda path, out: run("generate", digits(), *TASK, "--path", trained_on_digits(), "--lm-path", path),
    "interactive": lambda path, out: run("interactive", digits(), *TASK, "--source-lang", "en", "--target-lang", "de",
                                         "--path", path, stdin="one\n"),
    "resuming": resume,
    "--restore-file": lambda path, out: run("train", digits(), *TRAIN, 501, "--save-dir", out, "--restore-file", path),
    "--finetune-from-model": lambda path, out: run("train", digits(), *TRAIN, 1, "--save-dir", out,
                                                   "--finetune-from-model", path),
    "hydra-train": hydra,
    "from_pretrained": lambda path, out: from_pretrained(path.parent, path.name, digits()),
    "averaging": lambda path, out: script("average_checkpoints.py", "--inputs", path, "--output", out),
    "quantising": lambda path, out: script("quantize_checkpoint.py", "--input", path, "--output", out),
    "plotting": lambda path, out: script("plot_attention.py", "--path", path, "--data", digits(), "--output", out),
    "comparing": compare,
    "to-nvidia": lambda path, out: script("convert_nvidia_checkpoint.py", "to-nvidia", "--input", path, "--data", digits(),
                                          "--bpe-codes", path, "--output", out),
    "to-fairseq": lambda path, out: script("convert_nvidia_checkpoint.py", "to-fairseq", "--input", path, "--output", out),
}  # fmt: skip


def sentence(done: Done) -> str:
    assert done.code == 1, done.text[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return told


@pytest.mark.parametrize("reader", READERS)
def test_forged_checkpoints_are_refused(reader, tmp_path, monkeypatch):
    """The first would make an object of any address, the second run a command."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    sprung = tmp_path / "sprung"
    calls = {
        "is not a whole checkpoint (its pickle calls what is no function)": Call(np.ndarray, (1,), "O", b"AAAAAAAA"),
        "would run posix.system": Call(os.system, f"touch {sprung}"),
    }
    for number, (words, call) in enumerate(calls.items()):
        path = tmp_path / f"forged{number}.pt"
        torch.save({**trained(), "forged": call}, path)
        told = sentence(READERS[reader](path, tmp_path / f"out{number}"))
        assert f"{path.name} {words}" in told or f"checkpoint_last.pt {words}" in told
    assert not sprung.exists()
