/* Shapes as text, the roofline and the median: what the microbenchmarks need of arithmetic. No
 * device here. */
#include "lab/bench.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool read_dim(const char **text, uint32_t *out)
{
    uint64_t value = 0;
    const char *c = *text;
    for (; isdigit((unsigned char)*c); c++) {
        value = value * 10 + (uint64_t)(*c - '0');
        if (value > BENCH_MAX_DIM) {
            return false;
        }
    }
    bool any = c != *text;
    *text = c;
    *out = (uint32_t)value;
    return any && value != 0;
}

static bool read_char(const char **text, char wanted)
{
    if (**text != wanted) {
        return false;
    }
    ++*text;
    return true;
}

bool bench_shape_parse(const char *text, struct bench_shape *out)
{
    *out = (struct bench_shape){0};
    return read_dim(&text, &out->m) && (!read_char(&text, '/') || read_dim(&text, &out->kv)) &&
           read_char(&text, 'x') && read_dim(&text, &out->n) && read_char(&text, 'x') &&
           read_dim(&text, &out->k) && *text == '\0' && out->kv <= out->m;
}

void bench_shape_text(const struct bench_shape *shape, char *out, size_t out_bytes)
{
    if (shape->kv != 0 && shape->kv != shape->m) {
        snprintf(out, out_bytes, "%u/%ux%ux%u", shape->m, shape->kv, shape->n, shape->k);
    } else {
        snprintf(out, out_bytes, "%ux%ux%u", shape->m, shape->n, shape->k);
    }
}

double bench_roofline(double flop, double bytes, double us, const struct bench_limits *limits,
                      char *limit, size_t limit_bytes)
{
    double by_flops = limits->flops > 0 ? flop / limits->flops : 0;
    double by_bytes = limits->bandwidth > 0 ? bytes / limits->bandwidth : 0;
    limit[0] = '\0';
    if (!(us > 0) || (by_flops <= 0 && by_bytes <= 0)) {
        return -1;
    }
    bool compute = by_flops > by_bytes;
    snprintf(limit, limit_bytes, "%s", compute ? limits->flops_name : limits->bandwidth_name);
    return (compute ? by_flops : by_bytes) * 1e6 / us;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_median(double *values, uint32_t n)
{
    qsort(values, n, sizeof *values, by_size);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
