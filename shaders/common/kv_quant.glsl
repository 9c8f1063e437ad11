// 32 values -> the block that llama.cpp's quantize_row_q8_0_ref and quantize_row_q4_0_ref make of
// them, bit for bit on every device: divisions are done in integers, since those of floats may be
// off by 2.5 units in the last place. A scale beyond the largest f16 becomes that, and the quants
// saturate; a NaN makes its whole block NaN. Includes kv_half.glsl.

struct kv_block_parts
{
    uint scale;    // f16 bits
    float inverse; // quant = value * inverse
};

// Bits of a / 127, a given by its bits: positive, normal.
uint kv_div127(uint bits)
{
    uint man = (bits & 0x7fffffu) | 0x800000u, exp = bits >> 23;
    uint shift = man < 127u << 17 ? 7u : 6u; // the quotient has 24 bits
    uint n = man << shift, q = n / 127u;
    q += n - q * 127u > 63u ? 1u : 0u;
    return exp > 8u ? (exp - shift) << 23 | (q & 0x7fffffu) : 0u;
}

// 1 / d for a normal d below 2^100, rounded to nearest.
float kv_inverse(uint bits)
{
    uint man = (bits & 0x7fffffu) | 0x800000u, exp = bits >> 23 & 0xffu;
    uint sign = bits & 0x80000000u;
    if (man == 0x800000u) {
        return uintBitsToFloat(sign | (254u - exp) << 23);
    }
    uint q = uint(140737488355328.0 / float(man)); // nearly; 2^47 / man has 24 bits
    int rest = int(0u - q * man);       // 2^47 - q * man
    q += (uint(rest + int(man << 5)) + man / 2u) / man - 32u;
    return uintBitsToFloat(sign | (253u - exp) << 23 | (q & 0x7fffffu));
}

// The value of largest magnitude, the first one where there are several. As integers, because NaN
// is the largest.
uint kv_extreme(uint x[KV_BLOCK])
{
    uint top = 0u;
    [[unroll]] for (uint i = 0; i < KV_BLOCK; i++) {
        top = (x[i] & 0x7fffffffu) > (top & 0x7fffffffu) ? x[i] : top;
    }
    return top;
}

kv_block_parts kv_scale_of(uint type, uint x[KV_BLOCK])
{
    uint top = kv_extreme(x), mag = top & 0x7fffffffu, d;
    if (type == KV_Q8_0) {
        d = kv_div127(mag);
    } else {
        d = mag > 0x01ffffffu ? (top ^ 0x80000000u) - (3u << 23) : 0u; // top / -8
    }
    // infinite, or rounded to what no f16 holds
    bool beyond = mag >= 0x7f800000u || (d & 0x7fffffffu) >= 0x477ff000u;
    d = beyond ? (d & 0x80000000u) | 0x477fe000u : d;
    uint scale = mag > 0x7f800000u ? 0x7e00u : kv_half(d);
    bool zero = (scale & 0x7fffu) == 0u || scale == 0x7e00u;
    return kv_block_parts(scale, zero ? 0.0 : kv_inverse(d));
}

// Nearest integer, halves away from zero.
uint kv_q8(uint bits, float inverse)
{
    precise float v = clamp(uintBitsToFloat(bits) * inverse, -127.0, 127.0);
    float mag = abs(v), whole = floor(mag);
    int q = int(whole) + (mag - whole >= 0.5 ? 1 : 0);
    return uint(v < 0.0 ? -q : q) & 0xffu;
}

uint kv_q4(uint bits, float inverse)
{
    precise float v = clamp(uintBitsToFloat(bits) * inverse, -8.0, 8.0);
    precise float from_zero = v + 8.5;
    return min(uint(from_zero), 15u);
}
