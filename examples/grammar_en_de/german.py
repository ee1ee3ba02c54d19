"""German for a derivation.

Order between the brackets of the verb: pronouns, time, dative, accusative, "nicht", place.
English simple past becomes the perfect, except "was" and the modals, which have the simple past (war, konnte).
"""

from typing import Dict, List, Tuple

from derivation import Clause, Complex, Interrogative, Nominal, NounPhrase, Place, Question, Relative, Sentence
from derivation import Statement, is_moved
from function_words import CONJUNCTIONS, INDEFINITE, IRREGULAR, KEIN, THE, WAS, Determiner, Pronoun
from lexicon import Noun, Verb

NOMINATIVE, ACCUSATIVE, DATIVE = "nominative", "accusative", "dative"
Table = Dict[str, Tuple[str, str, str, str]]  # case -> masculine, feminine, neuter, plural


def _table(nominative: str, accusative: str, dative: str) -> Table:
    rows = (nominative, accusative, dative)
    return {case: tuple(row.replace("-", "").split(",")) for case, row in zip((NOMINATIVE, ACCUSATIVE, DATIVE), rows)}


DEFINITE = _table("der,die,das,die", "den,die,das,die", "dem,der,dem,den")
RELATIVE = {**DEFINITE, DATIVE: ("dem", "der", "dem", "denen")}
EIN = _table("-,-e,-,-e", "-en,-e,-,-e", "-em,-er,-em,-en")
STRONG = _table("-er,-e,-es,-e", "-en,-e,-es,-e", "-em,-er,-em,-en")
WEAK = _table("-e,-e,-e,-en", "-en,-e,-e,-en", "-en,-en,-en,-en")
MIXED = _table("-er,-e,-es,-en", "-en,-e,-es,-en", "-en,-en,-en,-en")
DETERMINER_ENDINGS = {"der": DEFINITE, "dieser": STRONG, "ein": EIN}
ADJECTIVE_ENDINGS = {"der": WEAK, "dieser": WEAK, "ein": MIXED, "none": STRONG}
INTERROGATIVE = {NOMINATIVE: "wer", ACCUSATIVE: "wen", DATIVE: "wem"}


def sentence(derivation: Sentence) -> str:
    """Returns the sentence with initial capital, commas and final punctuation."""
    end = "?" if isinstance(derivation, Question) else "."
    text = " ".join(_words(derivation)).replace(" ,", ",")
    return text[0].upper() + text[1:] + end


def _words(derivation: Sentence) -> List[str]:
    clause = derivation.clause
    if isinstance(derivation, Question):
        return question(clause, [derivation.adverb.german] if derivation.adverb else [])
    if isinstance(derivation, Complex):
        subordinate = [CONJUNCTIONS[derivation.conjunction], *verb_final(derivation.subordinate)]
        if derivation.subordinate_first:
            return verb_second([*subordinate, ","], clause)
        return [*subject_first(clause), ",", *subordinate]
    if isinstance(derivation, Statement) and derivation.time_first:
        return verb_second([clause.time.german], clause._replace(time=None))
    return subject_first(clause)


def subject_first(clause: Clause) -> List[str]:
    """Returns the words of a main clause that begins with its subject."""
    finite, last = verbs(clause)
    return [*_subject(clause), finite, *_middle(clause), *last, *_after_verbs(clause)]


def verb_second(opening: List[str], clause: Clause) -> List[str]:
    """Returns the words of a main clause that begins with `opening`: the subject follows the verb."""
    finite, last = verbs(clause)
    return [*opening, finite, *_subject(clause), *_middle(clause), *last, *_after_verbs(clause)]


def question(clause: Clause, opening: List[str]) -> List[str]:
    """Returns the words of a question: the verb is first, or second after an interrogative."""
    if isinstance(clause.subject, Interrogative):
        return subject_first(clause)
    return verb_second(opening or _moved(clause), clause)


def verb_final(clause: Clause) -> List[str]:
    """Returns the words of a subordinate or relative clause: a separable prefix is joined to the finite verb."""
    finite, last = verbs(clause)
    if last and last[0] == clause.verb.prefix:
        final = [clause.verb.prefix + finite]
    else:
        final = [*last, finite]
    return [*_moved(clause), *_subject(clause), *_middle(clause), *final]


def _subject(clause: Clause) -> List[str]:
    words = [nominal_phrase(clause.subject, NOMINATIVE)]
    if isinstance(clause.subject, NounPhrase) and clause.subject.relative:
        words += [",", *verb_final(clause.subject.relative), ","]
    return words


def _moved(clause: Clause) -> List[str]:
    return [nominal_phrase(part, case) for part, case in zip(clause.objects, clause.verb.cases) if is_moved(part)]


def _middle(clause: Clause) -> List[str]:
    pronouns, nouns, negation = [], [], ["nicht"] if clause.negated else []
    for part, case in zip(clause.objects, clause.verb.cases):
        if isinstance(part, Pronoun):
            pronouns.append(nominal_phrase(part, case))
        elif isinstance(part, NounPhrase):
            if clause.negated and part.determiner.group == INDEFINITE:
                part, negation = part._replace(determiner=KEIN), []
            nouns.append(nominal_phrase(part, case))
    time = [clause.time.german] if clause.time else []
    place = [place_phrase(clause.place)] if clause.place else []
    return [*pronouns, *time, *nouns, *negation, *place]


def _after_verbs(clause: Clause) -> List[str]:
    """Returns the relative clause of an object, which follows the whole main clause."""
    relatives = [part.relative for part in clause.objects if isinstance(part, NounPhrase) and part.relative]
    return [word for relative in relatives for word in [",", *verb_final(relative)]]


def verbs(clause: Clause) -> Tuple[str, List[str]]:
    """Returns the finite verb and the end of a main clause: prefix, participle, infinitive or complement."""
    verb, tense = clause.verb, clause.tense
    form = 3 if clause.subject.plural else clause.subject.person - 1
    past = "past" in tense.times
    if clause.complement:
        return (WAS if past else IRREGULAR["sein"])[form], [clause.complement.german]
    if tense.english:
        return tense.german[form], [verb.prefix + verb.german]
    if past:
        return IRREGULAR[verb.auxiliary][form], [verb.participle]
    return present(verb, clause.subject.person, clause.subject.plural), [verb.prefix] if verb.prefix else []


def present(verb: Verb, person: int, plural: bool) -> str:
    """Returns the present without the separable prefix (du machst, er hilft, sie arbeitet)."""
    if verb.german in IRREGULAR:
        return IRREGULAR[verb.german][3 if plural else person - 1]
    if plural:
        return verb.german
    stem = verb.german.removesuffix("en")
    if person == 1:
        return stem + "e"
    link = "e" if stem.endswith(("t", "d")) and not verb.stem else ""
    stem = (verb.stem or stem) + link
    if person == 2 and not stem.endswith(("s", "ß", "z")):
        return stem + "st"
    return stem + "t"


def nominal_phrase(nominal: Nominal, case: str) -> str:
    """Returns a pronoun or a noun phrase in `case`, without its relative clause."""
    if isinstance(nominal, Pronoun):
        return getattr(nominal, case)
    if isinstance(nominal, Interrogative):
        return "was" if nominal.thing else INTERROGATIVE[case]
    column = 3 if nominal.plural else "mfn".index(nominal.noun.gender)
    if isinstance(nominal, Relative):
        return RELATIVE[case][column]
    words = [determiner_form(nominal.determiner, case, column)]
    if nominal.adjective:
        words.append(nominal.adjective.stem + ADJECTIVE_ENDINGS[nominal.determiner.declension][case][column])
    words.append(noun_form(nominal.noun, nominal.plural, case))
    return " ".join(word for word in words if word)


def determiner_form(determiner: Determiner, case: str, column: int) -> str:
    """Returns a determiner with its ending; numbers have no ending."""
    if determiner.declension == "none":
        return determiner.german
    return determiner.german + DETERMINER_ENDINGS[determiner.declension][case][column]


def noun_form(noun: Noun, plural: bool, case: str) -> str:
    """Returns a form of a noun. Dative plurals get -n, except after -n and -s; weak nouns change in the singular."""
    if not plural:
        return noun.german if case == NOMINATIVE else noun.oblique or noun.german
    if case == DATIVE and not noun.german_plural.endswith(("n", "s")):
        return noun.german_plural + "n"
    return noun.german_plural


def place_phrase(place: Place) -> str:
    """Returns a place in the dative; "in dem" becomes "im"."""
    phrase, preposition = nominal_phrase(place.phrase, DATIVE), place.preposition
    if preposition.contracted and place.phrase.determiner == THE and phrase.startswith("dem "):
        return preposition.contracted + phrase.removeprefix("dem")
    return f"{preposition.german} {phrase}"
