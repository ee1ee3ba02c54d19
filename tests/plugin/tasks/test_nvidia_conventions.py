"""Tests --nvidia-conventions: BOS begins sources and decoding.

Expected values are worked out by hand or computed in one pass.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fairseq.data import LanguagePairDataset
from fairseq.tasks.translation import TranslationTask
from omegaconf import OmegaConf

from conftest import make_dictionary, make_model
from fairseq_gnmt.models.gnmt import check_task
from fairseq_gnmt.patches.checkpoint_reading import restored_file
from fairseq_gnmt.tasks.gnmt_translation import GNMTTranslationTask
from fairseq_gnmt.tasks.nvidia_conventions import check_restored, with_bos
from fairseq_gnmt.tasks.options import GNMTTranslationConfig
from gnmt.errors import UserError

DICTIONARY = make_dictionary(20)
BOS, PAD, EOS = DICTIONARY.bos(), DICTIONARY.pad(), DICTIONARY.eos()


def make_task(nvidia_conventions: bool) -> GNMTTranslationTask:
    config = OmegaConf.structured(GNMTTranslationConfig(nvidia_conventions=nvidia_conventions, train_subset="train"))
    return GNMTTranslationTask(config, DICTIONARY, DICTIONARY)


def pairs(sources, targets, **options) -> LanguagePairDataset:
    def sentences(rows):
        return [torch.tensor([*row, EOS]) for row in rows], np.array([len(row) + 1 for row in rows])

    return LanguagePairDataset(*sentences(sources), DICTIONARY, *sentences(targets), DICTIONARY, **options)


@pytest.fixture(scope="module")
def models():
    return [make_model("gnmt_v2_tiny", DICTIONARY, hidden_size=8)]


# -- data


def test_a_batch():
    """Sources begin with BOS, and prev_output_tokens with BOS instead of EOS; targets are unchanged."""
    data = with_bos(pairs([[5, 6, 7], [8]], [[9], [10, 11]]))
    batch = data.collater([data[0], data[1]])
    source = batch["net_input"]
    assert source["src_tokens"].tolist() == [[BOS, 5, 6, 7, EOS], [PAD, PAD, BOS, 8, EOS]]
    assert source["src_lengths"].tolist() == [5, 3]
    assert source["prev_output_tokens"].tolist() == [[BOS, 9, PAD], [BOS, 10, 11]]
    assert batch["target"].tolist() == [[9, EOS, PAD], [10, 11, EOS]]
    assert data.sizes.tolist() == [[5, 2], [3, 3]]


def test_training_length_counts_both_marks():
    task = make_task(nvidia_conventions=True)
    task.is_training, task.cfg.train_max_length = True, 5  # three words are kept
    task.datasets["train"] = with_bos(pairs([[5] * 3, [5] * 4, [5]], [[6] * 3, [6], [6] * 4]))
    batches = task.get_batch_iterator(task.datasets["train"], max_sentences=1, ignore_invalid_inputs=True)
    assert [batch["id"].tolist() for batch in batches.next_epoch_itr(shuffle=False)] == [[0]]


@pytest.mark.parametrize("trains, kept", [(True, [0, 2]), (False, [0, 1, 2])])
def test_only_training_is_limited_and_by_the_shortest_limit(trains, kept):
    task = make_task(nvidia_conventions=False)
    task.is_training = trains
    task.cfg.max_source_positions, task.cfg.train_max_length = (3, 100) if trains else (100, 3)
    task.datasets["train"] = pairs([[5] * 2, [5] * 3, [5]], [[6], [6], [6]])
    batches = task.get_batch_iterator(task.datasets["train"], max_sentences=1, ignore_invalid_inputs=trains)
    assert sorted(batch["id"].item() for batch in batches.next_epoch_itr(shuffle=False)) == kept


def test_options_that_count_positions_are_refused():
    with pytest.raises(UserError, match="--load-alignments"):
        with_bos(pairs([[5]], [[6]], align_dataset=[torch.tensor([[0, 0]])]))


# -- translation


def test_search_starts_from_bos(models):
    """With beam 1, each token is the most probable one after BOS and the previous tokens."""
    task = make_task(nvidia_conventions=True)
    data = task.build_dataset_for_inference([torch.tensor([5, 6, EOS])], torch.tensor([3]))
    sample = data.collater([data[0]])
    generator = task.build_generator(models, SimpleNamespace(beam=1, max_len_b=4))
    ((hypothesis,),) = task.inference_step(generator, models, sample)

    source, decoded = torch.tensor([[BOS, 5, 6, EOS]]), [BOS]
    for _ in range(4):
        with torch.no_grad():
            logits, extra = models[0](source, torch.tensor([4]), torch.tensor([decoded]))
        logits[:, :, PAD] = float("-inf")
        logits[:, 0, EOS] = float("-inf")
        decoded.append(int(logits[0, -1].argmax()))
    assert EOS not in decoded, "the untrained network must not generate EOS"
    assert hypothesis["tokens"].tolist() == [*decoded[1:], EOS]
    torch.testing.assert_close(hypothesis["attention"][:, :4], extra["attn"][0][0, :, 1:].t())


def test_alignment_is_to_words(models):
    """Position 0 is the first word, not BOS, for padding on either side."""
    task = make_task(nvidia_conventions=True)
    generator = task.build_generator(models, SimpleNamespace(beam=2, max_len_b=4))
    rows = [[BOS, 5, 6, EOS, PAD, PAD], [PAD, PAD, BOS, 5, 6, EOS]]
    sample = {"net_input": {"src_tokens": torch.tensor(rows), "src_lengths": torch.tensor([4, 4])}}
    (right,), (left,) = task.inference_step(generator, models, sample)
    assert right["attention"].shape == (3, len(right["tokens"])) and {pair[0] for pair in right["alignment"]} <= {0, 1}
    torch.testing.assert_close(right["attention"], left["attention"])


def test_an_empty_source_stays_empty(models):
    """--max-len-a multiplies a length without BOS."""
    task = make_task(nvidia_conventions=True)
    generator = task.build_generator(models, SimpleNamespace(beam=1, max_len_a=1, max_len_b=0))
    source = torch.tensor([[BOS, 5, 6, EOS], [PAD, PAD, BOS, EOS]])
    sample = {"net_input": {"src_tokens": source, "src_lengths": torch.tensor([4, 2])}}
    (words,), (empty,) = task.inference_step(generator, models, sample)
    assert len(words["tokens"]) == 4  # three steps, as the source has three tokens with EOS, and EOS
    assert empty["tokens"].tolist() == [EOS]


def test_fairseqs_own_search_starts_from_it_too(models):
    """Sampling from one candidate at temperature 0 equals beam 1."""
    task = make_task(nvidia_conventions=True)
    sample = {"net_input": {"src_tokens": torch.tensor([[BOS, 5, 6, EOS]]), "src_lengths": torch.tensor([4])}}
    options = dict(beam=1, max_len_a=0, max_len_b=4)
    gnmt_generator = task.build_generator(models, SimpleNamespace(**options))
    fairseq_generator = task.build_generator(models, SimpleNamespace(**options, sampling=True, sampling_topk=1))
    ((expected,),), ((actual,),) = (
        task.inference_step(generator, models, sample) for generator in (gnmt_generator, fairseq_generator)
    )
    assert actual["tokens"].tolist() == expected["tokens"].tolist()


def test_fairseqs_own_search_counts_no_positions(models):
    with pytest.raises(UserError, match="--match-source-len would count the BOS"):
        make_task(nvidia_conventions=True).build_generator(models, SimpleNamespace(beam=1, match_source_len=True))


def test_fairseqs_own_search_aligns_with_words(models):
    """Alignments equal the alignments of GNMT's search, which finds the same tokens."""
    task = make_task(nvidia_conventions=True)
    sample = {"net_input": {"src_tokens": torch.tensor([[PAD, BOS, 5, 6, 7, EOS]]), "src_lengths": torch.tensor([5])}}
    options = dict(beam=1, max_len_b=4)
    gnmt_generator = task.build_generator(models, SimpleNamespace(**options))
    fairseq_generator = task.build_generator(models, SimpleNamespace(**options, sampling=True, sampling_topk=1))
    ((expected,),), ((actual,),) = (
        task.inference_step(generator, models, sample) for generator in (gnmt_generator, fairseq_generator)
    )
    assert list(actual["alignment"]) == list(expected["alignment"]) and len(actual["alignment"]) == 4


# -- where the conventions are stored


def test_a_task_takes_the_conventions_of_its_model():
    task = make_task(nvidia_conventions=False)
    task.load_state_dict({"nvidia_conventions": True})
    assert task.cfg.nvidia_conventions and task.state_dict() == {"nvidia_conventions": True}
    task.load_state_dict({"nvidia_conventions": True})  # the second model of an ensemble


@pytest.mark.parametrize("states", [[True, False], [False, True], [{}, True], [True, {}]])
def test_an_ensemble_has_one_convention(states):
    task = make_task(nvidia_conventions=False)
    first, second = (state if state == {} else {"nvidia_conventions": state} for state in states)
    task.load_state_dict(first)
    with pytest.raises(UserError, match="in an ensemble, these are all models or none"):
        task.load_state_dict(second)


def test_a_model_without_them_is_not_translated_with_them():
    with pytest.raises(UserError, match="is only for models that were trained with it"):
        make_task(nvidia_conventions=True).load_state_dict({})


def test_fairseqs_task_is_refused():
    task = TranslationTask(SimpleNamespace(), DICTIONARY, DICTIONARY)
    check_task(task)
    task.load_state_dict({"nvidia_conventions": True})
    with pytest.raises(UserError, match="give --task gnmt_translation"):
        check_task(task)


def test_training_goes_on_as_it_began(tmp_path):
    path = tmp_path / "checkpoint.pt"
    for stored in (True, False):
        torch.save({"task_state": {"nvidia_conventions": stored}}, path)
        check_restored(path, given=stored)
        with pytest.raises(UserError, match=f"was trained {'with' if stored else 'without'} --nvidia-conventions"):
            check_restored(path, given=not stored)
    check_restored(tmp_path / "missing.pt", given=True)


def test_where_training_goes_on_from(tmp_path):
    last = tmp_path / "checkpoint_last.pt"
    assert restored_file(str(tmp_path), "other.pt", None).name == "other.pt"
    assert restored_file(str(tmp_path), "checkpoint_last.pt", "tuned.pt").name == "tuned.pt"
    last.touch()
    assert restored_file(str(tmp_path), "checkpoint_last.pt", "tuned.pt") == last
