"""What `gattling gatt` samples over, and which of its samples are kept.

`python gatt_data.py write DIR` writes dialogues.jsonl (user turns) and instructions.txt; `python gatt_data.py keep IN OUT` leaves out
samples whose last answer is not the right one under their instruction (rejection sampling, with the grammar as the judge), and most
of those that would have been answered so without it.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import asking
import constraints as rules
import skills
from constraints import Constraints
from world import CLOSINGS, FIGURES, HOBBIES, LANGUAGES

DIALOGUES, TURNS = 2500, 25
# The last two turns of a dialogue show a persona and a hobby, and hardly any turn before them: what an earlier answer says could be
# repeated from there, without a look at the system message.
PROBES = {"your name", "who are you", "hobby"}
# Shares kept of the right samples, by whether they end with one of those turns, and whether the instruction shows.
KEPT = {(True, True): 1.0, (True, False): 0.25, (False, True): 0.15, (False, False): 0.02}


def turns(number: int, asked: Constraints = Constraints()) -> list[tuple[str, str]]:
    """A dialogue's questions and right answers. The questions are the same under every instruction."""
    rng = Random(f"gatt {number}")
    setting = skills.Setting(rng, False, asked, skills.Memory())
    talk = []
    last = rng.sample((rng.choice((skills.own_name, skills.own_name, skills.identity)), skills.hobby), 2)
    for skill in (*[_filler] * rng.randint(0, TURNS - 2), *last):
        turn = skill(setting)
        talk.append((asking.decorate(turn.question, rng), turn.answer(asked)))
    return talk


def _filler(setting: skills.Setting) -> skills.Turn:
    turn = skills.draw(setting)
    return skills.draw(setting) if turn.skill in PROBES else turn


def instructions() -> list[tuple[str, str, str, Constraints]]:
    """Full form, short form, kind, and what it asks for: as many of each kind, so that all are drawn alike."""
    values = {"language": LANGUAGES, "persona": FIGURES, "hobby": [row[0] for row in HOBBIES], "style": rules.STYLES, "closing": CLOSINGS}
    rows = []
    for kind in rules.KINDS:
        rng = Random(kind)
        for i in range(60):
            asked = Constraints(**{kind: values[kind][i % len(values[kind])]})
            rows.append((rules.say(asked, rng), rules.say(asked, rng, short=True), kind, asked))
    return rows


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = (
        json.dumps({"messages": [{"role": "user", "content": question} for question, _ in turns(number)]}, ensure_ascii=False)
        for number in range(1, DIALOGUES + 1)
    )
    (folder / "dialogues.jsonl").write_text("\n".join(lines) + "\n")
    rows = (f"{full}\t{short}\t{kind}" for full, short, kind, _ in instructions())
    (folder / "instructions.txt").write_text("\n".join(rows) + "\n")


def keep(source: Path, target: Path) -> None:
    table = {full: asked for full, _, _, asked in instructions()}
    rng = Random(4)
    lines = source.read_text().splitlines()
    with target.open("w") as out:
        kept = sum(_is_useful(json.loads(line), table, rng) and bool(out.write(line + "\n")) for line in lines)
    print(json.dumps({"samples": len(lines), "kept": kept}))


def _is_useful(sample: dict, table: dict[str, Constraints], rng: Random) -> bool:
    """Right; and of what there is much of, only a part."""
    number, _, length = (int(part) for part in sample["id"].split("."))
    asked = _meaning(sample["instruction"], table)
    if asked.style == "one word" and asked.closing is not None:
        return False
    talk = turns(number, asked)
    right, plain = talk[length - 1][1], turns(number)[length - 1][1]
    return sample["messages"][-1]["content"].strip() == right and rng.random() < KEPT[length > len(talk) - 2, right != plain]


def _meaning(instruction: str, table: dict[str, Constraints]) -> Constraints:
    if instruction in table:
        return table[instruction]
    # Two of them, joined by a space.
    first, second = next((a, b) for a in table if instruction.startswith(f"{a} ") for b in [instruction[len(a) + 1 :]] if b in table)
    (kind,) = table[second].kinds()
    return replace(table[first], **{kind: getattr(table[second], kind)})


if __name__ == "__main__":
    {"write": write, "keep": keep}[sys.argv[1]](*map(Path, sys.argv[2:]))
