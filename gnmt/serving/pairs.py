"""Language pairs of a server and their models."""

from typing import Dict, List, NamedTuple, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.serving.languages import Detected, detect, language_name
from gnmt.serving.refusals import bad_request
from gnmt.translator import Translator

AUTO = "auto"  # source language that the server detects


class Language(NamedTuple):
    """A language and the target languages into which it can be translated."""

    code: str
    name: str
    targets: List[str]


def check_pairs(pairs: Sequence[Tuple[str, str]]) -> None:
    """Checks the source and target languages of all models.

    Raises:
        UserError: if two models have the same languages.
    """
    for number, (source, target) in enumerate(pairs):
        if (source, target) in pairs[:number]:
            raise UserError(f"Two models translate from {source} into {target}: serve one of them.")


class LanguagePairs:
    """Translators by language pair.

    Raises:
        UserError: if two models have the same languages.
    """

    def __init__(self, translators: Sequence[Translator]):
        pairs = [(translator.source_language, translator.target_language) for translator in translators]
        check_pairs(pairs)
        self._translators: Dict[Tuple[str, str], Translator] = dict(zip(pairs, translators))

    @property
    def translators(self) -> List[Translator]:
        """The translators of all pairs, in the order of the command line."""
        return list(self._translators.values())

    @property
    def sources(self) -> List[str]:
        """Source languages, in order."""
        return list(dict.fromkeys(source for source, _ in self._translators))

    def languages(self) -> List[Language]:
        """Returns all languages; languages that are only targets have an empty list of targets."""
        codes = list(dict.fromkeys([*self.sources, *(target for _, target in self._translators)]))
        return [
            Language(code, language_name(code), [target for source, target in self._translators if source == code])
            for code in codes
        ]

    def detect(self, text: str) -> List[Detected]:
        """Returns the source languages with their confidence, most probable first."""
        return detect(text, self.sources)

    def choose(self, source: str, target: str) -> Translator:
        """Returns the translator of a pair.

        Args:
            source: language code of the source.
            target: language code of the translation.

        Raises:
            Refusal: if no model has these languages.
        """
        translator = self._translators.get((source, target))
        if translator is None:
            known = ", ".join(f"{first} to {second}" for first, second in self._translators)
            if source == AUTO:
                raise bad_request(
                    f"This route needs the language of the texts instead of {AUTO!r}: choose one of {known}."
                )
            raise bad_request(f"No model translates from {source[:20]!r} to {target[:20]!r}: choose one of {known}.")
        return translator
