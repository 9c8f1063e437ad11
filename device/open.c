/* Logical devices: VkDevice with the features that are there and not masked, its queue and its
 * timeline. Everything that is made later is owned by its own file; close undoes them in order. */
#include "device/internal.h"

#include "base/mem.h"

#include <string.h>

/* Enabled features, chained. */
struct enable {
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceSubgroupSizeControlFeatures size_control;
    VkPhysicalDeviceShaderIntegerDotProductFeatures int_dot;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV coopmat2;
    const char *names[10];
    uint32_t n_names;
};

static VkBool32 has(const struct dev *dev, uint32_t cap)
{
    return (dev->info.caps.has & cap) != 0 ? VK_TRUE : VK_FALSE;
}

static void add(struct enable *e, void *item)
{
    VkBaseOutStructure *s = item;
    s->pNext = e->features.pNext;
    e->features.pNext = item;
}

static void enable_extensions(const struct dev *dev, struct enable *e)
{
    const struct phys *phys = dev->phys;
    bool v13 = phys->api >= VK_API_VERSION_1_3;
    if (has(dev, DEV_CAP_BUDGET)) {
        e->names[e->n_names++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    }
    if (has(dev, DEV_CAP_HOST_IMPORT)) {
        e->names[e->n_names++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    }
    if (has(dev, DEV_CAP_SUBGROUP_CONTROL) && !v13) {
        e->names[e->n_names++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
    if (has(dev, DEV_CAP_INT_DOT) && !v13) {
        e->names[e->n_names++] = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
    }
    if (has(dev, DEV_CAP_COOPMAT)) {
        e->names[e->n_names++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    }
    if (has(dev, DEV_CAP_COOPMAT2)) {
        e->names[e->n_names++] = VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME;
    }
    if (has(dev, DEV_CAP_CALIBRATED)) {
        e->names[e->n_names++] = VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME;
    }
    if ((phys->exts & EXT_PORTABILITY) != 0) {
        e->names[e->n_names++] = VK_KHR_PORTABILITY_SUBSET_EXTENSION_NAME;
    }
}

static void enable_coopmat2(uint32_t parts, VkPhysicalDeviceCooperativeMatrix2FeaturesNV *f)
{
    f->cooperativeMatrixWorkgroupScope = (parts & DEV_COOPMAT2_WORKGROUP) != 0;
    f->cooperativeMatrixFlexibleDimensions = (parts & DEV_COOPMAT2_FLEXIBLE) != 0;
    f->cooperativeMatrixReductions = (parts & DEV_COOPMAT2_REDUCE) != 0;
    f->cooperativeMatrixConversions = (parts & DEV_COOPMAT2_CONVERT) != 0;
    f->cooperativeMatrixPerElementOperations = (parts & DEV_COOPMAT2_PER_ELEMENT) != 0;
    f->cooperativeMatrixTensorAddressing = (parts & DEV_COOPMAT2_TENSOR) != 0;
    f->cooperativeMatrixBlockLoads = (parts & DEV_COOPMAT2_BLOCK_LOADS) != 0;
}

static void enable_features(const struct dev *dev, struct enable *e)
{
    *e = (struct enable){0};
    e->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    e->v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    e->v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    e->size_control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
    e->int_dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES;
    e->coopmat.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    e->coopmat2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV;

    e->features.features.shaderInt16 = has(dev, DEV_CAP_INT16);
    e->v11.storageBuffer16BitAccess = has(dev, DEV_CAP_STORAGE16);
    e->v12.timelineSemaphore = VK_TRUE;
    e->v12.shaderFloat16 = has(dev, DEV_CAP_FP16);
    e->v12.shaderInt8 = has(dev, DEV_CAP_INT8);
    e->v12.storageBuffer8BitAccess = has(dev, DEV_CAP_STORAGE8);
    /* with the memory model, atomics of other kernels need its device scope */
    e->v12.vulkanMemoryModel = has(dev, DEV_CAP_COOPMAT);
    e->v12.vulkanMemoryModelDeviceScope = has(dev, DEV_CAP_COOPMAT);
    add(e, &e->v11);
    add(e, &e->v12);
    if (has(dev, DEV_CAP_SUBGROUP_CONTROL)) {
        e->size_control.subgroupSizeControl = VK_TRUE;
        e->size_control.computeFullSubgroups = dev->phys->full_subgroups ? VK_TRUE : VK_FALSE;
        add(e, &e->size_control);
    }
    if (has(dev, DEV_CAP_INT_DOT)) {
        e->int_dot.shaderIntegerDotProduct = VK_TRUE;
        add(e, &e->int_dot);
    }
    if (has(dev, DEV_CAP_COOPMAT)) {
        e->coopmat.cooperativeMatrix = VK_TRUE;
        add(e, &e->coopmat);
    }
    if (has(dev, DEV_CAP_COOPMAT2)) {
        enable_coopmat2(dev->info.caps.coopmat2, &e->coopmat2);
        add(e, &e->coopmat2);
    }
    enable_extensions(dev, e);
}

static bool create_device(struct dev *dev)
{
    struct enable e;
    enable_features(dev, &e);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = dev->phys->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &e.features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = e.n_names,
                                     .ppEnabledExtensionNames = e.names};
    VkResult result = dev->inst->vk.CreateDevice(dev->phys->handle, &info, NULL, &dev->handle);
    if (!dev_check(dev, result, "vkCreateDevice")) {
        dev->handle = NULL;
        return false;
    }
    if (!loader_device(&dev->inst->vk, dev->handle, &dev->vk, dev->log)) {
        return false;
    }
    dev->vk.GetDeviceQueue(dev->handle, dev->phys->queue_family, 0, &dev->queue);
    return true;
}

static bool create_timeline(struct dev *dev)
{
    const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                            .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                        .pNext = &type};
    return dev_check(dev, dev->vk.CreateSemaphore(dev->handle, &info, NULL, &dev->timeline),
                     "vkCreateSemaphore");
}

static uint64_t choose_budget(const struct dev *dev, const struct dev_open_params *params)
{
    if (params->budget != 0) {
        return params->budget;
    }
    /* a tenth stays for the driver, the display and what was not foreseen */
    uint64_t free_bytes = dev->info.free_bytes;
    return (free_bytes - free_bytes / 10) / (params->sharers != 0 ? params->sharers : 1);
}

struct dev *dev_open(struct dev_instance *inst, const struct dev_open_params *params)
{
    if (params->index >= inst->n_phys) {
        log_error(inst->log, "there is no device %u, there are %u", params->index, inst->n_phys);
        return NULL;
    }
    const struct phys *phys = &inst->phys[params->index];
    if (!phys->info.usable) {
        log_error(inst->log, "device %u (%s) cannot be used: %s", params->index, phys->info.name,
                  phys->info.why_not);
        return NULL;
    }
    struct dev *dev = mem_alloc(1, sizeof *dev);
    if (dev == NULL) {
        log_error(inst->log, "out of memory for device %u", params->index);
        return NULL;
    }
    dev->inst = inst;
    dev->phys = phys;
    dev->log = inst->log;
    dev->info = phys->info;
    dev->info.caps = caps_mask(&phys->info.caps, params->caps_off);
    dev->info.free_bytes = caps_free_bytes(inst, phys, has(dev, DEV_CAP_BUDGET) == VK_TRUE);
    atomic_init(&dev->lost, false);
    atomic_init(&dev->submitted, 0);
    atomic_init(&dev->reached, 0);
    pthread_mutex_init(&dev->submit_lock, NULL);
    pthread_mutex_init(&dev->transfer.lock, NULL);
    pthread_mutex_init(&dev->kernels.lock, NULL);
    memory_init(dev, choose_budget(dev, params));
    if (!create_device(dev) || !create_timeline(dev)) {
        goto fail;
    }
    cache_open(dev, params);
    return dev;
fail:
    dev_close(dev);
    return NULL;
}

static void destroy_objects(struct dev *dev)
{
    /* a lost device still wants its work ended and its objects destroyed */
    dev->vk.DeviceWaitIdle(dev->handle);
    transfer_finish(dev);
    cache_save(dev);
    kernels_finish(dev);
    cache_close(dev);
    memory_finish(dev);
    if (dev->timeline != VK_NULL_HANDLE) {
        dev->vk.DestroySemaphore(dev->handle, dev->timeline, NULL);
    }
}

void dev_close(struct dev *dev)
{
    if (dev == NULL) {
        return;
    }
    if (dev->handle != NULL) {
        if (dev->queue != NULL) {
            destroy_objects(dev);
        }
        if (dev->vk.DestroyDevice != NULL) {
            dev->vk.DestroyDevice(dev->handle, NULL);
        }
    }
    mem_free(dev->kernels.path);
    mem_free(dev->kernels.folder);
    pthread_mutex_destroy(&dev->memory.lock);
    pthread_mutex_destroy(&dev->kernels.lock);
    pthread_mutex_destroy(&dev->transfer.lock);
    pthread_mutex_destroy(&dev->submit_lock);
    mem_free(dev);
}

const struct dev_info *dev_get_info(const struct dev *dev)
{
    return &dev->info;
}

const struct dev_caps *dev_get_caps(const struct dev *dev)
{
    return &dev->info.caps;
}

bool dev_is_lost(const struct dev *dev)
{
    return atomic_load(&dev->lost);
}

struct log *dev_get_log(const struct dev *dev)
{
    return dev->log;
}

void dev_set_name(struct dev *dev, VkObjectType type, uint64_t handle, const char *name)
{
    if (!dev->inst->validate || dev->inst->vk.SetDebugUtilsObjectNameEXT == NULL) {
        return;
    }
    const VkDebugUtilsObjectNameInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
        .objectType = type,
        .objectHandle = handle,
        .pObjectName = name};
    dev->inst->vk.SetDebugUtilsObjectNameEXT(dev->handle, &info);
}
