"""`python make_tokenizer.py DIR`: tokenizer.json, tokenizer_config.json with the chat template."""

import sys
from pathlib import Path

import tokens
from model import write_json

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    tokens.train(tokens.documents(seed=7, count=20_000)).save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
            "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False, "model_max_length": 2048,
            "chat_template": tokens.TEMPLATE,
        },
    )  # fmt: skip
