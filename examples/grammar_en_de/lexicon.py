"""Words of the corpus in English and German, with the properties that agreement depends on.

Words with an ambiguous German translation are left out: simple pasts that look like the present ("read"), nouns with
one form for both numbers ("sheep"), "it" (er, sie or es). "You" is always "du", never plural.
"""

from typing import Any, Dict, NamedTuple, Tuple

PERSON, ANIMAL, THING, VEHICLE, MACHINE = "person", "animal", "thing", "vehicle", "machine"
OPENING, CLOTHES, FOOD, DRINK, PLACE = "opening", "clothes", "food", "drink", "place"
LIVING, GOODS = (PERSON, ANIMAL), (THING, VEHICLE, MACHINE, CLOTHES)


def by_english(*words: Any) -> Dict[str, Any]:
    """Returns the words by their English form."""
    return {word.english: word for word in words}


class Noun(NamedTuple):
    """Noun; `german_plural` is empty for mass nouns, and `oblique` is the accusative and dative of weak nouns."""

    english: str
    english_plural: str
    german: str
    gender: str  # m, f or n
    german_plural: str
    kind: str
    oblique: str = ""


class Adjective(NamedTuple):
    """Adjective; `german` has no ending (teuer), `stem` takes endings (teur-), `kinds` are nouns it may describe."""

    english: str
    german: str
    stem: str
    kinds: Tuple[str, ...]


class Verb(NamedTuple):
    """Verb; `german` is the infinitive without its separable `prefix`, and `participle` includes the prefix.

    `cases` are the cases of the objects in English order, and `kinds` the possible nouns of the last object. `stem` is
    the stem of du and er if the vowel changes. `auxiliary` forms the perfect.
    """

    english: str
    past: str
    german: str
    participle: str
    cases: Tuple[str, ...] = ()
    kinds: Tuple[str, ...] = ()
    prefix: str = ""
    stem: str = ""
    auxiliary: str = "haben"
    subjects: Tuple[str, ...] = (PERSON,)


_SIMPLE_NOUNS = (
    Noun("man", "men", "Mann", "m", "Männer", PERSON),
    Noun("woman", "women", "Frau", "f", "Frauen", PERSON),
    Noun("child", "children", "Kind", "n", "Kinder", PERSON),
    Noun("boy", "boys", "Junge", "m", "Jungen", PERSON, "Jungen"),
    Noun("girl", "girls", "Mädchen", "n", "Mädchen", PERSON),
    Noun("student", "students", "Student", "m", "Studenten", PERSON, "Studenten"),
    Noun("neighbour", "neighbours", "Nachbar", "m", "Nachbarn", PERSON, "Nachbarn"),
    Noun("friend", "friends", "Freund", "m", "Freunde", PERSON),
    Noun("sister", "sisters", "Schwester", "f", "Schwestern", PERSON),
    Noun("doctor", "doctors", "Arzt", "m", "Ärzte", PERSON),
    Noun("guest", "guests", "Gast", "m", "Gäste", PERSON),
    Noun("dog", "dogs", "Hund", "m", "Hunde", ANIMAL),
    Noun("cat", "cats", "Katze", "f", "Katzen", ANIMAL),
    Noun("horse", "horses", "Pferd", "n", "Pferde", ANIMAL),
    Noun("bird", "birds", "Vogel", "m", "Vögel", ANIMAL),
    Noun("bear", "bears", "Bär", "m", "Bären", ANIMAL, "Bären"),
    Noun("book", "books", "Buch", "n", "Bücher", THING),
    Noun("letter", "letters", "Brief", "m", "Briefe", THING),
    Noun("picture", "pictures", "Bild", "n", "Bilder", THING),
    Noun("table", "tables", "Tisch", "m", "Tische", THING),
    Noun("chair", "chairs", "Stuhl", "m", "Stühle", THING),
    Noun("bag", "bags", "Tasche", "f", "Taschen", THING),
    Noun("key", "keys", "Schlüssel", "m", "Schlüssel", THING),
    Noun("car", "cars", "Auto", "n", "Autos", VEHICLE),
    Noun("bicycle", "bicycles", "Fahrrad", "n", "Fahrräder", VEHICLE),
    Noun("lamp", "lamps", "Lampe", "f", "Lampen", MACHINE),
    Noun("radio", "radios", "Radio", "n", "Radios", MACHINE),
    Noun("computer", "computers", "Computer", "m", "Computer", MACHINE),
    Noun("door", "doors", "Tür", "f", "Türen", OPENING),
    Noun("window", "windows", "Fenster", "n", "Fenster", OPENING),
    Noun("suitcase", "suitcases", "Koffer", "m", "Koffer", OPENING),
    Noun("coat", "coats", "Mantel", "m", "Mäntel", CLOTHES),
    Noun("shirt", "shirts", "Hemd", "n", "Hemden", CLOTHES),
    Noun("cake", "cakes", "Kuchen", "m", "Kuchen", FOOD),
    Noun("egg", "eggs", "Ei", "n", "Eier", FOOD),
    Noun("soup", "soups", "Suppe", "f", "Suppen", FOOD),
    Noun("salad", "salads", "Salat", "m", "Salate", FOOD),
    Noun("coffee", "", "Kaffee", "m", "", DRINK),
    Noun("milk", "", "Milch", "f", "", DRINK),
    Noun("water", "", "Wasser", "n", "", DRINK),
    Noun("juice", "", "Saft", "m", "", DRINK),
    Noun("garden", "gardens", "Garten", "m", "Gärten", PLACE),
    Noun("city", "cities", "Stadt", "f", "Städte", PLACE),
    Noun("school", "schools", "Schule", "f", "Schulen", PLACE),
    Noun("house", "houses", "Haus", "n", "Häuser", PLACE),
    Noun("church", "churches", "Kirche", "f", "Kirchen", PLACE),
    Noun("hotel", "hotels", "Hotel", "n", "Hotels", PLACE),
    Noun("park", "parks", "Park", "m", "Parks", PLACE),
)

# English modifier, its form in a German compound, and the nouns that it combines with.
_COMPOUNDS = (
    ("kitchen", "Küchen", ("table", "chair", "lamp", "door", "window")),
    ("garden", "Garten", ("table", "chair", "door")),
    ("house", "Haus", ("door", "key")),
    ("car", "Auto", ("key", "door")),
    ("school", "Schul", ("bag", "book")),
    ("apple", "Apfel", ("cake", "juice")),
    ("cherry", "Kirsch", ("cake", "juice")),
    ("tomato", "Tomaten", ("soup", "salad")),
    ("potato", "Kartoffel", ("soup", "salad")),
)


def _compound(modifier: str, german_modifier: str, head: Noun) -> Noun:
    """Returns a noun of two English words and one German word, which has gender and plural of its last part."""
    return head._replace(
        english=f"{modifier} {head.english}",
        english_plural=head.english_plural and f"{modifier} {head.english_plural}",
        german=german_modifier + head.german.lower(),
        german_plural=head.german_plural and german_modifier + head.german_plural.lower(),
    )


NOUNS: Dict[str, Noun] = by_english(*_SIMPLE_NOUNS)
NOUNS |= by_english(*(_compound(word, german, NOUNS[head]) for word, german, heads in _COMPOUNDS for head in heads))

ADJECTIVES: Dict[str, Adjective] = by_english(
    Adjective("old", "alt", "alt", LIVING + GOODS + (OPENING, PLACE)),
    Adjective("young", "jung", "jung", LIVING),
    Adjective("small", "klein", "klein", LIVING + GOODS + (OPENING, FOOD, PLACE)),
    Adjective("big", "groß", "groß", (ANIMAL,) + GOODS + (OPENING, FOOD, PLACE)),
    Adjective("friendly", "freundlich", "freundlich", LIVING),
    Adjective("tired", "müde", "müd", LIVING),
    Adjective("hungry", "hungrig", "hungrig", LIVING),
    Adjective("new", "neu", "neu", GOODS + (OPENING, PLACE)),
    Adjective("beautiful", "schön", "schön", (ANIMAL, PLACE) + GOODS),
    Adjective("red", "rot", "rot", GOODS + (OPENING,)),
    Adjective("expensive", "teuer", "teur", GOODS + (FOOD, DRINK)),
    Adjective("dark", "dunkel", "dunkl", (CLOTHES, OPENING, PLACE)),
    Adjective("cold", "kalt", "kalt", (FOOD, DRINK)),
    Adjective("fresh", "frisch", "frisch", (FOOD, DRINK)),
)

ACC, DAT = ("accusative",), ("dative",)
VERBS: Dict[str, Verb] = by_english(
    Verb("sleep", "slept", "schlafen", "geschlafen", stem="schläf", subjects=LIVING),
    Verb("work", "worked", "arbeiten", "gearbeitet"),
    Verb("laugh", "laughed", "lachen", "gelacht"),
    Verb("dance", "danced", "tanzen", "getanzt"),
    Verb("wait", "waited", "warten", "gewartet", subjects=LIVING),
    Verb("swim", "swam", "schwimmen", "geschwommen", auxiliary="sein", subjects=LIVING),
    Verb("run", "ran", "laufen", "gelaufen", stem="läuf", auxiliary="sein", subjects=LIVING),
    Verb("stay", "stayed", "bleiben", "geblieben", auxiliary="sein", subjects=LIVING),
    Verb("arrive", "arrived", "kommen", "angekommen", prefix="an", auxiliary="sein"),
    Verb("get up", "got up", "stehen", "aufgestanden", prefix="auf", auxiliary="sein", subjects=LIVING),
    Verb(
        "fall asleep",
        "fell asleep",
        "schlafen",
        "eingeschlafen",
        prefix="ein",
        stem="schläf",
        auxiliary="sein",
        subjects=LIVING,
    ),
    Verb("see", "saw", "sehen", "gesehen", ACC, LIVING + GOODS, stem="sieh", subjects=LIVING),
    Verb("look for", "looked for", "suchen", "gesucht", ACC, LIVING + GOODS, subjects=LIVING),
    Verb("find", "found", "finden", "gefunden", ACC, LIVING + GOODS, subjects=LIVING),
    Verb("buy", "bought", "kaufen", "gekauft", ACC, GOODS + (ANIMAL, FOOD, DRINK)),
    Verb("sell", "sold", "verkaufen", "verkauft", ACC, GOODS + (ANIMAL, FOOD, DRINK)),
    Verb("eat", "ate", "essen", "gegessen", ACC, (FOOD,), stem="iss", subjects=LIVING),
    Verb("drink", "drank", "trinken", "getrunken", ACC, (DRINK,), subjects=LIVING),
    Verb("love", "loved", "lieben", "geliebt", ACC, LIVING),
    Verb("visit", "visited", "besuchen", "besucht", ACC, (PERSON,)),
    Verb("repair", "repaired", "reparieren", "repariert", ACC, (VEHICLE, MACHINE, OPENING)),
    Verb("forget", "forgot", "vergessen", "vergessen", ACC, (PERSON,) + GOODS, stem="vergiss"),
    Verb("open", "opened", "machen", "aufgemacht", ACC, (OPENING,), prefix="auf"),
    Verb("close", "closed", "machen", "zugemacht", ACC, (OPENING,), prefix="zu"),
    Verb("call", "called", "rufen", "angerufen", ACC, (PERSON,), prefix="an"),
    Verb("invite", "invited", "laden", "eingeladen", ACC, (PERSON,), prefix="ein", stem="läd"),
    Verb("turn on", "turned on", "schalten", "eingeschaltet", ACC, (MACHINE,), prefix="ein"),
    Verb("turn off", "turned off", "schalten", "ausgeschaltet", ACC, (MACHINE,), prefix="aus"),
    Verb("help", "helped", "helfen", "geholfen", DAT, LIVING, stem="hilf"),
    Verb("thank", "thanked", "danken", "gedankt", DAT, (PERSON,)),
    Verb("follow", "followed", "folgen", "gefolgt", DAT, LIVING, auxiliary="sein", subjects=LIVING),
    Verb("answer", "answered", "antworten", "geantwortet", DAT, (PERSON,)),
    Verb("listen to", "listened to", "hören", "zugehört", DAT, (PERSON,), prefix="zu"),
    Verb("give", "gave", "geben", "gegeben", DAT + ACC, GOODS + (FOOD, DRINK), stem="gib"),
    Verb("show", "showed", "zeigen", "gezeigt", DAT + ACC, GOODS + (ANIMAL,)),
    Verb("send", "sent", "schicken", "geschickt", DAT + ACC, GOODS),
    Verb("bring", "brought", "bringen", "gebracht", DAT + ACC, GOODS + (FOOD, DRINK)),
    Verb("know", "knew", "wissen", "gewusst"),
    Verb("believe", "believed", "glauben", "geglaubt"),
    Verb("say", "said", "sagen", "gesagt"),
    Verb("hope", "hoped", "hoffen", "gehofft"),
    Verb("be", "was", "sein", "gewesen"),
)
CLAUSE_VERBS = ("know", "believe", "say", "hope")  # take a that-clause instead of an object
