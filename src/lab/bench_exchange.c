/* One hop of activations: from a buffer in the memory of one device into a buffer in the memory of
 * another, over each path the two have, beside what the processor needs to copy as much. Every hop
 * is two submissions and two waits: the giver sends, the taker has it. */
#include "lab/bench_parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

#include <string.h>

#define LEAST_HOP  4096ull
#define MARK_BYTES 64u /* what the taker copies where the data lies in its memory already */
#define SHIFT      64u /* a second pattern is the first one from here on */

struct hop {
    const struct bench_device_params *p;
    struct bench_pair pair;
    bool rebar;                 /* the host copies into the taker's own memory */
    struct dev_buf *src, *dst;  /* of the giver, of the taker: device memory */
    struct dev_buf *out, *mark; /* rebar: the giver's mapped copy; where the taker copies to */
    struct dev_buf *seen;       /* what the taker holds, for the check */
    struct dev_cmd *send, *take, *look;
    uint64_t bytes; /* of the hop that is recorded */
};

/* What one run of the whole measurement shares. */
struct work {
    const struct bench_device_params *p;
    struct bench_samples samples;
    uint8_t *pattern; /* [largest + SHIFT] */
    uint8_t *copy;    /* [largest] */
    uint64_t largest;
};

static bool make_bufs(struct hop *h, uint64_t bytes)
{
    struct dev *giver = h->pair.devs[0], *taker = h->pair.devs[1];
    const struct dev_buf_params device = {.name = "hop", .bytes = bytes},
                                mark = {.name = "hop mark", .bytes = MARK_BYTES},
                                host = {.name = "hop on the host",
                                        .bytes = bytes,
                                        .mem = DEV_MEM_READBACK};
    h->src = dev_buf_create(giver, &device);
    h->dst = dev_buf_create(taker, &device);
    h->seen = dev_buf_create(taker, &host);
    h->mark = dev_buf_create(taker, &mark);
    h->out = h->rebar ? dev_buf_create(giver, &host) : NULL;
    h->send = dev_cmd_create(giver);
    h->take = dev_cmd_create(taker);
    h->look = dev_cmd_create(taker);
    return h->src != NULL && h->dst != NULL && h->seen != NULL && h->mark != NULL &&
           (!h->rebar || h->out != NULL) && h->send != NULL && h->take != NULL && h->look != NULL;
}

static void free_hop(struct hop *h)
{
    dev_cmd_destroy(h->look);
    dev_cmd_destroy(h->take);
    dev_cmd_destroy(h->send);
    dev_buf_destroy(h->out);
    dev_buf_destroy(h->mark);
    dev_buf_destroy(h->seen);
    dev_buf_destroy(h->dst);
    dev_buf_destroy(h->src);
    bench_pair_close(&h->pair);
}

static bool record_copy(struct dev_cmd *cmd, struct dev_buf *dst, struct dev_buf *src,
                        uint64_t bytes)
{
    return dev_cmd_begin(cmd) && dev_cmd_copy(cmd, dst, 0, src, 0, bytes) && dev_cmd_end(cmd);
}

static bool record_hop(struct hop *h, uint64_t bytes)
{
    struct dev_exchange *x = h->pair.exchange;
    h->bytes = bytes;
    if (!record_copy(h->look, h->seen, h->dst, bytes)) {
        return false;
    }
    if (h->rebar) {
        return record_copy(h->send, h->out, h->src, bytes) &&
               record_copy(h->take, h->mark, h->dst, MARK_BYTES);
    }
    return record_copy(h->send, dev_exchange_buf(x, 0), h->src, bytes) &&
           record_copy(h->take, h->dst, dev_exchange_buf(x, 1), bytes);
}

static bool run_hop(struct hop *h)
{
    if (!bench_run(h->pair.devs[0], h->send)) {
        return false;
    }
    if (h->rebar) {
        memcpy(dev_buf_map(h->dst), dev_buf_map(h->out), (size_t)h->bytes);
    } else {
        dev_exchange_publish(h->pair.exchange, 0, 0, h->bytes);
        dev_exchange_fetch(h->pair.exchange, 1, 0, h->bytes);
    }
    return bench_run(h->pair.devs[1], h->take);
}

/* Compares what the taker's device read. What is missing is looked for again: a hop that comes late
 * is another fault than one that does not come. */
static bool judge_hop(struct hop *h, const uint8_t *bytes, struct bench_row *row)
{
    const uint8_t *seen = dev_buf_map(h->seen);
    uint64_t missing = 0, first = 0;
    for (uint64_t i = h->bytes; i-- > 0;) {
        missing += seen[i] != bytes[i] ? 1 : 0;
        first = seen[i] != bytes[i] ? i : first;
    }
    if (missing == 0) {
        return true;
    }
    uint8_t value = seen[first];
    if (!bench_run(h->pair.devs[1], h->look)) {
        return false;
    }
    bool late = memcmp(seen, bytes, (size_t)h->bytes) == 0;
    bench_row_why(row, "%llu of %llu bytes %s, the first at %llu (0x%02x for 0x%02x)",
                  (unsigned long long)missing, (unsigned long long)h->bytes,
                  late ? "came late" : "did not arrive", (unsigned long long)first, value,
                  bytes[first]);
    return true;
}

/* A hop of these bytes, and what the taker's device then reads. False: a device failed. */
static bool check_hop(struct hop *h, const uint8_t *bytes, struct bench_row *row)
{
    if (!dev_upload(h->pair.devs[0], h->src, 0, bytes, h->bytes) ||
        !dev_fill(h->pair.devs[1], h->dst, 0, h->bytes, 0) ||
        !bench_run(h->pair.devs[1], h->look) || /* the fill has ended: the host may write there */
        !run_hop(h) || !bench_run(h->pair.devs[1], h->look)) {
        return false;
    }
    return judge_hop(h, bytes, row);
}

static bool sample_hop(struct hop *h, struct bench_samples *samples)
{
    bool ok = true;
    bench_samples_clear(samples);
    while (ok && bench_samples_more(samples)) {
        uint64_t begin = os_clock_ns();
        ok = run_hop(h);
        bench_samples_add(samples, (double)(os_clock_ns() - begin) / 1e3);
    }
    return ok;
}

/* One size; what crosses is checked before and after, the second time with other bytes. */
static bool one_size(struct work *w, struct hop *h, uint64_t bytes, struct bench_row row)
{
    bench_row_bytes(&row, bytes);
    row.passed = true;
    if (record_hop(h, bytes) && check_hop(h, w->pattern, &row) && sample_hop(h, &w->samples) &&
        check_hop(h, w->pattern + SHIFT, &row)) {
        bench_row_time(&row, &w->samples);
    } else {
        bench_row_fail(&row, w->p->log);
    }
    return w->p->row(w->p->user, &row);
}

/* The largest hop up to `bytes` whose buffers (at most four on one device) fit both devices. */
static uint64_t fit(const struct bench_pair *pair, uint64_t bytes)
{
    for (uint32_t d = 0; d < 2; d++) {
        struct dev *dev = pair->devs[d];
        uint64_t most = dev_get_caps(dev)->max_buffer_bytes, room = dev_get_budget(dev) / 5;
        while (bytes > LEAST_HOP && (bytes > most || bytes > room)) {
            bytes /= 4;
        }
    }
    return bytes;
}

static bool all_sizes(struct work *w, struct hop *h, uint64_t largest, struct bench_row row)
{
    bool go_on = true;
    for (uint64_t bytes = LEAST_HOP; bytes <= largest && go_on; bytes *= 4) {
        go_on = one_size(w, h, bytes, row);
    }
    if (go_on && largest < w->largest) {
        bench_row_bytes(&row, w->largest);
        bench_row_why(&row, "hops above %llu KiB do not fit these devices",
                      (unsigned long long)(largest >> 10));
        row.skipped = true;
        go_on = w->p->row(w->p->user, &row);
    }
    return go_on;
}

static bool one_path(struct work *w, const uint32_t device[2], enum bench_path path, bool can[2])
{
    struct bench_row row =
        bench_row_make("exchange", "hop", bench_path_name(path), device[0], device[1]);
    struct hop h = {.p = w->p};
    uint64_t largest = 0;
    enum bench_state state = bench_pair_open(&h.pair, w->p, device, path, &row);
    if (state == BENCH_READY) {
        largest = fit(&h.pair, w->largest);
        state = bench_pair_join(&h.pair, w->p, path, largest, &row, can);
    }
    if (state == BENCH_READY && !make_bufs(&h, largest)) {
        bench_row_fail(&row, w->p->log);
        state = BENCH_BROKEN;
    }
    bool go_on =
        state == BENCH_READY ? all_sizes(w, &h, largest, row) : w->p->row(w->p->user, &row);
    free_hop(&h);
    return go_on;
}

static bool rebar_path(struct work *w, const uint32_t device[2])
{
    struct bench_row row = bench_row_make("exchange", "hop", "rebar", device[0], device[1]);
    struct hop h = {.p = w->p, .rebar = true};
    bool ready = bench_pair_open(&h.pair, w->p, device, BENCH_STAGING, &row) == BENCH_READY;
    uint64_t largest = ready ? fit(&h.pair, w->largest) : 0;
    if (ready && !make_bufs(&h, largest)) {
        bench_row_fail(&row, w->p->log);
        ready = false;
    } else if (ready && dev_buf_map(h.dst) == NULL) {
        bench_row_why(&row, "the memory of device %u is not mapped by the host", device[1]);
        row.skipped = true;
        ready = false;
    }
    bool go_on = ready ? all_sizes(w, &h, largest, row) : w->p->row(w->p->user, &row);
    free_hop(&h);
    return go_on;
}

static bool one_pair(struct work *w, const uint32_t device[2])
{
    bool can[2] = {false, false};
    if (!one_path(w, device, BENCH_IMPORTED, can)) {
        return false;
    }
    if (can[0] != can[1]) {
        enum bench_path mixed = can[0] ? BENCH_OUT_IMPORTED : BENCH_IN_IMPORTED;
        if (!one_path(w, device, mixed, NULL)) {
            return false;
        }
    }
    return one_path(w, device, BENCH_STAGING, NULL) && rebar_path(w, device);
}

/* The processor's copy between two blocks that were touched before. */
static bool host_copy(struct work *w, uint64_t bytes)
{
    struct bench_row row =
        bench_row_make("exchange", "host memcpy", "memcpy", w->p->devices[0], BENCH_NONE);
    bench_row_bytes(&row, bytes);
    memset(w->copy, 0, (size_t)bytes);
    bench_samples_clear(&w->samples);
    while (bench_samples_more(&w->samples)) {
        uint64_t begin = os_clock_ns();
        memcpy(w->copy, w->pattern, (size_t)bytes);
        bench_samples_add(&w->samples, (double)(os_clock_ns() - begin) / 1e3);
    }
    bench_row_time(&row, &w->samples);
    row.passed = memcmp(w->copy, w->pattern, (size_t)bytes) == 0;
    if (!row.passed) {
        bench_row_why(&row, "the copy differs");
    }
    return w->p->row(w->p->user, &row);
}

static bool make_work(struct work *w)
{
    uint64_t most = w->p->max_bytes != 0 ? w->p->max_bytes : BENCH_MAX_HOP, seed = 11;
    if (most < LEAST_HOP || most > BENCH_MAX_HOP) {
        log_error(w->p->log, "microbench: hops of %llu bytes, allowed are %llu to %llu",
                  (unsigned long long)most, LEAST_HOP, BENCH_MAX_HOP);
        return false;
    }
    for (w->largest = LEAST_HOP; w->largest * 4 <= most; w->largest *= 4) {
    }
    w->pattern = mem_alloc((size_t)w->largest + SHIFT, 1);
    w->copy = mem_alloc((size_t)w->largest, 1);
    if (w->pattern == NULL || w->copy == NULL) {
        log_error(w->p->log, "out of memory for hops of %llu bytes",
                  (unsigned long long)w->largest);
        return false;
    }
    for (uint64_t i = 0; i < w->largest + SHIFT; i += 8) {
        uint64_t word = hash_next(&seed);
        memcpy(w->pattern + i, &word, 8);
    }
    return true;
}

bool bench_exchange(const struct bench_device_params *p)
{
    struct work w = {.p = p};
    bool ok = bench_params_ok(p) && bench_samples_init(&w.samples, p) && make_work(&w);
    for (uint64_t bytes = LEAST_HOP; ok && bytes <= w.largest; bytes *= 4) {
        ok = host_copy(&w, bytes);
    }
    for (uint32_t i = 0; i < p->n_devices && ok; i++) {
        for (uint32_t k = 0; k < p->n_devices && ok; k++) {
            const uint32_t device[2] = {p->devices[i], p->devices[k]};
            ok = one_pair(&w, device);
        }
    }
    bench_samples_finish(&w.samples);
    mem_free(w.pattern);
    mem_free(w.copy);
    return ok;
}
