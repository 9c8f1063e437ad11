/* Timestamps of a command list. A device without them has timers that are never read. On CPU
 * devices the commands end with a copy of their timestamps to mapped memory: lavapipe waits until
 * the device is idle before it tells one to the host, and so for steps that were queued behind. */
#include "device/internal.h"

#include "base/mem.h"

#include <string.h>

bool dev_cmd_timers(struct dev_cmd *cmd, uint32_t count)
{
    struct dev *dev = cmd->dev;
    if (cmd->state == CMD_RECORDING) {
        log_error(dev->log, "timers cannot be changed within a recording");
        return false;
    }
    if (!dev_wait(dev, cmd->value)) {
        return false;
    }
    if (cmd->n_queries == count) {
        return true;
    }
    if (cmd->queries != VK_NULL_HANDLE) {
        dev->vk.DestroyQueryPool(dev->handle, cmd->queries, NULL);
        cmd->queries = VK_NULL_HANDLE;
        dev_buf_destroy(cmd->stamps);
        cmd->stamps = NULL;
    }
    cmd->n_queries = count;
    if (count == 0 || dev->info.caps.timestamp_bits == 0) {
        return true;
    }
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = count};
    if (!dev_check(dev, dev->vk.CreateQueryPool(dev->handle, &info, NULL, &cmd->queries),
                   "vkCreateQueryPool")) {
        cmd->queries = VK_NULL_HANDLE;
        cmd->n_queries = 0;
        return false;
    }
    if (dev->info.type == DEV_CPU && count <= 64) {
        cmd->stamps = dev_buf_create(dev, &(struct dev_buf_params){.name = "timestamps",
                                                                   .bytes = count * 8,
                                                                   .mem = DEV_MEM_READBACK});
        return cmd->stamps != NULL;
    }
    return true;
}

void dev_cmd_timestamp(struct dev_cmd *cmd, uint32_t slot)
{
    if (cmd->state == CMD_RECORDING && !cmd->dry && cmd->queries != VK_NULL_HANDLE &&
        slot < cmd->n_queries) {
        cmd->dev->vk.CmdWriteTimestamp(cmd->handle, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                       cmd->queries, slot);
        cmd->stamped |= slot < 64 ? 1ull << slot : 0;
    }
}

void timer_copy(struct dev_cmd *cmd)
{
    uint64_t all = cmd->n_queries < 64 ? (1ull << cmd->n_queries) - 1 : UINT64_MAX;
    cmd->copies_stamps = cmd->stamps != NULL && cmd->stamps->mapped != NULL && cmd->stamped == all;
    if (cmd->copies_stamps) {
        cmd->dev->vk.CmdCopyQueryPoolResults(cmd->handle, cmd->queries, 0, cmd->n_queries,
                                             cmd->stamps->handle, 0, 8,
                                             VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    }
}

uint64_t timer_ns(const struct dev *dev, uint64_t ticks)
{
    uint32_t bits = dev->info.caps.timestamp_bits;
    uint64_t mask = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
    return (uint64_t)((double)(ticks & mask) * (double)dev->info.caps.timestamp_ns);
}

bool timer_read(struct dev *dev, VkQueryPool pool, uint64_t *ns, uint32_t count)
{
    VkResult result = dev->vk.GetQueryPoolResults(dev->handle, pool, 0, count, count * sizeof *ns,
                                                  ns, sizeof *ns, VK_QUERY_RESULT_64_BIT);
    if (result == VK_NOT_READY || !dev_check(dev, result, "vkGetQueryPoolResults")) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        ns[i] = timer_ns(dev, ns[i]);
    }
    return true;
}

bool dev_cmd_read_timers(struct dev_cmd *cmd, uint64_t *ns, uint32_t count)
{
    struct dev *dev = cmd->dev;
    if (atomic_load(&dev->lost) || !cmd->submitted || cmd->queries == VK_NULL_HANDLE ||
        count == 0 || count > cmd->n_queries) {
        return false;
    }
    if (!cmd->copies_stamps) {
        return timer_read(dev, cmd->queries, ns, count);
    }
    memcpy(ns, cmd->stamps->mapped, count * sizeof *ns);
    for (uint32_t i = 0; i < count; i++) {
        ns[i] = timer_ns(dev, ns[i]);
    }
    return true;
}
