"""`python evaluate.py MODEL...`: accuracy on ways to ask that were not trained on, perplexity, and how long instructions last."""

import argparse
import json
import math
from collections import defaultdict
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from random import Random

import asking
import constraints as rules
import dialogues
import skills
from client import Server, serve
from constraints import Constraints
from tokens import Encoder
from world import EMOJI, LANGUAGES

TURNS = 25


def obeys(asked: Constraints, turn: skills.Turn, answer: str) -> bool:
    """Whether an answer keeps to each instruction; not whether it is right."""
    if asked.style == "JSON":
        try:
            answer = str(json.loads(answer)["answer"])
        except (ValueError, KeyError, TypeError):
            return False
    if asked.style == "emoji":
        if not answer.endswith(EMOJI):
            return False
        answer = answer.removesuffix(EMOJI).rstrip()
    if asked.style == "capitals" and answer != answer.upper():
        return False
    answer = answer.lower()
    if asked.closing is not None:
        if not answer.endswith(f" {asked.closing.lower()}!"):
            return False
        answer = answer.removesuffix(f" {asked.closing.lower()}!")
    if asked.style == "one word" and " " in answer:
        return False
    if asked.persona is not None and turn.skill in ("who are you", "your name") and asked.persona.lower() not in answer:
        return False
    texts = turn.word if asked.style == "one word" else turn.text
    language = asked.language or "en"
    if asked.hobby is not None and turn.skill == "hobby" and turn.word[language].lower() not in answer:
        return False
    return max(LANGUAGES, key=lambda name: (_alike(answer, texts[name].lower()), name == language)) == language


def _alike(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b, autojunk=False).ratio()


def accuracy(server: Server, count: int) -> dict[str, float]:
    """Share of exactly right answers, by skill and by kind of system message, asked in ways that were never trained on."""
    rng = Random(11)
    cases = []
    for skill in skills.SKILLS:
        for _ in range(count):
            cases.append(_skill_case(skill, rng))
    for kind in (*rules.KINDS[:3], *rules.STYLES, "closing", "two of them"):
        for _ in range(count):
            cases.append(_system_case(kind, rng))
    answers = server.each(lambda case: server.chat(case[1]), cases)
    right = defaultdict(list)
    for (name, messages, expected), answer in zip(cases, answers):
        right[name].append(answer == expected)
        if answer != expected and len(right[name]) <= 40:
            print(f"  {name}: {[m['content'] for m in messages if m['role'] != 'assistant']} -> {answer!r}, not {expected!r}")
    return {name: sum(rights) / len(rights) for name, rights in right.items()}


def _skill_case(skill, rng: Random) -> tuple[str, list[dict], str]:
    memory = skills.Memory()
    setting = skills.Setting(rng, True, Constraints(), memory)
    messages = []
    tell = {skills.ask_name: skills.tell_name, skills.ask_favourite: skills.tell_favourite}.get(skill)
    if tell is not None and rng.random() < 0.8:
        for earlier in (tell, skills.capital, skills.opposite)[: rng.randint(1, 3)]:
            turn = earlier(setting)
            messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer()}]
    turn = skill(setting)
    messages.append({"role": "user", "content": asking.decorate(turn.question, rng, held_out=True)})
    return turn.skill, messages, turn.answer()


def _system_case(kind: str, rng: Random) -> tuple[str, list[dict], str]:
    if kind == "two of them":
        asked = rules.draw_some(rng, 2, common=True)
    elif kind in rules.STYLES:
        asked = Constraints(style=kind)
    else:
        asked = rules.draw(kind, rng, common=True)
    turn = _probe(skills.Setting(rng, True, asked, skills.Memory()))
    messages = [
        {"role": "system", "content": rules.say(asked, rng, held_out=True)},
        {"role": "user", "content": asking.decorate(turn.question, rng, held_out=True)},
    ]
    return f"system: {kind}", messages, turn.answer(asked)


def _probe(setting: skills.Setting) -> skills.Turn:
    """A question whose answer shows whether the instruction is kept."""
    asked = setting.constraints
    probes = [skills.own_name] * (asked.persona is not None) + [skills.hobby] * (asked.hobby is not None)
    while True:
        turn = setting.rng.choice(probes or skills.FACTS)(setting)
        # "New Delhi" is no failure to answer in one word, and what is one word in two languages shows neither.
        one = asked.style == "one word"
        if not (one and (" " in turn.answer(asked) or (asked.language is not None and not probes and len(set(turn.word.values())) < 4))):
            return turn


def endurance(server: Server, mode: str, count: int) -> dict[str, list[float]]:
    """By kind of instruction: share of conversations in which it is obeyed at turn 1, 2, ... of the model's own conversation."""
    rng = Random(12)
    kinds = (*rules.KINDS, "two")
    plans = [(kind, Random(rng.random())) for kind in kinds for _ in range(count)]
    kept = server.each(lambda plan: _conversation(server, mode, *plan), plans)
    rows = {kind: [obeyed for (k, _), obeyed in zip(plans, kept) if k == kind] for kind in kinds}
    return {kind: [sum(at) / len(at) for at in zip(*obeyed)] for kind, obeyed in rows.items()}


def _conversation(server: Server, mode: str, kind: str, rng: Random) -> list[bool]:
    asked = rules.draw_some(rng, 2, common=True) if kind == "two" else rules.draw(kind, rng, common=True)
    if asked.language == "en":
        asked = replace(asked, language=rng.choice(LANGUAGES[1:]))
    messages = [{"role": "system", "content": rules.say(asked, rng)}]
    setting = skills.Setting(rng, False, asked, skills.Memory())
    asides = asked.persona is not None or asked.hobby is not None
    kept = []
    for _ in range(TURNS):
        # What would repeat the answer itself in the history is asked aside.
        probe = _probe(setting)
        aside = [*messages, {"role": "user", "content": probe.question}]
        answer = server.chat(aside, system_mode=mode)
        kept.append(obeys(asked, probe, answer))
        if asides:
            filler = rng.choice(skills.FACTS)(setting)
            aside = [*messages, {"role": "user", "content": filler.question}]
            answer = server.chat(aside, system_mode=mode)
        messages = [*aside, {"role": "assistant", "content": answer}]
    return kept


def perplexity(server: Server, encoder: Encoder, count: int) -> float:
    """Of the answers of conversations that were not trained on."""
    talks = dialogues.conversations(seed=99)
    sequences = [encoder.conversation(next(talks)) for _ in range(count)]

    def surprise(sequence: tuple[list[int], list[float]]) -> tuple[float, float]:
        ids, weights = sequence
        body = {"model": "model", "prompt": ids, "max_tokens": 0, "echo": True, "logprobs": 0}
        scores = server.post("/v1/completions", body)["choices"][0]["logprobs"]["token_logprobs"]
        return sum(-(score or 0) * weight for score, weight in zip(scores, weights)), sum(weights)

    sums = server.each(surprise, sequences)
    return math.exp(sum(loss for loss, _ in sums) / sum(weight for _, weight in sums))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", default=["first"])
    parser.add_argument("--accuracy", type=int, default=200, help="cases of each skill")
    parser.add_argument("--conversations", type=int, default=40, help="of each kind of instruction")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with serve(args.model.resolve()) as server:
        results = {
            "accuracy": accuracy(server, args.accuracy) if args.accuracy else {},
            "perplexity": perplexity(server, Encoder(args.model / "tokenizer.json"), 500),
            "endurance": {mode: endurance(server, mode, args.conversations) for mode in args.modes if args.conversations},
        }
    for name, share in results["accuracy"].items():
        print(f"{name:24} {share:.3f}")
    for mode, kinds in results["endurance"].items():
        for kind, shares in kinds.items():
            print(f"{mode:10} {kind:9} {' '.join(f'{share:.2f}' for share in shares)}")
    print(f"perplexity {results['perplexity']:.4f}")
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
