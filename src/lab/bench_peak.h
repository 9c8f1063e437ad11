/* Kernels for the ceilings of a device, and what their results must be. */
#ifndef QUADRIGA_LAB_BENCH_PEAK_H
#define QUADRIGA_LAB_BENCH_PEAK_H

#include "lab/bench_internal.h"

enum bench_peak_kind { PEAK_READ, PEAK_COPY, PEAK_MATH };

/* One kernel in one specialization. */
struct bench_peak {
    const char *name, *variant;
    enum bench_peak_kind kind;
    const struct dev_shader *shader; /* NULL: the driver's own copy */
    uint32_t needs;                  /* enum dev_cap bits */
    uint32_t width;                  /* bytes of an element: read, copy */
    uint32_t n_specs;                /* beside the workgroup's size */
    uint32_t specs[2];               /* ids 1, 2 */
    bool is_matrix;
    bool is_int; /* results are int32; of a matrix: its factors are signed bytes */
    /* Arithmetic: operations of an invocation (matrix: of a subgroup) in one loop, and push. */
    double flop;
    float a, b;
    uint32_t most_repeat; /* results stay exact */
    double (*expect)(const struct bench_device *bd, const struct bench_peak *peak,
                     uint32_t invocation, uint32_t repeat);
};

/* Rows, columns and depth of the device's matrices of this kind; zeros: it has none. */
void bench_peak_matrix(const struct dev_caps *caps, const struct bench_peak *peak,
                       uint32_t shape[3]);
/* The kernels of arithmetic that this build has; [*count]. */
const struct bench_peak *bench_peak_math(uint32_t *count);

#endif
