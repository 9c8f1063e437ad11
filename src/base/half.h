/* IEEE 754 binary16 <-> binary32, round to nearest even, subnormals, infinities and NaN kept. */
#ifndef QUADRIGA_BASE_HALF_H
#define QUADRIGA_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 0x1fu, man = h & 0x3ffu, bits;
    if (exp == 0x1f) {
        bits = sign | 0x7f800000u | man << 13;
    } else if (exp != 0) {
        bits = sign | (exp + 112) << 23 | man << 13;
    } else {
        float f = (float)man * 0x1.0p-24f;
        return sign != 0 ? -f : f;
    }
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t half_from_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u);
    }
    if (mag >= 0x477ff000u) {
        return (uint16_t)(sign | 0x7c00u); /* rounds to 65536 or is infinite */
    }
    if (mag < 0x38800000u) { /* subnormal half: exact scaling, then nearest even */
        float scaled;
        memcpy(&scaled, &mag, sizeof scaled);
        scaled = scaled * 0x1.0p24f;
        uint32_t whole = (uint32_t)scaled;
        float rest = scaled - (float)whole;
        if (rest > 0.5f || (rest == 0.5f && (whole & 1u))) {
            whole++;
        }
        return (uint16_t)(sign | whole);
    }
    mag += 0xfffu + (mag >> 13 & 1u);
    return (uint16_t)(sign | (mag - 0x38000000u) >> 13);
}

#endif
