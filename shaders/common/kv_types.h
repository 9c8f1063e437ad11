/* Element types of a KV cache. Included by C and by GLSL. A segment of a cache is [heads][slots]
 * [head_dim]. f32 and f16: the values. Quantized: blocks of KV_BLOCK values along head_dim, in two
 * planes over the whole segment, quants first, then one f16 scale per block:
 *
 *     q8_0: a byte per value, signed;  value = scale * q
 *     q4_0: four bits per value, the first one lowest;  value = scale * (q - 8)
 *
 * Slots come in groups of 32, so that the second plane too begins at a multiple of 16 bytes. */
#ifndef QUADRIGA_KV_TYPES_H
#define QUADRIGA_KV_TYPES_H

#define KV_F16  0
#define KV_F32  1
#define KV_Q8_0 2
#define KV_Q4_0 3

#define KV_BLOCK 32

/* Fewest entries of one split of attention, a multiple of STEP_BLOCK. */
#define KV_PART 128

#endif
