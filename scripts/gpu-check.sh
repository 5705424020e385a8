#!/usr/bin/env bash
# Everything that wants a GPU, in stages: builds the CUDA backend, runs its tests on the device, runs the small ones
# under compute-sanitizer, and benches the kernels.
#
#   scripts/gpu-check.sh [--out DIR] [--build DIR] [STAGE...]
#
# Stages are build, test, sanitize and bench; all of them when none is named. Each ends within 8 minutes. Needs CMake,
# a C++ compiler and nvcc (13.0 is tested); no Node, no network, and no file that is not in the repository. Writes
# gpu-check.json and cuda_bench.json, with device, driver and commit, and the logs to DIR (build/gpu-check).
set -uo pipefail
cd "$(dirname "$0")/.."

stage_seconds=480   # a stage
binary_seconds=150  # a test
sanitize_seconds=90 # a test under a tool, which takes about 50 times as long
# Tests whose kernels are small enough for a tool, and finish within its time.
small_tests=(cuda_rmsnorm_test cuda_elementwise_test cuda_prepare_test cuda_linear_test cuda_linear_ints_test
  cuda_sampler_test cuda_attention_test)
tools=(memcheck racecheck)

usage() {
  sed -n '5p' "$0" | sed 's/^# */Usage: /' >&2
  exit 2
}

out=build/gpu-check build=build/gpu stages=()
while [ $# -gt 0 ]; do
  case $1 in
    --out) [ $# -ge 2 ] || usage; out=$2; shift ;;
    --build) [ $# -ge 2 ] || usage; build=$2; shift ;;
    build | test | sanitize | bench) stages+=("$1") ;;
    *) usage ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=(build test sanitize bench)
mkdir -p "$out" || exit 1

first_of() { # the first of these commands that there is
  local command
  for command in "$@"; do
    if command -v "$command"; then return; fi
  done
}

results=() # JSON objects: stage, name, outcome, seconds, note
failed=0
deadline=0

quoted() {
  printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g')"
}

record() { # stage name outcome seconds [note]
  results+=("{\"stage\": \"$1\", \"name\": $(quoted "$2"), \"outcome\": \"$3\", \"seconds\": $4, \"note\": $(quoted "${5:-}")}")
  printf '%-9s %-34s %-8s %4d s  %s\n' "$1" "$2" "$3" "$4" "${5:-}"
  [ "$3" != failed ] || failed=1
}

# Runs a command within its own time and the stage's, whatever it prints going to DIR/NAME.log.
attempt() { # stage name seconds command...
  local stage=$1 name=$2 limit=$3 left=$((deadline - SECONDS)) start=$SECONDS log status note=""
  shift 3
  [ $limit -le $left ] || limit=$left
  if [ $limit -le 0 ]; then
    # Tools are slow, and what they did not come to is no failure.
    local outcome=failed
    [ "$stage" != sanitize ] || outcome=skipped
    record "$stage" "$name" $outcome 0 "the stage's $stage_seconds s are over"
    return 1
  fi
  log=$out/$stage-${name//[^A-Za-z0-9_]/-}.log
  timeout -k 10 "$limit" "$@" >"$log" 2>&1
  status=$?
  if [ $status -eq 0 ]; then
    record "$stage" "$name" passed $((SECONDS - start)) "$(tail -1 "$log")"
    return 0
  fi
  note="exit status $status; see $log"
  [ $status -ne 124 ] && [ $status -ne 137 ] || note="did not end within $limit s; see $log"
  record "$stage" "$name" failed $((SECONDS - start)) "$note"
  tail -15 "$log" | sed 's/^/    /'
  return 1
}

program() { # where CMake puts a target's program
  find "$build" -type f -name "$1" -perm -u+x 2>/dev/null | head -1
}

tests() { # the names of the tests labelled cuda
  ctest --test-dir "$build" -N -L '^cuda$' 2>/dev/null | sed -n 's/^ *Test *#[0-9]*: *//p'
}

stage_build() {
  local nvcc
  nvcc=${CUDACXX:-$(first_of nvcc /usr/local/cuda/bin/nvcc)}
  if [ -z "$nvcc" ]; then
    record build nvcc failed 0 "there is no nvcc; install the CUDA toolkit and put its bin folder into PATH"
    return
  fi
  attempt build configure 60 env CUDACXX="$nvcc" cmake -S . -B "$build" -DGATTLING_CUDA=on || return
  local targets
  targets=$(tests)
  # shellcheck disable=SC2086 # names of targets, without spaces
  attempt build compile $stage_seconds cmake --build "$build" -j "$(nproc)" --target gattling_cuda cuda_bench $targets
}

stage_test() {
  local names name path
  names=$(tests)
  if [ -z "$names" ]; then
    record test ctest failed 0 "no test is labelled cuda; run the stage build first"
    return
  fi
  for name in $names; do
    path=$(program "$name")
    if [ -z "$path" ]; then
      record test "$name" failed 0 "it was not built; run the stage build first"
      continue
    fi
    attempt test "$name" $binary_seconds "$path"
  done
}

stage_sanitize() {
  local sanitizer name path tool
  sanitizer=$(first_of compute-sanitizer /usr/local/cuda/bin/compute-sanitizer)
  if [ -z "$sanitizer" ]; then
    record sanitize compute-sanitizer absent 0 "it is not installed, so neither memcheck nor racecheck ran"
    return
  fi
  for name in "${small_tests[@]}"; do
    path=$(program "$name")
    if [ -z "$path" ]; then
      record sanitize "$name" failed 0 "it was not built; run the stage build first"
      continue
    fi
    for tool in "${tools[@]}"; do
      attempt sanitize "$name $tool" $sanitize_seconds "$sanitizer" --tool "$tool" --error-exitcode 9 "$path"
    done
  done
}

stage_bench() {
  local path
  path=$(program cuda_bench)
  if [ -z "$path" ]; then
    record bench cuda_bench failed 0 "it was not built; run the stage build first"
    return
  fi
  attempt bench cuda_bench $stage_seconds "$path" --json "$out/cuda_bench.json" --commit "$commit"
  cat "$out/bench-cuda_bench.log"
  if grep -q '"valid": false' "$out/cuda_bench.json" 2>/dev/null; then
    record bench limits failed 0 "the device's own copy or matmul is below what an H200 gives (4.0 TB/s, 700 TFLOP/s); the run is invalid"
  fi
}

commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || commit="$commit and changes"
device=none driver=none
if command -v nvidia-smi >/dev/null; then
  IFS=, read -r device driver < <(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)
  driver=${driver# }
fi
echo "gpu-check: ${device:-none}, driver ${driver:-none}, commit $commit"

for stage in "${stages[@]}"; do
  deadline=$((SECONDS + stage_seconds))
  if [ "$stage" != build ] && [ "${device:-none}" = none ]; then
    record "$stage" device failed 0 "nvidia-smi names no GPU, which this stage needs"
    continue
  fi
  "stage_$stage"
done

{
  printf '{\n  "device": %s,\n  "driver": %s,\n  "commit": %s,\n  "passed": %s,\n  "results": [\n' \
    "$(quoted "${device:-none}")" "$(quoted "${driver:-none}")" "$(quoted "$commit")" \
    "$([ $failed -eq 0 ] && echo true || echo false)"
  for i in "${!results[@]}"; do
    printf '    %s%s\n' "${results[$i]}" "$([ "$i" -lt $((${#results[@]} - 1)) ] && echo ,)"
  done
  printf '  ]\n}\n'
} >"$out/gpu-check.json"
echo "gpu-check: $([ $failed -eq 0 ] && echo passed || echo FAILED); $out/gpu-check.json"
exit $failed
