/* One arena of host memory that several devices work on: imported where the device can and a
 * pattern written on either side arrives on the other, else mirrored in a staging buffer. */
#include "device/internal.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

#define ARENA_GRANULE 65536u /* of size and address: more than any page in use */
#define PROBE_BYTES   4096u

struct member {
    struct dev *dev;
    struct dev_buf *buf;
    bool imported;
};

struct dev_exchange {
    struct log *log;
    void *block;     /* what to free */
    uint8_t *arena;  /* aligned */
    uint64_t bytes;  /* asked for */
    uint64_t padded; /* of the arena */
    struct member members[DEV_MAX_OPEN];
    uint32_t n;
};

static bool make_arena(struct dev_exchange *x)
{
    uint64_t align = ARENA_GRANULE, total;
    for (uint32_t i = 0; i < x->n; i++) {
        uint64_t need = x->members[i].dev->info.caps.import_align;
        align = need > align ? need : align;
    }
    x->padded = size_round(x->bytes < 2 * PROBE_BYTES ? 2 * PROBE_BYTES : x->bytes, align);
    if (x->padded < x->bytes || !size_add(x->padded, align, &total) || total > SIZE_MAX) {
        return false;
    }
    x->block = mem_alloc((size_t)total, 1);
    if (x->block == NULL) {
        return false;
    }
    x->arena = (uint8_t *)(uintptr_t)size_round((uintptr_t)x->block, align);
    return true;
}

static void put_pattern(uint8_t *to, uint64_t seed)
{
    for (uint32_t i = 0; i < PROBE_BYTES; i += 8) {
        uint64_t word = hash_next(&seed);
        memcpy(to + i, &word, 8);
    }
}

/* The device copies the first page of the arena into the last one. */
static bool copy_probe(struct dev *dev, struct dev_buf *buf, uint64_t last)
{
    struct dev_cmd *cmd = dev_cmd_create(dev);
    bool ok = cmd != NULL && dev_cmd_begin(cmd) &&
              dev_cmd_copy(cmd, buf, last, buf, 0, PROBE_BYTES) && dev_cmd_end(cmd);
    uint64_t value = ok ? dev_submit(dev, cmd) : 0;
    ok = value != 0 && dev_wait(dev, value);
    dev_cmd_destroy(cmd);
    return ok;
}

static bool probe(struct dev_exchange *x, struct dev *dev, struct dev_buf *buf)
{
    uint64_t last = x->padded - PROBE_BYTES;
    bool ok = true;
    for (uint64_t round = 0; round < 2 && ok; round++) {
        put_pattern(x->arena, 17 + round);
        memset(x->arena + last, 0, PROBE_BYTES);
        ok = copy_probe(dev, buf, last) && memcmp(x->arena, x->arena + last, PROBE_BYTES) == 0;
    }
    memset(x->arena, 0, PROBE_BYTES);
    memset(x->arena + last, 0, PROBE_BYTES);
    return ok;
}

static bool join(struct dev_exchange *x, struct member *m)
{
    m->buf = buffer_import(m->dev, "exchange", x->arena, x->padded);
    if (m->buf != NULL && probe(x, m->dev, m->buf)) {
        m->imported = true;
        return true;
    }
    dev_buf_destroy(m->buf);
    m->buf = dev_buf_create(m->dev, &(struct dev_buf_params){.name = "exchange staging",
                                                             .bytes = x->padded,
                                                             .mem = DEV_MEM_READBACK});
    return m->buf != NULL;
}

struct dev_exchange *dev_exchange_create(struct dev *const *devs, uint32_t n, uint64_t bytes,
                                         struct log *log)
{
    if (n == 0 || n > DEV_MAX_OPEN || bytes == 0) {
        log_error(log, "an exchange of %u devices and %llu bytes: allowed are 1 to %d devices", n,
                  (unsigned long long)bytes, DEV_MAX_OPEN);
        return NULL;
    }
    struct dev_exchange *x = mem_alloc(1, sizeof *x);
    if (x == NULL) {
        log_error(log, "out of memory for an exchange");
        return NULL;
    }
    x->log = log;
    x->bytes = bytes;
    x->n = n;
    for (uint32_t i = 0; i < n; i++) {
        x->members[i].dev = devs[i];
    }
    if (!make_arena(x)) {
        log_error(log, "out of memory for an exchange of %llu bytes", (unsigned long long)bytes);
        goto fail;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!join(x, &x->members[i])) {
            goto fail;
        }
    }
    return x;
fail:
    dev_exchange_destroy(x);
    return NULL;
}

void dev_exchange_destroy(struct dev_exchange *x)
{
    if (x == NULL) {
        return;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        dev_buf_destroy(x->members[i].buf);
    }
    mem_free(x->block);
    mem_free(x);
}

struct dev_buf *dev_exchange_buf(struct dev_exchange *x, uint32_t dev)
{
    return x->members[dev].buf;
}

bool dev_exchange_imported(const struct dev_exchange *x, uint32_t dev)
{
    return x->members[dev].imported;
}

uint8_t *dev_exchange_host(struct dev_exchange *x)
{
    return x->arena;
}

void dev_exchange_publish(struct dev_exchange *x, uint32_t dev, uint64_t offset, uint64_t bytes)
{
    const struct member *m = &x->members[dev];
    if (!m->imported && buffer_range_ok(m->buf, offset, bytes, "exchange")) {
        memcpy(x->arena + offset, m->buf->mapped + offset, (size_t)bytes);
    }
}

void dev_exchange_fetch(struct dev_exchange *x, uint32_t dev, uint64_t offset, uint64_t bytes)
{
    const struct member *m = &x->members[dev];
    if (!m->imported && buffer_range_ok(m->buf, offset, bytes, "exchange")) {
        memcpy(m->buf->mapped + offset, x->arena + offset, (size_t)bytes);
    }
}
