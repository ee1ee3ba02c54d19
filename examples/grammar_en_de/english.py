"""English for a derivation. Order: subject, verbs, objects, place, time; or time first."""

from typing import List, Tuple

from derivation import Clause, Complex, Interrogative, Nominal, NounPhrase, Question, Relative, Sentence
from derivation import Statement, is_moved
from function_words import Pronoun
from lexicon import PERSON


def sentence(derivation: Sentence) -> str:
    """Returns the sentence with initial capital and final punctuation."""
    end = "?" if isinstance(derivation, Question) else "."
    text = " ".join(_words(derivation)).replace(" ,", ",")
    return text[0].upper() + text[1:] + end


def _words(derivation: Sentence) -> List[str]:
    clause = derivation.clause
    if isinstance(derivation, Question):
        return question(clause, derivation.adverb.english if derivation.adverb else "")
    if isinstance(derivation, Complex):
        subordinate = [derivation.conjunction, *statement(derivation.subordinate)]
        if derivation.subordinate_first:
            return [*subordinate, ",", *statement(clause)]
        return [*statement(clause), *subordinate]
    if isinstance(derivation, Statement) and derivation.time_first:
        return [clause.time.english, *statement(clause._replace(time=None))]
    return statement(clause)


def statement(clause: Clause) -> List[str]:
    """Returns the words of a main or subordinate clause; a relative pronoun comes first."""
    auxiliary, verb, plain_form = verb_group(clause)
    verbs = [_negative(auxiliary), verb] if clause.negated else [plain_form]
    moved = [nominal_phrase(part, False) for part in clause.objects if is_moved(part)]
    return [*moved, nominal_phrase(clause.subject, True), *verbs, *_after_verbs(clause)]


def question(clause: Clause, adverb: str) -> List[str]:
    """Returns the words of a question; a question for the subject has the order of a statement."""
    if isinstance(clause.subject, Interrogative):
        return statement(clause)
    auxiliary, verb, _ = verb_group(clause)
    opening = [adverb] if adverb else [nominal_phrase(part, False) for part in clause.objects if is_moved(part)]
    negation = ["not"] if clause.negated else []
    subject = nominal_phrase(clause.subject, True)
    return [*opening, auxiliary, subject, *negation, verb, *_after_verbs(clause)]


def _after_verbs(clause: Clause) -> List[str]:
    words = [nominal_phrase(part, False) for part in clause.objects if not is_moved(part)]
    if clause.place:
        words += [clause.place.preposition.english, nominal_phrase(clause.place.phrase, False)]
    if clause.time:
        words.append(clause.time.english)
    return words


def verb_group(clause: Clause) -> Tuple[str, str, str]:
    """Returns the auxiliary of negations and questions, the verb after it, and the form of both in a plain statement.

    ("does", "see", "sees"), ("can", "see", "can see"), ("did", "want to see", "wanted to see"),
    ("is", "tired", "is tired").
    """
    verb, tense, subject = clause.verb, clause.tense, clause.subject
    past = "past" in tense.times
    is_third_person = subject.person == 3 and not subject.plural
    if verb.english == "be":
        form = _form_of_be(past, subject)
        return form, clause.complement.english, f"{form} {clause.complement.english}"
    if tense.english and not tense.past:
        return tense.english, verb.english, f"{tense.english} {verb.english}"

    base, past_form = (tense.english, tense.past) if tense.english else (verb.english, verb.past)
    infinitive = [verb.english] if tense.english else []
    inflected = past_form if past else third_person(base) if is_third_person else base
    auxiliary = "did" if past else "does" if is_third_person else "do"
    return auxiliary, " ".join([base, *infinitive]), " ".join([inflected, *infinitive])


def _form_of_be(past: bool, subject: Nominal) -> str:
    if subject.plural or subject.person == 2:
        return "were" if past else "are"
    if past:
        return "was"
    return "am" if subject.person == 1 else "is"


def third_person(base: str) -> str:
    """Returns the form of he and she; only the first word of "get up" inflects."""
    first, *others = base.split()
    if first == "have":
        first = "has"
    elif first.endswith(("s", "sh", "ch", "x", "o")):
        first += "es"
    else:
        first += "s"  # no verb of the lexicon ends in consonant + y
    return " ".join([first, *others])


def _negative(auxiliary: str) -> str:
    return "cannot" if auxiliary == "can" else f"{auxiliary} not"


def nominal_phrase(nominal: Nominal, is_subject: bool) -> str:
    """Returns a noun phrase with its relative clause, or a pronoun in the case of its role."""
    if isinstance(nominal, Pronoun):
        return nominal.english if is_subject else nominal.english_object
    if isinstance(nominal, Interrogative) and nominal.thing:
        return "what"
    if isinstance(nominal, Relative) and nominal.noun.kind != PERSON:
        return "that"
    if isinstance(nominal, (Relative, Interrogative)):
        return "who" if is_subject else "whom"
    return _noun_phrase(nominal)


def _noun_phrase(phrase: NounPhrase) -> str:
    words = [phrase.noun.english_plural if phrase.plural else phrase.noun.english]
    if phrase.adjective:
        words.insert(0, phrase.adjective.english)
    determiner = phrase.determiner.english
    if determiner == "a" and words[0][0] in "aeiou":
        determiner = "an"
    if determiner:
        words.insert(0, determiner)
    if phrase.relative:
        words += statement(phrase.relative)
    return " ".join(words)
