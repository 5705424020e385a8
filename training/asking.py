"""Ways to ask. A skill lists questions of its own, and names of what it knows that frames common to all skills make questions of.

What the evaluation asks with is never trained on: frames that would make such a question are left out for that skill.
"""

from dataclasses import dataclass, field
from itertools import product
from random import Random

# For names of a thing: "the capital of Peru".
NOUN_FRAMES = (
    "What is %?", "What's %?", "Tell me %.", "Can you tell me %?", "Could you tell me %?", "Do you know %?", "Name %.",
    "Please name %.", "Could you name %?", "Can you name %?", "Say %.", "%, please.", "%?", "And %?", "I want to know %.",
    "I would like to know %.", "I need %.", "Let me know %.", "I forgot %.", "Do you remember %?", "Help me with %.",
    "What would be %?", "Give me %.", "Please tell me %.", "Would you tell me %?", "Tell me what % is.", "Do you know what % is?",
    "Can you tell me what % is?", "I forgot what % is.", "Any idea what % is?", "% is what?", "I am looking for %.", "Find %.",
    "Remind me of %.", "What about %?", "I have to know %.", "Can you find %?", "Please give me %.", "What might be %?",
    "Could you give me %?", "What do you say is %?", "Have you heard of %?", "Do you happen to know %?", "%: what is it?",
)  # fmt: skip
# For names that begin with "the", without it.
BARE_FRAMES = (
    "%?", "%, please.", "%: what is it?", "And %?", "% is what?", "% would be?", "%, do you know it?", "%, again?", "%, which is it?",
    "%, tell me.", "%, if you know it.", "% please!", "%... what was it?",
)  # fmt: skip
# For questions within a sentence: "which city is the capital of Peru".
CLAUSE_FRAMES = (
    "Tell me %.", "Can you tell me %?", "Could you tell me %?", "Do you know %?", "I want to know %.", "I would like to know %.",
    "Say %.", "Let me know %.", "Please tell me %.", "Do you remember %?", "I forgot %.", "Would you tell me %?",
    "I have to know %.", "Any idea %?", "Can you say %?", "I am asking you %.", "Please say %.", "Could you say %?",
    "Do you happen to know %?", "You surely know %.", "Find out %.", "Will you tell me %?", "Try to tell me %.", "Have you any idea %?",
)  # fmt: skip


@dataclass
class Ways:
    """Templates of questions; `{}` are the skill's values."""

    trained: list[str]
    held_out: list[str]
    nouns: list[str] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)
    framed: list[str] = field(init=False)

    def __post_init__(self) -> None:
        never = {_key(way) for way in self.held_out}
        exactly = {_letters(way) for way in self.held_out}
        bare = [noun.removeprefix("the ") for noun in self.nouns if noun.startswith("the ")]
        made = [frame.replace("%", noun) for noun in self.nouns for frame in NOUN_FRAMES]
        made += [frame.replace("%", noun) for noun in bare if _key(noun) not in never for frame in BARE_FRAMES]
        made += [frame.replace("%", clause) for clause in self.clauses for frame in CLAUSE_FRAMES]
        self.framed = [_capital(way) for way in made if _key(way) not in never]
        self.trained = [way for way in self.trained if _letters(way) not in exactly]

    def draw(self, rng: Random, held_out: bool, *values: object) -> str:
        ways = self.held_out if held_out else self.framed if self.framed and rng.random() < 0.6 else self.trained
        return rng.choice(ways).format(*values)


def _letters(way: str) -> str:
    return " ".join("".join(c for c in way.lower() if c.isalnum() or c in "{} +-").split())


def _key(way: str) -> str:
    """What is left of a question without its marks and without a lead."""
    words = _letters(way).split()
    return " ".join(words[1:] if words[0] in ("and", "so", "please") else words)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def every(*choices: str) -> list[str]:
    """All combinations of one of each, which are separated by bars."""
    return ["".join(parts) for parts in product(*(choice.split("|") for choice in choices))]


HELD_OUT_LEADS = ["Tell me, ", "I wonder, ", "One more thing: "]
LEADS = [
    "Hey, ", "So, ", "Okay. ", "Now, ", "Please, ", "Well, ", "I have a question. ", "Alright, ", "Just asking: ", "Next: ",
    "Another thing: ", "Something else: ", "Let me ask: ", "Also, ", "Then, ", "Listen: ", "Here is one: ", "I am curious: ",
    "Maybe you know: ", "And now: ", "By the way, ", "Good. ", "Fine. ", "Thanks. ", "Sorry, ", "Excuse me, ", "I was thinking: ",
    "While we are at it: ", "Before I forget: ", "Let us go on. ", "And another: ", "Say, ", "Look, ", "Hm, ", "Oh, ", "Right, ",
    "I was wondering, ", "I ask myself, ", "I want to ask, ", "You tell me, ", "Can I ask, ", "One question, ", "I would ask, ",
    "I see. ", "Go on: ", "Once more: ", "Some more: ", "And more: ", "A thing to ask: ", "Let me see: ", "Do tell: ", "My friend, ",
]  # fmt: skip
_WHICH = "One|One more|A|My|Another|The next|One last|A last|Just one|A quick|A small|One short|An easy|A hard|Some|This|One other".split("|")
_WHAT = "question|point|request|matter|puzzle|topic|task|riddle|item|word|idea|little thing|small thing|last thing|curious thing".split("|")
_FIRST = "What What's Which How Who Name Tell Do Can Could Add Calculate Say Give Please Where When Why Would Find".split()


def _lead(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(LEADS)
    return f"{rng.choice(_WHICH)} {rng.choice(_WHAT)}{rng.choice((': ', ': ', ': ', '. ', ', '))}"


def decorate(question: str, rng: Random, held_out: bool = False) -> str:
    """What people write around a question, and how carelessly."""
    if rng.random() < 0.2:
        lead = rng.choice(HELD_OUT_LEADS) if held_out else _lead(rng)
        lower = lead.endswith((", ", ": ")) and question.split()[0] in _FIRST and rng.random() < 0.8
        question = lead + (question[0].lower() + question[1:] if lower else question)
    if rng.random() < 0.1:
        question = question.rstrip("?.!").rstrip() or question
    if rng.random() < 0.1:
        question = question[0].lower() + question[1:]
    return question
