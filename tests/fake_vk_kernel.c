/* The fake's shader modules, layouts and pipelines; see fake_vk.h. Of a module's words it reads how
 * large a workgroup is and how much memory it shares, with the pipeline's spec values, and holds
 * them against the device's limits. Nothing is executed. */
#include "fake_vk_internal.h"

#include "device/device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Numbers of the SPIR-V specification, unified1. */
enum {
    OP_EXECUTION_MODE = 16,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_SPEC_CONSTANT_OP = 52,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_COMPOSITE_EXTRACT = 81,
    OP_IADD = 128,
    OP_ISUB = 130,
    OP_IMUL = 132,
    OP_UDIV = 134,
    OP_UMOD = 137,
    OP_SHIFT_RIGHT = 194,
    OP_SHIFT_LEFT = 196,
    OP_EXECUTION_MODE_ID = 331,
    DECORATION_SPEC_ID = 1,
    DECORATION_BUILT_IN = 11,
    BUILT_IN_WORKGROUP_SIZE = 25,
    STORAGE_WORKGROUP = 4,
    MODE_LOCAL_SIZE = 17,
    MODE_LOCAL_SIZE_ID = 38,
    HEADER_WORDS = 5,
};

struct fake_module {
    size_t n;
    uint32_t words[];
};

/* What is known of an id: a constant's value, a composite's members, a type's bytes. */
struct id {
    uint64_t value;
    uint32_t members[3];
    uint64_t bytes;
    uint32_t storage; /* of a pointer type */
    uint32_t spec;    /* 1 + SpecId */
};

struct reader {
    const VkSpecializationInfo *specs;
    struct id *ids;
    uint32_t n_ids;
    uint32_t local[3], size_id; /* size_id: of the composite that is WorkgroupSize */
    uint32_t local_ids[3];      /* instead of local, from SPIR-V 1.2 on */
    uint64_t shared;
};

static struct id *get(struct reader *r, uint32_t id)
{
    if (id >= r->n_ids) {
        fake_wrong("a SPIR-V id above its bound");
        return &r->ids[0];
    }
    return &r->ids[id];
}

static uint64_t spec_value(const struct reader *r, uint32_t spec, uint64_t value)
{
    for (uint32_t i = 0; r->specs != NULL && i < r->specs->mapEntryCount; i++) {
        const VkSpecializationMapEntry *e = &r->specs->pMapEntries[i];
        if (spec == e->constantID + 1) {
            uint32_t word;
            memcpy(&word, (const uint8_t *)r->specs->pData + e->offset, sizeof word);
            return word;
        }
    }
    return value;
}

/* OpSpecConstantOp: type, result, operation, operands. Operations on other things than whole
 * numbers give 0; nothing that is looked at depends on them. */
static uint64_t spec_op(struct reader *r, const uint32_t *w, uint32_t n)
{
    /* Operands of other operations may be literals. */
    uint64_t a = n > 4 && w[4] < r->n_ids ? r->ids[w[4]].value : 0;
    uint64_t b = n > 5 && w[5] < r->n_ids ? r->ids[w[5]].value : 0;
    switch (w[3]) {
    case OP_COMPOSITE_EXTRACT:
        return n > 5 && w[5] < 3 ? get(r, get(r, w[4])->members[w[5]])->value : 0;
    case OP_IADD:
        return (uint32_t)(a + b);
    case OP_ISUB:
        return (uint32_t)(a - b);
    case OP_IMUL:
        return (uint32_t)(a * b);
    case OP_UDIV:
        return b != 0 ? a / b : 0;
    case OP_UMOD:
        return b != 0 ? a % b : 0;
    case OP_SHIFT_RIGHT:
        return a >> (b & 31);
    case OP_SHIFT_LEFT:
        return (uint32_t)(a << (b & 31));
    default:
        return 0;
    }
}

static void read_decoration(struct reader *r, const uint32_t *w, uint32_t n)
{
    if (n > 3 && w[2] == DECORATION_SPEC_ID) {
        get(r, w[1])->spec = w[3] + 1;
    } else if (n > 3 && w[2] == DECORATION_BUILT_IN && w[3] == BUILT_IN_WORKGROUP_SIZE) {
        r->size_id = w[1];
    }
}

/* The first word of other instructions may be a literal. */
static void read_type(struct reader *r, const uint32_t *w)
{
    struct id unread, *type = w[1] < r->n_ids ? &r->ids[w[1]] : &unread;
    switch (w[0] & 0xffff) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        type->bytes = w[2] / 8;
        break;
    case OP_TYPE_VECTOR:
        type->bytes = get(r, w[2])->bytes * w[3];
        break;
    case OP_TYPE_ARRAY:
        type->bytes = get(r, w[2])->bytes * get(r, w[3])->value;
        break;
    case OP_TYPE_POINTER:
        type->storage = w[2];
        type->bytes = get(r, w[3])->bytes;
        break;
    default:
        break;
    }
}

static void read_instruction(struct reader *r, const uint32_t *w, uint32_t n)
{
    switch (w[0] & 0xffff) {
    case OP_EXECUTION_MODE:
        if (w[2] == MODE_LOCAL_SIZE) {
            memcpy(r->local, w + 3, sizeof r->local);
        }
        break;
    case OP_EXECUTION_MODE_ID:
        if (w[2] == MODE_LOCAL_SIZE_ID && n >= 6) {
            memcpy(r->local_ids, w + 3, sizeof r->local_ids);
        }
        break;
    case OP_DECORATE:
        read_decoration(r, w, n);
        break;
    case OP_CONSTANT:
        get(r, w[2])->value = w[3];
        break;
    case OP_SPEC_CONSTANT:
        get(r, w[2])->value = spec_value(r, get(r, w[2])->spec, w[3]);
        break;
    case OP_CONSTANT_COMPOSITE:
    case OP_SPEC_CONSTANT_COMPOSITE:
        for (uint32_t i = 0; i < 3 && i + 3 < n; i++) {
            get(r, w[2])->members[i] = w[3 + i];
        }
        break;
    case OP_SPEC_CONSTANT_OP:
        get(r, w[2])->value = spec_op(r, w, n);
        break;
    case OP_VARIABLE:
        r->shared += w[3] == STORAGE_WORKGROUP ? get(r, w[1])->bytes : 0;
        break;
    default:
        read_type(r, w);
        break;
    }
}

static void read_module(struct reader *r, const struct fake_module *m)
{
    r->local[0] = r->local[1] = r->local[2] = 1;
    for (size_t at = HEADER_WORDS; at < m->n;) {
        uint32_t n = m->words[at] >> 16;
        if (n == 0 || n > m->n - at) {
            fake_wrong("a SPIR-V instruction of %u words", n);
            return;
        }
        if (n > 1) {
            read_instruction(r, m->words + at, n);
        }
        at += n;
    }
    for (uint32_t i = 0; i < 3 && r->local_ids[0] != 0; i++) {
        r->local[i] = (uint32_t)get(r, r->local_ids[i])->value;
    }
    for (uint32_t i = 0; i < 3 && r->size_id != 0; i++) {
        r->local[i] = (uint32_t)get(r, get(r, r->size_id)->members[i])->value;
    }
}

static void check_size(const struct fake_gpu *g, const struct reader *r,
                       const VkPipelineShaderStageCreateInfo *stage)
{
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *size = stage->pNext;
    uint64_t all = (uint64_t)r->local[0] * r->local[1] * r->local[2];
    if (all == 0 || all > g->max_invocations || r->local[0] > g->max_invocations ||
        r->local[1] > g->max_invocations || r->local[2] > 64) {
        fake_wrong("a workgroup of %u x %u x %u, %u invocations are allowed", r->local[0],
                   r->local[1], r->local[2], g->max_invocations);
    }
    if (r->shared > g->max_shared) {
        fake_wrong("a workgroup shares %llu bytes, %u are allowed", (unsigned long long)r->shared,
                   g->max_shared);
    }
    if (size != NULL &&
        (!fake_has(g, DEV_CAP_SUBGROUP_CONTROL) || size->requiredSubgroupSize < g->subgroup_min ||
         size->requiredSubgroupSize > g->subgroup_max)) {
        fake_wrong("subgroups of %u are required", size->requiredSubgroupSize);
    }
    if (size != NULL && all > (uint64_t)g->max_subgroups * size->requiredSubgroupSize) {
        fake_wrong("%llu invocations in subgroups of %u, %u of which are allowed",
                   (unsigned long long)all, size->requiredSubgroupSize, g->max_subgroups);
    }
    uint32_t width = size != NULL ? size->requiredSubgroupSize : g->subgroup_size;
    if ((stage->flags & VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT) != 0 &&
        r->local[0] % width != 0) {
        fake_wrong("%u invocations are no whole subgroups of %u", r->local[0], width);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateShaderModule(VkDevice device,
                                                              const VkShaderModuleCreateInfo *info,
                                                              FAULT_ALLOC, VkShaderModule *out)
{
    (void)device;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateShaderModule", NULL);
    if (result == VK_SUCCESS) {
        struct fake_module *m = fake_object(sizeof *m + info->codeSize);
        m->n = info->codeSize / 4;
        memcpy(m->words, info->pCode, info->codeSize);
        *out = HANDLE(VkShaderModule, m);
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreatePipelineLayout(
    VkDevice device, const VkPipelineLayoutCreateInfo *info, FAULT_ALLOC, VkPipelineLayout *out)
{
    (void)alloc;
    const struct fake_gpu *g = ((const struct fake_device *)(void *)device)->gpu;
    VkResult result = fake_fallible("vkCreatePipelineLayout", NULL);
    for (uint32_t i = 0; i < info->pushConstantRangeCount; i++) {
        if (info->pPushConstantRanges[i].offset + info->pPushConstantRanges[i].size > g->max_push) {
            fake_wrong("push constants beyond maxPushConstantsSize");
        }
    }
    if (result == VK_SUCCESS) {
        *out = HANDLE(VkPipelineLayout, fake_object(8));
    }
    return result;
}

/* Threads make pipelines at the same time. */
static void see_pipeline(const VkComputePipelineCreateInfo *info, const struct reader *r)
{
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *size = info->stage.pNext;
    pthread_mutex_lock(&lock);
    fake_now->required_size = size != NULL ? size->requiredSubgroupSize : 0;
    fake_now->full_subgroups =
        (info->stage.flags & VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT) != 0;
    memcpy(fake_now->local, r->local, sizeof fake_now->local);
    fake_now->shared = r->shared;
    fake_now->pipelines++;
    uint32_t n = ++fake_now->pipelines_running;
    fake_now->pipelines_at_once = n > fake_now->pipelines_at_once ? n : fake_now->pipelines_at_once;
    pthread_mutex_unlock(&lock);
    if (fake_now->pipeline_us != 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000L * (long)fake_now->pipeline_us}, NULL);
    }
    pthread_mutex_lock(&lock);
    fake_now->pipelines_running--;
    pthread_mutex_unlock(&lock);
}

static VKAPI_ATTR VkResult VKAPI_CALL
fake_CreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                            const VkComputePipelineCreateInfo *info, FAULT_ALLOC, VkPipeline *out)
{
    (void)cache;
    (void)n;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateComputePipelines", NULL);
    if (result != VK_SUCCESS) {
        return result;
    }
    const struct fake_module *m = OBJECT(fake_module, info->stage.module);
    struct reader r = {.specs = info->stage.pSpecializationInfo};
    r.n_ids = m->n > 3 && m->words[3] != 0 ? m->words[3] : 1;
    r.ids = calloc(r.n_ids, sizeof *r.ids);
    if (r.ids == NULL) {
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    read_module(&r, m);
    if (m->n > HEADER_WORDS) { /* tests of device/ use modules without a body */
        check_size(((const struct fake_device *)(void *)device)->gpu, &r, &info->stage);
    }
    free(r.ids);
    see_pipeline(info, &r);
    *out = HANDLE(VkPipeline, fake_object(8));
    return VK_SUCCESS;
}

#define PLAIN_DESTROY(Name)                                                                        \
    static VKAPI_ATTR void VKAPI_CALL fake_Destroy##Name(VkDevice device, Vk##Name object,         \
                                                         FAULT_ALLOC)                              \
    {                                                                                              \
        (void)device;                                                                              \
        (void)alloc;                                                                               \
        fake_free((const void *)(uintptr_t)object);                                                \
    }
PLAIN_DESTROY(ShaderModule)
PLAIN_DESTROY(PipelineLayout)
PLAIN_DESTROY(Pipeline)

PFN_vkVoidFunction fake_kernel_function(const char *name)
{
    FAKE_FIND(CreateShaderModule)
    FAKE_FIND(DestroyShaderModule)
    FAKE_FIND(CreatePipelineLayout)
    FAKE_FIND(DestroyPipelineLayout)
    FAKE_FIND(CreateComputePipelines)
    FAKE_FIND(DestroyPipeline)
    return fake_queue_function(name);
}
