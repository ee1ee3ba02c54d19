"""This plugin: its network, criterion, optimizer and beam search."""

from types import SimpleNamespace
from typing import List

import torch

from benchmarking.contenders.fairseq_samples import fairseq_sample, task_of
from benchmarking.contenders.fairseq_search import search_of
from benchmarking.contenders.fairseq_training import FairseqTraining
from benchmarking.contenders.network import our_network
from benchmarking.contenders.setting import LABEL_SMOOTHING, LEARNING_RATE, SearchSetting, Setting
from benchmarking.workload import Sentence
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy
from fairseq_gnmt.memory_allocation import prepare_memory
from fairseq_gnmt.optim.adam import GNMTAdam, GNMTAdamConfig
from fairseq_gnmt.search.generator import GNMTGenerator
from gnmt.search.options import SearchOptions


def trainer(setting: Setting) -> FairseqTraining:
    prepare_memory()  # as our task does
    model = our_network(setting).to(setting.device)
    criterion = GNMTLabelSmoothedCrossEntropy(task_of(setting.dictionary), LABEL_SMOOTHING, sentence_avg=True)
    optimizer = GNMTAdam(GNMTAdamConfig(lr=[LEARNING_RATE]), list(model.parameters()))
    return FairseqTraining(model, criterion, optimizer, setting)


def translator(setting: Setting) -> "OurTranslation":
    return OurTranslation(setting)


class OurTranslation:
    def __init__(self, setting: Setting):
        prepare_memory()  # as our task does
        self.setting = setting
        self.model = our_network(setting).to(setting.device)
        self.model.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))
        self.samples = [fairseq_sample(batch, setting.dictionary, setting.device) for batch in setting.batches]
        self.batches = len(self.samples)
        self.generators = [self._generator(options(search_of(setting, index))) for index in range(self.batches)]

    def run(self, index: int) -> List[Sentence]:
        """Returns the best translations by GNMT's scores, without EOS."""
        return self._translate(self.generators[index], index)

    def unnormalised(self, index: int, beam: int) -> List[Sentence]:
        """Returns the most probable translations that a search with this beam finds."""
        search = search_of(self.setting, index)._replace(beam=beam)
        search_options = options(search, length_norm_factor=0.0, coverage_penalty=0.0)
        return self._translate(self._generator(search_options), index)

    def _generator(self, search_options: SearchOptions) -> GNMTGenerator:
        return GNMTGenerator([self.model], self.setting.dictionary, search_options, precision=self.setting.precision)

    @torch.no_grad()
    def _translate(self, generator: GNMTGenerator, index: int) -> List[Sentence]:
        return [nbest[0]["tokens"].tolist()[:-1] for nbest in generator.generate([self.model], self.samples[index])]


def options(search: SearchSetting, **scores: float) -> SearchOptions:
    return SearchOptions(beam=search.beam, max_len_a=search.max_len_a, max_len_b=search.max_len_b, **scores)
