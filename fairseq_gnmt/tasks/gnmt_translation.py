"""Translation with GNMT's search; the data and all other options are those of fairseq's `translation` task."""
import dataclasses
import logging
from dataclasses import dataclass, field
from typing import Any, Dict, Optional

import torch
from fairseq.data.data_utils import post_process
from fairseq.data.encoders import TOKENIZER_REGISTRY
from fairseq.dataclass import ChoiceEnum
from fairseq.dataclass.configs import GenerationConfig
from fairseq.logging import metrics
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from omegaconf import II
from sacrebleu.metrics import BLEU

from fairseq_gnmt.checkpoint_loading import check_restore_file, restored_file
from fairseq_gnmt.checkpoint_writing import check_disk_space
from fairseq_gnmt.errors import UserError
from fairseq_gnmt.search.fairseq_options import check_option_names, check_options_are_ours, fairseq_search_reason
from fairseq_gnmt.search.generator import GNMTGenerator
from fairseq_gnmt.search.options import SearchOptions
from fairseq_gnmt.tasks import nvidia_conventions
from fairseq_gnmt.tasks.nvidia_conventions import begin_marked

logger = logging.getLogger(__name__)

NO_LIMIT = 100_000  # tokens; fairseq wants a number where an LSTM has no limit
BLEU_ORDER = 4
LEAST = {"max_tokens": 1, "batch_size": 1, "required_batch_size_multiple": 1, "num_workers": 0}


@dataclass
class GNMTTranslationConfig(TranslationConfig):
    length_norm_factor: float = field(
        default=0.6, metadata={"help": "a in the length penalty ((c + length) / (c + 1))^a; 0: none"}
    )
    length_norm_const: float = field(default=5.0, metadata={"help": "c in the length penalty"})
    coverage_penalty: float = field(
        default=0.1, metadata={"help": "weight of the coverage penalty on sources that got little attention; 0: none"}
    )
    quantize: ChoiceEnum(["none", "int8"]) = field(
        default="none", metadata={"help": "arithmetic of translation: the model's own, or 8-bit integers (on a CPU)"}
    )
    train_max_length: int = field(
        default=1024,
        metadata={"help": "skip training pairs with a longer side, in tokens with begin and end mark (NVIDIA: 50)"},
    )
    nvidia_conventions: bool = field(
        default=False,
        metadata={"help": "begin marks on sources and to start decoding from, as NVIDIA's models were trained with"},
    )
    max_source_positions: int = field(default=NO_LIMIT, metadata={"help": "longest source sentence"})
    max_target_positions: int = field(default=NO_LIMIT, metadata={"help": "longest target sentence"})
    save_dir: str = II("checkpoint.save_dir")
    no_save: bool = II("checkpoint.no_save")
    restore_file: str = II("checkpoint.restore_file")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    # Always true, and no option: new batches in every epoch. fairseq would keep those of the epoch that a training
    # was started in, so that a resumed one had others.
    rebuild_batches: bool = II("oc.decode:'true'")


# --replace-unk alone means to copy the source word; fairseq's constant for it, "@@ ", names a file of that name.
_replace_unk = GenerationConfig.__dataclass_fields__["replace_unk"]
_replace_unk.metadata = {**_replace_unk.metadata, "argparse_const": ""}


def check_batch_options(given: Dict[str, Any]) -> None:
    """fairseq takes 0 sentences for all of them at once."""
    for name, least in LEAST.items():
        value = given.get("max_sentences" if name == "batch_size" else name)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be at least {least}.")


def check_validation_options(cfg: GNMTTranslationConfig) -> None:
    """What fairseq would only stumble over after the first epoch."""
    if cfg.eval_bleu:
        if cfg.eval_bleu_detok not in TOKENIZER_REGISTRY:
            known = ", ".join(sorted(TOKENIZER_REGISTRY))
            raise UserError(f"--eval-bleu-detok is {cfg.eval_bleu_detok}, but must be one of {known}.")
        post_process("", cfg.eval_bleu_remove_bpe)
    elif cfg.best_checkpoint_metric == "bleu":
        raise UserError("--best-checkpoint-metric bleu needs --eval-bleu, which translates the validation set.")


def check_fairseq_positions(args: Any) -> None:
    """fairseq's own searches would count the source's begin mark as a word."""
    for name in ("print_alignment", "replace_unk", "match_source_len"):
        if getattr(args, name, None) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} goes with --nvidia-conventions only in GNMT's own search.")


@register_task("gnmt_translation", dataclass=GNMTTranslationConfig)
class GNMTTranslationTask(TranslationTask):
    cfg: GNMTTranslationConfig

    # -- data

    def load_dataset(self, split, epoch=1, combine=False, **kwargs):
        super().load_dataset(split, epoch, combine, **kwargs)
        if self.cfg.nvidia_conventions:
            self.datasets[split] = begin_marked(self.datasets[split])

    def build_dataset_for_inference(self, src_tokens, src_lengths, constraints=None):
        pairs = super().build_dataset_for_inference(src_tokens, src_lengths, constraints)
        return begin_marked(pairs) if self.cfg.nvidia_conventions else pairs

    def get_batch_iterator(self, dataset, *args, **kwargs):
        """As fairseq's, but validation, test and interactive input keep every sentence and any length.

        fairseq drops the tail of a data set whose size is not a multiple of --required-batch-size-multiple.
        """
        check_batch_options(kwargs)
        if dataset is self.datasets.get(self.cfg.train_subset):
            longest = self.cfg.train_max_length - 1  # fairseq's sizes count the end mark, not the target's begin mark
            kwargs["max_positions"] = (longest + int(self.cfg.nvidia_conventions), longest)
        else:
            kwargs["required_batch_size_multiple"] = 1
        return super().get_batch_iterator(dataset, *args, **kwargs)

    def state_dict(self) -> Dict[str, Any]:
        """What checkpoints store of the task."""
        return {**super().state_dict(), nvidia_conventions.NAME: bool(self.cfg.nvidia_conventions)}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """fairseq calls it before it builds each model that is to translate, and before it loads their data."""
        stored, of_earlier_model = (state.get(nvidia_conventions.NAME) for state in (state_dict, super().state_dict()))
        if bool(stored) != self.cfg.nvidia_conventions:
            if not stored or of_earlier_model is not None:
                raise UserError(
                    "--nvidia-conventions holds for models that were trained with it, in an ensemble for all or none."
                )
            logger.info("the model was trained with --nvidia-conventions, so it translates with them")
            self.cfg.nvidia_conventions = True
        super().load_state_dict({**state_dict, nvidia_conventions.NAME: bool(stored)})

    # -- search

    def build_generator(
        self, models, args, seq_gen_cls=None, extra_gen_cls_kwargs=None, prefix_allowed_tokens_fn=None
    ):
        """GNMT's beam search; fairseq's own generators for what only they do, with a word about it.

        args is fairseq's GenerationConfig, or any namespace with some of its fields and GNMT's task options.
        """
        check_option_names(args)
        self.vocabulary_size = len(self.source_dictionary)
        self.keep_unknown_words = getattr(args, "replace_unk", None) is not None
        reason = fairseq_search_reason(models, args, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)
        if seq_gen_cls is not None or reason:
            if str(self.cfg.quantize) != "none":
                raise UserError(f"--quantize is for GNMT's own search, but {reason or seq_gen_cls} is not: leave one out.")
            if reason and not getattr(args, "score_reference", False):
                logger.warning(
                    "%s is fairseq's own search: GNMT's length normalisation and coverage penalty do not apply", reason
                )
            if self.cfg.nvidia_conventions:
                check_fairseq_positions(args)
            return super().build_generator(models, args, seq_gen_cls, extra_gen_cls_kwargs, prefix_allowed_tokens_fn)
        check_options_are_ours(args)
        return GNMTGenerator(
            models,
            self.target_dictionary,
            self.search_options(args),
            soft_alignment=getattr(args, "print_alignment", None) == "soft",
            quantize=str(self.cfg.quantize),
            begin_marks=self.cfg.nvidia_conventions,
        )

    def search_options(self, args: Any) -> SearchOptions:
        """fairseq's options and GNMT's from args; GNMT's from the task where args has none."""
        names = [option.name for option in dataclasses.fields(SearchOptions)]
        found = {name: getattr(args, name, getattr(self.cfg, name, None)) for name in names}
        return SearchOptions(**{name: value for name, value in found.items() if value is not None})

    def get_interactive_tokens_and_lengths(self, lines, encode_fn):
        """With --replace-unk, source words outside the dictionary keep their text, to be copied from."""
        tokens = [
            self.source_dictionary.encode_line(encode_fn(line), add_if_not_exist=self.keep_unknown_words).long()
            for line in lines
        ]
        return tokens, [len(sentence) for sentence in tokens]

    def inference_step(self, generator, models, sample, prefix_tokens=None, constraints=None):
        source = sample["net_input"]["src_tokens"]
        known = source.masked_fill(source >= self.vocabulary_size, self.source_dictionary.unk())
        sample = {**sample, "net_input": {**sample["net_input"], "src_tokens": known}}
        if self.cfg.nvidia_conventions and isinstance(generator, SequenceGenerator):  # fairseq's own starts from EOS
            begin = self.target_dictionary.bos()
            return generator.generate(
                models, sample, prefix_tokens=prefix_tokens, constraints=constraints, bos_token=begin
            )
        return super().inference_step(generator, models, sample, prefix_tokens, constraints)

    # -- BLEU on the validation set

    def build_model(self, cfg, from_checkpoint=False):
        if not from_checkpoint:
            check_validation_options(self.cfg)
            check_restore_file(self.cfg.restore_file)
            restored = restored_file(self.cfg.save_dir, self.cfg.restore_file, self.cfg.finetune_from_model)
            nvidia_conventions.check_restored(restored, self.cfg.nvidia_conventions)
        model = super().build_model(cfg, from_checkpoint)
        if not from_checkpoint and not self.cfg.no_save:
            check_disk_space(self.cfg.save_dir, sum(parameter.numel() for parameter in model.parameters()))
        if self.cfg.eval_bleu:
            tokenize = "none" if self.cfg.eval_tokenized_bleu else BLEU.TOKENIZER_DEFAULT
            self.bleu = BLEU(tokenize=tokenize)
            self.bleu.corpus_score([""], [[""]])  # the signature wants to have seen references
            logger.info("validation BLEU: %s", self.bleu.get_signature())
        return model

    def _inference_with_bleu(self, generator, sample, model):
        """The same text as fairseq-generate's, so that both report the same BLEU."""
        hypotheses = self.inference_step(generator, [model], sample)
        ignored = generator.symbols_to_strip_from_output

        def text(tokens: torch.Tensor, escape_unk: bool) -> str:
            joined = self.tgt_dict.string(tokens.int().cpu(), self.cfg.eval_bleu_remove_bpe, escape_unk, ignored)
            return self.tokenizer.decode(joined) if self.tokenizer else joined

        translations = [text(nbest[0]["tokens"], escape_unk=False) for nbest in hypotheses]
        references = [text(row[row != self.tgt_dict.pad()], escape_unk=True) for row in sample["target"]]
        if self.cfg.eval_bleu_print_samples:
            logger.info("example hypothesis: %s", translations[0])
            logger.info("example reference: %s", references[0])
        return self.bleu.corpus_score(translations, [references])

    def reduce_metrics(self, logging_outputs, criterion):
        """As fairseq's, with plain numbers: arrays in a checkpoint's meters keep torch from reading it again."""
        super(TranslationTask, self).reduce_metrics(logging_outputs, criterion)
        names = [f"_bleu_{part}_{n}" for part in ("counts", "totals") for n in range(BLEU_ORDER)]
        names += ["_bleu_sys_len", "_bleu_ref_len"]
        if not any("_bleu_sys_len" in log for log in logging_outputs):
            return
        for name in names:
            metrics.log_scalar(name, int(sum(log.get(name, 0) for log in logging_outputs)))

        def compute_bleu(meters) -> float:
            sums = [int(meters[name].sum) for name in names]
            score = BLEU.compute_bleu(sums[:BLEU_ORDER], sums[BLEU_ORDER:-2], *sums[-2:], smooth_method="exp")
            return round(score.score, 2)

        metrics.log_derived("bleu", compute_bleu)
