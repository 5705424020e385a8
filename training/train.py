"""One stage of training: `python train.py pretrain|sft|gatt --out DIR [--start DIR] [--data FILE] --tokens N`."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F

import dialogues
import initial
import model as llama
import parallel
from optimizer import Muon
from tokens import Encoder

Sequence = tuple[list[int], list[float]]
Batch = tuple[torch.Tensor, torch.Tensor]

# Peak learning rates of Muon (matrices) and AdamW (embeddings and norms), and the part of them that is left in the end. Pre-training
# ends where fine-tuning begins: to fall and rise again costs what was learnt last.
RATES = {"pretrain": (0.01, 1.5e-3, 0.8), "sft": (0.008, 1.2e-3, 0.02), "gatt": (0.006, 1e-3, 0.02)}
# Of each process.
BATCH_TOKENS = 1024


def sequences(stage: str, encoder: Encoder, seed: int, data: Path | None) -> Iterator[Sequence]:
    rng = Random(seed)
    if stage == "pretrain":
        while True:
            yield encode_any(encoder, dialogues.pretraining(rng))
    if stage == "sft":
        while True:
            yield encode_any(encoder, dialogues.mixture(rng))
    # What Ghost Attention adds, among four times as many other texts, so that the rest goes on.
    samples = [encoder.conversation(json.loads(line)["messages"]) for line in data.read_text().splitlines()]
    while True:
        rng.shuffle(samples)
        for sample in samples:
            yield sample
            for _ in range(4):
                yield encode_any(encoder, dialogues.mixture(rng))


def encode_any(encoder: Encoder, text: list[dict] | str | dialogues.Exercises) -> Sequence:
    if isinstance(text, dialogues.Exercises):
        return encoder.exercises(text.pairs)
    return encoder.document(text) if isinstance(text, str) else encoder.conversation(text)


def batches(stream: Iterator[Sequence], context: int, rng: Random) -> Iterator[Batch]:
    """ids and weights [rows, length] of sequences of about one length, so that little is padding. All processes draw the same
    stream and take neighbours of it, so that none waits for a longer batch."""
    n = parallel.processes()
    while True:
        pool = sorted((next(stream) for _ in range(1024)), key=lambda sequence: len(sequence[0]))
        groups: list[list[Sequence]] = [[]]
        for sequence in pool:
            if groups[-1] and len(sequence[0]) * (len(groups[-1]) + 1) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(sequence)
        steps = [groups[first : first + n] for first in range(len(groups) % n, len(groups), n)]
        rng.shuffle(steps)
        for step in steps:
            group = step[parallel.rank()]
            length = min(context, max(len(ids) for ids, _ in group))
            pad = [((ids + [0] * length)[:length], (weights + [0.0] * length)[:length]) for ids, weights in group]
            yield torch.tensor([ids for ids, _ in pad]), torch.tensor([weights for _, weights in pad])


def loss_of(model: llama.Llama, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    hidden, targets, weights = model(ids[:, :-1]), ids[:, 1:], weights[:, 1:]
    counted = weights > 0
    losses = F.cross_entropy(model.logits(hidden[counted]), targets[counted], reduction="none")
    return (losses * weights[counted]).sum() / weights.sum()


def train(model: llama.Llama, stream: Iterator[Batch], tokens: int, rates: tuple[float, float, float], save: Callable[[], None]) -> None:
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
    optimizers = (Muon(matrices, rates[0]), torch.optim.AdamW(others, rates[1], betas=(0.9, 0.95), weight_decay=0.0))
    seen, step, begun, average = 0, 0, time.monotonic(), 0.0
    while seen < tokens:
        ids, weights = next(stream)
        # Warm up over 2 %, and fall in a line.
        done = seen / tokens
        scale = min(1.0 - (1.0 - rates[2]) * done, (done + 1e-3) / 0.02)
        for optimizer, rate in zip(optimizers, rates):
            optimizer.param_groups[0]["lr"] = rate * scale
        loss = loss_of(model, ids, weights)
        loss.backward()
        totals = torch.tensor([loss.item(), float(ids.numel())])
        gradients = [p.grad.div_(parallel.processes()) for p in model.parameters()]
        parallel.add_up([*gradients, totals])
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        seen, step = seen + int(totals[1]), step + 1
        average += (totals[0].item() / parallel.processes() - average) * (1 if step == 1 else 0.05)
        if step % 50 == 0 and parallel.rank() == 0:
            passed = time.monotonic() - begun
            print(f"step {step}  tokens {seen / 1e6:.2f} M  loss {average:.4f}  {seen / passed:.0f} tokens/s", flush=True)
        if step % 500 == 0:
            save()
    save()
    if parallel.rank() == 0:
        print(json.dumps({"tokens": seen, "steps": step, "loss": average, "seconds": round(time.monotonic() - begun)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=RATES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    parallel.run(args.processes, run, args)


def run(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    encoder = Encoder(args.tokenizer)
    model = llama.Llama()
    if args.start is None:
        initial.mimic(model)
    else:
        model.load_state_dict(torch.load(args.start / "state.pt"))
    stream = batches(sequences(args.stage, encoder, args.seed, args.data), model.shape.context, Random(args.seed))

    def save() -> None:
        if parallel.rank() == 0:
            llama.save(model, args.out, encoder.bos, encoder.eos)
            torch.save(model.state_dict(), args.out / "state.pt")

    train(model, stream, int(args.tokens), RATES[args.stage], save)


if __name__ == "__main__":
    main()
