#!/usr/bin/env bash
# Builds the CPU's kernels for 64-bit Arm and runs their tests in an emulator: scripts/arm.sh [BUILD-FOLDER]
# Needs g++ for Arm and qemu (Debian: g++-aarch64-linux-gnu, qemu-user).
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-arm}
for need in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v "$need" >/dev/null || { echo "$need is missing; on Debian run: apt-get install g++-aarch64-linux-gnu qemu-user"; exit 1; }
done

cmake -S . -B "$build" -DGATTLING_CUDA=off -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ '-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu' >/dev/null
mapfile -t targets < <(ctest --test-dir "$build" --show-only -L arm | sed -nE 's/^ *Test +#[0-9]+: //p')
cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)" --no-tests=error -L arm
