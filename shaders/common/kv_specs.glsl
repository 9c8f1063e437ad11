// What all attention kernels share: spec constants, push block, the step buffer and the result.
#include "common/kv_types.h"

layout(local_size_x_id = 0) in;                     // LOCAL_SIZE
layout(constant_id = 1) const uint S = 8;           // subgroup size
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const uint P = 1;           // lanes that share a position
layout(constant_id = 4) const uint UNROLL = 4;      // positions of a lane per block
layout(constant_id = 5) const uint TILE_HEADS = 1;  // query heads worked on together
layout(constant_id = 6) const uint TILE_TOKENS = 1; // tokens worked on together
layout(constant_id = 7) const uint K_TYPE = KV_F16; // element types of the caches, see kv_types.h
layout(constant_id = 8) const uint V_TYPE = KV_F16;
layout(constant_id = 9) const uint SPLITS = 1;      // above 1: the result is partials
layout(constant_id = 10) const uint GROUP = 1;      // query heads of a KV head
layout(constant_id = 11) const uint WINDOW = 0;     // entries that a token sees; 0: all of them
layout(constant_id = 12) const uint SOFTCAP = 0;    // 1: scores are capped
layout(constant_id = 13) const uint LOCAL = 0;      // group of the caches (step.h)

layout(push_constant) uniform push_block
{
    uint heads;       // query heads of the model part: rows of q and of the result
    uint kv0, kv_n;   // first KV head of this cache segment, and how many
    uint slots;       // of the cache, per KV head
    uint tokens;
    float scale_log2; // scale / ln 2: powers are of two
    float cap_log2;   // softcap / ln 2
};

layout(binding = 3) readonly buffer Steps
{
    uint step_words[];
};
// [tokens][heads][HEAD_DIM], or [tokens][heads][SPLITS][maximum, sum, HEAD_DIM values].
layout(binding = 4) writeonly buffer Result
{
    float result[];
};

#include "common/kv_step.glsl"
#include "common/kv_score.glsl"
