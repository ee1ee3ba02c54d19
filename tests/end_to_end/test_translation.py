"""Tests the search options of fairseq-generate.

Expected values come from formulas, from other runs, and from the references.
"""

import re
import shutil
from typing import Dict, List

import pytest
from commands import run, succeed
from hypotheses import Hypothesis, generate, read, texts
from sacrebleu.metrics import BLEU
from tiny_corpora import (
    TASK,
    TEST,
    VALID,
    digit_pairs,
    digits,
    sentences,
    subword_model,
    trained_on_digits,
    trained_on_sentences,
    write,
)


@pytest.fixture(scope="module")
def plain() -> Dict[int, List[Hypothesis]]:
    return generate()


def test_it_translates(plain):
    expected = {index: de for index, (_, de) in enumerate(digit_pairs(VALID, seed=2))}
    right = [re.sub(r"Name\S+", "<unk>", expected[index]) == nbest[0].text for index, nbest in plain.items()]
    assert len(plain) == VALID and sum(right) >= VALID - 2


def test_score_is_that_of_the_tokens_and_the_penalties(plain):
    """log P / ((5 + length) / 6)^0.6 without the coverage penalty, which can only decrease scores."""
    for index, nbest in generate("--coverage-penalty", 0).items():
        steps = nbest[0].steps
        # each step is printed with 4 decimals
        expected = sum(steps) / ((5 + len(steps)) / 6) ** 0.6
        assert nbest[0].score == pytest.approx(expected, abs=1e-4 * len(steps))
        if nbest[0].text == plain[index][0].text:
            assert plain[index][0].score <= nbest[0].score + 1e-4
    for nbest in generate("--coverage-penalty", 0, "--length-norm-factor", 0).values():
        assert nbest[0].score == pytest.approx(sum(nbest[0].steps), abs=1e-3)


def test_the_training_set_is_translated_whole():
    """300 pairs are no multiple of 8, and --train-max-length applies to training only."""
    nbest_lists = generate("--gen-subset", "train", "--beam", 1, "--max-len-b", 3, "--train-max-length", 4)
    assert sorted(nbest_lists) == list(range(300))


def test_batch_size_makes_no_difference(plain):
    alone, together = generate("--batch-size", 1), generate("--batch-size", 8)
    assert texts(alone) == texts(together) == texts(plain)
    for index in alone:
        assert alone[index][0].score == pytest.approx(together[index][0].score, abs=1e-4)


def test_nbest_lists_are_sorted_and_begin_with_the_best(plain):
    for index, nbest in generate("--nbest", 3).items():
        assert len(nbest) == 3 and nbest[0].text == plain[index][0].text
        assert sorted(nbest, key=lambda hypothesis: -hypothesis.score) == nbest
        # the text leaves out special tokens that a model may generate, so two hypotheses can have equal texts
        assert len({(hypothesis.text, tuple(hypothesis.steps)) for hypothesis in nbest}) == 3


def test_beam_1_is_greedy():
    """A wider beam finds at least as good a sentence; greedy search takes the most probable token at each step."""
    greedy, wide = (generate("--beam", beam, "--length-norm-factor", 0, "--coverage-penalty", 0) for beam in (1, 8))
    assert all(len(nbest) == 1 and nbest[0].score <= wide[index][0].score + 1e-4 for index, nbest in greedy.items())


def test_length_limits():
    # The source length includes EOS; the limit of the translation does not.
    words = {index: len(en.split()) for index, (en, _) in enumerate(digit_pairs(VALID, seed=2))}
    for index, nbest in generate("--max-len-a", 0.5, "--max-len-b", 1, "--min-len", 1).items():
        assert len(nbest[0].text.split()) <= int(0.5 * (words[index] + 1)) + 1
    # steps include EOS; the text leaves out special tokens that a model generates when EOS is forbidden
    assert all(len(nbest[0].steps) >= 9 + 1 for nbest in generate("--min-len", 9).values())


def test_unknown_word_penalty(plain):
    assert any("<unk>" in nbest[0].text for nbest in plain.values())
    assert not any("<unk>" in nbest[0].text for nbest in generate("--unkpen", 100).values())


def test_temperature_flattens_the_distribution(plain):
    hot = generate("--temperature", 3)
    assert all(sum(hot[index][0].steps) < sum(plain[index][0].steps) for index in plain)


def test_no_ngram_is_repeated(plain):
    def repeats(nbest):
        words = nbest[0].text.split()
        return len(words) != len(set(words))

    assert any(map(repeats, plain.values()))
    assert not any(map(repeats, generate("--no-repeat-ngram-size", 1).values()))


def test_prefix_is_forced():
    references = {index: de.split() for index, (_, de) in enumerate(digit_pairs(VALID, seed=2))}
    for index, nbest in generate("--prefix-size", 2, "--nbest", 2, "--temperature", 9).items():
        for hypothesis in nbest:
            assert hypothesis.text.split()[:2] == [re.sub("Name.*", "<unk>", word) for word in references[index][:2]]


@pytest.mark.parametrize("padding", [[], ["--left-pad-source"]], ids=["left-padded", "right-padded"])
def test_alignment(padding, plain):
    """The corpus is translated word by word, so most words align with the word at the same position."""
    translations = generate("--print-alignment", "hard", *padding)
    assert texts(translations) == texts(plain)
    pairs = [pair for nbest in translations.values() for pair in nbest[0].alignment.split()]
    assert len(pairs) == sum(len(nbest[0].text.split()) for nbest in translations.values())
    assert sum(source == target for source, target in (pair.split("-") for pair in pairs)) > 0.8 * len(pairs)

    for index, nbest in generate("--print-alignment", "soft", *padding).items():
        rows = [[float(weight) for weight in row.split(",")] for row in nbest[0].alignment.split()]
        assert len(rows) == len(nbest[0].steps)  # EOS has a row, too
        assert all(sum(row) == pytest.approx(1, abs=1e-4) for row in rows)
        hard = [f"{row[:-1].index(max(row[:-1]))}-{target}" for target, row in enumerate(rows[:-1])]
        assert hard == translations[index][0].alignment.split()


def test_unknown_words_are_copied_in_generate(tmp_path):
    """The raw text of the source is available with --dataset-impl raw only."""
    pairs = digit_pairs(VALID, seed=2)
    for language, lines in zip(("en", "de"), zip(*pairs)):
        (tmp_path / f"valid.en-de.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        shutil.copy(digits() / f"dict.{language}.txt", tmp_path)
    translations = generate("--dataset-impl", "raw", "--replace-unk", data=tmp_path)
    right = [translations[index][0].text == de for index, (_, de) in enumerate(pairs)]
    assert sum(right) >= VALID - 2
    assert any("Name" in nbest[0].text for nbest in translations.values())


def test_references_are_scored():
    scored = generate("--score-reference")
    for index, (_, de) in enumerate(digit_pairs(VALID, seed=2)):
        assert scored[index][0].text == re.sub(r"Name\S+", "<unk>", de)
        steps = scored[index][0].steps
        assert scored[index][0].score == pytest.approx(sum(steps) / len(steps), abs=1e-3)


def test_ensemble_of_a_model_with_itself_is_the_model(plain):
    twice = generate(checkpoint=f"{trained_on_digits()}:{trained_on_digits()}")
    assert texts(twice) == texts(plain)
    assert all(twice[index][0].score == pytest.approx(plain[index][0].score, abs=1e-3) for index in plain)


@pytest.mark.slow
def test_ensemble_of_two_models(plain):
    ensemble = generate("--score-reference", checkpoint=f"{trained_on_digits()}:{trained_on_digits(seed=2)}")
    first_model, second_model = (
        generate("--score-reference"),
        generate("--score-reference", checkpoint=trained_on_digits(seed=2)),
    )
    for index, nbest in ensemble.items():
        for step, first, second in zip(nbest[0].steps, first_model[index][0].steps, second_model[index][0].steps):
            assert 2**step == pytest.approx((2**first + 2**second) / 2, abs=1e-3)
    translations = generate(checkpoint=f"{trained_on_digits()}:{trained_on_digits(seed=2)}")
    assert sum(translations[index][0].text == plain[index][0].text for index in plain) >= VALID - 2


def test_half_precision(plain):
    half = generate("--fp16")
    assert sum(half[index][0].text == plain[index][0].text for index in plain) >= VALID - 1
    assert all(half[index][0].score == pytest.approx(plain[index][0].score, abs=0.05) for index in plain)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_precisions(plain, precision):
    actual = generate("--precision", precision)
    assert sum(actual[index][0].text == plain[index][0].text for index in plain) >= VALID - 1
    scores = [(actual[index][0].score, plain[index][0].score) for index in plain]
    # products have errors of about 1 %, which change uncertain log-probabilities by some hundredths
    assert scores[0][0] != scores[0][1] and all(score == pytest.approx(exact, abs=0.15) for score, exact in scores)
    alone = generate("--precision", precision, "--batch-size", 1)
    assert texts(alone) == texts(actual)
    assert all(alone[index][0].score == pytest.approx(actual[index][0].score, abs=2e-3) for index in alone)


@pytest.mark.parametrize(
    "options",
    [
        ["--quantize", "int8"],
        ["--model-overrides", "{'quantize':'int8'}"],
        ["--model-overrides", "{'precision':'int8'}"],
    ],
    ids=["option", "override", "new override"],
)
def test_the_earlier_spelling_of_precision(options):
    """Translations equal the output of --precision int8; only the former name gives one warning."""
    done = run("generate", digits(), *TASK, "--gen-subset", "valid", "--path", trained_on_digits(), *options)
    assert read(done.stdout) == generate("--precision", "int8")
    assert done.text.count("--quantize int8 is now --precision int8") == ("quantize" in str(options))


@pytest.mark.parametrize(
    "options, name",
    [
        (["--sampling", "--sampling-topk", 3, "--beam", 2, "--nbest", 2], "--sampling"),
        (["--diverse-beam-groups", 2, "--beam", 4], "--diverse-beam-groups"),
        (["--diversity-rate", 0.5], "--diversity-rate"),
    ],
)
def test_searches_of_fairseq_are_reported(options, name):
    printed = succeed("generate", digits(), *TASK, "--path", trained_on_digits(), *options)
    assert f"{name} is fairseq's own search: GNMT's length normalisation and coverage penalty do not apply" in printed
    assert len(read(printed)) == TEST


def test_language_model_is_fairseqs_own_search(tmp_path):
    write(tmp_path / "text", {split: digit_pairs(40, seed=9) for split in ("train", "valid")})
    succeed(
        "preprocess",
        "--only-source",
        "--srcdict",
        digits() / "dict.de.txt",
        "--destdir",
        tmp_path / "bin",
        "--trainpref",
        tmp_path / "text" / "train.de",
        "--validpref",
        tmp_path / "text" / "valid.de",
    )
    succeed(
        "train",
        tmp_path / "bin",
        "--task",
        "language_modeling",
        "--arch",
        "transformer_lm",
        "--cpu",
        "--decoder-embed-dim",
        16,
        "--decoder-ffn-embed-dim",
        16,
        "--decoder-layers",
        1,
        "--decoder-attention-heads",
        2,
        "--tokens-per-sample",
        16,
        "--max-tokens",
        64,
        "--max-update",
        2,
        "--optimizer",
        "adam",
        "--lr",
        "1e-3",
        "--num-workers",
        0,
        "--save-dir",
        tmp_path / "lm",
        "--user-dir",
        TASK[1],
        "--disable-validation",
    )
    shutil.copy(digits() / "dict.de.txt", tmp_path / "bin" / "dict.txt")
    for name in digits().iterdir():
        shutil.copy(name, tmp_path / "bin")
    printed = succeed(
        "generate",
        tmp_path / "bin",
        *TASK,
        "--path",
        trained_on_digits(),
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--lm-path",
        tmp_path / "lm" / "checkpoint_last.pt",
        "--lm-weight",
        0.01,
    )
    assert "--lm-path is fairseq's own search" in printed and len(read(printed)) == TEST


def test_sacrebleu_scores_the_text():
    options = [sentences(), *TASK, "--path", trained_on_sentences()]
    options += ["--bpe", "sentencepiece", "--sentencepiece-model", subword_model()]
    printed = succeed("generate", *options, "--gen-subset", "valid", "--sacrebleu")
    texts = {kind: dict(re.findall(rf"^{kind}-(\d+)\t(?:-[.\d]+\t)?(.*)$", printed, re.MULTILINE)) for kind in "TD"}
    assert len(texts["T"]) == VALID
    expected = BLEU().corpus_score([texts["D"][index] for index in texts["T"]], [list(texts["T"].values())])
    assert 0 < expected.score < 100
    assert printed.rstrip().endswith(f"Generate valid with beam=5: {expected}")
    tokenised = succeed("generate", *options, "--gen-subset", "valid")
    assert "BLEU4 = " in tokenised and "Use --sacrebleu" in tokenised
    assert "Use --sacrebleu" not in succeed("generate", *options, "--scoring", "gnmt_bleu")


def test_results_path_holds_the_output(tmp_path):
    options = [digits(), *TASK, "--path", trained_on_digits()]
    succeed("generate", *options, "--results-path", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["generate-test.txt"]
    written = (tmp_path / "generate-test.txt").read_text(encoding="utf-8")
    assert read(written) == read(succeed("generate", *options)) and "Generate test with beam=5: BLEU4" in written


def test_interrupted_results_leave_the_earlier_ones(tmp_path):
    (tmp_path / "generate-test.txt").write_text("earlier")
    done = run("generate", digits(), *TASK, "--path", "none.pt", "--results-path", tmp_path)
    assert done.code == 1 and (tmp_path / "generate-test.txt").read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 1
