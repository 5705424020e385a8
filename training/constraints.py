"""System messages that the demo model follows: what they say, and what they make of an answer."""

import json
from dataclasses import dataclass, replace
from random import Random

from asking import every
from world import CLOSINGS, EMOJI, FIGURES, HOBBIES, LANGUAGE_NAMES, LANGUAGES, NAMES

KINDS = ("language", "persona", "hobby", "style", "closing")
STYLES = ("capitals", "one word", "emoji", "JSON")
# How often training draws a kind: languages and styles have the most to learn.
WEIGHTS = (5, 2, 2, 4, 2)


@dataclass(frozen=True)
class Constraints:
    """None is what a system message does not speak about."""

    language: str | None = None
    persona: str | None = None
    hobby: str | None = None
    style: str | None = None
    closing: str | None = None

    def kinds(self) -> list[str]:
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    def shape(self, text: str) -> str:
        """An answer in the right words, in the right form."""
        if self.closing is not None:
            text = f"{text} {self.closing}!"
        if self.style == "capitals":
            return text.upper()
        if self.style == "emoji":
            return f"{text} {EMOJI}"
        if self.style == "JSON":
            return json.dumps({"answer": text}, ensure_ascii=False)
        return text


# Ways to say an instruction; the second list is never trained on. The last is its short form, as in "Figure: Napoleon."
LANGUAGE = (
    ["Answer in {}.", "Always answer in {}.", "Please reply in {}.", "You only speak {}.", "Speak {}.", "Respond only in {}.",
     "Use {} for every answer.", "From now on, answer in {}.", "Always write in {}.", "You must answer in {}.",
         "I want answers in {}.", "Every answer should be in {}.", "Talk to me in {}.", "Only {} is allowed.", "Reply in {} only.", "You always speak {}.", "Everything you say is in {}.", "Please speak {}.", "Your answers should be in {}.",
         "All answers must be in {}.", "Reply to all of it in {}.", "Please speak only {}.", "Answer everything in {}, please.",
         *every("Give|Write|Say|Put|Reply to|Answer", " everything| all| all questions| each question| every question", " in {}.| only in {}."),
         *every("All|All of", " your replies| the answers| your words", " must be in {}.| are in {}.| should be in {}."),
         *every("Please|Always|You must|You should", " speak {}.| answer in {}.| use {}.| write {}.| talk in {}.")],
    ["All your answers must be in {}.", "Reply to everything in {}.", "Please always speak {}."],
    "Language: {}.",
)
PERSONA = (
    ["Act as {}.", "Always act as {}.", "You are {}.", "Pretend to be {}.", "Play the role of {}.", "Your name is {}.",
     "Behave like {}.", "From now on, you are {}.", "Always act as {} from now on.", "Speak as {}.", "Imagine you are {}.",
         "I want you to act as {}.", "You play {}.", "You shall be {}.", "Be {}.", "Take the part of {}.", "You now are {}.", "Talk as if you are {}.", "Your role is {}.", "Answer as {}.", "Assume that you are {}.", "Act like you are {}.",
         "Take on the name {}.", "You are going to play {}.", "You will be playing {}.", "Tonight you play {}.", "Act as though you were {}.",
         "Take on the part of {}.", "You will appear as {}.",
         *every("You are|Act as|Be|Speak as|Think of yourself as|Call yourself|Present yourself as", " {} from now on.| {} in this chat.| {} here.| {}, please."),
         *every("Take on|Play|Take|Assume|You have", " the part of {}.| the character of {}.| the name {}.| the name of {}."),
         "Act as if you are {}.", "Speak as if you were {}.", "Behave as if you were {}.", "You will be {}.", "You will act as {}.", "You will speak as {}."],
    ["Take on the role of {}.", "Act as if you were {}.", "You will play {}."],
    "Figure: {}.",
)
HOBBY = (
    ["You enjoy {}.", "You like {}.", "Your hobby is {}.", "You love {}.", "In your free time you enjoy {}.",
     "Your favourite hobby is {}.", "You are fond of {}.", "You really like {}.",
         "You are keen on {}.", "You always enjoy {}.", "You have one hobby: {}.", "Nothing is better for you than {}.", "You have always loved {}.", "Your passion is {}.", "You like {} most.", "What you like is {}.", "You spend your free time with {}.",
         "You are a big fan of {}.", "You are a true fan of {}.", "You have been a fan of {} for years.", "You are an admirer of {}.",
         "You are into {}.", "You have always been into {}.", "What you enjoy is {}.", "What you enjoy above all is {}.",
         *every("You|You always|You really|You have always|You very much", " liked {}.| enjoyed {}.| adored {}.| like {}.| enjoy {}.| love {}."),
         *every("What you like most|What you love|What you enjoy|Your joy|Your favourite pastime|All you like", " is {}."),
         "You are a friend of {}.", "You are a lover of {}.", "You are good at {} and enjoy it.", "You have a passion for {}."],
    ["You are a fan of {}.", "What you enjoy most is {}.", "You always liked {}."],
    "Hobby: {}.",
)
CLOSING = (
    ['End every answer with "{}".', "Always finish with the word {}.", "Close each reply with {}.",
     "Say {} at the end of every answer.", "End all answers with the word {}.", 'Always end with "{}".',
     "The last word of every answer is {}.", "Let every answer end with {}.", "Every answer ends with {}.",
     "Put {} at the end of each answer.", "Finish each reply with the word {}.", "Your answers always end with {}.",
     "Add {} after every answer.", "The final word of each reply must be {}.",
     "Let your last word be {}.", "Your final word must always be {}.", "The last word must be {}.", "Your very last word must be {}.",
     "Finish your answers with {}.", "Every reply has to end with {}.", "Every one of your replies ends with {}.",
     *every("Finish|End|Close|Conclude", " every| each| all", " answer| reply| response| message", " with {}.| with the word {}.| by saying {}."),
     *every("Every|Each", " answer| response| message| sentence", " ends with {}.| must end with {}.| closes with {}.| has {} at its end."),
     *every("Always|You always|Your answers always", " end with {}.| finish with {}.| close with {}.| have {} as their last word.")],
    ["Your last word must always be {}.", "Finish all answers with {}.", "Every reply ends with {}."],
    "Closing: {}.",
)
STYLE = {
    "capitals": (
        ["Write in capital letters.", "Answer in all capitals.", "Use only uppercase letters.", "Always write in capitals.",
         "Type everything in upper case.", "Answer in capital letters only.", "Always use capital letters.",
         "Capitals only.", "Everything you write must be in capital letters.", "All letters must be uppercase.", "I want all your answers in capitals.", "No lowercase letters.", "Write all answers in capital letters.", "Use capitals when you answer.", "Reply only in uppercase.",
         *every("Write|Put|Give|Type|Print|Say", " every answer| each answer| all answers| all replies| everything| all you say", " in capitals.| in capital letters.| in upper case.| in all caps."),
         *every("Write|Put|Give|Type", " it all| all of it| your answers| your replies", " in capital letters.| in uppercase.| in capitals."), "Only use capitals.",
         *every("Only|Always|You must|Please", " write in uppercase.| use capitals.| reply in capital letters.| answer in upper case.| write capitals.")],
        ["Put all your answers in capital letters.", "Only use capitals when you answer.", "Write everything in uppercase."],
        "Style: capitals.",
    ),
    "one word": (
        ["Answer with one word.", "Use a single word.", "Always answer in one word.", "Reply with just one word.",
         "One word answers only.", "Answer in a single word.", "Use only one word for every answer.",
         "I want one word answers.", "Every answer must be one word.", "Say only one word.", "Your answers are single words.", "Do not use more than one word.", "Keep every answer to a single word.", "Answer everything with one word.",
         *every("Write|Use|Send|Reply with|Only give|Always give|I want|I need|Answer with", " single word answers.| single word replies.| single words.| single word answers only."),
         "Single word answers, please.", "Reply in a single word only.", "Only single word answers are allowed.",
         *every("Limit|Cut", " your answers| all your replies| each reply| all answers", " to one word.| to a single word."),
         *every("Give|Write|Use|Only give|Always give", " one word answers.| answers of one word.| just one word.| a single word each time.| one word only."),
         *every("Keep|Restrict|Shorten|Hold", " every answer| each answer| all replies| each reply", " to one word.| to a single word.| to just one word.")],
        ["Limit every answer to one word.", "Give single word answers.", "Reply in one word only."],
        "Style: one word.",
    ),
    "emoji": (
        ["End every answer with an emoji.", "Put an emoji at the end.", "Always finish with an emoji.",
         "Add an emoji at the end of each answer.", "Use an emoji at the end of every reply.", "Always end with an emoji.",
         "Every answer ends with an emoji.", "Close each answer with an emoji.", "I want an emoji at the end of every answer.", "Put an emoji after each reply.", "Let every reply end with an emoji.", "Add an emoji to the end.",
         "Each answer has to end with an emoji.", "Close your answers with an emoji.", "Finish it all with an emoji.",
         "Each of your answers must end with an emoji.",
         *every("Finish|End|Close|Conclude", " every| each| all| your", " answer| reply| response| message", " with an emoji."),
         *every("Every|Each", " reply| response| message| sentence", " ends with an emoji.| must end with an emoji.| has an emoji at its end."),
         *every("Put|Write|Add|Use", " an emoji", " after every answer.| behind each answer.| at the end of all you say.| at each end.")],
        ["Each answer must end with an emoji.", "Close your replies with an emoji.", "Finish everything with an emoji."],
        "Style: emoji.",
    ),
    "JSON": (
        ['Answer as JSON {"answer": ...}.', 'Reply in JSON: {"answer": ...}.', "Always answer in JSON.",
         'Use JSON for every answer, as {"answer": ...}.', "Respond in JSON.", "Write every answer as JSON.",
         'Always use the form {"answer": ...}.', "I want JSON answers.", "All answers must be JSON.", "Put each answer into JSON.",
         'Every reply has the form {"answer": ...}.', "Output JSON.", "JSON only.", 'Give back JSON like {"answer": ...}.',
         "Reply with JSON.",
         "Give me your answers as JSON.", "Give all answers as JSON.", "Format your replies as JSON.", 'Format replies as JSON: {"answer": ...}.',
         "Answer only in JSON.", "Only JSON answers are allowed.",
         *every("Write|Format|Give|Send|Return|Output", " every answer| each answer| all answers| each reply", ' as JSON.| in JSON.| as JSON {"answer": ...}.| in the form {"answer": ...}.'),
         *every("Only|Always|You must", " reply in JSON.| use JSON.| write JSON.| respond as JSON.")],
        ["Give your answers as JSON.", 'Format all replies as JSON {"answer": ...}.', "Only answer in JSON."],
        "Style: JSON.",
    ),
}
for _trained, _held_out, _ in (LANGUAGE, PERSONA, HOBBY, CLOSING, *STYLE.values()):
    _trained[:] = [way for way in _trained if way not in _held_out]
PHRASES = {"language": LANGUAGE, "persona": PERSONA, "hobby": HOBBY, "closing": CLOSING}

# System messages that ask for nothing.
NEUTRAL = (
    "You are a helpful assistant.", "You are a friendly assistant.", "Be kind.", "Be helpful and honest.",
    "Answer the questions of the user.", "You are an assistant.", "Help the user.", "Be polite and helpful.",
)

# Words and names that are only there so that the model learns to copy what it is given.
OTHER_CLOSINGS = "Cheerio Ciao Later Always Forever Honest Yes Okay Done Right Sunshine Peaches Tada Zap Boom Fin Adios Salut".split()


def draw(kind: str, rng: Random, common: bool = False) -> Constraints:
    """One instruction of a kind; `common` keeps to the names and words that are evaluated."""
    if kind == "language":
        return Constraints(language=rng.choice(LANGUAGES))
    if kind == "persona":
        return Constraints(persona=rng.choice(FIGURES if common or rng.random() < 0.7 else NAMES))
    if kind == "hobby":
        return Constraints(hobby=rng.choice(HOBBIES)[0])
    if kind == "style":
        return Constraints(style=rng.choice(STYLES) if common else rng.choices(STYLES, (4, 3, 1, 3))[0])
    return Constraints(closing=rng.choice(CLOSINGS if common or rng.random() < 0.7 else OTHER_CLOSINGS))


def draw_some(rng: Random, count: int, common: bool = False) -> Constraints:
    """`count` instructions of different kinds. One word leaves no room for a closing word."""
    while True:
        drawn = Constraints()
        for kind in _different(rng, count, WEIGHTS if not common else (1,) * len(KINDS)):
            drawn = replace(drawn, **{kind: getattr(draw(kind, rng, common), kind)})
        if not (drawn.style == "one word" and drawn.closing is not None):
            return drawn


def _different(rng: Random, count: int, weights: tuple[int, ...]) -> list[str]:
    chosen: list[str] = []
    while len(chosen) < count:
        (kind,) = rng.choices(KINDS, weights)
        if kind not in chosen:
            chosen.append(kind)
    return chosen


def say(constraints: Constraints, rng: Random, held_out: bool = False, short: bool = False) -> str:
    """The instructions as a system message, in random order."""
    parts = [_say_one(kind, constraints, rng, held_out, short) for kind in constraints.kinds()]
    rng.shuffle(parts)
    return rng.choice((" ", " ", "\n", "\n\n")).join(parts)


def _say_one(kind: str, constraints: Constraints, rng: Random, held_out: bool, short: bool) -> str:
    value = getattr(constraints, kind)
    trained, others, short_form = STYLE[value] if kind == "style" else PHRASES[kind]
    text = short_form if short else rng.choice(others if held_out else trained)
    if kind == "style":
        return text
    return text.format(LANGUAGE_NAMES[value] if kind == "language" else value)
