/* Which memory types serve which use, best first. Leaves allocation to memory.c. */
#include "device/internal.h"

#define DEVICE   VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define VISIBLE  VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT
#define COHERENT VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
#define CACHED   VK_MEMORY_PROPERTY_HOST_CACHED_BIT
/* Protected, lazily allocated and AMD's device-uncached memory is never wanted. */
#define UNWANTED                                                                                   \
    (VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |                  \
     VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD)

/* Points for a type, 0: not usable. */
static int score_device(const struct dev *dev, const VkMemoryType *type)
{
    VkMemoryPropertyFlags f = type->propertyFlags;
    if ((f & DEVICE) == 0 || type->heapIndex != dev->phys->device_heap) {
        return 0;
    }
    /* mappable memory spares the staging copy; only where it is the heap itself (CPU, integrated,
     * resizable BAR), not a small window */
    int points = 1 + ((f & (VISIBLE | COHERENT)) == (VISIBLE | COHERENT) ? 4 : 0);
    bool cpu = dev->info.type == DEV_CPU;
    return points + (((f & CACHED) != 0) == cpu ? 1 : 0);
}

static int score_upload(const VkMemoryType *type)
{
    VkMemoryPropertyFlags f = type->propertyFlags;
    if ((f & (VISIBLE | COHERENT)) != (VISIBLE | COHERENT)) {
        return 0;
    }
    return 1 + ((f & DEVICE) == 0 ? 4 : 0) + ((f & CACHED) == 0 ? 1 : 0);
}

static int score_readback(const VkMemoryType *type)
{
    VkMemoryPropertyFlags f = type->propertyFlags;
    if ((f & (VISIBLE | COHERENT)) != (VISIBLE | COHERENT)) {
        return 0;
    }
    return 1 + ((f & CACHED) != 0 ? 4 : 0) + ((f & DEVICE) == 0 ? 1 : 0);
}

static int score(const struct dev *dev, enum dev_mem mem, const VkMemoryType *type)
{
    if ((type->propertyFlags & UNWANTED) != 0) {
        return 0;
    }
    switch (mem) {
    case DEV_MEM_UPLOAD:
        return score_upload(type);
    case DEV_MEM_READBACK:
        return score_readback(type);
    default:
        return score_device(dev, type);
    }
}

void memory_types(struct dev *dev)
{
    const VkPhysicalDeviceMemoryProperties *props = &dev->phys->memory;
    for (int mem = 0; mem < MEM_KINDS; mem++) {
        uint32_t *order = dev->memory.order[mem], n = 0;
        for (int want = 8; want > 0; want--) {
            for (uint32_t i = 0; i < props->memoryTypeCount; i++) {
                if (score(dev, (enum dev_mem)mem, &props->memoryTypes[i]) == want) {
                    order[n++] = i;
                }
            }
        }
        dev->memory.n_order[mem] = n;
    }
}
