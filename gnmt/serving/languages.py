"""Names of languages, and language detection from the script and frequent words of a text."""

from typing import Dict, FrozenSet, List, NamedTuple, Sequence

import regex

from gnmt.tokenizers.sentences import base_language

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "mt": "Maltese", "nb": "Norwegian Bokmål",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sk": "Slovak", "sl": "Slovenian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def _words(text: str) -> FrozenSet[str]:
    return frozenset(text.split())


FREQUENT_WORDS: Dict[str, FrozenSet[str]] = {
    "cs": _words(
        "a aby ale ani bez bude byl být co do i jako je jeho jsem jsou k která které který na ne nebo o od pro se "
        "s tak to u v za že"
    ),
    "da": _words(
        "af at blev de den der det du en er et for fra han har hun i ikke jeg kan med men nu og om på sig skal som "
        "så til var ved vi"
    ),
    "de": _words(
        "als am an auch auf aus bei das dem den der des die ein eine einem einen er es für hat ich im in ist mit "
        "nicht sich sie sind und von war wird zu"
    ),
    "en": _words(
        "a an and are as at be but by for from had has have he her his in is it not of on or she that the their "
        "they this to was were with you"
    ),
    "es": _words(
        "al como con de del el ella en es esta este ha la las lo los más no para pero por que se su sus un una y ya"
    ),
    "fi": _words(
        "ei että hän he ja jo joka jos kanssa kuin kun me mitä mutta myös ne niin nyt oli on olla ovat se sen sitä "
        "tai vain"
    ),
    "fr": _words(
        "au aux avec ce cette dans de des du elle en est et il ils la le les leur ne nous on ou par pas pour qui "
        "que sa se ses son sur un une vous"
    ),
    "hu": _words("a az és egy ez hogy is nem meg volt van ki ha csak még már de kell lesz mint azt"),
    "it": _words(
        "al alla che con da dei del della di e è gli ha i il in la le lo ma nel non per più quando se si sono su "
        "un una uno"
    ),
    "nl": _words(
        "aan als bij dat de die door een en er haar heeft het hij hun ik in is je met naar niet om op te tot van "
        "voor was wordt ze zijn"
    ),
    "no": _words(
        "at av de den der det du en er et for fra han har hun i ikke jeg kan med men nå og om på seg skal som så "
        "til var ved vi"
    ),
    "pl": _words(
        "a ale co czy dla do i ich jak jest jego już na nie o od po przez przy są się to w z za że był był która "
        "które który"
    ),
    "pt": _words(
        "a ao as com como da das de do dos e em é ela ele foi mais mas na não no o os ou para pela pelo por que se "
        "seu sua um uma"
    ),
    "ro": _words("a al ale au ce cu de din este fi în la mai nu o pe pentru prin sau să se sunt un una și că care"),
    "sv": _words(
        "att av de den det du en ett ett för från han har hon i inte jag kan med men när och om på sig ska som så "
        "till var vi är"
    ),
    "tr": _words("ama bir bu çok da daha de değil gibi için ile ise kadar ki mi ne o olan olarak ve var"),
}
SCRIPTS = {
    "ar": "Arabic", "fa": "Arabic", "bg": "Cyrillic", "ru": "Cyrillic", "uk": "Cyrillic", "el": "Greek",
    "he": "Hebrew", "hi": "Devanagari", "ja": "Han}\\p{Hiragana}\\p{Katakana", "ko": "Hangul", "th": "Thai", "zh": "Han",
}  # fmt: skip
LETTERS = regex.compile(r"\p{L}")
WORD = regex.compile(r"[\p{L}\p{M}]+")
MAX_CHARACTERS = 2000  # that language detection reads


class Detected(NamedTuple):
    """A language with its confidence in per cent."""

    language: str
    confidence: float


def language_name(code: str) -> str:
    """Returns the English name of a language, or its code if this module has no name for it."""
    return NAMES.get(base_language(code), code)


def detect(text: str, languages: Sequence[str]) -> List[Detected]:
    """Returns all languages with their confidence, most probable first; ties keep their order.

    The score of a language is the share of letters in its script. If this module has a list of its frequent words, the
    score is multiplied by their share. The confidence depends on the score and on its share of all scores.

    Args:
        text: any text; a text without letters has confidence 0 for all languages.
        languages: codes to choose from.
    """
    text = text[:MAX_CHARACTERS]
    words = [word.lower() for word in WORD.findall(text)]
    letters = len(LETTERS.findall(text))
    scores = {code: _score(text, words, letters, base_language(code)) for code in languages}
    total = sum(scores.values())
    results = [
        Detected(code, round(100 * score / total * min(1.0, 4 * score), 1) if total else 0.0)
        for code, score in scores.items()
    ]
    return sorted(results, key=lambda result: -result.confidence)


def _score(text: str, words: Sequence[str], letters: int, code: str) -> float:
    if not words:
        return 0.0
    script = regex.compile(rf"[\p{{{SCRIPTS.get(code, 'Latin')}}}]")
    share = len(script.findall(text)) / letters
    if code not in FREQUENT_WORDS:
        return share * (1.0 if code in SCRIPTS else 0.05)
    return share * sum(word in FREQUENT_WORDS[code] for word in words) / len(words)
