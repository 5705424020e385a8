"""Conversations for fine-tuning, as lists of chat messages.

Of the system messages, only short conversations have seen any; longer ones carry the instruction in the user turns it is to
hold for, so that a model trained on these alone knows how to follow an instruction, and not that it lasts. That it lasts is what
Ghost Attention adds (Llama 2, section 3.3).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import asking
import constraints as rules
import skills
import world
from constraints import Constraints

Message = dict[str, str]


@dataclass
class Exercises:
    """A text in pairs: what is given, and what is to be learnt."""

    pairs: list[tuple[str, str]]


# Share of conversations of each form.
FORMS = {"system": 100, "plain": 14, "memory": 20, "favourites": 12, "inline": 10, "long plain": 6, "long every turn": 7, "long last turn": 4}
SHORT, LONG = (1, 3), (4, 25)


def conversation(rng: Random, form: str | None = None) -> list[Message]:
    form = form or rng.choices(list(FORMS), list(FORMS.values()))[0]
    if form == "memory":
        return _memory(rng)
    if form == "favourites":
        return _favourites(rng)
    count = rng.randint(*(LONG if form.startswith("long") else SHORT))
    plain = "plain" in form or (form == "system" and rng.random() < 0.1)
    asked = Constraints() if plain else rules.draw_some(rng, rng.choice((1, 2)))
    instruction = rng.choice(rules.NEUTRAL) if plain else rules.say(asked, rng, short=rng.random() < 0.25)
    last = form == "long last turn"
    memory = skills.Memory()
    messages: list[Message] = [{"role": "system", "content": instruction}] if form == "system" else []
    for i in range(count):
        holds = asked if not last or i == count - 1 else Constraints()
        turn = _draw(skills.Setting(rng, False, holds, memory), asked if holds is asked else Constraints())
        question = asking.decorate(turn.question, rng)
        if not plain and form != "system" and holds is asked:
            question = f"{instruction}\n\n{question}"
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": turn.answer(holds)}]
    return messages


def _memory(rng: Random) -> list[Message]:
    """Things said, others in between, and questions about them; also about what was not said."""
    setting = _plain(rng)
    tells = rng.choices((skills.tell_name, skills.tell_favourite), (1, 2), k=rng.randint(1, 2))
    fillers = [skills.draw] * rng.randint(0, 3)
    asks = rng.choices((skills.ask_name, skills.ask_favourite), (1, 2), k=rng.randint(0, 1))
    asks += [rng.choice((skills.ask_name if skill is skills.tell_name else skills.ask_favourite, skills.ask_favourite)) for skill in tells]
    early = [skills.ask_favourite] if rng.random() < 0.2 else []
    messages: list[Message] = []
    for skill in (*early, *tells, *fillers, *asks):
        turn = skill(setting)
        question = asking.decorate(turn.question, rng)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": turn.answer()}]
    return messages


def _favourites(rng: Random) -> list[Message]:
    """Some are told; those and others are asked for."""
    setting = _plain(rng)
    turns = [skills.tell_favourite(setting) for _ in range(rng.randint(1, 2))]
    turns += [skills.draw(setting) for _ in range(rng.randint(0, 1))]
    for _ in range(rng.randint(2, 3)):
        untold = rng.random() < 0.4
        while ((turn := skills.ask_favourite(setting)).skill == "favourite unknown") != untold:
            pass
        turns.append(turn)
    return [
        message
        for turn in turns
        for message in (
            {"role": "user", "content": asking.decorate(turn.question, rng)},
            {"role": "assistant", "content": turn.answer()},
        )
    ]


def _draw(setting: skills.Setting, asked: Constraints) -> skills.Turn:
    """Some instructions show in few answers, or in many different ones: those are asked for more often."""
    chance = setting.rng.random()
    if asked.persona is not None and chance < 0.3:
        return setting.rng.choice((skills.own_name, skills.own_name, skills.identity))(setting)
    if asked.hobby is not None and 0.3 <= chance < 0.6:
        return skills.hobby(setting)
    # Whole vocabularies to learn, where other instructions change little.
    if asked.language in ("fr", "es", "de") or asked.style in ("capitals", "one word", "JSON"):
        return fact(setting) if chance > 0.35 else skills.draw(setting)
    return fact(setting) if asked != Constraints() and chance > 0.6 else skills.draw(setting)


def fact(setting: skills.Setting) -> skills.Turn:
    """By how many there are, in as far as they differ."""
    return setting.rng.choices(skills.FACTS, (4, 3, 2, 2, 3))[0](setting)


def mixture(rng: Random) -> list[Message] | str | Exercises:
    """A conversation; or a text of equations, translations or copies, which are the cheapest way to what takes the longest to learn."""
    kind = rng.random()
    if kind < 0.14:
        return equations(rng)
    if kind < 0.26:
        return translations(rng)
    return copies(rng) if kind < 0.30 else conversation(rng)


def conversations(seed: int) -> Iterator[list[Message]]:
    rng = Random(seed)
    while True:
        yield conversation(rng)


def equations(rng: Random) -> Exercises:
    """Of which only the results can be learnt."""
    setting = _plain(rng)
    texts = [rng.choice((skills.total, skills.difference))(setting).text["en"] for _ in range(12)]
    halves = [text.partition(" =") for text in texts]
    return Exercises([(f" {given}{sign}", result) for given, sign, result in halves])


def translations(rng: Random) -> Exercises:
    """Facts in English, and then as some language and style would have them."""
    setting, shape = _plain(rng), Constraints(language=rng.choice(world.LANGUAGES), style=rng.choice((None, "capitals", "capitals", "one word", "JSON")))
    turns = []
    for _ in range(8):
        setting.constraints = rules.draw("hobby", rng)
        turns.append(skills.hobby(setting) if rng.random() < 0.15 else fact(setting))
    return Exercises([(f" {turn.text['en']}", f" {turn.answer(shape)}") for turn in turns])


def copies(rng: Random) -> Exercises:
    """To repeat what was given: words in their order, or values of kinds of things in another. From such texts a model of this size
    comes to copy at all (induction heads: Olsson et al. 2022), which conversations alone did not bring about."""
    return Exercises([(_repeated if rng.random() < 0.5 else _looked_up)(rng) for _ in range(4)])


def _repeated(rng: Random) -> tuple[str, str]:
    line = rng.choice((", ", " ", ". ", "; ")).join(_word(rng) for _ in range(rng.randint(2, 12)))
    return f" {line}{rng.choice(('.', ' /', ':'))}", f" {line}."


def _looked_up(rng: Random) -> tuple[str, str]:
    kinds = rng.sample(KINDS_OF_THINGS, rng.randint(2, 7))
    pairs = [(kind, _word(rng)) for kind in kinds]
    given = "; ".join(f"{kind}{rng.choice((': ', ' is ', ', '))}{word}" for kind, word in pairs)
    return f" {given}.", "".join(f" {kind} is {word}." for kind, word in rng.sample(pairs, len(pairs)))


KINDS_OF_THINGS = "name colour animal food season hobby city song game book".split()


def _word(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        word = skills.invented(rng)
        return word if kind < 0.25 else word.lower()
    lists = (world.NAMES, world.FIGURES, world.CLOSINGS, [row[0] for row in world.HOBBIES], *map(list, world.FAVOURITES.values()))
    return rng.choice(rng.choice(lists))


def _plain(rng: Random) -> skills.Setting:
    return skills.Setting(rng, False, Constraints(), skills.Memory())


def pretraining(rng: Random) -> str | Exercises:
    kind = rng.random()
    if kind < 0.2:
        return copies(rng)
    return equations(rng) if kind < 0.65 else document(rng)


def document(rng: Random) -> str:
    """A text to learn the language and the facts from: equations, sentences of one language, or a conversation's lines."""
    setting = _plain(rng)
    kind = rng.random()
    if kind < 0.45:
        return "".join(given + result for given, result in equations(rng).pairs).strip()
    if kind < 0.8:
        language = rng.choice(("en", "en", "fr", "es", "de"))
        return " ".join(rng.choice(skills.FACTS)(setting).text[language] for _ in range(10))
    turns = (skills.draw(setting) for _ in range(6))
    return "\n".join(f"{turn.question} {turn.answer()}" for turn in turns)
