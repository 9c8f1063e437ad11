// How op shaders read weights of any format. The including shader has, before it includes this file
// and then "format.glsl" (the format it is built for):
//
//   W_BASE, W_UNITS         uvec4: base of each plane (counted in its units), units per row
//   W_LANES_LOG2            log2 of the row interleave R
//   uvec4 w_fetch16(uint i) unit i of the 16-byte units of the image
//   uint w_fetch4(uint i)   unit i of its 4-byte units
//
// A format (quant/<format>.glsl) defines, in columns of one row and chunks of 32 columns:
//
//   QUANT_STEP    columns of one fetch from plane 0: 4, 8, 16 or 32
//   QUANT_GROUP   columns with one scale: 16, 32, or 0: no scale, raw values are the values; only
//                 these formats may have a partial last chunk
//   QUANT_OFFSET  1: value = scale * raw + offset; 0: value = scale * raw
//   QUANT_HEAD    columns that share a head (what scales are made of): 32, 64, 128, 256
//   QUANT_SIDE    columns that share a side unit (high bits of raw values); 0: there is none
//   quant_load_head(row, h)      head h: columns from h * QUANT_HEAD
//   quant_load_side(row, s)      side unit s: columns from s * QUANT_SIDE
//   quant_load(row, step, side)  columns from step * QUANT_STEP
//   quant_raw4(words, i)         raw columns 4i..4i+3 of a fetch; i is a constant. Of formats with
//                                scales they are whole numbers from -128 to 127
//   quant_scale(head, c)         scales of columns 0..15 and 16..31 of chunk c of the head
//   quant_offset(head, c)        their offsets
//
// and, where raw values are made of bytes, so that kernels that multiply integers need not make
// these of floats:
//
//   QUANT_INT     1: value = scale * int; 2: value = scale * int + offset
//   quant_int4(words, i)         ints of columns 4i..4i+3 as signed bytes; i is a constant
//
// or, where raw values are unsigned bytes that are had for less in another order:
//
//   QUANT_ORDER   of 8 columns: 1: those of word 0 are 0 4 1 5, of word 1 are 2 6 3 7; 0: as they come
//   quant_raw_int4(words, i)     raw values of word i in that order; i is a constant
//
// and for kernels that make f16 of weights:
//
//   QUANT_HALF    words are pairs of f16, the values themselves
//   QUANT_WIDE    values have more exponents than f16
//   QUANT_SCALED  values have not, but scales are no f16 numbers
//   QUANT_MIDDLE  the middle of the ints where there are offsets (QUANT_INT 2)
//   QUANT_PAIRS   quant_pair(words, i, k): columns 8i + 2k and 8i + 2k + 1 in the halves of a word,
//                 as int + QUANT_ZERO, whole numbers below 1024; i and k are constants. Where they
//                 lie so that this takes few operations
#ifndef QUADRIGA_WEIGHTS_GLSL
#define QUADRIGA_WEIGHTS_GLSL

struct quant_row {
    uvec4 at; // unit 0 of the row in each plane
};

quant_row quant_get_row(uint row)
{
    uint group = row >> W_LANES_LOG2, lane = row & ((1u << W_LANES_LOG2) - 1u);
    return quant_row(W_BASE + (group * W_UNITS << W_LANES_LOG2) + lane);
}

#define W16(row, plane, unit) w_fetch16((row).at[plane] + ((unit) << W_LANES_LOG2))
#define W4(row, plane, unit)  w_fetch4((row).at[plane] + ((unit) << W_LANES_LOG2))
// Word i of a row in a plane of 16-byte units.
#define W4_OF_16(row, plane, i)                                                                    \
    w_fetch4(((row).at[plane] + ((i) >> 2 << W_LANES_LOG2)) * 4u + ((i)&3u))

uint quant_side_word(uvec4 side, uint i)
{
    uvec2 pair = (i & 2u) == 0u ? side.xy : side.zw;
    return (i & 1u) == 0u ? pair.x : pair.y;
}

// What fetch number `step` takes of a plane of side units, a word of each. Kernels that have use for one
// fetch of a unit read just that (W_NARROW).
#ifdef W_NARROW
#define W_SIDE(row, plane, step, side) W4_OF_16(row, plane, step)
#else
#define W_SIDE(row, plane, step, side) quant_side_word(side, step)
#endif

// Bits at..at+bits-1 of a word as a number, less `zero`; all but w constants. With W_MAGIC (for GPUs,
// where a conversion takes longer), which is 0x4b000000, the bits become the last ones of the float
// 2^23, which is taken away again in a multiplication and a sum, exactly. Where compilers see only
// that it is uniform, it stays in a register, and masking takes one operation and not two. (Signed
// integers become floats in one instruction more often.)
float quant_field(uint w, int at, int bits, float zero)
{
    uint mask = (1u << bits) - 1u;
#ifdef W_MAGIC
    int from = at + bits <= 23 ? at : at - 16;
    uint field = (at + bits <= 23 ? w : w >> 16) & mask << from | W_MAGIC;
    float unit = 1.0 / float(1 << from);
    return uintBitsToFloat(field) * unit - (uintBitsToFloat(W_MAGIC) * unit + zero);
#else
    float value = float(int(w >> at & mask));
    return zero != 0.0 ? value - zero : value;
#endif
}

// The bytes of a word.
vec4 quant_bytes4(uint w)
{
#ifdef W_MAGIC
    return vec4(quant_field(w, 0, 8, 0.0), quant_field(w, 8, 8, 0.0), quant_field(w, 16, 8, 0.0),
                quant_field(w, 24, 8, 0.0));
#else
    return vec4(float(int(w & 255u)), float(int(w >> 8 & 255u)), float(int(w >> 16 & 255u)),
                float(int(w >> 24)));
#endif
}

#endif
