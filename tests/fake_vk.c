/* The fake's instance and physical devices; see fake_vk.h. Devices are in fake_vk_device.c. */
#include "fake_vk_internal.h"

#include "device/device.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_vk *fake_now;
static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

VkResult fake_fallible(const char *name, void *lost_with)
{
    struct fake_vk *f = fake_now;
    struct fake_device *device = lost_with;
    VkResult result = VK_SUCCESS;
    uint32_t function = fault_find(name);
    if (function == FAULT_COUNT) {
        fake_wrong("%s is not in the table of fault.h", name);
        return VK_SUCCESS;
    }
    bool can_lose = (fault_legal(function) & FAULT_LOST) != 0;
    pthread_mutex_lock(&fake_lock);
    f->calls_of[function]++;
    if ((f->lost || (device != NULL && device->lost)) && can_lose) {
        result = VK_ERROR_DEVICE_LOST;
    } else if (f->only != NULL ? strcmp(f->only, name) == 0
                               : f->fail_with != VK_ERROR_DEVICE_LOST || can_lose) {
        f->calls++;
        if (f->calls == f->fail_at) {
            f->failed_in = fault_name(function);
            result = f->fail_with;
            bool lost = result == VK_ERROR_DEVICE_LOST && can_lose;
            if (lost && device != NULL) {
                device->lost = true;
            }
            f->lost = f->lost || (lost && device == NULL);
        }
    }
    pthread_mutex_unlock(&fake_lock);
    return result;
}

void fake_wrong(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "fake: wrong use: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    pthread_mutex_lock(&fake_lock);
    fake_now->wrong++;
    pthread_mutex_unlock(&fake_lock);
}

void *fake_object(size_t bytes)
{
    void *object = calloc(1, bytes);
    if (object == NULL) {
        abort();
    }
    pthread_mutex_lock(&fake_lock);
    fake_now->live++;
    pthread_mutex_unlock(&fake_lock);
    return object;
}

void fake_free(const void *object)
{
    if (object == NULL) {
        return;
    }
    pthread_mutex_lock(&fake_lock);
    fake_now->live--;
    pthread_mutex_unlock(&fake_lock);
    free((void *)(uintptr_t)object);
}

bool fake_has(const struct fake_gpu *gpu, uint32_t cap)
{
    return (gpu->caps & cap) != 0;
}

bool fake_is_missing(const char *name)
{
    return fake_now->missing != NULL && strcmp(fake_now->missing, name) == 0;
}

struct fake_gpu fake_vk_gpu(uint32_t number)
{
    struct fake_gpu gpu = {.name = "Fake GPU",
                           .type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                           .api = VK_MAKE_API_VERSION(0, 1, 3, 200),
                           .vendor_id = 0x1234,
                           .device_id = number,
                           .driver_id = VK_DRIVER_ID_MESA_RADV,
                           .driver_version = 7,
                           .conformant = true,
                           .caps = ~0u & ~(uint32_t)DEV_CAP_CPU,
                           .subgroup_size = 32,
                           .subgroup_min = 16,
                           .subgroup_max = 64,
                           .max_subgroups = 16,
                           .max_storage_range = 1u << 27,
                           .max_texels = 1u << 26,
                           .storage_align = 64,
                           .texel_align = 16,
                           .max_push = 128,
                           .max_invocations = 256,
                           .max_groups = 65535,
                           .max_shared = 32768,
                           .max_allocation = 1ull << 30,
                           .memory = FAKE_DISCRETE,
                           .heap_bytes = 1ull << 30,
                           .heap_budget = 1ull << 30};
    gpu.uuid[0] = (uint8_t)(number + 1);
    gpu.driver_uuid[0] = 99;
    gpu.cache_uuid[0] = 1;
    return gpu;
}

static uint32_t copy_names(const char *const *names, uint32_t n, uint32_t *count,
                           VkExtensionProperties *props)
{
    if (props == NULL) {
        *count = n;
        return n;
    }
    uint32_t m = *count < n ? *count : n;
    for (uint32_t i = 0; i < m; i++) {
        props[i] = (VkExtensionProperties){.specVersion = 1};
        snprintf(props[i].extensionName, sizeof props[i].extensionName, "%s", names[i]);
    }
    *count = m;
    return m;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_EnumerateInstanceVersion(uint32_t *version)
{
    *version = fake_now->loader_version != 0 ? fake_now->loader_version : VK_API_VERSION_1_3;
    return fake_fallible("vkEnumerateInstanceVersion", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_EnumerateInstanceExtensionProperties(
    const char *layer, uint32_t *count, VkExtensionProperties *props)
{
    static const char *const names[] = {"VK_KHR_portability_enumeration", "VK_EXT_debug_utils"};
    copy_names(names, layer == NULL ? 2 : 0, count, props);
    return fake_fallible("vkEnumerateInstanceExtensionProperties", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL
fake_EnumerateInstanceLayerProperties(uint32_t *count, VkLayerProperties *props)
{
    uint32_t n = fake_now->validation ? 1 : 0;
    if (props != NULL && *count >= n && n != 0) {
        props[0] = (VkLayerProperties){.specVersion = VK_API_VERSION_1_3};
        snprintf(props[0].layerName, sizeof props[0].layerName, "VK_LAYER_KHRONOS_validation");
    }
    *count = n;
    return fake_fallible("vkEnumerateInstanceLayerProperties", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateInstance(const VkInstanceCreateInfo *info,
                                                          const VkAllocationCallbacks *alloc,
                                                          VkInstance *out)
{
    (void)alloc;
    if (fake_now->no_driver) {
        return VK_ERROR_INCOMPATIBLE_DRIVER;
    }
    fake_now->portability = (info->flags & VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR) != 0;
    VkResult result = fake_fallible("vkCreateInstance", NULL);
    if (result == VK_SUCCESS) {
        *out = fake_object(8);
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_DestroyInstance(VkInstance instance,
                                                       const VkAllocationCallbacks *alloc)
{
    (void)alloc;
    fake_free(instance);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_EnumeratePhysicalDevices(VkInstance instance,
                                                                    uint32_t *count,
                                                                    VkPhysicalDevice *out)
{
    (void)instance;
    uint32_t n = fake_now->n_gpus;
    if (out != NULL) {
        n = *count < n ? *count : n;
        for (uint32_t i = 0; i < n; i++) {
            out[i] = (VkPhysicalDevice)(void *)&fake_now->gpus[i];
        }
    }
    *count = n;
    return fake_fallible("vkEnumeratePhysicalDevices", NULL);
}

static const struct fake_gpu *gpu_of(VkPhysicalDevice physical)
{
    return (const struct fake_gpu *)(void *)physical;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_EnumerateDeviceExtensionProperties(
    VkPhysicalDevice physical, const char *layer, uint32_t *count, VkExtensionProperties *props)
{
    (void)layer;
    const struct fake_gpu *g = gpu_of(physical);
    const char *names[8 + FAKE_CORES] = {VK_KHR_MAINTENANCE_4_EXTENSION_NAME};
    uint32_t n = 1;
    const struct {
        uint32_t cap;
        const char *name;
    } all[] = {{DEV_CAP_BUDGET, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME},
               {DEV_CAP_HOST_IMPORT, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME},
               {DEV_CAP_SUBGROUP_CONTROL, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME},
               {DEV_CAP_INT_DOT, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME},
               {DEV_CAP_COOPMAT, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME},
               {DEV_CAP_COOPMAT2, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME},
               {DEV_CAP_CALIBRATED, VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (fake_has(g, all[i].cap)) {
            names[n++] = all[i].name;
        }
    }
    n += fake_core_extensions(g, names + n);
    copy_names(names, n, count, props);
    return fake_fallible("vkEnumerateDeviceExtensionProperties", NULL);
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceProperties(VkPhysicalDevice physical,
                                                                   VkPhysicalDeviceProperties *p)
{
    const struct fake_gpu *g = gpu_of(physical);
    *p = (VkPhysicalDeviceProperties){.apiVersion = g->api,
                                      .driverVersion = g->driver_version,
                                      .vendorID = g->vendor_id,
                                      .deviceID = g->device_id,
                                      .deviceType = g->type};
    memcpy(p->pipelineCacheUUID, g->cache_uuid, 16);
    snprintf(p->deviceName, sizeof p->deviceName, "%s", g->name);
    VkPhysicalDeviceLimits *l = &p->limits;
    l->maxComputeWorkGroupInvocations = g->max_invocations;
    for (int i = 0; i < 3; i++) {
        l->maxComputeWorkGroupSize[i] = i < 2 ? g->max_invocations : 64;
        l->maxComputeWorkGroupCount[i] = g->max_groups;
    }
    l->maxComputeSharedMemorySize = g->max_shared;
    l->maxPushConstantsSize = g->max_push;
    l->maxPerStageDescriptorStorageBuffers = 8;
    l->maxStorageBufferRange = g->max_storage_range;
    l->maxTexelBufferElements = fake_has(g, DEV_CAP_TEXEL) ? g->max_texels : 65536;
    l->minStorageBufferOffsetAlignment = g->storage_align;
    l->minTexelBufferOffsetAlignment = g->texel_align;
    l->timestampPeriod = 2.0f;
}

static void fill_property(const struct fake_gpu *g, VkBaseOutStructure *s)
{
    switch ((int)s->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES: {
        VkPhysicalDeviceVulkan11Properties *p = (void *)s;
        memcpy(p->deviceUUID, g->uuid, 16);
        memcpy(p->driverUUID, g->driver_uuid, 16);
        p->subgroupSize = g->subgroup_size;
        p->subgroupSupportedStages = VK_SHADER_STAGE_COMPUTE_BIT;
        p->subgroupSupportedOperations = VK_SUBGROUP_FEATURE_BASIC_BIT;
        if (fake_has(g, DEV_CAP_SUBGROUP)) {
            p->subgroupSupportedOperations |= VK_SUBGROUP_FEATURE_VOTE_BIT |
                                              VK_SUBGROUP_FEATURE_ARITHMETIC_BIT |
                                              VK_SUBGROUP_FEATURE_BALLOT_BIT;
        }
        if (fake_has(g, DEV_CAP_SHUFFLE)) {
            p->subgroupSupportedOperations |= VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
        }
        p->maxMemoryAllocationSize = g->max_allocation;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES: {
        VkPhysicalDeviceVulkan12Properties *p = (void *)s;
        p->driverID = (VkDriverId)g->driver_id;
        snprintf(p->driverName, sizeof p->driverName, "fake");
        snprintf(p->driverInfo, sizeof p->driverInfo, "fake 1.0");
        p->conformanceVersion.major = g->conformant ? 1 : 0;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES: {
        VkPhysicalDeviceSubgroupSizeControlProperties *p = (void *)s;
        p->minSubgroupSize = g->subgroup_min;
        p->maxSubgroupSize = g->subgroup_max;
        p->maxComputeWorkgroupSubgroups = g->max_subgroups;
        p->requiredSubgroupSizeStages = VK_SHADER_STAGE_COMPUTE_BIT;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES:
        ((VkPhysicalDeviceMaintenance4Properties *)(void *)s)->maxBufferSize =
            g->max_allocation / 2;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV: {
        VkPhysicalDeviceCooperativeMatrix2PropertiesNV *p = (void *)s;
        p->cooperativeMatrixWorkgroupScopeMaxWorkgroupSize = 256;
        p->cooperativeMatrixFlexibleDimensionsMaxDimension = 256;
        p->cooperativeMatrixWorkgroupScopeReservedSharedMemory = 1024;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES:
        ((VkPhysicalDeviceShaderIntegerDotProductProperties *)(void *)s)
            ->integerDotProduct4x8BitPackedSignedAccelerated = VK_TRUE;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT:
        ((VkPhysicalDeviceExternalMemoryHostPropertiesEXT *)(void *)s)
            ->minImportedHostPointerAlignment = 4096;
        break;
    default:
        if (!fake_fill_cores(g, s)) {
            fake_wrong("properties of struct type %d were asked for", (int)s->sType);
        }
    }
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceProperties2(VkPhysicalDevice physical,
                                                                    VkPhysicalDeviceProperties2 *p)
{
    fake_GetPhysicalDeviceProperties(physical, &p->properties);
    for (VkBaseOutStructure *s = p->pNext; s != NULL; s = s->pNext) {
        fill_property(gpu_of(physical), s);
    }
}

static void fill_feature(const struct fake_gpu *g, VkBaseOutStructure *s)
{
    switch ((int)s->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES:
        ((VkPhysicalDeviceVulkan11Features *)(void *)s)->storageBuffer16BitAccess =
            fake_has(g, DEV_CAP_STORAGE16);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES: {
        VkPhysicalDeviceVulkan12Features *f = (void *)s;
        f->shaderFloat16 = fake_has(g, DEV_CAP_FP16);
        f->shaderInt8 = fake_has(g, DEV_CAP_INT8);
        f->storageBuffer8BitAccess = fake_has(g, DEV_CAP_STORAGE8);
        f->vulkanMemoryModel = f->vulkanMemoryModelDeviceScope = VK_TRUE;
        f->timelineSemaphore = !g->no_timeline;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
        VkPhysicalDeviceSubgroupSizeControlFeatures *f = (void *)s;
        f->subgroupSizeControl = fake_has(g, DEV_CAP_SUBGROUP_CONTROL);
        f->computeFullSubgroups = f->subgroupSizeControl;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES:
        ((VkPhysicalDeviceShaderIntegerDotProductFeatures *)(void *)s)->shaderIntegerDotProduct =
            fake_has(g, DEV_CAP_INT_DOT);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
        ((VkPhysicalDeviceMaintenance4Features *)(void *)s)->maintenance4 = VK_TRUE;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR:
        ((VkPhysicalDeviceCooperativeMatrixFeaturesKHR *)(void *)s)->cooperativeMatrix =
            fake_has(g, DEV_CAP_COOPMAT);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV: {
        VkPhysicalDeviceCooperativeMatrix2FeaturesNV *f = (void *)s;
        if (!fake_has(g, DEV_CAP_COOPMAT2)) {
            fake_wrong("features of VK_NV_cooperative_matrix2 were asked for without it");
        }
        f->cooperativeMatrixFlexibleDimensions = !g->coopmat2_rigid;
        f->cooperativeMatrixReductions = f->cooperativeMatrixConversions = VK_TRUE;
        f->cooperativeMatrixWorkgroupScope = f->cooperativeMatrixPerElementOperations =
            !g->coopmat2_narrow;
        break;
    }
    default:
        fake_wrong("features of struct type %d were asked for", (int)s->sType);
    }
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceFeatures2(VkPhysicalDevice physical,
                                                                  VkPhysicalDeviceFeatures2 *f)
{
    f->features.shaderInt16 = fake_has(gpu_of(physical), DEV_CAP_INT16);
    for (VkBaseOutStructure *s = f->pNext; s != NULL; s = s->pNext) {
        fill_feature(gpu_of(physical), s);
    }
}

static void add_type(VkPhysicalDeviceMemoryProperties *m, uint32_t heap, uint32_t flags)
{
    m->memoryTypes[m->memoryTypeCount++] = (VkMemoryType){flags, heap};
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceMemoryProperties2(
    VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *p)
{
    const uint32_t local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const uint32_t mapped =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const uint32_t cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const struct fake_gpu *g = gpu_of(physical);
    VkPhysicalDeviceMemoryProperties *m = &p->memoryProperties;
    *m = (VkPhysicalDeviceMemoryProperties){.memoryHeapCount = 1};
    m->memoryHeaps[0] = (VkMemoryHeap){g->heap_bytes, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
    if (g->memory == FAKE_UNIFIED) {
        add_type(m, 0, local | mapped | cached);
    } else {
        m->memoryHeapCount = 2;
        m->memoryHeaps[1] = (VkMemoryHeap){4ull << 30, 0};
        add_type(m, 0, local);
        add_type(m, 1, mapped);
        add_type(m, 1, mapped | cached);
        if (g->memory == FAKE_REBAR) {
            add_type(m, 0, local | mapped);
        }
    }
    for (VkBaseOutStructure *s = p->pNext; s != NULL; s = s->pNext) {
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT &&
            fake_has(g, DEV_CAP_BUDGET)) {
            VkPhysicalDeviceMemoryBudgetPropertiesEXT *b = (void *)s;
            b->heapBudget[0] = g->heap_budget;
            b->heapUsage[0] = g->heap_usage;
        } else {
            fake_wrong("memory properties of struct type %d were asked for", (int)s->sType);
        }
    }
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceQueueFamilyProperties(
    VkPhysicalDevice physical, uint32_t *count, VkQueueFamilyProperties *props)
{
    const struct fake_gpu *g = gpu_of(physical);
    if (props != NULL && *count >= 2) {
        props[0] = (VkQueueFamilyProperties){.queueFlags = VK_QUEUE_TRANSFER_BIT, .queueCount = 1};
        props[1] = (VkQueueFamilyProperties){.queueFlags = g->no_compute ? VK_QUEUE_TRANSFER_BIT
                                                                         : VK_QUEUE_COMPUTE_BIT,
                                             .queueCount = 1,
                                             .timestampValidBits = g->no_timestamps ? 0 : 48};
    }
    *count = 2;
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceFormatProperties(VkPhysicalDevice physical,
                                                                         VkFormat format,
                                                                         VkFormatProperties *props)
{
    (void)physical;
    (void)format;
    *props = (VkFormatProperties){.bufferFeatures = VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT};
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetPhysicalDeviceCooperativeMatrixPropertiesKHR(
    VkPhysicalDevice physical, uint32_t *count, VkCooperativeMatrixPropertiesKHR *props)
{
    if (!fake_has(gpu_of(physical), DEV_CAP_COOPMAT)) {
        fake_wrong("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR without its extension");
    }
    if (props != NULL && *count >= 1) {
        props[0].MSize = props[0].NSize = 16;
        props[0].KSize = 8;
        props[0].AType = props[0].BType = VK_COMPONENT_TYPE_FLOAT16_KHR;
        props[0].CType = props[0].ResultType = VK_COMPONENT_TYPE_FLOAT32_KHR;
        props[0].scope = VK_SCOPE_SUBGROUP_KHR;
    }
    if (props != NULL && *count >= 2) {
        props[1] = props[0];
        props[1].KSize = 32;
        props[1].AType = props[1].BType = VK_COMPONENT_TYPE_SINT8_KHR;
        props[1].CType = props[1].ResultType = VK_COMPONENT_TYPE_SINT32_KHR;
    }
    *count = 2;
    return fake_fallible("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetPhysicalDeviceCalibrateableTimeDomainsEXT(
    VkPhysicalDevice physical, uint32_t *count, VkTimeDomainEXT *domains)
{
    if (!fake_has(gpu_of(physical), DEV_CAP_CALIBRATED) || domains == NULL || *count < 2) {
        fake_wrong("time domains without the extension or the room");
        return VK_INCOMPLETE;
    }
    domains[0] = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT;
    domains[1] = VK_TIME_DOMAIN_DEVICE_EXT;
    *count = 2;
    return fake_fallible("vkGetPhysicalDeviceCalibrateableTimeDomainsEXT", NULL);
}

/* Of subgroup scope; of float16 sums; of workgroup scope, two that fit and one that is too wide. */
static VKAPI_ATTR VkResult VKAPI_CALL
fake_GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV(
    VkPhysicalDevice physical, uint32_t *count,
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV *props)
{
    static const uint32_t rows[5][5] = {{16, 8, 16, 0, 1},
                                        {16, 16, 16, 128, 0},
                                        {32, 64, 16, 512, 1},
                                        {32, 32, 16, 128, 1},
                                        {64, 32, 16, 256, 1}};
    if (!fake_has(gpu_of(physical), DEV_CAP_COOPMAT2)) {
        fake_wrong("flexible dimensions of matrices were asked for without their extension");
    }
    for (uint32_t i = 0; props != NULL && i < 5 && i < *count; i++) {
        VkComponentTypeKHR sums =
            rows[i][4] != 0 ? VK_COMPONENT_TYPE_FLOAT32_KHR : VK_COMPONENT_TYPE_FLOAT16_KHR;
        props[i].MGranularity = rows[i][0];
        props[i].NGranularity = rows[i][1];
        props[i].KGranularity = rows[i][2];
        props[i].AType = props[i].BType = VK_COMPONENT_TYPE_FLOAT16_KHR;
        props[i].CType = props[i].ResultType = sums;
        props[i].scope = rows[i][3] != 0 ? VK_SCOPE_WORKGROUP_KHR : VK_SCOPE_SUBGROUP_KHR;
        props[i].workgroupInvocations = rows[i][3];
    }
    *count = 5;
    return fake_fallible("vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV",
                         NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateDebugUtilsMessengerEXT(
    VkInstance instance, const VkDebugUtilsMessengerCreateInfoEXT *info,
    const VkAllocationCallbacks *alloc, VkDebugUtilsMessengerEXT *out)
{
    (void)instance;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateDebugUtilsMessengerEXT", NULL);
    if (result == VK_SUCCESS) {
        fake_now->messenger = *info;
        *out = HANDLE(VkDebugUtilsMessengerEXT, fake_object(8));
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_DestroyDebugUtilsMessengerEXT(
    VkInstance instance, VkDebugUtilsMessengerEXT messenger, const VkAllocationCallbacks *alloc)
{
    (void)instance;
    (void)alloc;
    fake_free((const void *)(uintptr_t)messenger);
}

static VKAPI_ATTR VkResult VKAPI_CALL
fake_SetDebugUtilsObjectNameEXT(VkDevice device, const VkDebugUtilsObjectNameInfoEXT *info)
{
    (void)device;
    if (info->objectHandle == 0 || info->pObjectName == NULL) {
        fake_wrong("a name for nothing");
    }
    return fake_fallible("vkSetDebugUtilsObjectNameEXT", NULL);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_proc(VkInstance instance, const char *name)
{
    (void)instance;
    if (fake_is_missing(name) || (!fake_now->validation && strstr(name, "DebugUtils") != NULL)) {
        return NULL;
    }
#define FIND(fn, needed) FAKE_FIND(fn)
    VKFN_GLOBAL(FIND)
    VKFN_INSTANCE(FIND)
#undef FIND
    return fake_device_function(name);
}

void fake_vk_begin(struct fake_vk *fake)
{
    fake_now = fake;
}

int32_t fake_vk_end(void)
{
    struct fake_vk *f = fake_now;
    free(f->cache_given);
    f->cache_given = NULL;
    fake_now = NULL;
    return f->live + (int32_t)f->wrong;
}

void *fake_vk_get_proc(void)
{
    PFN_vkGetInstanceProcAddr fn = get_proc;
    void *out;
    memcpy(&out, &fn, sizeof out);
    return out;
}
