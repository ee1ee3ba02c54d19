"""Tests the embedded corpus: German worked out by hand for each phenomenon, and properties of the splits."""

import os
import random
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1].parent / "examples" / "grammar_en_de"
sys.path.insert(0, str(FOLDER))

import corpus as corpus_module  # noqa: E402
import german  # noqa: E402
from corpus import choose_held_out, make_corpus, word_forms  # noqa: E402
from derivation import Clause, Complex, Interrogative, NounPhrase, Place, Question, Relative, Statement  # noqa: E402
from finite_sets import Either, Every, OneOf  # noqa: E402
from function_words import AGES, CAN, COULD, DETERMINERS, HAD_TO, HAVE_TO, MAY, NUMBERS, OCLOCK, PAST  # noqa: E402
from function_words import PREPOSITIONS, PRONOUNS, SHOULD, TIMES, WANT_TO, WHERE, WHY, WILL  # noqa: E402
from grammar import all_combinations, pair, sentences  # noqa: E402
from lexicon import ADJECTIVES, NOUNS, VERBS  # noqa: E402
from phrases import ANY_GROUP, Phrases  # noqa: E402

TIME = {time.english: time for time in (*TIMES, *OCLOCK)}
AGE = {age.english: age for age in AGES}


def noun(words: str, relative=None) -> NounPhrase:
    """Returns the derivation of "the old men" from lexicon entries; determiner and adjective are optional."""
    determiners = {**DETERMINERS, "an": DETERMINERS["a"], **{number.english: number for number in NUMBERS.values()}}
    forms = {item.english: (item, False) for item in NOUNS.values()}
    forms.update((item.english_plural, (item, True)) for item in NOUNS.values() if item.english_plural)
    first, _, rest = words.partition(" ")
    determiner = determiners.get(first, DETERMINERS[""])
    rest = rest if first in determiners else words
    adjective = ADJECTIVES.get(rest.split()[0])
    item, plural = forms[rest.split(" ", 1)[1] if adjective else rest]
    return NounPhrase(determiner, item, plural, adjective, relative)


def nominal(words):
    if not isinstance(words, str):
        return words
    pronouns = {form: pronoun for pronoun in PRONOUNS.values() for form in (pronoun.english, pronoun.english_object)}
    return pronouns.get(words) or noun(words)


def clause(subject, verb: str, *objects, time=None, place=None, **details) -> Clause:
    if place:
        place = Place(PREPOSITIONS[place[0]], noun(place[1]))
    return Clause(
        nominal(subject), VERBS[verb], tuple(map(nominal, objects)), time=TIME.get(time), place=place, **details
    )


def be(subject, complement: str, **details) -> Clause:
    return clause(subject, "be", complement=ADJECTIVES.get(complement) or AGE[complement], **details)


def say(*args, **details) -> Statement:
    return Statement(clause(*args, **details))


def which(words: str) -> Relative:
    phrase = noun(words)
    return Relative(phrase.noun, phrase.plural)


EXPECTED = [
    # articles and cases; adjective endings: weak, mixed, strong
    (say("the man", "see", "an old dog"), "The man sees an old dog.", "Der Mann sieht einen alten Hund."),
    (
        say("a small cat", "see", "the big bird"),
        "A small cat sees the big bird.",
        "Eine kleine Katze sieht den großen Vogel.",
    ),
    (say("I", "buy", "an expensive book"), "I buy an expensive book.", "Ich kaufe ein teures Buch."),
    (say("she", "help", "her young friend"), "She helps her young friend.", "Sie hilft ihrem jungen Freund."),
    (say("my old friend", "wait"), "My old friend waits.", "Mein alter Freund wartet."),
    (
        say("our child", "love", "these big horses"),
        "Our child loves these big horses.",
        "Unser Kind liebt diese großen Pferde.",
    ),
    (say("we", "thank", "the old doctors"), "We thank the old doctors.", "Wir danken den alten Ärzten."),
    (
        say("big dogs", "follow", "small children"),
        "Big dogs follow small children.",
        "Große Hunde folgen kleinen Kindern.",
    ),
    (say("you", "drink", "fresh coffee"), "You drink fresh coffee.", "Du trinkst frischen Kaffee."),
    (say("he", "drink", "cold milk"), "He drinks cold milk.", "Er trinkt kalte Milch."),
    (say("every child", "eat", "a fresh egg"), "Every child eats a fresh egg.", "Jedes Kind isst ein frisches Ei."),
    # nouns of the weak declension
    (say("the boy", "find", "this student"), "The boy finds this student.", "Der Junge findet diesen Studenten."),
    (say("they", "answer", "the neighbour"), "They answer the neighbour.", "Sie antworten dem Nachbarn."),
    # numbers and compounds
    (say("I", "see", "twenty-one red cars"), "I see twenty-one red cars.", "Ich sehe einundzwanzig rote Autos."),
    (say("two sisters", "help", "six dogs"), "Two sisters help six dogs.", "Zwei Schwestern helfen sechs Hunden."),
    (say("they", "sell", "old kitchen tables"), "They sell old kitchen tables.", "Sie verkaufen alte Küchentische."),
    (say("the guest", "eat", "an apple cake"), "The guest eats an apple cake.", "Der Gast isst einen Apfelkuchen."),
    # perfect with haben and sein
    (
        say("the guest", "forget", "his bag", tense=PAST),
        "The guest forgot his bag.",
        "Der Gast hat seine Tasche vergessen.",
    ),
    (say("bears", "swim", tense=PAST, time="yesterday"), "Bears swam yesterday.", "Bären sind gestern geschwommen."),
    (say("the dog", "follow", "us", tense=PAST), "The dog followed us.", "Der Hund ist uns gefolgt."),
    # separable prefixes
    (say("he", "open", "the red door"), "He opens the red door.", "Er macht die rote Tür auf."),
    (say("the girl", "invite", "us", tense=PAST), "The girl invited us.", "Das Mädchen hat uns eingeladen."),
    (
        say("you", "turn off", "the lamp", tense=HAVE_TO),
        "You have to turn off the lamp.",
        "Du musst die Lampe ausschalten.",
    ),
    (
        Complex(clause("I", "laugh"), "because", clause("the guest", "arrive")),
        "I laugh because the guest arrives.",
        "Ich lache, weil der Gast ankommt.",
    ),
    (
        Complex(clause("she", "know", tense=PAST), "that", clause("you", "fall asleep", tense=PAST)),
        "She knew that you fell asleep.",
        "Sie hat gewusst, dass du eingeschlafen bist.",
    ),
    # verb second, verb final position
    (
        say("the woman", "buy", "a coat", time="today"),
        "The woman buys a coat today.",
        "Die Frau kauft heute einen Mantel.",
    ),
    (
        Statement(clause("the woman", "buy", "a coat", time="today"), True),
        "Today the woman buys a coat.",
        "Heute kauft die Frau einen Mantel.",
    ),
    (
        Statement(clause("the guests", "arrive", time="at three o'clock", tense=WILL), True),
        "At three o'clock the guests will arrive.",
        "Um drei Uhr werden die Gäste ankommen.",
    ),
    (
        Complex(clause("she", "call", "you", tense=WILL), "if", clause("you", "wait"), True),
        "If you wait, she will call you.",
        "Wenn du wartest, wird sie dich anrufen.",
    ),
    (
        Complex(clause("we", "stay", tense=PAST), "although", clause("he", "dance", tense=WANT_TO)),
        "We stayed although he wants to dance.",
        "Wir sind geblieben, obwohl er tanzen will.",
    ),
    (
        Complex(be("I", "hungry"), "because", be("the soup", "cold", tense=PAST), True),
        "Because the soup was cold, I am hungry.",
        "Weil die Suppe kalt war, bin ich hungrig.",
    ),
    # relative clauses: nominative, other cases, and extraposed after an object
    (
        say(noun("the man", clause(which("man"), "repair", "cars")), "laugh"),
        "The man who repairs cars laughs.",
        "Der Mann, der Autos repariert, lacht.",
    ),
    (
        say(noun("the girl", clause("I", "visit", which("girl"), tense=PAST)), "sleep"),
        "The girl whom I visited sleeps.",
        "Das Mädchen, das ich besucht habe, schläft.",
    ),
    (
        say(noun("the woman", clause("the boys", "help", which("woman"))), "sell", "a bicycle", tense=PAST),
        "The woman whom the boys help sold a bicycle.",
        "Die Frau, der die Jungen helfen, hat ein Fahrrad verkauft.",
    ),
    (
        say(noun("the friends", clause("we", "thank", which("friends"))), "dance"),
        "The friends whom we thank dance.",
        "Die Freunde, denen wir danken, tanzen.",
    ),
    (
        say("we", "find", noun("the key", clause("he", "look for", which("key"))), tense=PAST),
        "We found the key that he looks for.",
        "Wir haben den Schlüssel gefunden, den er sucht.",
    ),
    (
        say("she", "call", noun("the doctor", clause(which("doctor"), "get up"))),
        "She calls the doctor who gets up.",
        "Sie ruft den Arzt an, der aufsteht.",
    ),
    # negation
    (
        say("the cat", "sleep", place=("in", "the garden"), negated=True),
        "The cat does not sleep in the garden.",
        "Die Katze schläft nicht im Garten.",
    ),
    (
        say("they", "close", "the window", negated=True),
        "They do not close the window.",
        "Sie machen das Fenster nicht zu.",
    ),
    (
        say("she", "sell", "old bicycles", tense=PAST, negated=True),
        "She did not sell old bicycles.",
        "Sie hat keine alten Fahrräder verkauft.",
    ),
    (
        say("we", "buy", "a table", tense=HAVE_TO, negated=True),
        "We do not have to buy a table.",
        "Wir müssen keinen Tisch kaufen.",
    ),
    (
        say("you", "open", "my suitcase", tense=MAY, negated=True),
        "You may not open my suitcase.",
        "Du darfst meinen Koffer nicht aufmachen.",
    ),
    (say("I", "help", "a man", negated=True), "I do not help a man.", "Ich helfe keinem Mann."),
    (
        say("he", "give", "the child", "juice", negated=True),
        "He does not give the child juice.",
        "Er gibt dem Kind keinen Saft.",
    ),
    # modals
    (say("I", "see", "them", tense=CAN, negated=True), "I cannot see them.", "Ich kann sie nicht sehen."),
    (say("he", "eat", "the cake", tense=SHOULD), "He should eat the cake.", "Er sollte den Kuchen essen."),
    (say("he", "run", tense=HAD_TO), "He had to run.", "Er musste laufen."),
    (say("they", "work", tense=COULD, negated=True), "They could not work.", "Sie konnten nicht arbeiten."),
    # questions
    (
        Question(clause("the man", "see", "the dog", tense=PAST)),
        "Did the man see the dog?",
        "Hat der Mann den Hund gesehen?",
    ),
    (Question(be("you", "tired")), "Are you tired?", "Bist du müde?"),
    (Question(clause("she", "wait", negated=True), WHY), "Why does she not wait?", "Warum wartet sie nicht?"),
    (Question(clause("he", "fall asleep", tense=CAN), WHERE), "Where can he fall asleep?", "Wo kann er einschlafen?"),
    (Question(clause(Interrogative(), "open", "the door")), "Who opens the door?", "Wer macht die Tür auf?"),
    (Question(clause("the boy", "help", Interrogative())), "Whom does the boy help?", "Wem hilft der Junge?"),
    (Question(clause("you", "invite", Interrogative(), tense=PAST)), "Whom did you invite?", "Wen hast du eingeladen?"),
    (Question(clause("they", "forget", Interrogative(thing=True))), "What do they forget?", "Was vergessen sie?"),
    # "be", order of objects, adverbials of place
    (
        Statement(be("the dogs", "tired", negated=True, tense=PAST)),
        "The dogs were not tired.",
        "Die Hunde waren nicht müde.",
    ),
    (
        Statement(be("she", "thirty-four years old")),
        "She is thirty-four years old.",
        "Sie ist vierunddreißig Jahre alt.",
    ),
    (
        say("the doctor", "give", "me", "the key", time="today"),
        "The doctor gives me the key today.",
        "Der Arzt gibt mir heute den Schlüssel.",
    ),
    (
        say("he", "show", "the guests", "his pictures", tense=PAST, time="last week"),
        "He showed the guests his pictures last week.",
        "Er hat letzte Woche den Gästen seine Bilder gezeigt.",
    ),
    (
        say("we", "wait", place=("in front of", "an old church")),
        "We wait in front of an old church.",
        "Wir warten vor einer alten Kirche.",
    ),
    (
        say("I", "swim", place=("next to", "our dark hotel")),
        "I swim next to our dark hotel.",
        "Ich schwimme neben unserem dunklen Hotel.",
    ),
]


@pytest.mark.parametrize("derivation, english, german_side", EXPECTED, ids=[row[1] for row in EXPECTED])
def test_both_sides(derivation, english, german_side):
    assert pair(derivation)[:2] == (english, german_side)


@pytest.mark.parametrize(
    "verb, forms",
    [
        ("work", "arbeite arbeitest arbeitet arbeiten"),
        ("dance", "tanze tanzt tanzt tanzen"),
        ("sleep", "schlafe schläfst schläft schlafen"),
        ("run", "laufe läufst läuft laufen"),
        ("eat", "esse isst isst essen"),
        ("forget", "vergesse vergisst vergisst vergessen"),
        ("invite", "lade lädst lädt laden"),
        ("find", "finde findest findet finden"),
        ("give", "gebe gibst gibt geben"),
        ("know", "weiß weißt weiß wissen"),
        ("repair", "repariere reparierst repariert reparieren"),
    ],
)
def test_present(verb, forms):
    persons = [(1, False), (2, False), (3, False), (3, True)]
    assert [german.present(VERBS[verb], *person) for person in persons] == forms.split()


@pytest.mark.parametrize(
    "words, forms",
    [
        ("the dark house", ["das dunkle Haus", "das dunkle Haus", "dem dunklen Haus"]),
        ("my new bag", ["meine neue Tasche", "meine neue Tasche", "meiner neuen Tasche"]),
        ("a young bear", ["ein junger Bär", "einen jungen Bären", "einem jungen Bären"]),
        ("this expensive salad", ["dieser teure Salat", "diesen teuren Salat", "diesem teuren Salat"]),
        ("their small children", ["ihre kleinen Kinder", "ihre kleinen Kinder", "ihren kleinen Kindern"]),
        ("three red cars", ["drei rote Autos", "drei rote Autos", "drei roten Autos"]),
        ("cold water", ["kaltes Wasser", "kaltes Wasser", "kaltem Wasser"]),
    ],
)
def test_three_cases(words, forms):
    assert [german.nominal_phrase(noun(words), case) for case in ("nominative", "accusative", "dative")] == forms


def test_combinations_are_found_in_every_part():
    relative = clause(which("man"), "repair", "the car")
    main = clause(noun("the man", relative), "eat", "a fresh egg", place=("in", "the old park"))
    derivation = Complex(main, "because", be("the dog", "tired"))
    assert pair(derivation).combinations == {
        ("eat", "man"),
        ("eat", "egg"),
        ("fresh", "egg"),
        ("old", "park"),
        ("repair", "man"),
        ("repair", "car"),
        ("tired", "dog"),
    }


def test_sizes_are_counted():
    letters, digits = OneOf("abc"), OneOf("12")
    assert Either(letters, digits).size == 5
    assert Every(lambda letter, digit: letter + digit, letters, Either(digits, OneOf(""))).size == 6
    # the, this, 6 possessives or no article; no adjective, expensive, cold or fresh
    milk = Phrases(frozenset()).around(NOUNS["milk"], ANY_GROUP, rich=True)
    rng = random.Random(0)
    assert milk.size == 9 * 4 == len({milk.draw(rng) for _ in range(2000)})


def test_english_words_decide_their_german():
    """Sources of ambiguity in English: equal past and present, equal numbers, one word for two."""
    assert all(verb.past.split()[0] != verb.english.split()[0] for verb in VERBS.values())
    assert all(item.english != item.english_plural for item in NOUNS.values())
    plurals = {item.english_plural for item in NOUNS.values() if item.english_plural}
    assert not plurals & set(NOUNS) and not set(ADJECTIVES) & set(VERBS)


def test_one_german_for_each_english():
    everything, rng = sentences(), random.Random(11)
    german_sides, derivations = defaultdict(set), defaultdict(set)
    for _ in range(15_000):
        derivation = everything.draw(rng)
        english, german_side, _ = pair(derivation)
        german_sides[english].add(german_side)
        derivations[english].add(derivation)
    assert max(map(len, german_sides.values())) == 1
    assert max(map(len, derivations.values())) == 1, "the counts exceed the number of pairs"


def test_form_of_the_sentences():
    everything, rng = sentences(), random.Random(12)
    pairs = [pair(everything.draw(rng)) for _ in range(5_000)]
    for side in (text for item in pairs for text in item[:2]):
        assert re.fullmatch(r"[A-ZÄÖÜ][^.?]*[^ ,][.?]", side)
        assert not re.search(r"  | ,|,,", side)
    lengths = sorted(len(item.english.split()) for item in pairs)
    assert lengths[0] >= 2 and lengths[len(lengths) // 2] >= 7 and lengths[-1] <= 22


@pytest.fixture(scope="module")
def small_corpus():
    return make_corpus({"train": 3_000, "valid": 80, "test": 120}, seed=5)


def test_corpus_has_the_sizes_and_no_sentence_twice(small_corpus):
    assert {name: len(pairs) for name, pairs in small_corpus.items()} == {"train": 3_000, "valid": 80, "test": 120}
    english = [item.english for pairs in small_corpus.values() for item in pairs]
    assert len(set(english)) == len(english) == 3_200


def test_held_out_combinations_are_only_in_valid_and_test(small_corpus):
    held_out = choose_held_out(random.Random(5))
    assert 0.09 < len(held_out) / len(all_combinations()) <= 0.1
    assert held_out.isdisjoint(combination for item in small_corpus["train"] for combination in item.combinations)
    for item in small_corpus["valid"] + small_corpus["test"]:
        assert item.combinations & held_out


def test_no_word_form_is_new_in_valid_and_test(small_corpus):
    for side in ("english", "german"):
        known = {word for item in small_corpus["train"] for word in word_forms(getattr(item, side))}
        for item in small_corpus["valid"] + small_corpus["test"]:
            assert word_forms(getattr(item, side)) <= known
    assert word_forms("Um drei Uhr, twenty-one o'clock.") == {"Um", "drei", "Uhr", "twenty-one", "o'clock"}


def test_every_word_keeps_most_of_its_combinations():
    held_out = choose_held_out(random.Random(3))
    for word in (*VERBS, *ADJECTIVES, *NOUNS):
        combined = [combination for combination in all_combinations() if word in combination]
        assert sum(combination in held_out for combination in combined) <= 0.2 * len(combined)


def test_words_of_a_tiny_training_set_are_too_few(monkeypatch):
    monkeypatch.setattr(corpus_module, "PATIENCE", 300)
    with pytest.raises(ValueError, match=r"--(valid|test) \d+: found \d+ distinct pairs .* raise --train"):
        make_corpus({"train": 12, "valid": 50, "test": 50}, seed=1)


def generate(folder: Path, *options: str, hash_seed: str = "0") -> subprocess.CompletedProcess:
    command = [sys.executable, str(FOLDER / "generate.py"), "--output", str(folder), *options]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, env=environment, timeout=120)


SMALL = ("--train", "300", "--valid", "8", "--test", "9")


def contents(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_command_writes_the_same_files_for_a_seed(tmp_path):
    first, second, other = tmp_path / "the first", tmp_path / "second", tmp_path / "other"
    result = generate(first, *SMALL)
    assert result.returncode == 0, result.stderr
    assert "300 train, 8 valid, 9 test" in result.stdout
    assert generate(second, *SMALL, hash_seed="7").returncode == 0
    assert generate(other, *SMALL, "--seed", "2").returncode == 0

    files = contents(first)
    assert sorted(files) == ["test.de", "test.en", "train.de", "train.en", "valid.de", "valid.en"]
    assert {name: text.count(b"\n") for name, text in files.items()} == {
        "train.en": 300,
        "train.de": 300,
        "valid.en": 8,
        "valid.de": 8,
        "test.en": 9,
        "test.de": 9,
    }
    assert contents(second) == files
    assert contents(other)["train.en"] != files["train.en"]


def test_existing_files_are_replaced_only_when_asked(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test.de").write_text("mine")
    result = generate(tmp_path / "out", *SMALL)
    assert result.returncode == 1 and "already has test.de; add --overwrite" in result.stderr
    assert contents(tmp_path / "out") == {"test.de": b"mine"}
    assert generate(tmp_path / "out", *SMALL, "--overwrite").returncode == 0
    assert len(contents(tmp_path / "out")) == 6 and b"mine" not in contents(tmp_path / "out")["test.de"]


@pytest.mark.parametrize(
    "options, message",
    [
        (("--train", "-3"), "--train -3: at least 1 pair is needed"),
        (("--valid", "0"), "--valid 0: at least 1 pair is needed"),
        (("--test", "-1"), "--test -1: at least 1 pair is needed"),
    ],
)
def test_sizes_below_one_are_refused(tmp_path, options, message):
    result = generate(tmp_path / "out", *options)
    assert result.returncode == 1 and result.stderr == f"generate.py: {message}\n"


def test_sizes_beyond_the_grammar_say_how_many_pairs_there_are(tmp_path):
    held_out = choose_held_out(random.Random(1))
    known, everything = sentences(held_out).size, sentences().size
    assert 10**12 < known < everything
    result = generate(tmp_path / "out", "--train", str(known + 1))
    assert result.returncode == 1 and f"only {known} distinct pairs" in result.stderr
    result = generate(tmp_path / "out", "--test", str(everything))
    assert result.returncode == 1 and f"only {everything - known} distinct pairs" in result.stderr
    assert "Traceback" not in result.stderr


def test_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    result = generate(tmp_path / "out", *SMALL)
    assert result.returncode == 1 and "is a file; name a folder" in result.stderr
