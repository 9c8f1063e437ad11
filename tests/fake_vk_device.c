/* The fake's logical devices: memory, buffers, descriptors; see fake_vk.h. Shaders and
 * pipelines are in fake_vk_kernel.c, command buffers and the queue in fake_vk_queue.c. */
#include "fake_vk_internal.h"

#include "device/device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct fake_set_pool {
    uint32_t sets, storage, texel; /* left */
    uint32_t all[3];
};

struct fake_set_layout {
    uint32_t storage, texel;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool names_extension(const VkDeviceCreateInfo *info, const char *name)
{
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        if (strcmp(info->ppEnabledExtensionNames[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What is enabled of cooperative matrices is offered, its extension is named, and the second
 * extension comes with the first. */
static void check_matrices(const struct fake_gpu *g, const VkDeviceCreateInfo *info)
{
    bool one = false, two = false;
    for (const VkBaseInStructure *s = info->pNext; s != NULL; s = s->pNext) {
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR) {
            one = ((const VkPhysicalDeviceCooperativeMatrixFeaturesKHR *)(const void *)s)
                      ->cooperativeMatrix;
        } else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV) {
            const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *f = (const void *)s;
            two = f->cooperativeMatrixFlexibleDimensions && f->cooperativeMatrixReductions &&
                  f->cooperativeMatrixConversions;
            if ((g->coopmat2_narrow && (f->cooperativeMatrixWorkgroupScope ||
                                        f->cooperativeMatrixPerElementOperations)) ||
                f->cooperativeMatrixTensorAddressing || f->cooperativeMatrixBlockLoads) {
                fake_wrong("parts of VK_NV_cooperative_matrix2 are enabled that are not there");
            }
        }
    }
    if ((one && !fake_has(g, DEV_CAP_COOPMAT)) || (two && !fake_has(g, DEV_CAP_COOPMAT2)) ||
        (two && !one) || one != names_extension(info, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) ||
        two != names_extension(info, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME)) {
        fake_wrong("cooperative matrices are enabled without feature or extension");
    }
    fake_now->enabled_coopmat = one;
    fake_now->enabled_coopmat2 = two;
}

static void check_features(const struct fake_gpu *g, const VkDeviceCreateInfo *info)
{
    bool fp16 = false, int8 = false, s16 = false, timeline = false;
    for (const VkBaseInStructure *s = info->pNext; s != NULL; s = s->pNext) {
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES) {
            const VkPhysicalDeviceVulkan12Features *f = (const void *)s;
            fp16 = f->shaderFloat16;
            int8 = f->shaderInt8;
            timeline = f->timelineSemaphore;
        } else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES) {
            s16 = ((const VkPhysicalDeviceVulkan11Features *)(const void *)s)
                      ->storageBuffer16BitAccess;
        }
    }
    if ((fp16 && !fake_has(g, DEV_CAP_FP16)) || (int8 && !fake_has(g, DEV_CAP_INT8)) ||
        (s16 && !fake_has(g, DEV_CAP_STORAGE16)) || !timeline) {
        fake_wrong("vkCreateDevice enables features that are not there, or no timeline");
    }
    fake_now->enabled_fp16 = fp16;
    fake_now->enabled_int8 = int8;
    fake_now->enabled_storage16 = s16;
    check_matrices(g, info);
    fake_now->enabled_extensions = info->enabledExtensionCount;
}

VKAPI_ATTR VkResult VKAPI_CALL fake_CreateDevice(VkPhysicalDevice physical,
                                                 const VkDeviceCreateInfo *info,
                                                 const VkAllocationCallbacks *alloc, VkDevice *out)
{
    (void)alloc;
    check_features((const struct fake_gpu *)(void *)physical, info);
    VkResult result = fake_fallible("vkCreateDevice", NULL);
    if (result == VK_SUCCESS) {
        struct fake_device *device = fake_object(sizeof *device);
        device->gpu = (const struct fake_gpu *)(void *)physical;
        *out = (VkDevice)(void *)device;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_DestroyDevice(VkDevice device,
                                                     const VkAllocationCallbacks *alloc)
{
    (void)alloc;
    fake_free(device);
}

static VKAPI_ATTR void VKAPI_CALL fake_GetDeviceQueue(VkDevice device, uint32_t family,
                                                      uint32_t index, VkQueue *out)
{
    if (family != 1 || index != 0) {
        fake_wrong("queue %u of family %u", index, family);
    }
    *out = (VkQueue)(void *)device;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_DeviceWaitIdle(VkDevice device)
{
    (void)device;
    return fake_fallible("vkDeviceWaitIdle", device);
}

/* Most objects are nothing but alive. */
#define PLAIN_OBJECT(Name, Type, InfoType)                                                         \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_Create##Name(                                       \
        VkDevice device, const InfoType *info, const VkAllocationCallbacks *alloc, Type *out)      \
    {                                                                                              \
        (void)device;                                                                              \
        (void)info;                                                                                \
        (void)alloc;                                                                               \
        VkResult result = fake_fallible("vkCreate" #Name, NULL);                                   \
        if (result == VK_SUCCESS) {                                                                \
            *out = HANDLE(Type, fake_object(8));                                                   \
        }                                                                                          \
        return result;                                                                             \
    }                                                                                              \
    PLAIN_DESTROY(Name, Type)
#define PLAIN_DESTROY(Name, Type)                                                                  \
    static VKAPI_ATTR void VKAPI_CALL fake_Destroy##Name(VkDevice device, Type object,             \
                                                         const VkAllocationCallbacks *alloc)       \
    {                                                                                              \
        (void)device;                                                                              \
        (void)alloc;                                                                               \
        fake_free((const void *)(uintptr_t)object);                                                \
    }

PLAIN_OBJECT(Semaphore, VkSemaphore, VkSemaphoreCreateInfo)
PLAIN_OBJECT(QueryPool, VkQueryPool, VkQueryPoolCreateInfo)
PLAIN_DESTROY(DescriptorSetLayout, VkDescriptorSetLayout)
PLAIN_DESTROY(DescriptorPool, VkDescriptorPool)
PLAIN_DESTROY(PipelineCache, VkPipelineCache)
PLAIN_DESTROY(BufferView, VkBufferView)

/* ---- memory and buffers ---- */

static VKAPI_ATTR VkResult VKAPI_CALL fake_AllocateMemory(VkDevice device,
                                                          const VkMemoryAllocateInfo *info,
                                                          const VkAllocationCallbacks *alloc,
                                                          VkDeviceMemory *out)
{
    (void)alloc;
    struct fake_device *d = (struct fake_device *)(void *)device;
    VkResult result = fake_fallible("vkAllocateMemory", NULL);
    if (result != VK_SUCCESS) {
        return result;
    }
    if (info->allocationSize > d->gpu->max_allocation) {
        fake_wrong("an allocation above maxMemoryAllocationSize");
    }
    if (d->gpu->memory_left != 0 && d->memory_used + info->allocationSize > d->gpu->memory_left) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    struct fake_memory_object *m = fake_object(sizeof *m);
    m->bytes = info->allocationSize;
    m->type = info->memoryTypeIndex;
    const VkImportMemoryHostPointerInfoEXT *import = info->pNext;
    if (import != NULL && !d->gpu->import_broken) {
        m->data = import->pHostPointer;
    } else {
        m->data = m->owned = calloc(1, (size_t)m->bytes);
    }
    d->memory_used += m->bytes;
    *out = HANDLE(VkDeviceMemory, m);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL fake_FreeMemory(VkDevice device, VkDeviceMemory memory,
                                                  const VkAllocationCallbacks *alloc)
{
    (void)alloc;
    struct fake_memory_object *m = OBJECT(fake_memory_object, memory);
    if (m == NULL) {
        return;
    }
    if (m->buffers != NULL) {
        fake_wrong("memory is freed with buffers in it");
    }
    ((struct fake_device *)(void *)device)->memory_used -= m->bytes;
    free(m->owned);
    fake_free(m);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_MapMemory(VkDevice device, VkDeviceMemory memory,
                                                     VkDeviceSize offset, VkDeviceSize size,
                                                     VkMemoryMapFlags flags, void **out)
{
    (void)device;
    (void)size;
    (void)flags;
    *out = OBJECT(fake_memory_object, memory)->data + offset;
    return fake_fallible("vkMapMemory", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateBuffer(VkDevice device,
                                                        const VkBufferCreateInfo *info,
                                                        const VkAllocationCallbacks *alloc,
                                                        VkBuffer *out)
{
    (void)device;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateBuffer", NULL);
    if (result == VK_SUCCESS) {
        struct fake_buffer *b = fake_object(sizeof *b);
        b->bytes = info->size;
        *out = HANDLE(VkBuffer, b);
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_DestroyBuffer(VkDevice device, VkBuffer buffer,
                                                     const VkAllocationCallbacks *alloc)
{
    (void)device;
    (void)alloc;
    struct fake_buffer *b = OBJECT(fake_buffer, buffer);
    if (b != NULL && b->memory != NULL) {
        pthread_mutex_lock(&lock);
        struct fake_buffer **link = &b->memory->buffers;
        while (*link != b) {
            link = &(*link)->next;
        }
        *link = b->next;
        pthread_mutex_unlock(&lock);
    }
    fake_free(b);
}

#define BUFFER_ALIGN 128u

static VKAPI_ATTR void VKAPI_CALL fake_GetBufferMemoryRequirements(VkDevice device, VkBuffer buffer,
                                                                   VkMemoryRequirements *req)
{
    (void)device;
    uint64_t bytes = OBJECT(fake_buffer, buffer)->bytes;
    *req = (VkMemoryRequirements){.size = (bytes + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN,
                                  .alignment = BUFFER_ALIGN,
                                  .memoryTypeBits = 0xf};
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_BindBufferMemory(VkDevice device, VkBuffer buffer,
                                                            VkDeviceMemory memory,
                                                            VkDeviceSize offset)
{
    (void)device;
    struct fake_buffer *b = OBJECT(fake_buffer, buffer);
    struct fake_memory_object *m = OBJECT(fake_memory_object, memory);
    VkResult result = fake_fallible("vkBindBufferMemory", NULL);
    if (result != VK_SUCCESS) {
        return result;
    }
    if (offset % BUFFER_ALIGN != 0 || b->memory != NULL || offset + b->bytes > m->bytes) {
        fake_wrong("a buffer of %llu bytes is bound at %llu of %llu", (unsigned long long)b->bytes,
                   (unsigned long long)offset, (unsigned long long)m->bytes);
    }
    pthread_mutex_lock(&lock);
    for (const struct fake_buffer *o = m->buffers; o != NULL; o = o->next) {
        if (offset < o->offset + o->bytes && o->offset < offset + b->bytes) {
            fake_wrong("two buffers overlap at %llu", (unsigned long long)offset);
        }
    }
    b->memory = m;
    b->offset = offset;
    b->next = m->buffers;
    m->buffers = b;
    pthread_mutex_unlock(&lock);
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateBufferView(VkDevice device,
                                                            const VkBufferViewCreateInfo *info,
                                                            const VkAllocationCallbacks *alloc,
                                                            VkBufferView *out)
{
    (void)alloc;
    const struct fake_gpu *g = ((const struct fake_device *)(void *)device)->gpu;
    const struct fake_buffer *b = OBJECT(fake_buffer, info->buffer);
    if (!fake_has(g, DEV_CAP_TEXEL) || info->range / 16 > g->max_texels) {
        fake_wrong("a view of %llu bytes is beyond texel buffers", (unsigned long long)info->range);
    }
    if (info->offset % g->texel_align != 0 || info->range % 16 != 0 ||
        info->offset + info->range > b->bytes) {
        fake_wrong("a view of bytes %llu + %llu", (unsigned long long)info->offset,
                   (unsigned long long)info->range);
    }
    VkResult result = fake_fallible("vkCreateBufferView", NULL);
    if (result == VK_SUCCESS) {
        *out = HANDLE(VkBufferView, fake_object(8));
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL
fake_GetMemoryHostPointerPropertiesEXT(VkDevice device, VkExternalMemoryHandleTypeFlagBits type,
                                       const void *host, VkMemoryHostPointerPropertiesEXT *props)
{
    (void)type;
    const struct fake_gpu *g = ((struct fake_device *)(void *)device)->gpu;
    if (!fake_has(g, DEV_CAP_HOST_IMPORT) || (uintptr_t)host % 4096 != 0) {
        fake_wrong("import of host memory without the extension or the alignment");
    }
    props->memoryTypeBits = g->memory == FAKE_UNIFIED ? 1u : 4u;
    return fake_fallible("vkGetMemoryHostPointerPropertiesEXT", NULL);
}

/* The device's clock reads 500 when the host's reads 7000 ns, 2 ns a tick. */
static VKAPI_ATTR VkResult VKAPI_CALL fake_GetCalibratedTimestampsEXT(
    VkDevice device, uint32_t n, const VkCalibratedTimestampInfoEXT *infos, uint64_t *stamps,
    uint64_t *error)
{
    const struct fake_gpu *g = ((struct fake_device *)(void *)device)->gpu;
    if (!fake_has(g, DEV_CAP_CALIBRATED)) {
        fake_wrong("calibrated timestamps without the extension");
    }
    for (uint32_t i = 0; i < n; i++) {
        stamps[i] = infos[i].timeDomain == VK_TIME_DOMAIN_DEVICE_EXT ? 500 + (1ull << 60) : 7000;
    }
    *error = 30;
    return fake_fallible("vkGetCalibratedTimestampsEXT", device);
}

/* ---- descriptors and the pipeline cache ---- */

static VKAPI_ATTR VkResult VKAPI_CALL
fake_CreateDescriptorSetLayout(VkDevice device, const VkDescriptorSetLayoutCreateInfo *info,
                               const VkAllocationCallbacks *alloc, VkDescriptorSetLayout *out)
{
    (void)device;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateDescriptorSetLayout", NULL);
    if (result == VK_SUCCESS) {
        struct fake_set_layout *l = fake_object(sizeof *l);
        for (uint32_t i = 0; i < info->bindingCount; i++) {
            bool storage = info->pBindings[i].descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            l->storage += storage ? 1 : 0;
            l->texel += storage ? 0 : 1;
        }
        *out = HANDLE(VkDescriptorSetLayout, l);
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL
fake_CreateDescriptorPool(VkDevice device, const VkDescriptorPoolCreateInfo *info,
                          const VkAllocationCallbacks *alloc, VkDescriptorPool *out)
{
    (void)device;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateDescriptorPool", NULL);
    if (result == VK_SUCCESS) {
        struct fake_set_pool *p = fake_object(sizeof *p);
        p->all[0] = p->sets = info->maxSets;
        p->all[1] = p->storage = info->pPoolSizes[0].descriptorCount;
        p->all[2] = p->texel = info->pPoolSizes[1].descriptorCount;
        *out = HANDLE(VkDescriptorPool, p);
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_ResetDescriptorPool(VkDevice device,
                                                               VkDescriptorPool pool,
                                                               VkDescriptorPoolResetFlags flags)
{
    (void)device;
    (void)flags;
    struct fake_set_pool *p = OBJECT(fake_set_pool, pool);
    p->sets = p->all[0];
    p->storage = p->all[1];
    p->texel = p->all[2];
    return fake_fallible("vkResetDescriptorPool", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_AllocateDescriptorSets(
    VkDevice device, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out)
{
    (void)device;
    struct fake_set_pool *p = OBJECT(fake_set_pool, info->descriptorPool);
    const struct fake_set_layout *l = OBJECT(fake_set_layout, info->pSetLayouts[0]);
    VkResult result = fake_fallible("vkAllocateDescriptorSets", NULL);
    if (result != VK_SUCCESS) {
        return result;
    }
    if (p->sets < 1 || p->storage < l->storage || p->texel < l->texel) {
        fake_wrong("a descriptor pool is overdrawn");
        return VK_ERROR_OUT_OF_POOL_MEMORY;
    }
    p->sets--;
    p->storage -= l->storage;
    p->texel -= l->texel;
    *out = HANDLE(VkDescriptorSet, p); /* freed with the pool */
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL fake_UpdateDescriptorSets(VkDevice device, uint32_t n,
                                                            const VkWriteDescriptorSet *writes,
                                                            uint32_t n_copies,
                                                            const VkCopyDescriptorSet *copies)
{
    (void)n_copies;
    (void)copies;
    const struct fake_gpu *g = ((struct fake_device *)(void *)device)->gpu;
    for (uint32_t i = 0; i < n; i++) {
        const VkDescriptorBufferInfo *b = writes[i].pBufferInfo;
        if (b != NULL && (b->offset % g->storage_align != 0 || b->range > g->max_storage_range ||
                          b->offset + b->range > OBJECT(fake_buffer, b->buffer)->bytes)) {
            fake_wrong("a descriptor of bytes %llu + %llu", (unsigned long long)b->offset,
                       (unsigned long long)b->range);
        }
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL
fake_CreatePipelineCache(VkDevice device, const VkPipelineCacheCreateInfo *info,
                         const VkAllocationCallbacks *alloc, VkPipelineCache *out)
{
    (void)device;
    (void)alloc;
    VkResult result = fake_fallible("vkCreatePipelineCache", NULL);
    if (result == VK_SUCCESS) {
        free(fake_now->cache_given);
        fake_now->cache_given = NULL;
        fake_now->cache_given_bytes = info->initialDataSize;
        if (info->initialDataSize != 0) {
            fake_now->cache_given = calloc(1, info->initialDataSize);
            memcpy(fake_now->cache_given, info->pInitialData, info->initialDataSize);
        }
        *out = HANDLE(VkPipelineCache, fake_object(8));
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetPipelineCacheData(VkDevice device,
                                                                VkPipelineCache cache,
                                                                size_t *bytes, void *data)
{
    (void)device;
    (void)cache;
    if (data != NULL) {
        for (size_t i = 0; i < *bytes; i++) {
            ((uint8_t *)data)[i] = (uint8_t)(i * 31 + 5);
        }
    } else {
        *bytes = fake_now->cache_bytes != 0 ? fake_now->cache_bytes : 100;
    }
    return fake_fallible("vkGetPipelineCacheData", NULL);
}

uint32_t fake_core_extensions(const struct fake_gpu *gpu, const char **names)
{
    static const char *const ALL[FAKE_CORES] = {VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME,
                                                VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME,
                                                VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME};
    uint32_t n = 0;
    for (size_t i = 0; i < FAKE_CORES; i++) {
        if (gpu->cores[i] != 0) {
            names[n++] = ALL[i];
        }
    }
    return n;
}

bool fake_fill_cores(const struct fake_gpu *gpu, VkBaseOutStructure *s)
{
    switch ((int)s->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV:
        ((VkPhysicalDeviceShaderSMBuiltinsPropertiesNV *)(void *)s)->shaderSMCount =
            gpu->cores[FAKE_CORES_NV];
        return true;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD:
        ((VkPhysicalDeviceShaderCoreProperties2AMD *)(void *)s)->activeComputeUnitCount =
            gpu->cores[FAKE_CORES_AMD];
        return true;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM:
        ((VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM *)(void *)s)->shaderCoreCount =
            gpu->cores[FAKE_CORES_ARM];
        return true;
    default:
        return false;
    }
}

#define DEVICE_FUNCTIONS(X)                                                                        \
    X(DestroyDevice)                                                                               \
    X(GetDeviceQueue)                                                                              \
    X(DeviceWaitIdle)                                                                              \
    X(CreateSemaphore)                                                                             \
    X(DestroySemaphore)                                                                            \
    X(AllocateMemory)                                                                              \
    X(FreeMemory)                                                                                  \
    X(MapMemory)                                                                                   \
    X(CreateBuffer)                                                                                \
    X(DestroyBuffer)                                                                               \
    X(GetBufferMemoryRequirements)                                                                 \
    X(BindBufferMemory)                                                                            \
    X(CreateBufferView)                                                                            \
    X(DestroyBufferView)                                                                           \
    X(CreateDescriptorSetLayout)                                                                   \
    X(DestroyDescriptorSetLayout)                                                                  \
    X(CreatePipelineCache)                                                                         \
    X(DestroyPipelineCache)                                                                        \
    X(GetPipelineCacheData)                                                                        \
    X(CreateDescriptorPool)                                                                        \
    X(DestroyDescriptorPool)                                                                       \
    X(ResetDescriptorPool)                                                                         \
    X(AllocateDescriptorSets)                                                                      \
    X(UpdateDescriptorSets)                                                                        \
    X(CreateQueryPool)                                                                             \
    X(DestroyQueryPool)                                                                            \
    X(GetMemoryHostPointerPropertiesEXT)                                                           \
    X(GetCalibratedTimestampsEXT)

PFN_vkVoidFunction fake_device_function(const char *name)
{
    DEVICE_FUNCTIONS(FAKE_FIND)
    return fake_kernel_function(name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL fake_GetDeviceProcAddr(VkDevice device, const char *name)
{
    (void)device;
    return fake_is_missing(name) ? NULL : fake_device_function(name);
}
