// Storing values of K or V in a cache of any type, as bits: pairs, and blocks of KV_BLOCK where a
// cache is quantized. The includer declares kv_n, slots and HEAD_DIM, and gives the array of a
// cache as `cache`.
#include "common/kv_half.glsl"
#include "common/kv_quant.glsl"

// Four bytes or eight nibbles of a block.
uint quants_of(uint type, uint x[KV_BLOCK], uint word, float inverse)
{
    uint packed = 0u;
    [[unroll]] for (uint i = 0; i < 8; i++) {
        if (type == KV_Q4_0) {
            packed |= kv_q4(x[word * 8 + i], inverse) << i * 4;
        } else if (i < 4) {
            packed |= kv_q8(x[word * 4 + i], inverse) << i * 8;
        }
    }
    return packed;
}

// `to` is the number of a block's first value in the cache. The halves of a word of scales belong
// to two blocks, of which another invocation may write the other one now.
#define STORE_BLOCK(TYPE, x, cache, to)                                                            \
    if (TYPE >= KV_Q8_0) {                                                                         \
        kv_block_parts parts = kv_scale_of(TYPE, x);                                               \
        uint per_word = TYPE == KV_Q8_0 ? 4 : 8, block = (to) / KV_BLOCK, at = (block & 1u) * 16;  \
        [[unroll]] for (uint w = 0; w < KV_BLOCK / (TYPE == KV_Q8_0 ? 4 : 8); w++) {               \
            cache[(to) / per_word + w] = quants_of(TYPE, x, w, parts.inverse);                     \
        }                                                                                          \
        uint scales = kv_n * slots * (HEAD_DIM / per_word) + block / 2;                            \
        atomicAnd(cache[scales], 0xffff0000u >> at);                                               \
        atomicOr(cache[scales], parts.scale << at);                                                \
    } else {                                                                                       \
        [[unroll]] for (uint p = 0; p < KV_BLOCK / 2; p++) {                                       \
            STORE_PAIR(TYPE, uvec2(x[p * 2], x[p * 2 + 1]), cache, (to) / 2 + p)                   \
        }                                                                                          \
    }

#define STORE_PAIR(TYPE, pair, cache, to)                                                          \
    if (TYPE == KV_F32) {                                                                          \
        cache[(to) * 2] = (pair).x;                                                                \
        cache[(to) * 2 + 1] = (pair).y;                                                            \
    } else {                                                                                       \
        cache[to] = kv_pack(pair);                                                                 \
    }
