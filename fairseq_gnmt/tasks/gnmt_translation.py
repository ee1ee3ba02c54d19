"""Translation with GNMT's search; data and all other options are as in fairseq's task `translation`."""

import dataclasses
import logging
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch
from fairseq import utils
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.sequence_generator import SequenceGenerator
from fairseq.sequence_scorer import SequenceScorer
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationTask
from fairseq.tokenizer import tokenize_line
from omegaconf import DictConfig
from torch import nn

from fairseq_gnmt.data.open_dictionary import OpenDictionary, forget_words
from fairseq_gnmt.fairseq_option_checks import check_generation_options, check_options
from fairseq_gnmt.fairseq_options import TRAIN
from fairseq_gnmt.memory_allocation import prepare_memory
from fairseq_gnmt.models.layer_devices import placement_for
from fairseq_gnmt.models.pretrained_embeddings import init_embeddings_from_file
from fairseq_gnmt.patches.checkpoint_reading import check_restore_file, restored_file
from fairseq_gnmt.patches.checkpoint_writing import check_disk_space
from fairseq_gnmt.search.alignment import add_alignments, source_positions
from fairseq_gnmt.search.copying import copy_unknown_words
from fairseq_gnmt.search.fairseq_searches import check_option_names, fairseq_search_reason
from fairseq_gnmt.search.generator import GNMTGenerator
from fairseq_gnmt.tasks import nvidia_conventions
from fairseq_gnmt.tasks.nvidia_conventions import with_bos
from fairseq_gnmt.tasks.options import (
    GNMTTranslationConfig,
    check_batch_options,
    check_beginning,
    check_fairseq_positions,
    check_references,
    check_validation_options,
    precision_of,
)
from fairseq_gnmt.tasks.validation_bleu import BLEU_ORDER, ValidationBLEU, log_bleu
from fairseq_gnmt.tasks.vocabulary_parallel import divide_over_processes, own_sentences, summed_counts
from gnmt.errors import UserError
from gnmt.network.product_precision import products_in
from gnmt.search.options import SearchOptions
from gnmt.training.sharded_layers import gather_layers, with_layers

logger = logging.getLogger(__name__)


@register_task("gnmt_translation", dataclass=GNMTTranslationConfig)
class GNMTTranslationTask(TranslationTask):
    """fairseq's task `gnmt_translation`.

    Args:
        cfg: options of the task.
        src_dict: source dictionary.
        tgt_dict: target dictionary.
    """

    cfg: GNMTTranslationConfig

    def __init__(self, cfg, src_dict, tgt_dict):
        super().__init__(cfg, src_dict, tgt_dict)
        prepare_memory()
        self.vocabulary_size = len(src_dict)  # of the network; temporary ids of copied words are larger
        self.precision = precision_of(cfg)  # precision of translation; None means the model's own
        self.unk_replacements = None  # texts for unknown words; an empty table copies source words, None keeps UNK
        self.soft_alignment = False  # print attention weights, in fairseq's own searches
        self.current_dataset = None  # data set of the current batches
        self.is_training = False  # True if batches of the training set are for training, not for translation
        # Gathered layers during a validation with --vocabulary-parallel.
        self.whole_layers: Optional[Dict[str, nn.Module]] = None
        # Precision of the products of float32 weights, in training and validation losses; set by the trainer.
        self.product_precision = torch.float32

    # -- data

    @classmethod
    def load_dictionary(cls, filename: str) -> OpenDictionary:
        return OpenDictionary.load(filename)

    def load_dataset(self, split, epoch=1, combine=False, **kwargs):
        """Loads a split; targets are padded on the right, even if a checkpoint has another setting.

        --upsample-primary applies only to training; its default, -1, would make fairseq fail on a second shard.

        Args:
            split: name of the split, such as "train".
            epoch: number of the epoch, which selects the shard of the data.
            combine: combine all shards of a split, such as valid and valid1.
            kwargs: further arguments of fairseq.
        """
        self.cfg.left_pad_target = False
        upsample = self.cfg.upsample_primary
        self.cfg.upsample_primary = max(upsample, 1) if split == self.cfg.train_subset else 1
        super().load_dataset(split, epoch, combine, **kwargs)
        self.cfg.upsample_primary = upsample
        if self.cfg.nvidia_conventions:
            self.datasets[split] = with_bos(self.datasets[split])

    def build_dataset_for_inference(self, src_tokens, src_lengths, constraints=None):
        pairs = super().build_dataset_for_inference(src_tokens, src_lengths, constraints)
        return with_bos(pairs) if self.cfg.nvidia_conventions else pairs

    def get_batch_iterator(self, dataset, *args, **kwargs):
        """Returns batches; in validation, test and interactive input no sentence is dropped.

        fairseq drops the last sentences of a data set if its size is not a multiple of --required-batch-size-multiple.
        """
        check_batch_options(kwargs)
        if self.is_training and dataset is self.datasets.get(self.cfg.train_subset):
            max_length = self.cfg.train_max_length - 1  # fairseq's sizes include EOS, but not the target's BOS
            limits = (max_length + int(self.cfg.nvidia_conventions), max_length)
            kwargs["max_positions"] = tuple(map(min, limits, self.max_positions()))
        else:
            kwargs["required_batch_size_multiple"] = 1
        self.current_dataset = dataset
        return super().get_batch_iterator(dataset, *args, **kwargs)

    def state_dict(self) -> Dict[str, Any]:
        """Returns the part of the task that checkpoints store."""
        return {**super().state_dict(), nvidia_conventions.NAME: bool(self.cfg.nvidia_conventions)}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Restores the task's state; called by fairseq before it builds a model for translation."""
        stored, of_earlier_model = (state.get(nvidia_conventions.NAME) for state in (state_dict, super().state_dict()))
        if bool(stored) != self.cfg.nvidia_conventions:
            if not stored or of_earlier_model is not None:
                raise UserError(
                    "--nvidia-conventions is only for models that were trained with it; in an ensemble, these are all models or none."
                )
            logger.info("the model was trained with --nvidia-conventions, so it translates with them")
            self.cfg.nvidia_conventions = True
        super().load_state_dict({**state_dict, nvidia_conventions.NAME: bool(stored)})

    # -- precision

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        self.whole_layers = None  # frees their memory until the next validation
        in_precision = self._in_product_precision(criterion)
        return super().train_step(sample, model, in_precision, optimizer, update_num, ignore_grad)

    def valid_step(self, sample, model, criterion):
        """Computes the loss as in training; --eval-bleu translates as fairseq-generate does.

        Args:
            sample: batch of fairseq.
            model: GNMT model.
            criterion: criterion of the training.
        """
        if self.precision is not None:  # in fairseq-validate, which does not prepare models for inference
            model.make_generation_fast_()
        return super().valid_step(sample, model, self._in_product_precision(criterion))

    def _in_product_precision(self, criterion: Callable) -> Callable:
        def loss(model, sample):
            with products_in(self.product_precision, sample["target"].device.type):
                return criterion(model, sample)

        return loss

    # -- search

    def build_generator(self, models, args, seq_gen_cls=None, extra_gen_cls_kwargs=None, prefix_allowed_tokens_fn=None):
        """Returns GNMT's beam search, or one of fairseq's own generators, with a warning, for options that need it.

        Args:
            models: models of the search.
            args: fairseq's GenerationConfig, or any namespace with some of its fields and GNMT's task options.
            seq_gen_cls: generator class of fairseq, or None.
            extra_gen_cls_kwargs: further arguments of the generator.
            prefix_allowed_tokens_fn: fairseq's function for constrained prefixes, or None.
        """
        check_option_names(args)
        check_generation_options(args)
        check_references(args, self.datasets)
        self.soft_alignment = getattr(args, "print_alignment", None) == "soft"
        self.unk_replacements = utils.load_align_dict(getattr(args, "replace_unk", None))
        reason = fairseq_search_reason(models, args, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)
        if seq_gen_cls is not None or reason:
            if self.precision is not None:
                raise UserError(
                    f"--precision is for GNMT's own search, but {reason or seq_gen_cls} is not: leave one out."
                )
            if reason and not getattr(args, "score_reference", False):
                logger.warning(
                    "%s is fairseq's own search: GNMT's length normalisation and coverage penalty do not apply", reason
                )
            if self.cfg.nvidia_conventions:
                check_fairseq_positions(args)
            return super().build_generator(models, args, seq_gen_cls, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)
        return GNMTGenerator(
            models,
            self.target_dictionary,
            self.search_options(args),
            soft_alignment=self.soft_alignment,
            precision=self.precision,
            source_bos=self.cfg.nvidia_conventions,
        )

    def search_options(self, args: Any) -> SearchOptions:
        """Returns the search options of `args`; GNMT's options that are missing there are the task's."""
        names = [option.name for option in dataclasses.fields(SearchOptions)]
        values = {name: getattr(args, name, getattr(self.cfg, name, None)) for name in names}
        return SearchOptions(**{name: value for name, value in values.items() if value is not None})

    def get_interactive_tokens_and_lengths(self, lines, encode_fn):
        """Encodes lines; with --replace-unk, source words outside the dictionary keep their text for copying.

        The words of earlier calls are removed.

        Args:
            lines: lines of text.
            encode_fn: tokenizes a line.
        """
        forget_words()
        copying = self.unk_replacements is not None
        tokens = [
            self.source_dictionary.encode_line(encode_fn(line), add_if_not_exist=copying).long() for line in lines
        ]
        return tokens, [len(sentence) for sentence in tokens]

    def inference_step(self, generator, models, sample, prefix_tokens=None, constraints=None):
        # fairseq-generate has already printed the last batch.
        if any(self.current_dataset is dataset for dataset in self.datasets.values()):
            forget_words()
        source = sample["net_input"]["src_tokens"]
        known_tokens = source.masked_fill(source >= self.vocabulary_size, self.source_dictionary.unk())
        masked = {**sample, "net_input": {**sample["net_input"], "src_tokens": known_tokens}}
        # fairseq's own search starts from EOS unless another token is given.
        if self.cfg.nvidia_conventions and isinstance(generator, SequenceGenerator):
            bos = self.target_dictionary.bos()
            hypotheses = generator.generate(
                models, masked, prefix_tokens=prefix_tokens, constraints=constraints, bos_token=bos
            )
        else:
            hypotheses = super().inference_step(generator, models, masked, prefix_tokens, constraints)
        if not isinstance(generator, GNMTGenerator):
            positions = source_positions(source, self.source_dictionary.pad(), int(self.cfg.nvidia_conventions))
            add_alignments(hypotheses, positions, self.soft_alignment, isinstance(generator, SequenceScorer))
        if self.unk_replacements is not None:
            for nbest, words in zip(hypotheses, self.source_words(sample)):
                for hypothesis in nbest:
                    tokens = copy_unknown_words(hypothesis, words, self.unk_replacements, self.target_dictionary)
                    hypothesis["tokens"] = tokens
        return hypotheses

    def source_words(self, sample) -> List[List[str]]:
        """Returns the tokens of each source sentence without BOS; unknown words have their original text."""
        assert self.current_dataset is not None, "batches have been made"
        source = self.current_dataset.src
        if hasattr(source, "get_original_text"):  # --dataset-impl raw
            return [tokenize_line(source.get_original_text(index)) for index in sample["id"].tolist()]
        rows = sample["net_input"]["src_tokens"]
        sentences = [utils.strip_pad(row, self.source_dictionary.pad()).tolist() for row in rows]
        source_bos = int(self.cfg.nvidia_conventions)
        return [[self.source_dictionary[token] for token in tokens[source_bos:]] for tokens in sentences]

    # -- model

    def build_model(self, cfg, from_checkpoint=False):
        if not from_checkpoint:
            self.is_training = True
            root = cfg._get_root() if isinstance(cfg, DictConfig) else None
            if root is not None and "generation" in root:  # the whole configuration, also in fairseq-hydra-train
                check_options(root, TRAIN)
            check_validation_options(self.cfg)
            check_beginning(self.cfg)
            check_restore_file(self.cfg.restore_file)
            restored = restored_file(self.cfg.save_dir, self.cfg.restore_file, self.cfg.finetune_from_model)
            nvidia_conventions.check_restored(restored, self.cfg.nvidia_conventions)
            placement = placement_for(root, self.cfg.layer_devices, self.cfg.time_chunks)
        model = super().build_model(cfg, from_checkpoint)
        if not from_checkpoint:
            if self.cfg.pretrained_embeddings and not restored.exists():
                vectors = Path(self.cfg.pretrained_embeddings)
                init_embeddings_from_file(model, self.source_dictionary, self.target_dictionary, vectors)
            if placement is not None:
                model.place(placement)
            if not self.cfg.no_save:
                check_disk_space(self.cfg.save_dir, sum(parameter.numel() for parameter in model.parameters()))
            if self.cfg.vocabulary_parallel > 1:
                divide_over_processes(model, self.cfg.vocabulary_parallel)
        if self.cfg.eval_bleu:
            if self.unk_replacements is not None:
                raise UserError(
                    "replace_unk in --eval-bleu-args has no effect: the unknown words of the references are lost, too."
                )
            self.bleu = ValidationBLEU(
                self.tgt_dict,
                self.cfg.eval_bleu_remove_bpe,
                self.tokenizer,
                self.cfg.eval_tokenized_bleu,
                self.cfg.eval_bleu_print_samples,
            )
        return model

    # -- BLEU on the validation set

    def build_criterion(self, cfg, from_checkpoint=False):
        """Returns the criterion.

        Args:
            cfg: configuration of the criterion, which may come from a checkpoint.
            from_checkpoint: passed to fairseq.

        Raises:
            UserError: if the criterion is unknown.
        """
        name = getattr(cfg, "_name", None)
        if name is not None and name not in CRITERION_REGISTRY:
            raise UserError(f"The criterion {name!r:.50} is unknown: pass the --user-dir that defines it.")
        return super().build_criterion(cfg, from_checkpoint)

    def begin_valid_epoch(self, epoch, model):
        """Gathers the layers divided by --vocabulary-parallel, once for all batches of a validation.

        Args:
            epoch: number of the epoch.
            model: GNMT model.
        """
        if self.cfg.eval_bleu and self.cfg.vocabulary_parallel > 1:
            self.whole_layers = gather_layers(model)

    def _inference_with_bleu(self, generator, sample, model):
        """Returns the counts of BLEU; with --vocabulary-parallel each process translates its share of the sentences.

        Args:
            generator: search.
            sample: batch of all processes.
            model: GNMT model.
        """
        if self.whole_layers is None:
            return self._bleu(generator, sample, model)
        with with_layers(model, self.whole_layers):
            share = own_sentences(sample)
            score = None if share is None else self._bleu(generator, share, model)
        return summed_counts(score, BLEU_ORDER, sample["target"].device)

    def _bleu(self, generator, sample, model):
        """Returns the BLEU statistics of a batch.

        Args:
            generator: search.
            sample: batch, or a share of it.
            model: GNMT model.
        """
        hypotheses = self.inference_step(generator, [model], sample)
        return self.bleu.score(hypotheses, sample["target"], generator.symbols_to_strip_from_output)

    def reduce_metrics(self, logging_outputs, criterion):
        """Logs metrics as fairseq does, but as plain numbers: torch does not load arrays in checkpoints.

        Args:
            logging_outputs: logging outputs of all processes and batches.
            criterion: criterion of the training.
        """
        super(TranslationTask, self).reduce_metrics(logging_outputs, criterion)
        log_bleu(logging_outputs)
