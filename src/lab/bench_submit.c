/* What a submission costs, from before the call until the host has seen its end, by each way to
 * wait; and two devices that hand a row of activations to each other as the engine does. */
#include "lab/bench_parts.h"

#include "base/os.h"
#include "gen/add.h"

#include <stdio.h>
#include <string.h>

#define WORDS      16u /* of the fill */
#define HOP_FLOATS 1024u
#define HOP_BYTES  (HOP_FLOATS * sizeof(float))

/* ---- one device ---- */

enum { ENGINE = DEV_TIMELINE_POLL + 1, WAYS }; /* after enum dev_wait_mode: dev_wait */

struct way {
    struct dev *dev;
    struct dev_cmd *cmd;
    volatile uint32_t *words; /* [WORDS], what the command fills */
    struct dev_waiter *waiter;
};

static bool run_way(const struct way *w, double *us)
{
    uint64_t ns = 0, begin = os_clock_ns();
    bool ok =
        w->waiter != NULL ? dev_waiter_run(w->waiter, w->cmd, &ns) : bench_run(w->dev, w->cmd);
    *us = (double)(w->waiter != NULL ? ns : os_clock_ns() - begin) / 1e3;
    return ok;
}

/* Before each run the host takes back what the run before has written. */
static bool sample_way(const struct way *w, struct bench_samples *samples, struct bench_row *row)
{
    bool ok = true;
    row->passed = true;
    bench_samples_clear(samples);
    for (uint32_t run = 1; ok && bench_samples_more(samples); run++) {
        double us = 0;
        for (uint32_t k = 0; k < WORDS; k++) {
            w->words[k] = 0;
        }
        ok = run_way(w, &us);
        for (uint32_t k = 0; ok && row->passed && k < WORDS; k++) {
            if (w->words[k] != WORDS) {
                bench_row_why(row, "word %u was not there when run %u ended", k, run);
            }
        }
        bench_samples_add(samples, us);
    }
    return ok;
}

static bool one_way(const struct bench_device_params *p, uint32_t device, struct way *w,
                    uint32_t way, struct bench_samples *samples)
{
    static const char *const names[] = {"fence wait", "fence poll", "timeline wait",
                                        "timeline poll", "engine"};
    struct bench_row row = bench_row_make("submit", "one fill", names[way], device, BENCH_NONE);
    snprintf(row.shape, sizeof row.shape, "%u words", WORDS);
    w->waiter = way != ENGINE ? dev_waiter_create(w->dev, (enum dev_wait_mode)way) : NULL;
    if ((way != ENGINE && w->waiter == NULL) || !sample_way(w, samples, &row)) {
        bench_row_fail(&row, p->log);
    } else {
        bench_row_time(&row, samples);
    }
    dev_waiter_destroy(w->waiter);
    return p->row(p->user, &row);
}

static bool one_device(const struct bench_device_params *p, uint32_t device,
                       struct bench_samples *samples)
{
    struct way w = {.dev = bench_open(p, device, 0)};
    struct dev_buf_params fill = {
        .name = "fill", .bytes = WORDS * sizeof(uint32_t), .mem = DEV_MEM_READBACK};
    struct dev_buf *buf = w.dev != NULL ? dev_buf_create(w.dev, &fill) : NULL;
    w.cmd = buf != NULL ? dev_cmd_create(w.dev) : NULL;
    w.words = buf != NULL ? dev_buf_map(buf) : NULL;
    bool go_on = true;
    if (w.cmd == NULL || !dev_cmd_begin(w.cmd) || !dev_cmd_fill(w.cmd, buf, 0, fill.bytes, WORDS) ||
        !dev_cmd_end(w.cmd)) {
        struct bench_row row = bench_row_make("submit", "one fill", "", device, BENCH_NONE);
        bench_row_fail(&row, p->log);
        go_on = p->row(p->user, &row);
    } else {
        for (uint32_t way = 0; way < WAYS && go_on; way++) {
            go_on = one_way(p, device, &w, way, samples);
        }
    }
    dev_cmd_destroy(w.cmd);
    dev_buf_destroy(buf);
    dev_close(w.dev);
    return go_on;
}

/* ---- two devices ---- */

/* Device d reads what the other one wrote, adds one, and writes its own part of the exchange. */
struct hand_over {
    struct bench_pair pair;
    struct dev_buf *work[2], *one[2];
    struct dev_cmd *cmds[2];
};

static bool record_side(struct hand_over *h, uint32_t d)
{
    struct dev *dev = h->pair.devs[d];
    const struct dev_buf_params work = {.name = "work", .bytes = HOP_BYTES},
                                one = {.name = "one", .bytes = HOP_BYTES};
    h->work[d] = dev_buf_create(dev, &work);
    h->one[d] = dev_buf_create(dev, &one);
    h->cmds[d] = dev_cmd_create(dev);
    struct dev_kernel *kernel =
        dev_kernel_get(dev, &(struct dev_kernel_params){.shader = &shader_add_plain});
    if (h->work[d] == NULL || h->one[d] == NULL || h->cmds[d] == NULL || kernel == NULL ||
        !dev_fill(dev, h->one[d], 0, HOP_BYTES, 0x3f800000)) {
        return false;
    }
    const struct add_push push = {.count = HOP_FLOATS};
    struct dev_dispatch add = {.kernel = kernel,
                               .n_binds = 3,
                               .push = &push,
                               .push_bytes = sizeof push,
                               .groups = {HOP_FLOATS / 256, 1, 1},
                               .label = "add one"};
    add.binds[ADD_BIND_A] = (struct dev_bind){h->work[d], 0, HOP_BYTES, DEV_READ};
    add.binds[ADD_BIND_B] = (struct dev_bind){h->one[d], 0, HOP_BYTES, DEV_READ};
    add.binds[ADD_BIND_Y] = (struct dev_bind){h->work[d], 0, HOP_BYTES, DEV_WRITE};
    struct dev_buf *shared = dev_exchange_buf(h->pair.exchange, d);
    return dev_cmd_begin(h->cmds[d]) &&
           dev_cmd_copy(h->cmds[d], h->work[d], 0, shared, (1 - d) * HOP_BYTES, HOP_BYTES) &&
           dev_cmd_dispatch(h->cmds[d], &add) &&
           dev_cmd_copy(h->cmds[d], shared, d * HOP_BYTES, h->work[d], 0, HOP_BYTES) &&
           dev_cmd_end(h->cmds[d]);
}

static bool there_and_back(struct hand_over *h)
{
    bool ok = true;
    for (uint32_t d = 0; d < 2 && ok; d++) {
        dev_exchange_fetch(h->pair.exchange, d, (1 - d) * HOP_BYTES, HOP_BYTES);
        ok = bench_run(h->pair.devs[d], h->cmds[d]);
        dev_exchange_publish(h->pair.exchange, d, d * HOP_BYTES, HOP_BYTES);
    }
    return ok;
}

/* After `rounds` there and back, each of two hops. */
static void check_hops(struct hand_over *h, uint32_t rounds, struct bench_row *row)
{
    const uint8_t *arena = dev_exchange_host(h->pair.exchange);
    row->passed = true;
    for (uint32_t i = 0; i < 2 * HOP_FLOATS && row->passed; i++) {
        float found, wanted = (float)(2 * rounds - (i < HOP_FLOATS ? 1 : 0));
        memcpy(&found, arena + i * sizeof found, sizeof found);
        if (found != wanted) {
            bench_row_why(row, "float %u is %g after %u hops, not %g", i, (double)found, 2 * rounds,
                          (double)wanted);
        }
    }
}

static void time_hops(const struct bench_device_params *p, struct hand_over *h,
                      struct bench_samples *samples, struct bench_row *row)
{
    uint32_t rounds = 0;
    bool ok = record_side(h, 0) && record_side(h, 1);
    bench_samples_clear(samples);
    for (; ok && bench_samples_more(samples); rounds++) {
        uint64_t begin = os_clock_ns();
        ok = there_and_back(h);
        bench_samples_add(samples, (double)(os_clock_ns() - begin) / 1e3 / 2);
    }
    if (ok) {
        bench_row_time(row, samples);
        check_hops(h, rounds, row);
    } else {
        bench_row_fail(row, p->log);
    }
}

/* One row; can[] says which device imported host memory when it was asked to. */
static bool one_path(const struct bench_device_params *p, const uint32_t device[2],
                     enum bench_path path, struct bench_samples *samples, bool can[2])
{
    struct bench_row row =
        bench_row_make("submit", "hand-over", bench_path_name(path), device[0], device[1]);
    bench_row_bytes(&row, HOP_BYTES);
    struct hand_over h = {0};
    if (bench_pair_open(&h.pair, p, device, path, &row) == BENCH_READY &&
        bench_pair_join(&h.pair, p, path, 2 * HOP_BYTES, &row, can) == BENCH_READY) {
        time_hops(p, &h, samples, &row);
    }
    for (uint32_t d = 0; d < 2; d++) {
        dev_cmd_destroy(h.cmds[d]);
        dev_buf_destroy(h.one[d]);
        dev_buf_destroy(h.work[d]);
    }
    bench_pair_close(&h.pair);
    return p->row(p->user, &row);
}

static bool one_pair(const struct bench_device_params *p, const uint32_t device[2],
                     struct bench_samples *samples)
{
    bool can[2] = {false, false};
    if (!one_path(p, device, BENCH_IMPORTED, samples, can)) {
        return false;
    }
    if (can[0] != can[1]) {
        enum bench_path mixed = can[0] ? BENCH_OUT_IMPORTED : BENCH_IN_IMPORTED;
        if (!one_path(p, device, mixed, samples, NULL)) {
            return false;
        }
    }
    return one_path(p, device, BENCH_STAGING, samples, NULL);
}

bool bench_submit(const struct bench_device_params *p)
{
    struct bench_samples samples;
    if (!bench_params_ok(p) || !bench_samples_init(&samples, p)) {
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < p->n_devices && ok; i++) {
        ok = one_device(p, p->devices[i], &samples);
    }
    for (uint32_t i = 0; i < p->n_devices && ok; i++) {
        for (uint32_t k = i; k < p->n_devices && ok; k++) {
            const uint32_t device[2] = {p->devices[i], p->devices[k]};
            ok = one_pair(p, device, &samples);
        }
    }
    bench_samples_finish(&samples);
    return ok;
}
