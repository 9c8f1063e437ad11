/* One measured test, and how it is written. Names are those of llama-bench where it has them. */
#ifndef QUADRIGA_CLI_BENCH_H
#define QUADRIGA_CLI_BENCH_H

#include "cli/options.h"

struct bench_test {
    uint32_t n_prompt, n_gen, n_depth; /* one of the first two is 0 */
    char time[32];                     /* UTC, when it began */
    uint32_t n_samples;
    uint64_t *samples_ns; /* one per repetition */
    double avg_ns, stddev_ns, avg_ts, stddev_ts;
    uint64_t ttft_ns; /* mean time to the first token: of a prompt, or of the first step */
    uint64_t exchanges, exchanged_bytes; /* of one repetition */
    uint64_t peak_device_bytes[QD_MAX_DEVICES], peak_host_bytes;
};

/* What all tests of a call have in common. */
struct bench_setup {
    const struct cli_options *options;
    struct qd_model_info info;
    char model[128]; /* shape, DUMMY in it for a dummy */
    char devices[64], split[64], shares[64];
    struct qd_device_info device_info[QD_MAX_DEVICES]; /* of those in use */
    char gpu_info[QD_MAX_DEVICES * 128];               /* device names */
};

/* To standard output, in the format asked for. Returns a cli_exit. */
int bench_print(const struct bench_setup *setup, const struct bench_test *tests, size_t n);

#endif
