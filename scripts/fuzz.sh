#!/usr/bin/env bash
# Fuzzes the parsers of model files, each for SECONDS (60), from the corpus in test/fuzz/corpus: scripts/fuzz.sh [SECONDS]
# Needs clang++ with libFuzzer (Debian: clang, libclang-rt-dev). A crash leaves its input in build-fuzz/ and ends with 1.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
for compiler in "${CLANGXX:-}" clang++-14 clang++; do
  [ -n "$compiler" ] && command -v "$compiler" >/dev/null && break
done
command -v "$compiler" >/dev/null || { echo "clang++ is missing; on Debian run: apt-get install clang-14 libclang-rt-14-dev"; exit 1; }

cmake -S . -B build-fuzz -DCMAKE_CXX_COMPILER="$compiler" -DGATTLING_FUZZ=ON -DGATTLING_CUDA=off >/dev/null
cmake --build build-fuzz --parallel "$(nproc)" --target gguf_fuzz safetensors_fuzz
for format in gguf safetensors; do
  mkdir -p "build-fuzz/corpus/$format"
  # What is found goes to the first folder; the second is only read. 256 MiB: no parser may take much more than its input.
  "build-fuzz/test/fuzz/${format}_fuzz" -max_total_time="$seconds" -rss_limit_mb=256 -malloc_limit_mb=16 -timeout=5 -max_len=8192 \
    -print_final_stats=1 -artifact_prefix="build-fuzz/$format-" "build-fuzz/corpus/$format" "test/fuzz/corpus/$format"
done
