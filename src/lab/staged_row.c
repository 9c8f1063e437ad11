/* What the oracles of ops with staged results share: the form is exact but for rounding to f16, and
 * a scale is a power of two that errors in front of it must not move. */
#include "lab/internal.h"

#include <math.h>

uint32_t lab_grid_mantissa(uint32_t i)
{
    static const uint32_t low[] = {1, 3, 0x7fffff};
    uint32_t bits = low[i % 3] << i / 9 % 23;
    return (bits + i / 3 % 3 - 1) & 0x7fffffu; /* one less, as it is, one more */
}

static double largest(const double *row, size_t cols, size_t *at)
{
    double most = 0;
    for (size_t k = 0; k < cols; k++) {
        if (fabs(row[k]) > most) {
            most = fabs(row[k]);
            *at = k;
        }
    }
    return most;
}

bool lab_staged_unclear(const double *row, size_t cols, size_t *at)
{
    int exponent;
    double part = frexp(largest(row, cols, at), &exponent); /* in [1/2, 1) */
    return part != 0 && (part < 0.5 + 0x1p-10 || part > 1 - 0x1p-10);
}

void lab_staged_expect(const struct lab_staged_row *row, struct lab_expect x,
                       struct lab_expect scale, size_t t)
{
    int exponent;
    size_t at = 0;
    double most = largest(row->value, row->cols, &at);
    frexp(most, &exponent); /* most lies in [2^(exponent - 1), 2^exponent) */
    scale.value[t] = most == 0 ? 1 : ldexp(1, exponent - 14 > -126 ? exponent - 14 : -126);
    for (size_t k = 0; k < row->cols; k++) {
        size_t i = t * row->cols + k;
        double v = row->value[k] / scale.value[t], error = row->error[k] / scale.value[t];
        x.value[i] = v;
        x.bound[i] = error + 0x1p-11 * (fabs(v) + error) + 0x1p-25;
    }
}
