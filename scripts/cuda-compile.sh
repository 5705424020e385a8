#!/usr/bin/env bash
# Compiles the CUDA backend for every architecture and lists what each kernel takes: scripts/cuda-compile.sh [BUILD-FOLDER]
# Needs nvcc and no GPU. The last line is "cuda: sm_80 sm_90a, K kernels, 0 spills", or "cuda: NOT COMPILED" without nvcc.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-cuda}

nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if [ ! -x "$nvcc" ]; then
  echo "cuda: NOT COMPILED (no nvcc: install the CUDA toolkit 13 and put its bin folder into PATH)"
  exit 0
fi

mkdir -p "$build"
CUDACXX=$nvcc cmake -S . -B "$build" -DGATTLING_CUDA=on >"$build/configure.log" || { cat "$build/configure.log"; exit 1; }
# Whole, since what was compiled before says nothing; in order, since two kernels' lines must not mix.
cmake --build "$build" --target gattling_cuda --clean-first -- -j"$(nproc)" --output-sync=target >"$build/compile.log" 2>&1 ||
  { grep -v '^ptxas info' "$build/compile.log"; exit 1; }

# ptxas -v: "Compiling entry function 'NAME' for 'sm_80'", then lines on spills and registers.
awk -v OFS='\t' '
  /Compiling entry function/ { split($0, at, "\047"); name = at[2]; arch = at[4] }
  /bytes spill stores/ { split($0, s, ", "); spills = s[2] + 0 }
  /Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
    shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
    print arch, registers, spills, shared, name
  }' "$build/compile.log" | c++filt | sort -t$'\t' -k5 -k1,1 >"$build/kernels.txt"

printf '%-8s %9s %6s %6s  %s\n' arch registers spills shared kernel
sed -E 's/gattling::cuda:://g; s/\(anonymous namespace\):://g; s/\([^()]*\)$//' "$build/kernels.txt" |
  while IFS=$'\t' read -r arch registers spills shared name; do
    printf '%-8s %9s %6s %6s  %s\n' "$arch" "$registers" "$spills" "$shared" "$name"
  done
awk -F'\t' '{ archs[$1]; spills += $3; kernels[$5] }
  END {
    n = 0; for (k in kernels) ++n
    if (n == 0) { print "no kernel was compiled"; exit 1 }
    printf "cuda: %s, %d kernels, %d spills\n", ("sm_80" in archs && "sm_90a" in archs ? "sm_80 sm_90a" : "NOT BOTH ARCHITECTURES"), n, spills
    exit spills > 0 || !("sm_80" in archs) || !("sm_90a" in archs)
  }' "$build/kernels.txt"
