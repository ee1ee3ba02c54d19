"""Parser for the output of fairseq-generate and fairseq-interactive."""

import re
from typing import Dict, List, NamedTuple

from commands import succeed
from tiny_corpora import TASK, digits, trained_on_digits


class Hypothesis(NamedTuple):
    text: str
    score: float  # log2
    steps: List[float]  # log2 of the probabilities of the tokens, EOS included
    alignment: str


def read(printed: str) -> Dict[int, List[Hypothesis]]:
    """Returns the n-best lists of a log."""
    nbest_lists: Dict[int, List[Hypothesis]] = {}
    for line in printed.splitlines():
        kind, _, value = line.partition("\t")
        if match := re.fullmatch(r"([HPA])-(\d+)", kind):
            nbest = nbest_lists.setdefault(int(match[2]), [])
            if match[1] == "H":
                score, text = value.split("\t")
                nbest.append(Hypothesis(text, float(score), [], ""))
            elif match[1] == "P":
                nbest[-1] = nbest[-1]._replace(steps=[float(step) for step in value.split()])
            else:
                nbest[-1] = nbest[-1]._replace(alignment=value)
    return nbest_lists


def generate(*options, data=None, checkpoint=None) -> Dict[int, List[Hypothesis]]:
    """Translates the validation set of the digits corpus."""
    return read(
        succeed(
            "generate",
            data or digits(),
            *TASK,
            "--gen-subset",
            "valid",
            "--path",
            checkpoint or trained_on_digits(),
            *options,
        )
    )


def interactive(text: str, *options) -> str:
    return succeed(
        "interactive",
        digits(),
        *TASK,
        "--path",
        trained_on_digits(),
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        *options,
        stdin=text,
    )


def texts(translations: Dict[int, List[Hypothesis]]) -> Dict[int, List[str]]:
    return {sentence: [hypothesis.text for hypothesis in nbest] for sentence, nbest in translations.items()}
