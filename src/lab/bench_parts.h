/* What the measurements of bench_device.h share: samples, rows, and a pair of open devices with
 * something between them. */
#ifndef QUADRIGA_LAB_BENCH_PARTS_H
#define QUADRIGA_LAB_BENCH_PARTS_H

#include "lab/bench_device.h"

/* ---- samples ---- */

/* for (clear; more; ) add: the first few are runs to warm up and are not kept. */
struct bench_samples {
    double *us; /* [cap] */
    uint32_t n, cap, warm_up;
    uint64_t begin; /* host clock */
};
bool bench_samples_init(struct bench_samples *samples, const struct bench_device_params *params);
void bench_samples_finish(struct bench_samples *samples);
void bench_samples_clear(struct bench_samples *samples);
/* True until there are as many as were asked for, or enough and the time of one row is up. */
bool bench_samples_more(const struct bench_samples *samples);
void bench_samples_add(struct bench_samples *samples, double us);
/* Median; *least is the minimum. 0 without samples. Sorts. */
double bench_samples_median(struct bench_samples *samples, double *least);

/* ---- rows ---- */

struct bench_row bench_row_make(const char *group, const char *name, const char *variant,
                                uint32_t device, uint32_t peer);
/* us, us_min and samples; gbs where bytes is set. */
void bench_row_time(struct bench_row *row, struct bench_samples *samples);
/* Not passed; the reason is the log's last error. */
void bench_row_fail(struct bench_row *row, struct log *log);
void bench_row_why(struct bench_row *row, const char *fmt, ...) LOG_PRINTF(2, 3);
void bench_row_bytes(struct bench_row *row, uint64_t bytes); /* bytes, and shape as "4 KiB" */

/* The params are in range. */
bool bench_params_ok(const struct bench_device_params *params);
struct dev *bench_open(const struct bench_device_params *params, uint32_t device,
                       uint32_t caps_off);
/* Submits and waits as the engine does. */
bool bench_run(struct dev *dev, struct dev_cmd *cmd);

/* ---- pairs ---- */

enum bench_path { BENCH_IMPORTED, BENCH_STAGING, BENCH_OUT_IMPORTED, BENCH_IN_IMPORTED };
const char *bench_path_name(enum bench_path path);

/* Two logical devices, 0 gives and 1 takes, and an exchange between them. */
struct bench_pair {
    struct dev *devs[2];
    struct dev_exchange *exchange;
};
enum bench_state { BENCH_READY, BENCH_ABSENT, BENCH_BROKEN };
/* Opens the devices for this path, then joins them by an exchange of `bytes`. Unless ready, the row
 * says why, and is marked. `can` (may be NULL) tells which of them imported. In every case
 * bench_pair_close afterwards. */
enum bench_state bench_pair_open(struct bench_pair *pair, const struct bench_device_params *params,
                                 const uint32_t device[2], enum bench_path path,
                                 struct bench_row *row);
enum bench_state bench_pair_join(struct bench_pair *pair, const struct bench_device_params *params,
                                 enum bench_path path, uint64_t bytes, struct bench_row *row,
                                 bool can[2]);
void bench_pair_close(struct bench_pair *pair);

#endif
