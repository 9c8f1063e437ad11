/* The 16 values that the indices of IQ4_NL and IQ4_XS mean, and the reverse by rounding.
 * shaders/common/nl4.glsl computes the same values. */
#ifndef QUADRIGA_QUANT_NL4_H
#define QUADRIGA_QUANT_NL4_H

#include <math.h>
#include <stdint.h>

static const int8_t NL4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

/* Index of the value nearest to x. */
static inline unsigned nl4_nearest(float x)
{
    unsigned best = 0;
    for (unsigned i = 1; i < 16; i++) {
        if (fabsf(x - (float)NL4[i]) < fabsf(x - (float)NL4[best])) {
            best = i;
        }
    }
    return best;
}

#endif
