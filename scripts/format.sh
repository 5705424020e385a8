#!/bin/sh
# Formats the tracked native sources (--fix) or fails on the first that is not formatted (--check), with clang-format 14.
set -eu
cd "$(dirname "$0")/.."

formatter=""
for candidate in clang-format-14 clang-format; do
  if "$candidate" --version 2>/dev/null | grep -q 'version 14\.'; then
    formatter=$candidate
    break
  fi
done
if [ -z "$formatter" ]; then
  echo "clang-format 14 is needed; on Debian or Ubuntu run: apt-get install clang-format-14" >&2
  exit 1
fi

case "${1:-}" in
  --check) mode="--dry-run -Werror" ;;
  --fix) mode="-i" ;;
  *)
    echo "Usage: scripts/format.sh --check|--fix" >&2
    exit 1
    ;;
esac
# $mode is one or two words on purpose.
git ls-files -z -- '*.cpp' '*.h' '*.cu' '*.cuh' | xargs -0 -r "$formatter" $mode
