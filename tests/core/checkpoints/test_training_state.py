"""Tests that training checkpoints with missing, wrong or differently sized entries are refused.

Expected messages are written by hand.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from fairseq import checkpoint_utils, file_utils

from conftest import make_dictionary, make_model
from fairseq_gnmt.patches.checkpoint_reading import check_architecture
from gnmt.checkpoints.stored_weights import difference
from gnmt.checkpoints.training_state import architecture, read_training_state
from gnmt.errors import UserError
from gnmt.quantization.storage import to_integers

SIZES = {"hidden_size": 8, "encoder_layers": 3, "decoder_layers": 2}
EMBEDDING = "encoder.embed_tokens.weight"
NAN = float("nan")


@pytest.fixture
def state() -> Dict[str, Any]:
    """Returns a checkpoint in fairseq-train's format with a minimum of options."""
    model = make_model("gnmt_v2_tiny", make_dictionary(12), **SIZES)
    return {
        "args": None,
        "cfg": {
            "model": {"_name": "gnmt_v2_tiny", **SIZES},
            "task": {"_name": "translation", "data": "bin", "source_lang": "en", "target_lang": "de"},
            "bpe": {"_name": "sentencepiece", "sentencepiece_model": "subwords.model"},
            "distributed_training": {"distributed_init_method": "tcp://localhost:1234"},
        },
        "model": model.state_dict(),
        "optimizer_history": [
            {"criterion_name": "C", "optimizer_name": "O", "lr_scheduler_state": {}, "num_updates": 3}
        ],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1}]},
    }


def changed(state: Dict[str, Any], keys: tuple, value: Any) -> Dict[str, Any]:
    """Returns the state with another value at the given keys, or without the entry if the value is KeyError."""
    inside = state
    for key in keys[:-1]:
        inside = inside[key]
    if value is KeyError:
        del inside[keys[-1]]
    else:
        inside[keys[-1]] = value
    return state


def save(state: Any, folder: Path) -> Path:
    torch.save(state, folder / "state.pt")
    return folder / "state.pt"


def test_a_valid_checkpoint_is_read(state, tmp_path):
    checkpoint = read_training_state(save(state, tmp_path))
    assert checkpoint["cfg"] == state["cfg"] and architecture(checkpoint) == "gnmt_v2_tiny"
    assert all(torch.equal(value, state["model"][name]) for name, value in checkpoint["model"].items())


@pytest.mark.parametrize("value", [None, "text", ["list"], {}, 5, torch.ones(2)])
def test_other_files_are_refused(value, tmp_path):
    with pytest.raises(UserError, match=r"state\.pt (holds a|is not a checkpoint of fairseq-train: it has no model)"):
        read_training_state(save(value, tmp_path))


TABLE, LIST, COUNT = (  # values that are not a dict, not a list of dicts, not a count
    [None, "text", ["list"], 5, torch.ones(2), KeyError],
    [None, "text", {}, [], [1], 5, torch.ones(2), KeyError],
    [None, "text", ["list"], 1.5, -1, torch.ones(2)],
)
WRONG = [
    (("model",), [*TABLE, {}]),
    (("model", EMBEDDING), [None, "text", [1.0], 5, KeyError]),
    (("cfg",), TABLE),
    (("cfg", "model"), TABLE),
    (("cfg", "task"), TABLE),
    (("optimizer_history",), LIST),
    (("optimizer_history", 0, "num_updates"), COUNT),
    (("optimizer_history", 0, "lr_scheduler_state"), [None, "text", ["list"]]),
    (("extra_state",), TABLE),
    (("extra_state", "train_iterator"), TABLE[:-1]),
    (("extra_state", "train_iterator", "epoch"), COUNT),
    (("extra_state", "previous_training_time"), [None, "text", b"x", -1.0, 10**400, float("nan"), torch.ones(2)]),
    (("task_state",), TABLE[:-1]),
    (("last_optimizer_state",), TABLE[1:-1]),
    (("last_optimizer_state", "state"), TABLE),
    (("last_optimizer_state", "param_groups"), [None, "text", {}, [1], KeyError]),
]


@pytest.mark.parametrize("keys,value", [(keys, value) for keys, values in WRONG for value in values])
def test_parts_of_another_type_are_refused(state, keys, value, tmp_path):
    with pytest.raises(UserError, match=r"state\.pt (has|is not a checkpoint of fairseq-train)") as error:
        read_training_state(save(changed(state, keys, value), tmp_path))
    assert [key for key in keys if isinstance(key, str)][-1] in str(error.value)


@pytest.mark.parametrize("seconds", [0, 1.5, torch.tensor(1.5, dtype=torch.float64)])
def test_a_training_time_may_be_a_number_or_a_tensor_of_several_processes(state, seconds, tmp_path):
    read_training_state(save(changed(state, ("extra_state", "previous_training_time"), seconds), tmp_path))


@pytest.mark.parametrize("name", ["task_state", "last_optimizer_state", "args"])
def test_optional_parts_may_be_missing(state, name, tmp_path):
    read_training_state(save(changed(state, (name,), KeyError), tmp_path))


@pytest.mark.parametrize("keys,value,words", [
    (("cfg", "model", "hidden_size"), 10**9, "has 1000000000 as its cfg, model, hidden_size, but weights of 8"),
    (("cfg", "model", "encoder_layers"), 10**6, "has 1000000 as its cfg, model, encoder_layers, but weights of 3"),
    (("cfg", "model", "decoder_layers"), 10**6, "has 1000000 as its cfg, model, decoder_layers, but weights of 2"),
    (("cfg", "model", "decoder_layers"), "2", "has '2' as its cfg, model, decoder_layers"),
    (("model", EMBEDDING), torch.ones(8), "no matrix as its weight"),
    (("model", EMBEDDING), torch.full((12, 8), NAN), f"has numbers in the weight {EMBEDDING} that are not"),
    (("model", "decoder.output_projection.bias"), torch.full((12,), float("inf")), "output_projection.bias that are not"),
    (("model", "decoder.output_projection.bias"), torch.ones(12, dtype=torch.int64), "of type torch.int64, but it must be"),
    (("model", "extra.int8"), torch.ones(2, 2, dtype=torch.int8), "has extra.int8 without extra.scale"),
])  # fmt: skip
def test_invalid_sizes_and_numbers_are_refused(state, keys, value, words, tmp_path):
    with pytest.raises(UserError) as error:
        read_training_state(save(changed(state, keys, value), tmp_path))
    assert words in str(error.value) and "state.pt" in str(error.value)


@pytest.mark.parametrize(
    "part,value",
    [
        (".scale", torch.ones(5)),
        (".scale", torch.ones(0)),
        (".scale", torch.ones(12, dtype=torch.int64)),
        (".int8", torch.ones(12, 8)),
        (".int8", torch.ones(12, dtype=torch.int8)),
    ],
)
def test_integers_and_scales_that_do_not_fit_are_refused(state, part, value, tmp_path):
    state["model"] = to_integers(state["model"])
    read_training_state(save(state, tmp_path))
    with pytest.raises(UserError, match=f"has {EMBEDDING}.int8 of .* and {EMBEDDING}.scale of .*, which do not fit"):
        read_training_state(save(changed(state, ("model", EMBEDDING + part), value), tmp_path))


# -- a checkpoint's configuration is never executed


@pytest.mark.parametrize(
    "value", ["${oc.env:HOME}", "a ${oc.decode:b} c", "${a.${oc.env:HOME}}", "${hydra:job.name}", "${"]
)
@pytest.mark.parametrize(
    "keys", [("cfg", "bpe", "sentencepiece_model"), ("cfg", "task", "data"), ("cfg", "model", "x")]
)
def test_nothing_is_looked_up_in_the_environment(state, keys, value, tmp_path):
    with pytest.raises(
        UserError, match=f"as its {', '.join(keys)}: the configuration of a checkpoint is not looked up"
    ):
        read_training_state(save(changed(state, keys, value), tmp_path))
    namespace = changed(state, ("cfg", "model"), Namespace(arch="lstm", nested=[{"key": value}]))
    with pytest.raises(UserError, match="is not looked up"):
        read_training_state(save(namespace, tmp_path))


def test_references_within_the_configuration_stay(state, tmp_path):
    state["cfg"]["task"]["data"] = "${bpe.sentencepiece_model} and ${.source_lang}"
    assert read_training_state(save(state, tmp_path))["cfg"]["task"]["data"].startswith("${bpe.")


@pytest.mark.parametrize("section,name", [("bpe", "sentencepiece_model"), ("task", "data")])
def test_nothing_is_fetched_from_the_network(state, section, name, tmp_path):
    state["cfg"][section][name] = "https://example.com/model"
    path = str(save(state, tmp_path))
    with pytest.raises(UserError, match=f"https://example.com/model' as its cfg, {section}, {name}, but files of a"):
        checkpoint_utils.load_checkpoint_to_cpu(path)
    checkpoint = checkpoint_utils.load_checkpoint_to_cpu(path, {name: "local"})  # the option is set by the user
    assert checkpoint["cfg"][section][name] == "local"
    assert checkpoint["cfg"].distributed_training.distributed_init_method == "tcp://localhost:1234"


@pytest.mark.parametrize(
    "keys,value,words",
    [
        (("cfg", "model", "dropout"), "x", "wrong value in its cfg, model: "),
        (("cfg", "model", "_name"), "unheard", "of the architecture unheard, which is unknown: pass the --user-dir"),
        (("cfg", "model", "_name"), None, "has None as its cfg, model, _name"),
        (("cfg", "task", "left_pad_source"), [1], "wrong value in its cfg, task: "),
    ],
)
def test_options_that_fairseq_does_not_take(state, keys, value, words, tmp_path):
    with pytest.raises(UserError) as error:
        checkpoint_utils.load_checkpoint_to_cpu(str(save(changed(state, keys, value), tmp_path)))
    assert words in str(error.value) and "state.pt" in str(error.value)


def test_options_that_are_newer_than_the_checkpoint_can_be_overridden(state, tmp_path):
    state["cfg"]["task"]["_name"] = "gnmt_translation"
    path = str(save(state, tmp_path))
    assert "precision" not in checkpoint_utils.load_checkpoint_to_cpu(path)["cfg"].task
    assert checkpoint_utils.load_checkpoint_to_cpu(path, {"precision": "int8"})["cfg"].task.precision == "int8"
    with pytest.raises(UserError, match="or what overrides its options, has a wrong value in its cfg, task"):
        checkpoint_utils.load_checkpoint_to_cpu(path, {"precision": "int4"})


# -- weights that are missing or too many


def test_weights_of_another_network_are_named(state, tmp_path):
    model = make_model("gnmt_v2_tiny", make_dictionary(12), **SIZES)
    removed = ["decoder.output_projection.bias", *(name for name in state["model"] if "attention.score" in name)]
    for name in removed:
        del state["model"][name]
    state["model"]["one.more"] = torch.ones(1)
    loaded = checkpoint_utils.load_checkpoint_to_cpu(str(save(state, tmp_path)))
    with pytest.raises(UserError) as error:
        model.load_state_dict(loaded["model"], strict=True)
    missing = "decoder.output_projection.bias, decoder.stack.attention.score_bias, decoder.stack.attention.score_scale"
    assert f"{tmp_path}/state.pt lacks {missing} and 1 more weights and has one.more, which" in str(error.value)


def test_difference_of_equal_networks_is_empty(state):
    assert difference(state["model"], dict(state["model"])) == []


def test_nan_weights_are_not_reported_as_unshared(state):
    """The weights are loaded directly, because the reader would refuse NaN first."""
    model = make_model("gnmt_v2_tiny", make_dictionary(12), **SIZES)
    model.load_state_dict({name: torch.full_like(value, NAN) for name, value in state["model"].items()}, strict=True)
    state["model"]["decoder.embed_tokens.weight"] = state["model"][EMBEDDING] + 1
    with pytest.raises(UserError, match="with --no-share-embeddings"):
        model.load_state_dict(state["model"], strict=True)


# -- moving averages


def test_the_moving_average_of_a_checkpoint(state, tmp_path):
    state["extra_state"]["ema"] = {name: value.half() for name, value in state["model"].items()}
    checkpoint = checkpoint_utils.load_ema_from_checkpoint(str(save(state, tmp_path)))
    for name, value in checkpoint["model"].items():
        assert torch.equal(value, state["model"][name].half().float())


@pytest.mark.parametrize("average", [None, {}, [1], {"weight": "text"}, KeyError])
def test_checkpoints_without_a_moving_average(state, average, tmp_path):
    path = save(changed(state, ("extra_state", "ema"), average) if average is not KeyError else state, tmp_path)
    with pytest.raises(UserError, match="state.pt has (no moving average|a str as its weight)"):
        checkpoint_utils.load_ema_from_checkpoint(str(path))


@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "fconv_iwslt_de_en", "wav2vec_ctc"])
def test_architectures_that_are_not_for_text_are_refused(name):
    with pytest.raises(UserError, match=f"some.pt has the architecture '{name}'"):
        check_architecture(name, "some.pt")


def test_lstms_and_transformers_are_read():
    for name in ("gnmt_v2", "lstm", "lstm_lm", "transformer", "transformer_lm", "transformer_wmt_en_de"):
        check_architecture(name, "some.pt")


@pytest.mark.parametrize(
    "name, size, is_read",
    [
        ("encoder_embed_dim", 512, True),
        ("decoder_output_dim", 8192, True),  # the option may be unused
        ("decoder_output_dim", 8193, False),
        ("encoder_layers", 10**9, False),
        ("decoder_ffn_embed_dim", float("nan"), False),
        ("decoder_attention_heads", 1025, False),
        ("max_source_positions", 10**8, False),
    ],
)
def test_sizes_of_other_architectures_that_exhaust_the_memory(state, name, size, is_read, tmp_path):
    path = save(changed(state, ("cfg", "model"), {"_name": "lstm", name: size}), tmp_path)
    if is_read:
        read_training_state(path)
    else:
        with pytest.raises(UserError, match=f"as its cfg, model, {name}, but its weights are far smaller"):
            read_training_state(path)


def test_the_architecture_cannot_be_overridden(state, tmp_path):
    path = save(state, tmp_path)
    with pytest.raises(UserError, match="--model-overrides has '_name': the architecture"):
        checkpoint_utils.load_checkpoint_to_cpu(str(path), {"_name": "lstm"})


def test_defaults_of_tokenizers_are_not_fetched():
    """The defaults of --bpe gpt2 are URLs, so a checkpoint that only names this tokenizer would cause a download."""
    with pytest.raises(UserError, match="nothing is fetched from there"):
        file_utils.cached_path("https://example.org/encoder.json")
    assert file_utils.cached_path(__file__) == __file__
