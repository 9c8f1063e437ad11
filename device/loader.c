/* Opens the Vulkan loader with dlopen, so that a program without Vulkan starts and can say so, and
 * fills the function tables. Leaves layers, extensions and instances to instance.c. */
#include "device/internal.h"

#include <dlfcn.h>
#include <string.h>

struct entry {
    const char *name;
    size_t offset;
    bool needed;
};

#define GLOBAL_ENTRY(name, needed)   {"vk" #name, offsetof(struct vkfn_global, name), needed},
#define INSTANCE_ENTRY(name, needed) {"vk" #name, offsetof(struct vkfn_instance, name), needed},
#define DEVICE_ENTRY(name, needed)   {"vk" #name, offsetof(struct vkfn_device, name), needed},

static const struct entry global_entries[] = {VKFN_GLOBAL(GLOBAL_ENTRY)};
static const struct entry instance_entries[] = {VKFN_INSTANCE(INSTANCE_ENTRY)};
static const struct entry device_entries[] = {VKFN_DEVICE(DEVICE_ENTRY)};

/* All tables hold function pointers of one size; they are copied as bytes. */
static bool put(void *table, const struct entry *entry, PFN_vkVoidFunction fn, struct log *log)
{
    if (fn == NULL && entry->needed) {
        log_error(log, "Vulkan function %s is missing: update the Vulkan loader and driver",
                  entry->name);
        return false;
    }
    memcpy((char *)table + entry->offset, &fn, sizeof fn);
    return true;
}

static void *open_library(struct log *log)
{
    static const char *const names[] = {"libvulkan.so.1", "libvulkan.so"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (lib != NULL) {
            return lib;
        }
    }
    log_error(log, "the Vulkan loader libvulkan.so.1 was not found: install libvulkan1");
    return NULL;
}

bool loader_open(struct loader *loader, void *get_proc, struct log *log)
{
    *loader = (struct loader){0};
    void *symbol = get_proc;
    if (symbol == NULL) {
        loader->lib = open_library(log);
        if (loader->lib == NULL) {
            return false;
        }
        symbol = dlsym(loader->lib, "vkGetInstanceProcAddr");
    }
    if (symbol == NULL) {
        log_error(log, "libvulkan.so.1 has no vkGetInstanceProcAddr: reinstall libvulkan1");
        goto fail;
    }
    memcpy(&loader->get_proc, &symbol, sizeof symbol);
    for (size_t i = 0; i < sizeof global_entries / sizeof global_entries[0]; i++) {
        const struct entry *e = &global_entries[i];
        if (!put(&loader->vk, e, loader->get_proc(NULL, e->name), log)) {
            goto fail;
        }
    }
    return true;
fail:
    loader_close(loader);
    return false;
}

void loader_close(struct loader *loader)
{
    if (loader->lib != NULL) {
        dlclose(loader->lib);
    }
    *loader = (struct loader){0};
}

bool loader_instance(const struct loader *loader, VkInstance instance, struct vkfn_instance *vk,
                     struct log *log)
{
    bool ok = true;
    for (size_t i = 0; i < sizeof instance_entries / sizeof instance_entries[0]; i++) {
        const struct entry *e = &instance_entries[i];
        ok = ok && put(vk, e, loader->get_proc(instance, e->name), log);
    }
    return ok;
}

bool loader_device(const struct vkfn_instance *instance, VkDevice device, struct vkfn_device *vk,
                   struct log *log)
{
    bool ok = true;
    for (size_t i = 0; i < sizeof device_entries / sizeof device_entries[0]; i++) {
        const struct entry *e = &device_entries[i];
        ok = ok && put(vk, e, instance->GetDeviceProcAddr(device, e->name), log);
    }
    return ok;
}

const char *vk_result_name(VkResult result)
{
    switch ((int)result) {
#define CASE(name)                                                                                 \
    case name:                                                                                     \
        return #name
        CASE(VK_SUCCESS);
        CASE(VK_NOT_READY);
        CASE(VK_TIMEOUT);
        CASE(VK_INCOMPLETE);
        CASE(VK_ERROR_OUT_OF_HOST_MEMORY);
        CASE(VK_ERROR_OUT_OF_DEVICE_MEMORY);
        CASE(VK_ERROR_INITIALIZATION_FAILED);
        CASE(VK_ERROR_DEVICE_LOST);
        CASE(VK_ERROR_MEMORY_MAP_FAILED);
        CASE(VK_ERROR_LAYER_NOT_PRESENT);
        CASE(VK_ERROR_EXTENSION_NOT_PRESENT);
        CASE(VK_ERROR_FEATURE_NOT_PRESENT);
        CASE(VK_ERROR_INCOMPATIBLE_DRIVER);
        CASE(VK_ERROR_TOO_MANY_OBJECTS);
        CASE(VK_ERROR_FRAGMENTED_POOL);
        CASE(VK_ERROR_OUT_OF_POOL_MEMORY);
        CASE(VK_ERROR_INVALID_EXTERNAL_HANDLE);
        CASE(VK_ERROR_INVALID_SHADER_NV);
#undef CASE
    default:
        return "an unknown VkResult";
    }
}
