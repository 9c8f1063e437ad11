/* What a dispatch costs: on the device, as the difference of long and short recordings, so that
 * submission cancels out; and on the host, to record it. The work is y = y + 1 over 256 floats; at
 * the end every counter must be what the dispatches make it. */
#include "lab/bench_parts.h"

#include "base/mem.h"
#include "base/os.h"
#include "gen/add.h"

#include <stdio.h>
#include <string.h>

enum { FEW = 32, MANY = 544, RECORDED = 64, FLOATS = 256 };

struct site {
    const struct bench_device_params *p;
    uint32_t device;
    struct dev *dev;
    struct dev_kernel *kernel;
    struct dev_buf *counters, *one;
    uint64_t stride; /* bytes from one counter to the next */
    float *expected; /* [MANY] */
    float *found;    /* [MANY * stride] */
    struct dev_cmd *few, *many;
    struct bench_samples a, b;
};

static struct bench_row make_row(const struct site *s, const char *name, bool fresh)
{
    struct bench_row row = bench_row_make(
        "dispatch", name, fresh ? "recorded each time" : "pre-recorded", s->device, BENCH_NONE);
    snprintf(row.type, sizeof row.type, "f32");
    snprintf(row.shape, sizeof row.shape, "%d floats", FLOATS);
    return row;
}

static bool make_site(struct site *s)
{
    const struct dev_caps *caps = dev_get_caps(s->dev);
    s->stride = size_round(FLOATS * sizeof(float), caps->offset_align);
    struct dev_buf_params counters = {.name = "counters", .bytes = MANY * s->stride};
    struct dev_buf_params one = {.name = "one", .bytes = FLOATS * sizeof(float)};
    s->counters = dev_buf_create(s->dev, &counters);
    s->one = dev_buf_create(s->dev, &one);
    s->kernel = dev_kernel_get(s->dev, &(struct dev_kernel_params){.shader = &shader_add_plain});
    s->few = dev_cmd_create(s->dev);
    s->many = dev_cmd_create(s->dev);
    s->expected = mem_alloc(MANY, sizeof *s->expected);
    s->found = mem_alloc((size_t)counters.bytes, 1);
    if (s->expected == NULL || s->found == NULL) {
        log_error(s->p->log, "out of memory for counters");
        return false;
    }
    return s->counters != NULL && s->one != NULL && s->kernel != NULL && s->few != NULL &&
           s->many != NULL && dev_cmd_timers(s->few, 2) && dev_cmd_timers(s->many, 2);
}

static void free_site(struct site *s)
{
    dev_cmd_destroy(s->many);
    dev_cmd_destroy(s->few);
    dev_buf_destroy(s->one);
    dev_buf_destroy(s->counters);
    mem_free(s->found);
    mem_free(s->expected);
    bench_samples_finish(&s->a);
    bench_samples_finish(&s->b);
    dev_close(s->dev);
}

/* All counters are 0 on both sides. */
static bool reset(struct site *s)
{
    const uint32_t one = 0x3f800000; /* 1.0f */
    memset(s->expected, 0, MANY * sizeof *s->expected);
    return dev_fill(s->dev, s->counters, 0, dev_buf_bytes(s->counters), 0) &&
           dev_fill(s->dev, s->one, 0, dev_buf_bytes(s->one), one);
}

/* Chained: all on counter 0, each waits for the one before. Else each on its own counter. */
static bool record(struct site *s, struct dev_cmd *cmd, uint32_t n, bool chained)
{
    const struct add_push push = {.count = FLOATS};
    const uint64_t bytes = FLOATS * sizeof(float);
    struct dev_dispatch d = {.kernel = s->kernel,
                             .n_binds = 3,
                             .push = &push,
                             .push_bytes = sizeof push,
                             .groups = {1, 1, 1},
                             .label = "count"};
    d.binds[ADD_BIND_B] = (struct dev_bind){s->one, 0, bytes, DEV_READ};
    bool ok = dev_cmd_begin(cmd);
    dev_cmd_timestamp(cmd, 0);
    for (uint32_t i = 0; i < n && ok; i++) {
        uint64_t offset = chained ? 0 : i * s->stride;
        d.binds[ADD_BIND_A] = (struct dev_bind){s->counters, offset, bytes, DEV_READ};
        d.binds[ADD_BIND_Y] = (struct dev_bind){s->counters, offset, bytes, DEV_WRITE};
        ok = dev_cmd_dispatch(cmd, &d);
    }
    dev_cmd_timestamp(cmd, 1);
    return ok && dev_cmd_end(cmd);
}

static void expect(struct site *s, uint32_t n, bool chained)
{
    for (uint32_t i = 0; i < n; i++) {
        s->expected[chained ? 0 : i] += 1.0f;
    }
}

/* Runs and counts; us by the device's clock, else by the host's around it. */
static bool timed(struct site *s, struct dev_cmd *cmd, uint32_t n, bool chained, double *us)
{
    uint64_t ns[2], begin = os_clock_ns();
    if (!bench_run(s->dev, cmd)) {
        return false;
    }
    uint64_t end = os_clock_ns();
    expect(s, n, chained);
    bool device = dev_cmd_read_timers(cmd, ns, 2);
    *us = (double)(device ? ns[1] - ns[0] : end - begin) / 1e3;
    return !dev_is_lost(s->dev);
}

/* Every float of every counter; sets passed or why. */
static void check(struct site *s, struct bench_row *row)
{
    if (!dev_download(s->dev, s->counters, 0, s->found, dev_buf_bytes(s->counters))) {
        bench_row_fail(row, s->p->log);
        return;
    }
    row->passed = true;
    for (uint32_t i = 0; i < MANY && row->passed; i++) {
        const float *counter = s->found + i * s->stride / sizeof(float);
        for (uint32_t k = 0; k < FLOATS && row->passed; k++) {
            if (counter[k] != s->expected[i]) {
                bench_row_why(row, "counter %u holds %g at %u, not %g", i, (double)counter[k], k,
                              (double)s->expected[i]);
            }
        }
    }
}

static bool sample_slope(struct site *s, bool chained)
{
    double few = 0, many = 0;
    bool ok = true;
    bench_samples_clear(&s->a);
    bench_samples_clear(&s->b);
    while (ok && bench_samples_more(&s->b)) {
        ok = timed(s, s->few, FEW, chained, &few) && timed(s, s->many, MANY, chained, &many);
        bench_samples_add(&s->a, few);
        bench_samples_add(&s->b, many);
    }
    return ok;
}

static bool on_device(struct site *s, bool chained)
{
    struct bench_row row = make_row(s, chained ? "dispatch with barrier" : "dispatch", false);
    if (!reset(s) || !record(s, s->few, FEW, chained) || !record(s, s->many, MANY, chained) ||
        !sample_slope(s, chained)) {
        bench_row_fail(&row, s->p->log);
        return s->p->row(s->p->user, &row);
    }
    double least, few = bench_samples_median(&s->a, &least),
                  many = bench_samples_median(&s->b, &least);
    row.samples = s->b.n;
    row.us = (many - few) / (MANY - FEW);
    row.us_min = (least - few) / (MANY - FEW);
    check(s, &row);
    uint32_t barriers = dev_cmd_barriers(s->many), wanted = chained ? MANY - 1 : 0;
    if (row.passed && barriers != wanted) {
        bench_row_why(&row, "%u barriers were recorded, not %u", barriers, wanted);
    } else if (row.passed && !(row.us > 0)) {
        bench_row_why(&row, "%d dispatches took no longer than %d: the clock is too coarse", MANY,
                      FEW);
    }
    return s->p->row(s->p->user, &row);
}

struct host_case {
    const char *name;
    uint32_t n;
    bool chained;
    bool fresh;    /* recorded anew for every sample, and that is part of the time */
    bool with_run; /* so is the submission, to its end */
};

/* By the host's clock, per dispatch. */
static bool on_host(struct site *s, const struct host_case *c)
{
    struct bench_row row = make_row(s, c->name, c->fresh);
    bool ok = reset(s) && record(s, s->few, c->n, c->chained);
    bench_samples_clear(&s->a);
    while (ok && bench_samples_more(&s->a)) {
        uint64_t begin = os_clock_ns();
        ok = !c->fresh || record(s, s->few, c->n, c->chained);
        uint64_t recorded = os_clock_ns();
        ok = ok && bench_run(s->dev, s->few);
        uint64_t end = c->with_run ? os_clock_ns() : recorded;
        expect(s, c->n, c->chained);
        bench_samples_add(&s->a, (double)(end - begin) / 1e3 / c->n);
    }
    if (ok) {
        bench_row_time(&row, &s->a);
        check(s, &row);
    } else {
        bench_row_fail(&row, s->p->log);
    }
    return s->p->row(s->p->user, &row);
}

static bool measure(struct site *s)
{
    s->dev = bench_open(s->p, s->device, 0);
    if (s->dev == NULL || !make_site(s)) {
        struct bench_row row = make_row(s, "dispatch", false);
        bench_row_fail(&row, s->p->log);
        return s->p->row(s->p->user, &row);
    }
    static const struct host_case cases[] = {
        {.name = "record a dispatch", .n = RECORDED, .fresh = true},
        {.name = "record a dispatch with barrier", .n = RECORDED, .chained = true, .fresh = true},
        {.name = "one dispatch to its end", .n = 1, .with_run = true},
        {.name = "one dispatch to its end", .n = 1, .fresh = true, .with_run = true},
    };
    bool ok = on_device(s, false) && on_device(s, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases && ok; i++) {
        ok = on_host(s, &cases[i]);
    }
    return ok;
}

bool bench_dispatch(const struct bench_device_params *p)
{
    bool ok = bench_params_ok(p);
    for (uint32_t i = 0; i < p->n_devices && ok; i++) {
        struct site s = {.p = p, .device = p->devices[i]};
        ok = bench_samples_init(&s.a, p) && bench_samples_init(&s.b, p) && measure(&s);
        free_site(&s);
    }
    return ok;
}
