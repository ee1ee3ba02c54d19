"""Tests that a preset gives the same options in fairseq-train, in fairseq-hydra-train and in a reloaded checkpoint."""

import dataclasses

import pytest
import torch
import yaml
from commands import PLUGIN, succeed
from fairseq.checkpoint_utils import load_model_ensemble
from fairseq.models import MODEL_REGISTRY
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits

CONFIG = PLUGIN / "config"


def hydra(folder, *overrides) -> str:
    return succeed(
        "hydra-train",
        "--config-dir",
        CONFIG,
        "--config-name",
        "gnmt_v2_tiny",
        f"common.user_dir={PLUGIN}",
        f"task.data={digits()}",
        "optimization.max_update=6",
        f"checkpoint.save_dir={folder}",
        f"hydra.run.dir={folder}",
        *overrides,
    )


def test_both_commands_train_the_same_network(tmp_path):
    hydra(tmp_path / "hydra")
    succeed(
        "train",
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "5e-3",
        "--lr-scheduler",
        "gnmt_warmup_step_decay",
        "--warmup-steps",
        0.1,
        "--sentence-avg",
        "--batch-size",
        16,
        "--max-update",
        6,
        "--save-dir",
        tmp_path / "train",
    )
    checkpoints = [tmp_path / name / "checkpoint_last.pt" for name in ("hydra", "train")]
    first, second = (torch.load(path, weights_only=True) for path in checkpoints)
    assert first["cfg"]["model"] == second["cfg"]["model"]
    assert first["model"].keys() == second["model"].keys()
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())

    models, _ = load_model_ensemble([str(path) for path in checkpoints])
    for model in models:
        assert {name: value.shape for name, value in model.state_dict().items()} == {
            name: value.shape for name, value in first["model"].items()
        }
    assert models[0].encoder.embed_tokens.embedding_dim == 32  # instead of the 1024 of the base configuration
    succeed("generate", digits(), *TASK, "--path", checkpoints[0], "--max-len-b", 5)


def test_options_are_taken_from_hydra_too(tmp_path):
    hydra(tmp_path, "model._name=gnmt_v2_small", "+model.hidden_size=24", "optimization.max_update=1")
    (model,), cfg = load_model_ensemble([str(tmp_path / "checkpoint_last.pt")])
    assert cfg.model._name == "gnmt_v2_small" and model.encoder.embed_tokens.embedding_dim == 24
    preset = MODEL_REGISTRY["gnmt_v2_small"].config_class()
    assert 1 + len(model.encoder.upper_layers) == preset.encoder_layers
    assert cfg.model.embedding_init_range == preset.embedding_init_range is not None  # the base configuration has none


def test_the_recipe_of_nvidia():
    """Values of NVIDIA's published training, except for the loss scale; fairseq knows each name in the file."""
    from fairseq.dataclass.configs import FairseqConfig
    from fairseq.registry import REGISTRIES
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    recipe = yaml.safe_load((CONFIG / "gnmt_v2_wmt16.yaml").read_text())
    assert recipe["optimization"] == {"lr": [2e-3], "clip_norm": 5.0, "sentence_avg": True, "update_freq": [1]}
    assert recipe["common"]["fp16_scale_window"] == 128
    assert recipe["dataset"]["batch_size"] == 128 and recipe["task"]["train_max_length"] == 50
    named = {
        "task": TASK_DATACLASS_REGISTRY[recipe["task"]["_name"]],
        "model": MODEL_REGISTRY[recipe["model"]["_name"]].config_class,
        **{
            group: REGISTRIES[group]["dataclass_registry"][recipe[group]["_name"]]
            for group in ("criterion", "optimizer", "lr_scheduler")
        },
    }
    for group, options in recipe.items():
        schema = named[group]() if group in named else getattr(FairseqConfig(), group)
        assert set(options) - {"_name"} <= {option.name for option in dataclasses.fields(schema)}, group


@pytest.mark.parametrize("name", ["gnmt_v2_wmt16", "gnmt_v2_tiny"])
def test_first_line_is_what_fairseq_wants(name):
    assert (CONFIG / f"{name}.yaml").read_text().startswith("# @package _group_\n")
