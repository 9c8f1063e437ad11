/* SPIR-V and spec values become pipelines, on one or several threads. Vulkan lets threads share the
 * device and the pipeline cache here. Which kernels there are is kernel.c's, the cache on disk
 * cache.c's. */
#include "device/internal.h"

#include "base/mem.h"

enum { MOST_THREADS = 16 };

/* How far one kernel came. */
struct attempt {
    VkResult result;
    const char *what;
};

void pipeline_destroy(struct dev *dev, struct dev_kernel *kernel)
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
    kernel->pipeline = VK_NULL_HANDLE;
    kernel->layout = VK_NULL_HANDLE;
    kernel->set_layout = VK_NULL_HANDLE;
}

static VkResult make_set_layout(struct dev *dev, struct dev_kernel *kernel)
{
    const struct dev_shader *s = kernel->shader;
    VkDescriptorSetLayoutBinding bindings[DEV_MAX_BINDINGS];
    kernel->n_storage = kernel->n_texel = 0;
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
    return dev->vk.CreateDescriptorSetLayout(dev->handle, &set, NULL, &kernel->set_layout);
}

static VkResult make_layout(struct dev *dev, struct dev_kernel *kernel)
{
    const struct dev_shader *s = kernel->shader;
    const VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                      .size = s->push_bytes};
    const VkPipelineLayoutCreateInfo layout = {.sType =
                                                   VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &kernel->set_layout,
                                               .pushConstantRangeCount = s->push_bytes != 0 ? 1 : 0,
                                               .pPushConstantRanges = &push};
    return dev->vk.CreatePipelineLayout(dev->handle, &layout, NULL, &kernel->layout);
}

struct spec_map {
    VkSpecializationMapEntry entries[DEV_MAX_SPECS];
    uint32_t values[DEV_MAX_SPECS];
};

/* An entry for every id up to the largest, those that the shader has not among them: validation
 * layers (1.4.309) look the sizes of matrices up by id where they should by place. */
static VkSpecializationInfo get_specs(const struct dev_kernel *kernel, struct spec_map *map)
{
    const struct dev_shader *s = kernel->shader;
    uint32_t n = 0;
    *map = (struct spec_map){0};
    for (uint32_t i = 0; i < s->n_specs; i++) {
        map->values[s->spec_ids[i]] = kernel->values[i];
        n = s->spec_ids[i] >= n ? s->spec_ids[i] + 1 : n;
    }
    for (uint32_t id = 0; id < n; id++) {
        map->entries[id] = (VkSpecializationMapEntry){id, id * 4, 4};
    }
    return (VkSpecializationInfo){.mapEntryCount = n,
                                  .pMapEntries = map->entries,
                                  .dataSize = (size_t)n * 4,
                                  .pData = map->values};
}

static VkResult create_pipeline(struct dev *dev, struct dev_kernel *kernel, VkShaderModule module)
{
    const struct dev_shader *s = kernel->shader;
    struct spec_map map;
    const VkSpecializationInfo specs = get_specs(kernel, &map);
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = kernel->subgroup_size};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = kernel->subgroup_size != 0 ? &size : NULL,
                  .flags = kernel->full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                                        : 0u,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = s->n_specs != 0 ? &specs : NULL},
        .layout = kernel->layout,
        .basePipelineIndex = -1};
    return dev->vk.CreateComputePipelines(dev->handle, dev->kernels.cache, 1, &info, NULL,
                                          &kernel->pipeline);
}

static VkResult make_pipeline(struct dev *dev, struct dev_kernel *kernel)
{
    const struct dev_shader *s = kernel->shader;
    const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                           .codeSize = s->n_words * 4,
                                           .pCode = s->words};
    VkShaderModule module;
    VkResult result = dev->vk.CreateShaderModule(dev->handle, &code, NULL, &module);
    if (result == VK_SUCCESS) {
        result = create_pipeline(dev, kernel, module);
        dev->vk.DestroyShaderModule(dev->handle, module, NULL);
    }
    return result;
}

/* All of one kernel, or nothing. Any thread; logs nothing. */
static struct attempt make_kernel(struct dev *dev, struct dev_kernel *kernel)
{
    struct attempt a = {make_set_layout(dev, kernel), "vkCreateDescriptorSetLayout"};
    if (a.result != VK_SUCCESS) {
        kernel->set_layout = VK_NULL_HANDLE;
        return a;
    }
    a = (struct attempt){make_layout(dev, kernel), "vkCreatePipelineLayout"};
    if (a.result != VK_SUCCESS) {
        kernel->layout = VK_NULL_HANDLE;
    } else {
        a = (struct attempt){make_pipeline(dev, kernel), kernel->shader->name};
        if (a.result != VK_SUCCESS) {
            kernel->pipeline = VK_NULL_HANDLE;
        }
    }
    if (a.result != VK_SUCCESS) {
        pipeline_destroy(dev, kernel);
        return a;
    }
    dev_set_name(dev, VK_OBJECT_TYPE_PIPELINE, (uint64_t)kernel->pipeline, kernel->shader->name);
    atomic_store(&kernel->made, true);
    return a;
}

/* Work of several threads: each takes the next kernel until there is none, or one has failed. */
struct work {
    struct dev *dev;
    struct dev_kernel *const *kernels;
    uint32_t n;
    atomic_uint next;
    pthread_mutex_t lock;
    uint32_t first_failed; /* n: none */
    struct attempt failed;
    bool any_made;
};

static void *work_on(void *arg)
{
    struct work *w = arg;
    for (bool go = true; go;) {
        uint32_t i = atomic_fetch_add(&w->next, 1);
        if (i >= w->n) {
            break;
        }
        struct attempt a = make_kernel(w->dev, w->kernels[i]);
        pthread_mutex_lock(&w->lock);
        if (a.result == VK_SUCCESS) {
            w->any_made = true;
        } else if (i < w->first_failed) {
            w->first_failed = i;
            w->failed = a;
        }
        go = w->first_failed == w->n;
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

uint32_t pipeline_make(struct dev *dev, struct dev_kernel *const *kernels, uint32_t n,
                       uint32_t n_threads)
{
    struct work w = {.dev = dev, .kernels = kernels, .n = n, .first_failed = n};
    pthread_t threads[MOST_THREADS];
    uint32_t most = n_threads < MOST_THREADS ? n_threads : MOST_THREADS, used = 1;
    atomic_init(&w.next, 0);
    pthread_mutex_init(&w.lock, NULL);
    while (used < most && used < n && pthread_create(&threads[used], NULL, work_on, &w) == 0) {
        used++;
    }
    work_on(&w);
    for (uint32_t i = 1; i < used; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&w.lock);
    dev->kernels.dirty = dev->kernels.dirty || w.any_made;
    if (w.first_failed < n) {
        dev_check(dev, w.failed.result, w.failed.what);
        return 0;
    }
    return used;
}
