"""fairseq's own recurrent model, `--arch lstm` with attention, with fairseq's criterion, optimizer and search."""

from argparse import Namespace

import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.models.lstm import LSTMModel, base_architecture
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig

from benchmarking.contenders.fairseq_samples import task_of
from benchmarking.contenders.fairseq_search import FairseqTranslation
from benchmarking.contenders.fairseq_training import FairseqTraining
from benchmarking.contenders.network import forbid_marks, load_checkpoint
from benchmarking.contenders.setting import LABEL_SMOOTHING, LEARNING_RATE, Setting


def network(setting: Setting) -> LSTMModel:
    """Returns a network of our sizes, with fairseq's left-to-right encoder and separate embeddings."""
    if setting.checkpoint is not None:
        return load_checkpoint(setting)
    torch.manual_seed(setting.seed)
    hidden_size, depth = setting.size.hidden, setting.size.layers
    options = Namespace(
        encoder_embed_dim=hidden_size, encoder_hidden_size=hidden_size, encoder_layers=depth,
        decoder_embed_dim=hidden_size, decoder_hidden_size=hidden_size, decoder_layers=depth,
        decoder_out_embed_dim=hidden_size,
        dropout=setting.dropout, decoder_attention="1", criterion="label_smoothed_cross_entropy",
    )  # fmt: skip
    base_architecture(options)
    model = LSTMModel.build_model(options, task_of(setting.dictionary))
    if setting.search is not None:
        forbid_marks(model.decoder.fc_out, setting.dictionary)
    return model


def trainer(setting: Setting) -> FairseqTraining:
    model = network(setting).to(setting.device)
    criterion = LabelSmoothedCrossEntropyCriterion(
        task_of(setting.dictionary), sentence_avg=True, label_smoothing=LABEL_SMOOTHING
    )
    optimizer = FairseqAdam(FairseqAdamConfig(adam_betas="(0.9, 0.999)", lr=[LEARNING_RATE]), list(model.parameters()))
    return FairseqTraining(model, criterion, optimizer, setting)


def translator(setting: Setting) -> FairseqTranslation:
    return FairseqTranslation(network(setting).to(setting.device), setting)
