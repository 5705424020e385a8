#!/usr/bin/env bash
# Mutation tests of the CUDA kernels, in the host emulation: takes one barrier, one wait for copies or one bounds guard
# away from a copy of a kernel's file (scripts/mutate.mjs lists them), and runs that kernel's test under ASan at two
# seeds, one for each way that copies land. A mutant that passes both has survived: it fails the script, unless
# test/mutants.txt allows it with a reason. So does a kernel file that no test below belongs to.
#
#   scripts/mutate.sh [--sample N] [--seed S] [--jobs J] [FILE...]   N mutants (30) drawn by S (1)
#   scripts/mutate.sh --all [--jobs J] [FILE...]                     all of them; allowed ones must survive still
#   scripts/mutate.sh --list [FILE...]                               only names them
#
# FILE is a name in native/cuda/kernels; all are meant when none is given. Needs g++ (or CXX), Node and timeout.
set -euo pipefail
cd "$(dirname "$0")/.."

kernels=native/cuda/kernels
work=build/mutate
allowed=test/mutants.txt
seeds="1 2" # odd ones land copies late, even ones at once
flags=(-std=c++20 -O2 -g1 -w -Wno-psabi -fsanitize=address,bounds -fno-sanitize-recover=all -fno-omit-frame-pointer
  -Inative -Itest/native)
export ASAN_OPTIONS=detect_leaks=0 GATTLING_TEST_FIRST_FAILURE=1
CXX=${CXX:-g++}

# The test that a kernel file belongs to.
test_of() {
  case $1 in
    attention* | rope_append*) echo cuda_attention_test ;;
    elementwise*) echo cuda_elementwise_test ;;
    linear*) echo cuda_linear_test ;;
    prepare*) echo cuda_prepare_test ;;
    rmsnorm*) echo cuda_rmsnorm_test ;;
    sample*) echo cuda_sampler_test ;;
  esac
}

# All that is linked into a test besides itself.
sources_of() {
  ls native/cuda/emulation/*.cpp
  case $1 in
    cuda_attention_test)
      ls $kernels/attention*.cu $kernels/rope_append.cu native/cuda/attention_plan.cpp test/native/ops_reference.cpp
      ;;
    cuda_elementwise_test) echo $kernels/elementwise.cu ;;
    cuda_linear_test) ls $kernels/linear*.cu ;;
    cuda_prepare_test) echo $kernels/prepare.cu ;;
    cuda_rmsnorm_test) echo $kernels/rmsnorm.cu ;;
    cuda_sampler_test)
      ls $kernels/sample*.cu native/cuda/sampler*.cpp native/cpu/sampler.cpp native/cpu/kernels_plain.cpp \
        test/native/ops_reference.cpp
      ;;
  esac
}

die() {
  echo "mutate: $*" >&2
  exit 2
}

object_of() {
  echo "$work/objects/${1//\//_}.o"
}

compile() { # source object [include folder first]
  "$CXX" ${3:+-I"$3"} "${flags[@]}" -MMD -x c++ -c "$1" -o "$2"
}

up_to_date() { # object: newer than all that it was made of
  [ -f "$1" ] && [ -f "${1%.o}.d" ] || return 1
  local source
  for source in $(sed 's/^[^:]*://; s/\\$//' "${1%.o}.d"); do
    [ "$source" -ot "$1" ] || return 1
  done
}

link() { # program objects
  local program=$1
  shift
  "$CXX" "${flags[@]}" "$@" -o "$program"
}

# Prints the first seed at which the program fails, nothing when it passes at all.
first_failure() { # program seconds log
  local seed
  for seed in $seeds; do
    if ! GATTLING_EMULATION_SEED=$seed timeout -k 5 "$2" "$1" >"$3" 2>&1; then
      echo "$seed"
      return
    fi
  done
}

# Builds a test as it is, and notes how long it may take as a mutant.
prepare() { # test
  local source object objects=() start limit
  [ -f "test/native/$1.cpp" ] || die "test/native/$1.cpp is missing; each kernel file needs its test"
  for source in "test/native/$1.cpp" $(sources_of "$1"); do
    object=$(object_of "$source")
    up_to_date "$object" || compile "$source" "$object" || die "$source does not compile"
    objects+=("$object")
  done
  link "$work/$1" "${objects[@]}" || die "$1 does not link"
  start=$SECONDS
  local failed
  failed=$(first_failure "$work/$1" 900 "$work/$1.log")
  if [ -n "$failed" ]; then
    tail -20 "$work/$1.log" >&2
    die "$1 fails at seed $failed with nothing taken away"
  fi
  limit=$(((SECONDS - start) * 5 + 20))
  echo $limit >"$work/$1.limit"
}

# Runs one mutant: prints "killed", "survived" or "broken" and its name.
run_one() { # name
  local file=${1%%:*} test source object objects=() dir verdict
  test=$(test_of "$file")
  dir=$(mktemp -d "$work/mutant.XXXXXX")
  mkdir -p "$dir/cuda/kernels"
  if ! node scripts/mutate.mjs apply "$kernels/$file" "$1" >"$dir/cuda/kernels/$file"; then
    echo "broken   $1"
    rm -r "$dir"
    return
  fi
  for source in $(sources_of "$test"); do
    object=$(object_of "$source")
    if grep -q "$kernels/$file" "${object%.o}.d"; then
      object=$dir/$(basename "$source").o
      [ "$source" = "$kernels/$file" ] && source=$dir/cuda/kernels/$file
      if ! compile "$source" "$object" "$dir" 2>"$dir/log"; then
        head -5 "$dir/log" >&2
        verdict="broken  "
        break
      fi
    fi
    objects+=("$object")
  done
  if [ -z "${verdict:-}" ]; then
    if ! link "$dir/test" "$(object_of "test/native/$test.cpp")" "${objects[@]}"; then
      verdict="broken  "
    elif [ -n "$(first_failure "$dir/test" "$(cat "$work/$test.limit")" "$dir/log")" ]; then
      verdict="killed  "
    else
      verdict=survived
    fi
  fi
  echo "$verdict $1"
  rm -r "$dir"
}

usage() {
  sed -n '7,9s/^# *//p' "$0" >&2
  exit 2
}

mode=sample n=30 seed=1 jobs=1 files=()
while [ $# -gt 0 ]; do
  case $1 in
    --one) run_one "$2"; exit ;;
    --all) mode=all ;;
    --list) mode=list ;;
    --sample) n=${2:?}; shift ;;
    --seed) seed=${2:?}; shift ;;
    --jobs) jobs=${2:?}; shift ;;
    -*) usage ;;
    *) files+=("$1") ;;
  esac
  shift
done

mkdir -p $work/objects
known=()
for path in $kernels/*.cu $kernels/*.h; do known+=("${path##*/}"); done
[ ${#files[@]} -gt 0 ] || files=("${known[@]}")
for file in "${files[@]}"; do
  [ -f "$kernels/$file" ] || die "there is no $kernels/$file"
done

node scripts/mutate.mjs list "${known[@]/#/$kernels/}" >$work/all.tsv
for file in "${known[@]}"; do
  if [[ $file == *.cu ]] || grep -q "^$file:" $work/all.tsv; then
    [ -n "$(test_of "$file")" ] || die "no test belongs to $kernels/$file; name one in scripts/mutate.sh"
  fi
done
for file in "${files[@]}"; do grep "^$file:" $work/all.tsv || true; done >$work/listed.tsv
if [ $mode = list ]; then
  cut -f1-3 $work/listed.tsv
  exit
fi

sed 's/ *#.*//; /^$/d' $allowed | cut -d' ' -f1 | sort >$work/allowed
cut -f1 $work/all.tsv | sort >$work/names
unknown=$(comm -23 $work/allowed $work/names)
[ -z "$unknown" ] || die "$allowed allows mutants that there are no more: ${unknown//$'\n'/, }"
cut -f1 $work/listed.tsv | sort >$work/chosen
if [ $mode = sample ]; then
  # By a hash of seed and name: the same sample everywhere, and not in the order of files.
  comm -23 $work/chosen $work/allowed | while read -r name; do
    echo "$(printf '%s' "$seed $name" | cksum | cut -d' ' -f1) $name"
  done | sort -n | head -n "$n" | cut -d' ' -f2 | sort >$work/sample
  mv $work/sample $work/chosen
fi

while read -r name; do test_of "${name%%:*}"; done <$work/chosen | sort -u >$work/tests
while read -r test; do
  echo "building $test" >&2
  prepare "$test" </dev/null
done <$work/tests
xargs -r -P "$jobs" -n 1 scripts/mutate.sh --one <$work/chosen | tee $work/verdicts

failed=0
count() {
  grep -c "^$1" $work/verdicts || true
}
while read -r verdict name; do
  if [ "$verdict" = survived ] && ! grep -qxF "$name" $work/allowed; then
    failed=1
    echo "SURVIVED $(grep -F "$name"$'\t' $work/all.tsv | head -1 | awk -F'\t' -v at="$kernels/${name%%:*}" \
      '{printf "%s (%s:%s)\n    %s\n    %s", $1, at, $2, $4, $3}')"
  elif [ "$verdict" = killed ] && grep -qxF "$name" $work/allowed; then
    failed=1
    echo "KILLED $name, which $allowed allows; take it off that list"
  elif [ "$verdict" = broken ]; then
    failed=1
    echo "BROKEN $name does not compile; scripts/mutate.mjs should not make it"
  fi
done <$work/verdicts
echo "mutate: $(wc -l <$work/verdicts) of $(wc -l <$work/listed.tsv) mutants run: $(count killed) killed," \
  "$(count survived) survived, $(wc -l <$work/allowed) allowed to"
exit $failed
