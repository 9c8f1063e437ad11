/* SPIR-V and spec values become a pipeline, once per device. Kernels are kept until the device is
 * closed. The cache on disk is cache.c. */
#include "device/internal.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

#define SPIRV_MAGIC 0x07230203u

static void free_kernel(struct dev *dev, struct dev_kernel *kernel)
{
    if (kernel->pipeline != VK_NULL_HANDLE) {
        dev->vk.DestroyPipeline(dev->handle, kernel->pipeline, NULL);
    }
    if (kernel->layout != VK_NULL_HANDLE) {
        dev->vk.DestroyPipelineLayout(dev->handle, kernel->layout, NULL);
    }
    if (kernel->set_layout != VK_NULL_HANDLE) {
        dev->vk.DestroyDescriptorSetLayout(dev->handle, kernel->set_layout, NULL);
    }
    mem_free(kernel);
}

void kernels_finish(struct dev *dev)
{
    for (uint32_t i = 0; i < KERNEL_BUCKETS; i++) {
        while (dev->kernels.buckets[i] != NULL) {
            struct dev_kernel *kernel = dev->kernels.buckets[i];
            dev->kernels.buckets[i] = kernel->next;
            free_kernel(dev, kernel);
        }
    }
}

static bool check_shader(const struct dev *dev, const struct dev_shader *s)
{
    const struct dev_caps *caps = &dev->info.caps;
    uint32_t n_storage = 0;
    const char *why = NULL;
    if (s->n_words < 5 || s->words[0] != SPIRV_MAGIC) {
        why = "it is not SPIR-V";
    } else if (s->n_bindings > DEV_MAX_BINDINGS || s->n_specs > DEV_MAX_SPECS ||
               s->push_bytes > caps->max_push_bytes || s->push_bytes % 4 != 0) {
        why = "it has too many bindings, spec constants or push bytes";
    } else if (s->uses_subgroup && (caps->has & DEV_CAP_SUBGROUP) == 0) {
        why = "it needs subgroup operations, which the device lacks or which are masked";
    }
    for (uint32_t i = 0; why == NULL && i < s->n_bindings; i++) {
        if (s->bind_kinds[i] == DEV_BIND_STORAGE) {
            n_storage++;
        } else if ((caps->has & DEV_CAP_TEXEL) == 0) {
            why = "it needs texel buffers, which the device lacks or which are masked";
        }
    }
    if (why == NULL && n_storage > caps->max_storage_buffers) {
        why = "it has more storage buffers than the device allows";
    }
    if (why != NULL) {
        log_error(dev->log, "device %u (%s): kernel %s: %s", dev->info.index, dev->info.name,
                  s->name, why);
    }
    return why == NULL;
}

static bool resolve_specs(const struct dev *dev, const struct dev_kernel_params *params,
                          uint32_t *values)
{
    const struct dev_shader *s = params->shader;
    memset(values, 0, DEV_MAX_SPECS * sizeof *values);
    for (uint32_t i = 0; i < s->n_specs; i++) {
        values[i] = s->spec_defaults[i];
    }
    for (uint32_t k = 0; k < params->n_specs; k++) {
        uint32_t i = 0;
        while (i < s->n_specs && s->spec_ids[i] != params->specs[k].id) {
            i++;
        }
        if (i == s->n_specs) {
            log_error(dev->log, "kernel %s: there is no spec constant %u", s->name,
                      params->specs[k].id);
            return false;
        }
        values[i] = params->specs[k].value;
    }
    return true;
}

/* The size to require, 0 for none. Kernels that use subgroups get the default size required where
 * that is possible: some drivers run narrower subgroups than they report. */
static bool resolve_size(const struct dev *dev, const struct dev_kernel_params *params,
                         uint32_t *size)
{
    const struct dev_caps *caps = &dev->info.caps;
    uint32_t want = params->subgroup_size;
    *size = 0;
    if ((caps->has & DEV_CAP_SUBGROUP_CONTROL) != 0) {
        *size = want != 0 ? want : params->shader->uses_subgroup ? caps->subgroup_size : 0;
    }
    bool fits = want == 0 || (want >= caps->subgroup_min && want <= caps->subgroup_max &&
                              (want & (want - 1)) == 0);
    if (!fits) {
        log_error(dev->log, "kernel %s: subgroup size %u, device %u (%s) has %u to %u",
                  params->shader->name, want, dev->info.index, dev->info.name, caps->subgroup_min,
                  caps->subgroup_max);
    }
    return fits;
}

static bool make_layouts(struct dev *dev, struct dev_kernel *kernel)
{
    const struct dev_shader *s = kernel->shader;
    VkDescriptorSetLayoutBinding bindings[DEV_MAX_BINDINGS];
    for (uint32_t i = 0; i < s->n_bindings; i++) {
        bool storage = s->bind_kinds[i] == DEV_BIND_STORAGE;
        kernel->n_storage += storage ? 1 : 0;
        kernel->n_texel += storage ? 0 : 1;
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = storage ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                      : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    }
    const VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = s->n_bindings,
        .pBindings = bindings};
    if (!dev_check(dev,
                   dev->vk.CreateDescriptorSetLayout(dev->handle, &set, NULL, &kernel->set_layout),
                   "vkCreateDescriptorSetLayout")) {
        return false;
    }
    const VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                      .size = s->push_bytes};
    const VkPipelineLayoutCreateInfo layout = {.sType =
                                                   VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &kernel->set_layout,
                                               .pushConstantRangeCount = s->push_bytes != 0 ? 1 : 0,
                                               .pPushConstantRanges = &push};
    return dev_check(dev, dev->vk.CreatePipelineLayout(dev->handle, &layout, NULL, &kernel->layout),
                     "vkCreatePipelineLayout");
}

static VkResult create_pipeline(struct dev *dev, struct dev_kernel *kernel, VkShaderModule module,
                                bool full)
{
    const struct dev_shader *s = kernel->shader;
    VkSpecializationMapEntry entries[DEV_MAX_SPECS];
    for (uint32_t i = 0; i < s->n_specs; i++) {
        entries[i] = (VkSpecializationMapEntry){s->spec_ids[i], i * 4, 4};
    }
    const VkSpecializationInfo specs = {.mapEntryCount = s->n_specs,
                                        .pMapEntries = entries,
                                        .dataSize = (size_t)s->n_specs * 4,
                                        .pData = kernel->values};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = kernel->subgroup_size};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = kernel->subgroup_size != 0 ? &size : NULL,
                  .flags = full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0u,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = s->n_specs != 0 ? &specs : NULL},
        .layout = kernel->layout,
        .basePipelineIndex = -1};
    return dev->vk.CreateComputePipelines(dev->handle, dev->kernels.cache, 1, &info, NULL,
                                          &kernel->pipeline);
}

static bool make_pipeline(struct dev *dev, struct dev_kernel *kernel, bool full)
{
    const struct dev_shader *s = kernel->shader;
    const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                           .codeSize = s->n_words * 4,
                                           .pCode = s->words};
    VkShaderModule module;
    if (!dev_check(dev, dev->vk.CreateShaderModule(dev->handle, &code, NULL, &module), s->name)) {
        return false;
    }
    VkResult result = create_pipeline(dev, kernel, module, full);
    dev->vk.DestroyShaderModule(dev->handle, module, NULL);
    if (!dev_check(dev, result, s->name)) {
        kernel->pipeline = VK_NULL_HANDLE;
        return false;
    }
    dev->kernels.dirty = true;
    dev_set_name(dev, VK_OBJECT_TYPE_PIPELINE, (uint64_t)kernel->pipeline, s->name);
    return true;
}

static struct dev_kernel *make_kernel(struct dev *dev, const struct dev_kernel_params *params,
                                      const uint32_t *values, uint32_t size)
{
    struct dev_kernel *kernel = mem_alloc(1, sizeof *kernel);
    if (kernel == NULL) {
        log_error(dev->log, "out of memory for kernel %s", params->shader->name);
        return NULL;
    }
    kernel->shader = params->shader;
    kernel->subgroup_size = size;
    memcpy(kernel->values, values, sizeof kernel->values);
    /* who asks for a size relies on every lane being there */
    bool full = params->subgroup_size != 0 && size != 0 && dev->phys->full_subgroups &&
                (dev->phys->tune & TUNE_NO_FULL_SUBGROUPS) == 0;
    if (!make_layouts(dev, kernel) || !make_pipeline(dev, kernel, full)) {
        free_kernel(dev, kernel);
        return NULL;
    }
    return kernel;
}

struct dev_kernel *dev_kernel_get(struct dev *dev, const struct dev_kernel_params *params)
{
    uint32_t values[DEV_MAX_SPECS], size;
    if (atomic_load(&dev->lost) || !check_shader(dev, params->shader) ||
        !resolve_specs(dev, params, values) || !resolve_size(dev, params, &size)) {
        return NULL;
    }
    uint32_t key[3] = {params->subgroup_size, size, params->shader->n_specs};
    uint64_t hash = hash_bytes(HASH_SEED, &params->shader, sizeof params->shader);
    hash = hash_bytes(hash, values, sizeof values);
    hash = hash_bytes(hash, key, sizeof key);
    struct kernels *k = &dev->kernels;
    struct dev_kernel **bucket = &k->buckets[hash % KERNEL_BUCKETS];
    pthread_mutex_lock(&k->lock);
    struct dev_kernel *kernel = *bucket;
    while (kernel != NULL &&
           (kernel->shader != params->shader || kernel->asked_size != params->subgroup_size ||
            memcmp(kernel->values, values, sizeof values) != 0)) {
        kernel = kernel->next;
    }
    if (kernel == NULL) {
        kernel = make_kernel(dev, params, values, size);
        if (kernel != NULL) {
            kernel->asked_size = params->subgroup_size;
            kernel->next = *bucket;
            *bucket = kernel;
        }
    }
    pthread_mutex_unlock(&k->lock);
    return kernel;
}
