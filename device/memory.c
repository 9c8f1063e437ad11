/* VkDeviceMemory in slabs, under a byte budget of our own: software devices never refuse memory,
 * and others move it to the host instead. What is budgeted is the heap weights go to; on a GPU of
 * its own, staging lies on another heap and is only counted. */
#include "device/internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define MIB          (1024.0 * 1024.0)
#define SLAB_FIRST   (4ull << 20)
#define SLAB_LARGEST (64ull << 20)
#define DEDICATED    (16ull << 20) /* buffers from here on get their own memory */
#define GRANULE      65536ull

void memory_init(struct dev *dev, uint64_t budget)
{
    pthread_mutex_init(&dev->memory.lock, NULL);
    dev->memory.budget = budget;
    memory_types(dev);
}

static void free_slab(struct dev *dev, struct slab *slab)
{
    dev->vk.FreeMemory(dev->handle, slab->handle, NULL);
    ranges_finish(&slab->ranges);
    mem_free(slab);
}

void memory_finish(struct dev *dev)
{
    while (dev->memory.slabs != NULL) {
        struct slab *slab = dev->memory.slabs;
        dev->memory.slabs = slab->next;
        free_slab(dev, slab);
    }
}

static bool is_budgeted(const struct dev *dev, uint32_t type)
{
    return dev->phys->memory.memoryTypes[type].heapIndex == dev->phys->device_heap;
}

static uint64_t left(const struct dev *dev)
{
    const struct memory *m = &dev->memory;
    return m->budget > m->used ? m->budget - m->used : 0;
}

/* NULL when the driver refuses; `result` says why. */
static struct slab *make_slab(struct dev *dev, uint32_t type, uint64_t bytes, VkResult *result)
{
    *result = VK_ERROR_OUT_OF_HOST_MEMORY;
    struct slab *slab = mem_alloc(1, sizeof *slab);
    if (slab == NULL || !ranges_init(&slab->ranges, bytes)) {
        goto fail;
    }
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .allocationSize = bytes,
                                       .memoryTypeIndex = type};
    *result = dev->vk.AllocateMemory(dev->handle, &info, NULL, &slab->handle);
    if (*result != VK_SUCCESS) {
        goto fail;
    }
    slab->type = type;
    slab->bytes = bytes;
    if ((dev->phys->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) !=
        0) {
        void *mapped = NULL;
        *result = dev->vk.MapMemory(dev->handle, slab->handle, 0, VK_WHOLE_SIZE, 0, &mapped);
        if (*result != VK_SUCCESS) {
            dev->vk.FreeMemory(dev->handle, slab->handle, NULL);
            goto fail;
        }
        slab->mapped = mapped;
    }
    return slab;
fail:
    if (slab != NULL) {
        ranges_finish(&slab->ranges);
        mem_free(slab);
    }
    return NULL;
}

/* Slabs of a type double from 4 to 64 MiB, so that small users stay small. */
static uint64_t slab_size(const struct dev *dev, uint32_t type, uint64_t bytes)
{
    uint64_t size = SLAB_FIRST;
    for (const struct slab *s = dev->memory.slabs; s != NULL; s = s->next) {
        if (s->type == type && !s->dedicated && size < SLAB_LARGEST) {
            size *= 2;
        }
    }
    uint64_t heap =
        dev->phys->memory.memoryHeaps[dev->phys->memory.memoryTypes[type].heapIndex].size;
    while (size > SLAB_FIRST && size > heap / 8) {
        size /= 2;
    }
    if (bytes >= DEDICATED || bytes >= size || (is_budgeted(dev, type) && size > left(dev))) {
        return bytes;
    }
    return size;
}

static bool take_from(struct slab *slab, uint64_t bytes, uint64_t align, struct dev_buf *buf)
{
    if (!ranges_take(&slab->ranges, bytes, align, &buf->slab_offset)) {
        return false;
    }
    buf->slab = slab;
    buf->slab_bytes = bytes;
    buf->mapped = slab->mapped != NULL ? slab->mapped + buf->slab_offset : NULL;
    return true;
}

static VkResult take_new(struct dev *dev, uint32_t type, uint64_t bytes, uint64_t align,
                         struct dev_buf *buf)
{
    struct memory *m = &dev->memory;
    VkResult result;
    uint64_t alone = size_round(bytes, GRANULE), size = slab_size(dev, type, alone);
    struct slab *slab = make_slab(dev, type, size, &result);
    if (slab == NULL && size > alone && result != VK_ERROR_DEVICE_LOST) {
        size = alone;
        slab = make_slab(dev, type, size, &result);
    }
    if (slab == NULL) {
        return result;
    }
    slab->dedicated = bytes >= DEDICATED;
    if (!take_from(slab, bytes, align, buf)) {
        free_slab(dev, slab);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    slab->next = m->slabs;
    m->slabs = slab;
    m->n_slabs++;
    if (is_budgeted(dev, type)) {
        m->used += size;
        m->peak = m->used > m->peak ? m->used : m->peak;
    } else {
        m->other += size;
    }
    return VK_SUCCESS;
}

static bool take_old(struct dev *dev, uint32_t type, uint64_t bytes, uint64_t align,
                     struct dev_buf *buf)
{
    for (struct slab *s = dev->memory.slabs; s != NULL; s = s->next) {
        if (s->type == type && !s->dedicated && take_from(s, bytes, align, buf)) {
            return true;
        }
    }
    return false;
}

static bool report_budget(const struct dev *dev, const char *name, uint64_t bytes)
{
    log_error(dev->log,
              "device %u (%s): buffer %s wants %.1f MiB, %.1f MiB are left of the budget of %.1f "
              "MiB",
              dev->info.index, dev->info.name, name, (double)bytes / MIB, (double)left(dev) / MIB,
              (double)dev->memory.budget / MIB);
    return false;
}

static bool take(struct dev *dev, const VkMemoryRequirements *req, struct dev_buf *buf)
{
    const struct memory *m = &dev->memory;
    uint64_t align = req->alignment > 256 ? req->alignment : 256;
    align = align > dev->info.caps.offset_align ? align : dev->info.caps.offset_align;
    uint64_t bytes = size_round(req->size, align);
    VkResult result = VK_ERROR_FEATURE_NOT_PRESENT;
    for (uint32_t i = 0; i < m->n_order[buf->mem]; i++) {
        uint32_t type = m->order[buf->mem][i];
        if ((req->memoryTypeBits & 1u << type) == 0) {
            continue;
        }
        if (bytes < DEDICATED && take_old(dev, type, bytes, align, buf)) {
            return true;
        }
        if (is_budgeted(dev, type) && size_round(bytes, GRANULE) > left(dev)) {
            return report_budget(dev, buf->name, bytes);
        }
        result = take_new(dev, type, bytes, align, buf);
        if (result == VK_SUCCESS) {
            return true;
        }
        if (result == VK_ERROR_DEVICE_LOST) {
            break;
        }
    }
    char what[160];
    snprintf(what, sizeof what, "memory for buffer %s of %.1f MiB", buf->name,
             (double)req->size / MIB);
    return dev_check(dev, result, what);
}

bool memory_take(struct dev *dev, const VkMemoryRequirements *req, struct dev_buf *buf)
{
    pthread_mutex_lock(&dev->memory.lock);
    bool ok = take(dev, req, buf);
    pthread_mutex_unlock(&dev->memory.lock);
    return ok;
}

void memory_give(struct dev *dev, struct dev_buf *buf)
{
    struct memory *m = &dev->memory;
    struct slab *slab = buf->slab;
    if (slab == NULL) {
        return;
    }
    pthread_mutex_lock(&m->lock);
    ranges_give(&slab->ranges, buf->slab_offset, buf->slab_bytes);
    if (slab->ranges.taken == 0) {
        struct slab **link = &m->slabs;
        while (*link != slab) {
            link = &(*link)->next;
        }
        *link = slab->next;
        m->n_slabs--;
        uint64_t *counter = is_budgeted(dev, slab->type) ? &m->used : &m->other;
        *counter -= slab->bytes;
        free_slab(dev, slab);
    }
    pthread_mutex_unlock(&m->lock);
    buf->slab = NULL;
}

/* The getters read under the lock: a 64-bit value may be torn otherwise. */
static uint64_t read_counter(const struct dev *dev, const uint64_t *counter)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&dev->memory.lock;
    pthread_mutex_lock(lock);
    uint64_t value = *counter;
    pthread_mutex_unlock(lock);
    return value;
}

uint64_t dev_get_budget(const struct dev *dev)
{
    return dev->memory.budget;
}

uint64_t dev_get_used(const struct dev *dev)
{
    return read_counter(dev, &dev->memory.used);
}

uint64_t dev_get_peak(const struct dev *dev)
{
    return read_counter(dev, &dev->memory.peak);
}

void dev_memory_dump(const struct dev *dev, log_fn *line, void *user)
{
    static const char *const kinds[MEM_KINDS] = {"device", "upload", "readback"};
    const struct memory *m = &dev->memory;
    pthread_mutex_t *lock = (pthread_mutex_t *)&m->lock;
    char text[256];
    pthread_mutex_lock(lock);
    for (const struct dev_buf *b = m->bufs; b != NULL; b = b->next) {
        snprintf(text, sizeof text, "%10.3f MiB  %-8s  %s", (double)b->bytes / MIB,
                 b->imported != VK_NULL_HANDLE ? "imported" : kinds[b->mem], b->name);
        line(user, LOG_INFO, text);
    }
    snprintf(text, sizeof text,
             "%10.3f MiB used of %.1f in %u slabs, peak %.3f MiB, %.3f MiB on other heaps",
             (double)m->used / MIB, (double)m->budget / MIB, m->n_slabs, (double)m->peak / MIB,
             (double)m->other / MIB);
    pthread_mutex_unlock(lock);
    line(user, LOG_INFO, text);
}
