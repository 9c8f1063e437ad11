/* Blocking transfers between host memory and buffers: straight into mapped memory where that is
 * fast, else through a ring of staging slots, so that copying on the host and on the device
 * overlap. Memory that is mapped but not cached (a BAR) is written directly and never read. */
#include "device/internal.h"

#include <string.h>

#define CHUNK_LARGEST (4ull << 20)
#define CHUNK_LEAST   (64ull << 10)

void transfer_finish(struct dev *dev)
{
    struct transfer *t = &dev->transfer;
    dev_buf_destroy(t->up);
    dev_buf_destroy(t->down);
    if (t->pool != VK_NULL_HANDLE) {
        dev->vk.DestroyCommandPool(dev->handle, t->pool, NULL);
    }
    t->up = t->down = NULL;
    t->pool = VK_NULL_HANDLE;
}

static bool make_commands(struct dev *dev)
{
    struct transfer *t = &dev->transfer;
    if (t->pool != VK_NULL_HANDLE) {
        return true;
    }
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = dev->phys->queue_family};
    if (!dev_check(dev, dev->vk.CreateCommandPool(dev->handle, &pool, NULL, &t->pool),
                   "vkCreateCommandPool")) {
        t->pool = VK_NULL_HANDLE;
        return false;
    }
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = t->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = TRANSFER_SLOTS};
    if (!dev_check(dev, dev->vk.AllocateCommandBuffers(dev->handle, &info, t->cmds),
                   "vkAllocateCommandBuffers")) {
        dev->vk.DestroyCommandPool(dev->handle, t->pool, NULL);
        t->pool = VK_NULL_HANDLE;
        return false;
    }
    return true;
}

/* Staging of one kind; the slots get smaller where the budget is nearly spent. */
static struct dev_buf *staging(struct dev *dev, struct dev_buf **buf, const char *name,
                               enum dev_mem mem)
{
    struct transfer *t = &dev->transfer;
    if (t->chunk == 0) {
        uint64_t left = dev->memory.budget - dev_get_used(dev);
        t->chunk = CHUNK_LARGEST;
        while (t->chunk > CHUNK_LEAST && t->chunk * TRANSFER_SLOTS * 2 > left / 4) {
            t->chunk /= 2;
        }
    }
    if (*buf == NULL) {
        *buf = dev_buf_create(
            dev,
            &(struct dev_buf_params){.name = name, .bytes = t->chunk * TRANSFER_SLOTS, .mem = mem});
    }
    return *buf;
}

static bool begin(struct dev *dev, uint32_t slot)
{
    struct transfer *t = &dev->transfer;
    if (!dev_wait(dev, t->value[slot])) {
        return false;
    }
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    if (!dev_check(dev, dev->vk.BeginCommandBuffer(t->cmds[slot], &info), "vkBeginCommandBuffer")) {
        return false;
    }
    const VkMemoryBarrier before = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    dev->vk.CmdPipelineBarrier(
        t->cmds[slot], VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
        VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
    return true;
}

static bool end(struct dev *dev, uint32_t slot, struct dev_buf *user)
{
    struct transfer *t = &dev->transfer;
    const VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                   .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                   .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    dev->vk.CmdPipelineBarrier(t->cmds[slot], VK_PIPELINE_STAGE_TRANSFER_BIT,
                               VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0, NULL, 0, NULL);
    if (!dev_check(dev, dev->vk.EndCommandBuffer(t->cmds[slot]), "vkEndCommandBuffer")) {
        return false;
    }
    uint64_t value = submit_commands(dev, t->cmds[slot]);
    if (value == 0) {
        return false;
    }
    t->value[slot] = value;
    atomic_store(&user->transfer, value);
    return true;
}

static bool copy(struct dev *dev, uint32_t slot, struct dev_buf *src, uint64_t from,
                 struct dev_buf *dst, uint64_t to, uint64_t bytes, struct dev_buf *user)
{
    if (!begin(dev, slot)) {
        return false;
    }
    const VkBufferCopy region = {.srcOffset = from, .dstOffset = to, .size = bytes};
    dev->vk.CmdCopyBuffer(dev->transfer.cmds[slot], src->handle, dst->handle, 1, &region);
    return end(dev, slot, user);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool upload_staged(struct dev *dev, struct dev_buf *dst, uint64_t offset,
                          const uint8_t *data, uint64_t bytes)
{
    struct transfer *t = &dev->transfer;
    if (!make_commands(dev) || staging(dev, &t->up, "staging up", DEV_MEM_UPLOAD) == NULL) {
        return false;
    }
    for (uint64_t done = 0; done < bytes;) {
        uint32_t slot = t->next++ % TRANSFER_SLOTS;
        uint64_t n = least(t->chunk, bytes - done), at = slot * t->chunk;
        if (!dev_wait(dev, t->value[slot])) {
            return false;
        }
        memcpy(t->up->mapped + at, data + done, (size_t)n);
        if (!copy(dev, slot, t->up, at, dst, offset + done, n, dst)) {
            return false;
        }
        done += n;
    }
    return true;
}

/* Each slot's copy is fetched when the slot comes round again, and all at the end. */
static bool download_staged(struct dev *dev, struct dev_buf *src, uint64_t offset, uint8_t *data,
                            uint64_t bytes)
{
    struct transfer *t = &dev->transfer;
    if (!make_commands(dev) || staging(dev, &t->down, "staging down", DEV_MEM_READBACK) == NULL) {
        return false;
    }
    uint64_t n_chunks = (bytes - 1) / t->chunk + 1;
    for (uint64_t i = 0; i < n_chunks + TRANSFER_SLOTS; i++) {
        uint32_t slot = (uint32_t)(i % TRANSFER_SLOTS);
        if (i >= TRANSFER_SLOTS && i - TRANSFER_SLOTS < n_chunks) {
            uint64_t at = (i - TRANSFER_SLOTS) * t->chunk;
            if (!dev_wait(dev, t->value[slot])) {
                return false;
            }
            memcpy(data + at, t->down->mapped + slot * t->chunk,
                   (size_t)least(t->chunk, bytes - at));
        }
        uint64_t at = i * t->chunk;
        if (i < n_chunks && !copy(dev, slot, src, offset + at, t->down, slot * t->chunk,
                                  least(t->chunk, bytes - at), src)) {
            return false;
        }
    }
    return true;
}

static bool check(struct dev *dev, const struct dev_buf *buf, uint64_t offset, uint64_t bytes,
                  const char *what)
{
    if (atomic_load(&dev->lost)) {
        return false;
    }
    if (buf->dev != dev) {
        log_error(dev->log, "%s: buffer %s is of another device", what, buf->name);
        return false;
    }
    return buffer_range_ok(buf, offset, bytes, what);
}

bool dev_upload(struct dev *dev, struct dev_buf *dst, uint64_t offset, const void *data,
                uint64_t bytes)
{
    if (!check(dev, dst, offset, bytes, "upload")) {
        return false;
    }
    if (bytes == 0) {
        return true;
    }
    if (dst->mapped != NULL) {
        if (!submit_drain(dev)) {
            return false;
        }
        memcpy(dst->mapped + offset, data, (size_t)bytes);
        return true;
    }
    pthread_mutex_lock(&dev->transfer.lock);
    bool ok = upload_staged(dev, dst, offset, data, bytes);
    pthread_mutex_unlock(&dev->transfer.lock);
    return ok;
}

bool dev_download(struct dev *dev, struct dev_buf *src, uint64_t offset, void *data, uint64_t bytes)
{
    if (!check(dev, src, offset, bytes, "download")) {
        return false;
    }
    if (bytes == 0) {
        return true;
    }
    if (src->mapped != NULL && src->cached) {
        if (!submit_drain(dev)) {
            return false;
        }
        memcpy(data, src->mapped + offset, (size_t)bytes);
        return true;
    }
    pthread_mutex_lock(&dev->transfer.lock);
    bool ok = download_staged(dev, src, offset, data, bytes);
    pthread_mutex_unlock(&dev->transfer.lock);
    return ok;
}

static bool fill_staged(struct dev *dev, struct dev_buf *dst, uint64_t offset, uint64_t bytes,
                        uint32_t word)
{
    struct transfer *t = &dev->transfer;
    if (!make_commands(dev)) {
        return false;
    }
    uint32_t slot = t->next++ % TRANSFER_SLOTS;
    if (!begin(dev, slot)) {
        return false;
    }
    dev->vk.CmdFillBuffer(t->cmds[slot], dst->handle, offset, bytes, word);
    return end(dev, slot, dst);
}

bool dev_fill(struct dev *dev, struct dev_buf *dst, uint64_t offset, uint64_t bytes, uint32_t word)
{
    if (!check(dev, dst, offset, bytes, "fill")) {
        return false;
    }
    if (offset % 4 != 0 || bytes % 4 != 0) {
        log_error(dev->log, "fill of buffer %s: offset %llu or size %llu is no multiple of 4",
                  dst->name, (unsigned long long)offset, (unsigned long long)bytes);
        return false;
    }
    if (bytes == 0) {
        return true;
    }
    if (dst->mapped != NULL && dev->info.type == DEV_CPU) {
        if (!submit_drain(dev)) {
            return false;
        }
        for (uint64_t i = 0; i < bytes; i += 4) {
            memcpy(dst->mapped + offset + i, &word, 4);
        }
        return true;
    }
    pthread_mutex_lock(&dev->transfer.lock);
    bool ok = fill_staged(dev, dst, offset, bytes, word);
    pthread_mutex_unlock(&dev->transfer.lock);
    return ok;
}
