#!/usr/bin/env bash
# Build a TensorRT engine from an ONNX file, on the board that will run it (an engine fits one GPU and one TensorRT).
#
#   build_engine.sh MODEL.onnx ENGINE.plan [--max-batch 8] [--dry-run]
#
# Precision comes from the file: a QDQ model runs in INT8, a float16 one in float16. TensorRT 11 has no --int8 or --fp16
# flag any more (strongly typed networks); for TensorRT 10, --stronglyTyped asks for the same behaviour. TF32, which
# would round float32 factors to ten bits, is on by default in both: --noTF32 turns it off.
set -euo pipefail

fail() {
    printf 'build_engine.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

MAX_BATCH=8
DRY_RUN=0
FILES=()
while (($#)); do
    case $1 in
        --max-batch)
            (($# >= 2)) || fail "--max-batch needs a value" 2
            MAX_BATCH=$2
            shift 2
            ;;
        --dry-run)
            DRY_RUN=1
            shift
            ;;
        -h | --help)
            sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        -*) fail "unknown option $1 (see --help)" 2 ;;
        *)
            FILES+=("$1")
            shift
            ;;
    esac
done
((${#FILES[@]} == 2)) || fail "give MODEL.onnx and ENGINE.plan" 2
[[ -f ${FILES[0]} ]] || fail "${FILES[0]}: no such file"
[[ $MAX_BATCH =~ ^[1-9][0-9]*$ ]] || fail "--max-batch must be a whole number from 1" 2

TRTEXEC=$(command -v trtexec || printf '/usr/src/tensorrt/bin/trtexec')
MAJOR=${TENSORRT_MAJOR:-$("$TRTEXEC" --help 2>/dev/null | sed -n 's/.*TensorRT v\([0-9]\+\)[0-9]\{4\}.*/\1/p' | head -1 || true)}
OPTIONS=(
    "--onnx=${FILES[0]}" "--saveEngine=${FILES[1]}"
    "--minShapes=tiles:1x1x96x96" "--optShapes=tiles:1x1x96x96" "--maxShapes=tiles:${MAX_BATCH}x1x96x96"
    "--noTF32"
)
[[ ${MAJOR:-10} -ge 11 ]] || OPTIONS+=("--stronglyTyped")
if [[ $DRY_RUN == 1 ]]; then
    printf '%q ' "$TRTEXEC" "${OPTIONS[@]}"
    printf '\n'
    exit 0
fi
[[ -x $TRTEXEC ]] || fail "no trtexec here: run it on a Jetson, in the container of this folder"
exec "$TRTEXEC" "${OPTIONS[@]}"
