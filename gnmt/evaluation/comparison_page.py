"""The page of `gnmt compare`: one HTML file without scripts."""

from difflib import SequenceMatcher
from typing import Dict, List, Sequence, Tuple
from xml.etree.ElementTree import Element

from gnmt.evaluation.attention_picture import attention_picture
from gnmt.evaluation.comparison import Comparison, Sentence, largest_gains, largest_losses, spread
from gnmt.evaluation.html_page import Content, element, page, table
from gnmt.evaluation.metrics import LOWER_IS_BETTER, TITLES
from gnmt.evaluation.significance import MetricScore, Scores
from gnmt.evaluation.system_output import Attention

Attentions = Tuple[Sequence[Sequence[Attention]], Sequence[Sequence[Attention]]]  # of A and B, for each line


def comparison_page(
    names: Tuple[str, str],
    comparison: Comparison,
    scores: Dict[str, Scores],
    attentions: Attentions,
    examples: int,
    counted: str,
) -> str:
    """Returns the HTML page.

    Args:
        names: names of the systems A and B.
        comparison: comparison of A and B.
        scores: scores of the whole corpus by metric, with the p-value of B.
        attentions: attention of A and B.
        examples: maximum number of sentences in each list.
        counted: name of the text in which words were counted, such as "the references".
    """
    sentences = comparison.sentences
    lists = (
        (f"{names[1]} better by most GLEU", largest_gains(sentences, examples)),
        (f"{names[1]} worse by most GLEU", largest_losses(sentences, examples)),
        ("Sentences at equal distances in the file", spread(sentences, examples)),
    )
    return page(
        f"{names[0]} and {names[1]}",
        element("h1", f"{names[0]} and {names[1]}"),
        _corpus_table(names, scores),
        element("ul", *(element("li", f"{TITLES[metric]}: {metric_scores.signature}")
                        for metric, metric_scores in scores.items()), class_="note"),
        _summary_table(names, comparison),
        _length_table(names, comparison),
        _frequency_table(names, comparison, counted),
        *(_examples(names, title, chosen, attentions) for title, chosen in lists),
    )  # fmt: skip


def _corpus_table(names: Tuple[str, str], scores: Dict[str, Scores]) -> Element:
    rows: List[List[Content]] = []
    for metric, metric_scores in scores.items():
        a, b = metric_scores.systems
        sign = -1 if metric in LOWER_IS_BETTER else 1
        rows.append([TITLES[metric], _with_interval(a), _with_interval(b),
                     _difference(b.score - a.score, sign), f"{b.p_value:.4f}"])  # fmt: skip
    header = ["metric", *names, "difference", "p"]
    return table("Scores of all sentences, with the half width of 95 % intervals", header, rows)


def _with_interval(score: MetricScore) -> str:
    return f"{score.score:.2f}" + ("" if score.ci is None else f" ± {score.ci:.2f}")


def _summary_table(names: Tuple[str, str], comparison: Comparison) -> Element:
    differences = [sentence.difference for sentence in comparison.sentences]
    equal = sum(sentence.outputs[0] == sentence.outputs[1] for sentence in comparison.sentences)
    ratios, repetitive = comparison.length_ratios, comparison.repetitive
    rows = [
        ["higher GLEU", str(sum(x < 0 for x in differences)), str(sum(x > 0 for x in differences))],
        ["same translation", str(equal), str(equal)],
        ["with a repetition that the reference lacks", str(repetitive[0]), str(repetitive[1])],
        ["words / words of the references", f"{ratios[0]:.3f}", f"{ratios[1]:.3f}"],
    ]
    return table(f"Of {len(differences)} sentences", ["", *names], rows)


def _length_table(names: Tuple[str, str], comparison: Comparison) -> Element:
    unit = "reference" if comparison.sentences[0].source is None else "source"
    header = [f"words of the {unit}", "sentences"]
    header += [f"{metric} {name}" for metric in ("BLEU", "GLEU") for name in names] + ["difference of GLEU"]
    rows: List[List[Content]] = [
        [bucket.name, str(bucket.sentences), *(f"{value:.2f}" for value in (*bucket.bleu, *bucket.gleu)),
         _difference(bucket.gleu[1] - bucket.gleu[0])]
        for bucket in comparison.lengths
    ]  # fmt: skip
    return table("Scores by length", header, rows)


def _frequency_table(names: Tuple[str, str], comparison: Comparison, counted: str) -> Element:
    header = ["occurrences", "words of the references"]
    header += [f"{value} {name}" for value in ("recall", "F1") for name in names] + ["difference of F1"]
    rows: List[List[Content]] = [
        [
            name,
            str(a.expected),
            *(f"{value:.1f}" for value in (a.recall, b.recall, a.f1, b.f1)),
            _difference(b.f1 - a.f1),
        ]
        for name, a, b in comparison.frequencies
        if a.expected or a.produced or b.produced
    ]
    return table(f"Words that are right, by their frequency in {counted}", header, rows)


def _difference(value: float, sign: int = 1) -> Element:
    kind = "better" if value * sign > 0 else "worse" if value * sign < 0 else "equal"
    return element("span", f"{value:+.2f}", class_=kind)


def _examples(names: Tuple[str, str], title: str, sentences: List[Sentence], attentions: Attentions) -> Element:
    shown = [_example(names, sentence, attentions) for sentence in sentences]
    return element("section", element("h2", title), *(shown or [element("p", "There are none.")]))


def _example(names: Tuple[str, str], sentence: Sentence, attentions: Attentions) -> Element:
    parts: List[Content] = [] if sentence.source is None else [element("dt", "source"), element("dd", sentence.source)]
    parts += [element("dt", "reference"), element("dd", sentence.reference)]
    for name, output, gleu, maps in zip(names, sentence.outputs, sentence.gleu, attentions):
        pictures = [element("div", attention_picture(attention), class_="scroll") for attention in maps[sentence.index]]
        folded = [element("details", element("summary", "attention"), *pictures)] if pictures else []
        marked = _marked(output, sentence.reference)
        parts += [element("dt", f"{name}, GLEU {gleu:.1f}"), element("dd", *marked, *folded)]
    heading = element("h3", f"Line {sentence.index + 1} ", _difference(sentence.difference))
    return element("article", heading, element("dl", *parts))


def _marked(output: str, reference: str) -> List[Content]:
    """Returns the words of an output; words that are not aligned with the reference are marked."""
    words, expected = output.split(), reference.split()
    parts: List[Content] = []
    for kind, start, end, _, _ in SequenceMatcher(None, words, expected, autojunk=False).get_opcodes():
        if start < end:
            run = " ".join(words[start:end])
            parts += [run if kind == "equal" else element("mark", run), " "]
    return parts or [element("span", "(empty)", class_="note")]
