/* Recording of command lists. A barrier is put where the read and write sets since the last one
 * ask for it; there is one kind of barrier, over all memory. Submission is submit.c. */
#include "device/internal.h"

#include "base/mem.h"

#define WORK   (VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT)
#define WRITES (VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT)
#define READS  (VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT)

struct dev_cmd *dev_cmd_create(struct dev *dev)
{
    if (atomic_load(&dev->lost)) {
        return NULL;
    }
    struct dev_cmd *cmd = mem_alloc(1, sizeof *cmd);
    if (cmd == NULL) {
        log_error(dev->log, "out of memory for a command list");
        return NULL;
    }
    cmd->dev = dev;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = dev->phys->queue_family};
    if (!dev_check(dev, dev->vk.CreateCommandPool(dev->handle, &pool, NULL, &cmd->pool),
                   "vkCreateCommandPool")) {
        cmd->pool = VK_NULL_HANDLE;
        goto fail;
    }
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = cmd->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    if (!dev_check(dev, dev->vk.AllocateCommandBuffers(dev->handle, &info, &cmd->handle),
                   "vkAllocateCommandBuffers")) {
        goto fail;
    }
    return cmd;
fail:
    dev_cmd_destroy(cmd);
    return NULL;
}

void dev_cmd_destroy(struct dev_cmd *cmd)
{
    if (cmd == NULL) {
        return;
    }
    struct dev *dev = cmd->dev;
    dev_wait(dev, cmd->value); /* error paths give up with work in flight */
    binder_finish(dev, &cmd->binder);
    hazard_finish(&cmd->hazard);
    span_finish(cmd);
    dev_buf_destroy(cmd->stamps);
    if (cmd->queries != VK_NULL_HANDLE) {
        dev->vk.DestroyQueryPool(dev->handle, cmd->queries, NULL);
    }
    if (cmd->pool != VK_NULL_HANDLE) {
        dev->vk.DestroyCommandPool(dev->handle, cmd->pool, NULL);
    }
    mem_free(cmd);
}

static void barrier(struct dev_cmd *cmd, VkPipelineStageFlags from, VkPipelineStageFlags to,
                    VkAccessFlags access)
{
    VkAccessFlags written = 0;
    written |= (from & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT) != 0 ? VK_ACCESS_SHADER_WRITE_BIT : 0u;
    written |= (from & VK_PIPELINE_STAGE_TRANSFER_BIT) != 0 ? VK_ACCESS_TRANSFER_WRITE_BIT : 0u;
    const VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask = written,
                                    .dstAccessMask = access};
    cmd->dev->vk.CmdPipelineBarrier(cmd->handle, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
    hazard_clear(&cmd->hazard);
    cmd->stages = 0;
}

static bool fail_cmd(struct dev_cmd *cmd)
{
    cmd->state = CMD_FAILED;
    return false;
}

static bool is_recording(struct dev_cmd *cmd, const char *what)
{
    if (atomic_load(&cmd->dev->lost)) {
        return false;
    }
    if (cmd->state == CMD_EMPTY || cmd->state == CMD_READY) {
        log_error(cmd->dev->log, "%s outside of a recording", what);
    }
    return cmd->state == CMD_RECORDING; /* a failed one has said why */
}

static bool restart(struct dev_cmd *cmd, bool dry)
{
    if (!dev_wait(cmd->dev, cmd->value)) {
        return fail_cmd(cmd);
    }
    cmd->state = CMD_EMPTY;
    cmd->dry = dry;
    cmd->submitted = false;
    cmd->bound = VK_NULL_HANDLE;
    cmd->n_dispatches = cmd->n_barriers = cmd->n_spans = 0;
    cmd->with_spans = cmd->wants_spans && !dry;
    cmd->stamped = 0;
    cmd->copies_stamps = false;
    return true;
}

bool dev_cmd_begin_dry(struct dev_cmd *cmd)
{
    if (!restart(cmd, true)) {
        return false;
    }
    cmd->state = CMD_RECORDING;
    return true;
}

bool dev_cmd_begin(struct dev_cmd *cmd)
{
    struct dev *dev = cmd->dev;
    if (!restart(cmd, false)) {
        return false;
    }
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    if (!dev_check(dev, dev->vk.ResetCommandPool(dev->handle, cmd->pool, 0),
                   "vkResetCommandPool") ||
        !binder_reset(dev, &cmd->binder) ||
        !dev_check(dev, dev->vk.BeginCommandBuffer(cmd->handle, &info), "vkBeginCommandBuffer")) {
        return fail_cmd(cmd);
    }
    barrier(cmd, WORK, WORK, READS | WRITES);
    if (cmd->queries != VK_NULL_HANDLE) {
        dev->vk.CmdResetQueryPool(cmd->handle, cmd->queries, 0, cmd->n_queries);
    }
    cmd->state = CMD_RECORDING;
    return true;
}

/* Puts a barrier when one of the spans needs it, then adds them all. */
static bool order(struct dev_cmd *cmd, const struct span *spans, uint32_t n,
                  VkPipelineStageFlags stage)
{
    bool hit = false;
    for (uint32_t i = 0; i < n && !hit; i++) {
        hit = hazard_hits(&cmd->hazard, &spans[i]);
    }
    if (hit) {
        barrier(cmd, cmd->stages, WORK, READS | WRITES);
        cmd->n_barriers++;
    }
    cmd->stages |= stage;
    for (uint32_t i = 0; i < n; i++) {
        if (!hazard_add(&cmd->hazard, &spans[i])) {
            log_error(cmd->dev->log, "out of memory for the read and write sets");
            return false;
        }
    }
    return true;
}

bool dev_cmd_dispatch(struct dev_cmd *cmd, const struct dev_dispatch *d)
{
    struct dev *dev = cmd->dev;
    if (!is_recording(cmd, "dispatch")) {
        return false;
    }
    struct span spans[DEV_MAX_BINDINGS];
    if (!bind_check(dev, d)) {
        return fail_cmd(cmd);
    }
    if (cmd->dry) {
        cmd->n_dispatches++;
        return true;
    }
    if (!kernel_ensure(dev, d->kernel)) {
        return fail_cmd(cmd);
    }
    for (uint32_t i = 0; i < d->n_binds; i++) {
        const struct dev_bind *b = &d->binds[i];
        spans[i] = (struct span){b->buf, b->offset, b->offset + b->bytes, b->access};
    }
    VkDescriptorSet set = VK_NULL_HANDLE;
    if (d->n_binds != 0) {
        set = binder_set(dev, &cmd->binder, d);
        if (set == VK_NULL_HANDLE) {
            return fail_cmd(cmd);
        }
    }
    if (!order(cmd, spans, d->n_binds, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT)) {
        return fail_cmd(cmd);
    }
    if (cmd->bound != d->kernel->pipeline) {
        dev->vk.CmdBindPipeline(cmd->handle, VK_PIPELINE_BIND_POINT_COMPUTE, d->kernel->pipeline);
        cmd->bound = d->kernel->pipeline;
    }
    if (set != VK_NULL_HANDLE) {
        dev->vk.CmdBindDescriptorSets(cmd->handle, VK_PIPELINE_BIND_POINT_COMPUTE,
                                      d->kernel->layout, 0, 1, &set, 0, NULL);
    }
    if (d->push_bytes != 0) {
        dev->vk.CmdPushConstants(cmd->handle, d->kernel->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                 d->push_bytes, d->push);
    }
    if (!span_begin(cmd)) {
        return fail_cmd(cmd);
    }
    dev->vk.CmdDispatch(cmd->handle, d->groups[0], d->groups[1], d->groups[2]);
    span_end(cmd);
    cmd->n_dispatches++;
    return true;
}

static bool same_device(const struct dev_cmd *cmd, const struct dev_buf *buf, const char *what)
{
    if (buf->dev != cmd->dev) {
        log_error(cmd->dev->log, "%s: buffer %s is of another device", what, buf->name);
    }
    return buf->dev == cmd->dev;
}

bool dev_cmd_copy(struct dev_cmd *cmd, struct dev_buf *dst, uint64_t dst_offset,
                  struct dev_buf *src, uint64_t src_offset, uint64_t bytes)
{
    if (!is_recording(cmd, "copy")) {
        return false;
    }
    if (!same_device(cmd, dst, "copy") || !same_device(cmd, src, "copy") ||
        !buffer_range_ok(dst, dst_offset, bytes, "copy to") ||
        !buffer_range_ok(src, src_offset, bytes, "copy from")) {
        return fail_cmd(cmd);
    }
    if (dst == src && dst_offset < src_offset + bytes && src_offset < dst_offset + bytes) {
        log_error(cmd->dev->log, "copy within buffer %s: the ranges overlap", dst->name);
        return fail_cmd(cmd);
    }
    if (bytes == 0 || cmd->dry) {
        return true;
    }
    const struct span spans[2] = {{src, src_offset, src_offset + bytes, DEV_READ},
                                  {dst, dst_offset, dst_offset + bytes, DEV_WRITE}};
    if (!order(cmd, spans, 2, VK_PIPELINE_STAGE_TRANSFER_BIT) || !span_begin(cmd)) {
        return fail_cmd(cmd);
    }
    const VkBufferCopy region = {src_offset, dst_offset, bytes};
    cmd->dev->vk.CmdCopyBuffer(cmd->handle, src->handle, dst->handle, 1, &region);
    span_end(cmd);
    return true;
}

bool dev_cmd_fill(struct dev_cmd *cmd, struct dev_buf *dst, uint64_t offset, uint64_t bytes,
                  uint32_t word)
{
    if (!is_recording(cmd, "fill")) {
        return false;
    }
    if (!same_device(cmd, dst, "fill") || !buffer_range_ok(dst, offset, bytes, "fill")) {
        return fail_cmd(cmd);
    }
    if (offset % 4 != 0 || bytes % 4 != 0) {
        log_error(cmd->dev->log, "fill of buffer %s: offset %llu or size %llu is no multiple of 4",
                  dst->name, (unsigned long long)offset, (unsigned long long)bytes);
        return fail_cmd(cmd);
    }
    if (bytes == 0 || cmd->dry) {
        return true;
    }
    const struct span span = {dst, offset, offset + bytes, DEV_WRITE};
    if (!order(cmd, &span, 1, VK_PIPELINE_STAGE_TRANSFER_BIT) || !span_begin(cmd)) {
        return fail_cmd(cmd);
    }
    cmd->dev->vk.CmdFillBuffer(cmd->handle, dst->handle, offset, bytes, word);
    span_end(cmd);
    return true;
}

bool dev_cmd_barrier(struct dev_cmd *cmd)
{
    if (!is_recording(cmd, "barrier")) {
        return false;
    }
    if (!cmd->dry) {
        barrier(cmd, WORK, WORK, READS | WRITES);
        cmd->n_barriers++;
    }
    return true;
}

bool dev_cmd_end(struct dev_cmd *cmd)
{
    struct dev *dev = cmd->dev;
    if (!is_recording(cmd, "end")) {
        return false;
    }
    if (cmd->dry) {
        cmd->state = CMD_EMPTY;
        return true;
    }
    timer_copy(cmd);
    barrier(cmd, WORK, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    if (!dev_check(dev, dev->vk.EndCommandBuffer(cmd->handle), "vkEndCommandBuffer")) {
        return fail_cmd(cmd);
    }
    cmd->state = CMD_READY;
    return true;
}

uint32_t dev_cmd_count(const struct dev_cmd *cmd)
{
    return cmd->n_dispatches;
}

uint32_t dev_cmd_barriers(const struct dev_cmd *cmd)
{
    return cmd->n_barriers;
}
