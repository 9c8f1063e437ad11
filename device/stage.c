/* Uploads of one thread: slots of pinned memory in turn, each with commands of its own, so that the
 * device copies out of one while the thread fills another. Nothing here takes transfer.lock. */
#include "device/internal.h"

#include "base/mem.h"

struct dev_stage {
    struct dev *dev;
    uint64_t slot_bytes;
    uint32_t next; /* slot that dev_stage_take gives */
    struct dev_buf *buf;
    VkCommandPool pool;
    VkCommandBuffer cmds[DEV_STAGE_SLOTS];
    uint64_t value[DEV_STAGE_SLOTS]; /* the slot is free when this is reached */
};

static bool make_commands(struct dev_stage *stage)
{
    struct dev *dev = stage->dev;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = dev->phys->queue_family};
    if (!dev_check(dev, dev->vk.CreateCommandPool(dev->handle, &pool, NULL, &stage->pool),
                   "vkCreateCommandPool")) {
        stage->pool = VK_NULL_HANDLE;
        return false;
    }
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = stage->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = DEV_STAGE_SLOTS};
    return dev_check(dev, dev->vk.AllocateCommandBuffers(dev->handle, &info, stage->cmds),
                     "vkAllocateCommandBuffers");
}

struct dev_stage *dev_stage_create(struct dev *dev, uint64_t slot_bytes)
{
    if (atomic_load(&dev->lost)) {
        return NULL;
    }
    uint64_t slot = size_round(slot_bytes, 256), bytes;
    struct dev_stage *stage = mem_alloc(1, sizeof *stage);
    if (stage == NULL || !size_mul(slot, DEV_STAGE_SLOTS, &bytes)) {
        log_error(dev->log, "out of memory for staging of %llu bytes",
                  (unsigned long long)slot_bytes);
        mem_free(stage);
        return NULL;
    }
    stage->dev = dev;
    stage->slot_bytes = slot;
    /* cached: slots may be read back while they are filled */
    stage->buf = dev_buf_create(
        dev, &(struct dev_buf_params){.name = "stage", .bytes = bytes, .mem = DEV_MEM_READBACK});
    if (stage->buf == NULL || !make_commands(stage)) {
        dev_stage_destroy(stage);
        return NULL;
    }
    return stage;
}

bool dev_stage_finish(struct dev_stage *stage)
{
    bool ok = true;
    for (uint32_t i = 0; i < DEV_STAGE_SLOTS; i++) {
        ok = dev_wait(stage->dev, stage->value[i]) && ok;
    }
    return ok;
}

void dev_stage_destroy(struct dev_stage *stage)
{
    if (stage == NULL) {
        return;
    }
    struct dev *dev = stage->dev;
    dev_stage_finish(stage);
    dev_buf_destroy(stage->buf);
    if (stage->pool != VK_NULL_HANDLE) {
        dev->vk.DestroyCommandPool(dev->handle, stage->pool, NULL);
    }
    mem_free(stage);
}

uint8_t *dev_stage_take(struct dev_stage *stage)
{
    return dev_wait(stage->dev, stage->value[stage->next])
               ? stage->buf->mapped + stage->next * stage->slot_bytes
               : NULL;
}

static bool ranges_ok(const struct dev_stage *stage, const struct dev_buf *dst,
                      const struct dev_stage_part *parts, uint32_t n)
{
    if (dst->dev != stage->dev || n == 0 || n > DEV_STAGE_PARTS) {
        log_error(stage->dev->log, "stage: %u parts for buffer %s", n, dst->name);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t room = stage->slot_bytes;
        if (parts[i].from > room || parts[i].bytes > room - parts[i].from) {
            log_error(stage->dev->log, "stage: bytes %llu + %llu are outside a slot of %llu",
                      (unsigned long long)parts[i].from, (unsigned long long)parts[i].bytes,
                      (unsigned long long)room);
            return false;
        }
        if (!buffer_range_ok(dst, parts[i].to, parts[i].bytes, "stage")) {
            return false;
        }
    }
    return true;
}

bool dev_stage_send(struct dev_stage *stage, struct dev_buf *dst,
                    const struct dev_stage_part *parts, uint32_t n)
{
    struct dev *dev = stage->dev;
    if (atomic_load(&dev->lost) || !ranges_ok(stage, dst, parts, n)) {
        return false;
    }
    VkCommandBuffer cmd = stage->cmds[stage->next];
    VkBufferCopy regions[DEV_STAGE_PARTS];
    for (uint32_t i = 0; i < n; i++) {
        regions[i] = (VkBufferCopy){.srcOffset = stage->next * stage->slot_bytes + parts[i].from,
                                    .dstOffset = parts[i].to,
                                    .size = parts[i].bytes};
    }
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    if (!dev_check(dev, dev->vk.BeginCommandBuffer(cmd, &info), "vkBeginCommandBuffer")) {
        return false;
    }
    dev->vk.CmdCopyBuffer(cmd, stage->buf->handle, dst->handle, n, regions);
    if (!dev_check(dev, dev->vk.EndCommandBuffer(cmd), "vkEndCommandBuffer")) {
        return false;
    }
    uint64_t value = submit_commands(dev, cmd);
    if (value == 0) {
        return false;
    }
    stage->value[stage->next] = value;
    stage->next = (stage->next + 1) % DEV_STAGE_SLOTS;
    return true;
}
