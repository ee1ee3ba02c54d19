"""Tests `Translator`. Expected translations come from searches over the tokens of each text."""

import threading

import pytest
import torch
from model_folders import WORDS, make_model_folder

from gnmt import Translator
from gnmt.errors import UserError
from gnmt.search.options import SamplingOptions
from gnmt.search.search_queue import QueuedSentence
from gnmt.tokenizers.vocabulary import EOS
from gnmt.tokenizers.word_alignment import Link, align_words, words_of
from gnmt.translation.options import TranslationOptions
from gnmt.translator import BATCHES_AHEAD

TEXTS = [
    "the dog sees a cat.",
    "",
    "the cats run, and a dog runs.",
    "dog",
    "  ",
    "a cat and the dog and a cat and the dog sees.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model_folder(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.from_pretrained(folder)


def test_each_text_has_its_translation_whatever_the_batch(translator):
    together = translator.translate(TEXTS, nbest=3)
    for size in (1, 2, 64):
        for text, translation in zip(TEXTS, translator.translate(TEXTS, nbest=3, batch_size=size), strict=True):
            (alone,) = translator.translate([text], nbest=3)
            assert translation.text == alone.text
            assert [hypothesis.tokens for hypothesis in translation.nbest] == [
                hypothesis.tokens for hypothesis in alone.nbest
            ]
    assert together[1].text == "" and together[4].text == "  " and together[1].nbest == []


def test_a_translation_has_its_parts(translator):
    (translation,) = translator.translate(["the dog sees a cat."], nbest=2)
    best, second = translation.nbest
    assert best.score >= second.score and translation.text == best.text
    assert len(best.positional_scores) == len(best.tokens) + 1
    assert best.attention.shape == (len(best.tokens) + 1, 6 + 1)
    torch.testing.assert_close(best.attention.sum(dim=1), torch.ones(len(best.tokens) + 1))
    assert [link.target for link in best.word_alignment] == list(range(words_of(best.tokens)[-1] + 1))
    # log P / lp + cp by the formulas
    length = len(best.tokens) + 1
    coverage = 0.1 * best.attention.sum(dim=0).clamp(max=1).log().sum()
    assert best.score == pytest.approx(
        sum(best.positional_scores) / ((5 + length) / 6) ** 0.6 + float(coverage), abs=1e-5
    )


def test_forced_decoding_is_one_pass_through_the_network(translator):
    """The second target has an unknown token, scored with the probability of UNK."""
    scores = translator.score(["the dog sees.", "a cat"], ["a cat.", "zebra dog and dog"])
    vocabulary = translator.model.source_vocabulary
    for source, target, actual in zip(["▁the ▁dog ▁sees .", "▁a ▁cat"], ["▁a ▁cat .", "<unk> ▁dog ▁and ▁dog"], scores):
        target_ids = [*vocabulary.encode(target), EOS]
        logits, _ = translator.model.network(
            torch.tensor([[*vocabulary.encode(source), EOS]]), torch.tensor([[EOS, *target_ids[:-1]]])
        )
        expected = logits[0].log_softmax(dim=-1).gather(1, torch.tensor(target_ids)[:, None])[:, 0]
        assert actual == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_prefix_begins_the_translation(translator):
    translations = translator.translate(TEXTS[:1] * 2, prefix=["a cat", ""])
    assert translations[0].tokens[:2] == ["▁a", "▁cat"]
    assert translations[1].tokens == translator.translate(TEXTS[:1])[0].tokens


def test_sentences_are_translated_apart_and_line_breaks_stay(translator):
    text = "The dog runs. A cat sees.\n\nThe dog."
    (translation,) = translator.translate([text], split_sentences=True)
    parts = [translation.text for translation in translator.translate(["The dog runs.", "A cat sees.", "The dog."])]
    assert translation.text == f"{parts[0]} {parts[1]}\n\n{parts[2]}"
    assert [sentence.source for sentence in translation.sentences] == ["The dog runs.", "A cat sees.", "", "The dog."]
    with pytest.raises(UserError, match="has 4 sentences"):
        _ = translation.nbest


def test_lone_surrogates_are_replaced(translator):
    broken, replaced = ["a cat", "a \ud800 dog"], ["a cat", "a \ufffd dog"]
    expected = translator.translate(replaced, prefix=["", "a \ufffd"])
    assert translator.translate(broken, prefix=["", "a \ud800"])[1].text == expected[1].text
    for split in (False, True):
        translations = list(translator.stream(broken, TranslationOptions(split_sentences=split)))
        assert [translation.sentences[0].source for translation in translations] == replaced
    assert translator.score(broken, broken) == translator.score(replaced, replaced)


def test_a_long_text_is_cut_and_says_so(translator):
    (translation,) = translator.translate(["the dog sees a cat."], max_length=3)
    assert translation.sentences[0].is_truncated
    assert translation.text == translator.translate(["the dog sees"])[0].text


def test_unknown_tokens_can_be_replaced_by_source_tokens(translator):
    plain, replaced = (
        translator.translate(["zebra dog zebra"], replace_unk=flag, nbest=5)[0] for flag in (False, True)
    )
    for plain_hypothesis, replaced_hypothesis in zip(plain.nbest, replaced.nbest):
        expected = [
            ["▁zebra", "▁dog", "▁zebra"][int(row[:-1].argmax())] if token == "<unk>" else token
            for token, row in zip(plain_hypothesis.tokens, plain_hypothesis.attention)
        ]
        assert replaced_hypothesis.tokens == expected
    assert len(translator.model.target_vocabulary) == 4 + len(WORDS)


def test_an_ensemble_of_one_model_twice_is_that_model(folder, translator):
    ensemble = Translator.from_pretrained([folder, folder])
    assert [translation.text for translation in ensemble.translate(TEXTS)] == [
        translation.text for translation in translator.translate(TEXTS)
    ]


def test_models_of_an_ensemble_have_one_vocabulary(tmp_path, folder):
    with pytest.raises(UserError, match="must all begin sources with BOS"):
        Translator.from_pretrained([folder, make_model_folder(tmp_path / "other", source_bos=True)])


def test_representations_are_short(translator, folder):
    (translation,) = translator.translate(["the dog sees a cat."], nbest=2)
    text = repr(translation)
    assert "tensor" not in text and "attention" not in text and f"text={translation.text!r}" in text
    assert repr(translator) == "<Translator from en to de, fp32 on cpu>"
    ensemble = Translator.from_pretrained([folder, folder], precision="bf16")
    assert repr(ensemble) == "<Translator from en to de, bf16 on cpu, ensemble of 2 models>"


@pytest.mark.parametrize("stored, used", [("int8", "int8"), ("bf16", "bf16"), ("fp16", "fp32")])
def test_the_stored_precision_is_the_default(tmp_path, stored, used):
    """fp16 is used on GPUs only."""
    translator = Translator.from_pretrained(make_model_folder(tmp_path / "model", precision=stored))
    assert translator.precision == used
    assert len(translator.translate(TEXTS)) == len(TEXTS)
    with pytest.raises(UserError, match="precision is 'int4', but must be one of fp32, fp16, bf16, int8"):
        Translator.from_pretrained(tmp_path / "model", precision="int4")


def test_threads_do_not_disturb_each_other(translator):
    expected = [translation.text for translation in translator.translate(TEXTS)]
    results = {}

    def work(name):
        results[name] = [
            [translation.text for translation in translator.translate(TEXTS, beam=2 + name % 2 * 3)] for _ in range(3)
        ]

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[1] == results[3] == [expected] * 3
    assert results[0] == results[2]


# -- streams


def test_a_stream_is_translated_in_order_and_read_only_a_little_ahead(translator):
    texts = (TEXTS * 20)[:110]
    expected = [translation.text for translation in translator.translate(texts)]
    read = []

    def reading():
        for text in texts:
            read.append(text)
            yield text

    options = TranslationOptions(batch_size=2)
    translated = []
    for translation in translator.stream(reading(), options):
        translated.append(translation.text)
        assert len(read) - len(translated) <= 2 * (BATCHES_AHEAD + 2) * options.batch_size < len(texts)
    assert translated == expected


def test_a_stream_answers_before_more_texts_come(translator):
    """The source yields a text only after the previous text is translated, so reading ahead would block."""
    waits, answered = [], []

    class OneByOne:
        def next_texts(self, most, wait):
            waits.append(wait)
            if not wait:
                return []
            return TEXTS[len(answered) : len(answered) + 1] or None

    for translation in translator.stream(OneByOne()):
        answered.append(translation.text)
    assert answered == [translation.text for translation in translator.translate(TEXTS)]
    assert waits.count(True) == len(TEXTS) + 1 and False in waits


def test_a_stream_splits_sentences(translator):
    text = "The dog runs. A cat sees.\n\nThe dog."
    options = TranslationOptions(split_sentences=True, batch_size=1)
    actual = [translation.text for translation in translator.stream(iter([text, "", text]), options)]
    assert actual == [translation.text for translation in translator.translate([text, "", text], split_sentences=True)]


def test_removed_sentences_leave_the_others_alone(translator):
    search = translator.search(TranslationOptions(batch_size=3))
    encoded = [translator.codec.encode(text, 100) for text in TEXTS if text.strip()]
    queued = [QueuedSentence(number, sentence.ids) for number, sentence in enumerate(encoded)]
    search.add(queued)
    search.step()
    search.remove([1, 3, 77])  # one running sentence, one waiting sentence, one unknown id
    results = {}
    while len(search):
        results.update(
            (translation.sentence_id, translation.hypotheses[0].tokens.tolist()) for translation in search.step()
        )
    assert translator.translate_ids([]) == []
    alone = translator.translate_ids([encoded[number].ids[:-1] for number in (0, 2)])
    assert results == {0: [*alone[0], EOS], 2: [*alone[1], EOS]}


def test_a_search_can_be_emptied_at_any_step(translator):
    for steps in range(6):
        search = translator.search(TranslationOptions(batch_size=4))
        search.add([QueuedSentence(number, translator.codec.encode(TEXTS[0], 100).ids) for number in range(5)])
        for _ in range(steps):
            search.step()
        search.remove(range(5))
        assert [translation for _ in range(3) for translation in search.step()] == [] and len(search) == 0


# -- sampling


def test_samples_depend_on_their_seed_only(translator):
    options = SamplingOptions(seed=5)
    translations = translator.translate(TEXTS, nbest=3, sampling=options)
    (last,) = translator.translate(TEXTS[5:], nbest=3, sampling=SamplingOptions(seed=10))  # sentence 5 uses seed 5 + 5
    assert [hypothesis.tokens for hypothesis in translations[5].nbest] == [
        hypothesis.tokens for hypothesis in last.nbest
    ]
    other = translator.translate(TEXTS, nbest=3, sampling=SamplingOptions(seed=6))
    assert [hypothesis.tokens for hypothesis in translations[0].nbest] != [
        hypothesis.tokens for hypothesis in other[0].nbest
    ]


def test_drawing_the_most_probable_token_is_greedy_search(translator):
    sampled = translator.translate(TEXTS, sampling=SamplingOptions(top_k=1))
    greedy = translator.translate(TEXTS, beam=1)
    for sample, expected in zip(sampled, greedy):
        if sample.nbest and sample.tokens:  # beam search never returns a translation without tokens
            assert sample.tokens == expected.tokens and sample.score == pytest.approx(expected.score, abs=1e-5)


# -- mistakes


@pytest.mark.parametrize(
    "options, words",
    [
        ({"texts": "one text"}, "must be a list of strings"),
        ({"texts": ["one text", 2]}, "must be a list of strings"),
        ({"texts": iter(["one text"])}, r"must be a list of strings: .* stream\(texts\) accepts any iterable"),
        ({"texts": None}, "must be a list of strings"),
        ({"beam": 0}, "beam is 0"),
        ({"nbest": 9}, "nbest is 9, but must be at most beam"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_length": 0}, "max_length is 0"),
        ({"prefix": ["a", "b"]}, "one entry per text"),
    ],
)
def test_mistakes_are_reported_in_a_sentence(translator, options, words):
    with pytest.raises(UserError, match=words):
        translator.translate(options.pop("texts", ["the dog"]), **options)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((["a"], ["b"], 0), "batch_size is 0, but must be at least 1"),
        (("a", "b"), "must be lists of strings"),
        ((iter(["a"]), ["b"]), "must be lists of strings"),
        ((["a"], [2]), "must be lists of strings"),
        ((["a"], []), "1 sources and 0 targets"),
    ],
)
def test_mistakes_in_scoring_are_reported_in_a_sentence(translator, arguments, words):
    with pytest.raises(UserError, match=words):
        translator.score(*arguments)


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"temperature": float("inf")}, {"top_k": -1}, {"top_p": 0}, {"seed": -1}]
)
def test_sampling_options_out_of_range(options):
    with pytest.raises(UserError):
        SamplingOptions(**options)


# -- alignment of words


def test_words_are_aligned_by_summed_attention():
    source, target = ["▁The", "▁po", "st", "man"], ["▁Der", "▁Brief", "träger"]
    attention = torch.tensor(
        [[0.7, 0.1, 0.1, 0.1, 0.0], [0.4, 0.2, 0.2, 0.1, 0.1], [0.4, 0.2, 0.2, 0.2, 0.0], [0, 0, 0, 0, 1.0]]
    )
    assert words_of(source) == [0, 1, 1, 1] and words_of(target) == [0, 1, 1]
    # Brief|träger: The 0.8, postman 0.2+0.2+0.1 + 0.2+0.2+0.2 = 1.1
    assert align_words(source, target, attention) == [Link(0, 0), Link(1, 1)]


def test_words_of_subword_nmt():
    assert words_of(["Brief@@", "träger", "kommt"]) == [0, 0, 1]
    assert align_words([], ["a"], torch.zeros(2, 1)) == []
