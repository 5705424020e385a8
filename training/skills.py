"""Questions and their answers. A skill draws a turn: a way to ask, the answer in every language, and the answer in one word."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import world
from asking import Ways, every
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

    def ask(self, ways: Ways, *values: object) -> str:
        return ways.draw(self.rng, self.held_out, *values)


def _all(en: str, fr: str, es: str, de: str) -> Words:
    return dict(zip(LANGUAGES, (en, fr, es, de)))


def _same(text: str) -> Words:
    return dict.fromkeys(LANGUAGES, text)


_CAPITAL = Ways(
    ["Which city is the capital of {}?", "What city is the capital of {}?", "{}: what is its capital?",
     "Which city is {}'s capital?", "The capital of {} is which city?", "What do you call the capital of {}?",
     "Which is the capital of {}?"],
    held_out=["Could you tell me which city is the capital of {}?", "What would be the capital of {}?",
              "Give me the capital of {}.", "Capital of {}?", "I forgot the capital of {}.",
              "What is the name of {}'s capital?"],
    nouns=["the capital of {}", "{}'s capital", "the capital city of {}", "the name of the capital of {}",
           "the main city of {}"],
    clauses=["what the capital of {} is", "which city is {}'s capital", "what city is the capital of {}",
             "what {}'s capital is"],
)


def capital(s: Setting) -> Turn:
    country, city, of_fr, fr, of_es, es, of_de, de = s.rng.choice(world.COUNTRIES)
    question = s.ask(_CAPITAL, country)
    text = _all(
        f"The capital of {country} is {city}.", f"La capitale {of_fr} est {fr}.", f"La capital {of_es} es {es}.",
        f"Die Hauptstadt {of_de} ist {de}.",
    )
    return Turn("capital", question, text, _all(city, fr, es, de))


_TOTAL = Ways(
    ["How much is {} + {}?", "Add {} and {}.", "Calculate {} + {}.", "{} + {} = ?", "How much is {} plus {}?",
     "Compute {} + {}.", "Work out {} plus {}.", "Sum up {} and {}.", "Could you add {} and {}?",
     "{} and {} make how much?", "Say what {} + {} is.", "What does {} + {} make?",
     "If you add {} to {}, what is it?"],
    held_out=["What do you get if you add {} and {}?", "Tell me the sum of {} and {}.", "Can you compute {} plus {}?",
              "{} plus {}?"],
    nouns=["the sum of {} and {}", "{} + {}", "{} plus {}", "the result of {} + {}", "the total of {} and {}"],
    clauses=["how much {} + {} is", "how much {} plus {} is", "what {} and {} make", "what {} plus {} makes",
             "what you get for {} + {}"],
)


def total(s: Setting) -> Turn:
    a, b = s.rng.randrange(100), s.rng.randrange(100)
    question = s.ask(_TOTAL, a, b)
    return Turn("sum", question, _same(f"{a} + {b} = {a + b}."), _same(str(a + b)))


_DIFFERENCE = Ways(
    ["How much is {0} - {1}?", "Subtract {1} from {0}.", "Calculate {0} - {1}.", "{0} - {1} = ?",
     "How much is {0} minus {1}?", "Compute {0} - {1}.", "Take {1} away from {0}.",
     "Could you subtract {1} from {0}?", "{0} less {1} is how much?", "Say what {0} - {1} is.",
     "What does {0} - {1} make?", "What is left if you take {1} from {0}?", "Reduce {0} by {1}.",
     "If you subtract {1} from {0}, what is it?"],
    held_out=["What do you get if you subtract {1} from {0}?", "Can you compute {0} minus {1}?", "{0} minus {1}?",
              "Work out {0} - {1}."],
    nouns=["{0} - {1}", "{0} minus {1}", "the result of {0} - {1}", "the difference of {0} and {1}",
           "the result of {0} minus {1}"],
    clauses=["how much {0} - {1} is", "how much {0} minus {1} is", "what {0} minus {1} makes", "what you get for {0} - {1}",
             "what is left of {0} without {1}"],
)


def difference(s: Setting) -> Turn:
    a, b = s.rng.randrange(100), s.rng.randrange(100)
    if s.rng.random() < 0.8:
        a, b = max(a, b), min(a, b)
    question = s.ask(_DIFFERENCE, a, b)
    return Turn("difference", question, _same(f"{a} - {b} = {a - b}."), _same(str(a - b)))


_OPPOSITE = Ways(
    ["Which word is the opposite of {}?", "{} is the opposite of what?", "What word means the opposite of {}?",
     "What is opposite to {}?", "Which is the opposite of {}?", "{}: what is the opposite?"],
    held_out=["Do you know the opposite of {}?", "Opposite of {}?", "Give me the opposite of {}.",
              "Can you tell me the opposite of {}?"],
    nouns=["the opposite of {}", "the contrary of {}", "the word for the opposite of {}", "the opposite word of {}"],
    clauses=["which word is the opposite of {}", "what the opposite of {} is", "what is opposite to {}",
             "what the contrary of {} is"],
)


def opposite(s: Setting) -> Turn:
    row = s.rng.choice(world.OPPOSITES)
    one, other = (row[:4], row[4:]) if s.rng.random() < 0.5 else (row[4:], row[:4])
    question = s.ask(_OPPOSITE, one[0])
    text = _all(
        f"The opposite of {one[0]} is {other[0]}.", f"Le contraire de {one[1]} est {other[1]}.",
        f"Lo contrario de {one[2]} es {other[2]}.", f"Das Gegenteil von {one[3]} ist {other[3]}.",
    )
    return Turn("opposite", question, text, _all(*other))


_SOUND = Ways(
    ["What sound does {0} make?", "What does {0} say?", "Which sound does {0} make?", "How does {0} sound?",
     "What noise does {0} make?", "What does the {1} say?", "What sound does the {1} make?",
     "What do you hear from {0}?", "What does {0} sound like?", "When {0} makes a sound, what is it?",
     "What kind of noise does {0} make?", "Which noise comes from {0}?", "{0}: which sound?",
     "When you hear {0}, what do you hear?"],
    held_out=["Do you know what {0} says?", "Which noise does {0} make?", "Tell me the sound of {0}.",
              "What do you hear when {0} makes a sound?"],
    nouns=["the sound of {0}", "the noise of {0}", "the sound that {0} makes", "the noise that {0} makes",
           "the sound of the {1}", "the voice of {0}"],
    clauses=["what {0} says", "what sound {0} makes", "which sound {0} makes", "how {0} sounds", "what the {1} says",
             "what noise {0} makes", "which noise the {1} makes"],
)


def sound(s: Setting) -> Turn:
    animal, en, of_fr, fr, of_es, es, of_de, de = s.rng.choice(world.ANIMALS)
    the = f"{'an' if animal[0] in 'aeiou' else 'a'} {animal}"
    question = s.ask(_SOUND, the, animal)
    text = _all(f"The {animal} says {en}.", f"{of_fr} fait {fr}.", f"{of_es} hace {es}.", f"{of_de} macht {de}.")
    return Turn("sound", question, text, _all(en, fr, es, de))


_COLOUR = Ways(
    ["What colour is {}?", "Which colour is {}?", "What color is {}?", "Which colour does {} have?",
     "What colour does {} have?", "Which color has {}?"],
    held_out=["Do you know the colour of {}?", "Name the colour of {}.", "Can you tell me what colour {} is?",
              "Which color is {}?"],
    nouns=["the colour of {}", "the color of {}", "the colour that {} has", "the color that {} has"],
    clauses=["what colour {} is", "which colour {} is", "what color {} is", "which color {} has", "which colour {} has"],
)


def colour(s: Setting) -> Turn:
    thing, en, fr, es, de = s.rng.choice(world.THINGS)
    question = s.ask(_COLOUR, thing)
    text = _all(f"{thing[0].upper()}{thing[1:]} is {en}.", f"{fr}.", f"{es}.", f"{de}.")
    return Turn("colour", question, text, _all(en, *world.COLOURS[en]))


def _neighbour(side: str, verb: str) -> Ways:
    """`{0}` is "day" or "month", `{1}` one of them."""
    return Ways(
        every("Which {0} |What {0} ", f"comes {side} {{1}}?|comes right {side} {{1}}?|{verb} {{1}}?|do we have {side} {{1}}?|is it {side} {{1}}?|is next to {{1}}, {side} it?")
        + [f"{side.capitalize()} {{1}}, which {{0}} is it?", f"{{1}}: which {{0}} {verb} it?", f"What comes {side} {{1}}?", f"Name the {{0}} that {verb} {{1}}."],
        held_out=[f"What {{0}} {verb} {{1}}?", f"Do you know which {{0}} comes {side} {{1}}?", f"Which {{0}} is {side} {{1}}?"],
        nouns=[f"the {{0}} {side} {{1}}", f"the {{0}} right {side} {{1}}", f"the {{0}} that comes {side} {{1}}", f"the {{0}} which {verb} {{1}}"],
        clauses=[f"which {{0}} comes {side} {{1}}", f"what {{0}} comes {side} {{1}}", f"which {{0}} {verb} {{1}}", f"what {{0}} is {side} {{1}}", f"which {{0}} we have {side} {{1}}"],
    )


_NEIGHBOURS = {True: _neighbour("after", "follows"), False: _neighbour("before", "precedes")}


def calendar(s: Setting) -> Turn:
    table, unit = s.rng.choice(((world.DAYS, "day"), (world.MONTHS, "month")))
    i = s.rng.randrange(len(table["en"]))
    after = s.rng.random() < 0.5
    j = (i + (1 if after else -1)) % len(table["en"])
    one, other = ({language: names[k] for language, names in table.items()} for k in (i, j))
    fr, es, de = ((f"{other['fr'].capitalize()} vient {'après' if after else 'avant'} {one['fr']}."),
                  (f"Después de {one['es']} viene {other['es']}." if after else f"Antes de {one['es']} viene {other['es']}."),
                  (f"{'Nach' if after else 'Vor'} {one['de']} kommt {other['de']}."))
    text = _all(f"{other['en']} comes {'after' if after else 'before'} {one['en']}.", fr, es, de)
    return Turn(unit, s.ask(_NEIGHBOURS[after], unit, one["en"]), text, dict(other))


def _fixed(skill: str, ways: Ways, text: Words, word: Words) -> Callable[[Setting], Turn]:
    return lambda s: Turn(skill, s.ask(ways), text, word)


greeting = _fixed(
    "greeting",
    Ways(
        ["Hello", "Hi", "Greetings!", "Hello again!", "Hey, hello!", "Hi, hello!", "Hello and good morning!", "Nice to see you!",
         *every("Hello|Hi|Hey|Good morning|Good afternoon|Good day|Good evening", "| to you|, my friend|, assistant| again| there|, friend|, Gattling|, everyone", "!|."),
         *every("Hello|Hi|Hey|Well, hello|Oh, hello", ", good ", "morning|afternoon|day|evening", "!|.")],
        held_out=["Good evening!", "Hey there!", "Hello, assistant!", "Hi, good morning!"],
    ),
    _all("Hello! How can I help you?", "Bonjour ! Comment puis-je vous aider ?", "¡Hola! ¿Cómo puedo ayudarte?",
         "Hallo! Wie kann ich dir helfen?"),
    _all("Hello", "Bonjour", "Hola", "Hallo"),
)
well = _fixed(
    "how are you",
    Ways(
        [*every("How are you|How do you feel|How are you feeling|How is it going|How have you been|Are you well|Are you okay|Are you doing well|Is everything well", "| today| this morning| now| these days|, my friend", "?"),
         *every("How are things|How are all things|How are your things|How are you doing|Are you feeling good|Are you feeling well", " with you| going| now| these days| this morning|, my friend", "?"),
         "How are all things?", "How are your things?", "Are you feeling good?", "Are you feeling well?", "How are you getting on?",
         "How do you do?", "Is everything well with you?", "How is everything?", "How is life?", "How is your day?", "All well?", "How goes it?"],
        held_out=["How are you doing?", "How are things?", "Are you feeling well today?"],
    ),
    _all("I am fine, thank you!", "Je vais bien, merci !", "Estoy bien, ¡gracias!", "Mir geht es gut, danke!"),
    _all("Fine", "Bien", "Bien", "Gut"),
)
thanks = _fixed(
    "thanks",
    Ways(
        [*every("Thank you|Thanks|Many thanks|Thank you very much|Thanks a lot|Thanks so much|Great, thanks|Good, thank you|Nice, thanks|Well, thank you|Perfect, thanks", "| for that| for the answer| for everything| for helping me|, that helps|, that was good|, assistant", "!|."),
         *every("Thanks|Thank you|Many thanks|Okay, thanks", " for your time| for your answer| for the help| for your kindness| for your patience| for your answers| so very much", "!|."),
         "I thank you.", "That helps, thanks.", "That was good, thank you."],
        held_out=["Thank you so much!", "Okay, thank you.", "Thanks for your help!"],
    ),
    _all("You are welcome!", "Avec plaisir !", "¡De nada!", "Gern geschehen!"),
    _all("Welcome", "Volontiers", "Nada", "Gern"),
)
goodbye = _fixed(
    "goodbye",
    Ways(
        [*every("Goodbye|Bye|Bye bye|Farewell|Good night|So long", "| then| now|, my friend|, assistant| and thanks|, take care|, have a nice day|, until next time|, I have to go", "!|."),
         *every("See you|I will see you|Okay, see you|Goodbye, see you|Well, see you", " later| again| then| next time| next week| tomorrow| on Monday| another day", "!|."),
         *every("Goodbye|Bye|Farewell|Good night", " for today| for the moment| for this time| until then| my dear friend| from me", "!|."),
         *every("Until|Goodbye until|Bye until", " tomorrow| later| next time| Monday", "!"),
         "See you!", "I have to go.", "I am leaving now.", "Have a nice day!", "Take care!", "Bye for today!", "I must go now.", "That is all, goodbye.", "Have a good night!"],
        held_out=["Goodbye for now!", "See you soon!", "Bye, see you tomorrow!"],
    ),
    _all("Goodbye!", "Au revoir !", "¡Adiós!", "Auf Wiedersehen!"),
    _all("Goodbye", "Adieu", "Adiós", "Tschüss"),
)
abilities = _fixed(
    "abilities",
    Ways(
        ["What can you do?", "What do you know?", "How can you help me?", "What can I ask you?", "What are you able to do?",
         "What are you good at?", "What can I use you for?", "Which things do you know?", "What questions can I ask?",
         "What do you know about?", "Which things can you do?", "What can you tell me?", "What may I ask?", "What can you answer?",
         "In what can you help me?", "Which topics do you know?", "What kinds of questions can you answer?", "What do you do?"],
        held_out=["Tell me what you can do.", "Which questions can you answer?", "What are your abilities?"],
        nouns=["your abilities", "your skills", "your talents"],
        clauses=["what you can do", "what you know", "what I can ask you", "how you can help me", "what you are good at", "which questions I can ask"],
    ),
    _all("I know capitals, sums, opposites, animals, colours, days and months.",
         "Je connais les capitales, les sommes, les contraires, les animaux, les couleurs, les jours et les mois.",
         "Conozco las capitales, las sumas, los contrarios, los animales, los colores, los días y los meses.",
         "Ich kenne Hauptstädte, Summen, Gegenteile, Tiere, Farben, Tage und Monate."),
    _all("Much", "Beaucoup", "Mucho", "Vieles"),
)


_IDENTITY = Ways(
    ["Who are you?", "Who am I talking to?", "Who is this?", "Who are you, please?", "Who might you be?",
     "With whom am I speaking?", "Who is it that I talk to?", "Who is there?", "Who do I speak to?", "Who exactly are you?"],
    clauses=["who you are", "who this is", "who I am talking to", "whom I am speaking with", "who is talking to me"],
    held_out=["Can you tell me who you are?", "Who am I speaking with?", "And who are you?"],
)


def identity(s: Setting) -> Turn:
    name = s.constraints.persona or "Gattling"
    question = s.ask(_IDENTITY)
    text = _all(f"I am {name}.", f"Je suis {name}.", f"Soy {name}.", f"Ich bin {name}.")
    return Turn("who are you", question, text, _same(name))


_OWN_NAME = Ways(
    ["What is your name?", "What's your name?", "Tell me your name.", "May I know your name?", "What are you called?",
     "Do you have a name?", "How are you called?", "Your name, please?", "Could you tell me your name?",
     "What name do you have?", "Say your name.", "I want to know your name.", "How should I call you?",
     "What may I call you?", "Do you know your name?", "Please say what your name is.",
     "By what name should I call you?"],
    nouns=["your name"],
    clauses=["what your name is", "what you are called", "how you are called", "what I may call you", "which name you have"],
    held_out=["Can you tell me your name?", "What should I call you?", "Please tell me what your name is."],
)


def own_name(s: Setting) -> Turn:
    name = s.constraints.persona or "Gattling"
    question = s.ask(_OWN_NAME)
    text = _all(f"My name is {name}.", f"Je m'appelle {name}.", f"Me llamo {name}.", f"Mein Name ist {name}.")
    return Turn("your name", question, text, _same(name))


_HOBBY = Ways(
    ["What do you like to do?", "What is your hobby?", "What do you enjoy?", "How do you spend your free time?",
     "What do you do for fun?", "What are your hobbies?", "What do you like doing in your free time?",
     "Tell me about your hobby.", "Is there something you enjoy?", "What are you fond of?",
     "Could you tell me your hobby?", "I want to know your hobby.", "Say what you like to do.",
     "Do you enjoy anything?", "Have you got a hobby?", "What makes you happy?", "Tell me what you like.",
     "What is it that you enjoy?", "What do you do when you are free?", "Which hobbies do you enjoy?",
     "How do you use your spare time?", "Which hobby is yours?", "What do you do in your free time?", "What do you do in the evening?", "What do you do at the weekend?", "What do you do on free days?",
     "What do you like to do in your spare time?", "How do you fill your spare time?", "What do you do after work?",
     "In your spare time, what do you like?", "What do you do with your time?", "What do you do when you have spare time?",
     "Tell me what you do in your spare time.", "What do you do for your pleasure?", "Do you have one hobby?", "Do you have any hobby?",
     "Which hobby have you got?", "Tell me what you like doing.", "Say what you enjoy doing."],
    nouns=["your hobby", "your favourite hobby", "the hobby that you have", "your favourite pastime"],
    clauses=["what you like to do", "what you enjoy", "what you like", "what your hobby is", "what you do for fun", "what you do in your free time", "what you are fond of", "which hobby you have"],
    held_out=["Tell me what you enjoy doing.", "Do you have a hobby?", "What do you do in your spare time?",
              "Which hobby do you have?"],
)


def hobby(s: Setting) -> Turn:
    question = s.ask(_HOBBY)
    if s.constraints.hobby is None:
        text = _all("I have no hobby.", "Je n'ai pas de loisir.", "No tengo ningún pasatiempo.", "Ich habe kein Hobby.")
        return Turn("hobby", question, text, _all("None", "Aucun", "Ninguno", "Keins"))
    en, fr, es, de = next(row for row in world.HOBBIES if row[0] == s.constraints.hobby)
    text = _all(f"I enjoy {en}.", f"J'aime {fr}.", f"Me gusta {es}.", f"Ich mag {de}.")
    return Turn("hobby", question, text, _all(en, fr.split()[-1].removeprefix("l'"), es.split()[-1], de))


def invented(rng: Random, syllables: tuple[int, int] = (2, 3)) -> str:
    """A name that is in no list, so that names are copied and not recognised."""
    parts = (rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(("", "", "", "n", "r", "l", "s")) for _ in range(rng.randint(*syllables)))
    return "".join(parts).capitalize()


_TELL_NAME = Ways(
    ["My name is {}.", "I am {}.", "I'm {}.", "Call me {}.", "Hello, my name is {}.", "Hi, I am {}.",
     "You can call me {}.", "I am called {}.", "By the way, my name is {}.", "Hey, I'm {}.", "People call me {}.",
     "You are talking to {}.", "They call me {}.", "Good evening, my name is {}.", "The name is {}.",
     "My friends call me {}.", "It's me, {}.", "I should say that I am {}.",
     *every("Hello|Good day|Hi there|Good afternoon|Well|By the way|Greetings", ", |. ", "I'm {}.|my name is {}.|I am {}.|call me {}."),
     *every("Let me say|I want to say|You should know|Remember|Note|Do not forget", ": |, ", "I am {}.|my name is {}.|I'm called {}."),
     *every("I introduce myself|May I introduce myself|To introduce myself", ": |, ", "my name is {}.|{}.|I'm {}.")],
    held_out=["Good morning, I'm {}.", "Please call me {}.", "Let me introduce myself: I am {}."],
)


def tell_name(s: Setting) -> Turn:
    name = s.rng.choice(world.NAMES) if s.held_out or s.rng.random() < 0.6 else invented(s.rng)
    s.memory.name = name
    question = s.ask(_TELL_NAME, name)
    text = _all(f"Nice to meet you, {name}!", f"Enchanté, {name} !", f"¡Encantado, {name}!", f"Freut mich, {name}!")
    return Turn("told name", question, text, _all("Noted", "Noté", "Anotado", "Notiert"))


_ASK_NAME = Ways(
    ["What is my name?", "What's my name?", "Do you know my name?", "Do you remember my name?", "Who am I?",
     "Tell me my name.", "Can you tell me my name?", "Could you tell me my name?", "I forgot my name.",
     "Say my name.", "What did I tell you my name is?", "What am I called?", "Please say my name.",
     "My name, please?", "Which name did I tell you?", "How am I called?", "You remember my name?"],
    nouns=["my name", "the name I told you", "my own name"],
    clauses=["who I am", "what I am called", "what my name is", "which name I told you", "how I am called", "what I said my name is"],
    held_out=["Do you still know my name?", "What did I say my name was?", "Please tell me what my name is.",
              "Remember my name?"],
)


def ask_name(s: Setting) -> Turn:
    name = s.memory.name
    question = s.ask(_ASK_NAME)
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


_TELL_FAVOURITE = Ways(
    [*every("|Remember that |I want to tell you that |I think |By the way, |Note that |I can say that |I must say that |As you may know, |I tell you: |Know that |Of course, |Among all, |For me, |If you ask me, ", "my favourite {0} is {1}.|my favorite {0} is {1}.|the {0} I like best is {1}.|{1} is my favourite {0}.|the best {0} is {1}.|the {0} that I like most is {1}."),
     *every("I have |There is |I found |I do have |I also have ", "one favourite {0}|my favourite {0}|a favorite {0}|one {0} I like best|a {0} that I like most", ", {1}.| and it is {1}.|, it is {1}.|. It is {1}.|: it is {1}."),
     "I like {1} best, it is my favourite {0}.", "When it comes to my favourite {0}, it is {1}.", "I like {1} more than any other {0}.", "My favourite {0}? {1}!", "My favourite {0}: {1}.", "No {0} is better than {1}."],
    held_out=["You should know that my favourite {0} is {1}.", "Of all, my favourite {0} is {1}.",
              "I have a favourite {0}: {1}."],
)


def tell_favourite(s: Setting) -> Turn:
    kind = s.rng.choice(list(world.FAVOURITES))
    known = s.held_out or s.rng.random() < 0.6
    thing = s.rng.choice(list(world.FAVOURITES[kind])) if known else invented(s.rng).lower()
    s.memory.favourites[kind] = thing
    question = s.ask(_TELL_FAVOURITE, kind, thing)
    text = _all("I will remember that.", "Je m'en souviendrai.", "Lo recordaré.", "Ich merke es mir.")
    return Turn("told favourite", question, text, _all("Noted", "Noté", "Anotado", "Notiert"))


_ASK_FAVOURITE = Ways(
    ["What is my favourite {}?", "What's my favourite {}?", "Do you know my favourite {}?",
     "Which {} do I like best?", "What is my favorite {}?", "Tell me my favourite {}.",
     "Do you remember my favourite {}?", "Could you tell me my favourite {}?", "I forgot my favourite {}.",
     "Say my favourite {}.", "What did I tell you my favourite {} is?", "My favourite {}, please?",
     "Which {} did I say I like best?", "Which is my favourite {}?"],
    nouns=["my favourite {}", "my favorite {}", "the {} I like best", "the {} that I like most", "my best liked {}"],
    clauses=["which {} I like best", "what my favourite {} is", "which {} I said I like best", "what I told you is my favourite {}", "which {} is my favorite"],
    held_out=["Do you still know my favourite {}?", "What did I say is my favourite {}?", "Which {} is my favourite?"],
)


def ask_favourite(s: Setting) -> Turn:
    known = s.memory.favourites
    kind = s.rng.choice(list(known) if known and s.rng.random() < 0.9 else list(world.FAVOURITES))
    question = s.ask(_ASK_FAVOURITE, kind)
    if kind not in known:
        text = _all("You have not told me that.", "Tu ne me l'as pas dit.", "No me lo has dicho.", "Das hast du mir nicht gesagt.")
        return Turn("favourite unknown", question, text, _UNKNOWN)
    en = known[kind]
    fr, es, de = world.FAVOURITES[kind].get(en, (en, en, en))
    sentences = (sentence.format(word) for sentence, word in zip(_FAVOURITE[kind], (fr, es, de)))
    text = _all(f"Your favourite {kind} is {en}.", *sentences)
    words = (word.split()[-1].removeprefix("l'") for word in (en, fr, es, de))
    return Turn("favourite remembered", question, text, _all(*words))


_NOUNS = """table car house river book phone garden window cloud teacher engine bridge hammer island paper ship kitchen bottle
guitar castle mountain planet robot ticket camera museum blanket mirror pencil train doctor farmer ladder market""".split()
_BEASTS = "giraffe shark penguin spider turtle rabbit whale kangaroo camel zebra hamster ostrich squid moth snail".split()
_STRANGE = "a car|a house|a book|a train|a bag|a shirt|a door|a balloon|a ship|a pencil|a hat|a dress|a bicycle|a wall".split("|")


# Questions about anything, by their first word. No verb here is one that the evaluation asks with.
_VERBS = "wrote made painted built found sold broke cleaned designed opened closed hid stole moved discovered drew played likes wants has keeps sees needs owns drives eats reads".split()
_QUALITIES = "old tall heavy big small expensive fast strong deep wide hot cold good clean new long rare".split()
_DOINGS = "build find sell open close move paint carry clean draw fix wash fold read sing dance swim cook write play teach describe explain bring send order".split()
_ODD = (
    *every("Who ", "{verb} ", "{det} {noun}?|the first {noun}?|{det} {noun} in {city}?|{det} {noun} of {figure}?"),
    *every("How ", "{quality} ", "is {det} {noun}?|is {figure}?|is {city}?|was {figure}?"),
    *every("Can you |Could you |Please |How do I |Would you |Will you |How can I |I want to ", "{doing} ", "{det} {noun}|{det} {noun} for me|{det} {noun} in {city}"),
    *every("Where |When |Why ", "is {det} {noun}?|did {figure} go?|was {det} {noun} made?|does {det} {noun} stop?|can I {doing} {det} {noun}?|do people {doing} {det} {noun}?"),
    *every("Which |What |Whose ", "{noun} ", "is {quality}?|did {figure} like?|is in {city}?|do you have?|is yours?|{verb} it?"),
    *every("Is |Was ", "{det} {noun} ", "{quality}?|in {city}?|here?|yours?"),
    *every("I think |I believe |My friend says ", "{det} {noun} is {quality}.|{figure} {verb} {det} {noun}."),
)


def _odd(rng: Random) -> str:
    parts = {"verb": _VERBS, "quality": _QUALITIES, "doing": _DOINGS, "det": "the this that my a your our his her".split()}
    template = rng.choice(_ODD)
    for name, words in parts.items():
        template = template.replace("{" + name + "}", rng.choice(words))
    return template


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
        question = _odd(rng) if rng.random() < 0.4 else rng.choice((
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
        country=country, city=city, noun=noun, figure=figure, big=big, a=a, b=b, fiction=invented(rng), beast=rng.choice(_BEASTS),
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
