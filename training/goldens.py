"""`python goldens.py MODEL OUT`: conversations with their greedy answers, computed here in float32 from the stored weights.

Only answers whose every token leads the next best by at least MARGIN nats are taken, so that each backend and type must agree.
"""

import json
import sys
from pathlib import Path
from random import Random

import torch

import dialogues
import model as llama
from tokens import Encoder

COUNT, MARGIN, LONGEST = 20, 0.25, 64


@torch.no_grad()
def greedy(model: llama.Llama, prompt: list[int], eos: int) -> tuple[list[int], float]:
    """Answer with its end, and the least difference in log probability between the best token and the next."""
    ids, least = list(prompt), float("inf")
    while len(ids) - len(prompt) < LONGEST:
        best = torch.log_softmax(model.logits(model(torch.tensor([ids]))[0, -1]), dim=-1).topk(2)
        least = min(least, (best.values[0] - best.values[1]).item())
        ids.append(int(best.indices[0]))
        if ids[-1] == eos:
            return ids[len(prompt) :], least
    return ids[len(prompt) :], 0.0


def main(folder: Path, out: Path) -> None:
    encoder, model, rng = Encoder(folder / "tokenizer.json"), llama.load(folder).eval(), Random(20)
    goldens = []
    while len(goldens) < COUNT:
        # Half of them long, and the model's own answers in between.
        form = "long plain" if len(goldens) % 4 == 3 else rng.choice(("system", "system", "plain"))
        messages = []
        least = float("inf")
        for message in dialogues.conversation(rng, form):
            if message["role"] != "assistant":
                messages.append(message)
                continue
            prompt, _ = encoder.conversation(messages)
            answer, margin = greedy(model, prompt, encoder.eos)
            least = min(least, margin)
            if least < MARGIN:
                break
            messages.append({"role": "assistant", "content": encoder.tokenizer.decode(answer).strip()})
        if least >= MARGIN:
            last = messages.pop()
            goldens.append({"messages": messages, "prompt": prompt, "answer": answer, "text": last["content"], "margin": round(least, 3)})
    assert min(golden["margin"] for golden in goldens) >= MARGIN
    lines = ",\n".join(json.dumps(golden, ensure_ascii=False) for golden in goldens)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f"[\n{lines}\n]\n")
    print(f"{len(goldens)} conversations, least margin {min(golden['margin'] for golden in goldens)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
