"""fairseq's own SequenceGenerator, for our network and for any other of its models."""

from types import SimpleNamespace
from typing import List

import torch
from fairseq.models import BaseFairseqModel
from fairseq.sequence_generator import SequenceGenerator

from benchmarking.contenders.fairseq_samples import fairseq_sample
from benchmarking.contenders.network import our_network
from benchmarking.contenders.setting import SearchSetting, Setting
from benchmarking.workload import Sentence


class FairseqTranslation:
    def __init__(self, model: BaseFairseqModel, setting: Setting):
        self.model, self.setting = model.eval(), setting
        model.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))  # as fairseq-generate does
        self.samples = [fairseq_sample(batch, setting.dictionary, setting.device) for batch in setting.batches]
        self.batches = len(self.samples)
        self.generators = [self._generator(self._search(index), normalize=True) for index in range(self.batches)]

    def run(self, index: int) -> List[Sentence]:
        """Returns the best translations, without EOS."""
        return self._translate(self.generators[index], index)

    def unnormalised(self, index: int, beam: int) -> List[Sentence]:
        """Returns the most probable translations that a search with this beam finds."""
        return self._translate(self._generator(self._search(index)._replace(beam=beam), normalize=False), index)

    def _search(self, index: int) -> SearchSetting:
        return search_of(self.setting, index)

    def _generator(self, search: SearchSetting, normalize: bool) -> SequenceGenerator:
        return SequenceGenerator(
            [self.model],
            self.setting.dictionary,
            beam_size=search.beam,
            max_len_a=search.max_len_a,
            max_len_b=search.max_len_b,
            normalize_scores=normalize,
        )

    @torch.no_grad()
    def _translate(self, generator: SequenceGenerator, index: int) -> List[Sentence]:
        return [nbest[0]["tokens"].tolist()[:-1] for nbest in generator.generate([self.model], self.samples[index])]


def search_of(setting: Setting, index: int) -> SearchSetting:
    """Returns the options of the search; with random weights, a fixed number of steps.

    Args:
        setting: setting of the contender.
        index: number of the batch.
    """
    if not setting.forced:
        return setting.search
    return SearchSetting(setting.search.beam, 0.0, setting.batches[index].longest_target - 1)


def translator(setting: Setting) -> FairseqTranslation:
    return FairseqTranslation(our_network(setting).to(setting.device), setting)
