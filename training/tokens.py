"""The tokenizer: byte-fallback BPE over whitespace-marked words, digits one by one, as Llama 2's. And conversations as ids."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import dialogues

VOCABULARY = 2048
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

# The model's chat template: Llama 2's tags, BOS and EOS around each turn (generation.py of facebookresearch/llama), with no
# space before EOS, so that a conversation's tokens are those that were generated.
TEMPLATE = (
    "{% if messages and messages[0].role == 'system' %}{% set system = messages[0].content %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message.role == 'user' %}"
    "{{ bos_token + '[INST] ' }}"
    "{% if loop.first and system %}{{ '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' }}{% endif %}"
    "{{ message.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + message.content | trim + eos_token }}{% endif %}"
    "{% endfor %}"
)


def train(documents: Iterable[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    words = [
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex(r"""[.,:;!?¡¿'"{}()\n]|\.\.\."""), "isolated"),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"]
    # Bytes have the ids behind the special tokens, as in SentencePiece.
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special + BYTES, show_progress=False)
    tokenizer.train_from_iterator(documents, trainer)
    # Trained as special tokens to have their ids; only the first three are.
    model = json.loads(tokenizer.to_str())
    model["added_tokens"] = [token for token in model["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps(model))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def documents(seed: int, count: int) -> Iterable[str]:
    """What the tokenizer is trained on: texts, and conversations in their markup."""
    rng = Random(seed)
    for _ in range(count):
        yield dialogues.document(rng)
        yield "\n".join(
            f"[INST] {message['content']} [/INST]" if message["role"] == "user" else message["content"]
            for message in dialogues.conversation(rng, rng.choice(("system", "inline", "plain")))
        ) + " [INST] <<SYS>>\n\n<</SYS>>\n\n"


class Encoder:
    def __init__(self, path: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(path))
        self.bos, self.eos = self.tokenizer.token_to_id("<s>"), self.tokenizer.token_to_id("</s>")
        self._ids = lru_cache(maxsize=1 << 18)(lambda text: self.tokenizer.encode(text, add_special_tokens=False).ids)

    def document(self, text: str) -> tuple[list[int], list[float]]:
        ids = [self.bos, *self._ids(text), self.eos]
        return ids, [1.0] * len(ids)

    def exercises(self, pairs: Iterable[tuple[str, str]]) -> tuple[list[int], list[float]]:
        """Ids of all, and weights of 1 for the second of each pair."""
        ids, weights = [self.bos], [0.0]
        for part, weight in ((part, weight) for pair in pairs for part, weight in zip(pair, (0.0, 1.0))):
            more = self._ids(part)
            ids += more
            weights += [weight] * len(more)
        return ids, weights

    def conversation(self, messages: list[dict]) -> tuple[list[int], list[float]]:
        """Ids, and the weight of the loss of predicting each: 1 in answers, or what a message's "weight" says."""
        ids: list[int] = []
        weights: list[float] = []
        system = ""
        for message in messages:
            text = message["content"]
            if message["role"] == "system":
                system = f"<<SYS>>\n{text}\n<</SYS>>\n\n"
                continue
            if message["role"] == "user":
                part, weight = self._ids(f"<s>[INST] {system}{text.strip()} [/INST]"), 0.0
                system = ""
            else:
                part, weight = [*self._ids(f" {text.strip()}"), self.eos], float(message.get("weight", 1))
            ids += part
            weights += [weight] * len(part)
        return ids, weights
