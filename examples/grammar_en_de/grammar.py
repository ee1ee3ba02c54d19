"""The set of all sentences of the grammar, which can be counted and sampled, and the two sides of each sentence."""

from typing import FrozenSet, List, NamedTuple, Tuple

import english
import german
from clauses import FULL_VERBS, ONE_OBJECT_VERBS, PLAIN_TENSES, SHORT_VERBS, Clauses
from derivation import Combination, Complex, Interrogative, Question, Sentence, Statement, combinations
from finite_sets import Either, Every, FiniteSet, OneOf
from function_words import CAN, HAVE_TO, PAST, PAST_MODALS, PRESENT, PRESENT_MODALS, WANT_TO, WHEN, WHERE, WHY, WILL
from lexicon import ADJECTIVES, CLAUSE_VERBS, LIVING, NOUNS, PERSON, VERBS, Noun, Verb

TENSES = (PRESENT, PAST, *PRESENT_MODALS, *PAST_MODALS)
CONDITIONAL_TENSES = (PRESENT, CAN, HAVE_TO, WANT_TO)
EITHER_ORDER = OneOf([False, True])


class Pair(NamedTuple):
    """Both sides of a derivation, and its combinations of words."""

    english: str
    german: str
    combinations: FrozenSet[Combination]


def pair(derivation: Sentence) -> Pair:
    """Returns the two sides of a derivation."""
    return Pair(english.sentence(derivation), german.sentence(derivation), combinations(derivation))


def all_combinations() -> List[Combination]:
    """Returns every (adjective, noun) and (verb, noun) that the grammar can combine, in a fixed order."""
    combinations = []
    for noun in NOUNS.values():
        combinations += [(word.english, noun.english) for word in ADJECTIVES.values() if noun.kind in word.kinds]
        combinations += [(verb.english, noun.english) for verb in VERBS.values() if _combine(verb, noun)]
    return combinations


def _combine(verb: Verb, noun: Noun) -> bool:
    if verb.english == "be":
        return False
    is_recipient = len(verb.cases) == 2 and noun.kind == PERSON
    return is_recipient or noun.kind in verb.subjects + verb.kinds


def sentences(held_out: FrozenSet[Combination] = frozenset()) -> FiniteSet:
    """Returns all sentences without the combinations in `held_out`; the weights of the kinds resemble a textbook."""
    clauses = Clauses(held_out)
    kinds = (_statements, _be_statements, _questions, _complex_sentences, _that_clauses, _relative_sentences)
    return Either(*(kind(clauses) for kind in kinds), weights=(36, 10, 14, 18, 8, 14))


def _statements(clauses: Clauses) -> FiniteSet:
    with_objects = tuple(verb for verb in FULL_VERBS if verb.cases)  # "I wait." is too short to be useful
    untimed = clauses.any_verb(with_objects, TENSES, rich=True, placed=True)
    timed = clauses.any_verb(FULL_VERBS, TENSES, rich=True, placed=True, timed=True)
    return Either(Every(Statement, untimed), Every(Statement, timed, EITHER_ORDER))


def _be_statements(clauses: Clauses) -> FiniteSet:
    timed = clauses.with_be(PLAIN_TENSES, timed=True)
    return Either(Every(Statement, clauses.with_be(PLAIN_TENSES)), Every(Statement, timed, EITHER_ORDER))


def _questions(clauses: Clauses) -> FiniteSet:
    short = clauses.any_verb(SHORT_VERBS, TENSES)
    timed = clauses.any_verb(SHORT_VERBS, TENSES, rich=True, timed=True)
    positive = clauses.any_verb(SHORT_VERBS, TENSES, negations=(False,))
    by_subject = [clauses.by_subject(verb, OneOf([Interrogative()]), TENSES) for verb in SHORT_VERBS]
    by_object = [clauses.by_object(verb, OneOf(_asked(verb)), TENSES) for verb in ONE_OBJECT_VERBS]
    return Either(
        Every(Question, timed),
        Every(Question, Either(short, clauses.with_be(PLAIN_TENSES)), OneOf([None, WHY])),
        Every(Question, positive, OneOf([WHERE, WHEN])),
        Every(Question, Either(*by_subject)),
        Every(Question, Either(*by_object)),
    )


def _asked(verb: Verb) -> List[Interrogative]:
    """Returns the interrogatives of a question: "whom" for persons and animals, "what" for things."""
    return [Interrogative(thing) for thing in sorted({kind not in LIVING for kind in verb.kinds})]


def _complex_sentences(clauses: Clauses) -> FiniteSet:
    """Returns main clauses with a subordinate clause, in both orders; "if" is used only in the present."""
    anything = Either(clauses.any_verb(SHORT_VERBS, TENSES), clauses.with_be(PLAIN_TENSES), weights=(4, 1))
    condition = Either(clauses.any_verb(SHORT_VERBS, CONDITIONAL_TENSES), clauses.with_be((PRESENT,)), weights=(4, 1))
    consequence = clauses.any_verb(SHORT_VERBS, (*CONDITIONAL_TENSES, WILL))
    reasons = Every(Complex, anything, OneOf(["because", "although"]), anything, EITHER_ORDER)
    conditions = Every(Complex, consequence, OneOf(["if"]), condition, EITHER_ORDER)
    return Either(reasons, conditions, weights=(2, 1))


def _that_clauses(clauses: Clauses) -> FiniteSet:
    matrix = clauses.any_verb(tuple(VERBS[name] for name in CLAUSE_VERBS), PLAIN_TENSES)
    content = Either(
        clauses.any_verb(SHORT_VERBS, TENSES),
        clauses.any_verb(SHORT_VERBS, TENSES, timed=True),
        clauses.with_be(PLAIN_TENSES),
    )
    return Every(Complex, matrix, OneOf(["that"]), content)


def _relative_sentences(clauses: Clauses) -> FiniteSet:
    """Returns statements with a relative clause on the subject or on the only object.

    Nothing follows a relative clause on the object: it could belong to either clause.
    """

    def heads(verb: Verb, kinds: Tuple[str, ...]) -> FiniteSet:
        nouns = [noun for noun in NOUNS.values() if noun.kind in kinds and clauses.phrases.allows(verb, noun)]
        return Either(*map(clauses.with_relative, nouns))

    on_subject = [clauses.by_subject(verb, heads(verb, verb.subjects), PLAIN_TENSES) for verb in SHORT_VERBS]
    on_object = [clauses.by_object(verb, heads(verb, verb.kinds), PLAIN_TENSES) for verb in ONE_OBJECT_VERBS]
    return Every(Statement, Either(Either(*on_subject), Either(*on_object)))
