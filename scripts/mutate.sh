#!/usr/bin/env bash
# Mutation tests of the CUDA kernels, in the host emulation: takes one barrier, one wait for copies or one bounds guard
# away from a copy of a kernel's file (scripts/mutate.mjs lists them), and runs that kernel's test: at two seeds, one for
# each way that copies land, and then, since it is slower, under ASan. A mutant that passes has survived: it fails the
# script, unless test/mutants.txt allows it with a reason. So does a kernel file that no test below belongs to.
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
flags=(-std=c++20 -O2 -g1 -w -Wno-psabi -Inative -Itest/native)
builds="plain asan"
export ASAN_OPTIONS=detect_leaks=0 GATTLING_TEST_FIRST_FAILURE=1
CXX=${CXX:-g++}

# The test that a kernel file belongs to.
test_of() {
  case $1 in
    attention* | rope_append*) echo cuda_attention_test ;;
    elementwise*) echo cuda_elementwise_test ;;
    linear_ints*) echo cuda_linear_ints_test ;;
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
    cuda_linear_test | cuda_linear_ints_test) ls $kernels/linear*.cu ;;
    cuda_prepare_test) echo $kernels/prepare.cu ;;
    cuda_rmsnorm_test) echo $kernels/rmsnorm.cu ;;
    cuda_sampler_test)
      ls $kernels/sample*.cu native/cuda/sampler*.cpp native/cpu/sampler.cpp native/cpu/kernels_plain.cpp \
        test/native/ops_reference.cpp test/native/cuda_sampler_slots.cpp
      ;;
  esac
}

die() {
  echo "mutate: $*" >&2
  exit 2
}

flags_of() { # build
  [ "$1" = plain ] || echo -fsanitize=address,bounds -fno-sanitize-recover=all -fno-omit-frame-pointer
}

seeds_of() { # build; odd seeds land copies late, even ones at once
  [ "$1" = plain ] && echo 1 2 || echo 2
}

object_of() { # build source
  echo "$work/$1/${2//\//_}.o"
}

compile() { # build source object [include folder first]
  # shellcheck disable=SC2046
  "$CXX" ${4:+-I"$4"} "${flags[@]}" $(flags_of "$1") -MMD -x c++ -c "$2" -o "$3"
}

up_to_date() { # object: newer than all that it was made of
  [ -f "$1" ] && [ -f "${1%.o}.d" ] || return 1
  local source
  for source in $(sed 's/^[^:]*://; s/\\$//' "${1%.o}.d"); do
    [ "$source" -ot "$1" ] || return 1
  done
}

link() { # build program objects
  local build=$1 program=$2
  shift 2
  # shellcheck disable=SC2046
  "$CXX" $(flags_of "$build") "$@" -o "$program"
}

# Prints the first seed at which the program fails, nothing when it passes at all.
first_failure() { # build program seconds log
  local seed
  for seed in $(seeds_of "$1"); do
    if ! GATTLING_EMULATION_SEED=$seed timeout -k 5 "$3" "$2" >"$4" 2>&1; then
      echo "$seed"
      return
    fi
  done
}

# Builds a test as it is, and notes how long it may take as a mutant.
prepare() { # build test
  local source object objects=() start failed program=$work/$1/$2
  [ -f "test/native/$2.cpp" ] || die "test/native/$2.cpp is missing; each kernel file needs its test"
  for source in "test/native/$2.cpp" $(sources_of "$2"); do
    object=$(object_of "$1" "$source")
    up_to_date "$object" || compile "$1" "$source" "$object" || die "$source does not compile"
    objects+=("$object")
  done
  link "$1" "$program" "${objects[@]}" || die "$2 does not link"
  start=$SECONDS
  failed=$(first_failure "$1" "$program" 1800 "$program.log")
  if [ -n "$failed" ]; then
    tail -20 "$program.log" >&2
    die "$2 fails at seed $failed with nothing taken away"
  fi
  echo $(((SECONDS - start) * 5 + 20)) >"$program.limit"
}

# Prints "killed", "survived" or "broken".
verdict_in() { # build, test, kernel file, folder of the mutant
  local source object objects=()
  for source in $(sources_of "$2"); do
    object=$(object_of "$1" "$source")
    if grep -q "$kernels/$3" "${object%.o}.d"; then
      object=$4/$(basename "$source").o
      [ "$source" = "$kernels/$3" ] && source=$4/cuda/kernels/$3
      if ! compile "$1" "$source" "$object" "$4" 2>"$4/log"; then
        head -5 "$4/log" >&2
        echo broken
        return
      fi
    fi
    objects+=("$object")
  done
  if ! link "$1" "$4/test" "$(object_of "$1" "test/native/$2.cpp")" "${objects[@]}"; then
    echo broken
  elif [ -n "$(first_failure "$1" "$4/test" "$(cat "$work/$1/$2.limit")" "$4/log")" ]; then
    echo killed
  else
    echo survived
  fi
}

# Runs one mutant, and prints its verdict and its name.
run_one() { # name
  local file=${1%%:*} dir build verdict=broken
  dir=$(mktemp -d "$work/mutant.XXXXXX")
  mkdir -p "$dir/cuda/kernels"
  if node scripts/mutate.mjs apply "$kernels/$file" "$1" >"$dir/cuda/kernels/$file"; then
    for build in $builds; do
      verdict=$(verdict_in "$build" "$(test_of "$file")" "$file" "$dir")
      [ "$verdict" = survived ] || break
    done
  fi
  printf '%-8s %s\n' "$verdict" "$1"
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

mkdir -p $work/plain $work/asan
if command -v flock >/dev/null; then
  exec 9>$work/lock
  flock -n 9 || die "another run is under way in $work"
fi
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
  for build in $builds; do prepare "$build" "$test" </dev/null; done
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
