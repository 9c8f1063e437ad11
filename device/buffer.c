/* Buffers: a VkBuffer each, bound to a part of a slab or to imported host memory. */
#include "device/internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define USAGE                                                                                      \
    (VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |               \
     VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT)

static struct dev_buf *make(struct dev *dev, const char *name, uint64_t bytes, const void *next)
{
    struct dev_buf *buf = mem_alloc(1, sizeof *buf);
    if (buf == NULL) {
        log_error(dev->log, "out of memory for the description of buffer %s", name);
        return NULL;
    }
    buf->dev = dev;
    buf->bytes = bytes;
    atomic_init(&buf->transfer, 0);
    snprintf(buf->name, sizeof buf->name, "%s", name != NULL ? name : "unnamed");
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .pNext = next,
                                     .size = size_round(bytes, 16),
                                     .usage = USAGE,
                                     .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    if (!dev_check(dev, dev->vk.CreateBuffer(dev->handle, &info, NULL, &buf->handle),
                   "vkCreateBuffer")) {
        mem_free(buf);
        return NULL;
    }
    dev_set_name(dev, VK_OBJECT_TYPE_BUFFER, (uint64_t)buf->handle, buf->name);
    return buf;
}

static void link_buf(struct dev *dev, struct dev_buf *buf)
{
    pthread_mutex_lock(&dev->memory.lock);
    buf->next = dev->memory.bufs;
    if (buf->next != NULL) {
        buf->next->prev = buf;
    }
    dev->memory.bufs = buf;
    pthread_mutex_unlock(&dev->memory.lock);
}

static void unlink_buf(struct dev *dev, struct dev_buf *buf)
{
    pthread_mutex_lock(&dev->memory.lock);
    if (buf->prev != NULL) {
        buf->prev->next = buf->next;
    } else if (dev->memory.bufs == buf) {
        dev->memory.bufs = buf->next;
    }
    if (buf->next != NULL) {
        buf->next->prev = buf->prev;
    }
    pthread_mutex_unlock(&dev->memory.lock);
}

struct dev_buf *dev_buf_create(struct dev *dev, const struct dev_buf_params *params)
{
    if (atomic_load(&dev->lost)) {
        return NULL;
    }
    if (params->bytes == 0 || params->bytes > dev->info.caps.max_buffer_bytes) {
        log_error(dev->log, "device %u (%s): buffer %s has %llu bytes, allowed are 1 to %llu",
                  dev->info.index, dev->info.name, params->name, (unsigned long long)params->bytes,
                  (unsigned long long)dev->info.caps.max_buffer_bytes);
        return NULL;
    }
    struct dev_buf *buf = make(dev, params->name, params->bytes, NULL);
    if (buf == NULL) {
        return NULL;
    }
    buf->mem = params->mem;
    VkMemoryRequirements req;
    dev->vk.GetBufferMemoryRequirements(dev->handle, buf->handle, &req);
    if (!memory_take(dev, &req, buf) ||
        !dev_check(
            dev,
            dev->vk.BindBufferMemory(dev->handle, buf->handle, buf->slab->handle, buf->slab_offset),
            "vkBindBufferMemory")) {
        goto fail;
    }
    buf->cached = (dev->phys->memory.memoryTypes[buf->slab->type].propertyFlags &
                   VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
    link_buf(dev, buf);
    return buf;
fail:
    dev_buf_destroy(buf);
    return NULL;
}

/* A coherent type out of `bits`, cached where possible. */
static uint32_t import_type(const struct dev *dev, uint32_t bits)
{
    const struct memory *m = &dev->memory;
    for (uint32_t i = 0; i < m->n_order[DEV_MEM_READBACK]; i++) {
        if ((bits & 1u << m->order[DEV_MEM_READBACK][i]) != 0) {
            return m->order[DEV_MEM_READBACK][i];
        }
    }
    return UINT32_MAX;
}

static VkResult import_memory(struct dev *dev, struct dev_buf *buf, void *host, uint64_t bytes)
{
    VkMemoryHostPointerPropertiesEXT props = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    VkResult result = dev->vk.GetMemoryHostPointerPropertiesEXT(
        dev->handle, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, host, &props);
    VkMemoryRequirements req;
    dev->vk.GetBufferMemoryRequirements(dev->handle, buf->handle, &req);
    uint32_t type = import_type(dev, props.memoryTypeBits & req.memoryTypeBits);
    if (result != VK_SUCCESS || type == UINT32_MAX || req.size > bytes) {
        return result != VK_SUCCESS ? result : VK_ERROR_INVALID_EXTERNAL_HANDLE;
    }
    const VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
        .pHostPointer = host};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &import,
                                       .allocationSize = bytes,
                                       .memoryTypeIndex = type};
    result = dev->vk.AllocateMemory(dev->handle, &info, NULL, &buf->imported);
    if (result != VK_SUCCESS) {
        buf->imported = VK_NULL_HANDLE;
        return result;
    }
    buf->mapped = host;
    buf->cached = true;
    return dev->vk.BindBufferMemory(dev->handle, buf->handle, buf->imported, 0);
}

struct dev_buf *buffer_import(struct dev *dev, const char *name, void *host, uint64_t bytes)
{
    if (atomic_load(&dev->lost) || (dev->info.caps.has & DEV_CAP_HOST_IMPORT) == 0 ||
        dev->vk.GetMemoryHostPointerPropertiesEXT == NULL ||
        bytes > dev->info.caps.max_buffer_bytes) {
        return NULL;
    }
    const VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT};
    struct dev_buf *buf = make(dev, name, bytes, &external);
    if (buf == NULL) {
        return NULL;
    }
    buf->mem = DEV_MEM_READBACK;
    VkResult result = import_memory(dev, buf, host, bytes);
    if (result == VK_ERROR_DEVICE_LOST) {
        dev_check(dev, result, "import of host memory");
    }
    if (result != VK_SUCCESS) {
        log_debug(dev->log, "device %u (%s): host memory is not imported: %s", dev->info.index,
                  dev->info.name, vk_result_name(result));
        dev_buf_destroy(buf);
        return NULL;
    }
    link_buf(dev, buf);
    return buf;
}

void dev_buf_destroy(struct dev_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    struct dev *dev = buf->dev;
    dev_wait(dev, atomic_load(&buf->transfer));
    unlink_buf(dev, buf);
    dev->vk.DestroyBuffer(dev->handle, buf->handle, NULL);
    memory_give(dev, buf);
    if (buf->imported != VK_NULL_HANDLE) {
        dev->vk.FreeMemory(dev->handle, buf->imported, NULL);
    }
    mem_free(buf);
}

uint64_t dev_buf_bytes(const struct dev_buf *buf)
{
    return buf->bytes;
}

void *dev_buf_map(struct dev_buf *buf)
{
    return buf->mapped;
}

bool buffer_range_ok(const struct dev_buf *buf, uint64_t offset, uint64_t bytes, const char *what)
{
    if (offset <= buf->bytes && bytes <= buf->bytes - offset) {
        return true;
    }
    log_error(buf->dev->log, "%s: bytes %llu + %llu are outside buffer %s of %llu", what,
              (unsigned long long)offset, (unsigned long long)bytes, buf->name,
              (unsigned long long)buf->bytes);
    return false;
}
