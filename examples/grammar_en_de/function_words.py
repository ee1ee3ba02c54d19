"""Closed classes of the corpus: pronouns, determiners, numbers, tenses, adverbials, conjunctions."""

from typing import Dict, NamedTuple, Tuple

from lexicon import by_english

Forms = Tuple[str, str, str, str]  # ich, du, er/sie, wir/sie; "ihr" is not in the corpus


class Pronoun(NamedTuple):
    """Personal pronoun: one object form in English, accusative and dative in German."""

    person: int
    plural: bool
    english: str
    english_object: str
    nominative: str
    accusative: str
    dative: str


class Determiner(NamedTuple):
    """Determiner; `declension` names the table of its endings, and determines the endings of a following adjective.

    `numbers` lists the nouns that it may precede: s(ingular), p(lural), m(ass noun).
    """

    english: str
    german: str  # without ending
    declension: str  # der, dieser, ein or none
    group: str
    numbers: str


class Tense(NamedTuple):
    """Present or past, or a modal verb with an infinitive.

    English modals that inflect like full verbs ("want to") have a `past`; the others do not inflect.
    """

    times: Tuple[str, ...]  # kinds of adverbials of time that fit
    english: str = ""
    past: str = ""
    german: Forms = ("", "", "", "")


class Adverbial(NamedTuple):
    """Words that do not inflect; `negatable` is False where negation would have to precede them."""

    english: str
    german: str
    times: Tuple[str, ...] = ("present", "past", "future")
    negatable: bool = True


class Preposition(NamedTuple):
    """Preposition of a place, with the dative; `contracted` is its form with the article "dem"."""

    english: str
    german: str
    contracted: str = ""


PRONOUNS: Dict[str, Pronoun] = by_english(
    Pronoun(1, False, "I", "me", "ich", "mich", "mir"),
    Pronoun(2, False, "you", "you", "du", "dich", "dir"),
    Pronoun(3, False, "he", "him", "er", "ihn", "ihm"),
    Pronoun(3, False, "she", "her", "sie", "sie", "ihr"),
    Pronoun(1, True, "we", "us", "wir", "uns", "uns"),
    Pronoun(3, True, "they", "them", "sie", "sie", "ihnen"),
)

# Present of irregular verbs, and the only simple past except for modals.
IRREGULAR: Dict[str, Forms] = {
    "sein": ("bin", "bist", "ist", "sind"),
    "haben": ("habe", "hast", "hat", "haben"),
    "wissen": ("weiß", "weißt", "weiß", "wissen"),
}
WAS: Forms = ("war", "warst", "war", "waren")

NOW, LATER = "present", "future"
PRESENT, PAST = Tense((NOW,)), Tense(("past",))
CAN = Tense((NOW, LATER), "can", german=("kann", "kannst", "kann", "können"))
COULD = Tense(("past",), "could", german=("konnte", "konntest", "konnte", "konnten"))
MAY = Tense((NOW, LATER), "may", german=("darf", "darfst", "darf", "dürfen"))
SHOULD = Tense((NOW, LATER), "should", german=("sollte", "solltest", "sollte", "sollten"))
WILL = Tense((LATER,), "will", german=("werde", "wirst", "wird", "werden"))
# "must" is avoided: its negation is no negation of "müssen".
HAVE_TO = Tense((NOW, LATER), "have to", "had to", ("muss", "musst", "muss", "müssen"))
HAD_TO = Tense(("past",), "have to", "had to", ("musste", "musstest", "musste", "mussten"))
WANT_TO = Tense((NOW, LATER), "want to", "wanted to", ("will", "willst", "will", "wollen"))
WANTED_TO = Tense(("past",), "want to", "wanted to", ("wollte", "wolltest", "wollte", "wollten"))
PRESENT_MODALS = (CAN, MAY, SHOULD, HAVE_TO, WANT_TO, WILL)
PAST_MODALS = (COULD, HAD_TO, WANTED_TO)

_ENGLISH_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_GERMAN_NUMBERS = "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf".split()
_TENS = {2: ("twenty", "zwanzig"), 3: ("thirty", "dreißig"), 4: ("forty", "vierzig")}


def number_words(number: int) -> Tuple[str, str]:
    """Returns a number from 1 to 12 or 20 to 49 in English and German, where units precede tens (21: einundzwanzig)."""
    if number <= 12:
        return _ENGLISH_NUMBERS[number], _GERMAN_NUMBERS[number]
    tens, ones = divmod(number, 10)
    english, german = _TENS[tens]
    if ones == 0:
        return english, german
    return f"{english}-{_ENGLISH_NUMBERS[ones]}", f"{_GERMAN_NUMBERS[ones]}und{german}"


SPECIFIC, INDEFINITE, QUANTITY = "specific", "indefinite", "quantity"
THE = Determiner("the", "", "der", SPECIFIC, "spm")
A = Determiner("a", "ein", "ein", INDEFINITE, "s")
NO_ARTICLE = Determiner("", "", "none", INDEFINITE, "pm")
EVERY = Determiner("every", "jed", "dieser", QUANTITY, "s")
KEIN = Determiner("", "kein", "ein", INDEFINITE, "")  # German only: an indefinite object under negation
NUMBERS: Dict[int, Determiner] = {
    number: Determiner(*number_words(number), "none", QUANTITY, "p") for number in (*range(2, 13), *range(20, 50))
}
DETERMINERS: Dict[str, Determiner] = by_english(
    THE,
    A,
    NO_ARTICLE,
    EVERY,
    Determiner("this", "dies", "dieser", SPECIFIC, "sm"),
    Determiner("these", "dies", "dieser", SPECIFIC, "p"),
    Determiner("my", "mein", "ein", SPECIFIC, "spm"),
    Determiner("your", "dein", "ein", SPECIFIC, "spm"),
    Determiner("his", "sein", "ein", SPECIFIC, "spm"),
    Determiner("her", "ihr", "ein", SPECIFIC, "spm"),
    Determiner("our", "unser", "ein", SPECIFIC, "spm"),
    Determiner("their", "ihr", "ein", SPECIFIC, "spm"),
)

TIMES: Tuple[Adverbial, ...] = (
    Adverbial("today", "heute"),
    Adverbial("now", "jetzt", (NOW,)),
    Adverbial("yesterday", "gestern", ("past",)),
    Adverbial("tomorrow", "morgen", (LATER,)),
    Adverbial("last week", "letzte Woche", ("past",)),
    Adverbial("next week", "nächste Woche", (LATER,)),
    Adverbial("every day", "jeden Tag", (NOW, "past"), negatable=False),
    Adverbial("on Monday", "am Montag"),
    Adverbial("in the evening", "am Abend"),
)
OCLOCK: Tuple[Adverbial, ...] = tuple(
    Adverbial(f"at {english} o'clock", f"um {german} Uhr") for english, german in map(number_words, range(2, 13))
)
WHY, WHERE, WHEN = Adverbial("why", "warum"), Adverbial("where", "wo"), Adverbial("when", "wann")

PREPOSITIONS: Dict[str, Preposition] = by_english(
    Preposition("in", "in", "im"),
    Preposition("behind", "hinter"),
    Preposition("in front of", "vor"),
    Preposition("next to", "neben"),
)

CONJUNCTIONS: Dict[str, str] = {"because": "weil", "although": "obwohl", "if": "wenn", "that": "dass"}


class Age(NamedTuple):
    """Complement of "be" for persons."""

    english: str
    german: str


AGES: Tuple[Age, ...] = tuple(Age(f"{n.english} years old", f"{n.german} Jahre alt") for n in NUMBERS.values())
