/* The only place that reads features and limits: a physical device becomes a dev_info with its
 * dev_caps. Leaves driver faults to quirks.c and enabling to open.c. */
#include "device/internal.h"

#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>

/* Every struct that is asked for, chained only when the version or extension gives it. */
struct query {
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceSubgroupSizeControlFeatures size_control;
    VkPhysicalDeviceShaderIntegerDotProductFeatures int_dot;
    VkPhysicalDeviceMaintenance4Features maintenance4;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV coopmat2;

    VkPhysicalDeviceProperties2 props;
    VkPhysicalDeviceVulkan11Properties p11;
    VkPhysicalDeviceVulkan12Properties p12;
    VkPhysicalDeviceSubgroupSizeControlProperties p_size;
    VkPhysicalDeviceMaintenance4Properties p_maintenance4;
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV p_coopmat2;
    VkPhysicalDeviceShaderIntegerDotProductProperties p_int_dot;
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT p_import;
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV p_cores_nv;
    VkPhysicalDeviceShaderCoreProperties2AMD p_cores_amd;
    VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM p_cores_arm;
};

static bool read_extensions(const struct dev_instance *inst, struct phys *phys)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } wanted[] = {
        {VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, EXT_MEMORY_BUDGET},
        {VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, EXT_HOST_IMPORT},
        {VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, EXT_SIZE_CONTROL},
        {VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME, EXT_INT_DOT},
        {VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, EXT_COOPMAT},
        {VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME, EXT_COOPMAT2},
        {VK_KHR_MAINTENANCE_4_EXTENSION_NAME, EXT_MAINTENANCE4},
        {VK_KHR_PORTABILITY_SUBSET_EXTENSION_NAME, EXT_PORTABILITY},
        {VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME, EXT_CALIBRATED},
        {VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME, EXT_CORES_NV},
        {VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME, EXT_CORES_AMD},
        {VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME, EXT_CORES_ARM},
    };
    uint32_t n = 0;
    VkResult result = inst->vk.EnumerateDeviceExtensionProperties(phys->handle, NULL, &n, NULL);
    VkExtensionProperties *ext = mem_alloc(n != 0 ? n : 1, sizeof *ext);
    if (ext == NULL) {
        log_error(inst->log, "out of memory for %u extensions of %s", n, phys->info.name);
        return false;
    }
    if (result >= 0) {
        result = inst->vk.EnumerateDeviceExtensionProperties(phys->handle, NULL, &n, ext);
    }
    if (result < 0) {
        log_warn(inst->log,
                 "%s is used without extensions: vkEnumerateDeviceExtensionProperties: %s",
                 phys->info.name, vk_result_name(result));
        n = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        for (size_t w = 0; w < sizeof wanted / sizeof wanted[0]; w++) {
            if (strcmp(ext[i].extensionName, wanted[w].name) == 0) {
                phys->exts |= wanted[w].bit;
            }
        }
    }
    mem_free(ext);
    return true;
}

static void chain(void **tail, void *item)
{
    VkBaseOutStructure *s = item;
    s->pNext = *tail;
    *tail = s;
}

static void run_query(const struct dev_instance *inst, struct phys *phys, struct query *q)
{
    bool v13 = phys->api >= VK_API_VERSION_1_3;
    *q = (struct query){0};
    q->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    q->v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    q->v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    q->size_control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
    q->int_dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES;
    q->maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES;
    q->coopmat.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    q->coopmat2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV;
    q->props.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    q->p11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
    q->p12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES;
    q->p_size.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
    q->p_maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES;
    q->p_coopmat2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV;
    q->p_int_dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES;
    q->p_import.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT;

    q->p_cores_nv.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV;
    q->p_cores_amd.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD;
    q->p_cores_arm.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM;

    void **f = &q->features.pNext, **p = &q->props.pNext;
    chain(f, &q->v11);
    chain(f, &q->v12);
    chain(p, &q->p11);
    chain(p, &q->p12);
    if (v13 || (phys->exts & EXT_SIZE_CONTROL) != 0) {
        chain(f, &q->size_control);
        chain(p, &q->p_size);
    }
    if (v13 || (phys->exts & EXT_INT_DOT) != 0) {
        chain(f, &q->int_dot);
        chain(p, &q->p_int_dot);
    }
    if (v13 || (phys->exts & EXT_MAINTENANCE4) != 0) {
        chain(f, &q->maintenance4);
        chain(p, &q->p_maintenance4);
    }
    if ((phys->exts & EXT_COOPMAT) != 0) {
        chain(f, &q->coopmat);
    }
    if ((phys->exts & EXT_COOPMAT2) != 0) {
        chain(f, &q->coopmat2);
        chain(p, &q->p_coopmat2);
    }
    if ((phys->exts & EXT_HOST_IMPORT) != 0) {
        chain(p, &q->p_import);
    }
    if ((phys->exts & EXT_CORES_NV) != 0) {
        chain(p, &q->p_cores_nv);
    }
    if ((phys->exts & EXT_CORES_AMD) != 0) {
        chain(p, &q->p_cores_amd);
    }
    if ((phys->exts & EXT_CORES_ARM) != 0) {
        chain(p, &q->p_cores_arm);
    }
    inst->vk.GetPhysicalDeviceFeatures2(phys->handle, &q->features);
    inst->vk.GetPhysicalDeviceProperties2(phys->handle, &q->props);
}

static bool texel_format(const struct dev_instance *inst, const struct phys *phys, VkFormat format)
{
    VkFormatProperties props = {0};
    inst->vk.GetPhysicalDeviceFormatProperties(phys->handle, format, &props);
    return (props.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT) != 0;
}

static bool is_coopmat(const VkCooperativeMatrixPropertiesKHR *m, VkComponentTypeKHR of,
                       VkComponentTypeKHR sums)
{
    return m->AType == of && m->BType == of && m->CType == sums && m->ResultType == sums &&
           m->scope == VK_SCOPE_SUBGROUP_KHR;
}

/* The first float16 x float16 + float32 shape of subgroup scope, and the first of bytes. The
 * function is only called when the extension is there: old loaders crash otherwise. */
static bool read_coopmat(const struct dev_instance *inst, const struct phys *phys,
                         struct dev_caps *caps)
{
    if (inst->vk.GetPhysicalDeviceCooperativeMatrixPropertiesKHR == NULL) {
        return false;
    }
    VkCooperativeMatrixPropertiesKHR props[64];
    for (uint32_t i = 0; i < 64; i++) {
        props[i] = (VkCooperativeMatrixPropertiesKHR){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    }
    uint32_t n = 64;
    if (inst->vk.GetPhysicalDeviceCooperativeMatrixPropertiesKHR(phys->handle, &n, props) < 0) {
        return false;
    }
    for (uint32_t i = 0; i < n && caps->coopmat_m == 0; i++) {
        if (is_coopmat(&props[i], VK_COMPONENT_TYPE_FLOAT16_KHR, VK_COMPONENT_TYPE_FLOAT32_KHR)) {
            caps->coopmat_m = props[i].MSize;
            caps->coopmat_n = props[i].NSize;
            caps->coopmat_k = props[i].KSize;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        bool bytes =
            is_coopmat(&props[i], VK_COMPONENT_TYPE_SINT8_KHR, VK_COMPONENT_TYPE_SINT32_KHR);
        if (bytes && caps->coopmat_s8_m == 0) {
            caps->coopmat_s8_m = props[i].MSize;
            caps->coopmat_s8_n = props[i].NSize;
            caps->coopmat_s8_k = props[i].KSize;
        }
        caps->coopmat_f16_sums |=
            is_coopmat(&props[i], VK_COMPONENT_TYPE_FLOAT16_KHR, VK_COMPONENT_TYPE_FLOAT16_KHR) &&
            props[i].MSize == caps->coopmat_m && props[i].NSize == caps->coopmat_n &&
            props[i].KSize == caps->coopmat_k;
    }
    return caps->coopmat_m != 0;
}

static uint32_t coopmat2_parts(const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *f)
{
    const struct {
        VkBool32 present;
        uint32_t part;
    } parts[] = {
        {f->cooperativeMatrixWorkgroupScope, DEV_COOPMAT2_WORKGROUP},
        {f->cooperativeMatrixFlexibleDimensions, DEV_COOPMAT2_FLEXIBLE},
        {f->cooperativeMatrixReductions, DEV_COOPMAT2_REDUCE},
        {f->cooperativeMatrixConversions, DEV_COOPMAT2_CONVERT},
        {f->cooperativeMatrixPerElementOperations, DEV_COOPMAT2_PER_ELEMENT},
        {f->cooperativeMatrixTensorAddressing, DEV_COOPMAT2_TENSOR},
        {f->cooperativeMatrixBlockLoads, DEV_COOPMAT2_BLOCK_LOADS},
    };
    uint32_t out = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        out |= parts[i].present != VK_FALSE ? parts[i].part : 0u;
    }
    return (out & DEV_COOPMAT2_FLEXIBLE) != 0 ? out : 0;
}

/* Its shaders are of SPIR-V 1.6, and their workgroup sizes those of maintenance4. */
static void read_coopmat2(const struct dev_instance *inst, const struct query *q, struct phys *phys)
{
    struct dev_caps *caps = &phys->info.caps;
    if (phys->api < VK_API_VERSION_1_3 || q->maintenance4.maintenance4 != VK_TRUE) {
        return;
    }
    caps->coopmat2 = coopmat2_parts(&q->coopmat2);
    if (caps->coopmat2 != 0) {
        caps->has |= DEV_CAP_COOPMAT2;
        flexible_read(inst, phys, &q->p_coopmat2, caps);
    }
}

static void read_subgroup(const struct query *q, struct phys *phys)
{
    const VkSubgroupFeatureFlags base =
        VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_VOTE_BIT |
        VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT;
    struct dev_caps *caps = &phys->info.caps;
    VkSubgroupFeatureFlags ops = q->p11.subgroupSupportedOperations;
    uint32_t size = q->p11.subgroupSize;
    if ((q->p11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) == 0 || size == 0) {
        ops = 0;
    }
    caps->has |= (ops & base) == base ? DEV_CAP_SUBGROUP : 0u;
    caps->has |=
        (ops & base) == base && (ops & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0 ? DEV_CAP_SHUFFLE : 0u;
    caps->subgroup_size = caps->subgroup_min = caps->subgroup_max = size != 0 ? size : 1;
    if (q->size_control.subgroupSizeControl == VK_TRUE && size != 0 &&
        (q->p_size.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0) {
        caps->has |= DEV_CAP_SUBGROUP_CONTROL;
        caps->subgroup_min = q->p_size.minSubgroupSize;
        caps->subgroup_max = q->p_size.maxSubgroupSize;
        caps->max_workgroup_subgroups = q->p_size.maxComputeWorkgroupSubgroups;
        phys->full_subgroups = q->size_control.computeFullSubgroups == VK_TRUE;
    }
}

static void read_features(const struct dev_instance *inst, const struct query *q, struct phys *phys)
{
    struct dev_caps *caps = &phys->info.caps;
    const struct {
        VkBool32 present;
        uint32_t cap;
    } flags[] = {
        {q->v12.shaderFloat16, DEV_CAP_FP16},
        {q->v12.shaderInt8, DEV_CAP_INT8},
        {q->features.features.shaderInt16, DEV_CAP_INT16},
        {q->v12.storageBuffer8BitAccess, DEV_CAP_STORAGE8},
        {q->v11.storageBuffer16BitAccess, DEV_CAP_STORAGE16},
        {q->int_dot.shaderIntegerDotProduct, DEV_CAP_INT_DOT},
        {(phys->exts & EXT_MEMORY_BUDGET) != 0, DEV_CAP_BUDGET},
        {(phys->exts & EXT_HOST_IMPORT) != 0, DEV_CAP_HOST_IMPORT},
        {phys->info.type == DEV_CPU, DEV_CAP_CPU},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        caps->has |= flags[i].present != VK_FALSE ? flags[i].cap : 0u;
    }
    read_subgroup(q, phys);
    if ((phys->exts & EXT_COOPMAT) != 0 && q->coopmat.cooperativeMatrix == VK_TRUE &&
        q->v12.vulkanMemoryModel == VK_TRUE && q->v12.vulkanMemoryModelDeviceScope == VK_TRUE &&
        read_coopmat(inst, phys, caps)) {
        caps->has |= DEV_CAP_COOPMAT;
        read_coopmat2(inst, q, phys);
    }
    if (q->props.properties.limits.maxTexelBufferElements >= 1u << 24 &&
        texel_format(inst, phys, VK_FORMAT_R32G32B32A32_UINT) &&
        texel_format(inst, phys, VK_FORMAT_R32G32B32A32_SFLOAT)) {
        caps->has |= DEV_CAP_TEXEL;
    }
}

static uint64_t max3(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t m = a > b ? a : b;
    return m > c ? m : c;
}

/* Each is 0 where its extension is missing. */
static uint32_t read_cores(const struct query *q, const struct phys *phys)
{
    if (phys->info.type == DEV_CPU) {
        return os_core_count();
    }
    uint32_t nv = q->p_cores_nv.shaderSMCount, arm = q->p_cores_arm.shaderCoreCount;
    return nv != 0 ? nv : arm != 0 ? arm : q->p_cores_amd.activeComputeUnitCount;
}

static void read_limits(const struct dev_instance *inst, const struct query *q, struct phys *phys)
{
    const VkPhysicalDeviceLimits *l = &q->props.properties.limits;
    struct dev_caps *caps = &phys->info.caps;
    caps->max_workgroup_invocations = l->maxComputeWorkGroupInvocations;
    for (int i = 0; i < 3; i++) {
        caps->max_workgroup_size[i] = l->maxComputeWorkGroupSize[i];
        caps->max_workgroup_count[i] = l->maxComputeWorkGroupCount[i];
    }
    caps->max_shared_bytes = l->maxComputeSharedMemorySize;
    caps->max_push_bytes =
        l->maxPushConstantsSize < DEV_MAX_PUSH ? l->maxPushConstantsSize : DEV_MAX_PUSH;
    caps->max_storage_buffers = l->maxPerStageDescriptorStorageBuffers;
    caps->max_binding_bytes = l->maxStorageBufferRange;
    caps->max_texel_elements = (caps->has & DEV_CAP_TEXEL) != 0 ? l->maxTexelBufferElements : 0;
    caps->max_buffer_bytes = q->p11.maxMemoryAllocationSize;
    if (q->maintenance4.maintenance4 == VK_TRUE &&
        q->p_maintenance4.maxBufferSize < caps->max_buffer_bytes) {
        caps->max_buffer_bytes = q->p_maintenance4.maxBufferSize;
    }
    uint64_t align = max3(l->minStorageBufferOffsetAlignment, l->minTexelBufferOffsetAlignment, 16);
    caps->offset_align = (uint32_t)align;
    if ((caps->has & DEV_CAP_HOST_IMPORT) != 0) {
        caps->import_align = (uint32_t)max3(q->p_import.minImportedHostPointerAlignment, 1, 1);
    }
    caps->cores = read_cores(q, phys);
    caps->int_dot_fast = (caps->has & DEV_CAP_INT_DOT) != 0 &&
                         q->p_int_dot.integerDotProduct4x8BitPackedSignedAccelerated == VK_TRUE;
    caps->timestamp_ns = caps->timestamp_bits != 0 ? l->timestampPeriod : 0;
    caps->timestamp_bits = caps->timestamp_ns > 0 ? caps->timestamp_bits : 0;
    if (caps->timestamp_bits != 0 && calibrate_probe(inst, phys)) {
        caps->has |= DEV_CAP_CALIBRATED;
    }
}

/* A family with compute; one without graphics first, so that a desktop stays alive. */
static bool read_queue(const struct dev_instance *inst, struct phys *phys)
{
    VkQueueFamilyProperties family[32];
    uint32_t n = 32, best = UINT32_MAX;
    inst->vk.GetPhysicalDeviceQueueFamilyProperties(phys->handle, &n, family);
    for (uint32_t i = 0; i < n; i++) {
        if ((family[i].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0 && family[i].queueCount != 0 &&
            (best == UINT32_MAX || ((family[best].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0 &&
                                    (family[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0))) {
            best = i;
        }
    }
    if (best == UINT32_MAX) {
        return false;
    }
    phys->queue_family = best;
    phys->info.caps.timestamp_bits = family[best].timestampValidBits;
    return true;
}

static void read_memory(const struct dev_instance *inst, struct phys *phys)
{
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    inst->vk.GetPhysicalDeviceMemoryProperties2(phys->handle, &memory);
    phys->memory = memory.memoryProperties;
    uint64_t most = 0;
    for (uint32_t i = 0; i < phys->memory.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &phys->memory.memoryHeaps[i];
        if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0 && heap->size > most) {
            most = heap->size;
            phys->device_heap = i;
        }
    }
    phys->info.heap_bytes = phys->memory.memoryHeaps[phys->device_heap].size;
    const uint32_t both = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    for (uint32_t i = 0; i < phys->memory.memoryTypeCount; i++) {
        const VkMemoryType *type = &phys->memory.memoryTypes[i];
        uint64_t bytes = phys->memory.memoryHeaps[type->heapIndex].size;
        if ((type->propertyFlags & both) == both && bytes > phys->info.host_visible_bytes) {
            phys->info.host_visible_bytes = bytes;
        }
    }
}

static enum dev_type type_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return DEV_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return DEV_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return DEV_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return DEV_CPU;
    default:
        return DEV_OTHER;
    }
}

static void read_identity(const struct query *q, struct phys *phys)
{
    struct dev_info *info = &phys->info;
    snprintf(info->driver, sizeof info->driver, "%s", q->p12.driverName);
    snprintf(info->driver_info, sizeof info->driver_info, "%s", q->p12.driverInfo);
    info->driver_id = (uint32_t)q->p12.driverID;
    memcpy(info->uuid, q->p11.deviceUUID, VK_UUID_SIZE);
    memcpy(info->driver_uuid, q->p11.driverUUID, VK_UUID_SIZE);
    phys->conformant = q->p12.conformanceVersion.major != 0;
}

static bool refuse(struct phys *phys, const char *why)
{
    phys->info.usable = false;
    snprintf(phys->info.why_not, sizeof phys->info.why_not, "%s", why);
    return true;
}

bool caps_read(const struct dev_instance *inst, struct phys *phys)
{
    VkPhysicalDeviceProperties props = {0};
    inst->vk.GetPhysicalDeviceProperties(phys->handle, &props);
    struct dev_info *info = &phys->info;
    info->type = type_of(props.deviceType);
    snprintf(info->name, sizeof info->name, "%s", props.deviceName);
    info->vendor_id = props.vendorID;
    info->device_id = props.deviceID;
    info->driver_version = props.driverVersion;
    info->api_version = props.apiVersion;
    memcpy(info->cache_uuid, props.pipelineCacheUUID, VK_UUID_SIZE);
    phys->api = props.apiVersion < inst->api ? props.apiVersion : inst->api;
    if (phys->api < VK_API_VERSION_1_2) {
        char why[96];
        snprintf(why, sizeof why, "it has Vulkan %u.%u, 1.2 is needed",
                 VK_API_VERSION_MAJOR(props.apiVersion), VK_API_VERSION_MINOR(props.apiVersion));
        return refuse(phys, why);
    }
    if (!read_extensions(inst, phys)) {
        return false;
    }
    struct query q;
    run_query(inst, phys, &q);
    read_identity(&q, phys);
    read_memory(inst, phys);
    if (!read_queue(inst, phys)) {
        return refuse(phys, "it has no compute queue");
    }
    read_features(inst, &q, phys);
    read_limits(inst, &q, phys);
    if (q.v12.timelineSemaphore != VK_TRUE) {
        return refuse(phys, "it has no timeline semaphores");
    }
    info->usable = true;
    quirks_apply(phys);
    info->free_bytes = caps_free_bytes(inst, phys, (info->caps.has & DEV_CAP_BUDGET) != 0);
    return true;
}

struct dev_caps caps_mask(const struct dev_caps *caps, uint32_t off)
{
    struct dev_caps out = *caps;
    if ((off & DEV_CAP_SUBGROUP) != 0) {
        off |= DEV_CAP_SHUFFLE | DEV_CAP_COOPMAT;
    }
    if ((off & DEV_CAP_FP16) != 0) {
        off |= DEV_CAP_COOPMAT;
    }
    if ((off & DEV_CAP_COOPMAT) != 0) {
        off |= DEV_CAP_COOPMAT2;
    }
    out.has &= ~off;
    if ((off & DEV_CAP_SUBGROUP_CONTROL) != 0) {
        out.subgroup_min = out.subgroup_max = out.subgroup_size;
        out.max_workgroup_subgroups = 0;
    }
    if ((off & DEV_CAP_HOST_IMPORT) != 0) {
        out.import_align = 0;
    }
    if ((off & DEV_CAP_TEXEL) != 0) {
        out.max_texel_elements = 0;
    }
    if ((off & DEV_CAP_INT_DOT) != 0) {
        out.int_dot_fast = false;
    }
    if ((off & DEV_CAP_COOPMAT) != 0) {
        out.coopmat_m = out.coopmat_n = out.coopmat_k = 0;
        out.coopmat_s8_m = out.coopmat_s8_n = out.coopmat_s8_k = 0;
        out.coopmat_f16_sums = false;
    }
    if ((off & DEV_CAP_COOPMAT2) != 0) {
        out.coopmat2 = out.n_flexible = out.flexible_most = out.flexible_shared = 0;
    }
    return out;
}

uint64_t caps_free_bytes(const struct dev_instance *inst, const struct phys *phys, bool budget)
{
    uint64_t host = os_mem_available(), free_bytes = phys->info.heap_bytes;
    if (phys->info.type == DEV_CPU) {
        /* software devices report heaps of any size and never refuse */
        return host != 0 ? host : free_bytes;
    }
    if (budget) {
        VkPhysicalDeviceMemoryBudgetPropertiesEXT left = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
        VkPhysicalDeviceMemoryProperties2 memory = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &left};
        inst->vk.GetPhysicalDeviceMemoryProperties2(phys->handle, &memory);
        uint64_t limit = left.heapBudget[phys->device_heap];
        uint64_t used = left.heapUsage[phys->device_heap];
        free_bytes = limit > used ? limit - used : 0;
    }
    if (phys->info.type == DEV_INTEGRATED && host != 0 && host < free_bytes) {
        free_bytes = host;
    }
    return free_bytes;
}
