/* Microbenchmarks: how fast a kernel, a dispatch, a submission or an exchange is on one device.
 * Every measurement ends as a bench_row; who prints rows knows nothing of how they were made.
 *
 * Times are medians and minima of many samples after a warm-up: of GPU timestamps where the device
 * has them, else of the host's clock around a submission that holds the work many times.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_LAB_BENCH_H
#define QUADRIGA_LAB_BENCH_H

#include "lab/lab.h"

#define BENCH_NONE UINT32_MAX

struct bench_row {
    char group[16];   /* "gemm", "gemv", "attention", "norm", "rope", "copy", "ceiling", "dispatch",
                         "submit", "exchange" */
    char name[40];    /* what ran: an op, a ceiling's kernel, a way to submit */
    char variant[24]; /* kernel variant of an op; path of an exchange: "imported", "staging" ... */
    char type[16];    /* weight format or element type; "" */
    char shape[64];   /* "4096x4096x512"; "" */
    uint32_t device;  /* of dev_instance_info */
    uint32_t peer;    /* second device of an exchange or a hand-over; BENCH_NONE */
    uint32_t samples;
    double us, us_min;  /* median, minimum: of one run */
    double flop, bytes; /* of one run; 0: does not apply */
    double gflops, gbs; /* by the median; 0: does not apply */
    double share;       /* of the device's own ceiling that bounds it, 0..1; below 0: unknown */
    char limit[24];     /* name of that ceiling; "" */
    bool passed;        /* the result was checked and is right */
    bool skipped;       /* the device has no such thing: nothing was run, and no failure */
    char why[160];      /* when skipped or not passed: the reason */
};

/* Called for each row as soon as it is measured; false ends the run. */
typedef bool bench_row_fn(void *user, const struct bench_row *row);

#endif
