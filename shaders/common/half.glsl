// f32 -> f16 bits, the same on every device: rounded to nearest even, subnormals kept, NaN 0x7e00.
//
// A float of the exponent e has its ulp of f16, 2^(e-10), as its own lowest bit once 2^(e+13) is
// added, so that this addition rounds it; e is at least -14, which is that of subnormals too. What
// is below the sum's leading bit is then |x| in such ulps, and f16 bits are those plus (e + 14) *
// 2^10, since the implicit bit counts for the exponent. That is added beforehand, in the mantissa of
// 2^(e+13): an even number of ulps, which moves no tie. All of it modulo 2^16.
//
// With E = e + 127, at least 113: (E + 13) << 23 | (E << 10) + (15 << 10), of which the lower 16 bits
// are (e + 14) << 10.

// |x| by its bits, a number below 2^17: f16 bits in the lower half, anything in the upper one.
uint half_rounded(uint mag)
{
    uint exponent = max(mag, 113u << 23) >> 23;
    precise float sum = uintBitsToFloat(mag) + uintBitsToFloat(exponent * 0x800400u + 0x6803c00u);
    return floatBitsToUint(sum);
}

// |x| or, where it is larger, `most`: 65504 or 65536, which becomes infinity; NaN as what becomes
// NaN.
uint half_within(uint bits, uint most)
{
    uint mag = bits & 0x7fffffffu;
    return mag > 0x7f800000u ? 0x47c00000u : min(mag, most);
}

const uint HALF_LARGEST = 0x477fe000u, HALF_INFINITE = 0x47800000u; // for `most`

// Two values with the signs of a pair of floats, the first in the lower half.
uint half_pair(uint first, uint second, uvec2 signs)
{
    uint word = (first & 0xffffu) | second << 16;
    return word | (signs.x >> 16 & 0x8000u) | (signs.y & 0x80000000u);
}
