"""Reading and writing of vocab.json of a model folder."""

import json
from pathlib import Path
from typing import Tuple

from gnmt.errors import UserError
from gnmt.files.json_objects import read_object
from gnmt.tokenizers.vocabulary import Vocabulary


def read_vocabularies(path: Path) -> Tuple[Vocabulary, Vocabulary]:
    """Reads vocab.json of a model folder: {"joint": [tokens]}, or {"source": [tokens], "target": [tokens]}.

    Returns:
        Source and target vocabulary, one object if they are equal.

    Raises:
        UserError: if the file is missing or malformed.
    """
    content = read_object(path)
    sides = ["joint"] if "joint" in content else ["source", "target"]
    for side in sides:
        tokens = content.get(side)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise UserError(f"{path} has no list of tokens named {side!r}: copy the model folder again.")
    vocabularies = [Vocabulary(content[side]) for side in sides]
    return vocabularies[0], vocabularies[-1]


def write_vocabularies(path: Path, source: Vocabulary, target: Vocabulary) -> None:
    """Writes vocab.json in the format of `read_vocabularies`.

    Args:
        path: file to write.
        source: source vocabulary.
        target: target vocabulary.
    """
    sides = {"joint": source} if source.tokens == target.tokens else {"source": source, "target": target}
    content = {side: vocabulary.words for side, vocabulary in sides.items()}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
