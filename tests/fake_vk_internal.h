/* Shared by the files of the fake: fake_vk.c (instance and physical devices), fake_vk_device.c
 * (objects of a device), fake_vk_kernel.c (pipelines), fake_vk_queue.c (command buffers and
 * submission), fake_vk_fence.c. */
#ifndef QUADRIGA_TESTS_FAKE_VK_INTERNAL_H
#define QUADRIGA_TESTS_FAKE_VK_INTERNAL_H

#include "fake_vk.h"

#include "device/vkfn.h"

#include <stddef.h>

#define HANDLE(type, object) ((type)(uintptr_t)(object))
#define OBJECT(type, handle) ((struct type *)(uintptr_t)(handle))

/* Returns fake_<fn>, its type checked, when `name` is its name. */
#define FAKE_FIND(fn)                                                                              \
    if (strcmp(name, "vk" #fn) == 0) {                                                             \
        PFN_vk##fn typed = fake_##fn;                                                              \
        return (PFN_vkVoidFunction)typed;                                                          \
    }

/* Also the handle of its queue. */
struct fake_device {
    const struct fake_gpu *gpu;
    uint64_t memory_used;
    bool lost;
};

struct fake_memory_object {
    uint64_t bytes;
    uint8_t *data, *owned; /* owned: to free; differs from data for imports */
    uint32_t type;
    struct fake_buffer *buffers; /* bound */
};

struct fake_buffer {
    uint64_t bytes, offset;
    struct fake_memory_object *memory;
    struct fake_buffer *next; /* of the memory */
};

struct fake_cmd_buffer {
    const struct fake_gpu *gpu;
    uint32_t n, cap;
    struct fake_command *commands;
    bool recording, ready;
    struct fake_cmd_buffer *next; /* of the pool */
};

struct fake_pool {
    struct fake_cmd_buffer *buffers;
};

extern struct fake_vk *fake_now;

/* The result of a call that can fail: VK_SUCCESS unless it is its turn, or its device is lost.
 * `lost_with`: the device, where the call may find it lost; NULL: none. */
VkResult fake_fallible(const char *name, void *lost_with);
void fake_wrong(const char *fmt, ...);
void *fake_object(size_t bytes); /* counted */
void fake_free(const void *object);
PFN_vkVoidFunction fake_device_function(const char *name);
PFN_vkVoidFunction fake_kernel_function(const char *name);
PFN_vkVoidFunction fake_queue_function(const char *name);
PFN_vkVoidFunction fake_fence_function(const char *name);
void fake_fence_signal(VkFence fence); /* none: VK_NULL_HANDLE */
bool fake_is_missing(const char *name);
/* Names of the extensions by which it tells how many cores it has -> how many; and their structs.
 */
uint32_t fake_core_extensions(const struct fake_gpu *gpu, const char **names);
bool fake_fill_cores(const struct fake_gpu *gpu, VkBaseOutStructure *s);
bool fake_has(const struct fake_gpu *gpu, uint32_t cap);

VKAPI_ATTR VkResult VKAPI_CALL fake_CreateDevice(VkPhysicalDevice physical,
                                                 const VkDeviceCreateInfo *info,
                                                 const VkAllocationCallbacks *alloc, VkDevice *out);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL fake_GetDeviceProcAddr(VkDevice device, const char *name);

#endif
