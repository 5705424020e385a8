#!/bin/sh
# Makes models/demo from nothing: `sh training/make.sh`. About 85 minutes on two quiet cores. Each step leaves its result in training/out and is
# skipped when that is there. Needs Python 3.11 or later and the built server (npm ci).
set -eu
cd "$(dirname "$0")"
out=${OUT:-out}
port=${PORT:-8123}
python=$out/venv/bin/python
demo=../models/demo
tokens_pretrain=2e6 tokens_sft=7e6 tokens_gatt=3.2e6

# step NAME COMMAND...: once.
step() {
  [ -e "$out/$1.done" ] && return 0
  name=$1
  shift
  echo "== $name"
  "$@"
  touch "$out/$name.done"
}

install() {
  python3 -m venv "$out/venv"
  "$python" -m pip install -q -r requirements.txt
}

train() {
  stage=$1
  shift
  "$python" train.py "$stage" --out "$out/$stage" --tokenizer "$out/tokenizer/tokenizer.json" "$@"
  cp "$out/tokenizer/"* "$out/$stage/"
}

# Section 3.3 of the Llama 2 paper, by the tool that anyone's dialogues can be put through.
sample() {
  "$python" gatt_data.py write "$out/data"
  node ../dist/src/main.js serve "$out/sft" --port "$port" --log-level warn > "$out/serve.log" &
  server=$!
  trap 'kill $server' EXIT
  until curl -sf "http://127.0.0.1:$port/health" > "$out/health"; do
    kill -0 $server
    sleep 1
  done
  node ../dist/src/main.js gatt --url "http://127.0.0.1:$port/v1" --dialogues "$out/data/dialogues.jsonl" \
    --instructions "$out/data/instructions.txt" --out "$out/data/sampled.jsonl" \
    --combine 0.4 --ends all --temperature 0 --max-tokens 64 --concurrency 48 --seed 3 --skip-refused
  kill $server
  trap - EXIT
  "$python" gatt_data.py keep "$out/data/sampled.jsonl" "$out/data/kept.jsonl"
}

publish() {
  mkdir -p "$demo"
  cp "$out/gatt/"*.json "$out/gatt/model.safetensors" "$demo/"
}

report() {
  "$python" evaluate.py --model "$out/sft" --modes first every_turn last_turn --out "$out/without.json"
  "$python" evaluate.py --model "$demo" --out "$out/with.json"
  "$python" report.py "$out/without.json" "$out/with.json"
}

mkdir -p "$out"
step install install
step tokenizer "$python" make_tokenizer.py "$out/tokenizer"
step pretrain train pretrain --tokens $tokens_pretrain --seed 1
step sft train sft --start "$out/pretrain" --tokens $tokens_sft --seed 2
step sample sample
step gatt train gatt --start "$out/sft" --data "$out/data/kept.jsonl" --tokens $tokens_gatt --seed 3
step publish publish
step goldens "$python" goldens.py "$demo" ../test/fixtures/demo-greedy.json
step report report
