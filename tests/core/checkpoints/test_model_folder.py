"""Tests model folders: written networks are read back unchanged, and damaged folders are refused.

Expected messages are written by hand.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_folders import WORDS, make_model_folder, make_network

from gnmt.checkpoints.model_folder import read_model_folder
from gnmt.errors import UserError
from gnmt.files.checksums import write_folder_sums
from gnmt.quantization.storage import to_floats, to_integers

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tie_output_layer": True},
        {"share_embeddings": False},
        {"attention_query": "previous", "activation_clip": 1.0},
    ],
)
def test_a_folder_gives_back_its_network(tmp_path, options):
    network, config = make_network(**options)
    model = read_model_folder(make_model_folder(tmp_path / "model", **options))
    assert model.config == config
    assert model.source_vocabulary.words == list(WORDS)
    state = model.network.state_dict()
    assert state.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert torch.equal(state[name], value), name


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    folder = make_model_folder(tmp_path / "model", tie_output_layer=True)
    decoder = read_model_folder(folder).network.decoder
    assert decoder.output_projection.weight is decoder.embed_tokens.weight
    untied = make_model_folder(tmp_path / "untied")
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, untied)]
    assert sizes[1] - sizes[0] >= 4 * 14 * 16  # the weight matrix of the output layer


def test_integers_equal_int8_storage(tmp_path):
    network, _ = make_network()
    expected = to_integers(network.state_dict())
    to_floats(expected)
    state = read_model_folder(make_model_folder(tmp_path / "model", precision="int8")).network.state_dict()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("precision, dtype", [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_matrices_in_half_precision_are_rounded_once(tmp_path, precision, dtype):
    network, _ = make_network()
    state = read_model_folder(make_model_folder(tmp_path / "model", precision=precision)).network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(state[name], value.to(dtype).float() if value.dim() == 2 else value), name


# -- refused


def changed(folder, name, change):
    """Changes the JSON object in a file and updates the checksums."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    write_folder_sums(folder)


@pytest.mark.parametrize(
    "name, key, value, words",
    [
        ("config.json", "hidden_size", 10**9, "hidden_size is 1000000000, but must be at most 100000"),
        ("config.json", "hidden_size", 200_000, "config.json: hidden_size is 200000, but must be at most 100000"),
        ("config.json", "encoder_layers", 10**6, "encoder_layers is 1000000"),
        ("config.json", "hidden_size", "16", "hidden_size is '16', but must be of type int"),
        ("config.json", "hidden_size", 32, "but config.json describes"),
        ("config.json", "encoder_layers", 4, "lacks the weight encoder.upper_layers.2"),
        ("config.json", "decoder_layers", 1000, "lacks the weight decoder"),
        ("config.json", "source_language", "\ud800", "config.json is not JSON .*surrogates not allowed"),
        ("config.json", "decoder_layers", 2, "has the weight decoder.stack.upper_lstms.1"),
        ("config.json", "target_vocab_size", 15, "has 14 target tokens, but config.json has 15"),
        ("config.json", "attention_query", "next", "attention_query is 'next'"),
        ("config.json", "model_type", "bert", "has no model_type 'gnmt'"),
        ("config.json", "activation_clip", float("nan"), "activation_clip is nan, but must be"),
        ("config.json", "precision", "int4", "precision is 'int4'"),
        ("generation_config.json", "num_beams", 2.5, "num_beams is 2.5, but must be of type int"),
        ("tokenizer.json", "type", "unknown", "has the type 'unknown'"),
        ("tokenizer.json", "type", [], "has the type \\[\\]"),
        ("vocab.json", "joint", ["\udcff"] * 10, "vocab.json is not JSON .*surrogates not allowed"),
        ("vocab.json", "joint", [1, 2], "has no list of tokens named 'joint'"),
    ],
)
def test_invalid_values_are_named(tmp_path, name, key, value, words):
    folder = make_model_folder(tmp_path / "model")
    changed(folder, name, lambda content: content.update({key: value}))
    with pytest.raises(UserError, match=words):
        read_model_folder(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "nothing.spm", 7, None])
def test_a_tokenizer_file_lies_in_the_folder(tmp_path, name):
    folder = make_model_folder(tmp_path / "model")
    changed(folder, "tokenizer.json", lambda content: content.update(type="sentencepiece", source=name, target=name))
    with pytest.raises(UserError):
        read_model_folder(folder)


def test_a_missing_key_is_named(tmp_path):
    folder = make_model_folder(tmp_path / "model")
    changed(folder, "config.json", lambda content: content.pop("decoder_layers"))
    with pytest.raises(UserError, match="lacks decoder_layers"):
        read_model_folder(folder)


def test_keys_of_later_versions_are_ignored(tmp_path):
    folder = make_model_folder(tmp_path / "model")
    changed(folder, "config.json", lambda content: content.update(new_option=3))
    assert read_model_folder(folder).config.hidden_size == 16


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "vocab.json"]
)
def test_a_missing_or_changed_file_is_named_before_it_is_read(tmp_path, name):
    folder = make_model_folder(tmp_path / "model")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} differs from its checksum"):
        read_model_folder(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        read_model_folder(folder)


def test_damaged_weights_are_refused_even_with_fitting_checksums(tmp_path):
    folder = make_model_folder(tmp_path / "model")
    content = (folder / "model.safetensors").read_bytes()
    for damaged in (
        content[: len(content) // 2],
        b"",
        b"\xff" * 100,
        b"\xff\xff\xff\xff\xff\xff\xff\x7f" + content[8:],
    ):
        (folder / "model.safetensors").write_bytes(damaged)
        write_folder_sums(folder)
        with pytest.raises(UserError, match="cannot be read as safetensors"):
            read_model_folder(folder)


@pytest.mark.parametrize(
    "line, words",
    [
        ("nonsense", "Line 1 of .*SHA256SUMS is not a checksum"),
        (f"{'0' * 64}  ../config.json", "config.json, which is outside"),
        (f"{'0' * 64}  /etc/hostname", "/etc/hostname, which is outside"),
    ],
)
def test_checksums_name_files_of_the_folder_only(tmp_path, line, words):
    folder = make_model_folder(tmp_path / "model")
    (folder / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(UserError, match=words):
        read_model_folder(folder)


def test_other_paths_are_no_model_folders(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        read_model_folder(tmp_path / "nothing")
    with pytest.raises(UserError, match="SHA256SUMS is missing"):
        read_model_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors", "vocab.json"])
def test_every_file_that_is_read_needs_a_checksum(tmp_path, name):
    folder = make_model_folder(tmp_path / "model")
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in lines if not line.endswith(f"  {name}\n")))
    with pytest.raises(UserError, match=f"SHA256SUMS lacks the checksum of {name}: copy the model folder again"):
        read_model_folder(folder)


def test_the_file_of_the_tokenizer_needs_a_checksum(tmp_path):
    folder = make_model_folder(tmp_path / "model")
    changed(folder, "tokenizer.json", lambda content: content.update(type="sentencepiece", source="a.spm"))
    (folder / "a.spm").write_bytes(b"model")
    with pytest.raises(UserError, match="SHA256SUMS lacks the checksum of a.spm"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    "codes, words",
    [
        (["#version: x", "t h"], "has the version 'x', but subword-nmt supports 0.1, 0.2"),
        (["#version: 9.9", "t h"], "has the version '9.9'"),
        ([" "], "each line must have two pieces"),
        (["a b c"], "each line must have two pieces"),
    ],
)
def test_codes_of_subword_nmt_are_checked_before_subword_nmt_reads_them(tmp_path, codes, words):
    pytest.importorskip("subword_nmt", reason="the extra [nvidia] is not installed")
    pytest.importorskip("sacremoses", reason="the extra [nvidia] is not installed")
    folder = make_model_folder(tmp_path / "model")
    settings = {"separator": "@@", "language": "en", "codes": codes}
    (folder / "joint.bpe.json").write_text(json.dumps(settings))
    names = {"type": "moses_subword_nmt", "source": "joint.bpe.json", "target": "joint.bpe.json"}
    changed(folder, "tokenizer.json", lambda content: content.update(names))
    with pytest.raises(UserError, match=words):
        read_model_folder(folder)


@pytest.mark.end_to_end
def test_a_full_disk_is_reported(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; from model_folders import make_network\n"
        "from gnmt.checkpoints.weights import write_weights\n"
        "from gnmt.commands.process import run_command\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "run_command(lambda: write_weights(Path(sys.argv[1]), make_network()[0], 'fp32'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    command = [sys.executable, "-c", code, str(tmp_path / "model.safetensors")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(
        f"error: {tmp_path}/model.safetensors could not be written ("
    )
    assert done.stderr.endswith(": make room on its disk.\n")


def test_all_files_have_the_permissions_of_new_files(tmp_path):
    folder = make_model_folder(tmp_path / "model")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
