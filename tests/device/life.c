/* Two devices from opening to closing; see life.h. */
#include "life.h"

#include <string.h>

#define BYTES 4096u

bool life_record(struct life *l)
{
    static const uint32_t words = BYTES / 4, texels = BYTES / 16;
    struct dev *dev = l->devs[0];
    struct dev_kernel *k = dev_kernel_get(dev, &(struct dev_kernel_params){.shader = l->plain});
    struct dev_kernel *t = dev_kernel_get(dev, &(struct dev_kernel_params){.shader = l->texel});
    if (k == NULL || t == NULL || !dev_cmd_timers(l->cmd, 2) || !dev_cmd_begin(l->cmd)) {
        return false;
    }
    struct dev_dispatch plain = {.kernel = k,
                                 .n_binds = 3,
                                 .binds = {{l->bufs[0], 0, BYTES, DEV_READ},
                                           {l->bufs[1], 0, BYTES, DEV_READ},
                                           {l->bufs[2], 0, BYTES, DEV_WRITE}},
                                 .push = &words,
                                 .push_bytes = 4,
                                 .groups = {words / 64, 1, 1},
                                 .label = "life"};
    struct dev_dispatch texel = plain;
    texel.kernel = t;
    texel.push = &texels;
    texel.groups[0] = texels / 64;
    dev_cmd_timestamp(l->cmd, 0);
    bool ok = true;
    for (int i = 0; i < 70 && ok; i++) { /* more than a descriptor pool */
        ok = dev_cmd_dispatch(l->cmd, i % 2 ? &plain : &texel);
    }
    ok = ok && dev_cmd_copy(l->cmd, l->bufs[2], 0, l->bufs[0], 0, 64) &&
         dev_cmd_fill(l->cmd, l->bufs[1], 0, 64, 1);
    dev_cmd_timestamp(l->cmd, 1);
    return ok && dev_cmd_end(l->cmd);
}

static bool open_all(struct life *l, const struct life_params *params)
{
    for (uint32_t i = 0; i < 2; i++) {
        l->devs[i] = dev_open(
            params->inst, &(struct dev_open_params){.cache_dir = params->cache_dir, .sharers = 2});
        if (l->devs[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* Two ways to see the end of a submission by fence. */
static bool run_fences(struct life *l, bool no_polls)
{
    bool ok = true;
    int last = no_polls ? DEV_FENCE_WAIT : DEV_FENCE_POLL;
    for (int mode = DEV_FENCE_WAIT; mode <= last && ok; mode++) {
        struct dev_waiter *w = dev_waiter_create(l->devs[0], (enum dev_wait_mode)mode);
        ok = w != NULL && dev_waiter_run(w, l->cmd, NULL);
        dev_waiter_destroy(w);
    }
    return ok;
}

static bool work(struct life *l, const struct life_params *params)
{
    l->plain = params->plain;
    l->texel = params->texel;
    if (!open_all(l, params)) {
        return false;
    }
    struct dev *dev = l->devs[0];
    uint8_t data[BYTES] = {1, 2, 3}, back[BYTES];
    for (int i = 0; i < 3; i++) {
        l->bufs[i] = dev_buf_create(dev, &(struct dev_buf_params){.name = "life", .bytes = BYTES});
        if (l->bufs[i] == NULL || !dev_upload(dev, l->bufs[i], 0, data, sizeof data)) {
            return false;
        }
    }
    l->exchange = dev_exchange_create(l->devs, 2, 5000, params->log);
    l->cmd = dev_cmd_create(dev);
    if (l->exchange == NULL || l->cmd == NULL || !life_record(l)) {
        return false;
    }
    uint64_t ns[2], value = 0;
    for (int i = 0; i < 3; i++) {
        value = dev_submit(dev, l->cmd);
        if (value == 0) {
            return false;
        }
    }
    if (!dev_wait(dev, value) || !dev_cmd_read_timers(l->cmd, ns, 2) ||
        !dev_download(dev, l->bufs[0], 0, back, sizeof back)) {
        return false;
    }
    l->damaged = memcmp(data, back, sizeof back) != 0;
    if (!dev_download(dev, l->bufs[2], 0, back, 64)) {
        return false;
    }
    l->damaged = l->damaged || memcmp(data, back, 64) != 0;
    dev_cmd_set_spans(l->cmd, true); /* of the second recording */
    if (!dev_fill(dev, l->bufs[0], 0, 64, 5) || !life_record(l) ||
        !run_fences(l, params->no_polls)) {
        return false;
    }
    uint64_t spans[2 * 80];
    struct dev_moment moment;
    if (!params->no_polls && dev_get_caps(dev)->timestamp_bits != 0 &&
        !dev_calibrate(dev, &moment)) {
        return false;
    }
    return dev_cmd_spans(l->cmd) == 0 || dev_cmd_read_spans(l->cmd, spans);
}

bool life_run(struct life *l, const struct life_params *params)
{
    bool ok = work(l, params);
    for (int i = 0; i < 2; i++) {
        l->lost = l->lost || (l->devs[i] != NULL && dev_is_lost(l->devs[i]));
    }
    return ok;
}

void life_end(struct life *l)
{
    dev_cmd_destroy(l->cmd);
    dev_exchange_destroy(l->exchange);
    for (int i = 0; i < 3; i++) {
        dev_buf_destroy(l->bufs[i]);
    }
    dev_close(l->devs[1]);
    dev_close(l->devs[0]);
}
