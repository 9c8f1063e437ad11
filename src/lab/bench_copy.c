/* Transfers in the microbenchmarks: the driver's own copy and fill on the device, upload and
 * download between host and device. M * N * K floats each; contents are compared at both ends. */
#include "lab/bench_internal.h"

#include "base/hash.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>

#define WORD 0x5ca1ab1eu
enum { PROBE = 4096 };

enum way { COPY, FILL, UPLOAD, DOWNLOAD, WAYS };
static const char *const names[WAYS] = {"copy", "fill", "upload", "download"};

struct transfer {
    struct bench_device *bd;
    struct dev_buf *buf;
    enum way way;
    uint64_t bytes;
    uint32_t copies; /* of source and destination */
    uint8_t *host;   /* as many bytes, random */
};

static bool record(void *user, struct dev_cmd *cmd, uint32_t first, uint32_t n)
{
    const struct transfer *t = user;
    for (uint32_t i = first; i < first + n; i++) {
        uint64_t from = i % t->copies * t->bytes, to = (t->copies + i % t->copies) * t->bytes;
        if (!(t->way == COPY ? dev_cmd_copy(cmd, t->buf, to, t->buf, from, t->bytes)
                             : dev_cmd_fill(cmd, t->buf, to, t->bytes, WORD))) {
            return false;
        }
    }
    return true;
}

static bool time_host(struct transfer *t, struct bench_timing *out)
{
    uint32_t asked = t->bd->params->samples, most = asked != 0 ? asked : 10, n = 0;
    for (uint32_t i = 0; i <= most; i++) { /* the first one warms up */
        uint64_t begin = os_clock_ns(), at = i % t->copies * t->bytes;
        bool ok = t->way == UPLOAD ? dev_upload(t->bd->dev, t->buf, at, t->host, t->bytes)
                                   : dev_download(t->bd->dev, t->buf, at, t->host, t->bytes);
        if (!ok) {
            return false;
        }
        if (i != 0) {
            t->bd->samples[n++] = (double)(os_clock_ns() - begin) / 1e3;
        }
    }
    *out = (struct bench_timing){.us = bench_median(t->bd->samples, n), .samples = n, .runs = 1};
    out->us_min = t->bd->samples[0];
    return true;
}

/* The ends of what copy 0 became. */
static bool check(struct transfer *t, const uint8_t *data, char *why, size_t why_bytes)
{
    uint8_t found[PROBE];
    uint64_t n = t->bytes < PROBE ? t->bytes : PROBE;
    for (uint32_t end = 0; end < 2; end++) {
        uint64_t at = end == 0 ? 0 : t->bytes - n;
        uint64_t base = t->way == COPY || t->way == FILL ? t->copies * t->bytes : 0;
        uint32_t word = WORD;
        bool same = true;
        if (t->way == DOWNLOAD) {
            memcpy(found, t->host + at, (size_t)n);
        } else if (!dev_download(t->bd->dev, t->buf, base + at, found, n)) {
            log_get_last(t->bd->log, why, why_bytes);
            return false;
        }
        for (uint64_t i = 0; i < n && t->way == FILL; i++) {
            same = same && found[i] == ((uint8_t *)&word)[i % 4];
        }
        if (!same || (t->way != FILL && memcmp(found, data + at, (size_t)n) != 0)) {
            snprintf(why, why_bytes, "what arrived differs at the %s", end == 0 ? "begin" : "end");
            return false;
        }
    }
    return true;
}

static void measure(struct transfer *t, const uint8_t *data, struct bench_row *row)
{
    struct bench_timing timing;
    struct bench_work work = {record, t, t->copies};
    bool on_device = t->way == COPY || t->way == FILL, ok;
    ok = on_device ? bench_time(t->bd, &work, t->bd->params->samples, &timing)
                   : time_host(t, &timing);
    if (!ok) {
        bench_row_unrun(t->bd, row, NULL, true);
        return;
    }
    row->us = timing.us;
    row->us_min = timing.us_min;
    row->samples = timing.samples;
    row->gpu_clock = on_device && t->bd->gpu_clock;
    row->bytes = (double)t->bytes * (t->way == COPY ? 2 : 1);
    row->gbs = row->bytes / row->us * 1e-3;
    row->rotated = 2 * t->copies * t->bytes;
    const struct bench_limits limits = {.bandwidth = t->bd->ceilings.copy,
                                        .bandwidth_name = "copy"};
    if (t->way == COPY) {
        row->share = bench_roofline(0, row->bytes, row->us, &limits, row->limit, sizeof row->limit);
    }
    row->passed = check(t, data, row->why, sizeof row->why);
}

static bool run_size(struct bench_device *bd, const struct bench_shape *shape)
{
    uint64_t bytes;
    struct transfer t = {.bd = bd, .copies = 1};
    const char *why = NULL;
    if (!size_mul((uint64_t)shape->m * shape->n, (uint64_t)shape->k * 4, &bytes) ||
        bytes > bench_memory_most(bd) / 2) {
        why = "does not fit the device's memory";
    } else {
        t.bytes = size_round(bytes, 4096);
        uint64_t copies = bd->params->warm ? 1 : bd->rotate / 2 / t.bytes;
        t.copies = copies < 1 ? 1 : copies < BENCH_MAX_COPIES ? (uint32_t)copies : BENCH_MAX_COPIES;
        t.buf = bench_memory(bd, 2 * t.copies * t.bytes);
        t.host = mem_alloc((size_t)t.bytes, 1);
        why = t.host == NULL || t.buf == NULL ? "out of memory" : NULL;
    }
    uint8_t *data = why == NULL ? mem_alloc((size_t)t.bytes, 1) : NULL;
    uint64_t rng = bd->params->seed;
    for (uint64_t i = 0; data != NULL && i < t.bytes; i += 8) {
        uint64_t word = hash_next(&rng);
        memcpy(data + i, &word, 8);
        memcpy(t.host + i, &word, 8);
    }
    bool goes_on = true;
    static const enum way order[WAYS] = {UPLOAD, COPY, FILL, DOWNLOAD};
    for (uint32_t i = 0; i < WAYS && goes_on; i++) {
        struct bench_row row = bench_row_init(bd, "copy", names[order[i]]);
        bench_shape_text(shape, row.shape, sizeof row.shape);
        snprintf(row.type, sizeof row.type, "f32");
        t.way = order[i];
        if (why != NULL || data == NULL) {
            bench_row_unrun(bd, &row, why != NULL ? why : "out of memory", false);
        } else {
            if (t.way == DOWNLOAD) {
                memset(t.host, 0, (size_t)t.bytes);
            }
            measure(&t, data, &row);
        }
        goes_on = bench_emit(bd, &row);
    }
    mem_free(data);
    mem_free(t.host);
    return goes_on;
}

bool bench_copies(struct bench_device *bd)
{
    /* a row of activations, 1, 16 and 64 MiB */
    static const uint32_t floats[] = {8192, 1 << 18, 1 << 22, 1 << 24};
    if (bd->params->shape != NULL) {
        return run_size(bd, bd->params->shape);
    }
    for (uint32_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        const struct bench_shape shape = {1, 1, floats[i], 0};
        if (!bench_goes_on(bd)) {
            bd->skipped[1]++;
            bd->totals->left_out++;
        } else if (!run_size(bd, &shape)) {
            return false;
        }
    }
    return true;
}
