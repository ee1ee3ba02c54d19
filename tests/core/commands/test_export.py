"""Tests `gnmt export`. Expected weights and translations come from the exported checkpoint itself."""

import pytest
import torch
from model_folders import WORDS, make_network

from gnmt.checkpoints.fairseq_checkpoint import read_checkpoint
from gnmt.checkpoints.model_folder import read_model_folder
from gnmt.commands import export as export_command
from gnmt.commands.command_line import run_module
from gnmt.commands.export import export
from gnmt.corpora.preparation import Preparation, write_settings
from gnmt.errors import UserError
from gnmt.quantization.storage import to_integers
from gnmt.translator import Translator


def write_checkpoint(folder, change=lambda state: None, integers=False, **options):
    """Writes a checkpoint in fairseq-train's format, with its dictionaries."""
    network, config = make_network(**options)
    data = folder / "bin"
    data.mkdir(parents=True)
    for language in ("en", "de"):
        (data / f"dict.{language}.txt").write_text("".join(f"{word} 1\n" for word in WORDS), encoding="utf-8")
    model = {
        "_name": "gnmt_v2", "hidden_size": 16, "encoder_layers": 3, "decoder_layers": 3, "dropout": 0.2,
        "no_share_embeddings": not config.share_embeddings, "attention_query": config.attention_query,
        "share_decoder_input_output_embed": config.tie_output_layer,
    }  # fmt: skip
    task = {
        "_name": "gnmt_translation",
        "data": str(data),
        "source_lang": "en",
        "target_lang": "de",
        "coverage_penalty": 0.3,
    }
    state = {
        "args": None,
        "cfg": {"model": model, "task": task, "optimization": {"lr": [0.1], "max_update": 7}},
        "model": network.state_dict(),
        "criterion": None,
        "optimizer_history": [{"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 7}],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }
    if integers:
        state["model"] = to_integers(state["model"])
    change(state)
    torch.save(state, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


@pytest.mark.parametrize(
    "options", [{}, {"tie_output_layer": True}, {"share_embeddings": False}, {"attention_query": "previous"}]
)
def test_the_folder_has_the_network_of_the_checkpoint(tmp_path, options):
    checkpoint = write_checkpoint(tmp_path, **options)
    assert export(checkpoint, tmp_path / "model", tokenizer="words") is None
    model = read_model_folder(tmp_path / "model")
    expected, _ = make_network(**options)
    for name, value in expected.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value), name
    assert (model.config.source_language, model.config.target_language, model.config.dropout) == ("en", "de", 0.2)
    assert model.generation.coverage_penalty == 0.3 and model.generation.length_norm_factor == 0.6
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "- architecture: gnmt_v2\n" in card and "- updates: 7\n" in card and "- learning rate: 0.1\n" in card
    assert "training data" not in card and "Not measured" in card


@pytest.mark.parametrize("integers", [False, True])
def test_integers_stay_integers(tmp_path, integers):
    """An int8 checkpoint, and a float32 checkpoint exported as int8, give the same folder."""
    checkpoint = write_checkpoint(tmp_path, integers=integers)
    export(checkpoint, tmp_path / "model", tokenizer="words", precision=None if integers else "int8")
    translator = Translator.from_pretrained(tmp_path / "model")
    original = Translator(
        [read_model_folder(tmp_path / "model")._replace(network=read_checkpoint(checkpoint).network)], "int8"
    )
    assert translator.precision == "int8"
    sources = [[4, 5, 6], [7], [8, 9, 10, 11, 12]]
    assert translator.translate_ids(sources) == original.translate_ids(sources)


def test_bfloat16_is_decoded_alike_from_stored_and_from_exact_weights(tmp_path):
    checkpoint = write_checkpoint(tmp_path)
    export(checkpoint, tmp_path / "model", tokenizer="words", precision="bf16")
    stored = read_model_folder(tmp_path / "model")
    exact = stored._replace(network=read_checkpoint(checkpoint).network)
    source = torch.tensor([[4, 5, 6, 2], [7, 2, 1, 1]])
    log_probs = []
    for model in (stored, exact):
        ensemble = Translator([model], "bf16")._ensemble()
        log_probs.append(ensemble.step(torch.tensor([2, 2]), ensemble.start(source))[0])
    weight = "decoder.output_projection.weight"
    assert not torch.equal(stored.network.state_dict()[weight], exact.network.state_dict()[weight])
    assert torch.equal(*log_probs)


def test_the_card_names_the_training_data(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "corpus")
    settings = Preparation("en", "de", ("texts/europarl", "texts/news"), "valid", "test")
    write_settings(tmp_path / "corpus" / "prepare.json", settings)
    (tmp_path / "corpus" / "encoded").mkdir()
    (tmp_path / "corpus" / "encoded" / "train.lengths.json").write_text("[0, 1000, 234]")
    export(checkpoint, tmp_path / "model", tokenizer="words")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "- training data: `europarl`, `news` in `corpus`, 1,234 sentence pairs after cleaning\n" in card


def test_the_card_has_bleu_on_the_test_set(tmp_path):
    (tmp_path / "test.en").write_text("the dog runs.\na cat\n", encoding="utf-8")
    (tmp_path / "test.de").write_text("a dog\nthe cat sees.\n", encoding="utf-8")
    checkpoint = write_checkpoint(tmp_path / "training")
    check = export(
        checkpoint, tmp_path / "model", tokenizer="words", test_set=[tmp_path / "test.en", tmp_path / "test.de"]
    )
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert f"BLEU {check.bleu:.2f}" in card and check.signature in card and "tok:13a" in check.signature
    read_model_folder(tmp_path / "model")  # the checksums belong to the card that was written last


def test_the_command_prints_the_next_one(tmp_path, capsys):
    checkpoint = write_checkpoint(tmp_path / "training")
    model = tmp_path / "my model"
    run_module(export_command, "gnmt export", [str(checkpoint), str(model), "--tokenizer", "words"])
    assert capsys.readouterr().out.splitlines()[-1] == f"next: gnmt translate '{model}'"
    with pytest.raises(UserError, match="my model exists"):
        run_module(export_command, "gnmt export", [str(checkpoint), str(model), "--tokenizer", "words"])
    run_module(export_command, "gnmt export", [str(checkpoint), str(model), "--tokenizer", "words", "--overwrite"])


def test_an_earlier_model_folder_is_replaced_and_nothing_else(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "training")
    model, other = tmp_path / "model", tmp_path / "other"
    export(checkpoint, model, tokenizer="words")
    with pytest.raises(UserError, match="model exists: choose another folder, or replace it with --overwrite"):
        export(checkpoint, model, tokenizer="spaces")
    assert "words" in (model / "tokenizer.json").read_text()
    export(checkpoint, model, tokenizer="spaces", overwrite=True)
    assert "spaces" in (model / "tokenizer.json").read_text()
    other.mkdir()
    (other / "letter").write_text("keep me")
    with pytest.raises(UserError, match="other exists: choose another folder"):
        export(checkpoint, other, tokenizer="words", overwrite=True)
    assert (other / "letter").read_text() == "keep me"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other", "training"]


def test_a_failed_export_leaves_the_earlier_folder(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "training")
    export(checkpoint, tmp_path / "model", tokenizer="words")
    before = (tmp_path / "model" / "SHA256SUMS").read_bytes()
    with pytest.raises(UserError, match="does not exist"):
        export(
            checkpoint,
            tmp_path / "model",
            tokenizer="words",
            test_set=[tmp_path / "nothing.en", tmp_path / "nothing.de"],
            overwrite=True,
        )
    assert (tmp_path / "model" / "SHA256SUMS").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "training"]


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda state: state["cfg"]["model"].update(_name="transformer"), "has the architecture 'transformer'"),
        (lambda state: state["cfg"]["task"].pop("source_lang"), "does not name its languages"),
        (
            lambda state: state["model"].pop("decoder.output_projection.bias"),
            "lacks the weight decoder.output_projection.bias",
        ),
        (lambda state: state["model"].update(extra=torch.zeros(1)), "has the weight extra"),
        (lambda state: state["cfg"]["model"].update(hidden_size=10**9), "hidden_size"),
        (lambda state: state["cfg"]["task"].update(data="nowhere"), "nowhere"),
    ],
)
def test_unsuitable_checkpoints_are_named(tmp_path, change, words):
    checkpoint = write_checkpoint(tmp_path, change)
    with pytest.raises(UserError, match=words):
        export(checkpoint, tmp_path / "model", tokenizer="words")
    assert not (tmp_path / "model").exists()


def test_the_dictionary_must_fit_the_weights(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "training")
    write_checkpoint(tmp_path / "other")
    for language in ("en", "de"):
        (tmp_path / "other" / "bin" / f"dict.{language}.txt").write_text("a 1\n")
    with pytest.raises(UserError, match="name the data that it was trained on with --data"):
        export(checkpoint, tmp_path / "model", data=tmp_path / "other" / "bin", tokenizer="words")


def test_a_tokenizer_must_be_found_or_named(tmp_path):
    checkpoint = write_checkpoint(tmp_path)
    for tokenizer, words in [
        (None, "There is no tokenizer next to"),
        ("none.spm", "does not exist"),
        (str(checkpoint), "an unknown type"),
    ]:
        with pytest.raises(UserError, match=words):
            export(checkpoint, tmp_path / "model", tokenizer=tokenizer)
