/* Wrappers around the loader's functions; see fault_vk.h. The pointers behind them are those of
 * vkGetInstanceProcAddr, which serve every device. */
#include "fault_vk.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_ENTRIES 8192u
#define SLICE_NS    20000000ull /* of a wait, between looks at the lost state */

/* Which device a queue or a command buffer belongs to. */
struct owner {
    const void *handle;
    uint32_t device;
};

#define FIELD(name, needed) PFN_vk##name name;

static struct {
    struct fault_vk *fault;
    void *lib;
    PFN_vkGetInstanceProcAddr get_proc;
    struct {
        VKFN_GLOBAL(FIELD)
        VKFN_INSTANCE(FIELD)
        VKFN_DEVICE(FIELD)
    } real;
    VkDevice devices[FAULT_VK_DEVICES];
    struct owner owners[MAP_ENTRIES];
} now;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t submit_lock = PTHREAD_MUTEX_INITIALIZER; /* submissions, and loss */

/* ---- owners; under `lock` ---- */

static struct owner *find_owner(const void *handle)
{
    uint32_t i = (uint32_t)((uintptr_t)handle >> 4) * 2654435761u % MAP_ENTRIES;
    for (uint32_t n = 0; n < MAP_ENTRIES; n++, i = (i + 1) % MAP_ENTRIES) {
        if (now.owners[i].handle == handle || now.owners[i].handle == NULL) {
            return &now.owners[i];
        }
    }
    fprintf(stderr, "fault_vk: more than %u handles\n", MAP_ENTRIES);
    abort();
}

static void set_owner(const void *handle, uint32_t device)
{
    pthread_mutex_lock(&lock);
    *find_owner(handle) = (struct owner){handle, device};
    pthread_mutex_unlock(&lock);
}

static uint32_t owner_of(const void *handle)
{
    const struct owner *owner = find_owner(handle);
    return owner->handle != NULL ? owner->device : FAULT_VK_ANY;
}

/* ---- faults ---- */

static bool is_lost(uint32_t device)
{
    pthread_mutex_lock(&lock);
    bool lost = device < FAULT_VK_DEVICES && now.fault->lost[device];
    pthread_mutex_unlock(&lock);
    return lost;
}

/* Ends what the device was given, then marks it. */
static void lose(uint32_t device)
{
    pthread_mutex_lock(&submit_lock);
    now.real.DeviceWaitIdle(now.devices[device]);
    pthread_mutex_lock(&lock);
    now.fault->lost[device] = true;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&submit_lock);
}

/* VK_SUCCESS: the driver is to be called. */
static VkResult fate(uint32_t function, const void *handle)
{
    struct fault_vk *f = now.fault;
    VkResult result = VK_SUCCESS;
    bool can_lose = (fault_legal(function) & FAULT_LOST) != 0, loses = false;
    pthread_mutex_lock(&lock);
    uint32_t device = owner_of(handle);
    f->calls_of[function]++;
    if (device != FAULT_VK_ANY && f->lost[device] && can_lose) {
        result = VK_ERROR_DEVICE_LOST;
    } else if ((f->only == NULL || strcmp(f->only, fault_name(function)) == 0) &&
               (f->device == FAULT_VK_ANY || f->device == device)) {
        f->calls++;
        if (f->calls == f->fail_at) {
            f->failed_in = fault_name(function);
            result = f->fail_with;
            loses = result == VK_ERROR_DEVICE_LOST && device != FAULT_VK_ANY;
        }
    }
    pthread_mutex_unlock(&lock);
    if (loses) {
        lose(device);
    }
    return result;
}

/* ---- the functions of fault.h ---- */

#define WRAP(fn, legal, first, params, args)                                                       \
    static VKAPI_ATTR VkResult VKAPI_CALL plain_##fn params                                        \
    {                                                                                              \
        VkResult result = fate(FAULT_##fn, (const void *)first);                                   \
        return result != VK_SUCCESS ? result : now.real.fn args;                                   \
    }
FAULT_FUNCTIONS(WRAP)

static void load(VkInstance instance)
{
    PFN_vkVoidFunction fn;
#define LOAD(name, needed)                                                                         \
    fn = now.get_proc(instance, "vk" #name);                                                       \
    memcpy(&now.real.name, &fn, sizeof fn);
    if (instance == NULL) {
        VKFN_GLOBAL(LOAD)
    } else {
        VKFN_INSTANCE(LOAD)
        VKFN_DEVICE(LOAD)
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL special_CreateInstance(const VkInstanceCreateInfo *info,
                                                             FAULT_ALLOC, VkInstance *out)
{
    VkResult result = plain_CreateInstance(info, alloc, out);
    if (result == VK_SUCCESS) {
        load(*out);
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL special_CreateDevice(VkPhysicalDevice physical,
                                                           const VkDeviceCreateInfo *info,
                                                           FAULT_ALLOC, VkDevice *out)
{
    VkResult result = plain_CreateDevice(physical, info, alloc, out);
    if (result == VK_SUCCESS) {
        if (now.fault->n_devices == FAULT_VK_DEVICES) {
            fprintf(stderr, "fault_vk: more than %u devices\n", FAULT_VK_DEVICES);
            abort();
        }
        now.devices[now.fault->n_devices] = *out;
        set_owner(*out, now.fault->n_devices++);
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL special_GetDeviceQueue(VkDevice device, uint32_t family,
                                                         uint32_t index, VkQueue *out)
{
    now.real.GetDeviceQueue(device, family, index, out);
    pthread_mutex_lock(&lock);
    uint32_t number = owner_of(device);
    pthread_mutex_unlock(&lock);
    set_owner(*out, number);
}

static VKAPI_ATTR VkResult VKAPI_CALL special_AllocateCommandBuffers(
    VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out)
{
    VkResult result = plain_AllocateCommandBuffers(device, info, out);
    pthread_mutex_lock(&lock);
    uint32_t number = owner_of(device);
    pthread_mutex_unlock(&lock);
    for (uint32_t i = 0; i < info->commandBufferCount && result == VK_SUCCESS; i++) {
        set_owner(out[i], number);
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL special_QueueSubmit(VkQueue queue, uint32_t n,
                                                          const VkSubmitInfo *info, VkFence fence)
{
    VkResult result = fate(FAULT_QueueSubmit, queue);
    if (result != VK_SUCCESS) {
        return result;
    }
    pthread_mutex_lock(&lock);
    uint32_t device = owner_of(queue);
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&submit_lock);
    result = is_lost(device) ? VK_ERROR_DEVICE_LOST : now.real.QueueSubmit(queue, n, info, fence);
    pthread_mutex_unlock(&submit_lock);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL special_WaitSemaphores(VkDevice handle,
                                                             const VkSemaphoreWaitInfo *info,
                                                             uint64_t timeout)
{
    VkResult result = fate(FAULT_WaitSemaphores, handle);
    if (result != VK_SUCCESS) {
        return result;
    }
    pthread_mutex_lock(&lock);
    uint32_t device = owner_of(handle);
    pthread_mutex_unlock(&lock);
    for (;;) {
        uint64_t slice = timeout < SLICE_NS ? timeout : SLICE_NS;
        result = now.real.WaitSemaphores(handle, info, slice);
        timeout -= slice;
        if (is_lost(device)) {
            return VK_ERROR_DEVICE_LOST;
        }
        if (result != VK_TIMEOUT || timeout == 0) {
            return result;
        }
    }
}

/* ---- finding them ---- */

#define FIND_AS(kind, fn)                                                                          \
    if (strcmp(name, "vk" #fn) == 0) {                                                             \
        PFN_vk##fn typed = kind##_##fn;                                                            \
        return (PFN_vkVoidFunction)typed;                                                          \
    }

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL special_GetDeviceProcAddr(VkDevice device,
                                                                          const char *name);

static PFN_vkVoidFunction find(const char *name)
{
    FIND_AS(special, CreateInstance)
    FIND_AS(special, CreateDevice)
    FIND_AS(special, GetDeviceQueue)
    FIND_AS(special, AllocateCommandBuffers)
    FIND_AS(special, QueueSubmit)
    FIND_AS(special, WaitSemaphores)
    FIND_AS(special, GetDeviceProcAddr)
#define FIND_PLAIN(fn, legal, first, params, args) FIND_AS(plain, fn)
    FAULT_FUNCTIONS(FIND_PLAIN)
    return NULL;
}

/* What the driver lacks stays missing. */
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL special_GetDeviceProcAddr(VkDevice device,
                                                                          const char *name)
{
    PFN_vkVoidFunction real = now.real.GetDeviceProcAddr(device, name);
    PFN_vkVoidFunction mine = find(name);
    return real != NULL && mine != NULL ? mine : real;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_proc(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction real = now.get_proc(instance, name), mine = find(name);
    return real != NULL && mine != NULL ? mine : real;
}

bool fault_vk_begin(struct fault_vk *fault)
{
    memset(&now, 0, sizeof now);
    now.fault = fault;
    now.lib = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = now.lib != NULL ? dlsym(now.lib, "vkGetInstanceProcAddr") : NULL;
    if (symbol == NULL) {
        fault_vk_end();
        return false;
    }
    memcpy(&now.get_proc, &symbol, sizeof symbol);
    load(NULL);
    return true;
}

void fault_vk_end(void)
{
    if (now.lib != NULL) {
        dlclose(now.lib);
    }
    memset(&now, 0, sizeof now);
}

void *fault_vk_get_proc(void)
{
    PFN_vkGetInstanceProcAddr fn = get_proc;
    void *out;
    memcpy(&out, &fn, sizeof out);
    return out;
}
