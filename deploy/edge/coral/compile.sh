#!/usr/bin/env bash
# Compile a fully integer .tflite file for the Edge TPU.
#
#   compile.sh MODEL_int8.tflite [OUT_DIR] [--dry-run]
#
# edgetpu_compiler exists for x86-64 Linux only, and its last release (16.0) dates from 2021: newer operators and
# flatbuffer features are refused. Read its log: an operator that is not "Mapped to Edge TPU" runs on the host's CPU, and
# everything after the first such operator with it.
set -euo pipefail

fail() {
    printf 'compile.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

DRY_RUN=0
FILES=()
for argument in "$@"; do
    case $argument in
        --dry-run) DRY_RUN=1 ;;
        -h | --help)
            sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        -*) fail "unknown option $argument (see --help)" 2 ;;
        *) FILES+=("$argument") ;;
    esac
done
((${#FILES[@]} == 1 || ${#FILES[@]} == 2)) || fail "give MODEL_int8.tflite and, if you like, a folder" 2
[[ -f ${FILES[0]} ]] || fail "${FILES[0]}: no such file"
OUT=${FILES[1]:-$(dirname -- "${FILES[0]}")}
COMMAND=(edgetpu_compiler --show_operations --min_runtime_version 14 --out_dir "$OUT" "${FILES[0]}")
if [[ $DRY_RUN == 1 ]]; then
    printf '%q ' "${COMMAND[@]}"
    printf '\n'
    exit 0
fi
command -v edgetpu_compiler >/dev/null || fail "edgetpu_compiler is not installed; README.md says where it was published"
mkdir -p "$OUT"
exec "${COMMAND[@]}"
