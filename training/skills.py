"""Questions and their answers. A skill draws a turn: a way to ask, the answer in every language, and the answer in one word."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import world
from constraints import Constraints
from world import LANGUAGES

Words = dict[str, str]  # by language


@dataclass
class Memory:
    """What the user said about themselves so far."""

    name: str | None = None
    favourites: dict[str, str] = field(default_factory=dict)


@dataclass
class Turn:
    skill: str
    question: str
    text: Words
    word: Words

    def answer(self, constraints: Constraints = Constraints()) -> str:
        language = constraints.language or "en"
        return constraints.shape((self.word if constraints.style == "one word" else self.text)[language])


@dataclass
class Setting:
    rng: Random
    held_out: bool
    constraints: Constraints
    memory: Memory

    def ask(self, trained: list[str], held_out: list[str], *values: object) -> str:
        return self.rng.choice(held_out if self.held_out else trained).format(*values)


def _all(en: str, fr: str, es: str, de: str) -> Words:
    return dict(zip(LANGUAGES, (en, fr, es, de)))


def _same(text: str) -> Words:
    return dict.fromkeys(LANGUAGES, text)


def capital(s: Setting) -> Turn:
    country, city, of_fr, fr, of_es, es, of_de, de = s.rng.choice(world.COUNTRIES)
    question = s.ask(
        ["What is the capital of {}?", "What's the capital of {}?", "Name the capital of {}.", "Which city is the capital of {}?",
         "Tell me the capital of {}.", "Do you know the capital of {}?", "What is the capital city of {}?",
         "What city is the capital of {}?", "I want to know the capital of {}.", "Can you tell me the capital of {}?",
         "What is {}'s capital?", "{}: what is its capital?", "Which city is {}'s capital?", "The capital of {} is which city?",
         "Say the capital of {}.", "Please name the capital of {}.", "What do you call the capital of {}?", "Which is the capital of {}?", "I would like to know {}'s capital.", "Do you remember the capital of {}?", "Help me with the capital of {}.", "The capital of {}, please.", "Could you name the capital of {}?", "Let me know the capital of {}.",
         "The capital of {}?", "{}'s capital?", "And the capital of {}?"],
        ["Could you tell me which city is the capital of {}?", "What would be the capital of {}?", "Give me the capital of {}.",
         "Capital of {}?", "I forgot the capital of {}.", "What is the name of {}'s capital?"],
        country,
    )
    text = _all(
        f"The capital of {country} is {city}.", f"La capitale {of_fr} est {fr}.", f"La capital {of_es} es {es}.",
        f"Die Hauptstadt {of_de} ist {de}.",
    )
    return Turn("capital", question, text, _all(city, fr, es, de))


def total(s: Setting) -> Turn:
    a, b = s.rng.randrange(100), s.rng.randrange(100)
    question = s.ask(
        ["What is {} + {}?", "What is {} plus {}?", "How much is {} + {}?", "Add {} and {}.", "Calculate {} + {}.", "{} + {}?",
         "What is the sum of {} and {}?", "{} + {} = ?", "How much is {} plus {}?", "Compute {} + {}.", "Work out {} plus {}.",
         "Sum up {} and {}.", "I want to know {} + {}.", "Could you add {} and {}?", "{} and {} make how much?", "Say what {} + {} is.", "The sum of {} and {}, please.", "What does {} + {} make?", "Do you know {} plus {}?", "If you add {} to {}, what is it?"],
        ["What do you get if you add {} and {}?", "Tell me the sum of {} and {}.", "Can you compute {} plus {}?", "{} plus {}?"],
        a, b,
    )
    return Turn("sum", question, _same(f"{a} + {b} = {a + b}."), _same(str(a + b)))


def difference(s: Setting) -> Turn:
    a, b = s.rng.randrange(100), s.rng.randrange(100)
    if s.rng.random() < 0.8:
        a, b = max(a, b), min(a, b)
    question = s.ask(
        ["What is {0} - {1}?", "What is {0} minus {1}?", "How much is {0} - {1}?", "Subtract {1} from {0}.", "Calculate {0} - {1}.",
         "{0} - {1}?", "{0} - {1} = ?", "How much is {0} minus {1}?", "Compute {0} - {1}.", "Take {1} away from {0}.",
         "I want to know {0} - {1}.", "Could you subtract {1} from {0}?", "{0} less {1} is how much?", "Say what {0} - {1} is.", "What does {0} - {1} make?", "Do you know {0} minus {1}?", "What is left if you take {1} from {0}?", "Reduce {0} by {1}.", "If you subtract {1} from {0}, what is it?"],
        ["What do you get if you subtract {1} from {0}?", "Can you compute {0} minus {1}?", "{0} minus {1}?",
         "Work out {0} - {1}."],
        a, b,
    )
    return Turn("difference", question, _same(f"{a} - {b} = {a - b}."), _same(str(a - b)))


def opposite(s: Setting) -> Turn:
    row = s.rng.choice(world.OPPOSITES)
    one, other = (row[:4], row[4:]) if s.rng.random() < 0.5 else (row[4:], row[:4])
    question = s.ask(
        ["What is the opposite of {}?", "What's the opposite of {}?", "Name the opposite of {}.", "Tell me the opposite of {}.",
         "Which word is the opposite of {}?", "What is the contrary of {}?", "The opposite of {} is what?", "{} is the opposite of what?",
         "What word means the opposite of {}?",
         "The opposite of {}, please.", "Say the opposite of {}.", "What would be the opposite of {}?", "Could you name the opposite of {}?", "I want to know the opposite of {}.", "What is opposite to {}?", "Which is the opposite of {}?", "Let me know the opposite of {}.", "I forgot the opposite of {}.", "Please name the opposite of {}.",
         "The opposite of {}?", "And the opposite of {}?", "{}: what is the opposite?"],
        ["Do you know the opposite of {}?", "Opposite of {}?", "Give me the opposite of {}.", "Can you tell me the opposite of {}?"],
        one[0],
    )
    text = _all(
        f"The opposite of {one[0]} is {other[0]}.", f"Le contraire de {one[1]} est {other[1]}.",
        f"Lo contrario de {one[2]} es {other[2]}.", f"Das Gegenteil von {one[3]} ist {other[3]}.",
    )
    return Turn("opposite", question, text, _all(*other))


def sound(s: Setting) -> Turn:
    animal, en, of_fr, fr, of_es, es, of_de, de = s.rng.choice(world.ANIMALS)
    the = f"{'an' if animal[0] in 'aeiou' else 'a'} {animal}"
    question = s.ask(
        ["What sound does {0} make?", "What does {0} say?", "Which sound does {0} make?", "How does {0} sound?",
         "What is the sound of {0}?", "What noise does {0} make?", "Tell me what {0} says.", "What does the {1} say?",
         "What sound does the {1} make?",
         "What do you hear from {0}?", "Could you name the sound of {0}?", "I want to know what {0} says.", "The sound of {0}, please.", "What does {0} sound like?", "Say the sound that {0} makes.", "Do you remember what {0} says?", "When {0} makes a sound, what is it?", "What kind of noise does {0} make?", "Which noise comes from {0}?",
         "{0}: which sound?", "When you hear {0}, what do you hear?"],
        ["Do you know what {0} says?", "Which noise does {0} make?", "Tell me the sound of {0}.", "What do you hear when {0} makes a sound?"],
        the, animal,
    )
    text = _all(f"The {animal} says {en}.", f"{of_fr} fait {fr}.", f"{of_es} hace {es}.", f"{of_de} macht {de}.")
    return Turn("sound", question, text, _all(en, fr, es, de))


def colour(s: Setting) -> Turn:
    thing, en, fr, es, de = s.rng.choice(world.THINGS)
    question = s.ask(
        ["What colour is {}?", "Which colour is {}?", "What is the colour of {}?", "Tell me the colour of {}.",
         "What color is {}?", "Which colour does {} have?", "What colour does {} have?", "What is the color of {}?",
         "The colour of {}, please.", "Say the colour of {}.", "Could you tell me the colour of {}?", "I want to know the colour of {}.", "Which color has {}?", "Do you remember what colour {} is?", "Let me know what color {} is.", "I forgot the colour of {}."],
        ["Do you know the colour of {}?", "Name the colour of {}.", "Can you tell me what colour {} is?", "Which color is {}?"],
        thing,
    )
    text = _all(f"{thing[0].upper()}{thing[1:]} is {en}.", f"{fr}.", f"{es}.", f"{de}.")
    return Turn("colour", question, text, _all(en, *world.COLOURS[en]))


def calendar(s: Setting) -> Turn:
    table, unit = s.rng.choice(((world.DAYS, "day"), (world.MONTHS, "month")))
    i = s.rng.randrange(len(table["en"]))
    after = s.rng.random() < 0.5
    j = (i + (1 if after else -1)) % len(table["en"])
    one, other = ({language: names[k] for language, names in table.items()} for k in (i, j))
    if after:
        trained = ["Which {} comes after {}?", "What {} comes after {}?", "What is the {} after {}?", "Which {} follows {}?",
                   "Tell me the {} after {}.", "What {} is next after {}?", "Name the {} that comes after {}.",
         "The {} after {}, please.", "Say which {} comes after {}.", "Could you tell me the {} after {}?", "I want to know which {} comes after {}.", "Which {} do we have after {}?", "Do you remember which {} follows {}?", "I forgot which {} follows {}.", "Let me know what {} is after {}."]
        others = ["What {} follows {}?", "Do you know which {} comes after {}?", "Which {} is after {}?"]
    else:
        trained = ["Which {} comes before {}?", "What {} comes before {}?", "What is the {} before {}?", "Which {} precedes {}?",
                   "Tell me the {} before {}.", "What {} is right before {}?", "Name the {} that comes before {}.",
         "The {} before {}, please.", "Say which {} comes before {}.", "Could you tell me the {} before {}?", "I want to know which {} comes before {}.", "Which {} do we have before {}?", "Do you remember which {} precedes {}?", "I forgot which {} precedes {}.", "Let me know what {} is before {}."]
        others = ["What {} precedes {}?", "Do you know which {} comes before {}?", "Which {} is before {}?"]
    fr, es, de = ((f"{other['fr'].capitalize()} vient {'après' if after else 'avant'} {one['fr']}."),
                  (f"Después de {one['es']} viene {other['es']}." if after else f"Antes de {one['es']} viene {other['es']}."),
                  (f"{'Nach' if after else 'Vor'} {one['de']} kommt {other['de']}."))
    text = _all(f"{other['en']} comes {'after' if after else 'before'} {one['en']}.", fr, es, de)
    return Turn(unit, s.ask(trained, others, unit, one["en"]), text, dict(other))


def _fixed(skill: str, trained: list[str], held_out: list[str], text: Words, word: Words) -> Callable[[Setting], Turn]:
    return lambda s: Turn(skill, s.ask(trained, held_out), text, word)


greeting = _fixed(
    "greeting",
    ["Hello!", "Hi!", "Hi there!", "Hello there.", "Good morning!", "Hey!", "Hello", "Hi", "Greetings!", "Good day!",
         "Good afternoon!", "Hello again!", "Hi, assistant!", "Hey, hello!", "Good morning to you!", "Hello, my friend!"],
    ["Good evening!", "Hey there!", "Hello, assistant!", "Hi, good morning!"],
    _all("Hello! How can I help you?", "Bonjour ! Comment puis-je vous aider ?", "¡Hola! ¿Cómo puedo ayudarte?",
         "Hallo! Wie kann ich dir helfen?"),
    _all("Hello", "Bonjour", "Hola", "Hallo"),
)
well = _fixed(
    "how are you",
    ["How are you?", "How are you today?", "How do you do?", "How is it going?", "Are you well?", "How do you feel?",
         "How are you feeling?", "How have you been?", "How are you this morning?", "Is everything well with you?", "How do you feel today?", "Are you okay?", "How is everything?", "Are you doing well?"],
    ["How are you doing?", "How are things?", "Are you feeling well today?"],
    _all("I am fine, thank you!", "Je vais bien, merci !", "Estoy bien, ¡gracias!", "Mir geht es gut, danke!"),
    _all("Fine", "Bien", "Bien", "Gut"),
)
thanks = _fixed(
    "thanks",
    ["Thank you!", "Thanks!", "Thanks a lot.", "Thank you very much!", "Great, thanks!", "Many thanks!",
         "Thanks, that was good.", "Thank you, that helps.", "Thank you for that.", "Good, thank you.", "Thanks so much.", "Nice, thanks for that!"],
    ["Thank you so much!", "Okay, thank you.", "Thanks for your help!"],
    _all("You are welcome!", "Avec plaisir !", "¡De nada!", "Gern geschehen!"),
    _all("Welcome", "Volontiers", "Nada", "Gern"),
)
goodbye = _fixed(
    "goodbye",
    ["Goodbye!", "Bye!", "See you later!", "Bye bye!", "Good night!", "See you!", "I have to go.",
         "Goodbye then!", "Bye now!", "Have a nice day!", "Take care!", "I am leaving now.", "Farewell!", "Until next time!", "See you again!", "Bye for today!"],
    ["Goodbye for now!", "See you soon!", "Bye, see you tomorrow!"],
    _all("Goodbye!", "Au revoir !", "¡Adiós!", "Auf Wiedersehen!"),
    _all("Goodbye", "Adieu", "Adiós", "Tschüss"),
)
abilities = _fixed(
    "abilities",
    ["What can you do?", "What do you know?", "How can you help me?", "What can I ask you?", "What are you able to do?",
         "What are you good at?", "What can I use you for?", "Which things do you know?", "Show me what you can do.", "Explain what you can do.", "What questions can I ask?", "Could you tell me your abilities?"],
    ["Tell me what you can do.", "Which questions can you answer?", "What are your abilities?"],
    _all("I know capitals, sums, opposites, animals, colours, days and months.",
         "Je connais les capitales, les sommes, les contraires, les animaux, les couleurs, les jours et les mois.",
         "Conozco las capitales, las sumas, los contrarios, los animales, los colores, los días y los meses.",
         "Ich kenne Hauptstädte, Summen, Gegenteile, Tiere, Farben, Tage und Monate."),
    _all("Much", "Beaucoup", "Mucho", "Vieles"),
)


def identity(s: Setting) -> Turn:
    name = s.constraints.persona or "Gattling"
    question = s.ask(
        ["Who are you?", "Who am I talking to?", "Tell me who you are.", "Who is this?", "Who are you, please?",
         "Who might you be?", "Say who you are.", "Could you tell me who you are?", "With whom am I speaking?", "I want to know who you are.", "So who are you?", "Please say who you are."],
        ["Can you tell me who you are?", "Who am I speaking with?", "And who are you?"],
    )
    text = _all(f"I am {name}.", f"Je suis {name}.", f"Soy {name}.", f"Ich bin {name}.")
    return Turn("who are you", question, text, _same(name))


def own_name(s: Setting) -> Turn:
    name = s.constraints.persona or "Gattling"
    question = s.ask(
        ["What is your name?", "What's your name?", "Tell me your name.", "May I know your name?", "What are you called?",
         "Do you have a name?", "How are you called?",
         "Your name, please?", "Could you tell me your name?", "What name do you have?", "Say your name.", "I want to know your name.", "How should I call you?", "What may I call you?", "Do you know your name?", "Please say what your name is.", "By what name should I call you?"],
        ["Can you tell me your name?", "What should I call you?", "Please tell me what your name is."],
    )
    text = _all(f"My name is {name}.", f"Je m'appelle {name}.", f"Me llamo {name}.", f"Mein Name ist {name}.")
    return Turn("your name", question, text, _same(name))


def hobby(s: Setting) -> Turn:
    question = s.ask(
        ["What do you like to do?", "What is your hobby?", "What do you enjoy?", "How do you spend your free time?",
         "What do you do for fun?", "What are your hobbies?", "What do you like doing in your free time?", "Tell me about your hobby.",
         "Is there something you enjoy?", "What are you fond of?", "Could you tell me your hobby?", "I want to know your hobby.", "Say what you like to do.", "Do you enjoy anything?", "Have you got a hobby?", "What makes you happy?", "Tell me what you like.", "What is it that you enjoy?", "What do you do when you are free?", "Which hobbies do you enjoy?",
         "How do you use your spare time?", "Which hobby is yours?"],
        ["Tell me what you enjoy doing.", "Do you have a hobby?", "What do you do in your spare time?", "Which hobby do you have?"],
    )
    if s.constraints.hobby is None:
        text = _all("I have no hobby.", "Je n'ai pas de loisir.", "No tengo ningún pasatiempo.", "Ich habe kein Hobby.")
        return Turn("hobby", question, text, _all("None", "Aucun", "Ninguno", "Keins"))
    en, fr, es, de = next(row for row in world.HOBBIES if row[0] == s.constraints.hobby)
    text = _all(f"I enjoy {en}.", f"J'aime {fr}.", f"Me gusta {es}.", f"Ich mag {de}.")
    return Turn("hobby", question, text, _all(en, fr.split()[-1].removeprefix("l'"), es.split()[-1], de))


def _invented(rng: Random, syllables: tuple[int, int] = (2, 3)) -> str:
    """A name that is in no list, so that names are copied and not recognised."""
    parts = (rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(("", "", "", "n", "r", "l", "s")) for _ in range(rng.randint(*syllables)))
    return "".join(parts).capitalize()


def tell_name(s: Setting) -> Turn:
    name = s.rng.choice(world.NAMES) if s.held_out or s.rng.random() < 0.6 else _invented(s.rng)
    s.memory.name = name
    question = s.ask(
        ["My name is {}.", "I am {}.", "I'm {}.", "Call me {}.", "Hello, my name is {}.", "Hi, I am {}.", "You can call me {}.",
         "I am called {}.", "By the way, my name is {}.",
         "Hey, I'm {}.", "People call me {}.", "You are talking to {}.", "They call me {}.", "Good evening, my name is {}.", "The name is {}.", "My friends call me {}.", "It's me, {}.", "I should say that I am {}."],
        ["Good morning, I'm {}.", "Please call me {}.", "Let me introduce myself: I am {}."],
        name,
    )
    text = _all(f"Nice to meet you, {name}!", f"Enchanté, {name} !", f"¡Encantado, {name}!", f"Freut mich, {name}!")
    return Turn("told name", question, text, _all("Noted", "Noté", "Anotado", "Notiert"))


def ask_name(s: Setting) -> Turn:
    name = s.memory.name
    question = s.ask(
        ["What is my name?", "What's my name?", "Do you know my name?", "Do you remember my name?", "Who am I?",
         "Tell me my name.", "Can you tell me my name?",
         "Could you tell me my name?", "I forgot my name.", "Say my name.", "What did I tell you my name is?", "What am I called?", "Please say my name.", "My name, please?", "Which name did I tell you?", "How am I called?", "You remember my name?"],
        ["Do you still know my name?", "What did I say my name was?", "Please tell me what my name is.", "Remember my name?"],
    )
    if name is None:
        text = _all("You have not told me your name.", "Tu ne m'as pas dit ton nom.", "No me has dicho tu nombre.",
                    "Du hast mir deinen Namen nicht gesagt.")
        return Turn("name unknown", question, text, _UNKNOWN)
    text = _all(f"Your name is {name}.", f"Tu t'appelles {name}.", f"Te llamas {name}.", f"Du heißt {name}.")
    return Turn("name remembered", question, text, _same(name))


_UNKNOWN = _all("Unknown", "Inconnu", "Desconocido", "Unbekannt")
_FAVOURITE = {
    "colour": ("Ta couleur préférée est {}.", "Tu color favorito es {}.", "Deine Lieblingsfarbe ist {}."),
    "animal": ("Ton animal préféré est {}.", "Tu animal favorito es {}.", "Dein Lieblingstier ist {}."),
    "food": ("Ton plat préféré est {}.", "Tu comida favorita es {}.", "Dein Lieblingsessen ist {}."),
    "season": ("Ta saison préférée est {}.", "Tu estación favorita es {}.", "Deine Lieblingsjahreszeit ist {}."),
}


def tell_favourite(s: Setting) -> Turn:
    kind = s.rng.choice(list(world.FAVOURITES))
    thing = s.rng.choice(list(world.FAVOURITES[kind]))
    s.memory.favourites[kind] = thing
    question = s.ask(
        ["My favourite {0} is {1}.", "My favorite {0} is {1}.", "The {0} I like best is {1}.", "{1} is my favourite {0}.",
         "I like {1} best, it is my favourite {0}.", "By the way, my favourite {0} is {1}.",
         "I think my favourite {0} is {1}.", "If you ask me, the best {0} is {1}.", "For me, {1} is the best {0}.", "Remember that my favourite {0} is {1}.", "I want to tell you that my favourite {0} is {1}.", "I have to say, {1} is my favourite {0}.", "When it comes to my favourite {0}, it is {1}."],
        ["You should know that my favourite {0} is {1}.", "Of all, my favourite {0} is {1}.", "I have a favourite {0}: {1}."],
        kind, thing,
    )
    text = _all("I will remember that.", "Je m'en souviendrai.", "Lo recordaré.", "Ich merke es mir.")
    return Turn("told favourite", question, text, _all("Noted", "Noté", "Anotado", "Notiert"))


def ask_favourite(s: Setting) -> Turn:
    known = s.memory.favourites
    kind = s.rng.choice(list(known) if known and s.rng.random() < 0.9 else list(world.FAVOURITES))
    question = s.ask(
        ["What is my favourite {}?", "What's my favourite {}?", "Do you know my favourite {}?", "Which {} do I like best?",
         "What is my favorite {}?", "Tell me my favourite {}.", "Do you remember my favourite {}?",
         "Could you tell me my favourite {}?", "I forgot my favourite {}.", "Say my favourite {}.", "What did I tell you my favourite {} is?", "My favourite {}, please?", "Which {} did I say I like best?", "Which is my favourite {}?"],
        ["Do you still know my favourite {}?", "What did I say is my favourite {}?", "Which {} is my favourite?"],
        kind,
    )
    if kind not in known:
        text = _all("You have not told me that.", "Tu ne me l'as pas dit.", "No me lo has dicho.", "Das hast du mir nicht gesagt.")
        return Turn("favourite unknown", question, text, _UNKNOWN)
    en, (fr, es, de) = known[kind], world.FAVOURITES[kind][known[kind]]
    sentences = (sentence.format(word) for sentence, word in zip(_FAVOURITE[kind], (fr, es, de)))
    text = _all(f"Your favourite {kind} is {en}.", *sentences)
    words = (word.split()[-1].removeprefix("l'") for word in (en, fr, es, de))
    return Turn("favourite remembered", question, text, _all(*words))


_NOUNS = """table car house river book phone garden window cloud teacher engine bridge hammer island paper ship kitchen bottle
guitar castle mountain planet robot ticket camera museum blanket mirror pencil train doctor farmer ladder market""".split()
_BEASTS = "giraffe shark penguin spider turtle rabbit whale kangaroo camel zebra hamster ostrich squid moth snail".split()
_STRANGE = "a car|a house|a book|a train|a bag|a shirt|a door|a balloon|a ship|a pencil|a hat|a dress|a bicycle|a wall".split("|")


def unknown(s: Setting) -> Turn:
    rng = s.rng
    country, city = rng.choice(world.COUNTRIES)[:2]
    noun, figure, big = rng.choice(_NOUNS), rng.choice(world.FIGURES), rng.randrange(100, 1000)
    if s.held_out:
        question = rng.choice((
            "Who invented the {noun}?", "How far away is {city}?", "How much does a {noun} cost?", "Which team won the cup?",
            "Can you recommend a film?", "What time is it?", "Who is the mayor of {city}?", "How many people live in {country}?",
            "What did {figure} say about the {noun}?", "Where can I buy a {noun}?", "How do I repair a {noun}?",
            "Why is my {noun} broken?", "What is the longest river in {country}?", "Who sings this song?",
        ))
    else:
        question = rng.choice((
            "Who wrote the {noun} song?", "What is the population of {country}?", "How tall is the {noun}?", "When was {figure} born?",
            "Who is the president of {country}?", "What is the weather in {city}?", "How old is the {noun}?", "Where is my {noun}?",
            "What is {a} times {b}?", "What is {big} + {a}?", "What is {a} divided by {b}?", "What is {big} minus {b}?",
            "What is the capital of {fiction}?", "What sound does a {beast} make?", "What colour is {strange}?",
            "What is the opposite of a {noun}?", "Who won the game in {city}?", "What is the best {noun} in {country}?",
            "How do I build a {noun}?", "Who painted the {noun}?", "How many {noun}s are there in {city}?", "Who is the king of {country}?",
            "Tell me a story about a {noun}.", "What is the price of a {noun}?", "Why did {figure} go to {city}?",
            "What happened in {country} yesterday?", "Who discovered the {noun}?", "What language do they speak in {country}?",
            "Write a poem about the {noun}.", "How far is {city} from {country}?", "When does the {noun} open?", "Who is {fiction}?",
            "Where was {figure} born?", "What does the word {noun} mean?", "Can you book a {noun} for me?", "Which {noun} is better?",
            "Who is the author of the {noun}?", "What is the height of the {noun}?", "How many people visit {city}?",
            "Can you suggest a {noun}?", "What should I eat in {city}?", "Which player won the match?", "What day is it today?",
            "Do you have the time?", "How do I get to {city}?", "Where do they sell a {noun}?", "Why does my {noun} not work?",
            "Fix my {noun}.", "What is the highest mountain in {country}?", "What is the biggest lake of {country}?",
            "Who composed the music for {figure}?", "What did {figure} do in {city}?", "Sing me a song.", "Is the {noun} expensive?",
            "Can a {beast} swim?", "Translate {noun} into Italian.", "What is the distance between {city} and {country}?",
            "Who runs the city of {city}?", "How heavy is a {beast}?", "Who made the first {noun}?", "What is a {noun}?",
            "How many days until the {noun}?", "What is the meaning of life?", "Do you like the {noun}?", "How long is the {noun}?",
        ))
    a, b = rng.randrange(2, 100), rng.randrange(2, 100)
    question = question.format(
        country=country, city=city, noun=noun, figure=figure, big=big, a=a, b=b, fiction=_invented(rng), beast=rng.choice(_BEASTS),
        strange=rng.choice(_STRANGE),
    )
    text = _all("Sorry, I do not know that.", "Désolé, je ne le sais pas.", "Lo siento, no lo sé.", "Tut mir leid, das weiß ich nicht.")
    return Turn("unknown", question, text, _UNKNOWN)


# Each with its share of the turns of a conversation.
SKILLS: dict[Callable[[Setting], Turn], float] = {
    capital: 16, total: 12, difference: 12, opposite: 10, sound: 6, colour: 7, calendar: 9, greeting: 2, well: 1.5, thanks: 1.5,
    goodbye: 1.5, abilities: 1, identity: 2, own_name: 4, hobby: 4, tell_name: 3, ask_name: 4, tell_favourite: 3, ask_favourite: 4,
    unknown: 8,
}
# Those whose answer is a sentence of some language, whatever was said before.
FACTS = (capital, opposite, sound, colour, calendar)


def draw(setting: Setting) -> Turn:
    return setting.rng.choices(list(SKILLS), list(SKILLS.values()))[0](setting)


def decorate(question: str, rng: Random, held_out: bool = False) -> str:
    """What people write around a question, and how carelessly."""
    before = ["Tell me, ", "I wonder, ", "One more thing: "] if held_out else [
        "Hey, ", "Quick question: ", "So, ", "Okay. ", "Now, ", "Please, ", "Well, ", "Question: ", "I have a question. ",
         "Alright, ", "Just asking: ", "Next: ",
        "Another thing: ", "Something else: ", "One question: ", "Let me ask: ", "A question: ", "Also, ", "Then, ", "Listen: ",
        "Here is one: ", "I am curious: ", "Maybe you know: ", "And now: ", "My question: ",
    ]
    if rng.random() < 0.2:
        lead = rng.choice(before)
        first = question.split()[0]
        lower = lead.endswith((", ", ": ")) and first in {"What", "What's", "Which", "How", "Who", "Name", "Tell", "Do", "Can", "Add", "Calculate"}
        question = lead + (question[0].lower() + question[1:] if lower else question)
    if rng.random() < 0.1:
        question = question.rstrip("?.!").rstrip() or question
    if rng.random() < 0.1:
        question = question[0].lower() + question[1:]
    return question
