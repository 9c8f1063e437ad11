// f32 bits -> f16 bits in integer arithmetic, so that every device stores the same: rounded to
// nearest even, subnormals kept, NaN stays NaN, and what is beyond the largest f16 becomes that.
uint kv_half(uint bits)
{
    uint sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    uint shift = min(126u - min(mag >> 23, 113u), 25u); // of a result that is subnormal
    uint man = (mag & 0x7fffffu) | 0x800000u;
    uint whole = man >> shift, rest = man & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    uint small = whole + (rest > tie || (rest == tie && (whole & 1u) != 0u) ? 1u : 0u);
    uint normal = (mag + 0xfffu + (mag >> 13 & 1u) - 0x38000000u) >> 13;
    uint half_bits = mag < 0x38800000u ? small : normal;
    half_bits = mag >= 0x477fe000u ? 0x7bffu : half_bits;
    return sign | (mag > 0x7f800000u ? 0x7e00u : half_bits);
}

uint kv_pack(uvec2 pair)
{
    return kv_half(pair.x) | kv_half(pair.y) << 16;
}
