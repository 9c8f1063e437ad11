/* How long each dispatch, copy and fill of a command list takes: two timestamps around it, behind
 * the barrier that it waited for. Single timestamps are timer.c's. */
#include "device/internal.h"

#include "base/mem.h"

#define POOL_SPANS 256u

void dev_cmd_set_spans(struct dev_cmd *cmd, bool on)
{
    cmd->wants_spans = on && cmd->dev->info.caps.timestamp_bits != 0;
}

uint32_t dev_cmd_spans(const struct dev_cmd *cmd)
{
    return cmd->n_spans;
}

/* Pools are kept, and filled anew by each recording; the reset is part of the commands. */
static bool next_pool(struct dev_cmd *cmd, size_t pool)
{
    struct dev *dev = cmd->dev;
    if (pool == cmd->n_span_pools) {
        if (!mem_grow((void **)&cmd->span_pools, &cmd->cap_span_pools, cmd->n_span_pools,
                      sizeof *cmd->span_pools)) {
            log_error(dev->log, "out of memory for timestamps");
            return false;
        }
        const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                            .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                            .queryCount = 2 * POOL_SPANS};
        VkQueryPool made;
        if (!dev_check(dev, dev->vk.CreateQueryPool(dev->handle, &info, NULL, &made),
                       "vkCreateQueryPool")) {
            return false;
        }
        cmd->span_pools[cmd->n_span_pools++] = made;
    }
    dev->vk.CmdResetQueryPool(cmd->handle, cmd->span_pools[pool], 0, 2 * POOL_SPANS);
    return true;
}

static void stamp(struct dev_cmd *cmd, uint32_t end)
{
    cmd->dev->vk.CmdWriteTimestamp(cmd->handle, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                   cmd->span_pools[cmd->n_spans / POOL_SPANS],
                                   2 * (cmd->n_spans % POOL_SPANS) + end);
}

bool span_begin(struct dev_cmd *cmd)
{
    if (!cmd->with_spans) {
        return true;
    }
    if (cmd->n_spans % POOL_SPANS == 0 && !next_pool(cmd, cmd->n_spans / POOL_SPANS)) {
        return false;
    }
    stamp(cmd, 0);
    return true;
}

void span_end(struct dev_cmd *cmd)
{
    if (cmd->with_spans) {
        stamp(cmd, 1);
        cmd->n_spans++;
    }
}

void span_finish(struct dev_cmd *cmd)
{
    for (size_t i = 0; i < cmd->n_span_pools; i++) {
        cmd->dev->vk.DestroyQueryPool(cmd->dev->handle, cmd->span_pools[i], NULL);
    }
    mem_free(cmd->span_pools);
}

bool dev_cmd_read_spans(struct dev_cmd *cmd, uint64_t *ns)
{
    if (atomic_load(&cmd->dev->lost) || !cmd->submitted || cmd->n_spans == 0) {
        return false;
    }
    for (uint32_t i = 0; i < cmd->n_spans; i += POOL_SPANS) {
        uint32_t left = cmd->n_spans - i, n = left < POOL_SPANS ? left : POOL_SPANS;
        if (!timer_read(cmd->dev, cmd->span_pools[i / POOL_SPANS], ns + 2 * (size_t)i, 2 * n)) {
            return false;
        }
    }
    return true;
}
