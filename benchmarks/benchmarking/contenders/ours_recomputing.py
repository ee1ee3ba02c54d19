"""This plugin with --checkpoint-activations."""

from benchmarking.contenders import ours
from benchmarking.contenders.fairseq_training import FairseqTraining
from benchmarking.contenders.setting import Setting
from gnmt.network.lstm import recompute_activations


def trainer(setting: Setting) -> FairseqTraining:
    training = ours.trainer(setting)
    recompute_activations(training.model)
    return training
