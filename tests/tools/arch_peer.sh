#!/bin/bash
# Compares the logits of `quadriga run` with llama.cpp's on the CPU, for the models of arch_cases.py.
# Run by hand, not by ctest.
#
#     tests/tools/arch_peer.sh build/quadriga PYTHON [CASE...]
#
# PYTHON has torch, transformers and gguf. Each model as F32 and quantized by llama-quantize (K-quants
# as the mix Q4_K_M); the peer runs the quantized file made F32 again, since its own kernels for
# quantized weights round activations. The cache is F32. One line for each: case, format, largest
# difference over largest logit, and whether it is within 1e-4; within 3e-3 for Gemma, whose GELU is a
# table of F16 in the peer. Fails if one is not. One at a time: the peer's root has one /host.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
peer=$(cd "$here/../../.." && pwd)/shared/tools/peer
quadriga=$(realpath "$1")
python=$2
shift 2
export PYTHONDONTWRITEBYTECODE=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# logits CONTEXT: ours of quantized.gguf, the peer's of decoded.gguf.
logits() {
    "$quadriga" run -m quantized.gguf -p "$prompt" -n 1 -c "$1" -ctk f32 -ctv f32 --logits ours.npy \
        >/dev/null 2>log || { tail -3 log; return 1; }
    "$peer" llama-results -m /host/decoded.gguf -p "$prompt" -o /host/results.gguf -c "$1" -b 512 \
        -ub 512 -ctk f32 -ctv f32 -fa off -t 1 >log 2>&1 || { tail -3 log; return 1; }
}

failed=0
"$python" "$here/arch_make.py" --list "$@" >cases
while read -r name context formats positions; do
    [ "$positions" != 0 ] || { printf '%-18s %s\n' "$name" "the peer would run another model"; continue; }
    prompt=$("$python" "$here/arch_make.py" --gguf whole.gguf "$name")
    for format in ${formats//,/ }; do
        if [ "$format" = F32 ]; then
            cp whole.gguf quantized.gguf
            cp whole.gguf decoded.gguf
        else
            "$peer" llama-quantize /host/whole.gguf /host/quantized.gguf "${format/Q4_K/Q4_K_M}" >log 2>&1
            "$peer" llama-quantize --allow-requantize /host/quantized.gguf /host/decoded.gguf F32 >log 2>&1
        fi
        if logits "$context"; then
            far=$("$python" "$here/arch_make.py" --compare ours.npy results.gguf "$name" 2>log) || far=nan
        else
            far=nan
        fi
        most=1e-4
        case $name in gemma*) most=3e-3 ;; esac
        if awk -v far="$far" -v most="$most" 'BEGIN { exit !(far + 0 == far && far <= most) }'; then
            verdict=same
        else
            verdict=DIFFERENT
            failed=1
        fi
        printf '%-18s %-6s %8s  %s\n' "$name" "$format" "$far" "$verdict"
    done
done <cases
exit $failed
