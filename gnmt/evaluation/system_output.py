"""Translations of a system: lines of text, or the JSON lines of `gnmt translate --output json`, which may hold attention."""

import json
from pathlib import Path
from typing import Any, List, NamedTuple

from gnmt.errors import UserError
from gnmt.files.lines import read_lines

JSON_SUFFIXES = (".json", ".jsonl")
END = "</s>"


class Attention(NamedTuple):
    """Attention of one sentence. Shapes: T target and S source tokens, both with EOS."""

    source: List[str]  # S tokens
    target: List[str]  # T tokens
    weights: List[List[float]]  # (T, S)


class SystemOutput(NamedTuple):
    """Translations in the order of the lines."""

    texts: List[str]
    attentions: List[List[Attention]]  # for each line: one for each sentence; empty if the file has no attention


def read_output(path: Path) -> SystemOutput:
    """Reads a file of translations; with the suffix .json or .jsonl, its lines must be JSON.

    Raises:
        UserError: if the file cannot be read, or a line is not an object of `gnmt translate --output json`.
    """
    lines = read_lines(path)
    if path.suffix not in JSON_SUFFIXES:
        return SystemOutput(lines, [[] for _ in lines])
    texts, attentions = [], []
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            texts.append(_text(content["text"]))
            sentences = content["sentences"]
            attentions.append(
                [
                    _attention(sentence)
                    for sentence in sentences
                    if sentence["nbest"] and "attention" in sentence["nbest"][0]
                ]
            )
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number} is not what `gnmt translate --output json` prints: write the file with this "
                "command, or give a text file without the suffix .json or .jsonl."
            ) from error
    return SystemOutput(texts, attentions)


def _attention(sentence: Any) -> Attention:
    """Returns the attention of the best translation. Raises ValueError if its size does not match the tokens."""
    best = sentence["nbest"][0]
    source, target = ([*map(_text, tokens), END] for tokens in (sentence["source_tokens"], best["tokens"]))
    weights = [[float(weight) for weight in row] for row in best["attention"]]
    if len(weights) != len(target) or any(len(row) != len(source) for row in weights):
        raise ValueError(f"{len(weights)} rows of attention for {len(target)} target tokens")
    return Attention(source, target, weights)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    value.encode("utf-8")  # JSON can contain lone surrogates, which UTF-8 cannot encode
    return value
