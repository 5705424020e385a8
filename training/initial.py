"""What training begins with: heads that look back by a fixed distance, and heads that find what followed a token before.

Models of this size need millions of tokens to come to such heads (induction heads: Olsson et al. 2022), and cannot repeat a name
until then. Weights drawn near what training leads to are mimetic initialisation (Trockman & Kolter 2023). Nothing is held fixed.
"""

import torch
from torch import Tensor

from model import Llama

# How far back the heads of the first layer look.
DISTANCES = (1, 2, 3, 4, 1, 2, 3, 5)
# Component 0 of the residual stream is the same for all tokens: what queries and keys read there knows positions only.
# As many components as a head has follow for the token before. The rest is the token's own.
CONSTANT = 0.24
# The score that one turning pair of a head adds at its distance, and how many of the fastest pairs do.
SHARPNESS, FAST = 10.0, 5
# Of the slow pairs, which hardly turn over a conversation, from which on, and how strongly they match tokens.
SLOW, MATCH = 6, 3.0
# What heads write, in units of an embedding's components: the token before, tokens further back, the token to repeat.
BEFORE, BACK, REPEATED = 2.0, 0.5, 4.0


@torch.no_grad()
def mimic(model: Llama) -> None:
    shape = model.shape
    embeddings = model.embed_tokens.weight
    embeddings[:, 0] = CONSTANT
    embeddings[:, 1 : 1 + shape.head] = 0
    scale = embeddings.pow(2).mean().sqrt()
    values = _look_back(model, CONSTANT / scale, scale)
    _repeat(model, values, scale)


def _look_back(model: Llama, constant: Tensor, scale: Tensor) -> Tensor:
    """Layer 0. Its values are what of a token is handed on: [kv_heads * head, hidden]."""
    shape, attention = model.shape, model.layers[0].self_attn
    head, half = shape.head, shape.head // 2
    speed = shape.theta ** (-torch.arange(0, head, 2) / head)[:FAST]
    reading = (SHARPNESS * head**0.5) ** 0.5 / constant
    values = _directions(model, shape.kv_heads * head).T
    q, k, o = attention.q_proj.weight, attention.k_proj.weight, attention.o_proj.weight
    q[:, 0] = k[:, 0] = 0
    for first in range(0, shape.kv_heads * head, head):
        k[first : first + FAST, 0] = reading
    written = _directions(model, shape.hidden)
    o.zero_()
    for i, distance in enumerate(DISTANCES):
        first, angle = i * head, -distance * speed
        q[first : first + FAST, 0] = reading * angle.cos()
        q[first + half : first + half + FAST, 0] = reading * angle.sin()
        o[:, first : first + head] = written[:, first : first + head] * scale * BACK
    o[:, :head] = 0
    o[1 : 1 + head, :head] = torch.eye(head) * scale * BEFORE
    attention.v_proj.weight.copy_(values)
    return values


def _repeat(model: Llama, values: Tensor, scale: Tensor) -> None:
    """Layer 1: of each group's heads two look for the places whose token before is this token, and repeat what stands there."""
    shape, attention = model.shape, model.layers[1].self_attn
    head, half, group = shape.head, shape.head // 2, shape.heads // shape.kv_heads
    slow = [*range(SLOW, half), *range(half + SLOW, head)]
    repeated = _directions(model, shape.kv_heads * head)
    attention.v_proj.weight.copy_(repeated.T)
    for i in range(shape.kv_heads):
        # A head has fewer slow components than a token was handed on in: the two groups take other ends of them.
        taken = range(len(slow)) if i == 0 else range(head - len(slow), head)
        k, q = torch.zeros(head, shape.hidden), torch.zeros(head, shape.hidden)
        for to, component in zip(slow, taken):
            k[to, 1 + component] = MATCH / BEFORE
            q[to] = values[component] * MATCH
        attention.k_proj.weight[i * head : (i + 1) * head] = k
        for first in range(i * group * head, (i * group + 2) * head, head):
            attention.q_proj.weight[first : first + head] = q
            attention.o_proj.weight[:, first : first + head] += repeated[:, i * head : (i + 1) * head] * scale * REPEATED


def _directions(model: Llama, count: int) -> Tensor:
    """[hidden, count]: orthonormal directions of the token's own components, turned another way when those are used up."""
    hidden, first = model.shape.hidden, 1 + model.shape.head
    turns = [torch.linalg.qr(torch.randn(hidden - first, hidden - first))[0] for _ in range(-(-count // (hidden - first)))]
    padded = torch.zeros(hidden, len(turns) * (hidden - first))
    padded[first:] = torch.cat(turns, dim=1)
    return padded[:, :count]
