/* Measurements of devices rather than kernels: what a dispatch, a submission and a hop from one
 * device to another cost. Every row is checked: what was dispatched or copied has arrived.
 *
 * Rows (struct bench_row), `us` and `us_min` of one run as in bench.h:
 *
 *     dispatch  name: what, variant: "pre-recorded" or "recorded each time"
 *     submit    name: "one fill" (an almost empty command), variant: the way to wait;
 *               name: "hand-over", variant: path, device -> peer: one hop of the engine's own
 *     exchange  name: "hop", variant: path, device -> peer, shape: "4 KiB";
 *               name: "host memcpy" beside it, peer BENCH_NONE: the processor, not the device
 *
 * A path that a pair does not have is a row with `skipped`. A device that fails is a row that did
 * not pass; the run goes on. A peer equal to device is a second logical device of the same one.
 *
 * Devices are opened and closed within each call; nobody else should use them meanwhile. */
#ifndef QUADRIGA_LAB_BENCH_DEVICE_H
#define QUADRIGA_LAB_BENCH_DEVICE_H

#include "lab/bench.h"

#define BENCH_MAX_HOP (64ull << 20)

struct bench_device_params {
    struct dev_instance *inst;
    const uint32_t *devices; /* indices of dev_instance_info, each once */
    uint32_t n_devices;      /* 1 to DEV_MAX_OPEN */
    uint32_t caps_off;       /* enum dev_cap bits to do without */
    uint32_t samples;        /* of each row, fewer where one takes long; 0: 100 */
    uint64_t max_bytes;      /* of the largest hop; 0: BENCH_MAX_HOP */
    struct log *log;
    bench_row_fn *row;
    void *user;
};

/* False when `row` ended it, the params are out of range (logged) or memory is out (logged). */
bool bench_dispatch(const struct bench_device_params *params);
bool bench_submit(const struct bench_device_params *params);   /* each device, then each pair */
bool bench_exchange(const struct bench_device_params *params); /* each ordered pair, each path */

#endif
