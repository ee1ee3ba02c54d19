"""Tests the conversion of NVIDIA's checkpoints in both directions.

Expected logits are golden arrays of NVIDIA's code.
"""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary

from conftest import Golden
from fairseq_gnmt.interop.nvidia_conversion import to_fairseq, to_nvidia
from gnmt.checkpoints.model_folder import read_model_folder
from gnmt.checkpoints.nvidia_names import our_names
from gnmt.checkpoints.nvidia_vocabulary import our_ids, our_vocabulary
from gnmt.tokenizers.subword_codes import SubwordCodes, ranked, read_codes
from gnmt.commands.convert import write_folder, write_nvidia_checkpoint
from gnmt.errors import UserError
from gnmt.tokenizers.tokenizer import MosesSubwordTokenizer
from gnmt.tokenizers.vocabulary import PAD
from model_folders import make_model_folder

subword_nmt = pytest.importorskip("subword_nmt.apply_bpe")

from nvidia_checkpoints import SPECIAL, save, stored, vocabulary  # noqa: E402


@pytest.fixture(scope="module")
def tiny() -> Golden:
    return Golden("tiny_4_layers")


@pytest.fixture
def nvidia_checkpoint(tiny) -> dict:
    return stored(tiny)


def test_every_weight_has_a_name(golden):
    layers = stored(golden)["model_config"]["num_layers"]
    assert set(our_names(layers)) == set(golden.weights)


@pytest.mark.parametrize(
    "name,prefix,legacy",
    [("tiny_4_layers", "", True), ("tiny_8_layers", "module.", False), ("tiny_unshared", "", False)],
)
def test_logits_are_nvidias(name, prefix, legacy, tmp_path):
    """The checkpoint is loaded by fairseq's own function, which reads all options from it."""
    golden = Golden(name)
    checkpoint = stored(golden)
    checkpoint["state_dict"] = {prefix + weight: value for weight, value in golden.weights.items()}
    to_fairseq(save(checkpoint, tmp_path / "nvidia.pt", legacy), tmp_path / "ours")

    (model,), config, task = checkpoint_utils.load_model_ensemble_and_task([str(tmp_path / "ours" / "checkpoint.pt")])
    assert task.cfg.nvidia_conventions and config.model.no_share_embeddings == (name == "tiny_unshared")
    ids = our_ids(golden.vocabulary)
    with torch.no_grad():
        logits, _ = model.eval()(ids[golden.source], golden.source_lengths, ids[golden.target[:, :-1]])
    real = golden.target[:, :-1] != 0
    torch.testing.assert_close(logits[:, :, ids][real], golden.logits[real], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_converting_there_and_back_changes_nothing(nvidia_checkpoint, dtype, tmp_path):
    nvidia_checkpoint["state_dict"] = {name: value.to(dtype) for name, value in nvidia_checkpoint["state_dict"].items()}
    converted = tmp_path / "ours"
    to_fairseq(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), converted)
    to_nvidia(converted / "checkpoint.pt", converted, converted / "bpecodes", tmp_path / "back.pt")

    back = torch.load(tmp_path / "back.pt", weights_only=False)  # as NVIDIA's code does
    assert back["state_dict"].keys() == nvidia_checkpoint["state_dict"].keys()
    for name, value in nvidia_checkpoint["state_dict"].items():
        torch.testing.assert_close(back["state_dict"][name], value, rtol=0, atol=0)  # types must be equal, too
    assert back["model_config"] == nvidia_checkpoint["model_config"]
    bpe, tok2idx = back["tokenizer"].pop("bpe"), back["tokenizer"].pop("tok2idx")
    assert vars(bpe) == vars(nvidia_checkpoint["tokenizer"].pop("bpe"))
    words = vocabulary(len(tok2idx))
    assert tok2idx == {word: index for index, word in enumerate(words)} and tok2idx["nowhere"] == 1
    nvidia_checkpoint["tokenizer"].pop("tok2idx")
    assert back["tokenizer"] == nvidia_checkpoint["tokenizer"]


def test_shared_embeddings_are_stored_once(nvidia_checkpoint, tmp_path):
    to_fairseq(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "ours")
    weights = torch.load(tmp_path / "ours" / "checkpoint.pt", weights_only=True)["model"]
    encoder, decoder = (weights[f"{side}.embed_tokens.weight"] for side in ("encoder", "decoder"))
    assert encoder.data_ptr() == decoder.data_ptr()


# -- words


def test_special_tokens_get_our_ids():
    """NVIDIA: PAD, UNK, BOS, EOS are 0 to 3. Here: BOS 0, PAD 1, EOS 2, UNK 3."""
    assert our_ids(6).tolist() == [1, 3, 0, 2, 4, 5]


def test_words_keep_their_ids_if_some_are_missing():
    """Id 5 is missing because a later line repeats its word; id 7 is a special token of fairseq."""
    words = dict(enumerate(SPECIAL)) | {4: "a", 6: "madeupword0000", 7: "</s>", 8: "b"}
    assert our_vocabulary(words, 9).words == ["a", "madeupword0001", "madeupword0000", "madeupword0002", "b"]


def test_dictionary_is_read_by_fairseq(nvidia_checkpoint, tmp_path):
    to_fairseq(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "ours")
    english, german = (Dictionary.load(str(tmp_path / "ours" / f"dict.{language}.txt")) for language in ("en", "de"))
    assert english == german and english.symbols[4:] == vocabulary(len(english))[4:]


def test_ranks_skip_repeated_pairs(tmp_path):
    """A repeated pair in a file leaves a gap in the ranks."""
    codes = ranked({("b", "c"): 3, ("a", "b</w>"): 0}, (0, 2))
    assert codes.text() == "#version: 0.2\na b</w>\nb c\n"
    for expected in (codes, SubwordCodes((0, 1), [("a", "b")])):
        (tmp_path / "codes").write_text(expected.text(), encoding="utf-8")
        assert read_codes(tmp_path / "codes") == expected
    assert vars(subword_nmt.BPE(io.StringIO(codes.text())))["bpe_codes"] == {("a", "b</w>"): 0, ("b", "c"): 1}
    (tmp_path / "codes").write_text("a b\nc\n", encoding="utf-8")
    with pytest.raises(UserError, match="the line 'c', but each line must have two pieces"):
        read_codes(tmp_path / "codes")


# -- invalid files


class Trap:
    """An object whose pickle creates a file when it is executed."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_file_is_executed(nvidia_checkpoint, legacy, tmp_path):
    nvidia_checkpoint["tokenizer"]["bpe"].cache = Trap(tmp_path / "sprung")
    save(nvidia_checkpoint, tmp_path / "nvidia.pt", legacy)
    with pytest.raises(UserError, match=r"nvidia\.pt would run _?io\.open"):
        to_fairseq(tmp_path / "nvidia.pt", tmp_path / "ours")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["nvidia.pt"]


def without(*keys):
    def change(nvidia_checkpoint: dict) -> None:
        inside = nvidia_checkpoint
        for key in keys[:-1]:
            inside = inside[key]
        del inside[keys[-1]]

    return change


def with_value(value, *keys):
    def change(nvidia_checkpoint: dict) -> None:
        inside = nvidia_checkpoint
        for key in keys[:-1]:
            inside = inside[key]
        inside[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change,words",
    [
        (without("state_dict"), "has no state_dict: name a checkpoint that NVIDIA's GNMT v2"),
        (without("tokenizer"), "has no tokenizer: "),
        (without("model_config", "num_layers"), "has no model_config, num_layers: "),
        (with_value("codes", "tokenizer", "bpe"), "has no tokenizer, bpe, bpe_codes: "),
        (
            without("state_dict", "encoder.rnn_layers.3.bias_hh_l0"),
            r"lacks the weight encoder.rnn_layers.3.bias_hh_l0 of \(64,\)",
        ),
        (with_value(torch.zeros(2), "state_dict", "decoder.bridge.weight"), "the weight decoder.bridge.weight, which"),
        (with_value(3, "model_config", "num_layers"), r"the weight decoder.rnn_layers.2.bias_hh_l0, which"),
        (
            with_value(torch.zeros(40, 16), "state_dict", "decoder.embedder.weight"),
            r"decoder.embedder.weight of \(40, 16\), but its model_config requires \(48, 16\)",
        ),
        (with_value(torch.zeros(48, 16), "state_dict", "decoder.embedder.weight"), "embeddings are shared, but"),
        (with_value("16 --user-dir evil", "model_config", "hidden_size"), "a str as its model_config, hidden_size: "),
        (with_value("en --user-dir evil", "tokenizer", "lang", "src"), "invalid languages"),
        (with_value("../../en", "tokenizer", "lang", "tgt"), "invalid languages"),
        (with_value(1.5, "state_dict", "encoder.embedder.weight"), "invalid weights"),
        (with_value(None, "tokenizer", "idx2tok", 5), "invalid words"),
        (with_value("<s>", "tokenizer", "idx2tok", 0), r"begins with \['<s>', '<unk>'"),
    ],
)
def test_mistakes_are_reported(nvidia_checkpoint, change, words, tmp_path):
    change(nvidia_checkpoint)
    with pytest.raises(UserError, match=words):
        to_fairseq(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "ours")
    assert not list((tmp_path / "ours").glob("*"))


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_file(nvidia_checkpoint, legacy, tmp_path):
    path = save(nvidia_checkpoint, tmp_path / "nvidia.pt", legacy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"nvidia\.pt is not a valid checkpoint"):
        to_fairseq(path, tmp_path / "ours")


def test_file_of_something_else(tmp_path):
    with pytest.raises(UserError, match="list.pt has no state_dict"):
        to_fairseq(save([1, 2], tmp_path / "list.pt"), tmp_path / "ours")


# -- checkpoints that NVIDIA's code cannot represent


@pytest.fixture
def converted(nvidia_checkpoint, tmp_path) -> Path:
    to_fairseq(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "ours")
    return tmp_path / "ours"


@pytest.mark.parametrize(
    "change,words",
    [
        (with_value({}, "task_state"), "without --nvidia-conventions"),
        (with_value("previous", "cfg", "model", "attention_query"), "another network than NVIDIA's"),
        (with_value(1.0, "cfg", "model", "activation_clip"), "with --activation-clip, and NVIDIA's code clips nothing"),
        (with_value(2, "cfg", "model", "decoder_layers"), "has 2 as its cfg, model, decoder_layers, but weights of 4"),
        (with_value("lstm", "cfg", "model", "_name"), "another architecture"),
    ],
)
def test_checkpoints_that_nvidia_cannot_represent_are_refused(converted, change, words, tmp_path):
    checkpoint = torch.load(converted / "checkpoint.pt", weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "changed.pt")
    with pytest.raises(UserError, match=words):
        to_nvidia(tmp_path / "changed.pt", converted, converted / "bpecodes", tmp_path / "back.pt")
    assert not (tmp_path / "back.pt").exists()


def test_dictionaries_that_do_not_fit_are_refused(converted, tmp_path):
    with open(converted / "dict.de.txt", "a", encoding="utf-8") as file:
        file.write("more 1\n")
    with pytest.raises(UserError, match="two dictionaries"):
        to_nvidia(converted / "checkpoint.pt", converted, converted / "bpecodes", tmp_path / "back.pt")
    (converted / "dict.en.txt").write_bytes((converted / "dict.de.txt").read_bytes())
    with pytest.raises(UserError, match="has 48 words, but the dictionaries of .* have 49"):
        to_nvidia(converted / "checkpoint.pt", converted, converted / "bpecodes", tmp_path / "back.pt")


def test_without_subword_nmt(converted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "subword_nmt.apply_bpe", None)
    with pytest.raises(UserError, match="pip install subword-nmt"):
        to_nvidia(converted / "checkpoint.pt", converted, converted / "bpecodes", tmp_path / "back.pt")


# -- `gnmt convert`: model folders, without fairseq


@pytest.mark.parametrize("name", ["tiny_4_layers", "tiny_unshared"])
def test_a_model_folder_has_nvidias_logits(name, tmp_path):
    pytest.importorskip("sacremoses")
    golden = Golden(name)
    write_folder(save(stored(golden), tmp_path / "nvidia.pt"), tmp_path / "model")
    model = read_model_folder(tmp_path / "model")
    assert model.config.source_bos and model.config.share_embeddings == (name != "tiny_unshared")
    assert (model.config.source_language, model.config.target_language) == ("en", "de")
    ids = our_ids(golden.vocabulary)
    source = ids[golden.source].masked_fill(golden.source == 0, PAD)
    with torch.no_grad():
        logits, _ = model.network(source, ids[golden.target[:, :-1]])
    real = golden.target[:, :-1] != 0
    torch.testing.assert_close(logits[:, :, ids][real], golden.logits[real], rtol=0, atol=1e-5)


def test_a_model_folder_cuts_text_as_nvidia_does(nvidia_checkpoint, tmp_path):
    pytest.importorskip("sacremoses")
    write_folder(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "model")
    tokenizer = read_model_folder(tmp_path / "model").tokenizers.source
    # CODES join l o, lo w</w>, n e and ne w</w>; Moses leaves the dash in its word and splits the full stop off.
    assert tokenizer.encode("low-new wet.") == ["lo@@", "w@@", "-@@", "new", "w@@", "e@@", "t", "."]
    assert tokenizer.decode(["lo@@", "w@@", "-@@", "new", "."]) == "low-new."


def test_a_model_folder_converts_back_to_the_same_checkpoint(nvidia_checkpoint, tmp_path):
    pytest.importorskip("sacremoses")
    write_folder(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "model")
    write_nvidia_checkpoint(tmp_path / "model", tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=False)
    assert back["state_dict"].keys() == nvidia_checkpoint["state_dict"].keys()
    assert all(torch.equal(value, nvidia_checkpoint["state_dict"][name]) for name, value in back["state_dict"].items())
    assert back["model_config"] == nvidia_checkpoint["model_config"]
    assert back["tokenizer"]["idx2tok"] == nvidia_checkpoint["tokenizer"]["idx2tok"]
    assert back["tokenizer"]["bpe"].bpe_codes == nvidia_checkpoint["tokenizer"]["bpe"].bpe_codes
    with pytest.raises(UserError, match="back.pt exists"):
        write_nvidia_checkpoint(tmp_path / "model", tmp_path / "back.pt")


def test_model_folders_that_nvidia_cannot_represent_are_refused(tmp_path):
    codes = tmp_path / "codes"
    codes.write_text("l o\n", encoding="utf-8")
    for options, words in (
        ({}, "trained without --nvidia-conventions"),
        ({"source_bos": True, "attention_query": "previous"}, "another attention query"),
        ({"source_bos": True, "activation_clip": 1.0}, "clips its activations"),
    ):
        folder = make_model_folder(tmp_path / words.replace(" ", "_"), **options)
        with pytest.raises(UserError, match=words):
            write_nvidia_checkpoint(folder, tmp_path / "back.pt", codes)
    with pytest.raises(UserError, match="tokenizer of type words: name the codes of its subwords with --bpe-codes"):
        write_nvidia_checkpoint(make_model_folder(tmp_path / "model", source_bos=True), tmp_path / "back.pt")
    assert not (tmp_path / "back.pt").exists()


def test_damaged_codes_of_a_model_folder_are_refused(tmp_path):
    pytest.importorskip("sacremoses")
    for codes in ([], "l o", ["l o w"], [1]):
        path = tmp_path / "joint.bpe.json"
        path.write_text(json.dumps({"codes": codes, "separator": "@@", "language": "en"}), encoding="utf-8")
        with pytest.raises(UserError, match="codes of subword-nmt|each line must have two pieces"):
            MosesSubwordTokenizer(path)


def test_a_damaged_checkpoint_leaves_no_model_folder(nvidia_checkpoint, tmp_path):
    del nvidia_checkpoint["model_config"]["num_layers"]
    with pytest.raises(UserError, match="num_layers"):
        write_folder(save(nvidia_checkpoint, tmp_path / "nvidia.pt"), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["nvidia.pt"]
