/* Samples, rows and open devices for the measurements of bench_device.h. */
#include "lab/bench_parts.h"

#include "base/mem.h"
#include "base/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES     100u
#define MAX_SAMPLES 10000u /* the counters that are checked are exact floats */
#define WARM_UP     3u
#define ENOUGH      5u
#define ROW_NS      250000000ull /* of one row, once there are enough samples */

bool bench_samples_init(struct bench_samples *s, const struct bench_device_params *params)
{
    *s = (struct bench_samples){.cap = params->samples != 0 ? params->samples : SAMPLES};
    s->us = mem_alloc(s->cap, sizeof *s->us);
    if (s->us == NULL) {
        log_error(params->log, "out of memory for %u samples", s->cap);
        return false;
    }
    bench_samples_clear(s);
    return true;
}

void bench_samples_finish(struct bench_samples *s)
{
    mem_free(s->us);
    s->us = NULL;
}

void bench_samples_clear(struct bench_samples *s)
{
    s->n = 0;
    s->warm_up = WARM_UP;
}

bool bench_samples_more(const struct bench_samples *s)
{
    return s->n < s->cap && (s->n < ENOUGH || os_clock_ns() - s->begin < ROW_NS);
}

void bench_samples_add(struct bench_samples *s, double us)
{
    if (s->warm_up > 0) {
        s->warm_up--;
        s->begin = os_clock_ns();
    } else if (s->n < s->cap) {
        s->us[s->n++] = us;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_samples_median(struct bench_samples *s, double *least)
{
    *least = 0;
    if (s->n == 0) {
        return 0;
    }
    qsort(s->us, s->n, sizeof *s->us, compare);
    *least = s->us[0];
    return s->n % 2 != 0 ? s->us[s->n / 2] : (s->us[s->n / 2 - 1] + s->us[s->n / 2]) / 2;
}

struct bench_row bench_row_make(const char *group, const char *name, const char *variant,
                                uint32_t device, uint32_t peer)
{
    struct bench_row row = {.device = device, .peer = peer, .share = -1};
    snprintf(row.group, sizeof row.group, "%s", group);
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.variant, sizeof row.variant, "%s", variant);
    return row;
}

void bench_row_time(struct bench_row *row, struct bench_samples *samples)
{
    row->samples = samples->n;
    row->us = bench_samples_median(samples, &row->us_min);
    row->gbs = row->us > 0 ? row->bytes / row->us / 1e3 : 0;
}

void bench_row_fail(struct bench_row *row, struct log *log)
{
    char text[1024];
    log_get_last(log, text, sizeof text);
    bench_row_why(row, "%s", text);
}

void bench_row_why(struct bench_row *row, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(row->why, sizeof row->why, fmt, args);
    va_end(args);
    row->passed = false;
}

void bench_row_bytes(struct bench_row *row, uint64_t bytes)
{
    bool mib = bytes >= 1u << 20;
    row->bytes = (double)bytes;
    snprintf(row->shape, sizeof row->shape, "%llu %s",
             (unsigned long long)(bytes >> (mib ? 20 : 10)), mib ? "MiB" : "KiB");
}

bool bench_params_ok(const struct bench_device_params *p)
{
    if (p->n_devices == 0 || p->n_devices > DEV_MAX_OPEN) {
        log_error(p->log, "microbench: %u devices, allowed are 1 to %d", p->n_devices,
                  DEV_MAX_OPEN);
        return false;
    }
    for (uint32_t i = 0; i < p->n_devices; i++) {
        if (p->devices[i] >= dev_instance_count(p->inst)) {
            log_error(p->log, "microbench: there is no device %u, there are %u", p->devices[i],
                      dev_instance_count(p->inst));
            return false;
        }
    }
    if (p->samples > MAX_SAMPLES) {
        log_error(p->log, "microbench: %u samples, allowed are 1 to %u", p->samples, MAX_SAMPLES);
        return false;
    }
    return true;
}

struct dev *bench_open(const struct bench_device_params *p, uint32_t device, uint32_t caps_off)
{
    return dev_open(p->inst, &(struct dev_open_params){.index = device,
                                                       .caps_off = p->caps_off | caps_off,
                                                       .sharers = 2});
}

bool bench_run(struct dev *dev, struct dev_cmd *cmd)
{
    uint64_t value = dev_submit(dev, cmd);
    return value != 0 && dev_wait(dev, value);
}

const char *bench_path_name(enum bench_path path)
{
    static const char *const names[] = {"imported", "staging", "imported to staging",
                                        "staging to imported"};
    return names[path];
}

static bool wants_import(enum bench_path path, uint32_t d)
{
    return path == BENCH_IMPORTED || path == (d == 0 ? BENCH_OUT_IMPORTED : BENCH_IN_IMPORTED);
}

enum bench_state bench_pair_open(struct bench_pair *pair, const struct bench_device_params *p,
                                 const uint32_t device[2], enum bench_path path,
                                 struct bench_row *row)
{
    *pair = (struct bench_pair){0};
    for (uint32_t d = 0; d < 2; d++) {
        uint32_t off = wants_import(path, d) ? 0 : DEV_CAP_HOST_IMPORT;
        pair->devs[d] = bench_open(p, device[d], off);
        if (pair->devs[d] == NULL) {
            bench_row_fail(row, p->log);
            return BENCH_BROKEN;
        }
    }
    return BENCH_READY;
}

enum bench_state bench_pair_join(struct bench_pair *pair, const struct bench_device_params *p,
                                 enum bench_path path, uint64_t bytes, struct bench_row *row,
                                 bool can[2])
{
    pair->exchange = dev_exchange_create(pair->devs, 2, bytes, p->log);
    if (pair->exchange == NULL) {
        bench_row_fail(row, p->log);
        return BENCH_BROKEN;
    }
    for (uint32_t d = 2; d-- > 0;) {
        bool imported = dev_exchange_imported(pair->exchange, d);
        if (can != NULL) {
            can[d] = imported;
        }
        if (wants_import(path, d) && !imported) {
            bench_row_why(row, "device %u does not import host memory",
                          dev_get_info(pair->devs[d])->index);
            row->skipped = true;
        }
    }
    return row->skipped ? BENCH_ABSENT : BENCH_READY;
}

void bench_pair_close(struct bench_pair *pair)
{
    dev_exchange_destroy(pair->exchange);
    dev_close(pair->devs[1]);
    dev_close(pair->devs[0]);
    *pair = (struct bench_pair){0};
}
