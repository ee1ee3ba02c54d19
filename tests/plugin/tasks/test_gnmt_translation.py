"""Tests the translation task: choice of the search, and options that are refused.

Expected options are written by hand.
"""

from dataclasses import fields
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from conftest import make_dictionary, make_model
from fairseq.dataclass.configs import GenerationConfig
from fairseq.sequence_generator import SequenceGenerator
from fairseq.sequence_scorer import SequenceScorer
from fairseq_gnmt.search.generator import GNMTGenerator
from fairseq_gnmt.tasks.gnmt_translation import GNMTTranslationTask
from fairseq_gnmt.tasks.options import GNMTTranslationConfig, precision_of
from gnmt.errors import UserError
from gnmt.search.options import SearchOptions

DICTIONARY = make_dictionary(20)


@pytest.fixture(scope="module")
def models():
    return [make_model("gnmt_v2_tiny", DICTIONARY, hidden_size=8)]


@pytest.fixture
def task():
    scores = dict(length_norm_factor=0.7, length_norm_const=4.0, coverage_penalty=0.2)
    config = SimpleNamespace(**scores, train_subset="train", precision=None, quantize="none", nvidia_conventions=False)
    return GNMTTranslationTask(config, DICTIONARY, DICTIONARY)


def options(**values):
    return SimpleNamespace(**values)


def test_options_come_from_the_call_then_from_the_task(task, models):
    generator = task.build_generator(models, options(beam=3, nbest=2, coverage_penalty=0.5))
    assert isinstance(generator, GNMTGenerator)
    assert generator.rules.options == SearchOptions(
        beam=3, nbest=2, length_norm_factor=0.7, length_norm_const=4.0, coverage_penalty=0.5
    )


def test_precision_and_its_earlier_spelling(caplog):
    def chosen(**given):
        return precision_of(GNMTTranslationConfig(**given))

    assert chosen() is None and chosen(precision="bf16") == "bf16" and not caplog.records
    assert chosen(quantize="int8") == "int8" and chosen(quantize="int8", precision="int8") == "int8"
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "--quantize int8 is now --precision int8"
    ] * 2
    with pytest.raises(UserError, match="leave --quantize out"):
        chosen(quantize="int8", precision="fp32")


def test_defaults_are_gnmt_v2_s():
    config = GNMTTranslationConfig()
    assert (config.length_norm_factor, config.length_norm_const, config.coverage_penalty) == (0.6, 5.0, 0.1)
    assert SearchOptions() == SearchOptions(beam=5, length_norm_factor=0.6, length_norm_const=5.0, coverage_penalty=0.1)


@pytest.mark.parametrize(
    "given,kind",
    [
        ({"sampling": True}, SequenceGenerator),
        ({"diverse_beam_groups": 5}, SequenceGenerator),
        ({"diversity_rate": 0.5}, SequenceGenerator),
        ({"match_source_len": True}, SequenceGenerator),
        ({"constraints": "ordered"}, SequenceGenerator),
        ({"score_reference": True}, SequenceScorer),
    ],
)
def test_fairseqs_own_searches(task, models, given, kind, caplog):
    generator = task.build_generator(models, options(beam=5, **given))
    assert isinstance(generator, kind)
    if kind is SequenceGenerator:
        (name,) = given
        assert "--" + name.replace("_", "-") in caplog.text and "do not apply" in caplog.text


def test_other_architectures_get_fairseqs_search(task, models, caplog):
    class Other(torch.nn.Module):
        encoder = models[0].encoder
        decoder = models[0].decoder

        def max_decoder_positions(self):
            return 100

    assert isinstance(task.build_generator([models[0], Other()], options()), SequenceGenerator)
    assert "another architecture" in caplog.text


@pytest.mark.parametrize(
    "given,words",
    [
        ({"lenpen": 0.6}, "--length-norm-factor"),
        ({"unnormalized": True}, "--length-norm-factor 0"),
        ({"no_early_stop": True}, "--no-early-stop"),
        ({"print_step": True}, "--print-step"),
        ({"retain_dropout": True}, "--retain-dropout"),
        ({"beam_size": 4}, r"Unknown search options \['beam_size'\]"),
        ({"beam": 0}, "beam is 0"),
        ({"coverage_penalty": -1.0}, "coverage_penalty is -1.0"),
    ],
)
def test_options_without_effect_are_refused(task, models, given, words):
    with pytest.raises(UserError, match=words):
        task.build_generator(models, options(**given))


def test_options_of_the_search_are_declared_once():
    """Options that fairseq lacks are generated from SearchOptions."""
    search_options = {
        option.name: option for option in fields(SearchOptions) if not hasattr(GenerationConfig(), option.name)
    }
    task_options = {option.name: option for option in fields(GNMTTranslationConfig) if option.name in search_options}
    assert task_options.keys() == search_options.keys() and "length_norm_factor" in search_options
    for name, option in search_options.items():
        assert (task_options[name].type, task_options[name].default, task_options[name].metadata) == (
            option.type,
            option.default,
            option.metadata,
        )
        assert option.metadata["help"]


@pytest.mark.parametrize("name", ["score_reference", "prefix_size"])
def test_references_are_needed(task, models, name):
    task.datasets["test"] = SimpleNamespace(tgt=None)
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} needs references, but the test set has none"):
        task.build_generator(models, options(**{name: 1}))


def test_options_of_a_dictconfig(task, models):
    given = OmegaConf.create({"_name": None, "beam": 2, "lenpen": 1.0, "print_alignment": "soft"})
    generator = task.build_generator(models, given)
    assert generator.rules.options.beam == 2 and generator.soft_alignment


def test_a_generated_hypothesis(task, models):
    """The dictionary of fairseq's interface; attention covers the unpadded source for padding on either side."""
    source = torch.tensor([[1, 1, 5, 6, 2], [4, 5, 6, 7, 2]])
    sample = {"net_input": {"src_tokens": source, "src_lengths": torch.tensor([3, 5])}}
    generator = task.build_generator(models, options(beam=2, nbest=2, max_len_b=4))
    for nbest, length in zip(task.inference_step(generator, models, sample), (3, 5)):
        assert len(nbest) == 2 and nbest[0]["score"] >= nbest[1]["score"]
        for hypothesis in nbest:
            size = len(hypothesis["tokens"])
            assert hypothesis["tokens"][-1] == DICTIONARY.eos()
            assert hypothesis["attention"].shape == (length, size)
            torch.testing.assert_close(hypothesis["attention"].sum(dim=0), torch.ones(size))
            assert hypothesis["positional_scores"].shape == (size,)
            hypothesis["positional_scores"].div_(2)  # fairseq-generate does so in place
            assert len(hypothesis["alignment"]) == size - 1


def test_a_criterion_that_is_unknown_is_refused(task):
    """A checkpoint that is validated may name any criterion."""
    with pytest.raises(UserError, match="criterion 'robust_loss' is unknown: pass the --user-dir that defines it"):
        task.build_criterion(OmegaConf.create({"_name": "robust_loss"}))
    known = OmegaConf.create({"_name": "cross_entropy", "sentence_avg": False})
    assert type(task.build_criterion(known)).__name__ == "CrossEntropyCriterion"
