/* The fake's command buffers, queue and timeline; see fake_vk.h. A submission is carried out at
 * once: copies and fills move bytes, everything leaves a trace. */
#include "fake_vk_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

/* A timeline semaphore is an object of 8 bytes: its value. */
static uint64_t *value_of(VkSemaphore semaphore)
{
    return (uint64_t *)(uintptr_t)semaphore;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateCommandPool(VkDevice device,
                                                             const VkCommandPoolCreateInfo *info,
                                                             const VkAllocationCallbacks *alloc,
                                                             VkCommandPool *out)
{
    (void)device;
    (void)info;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateCommandPool", NULL);
    if (result == VK_SUCCESS) {
        *out = HANDLE(VkCommandPool, fake_object(sizeof(struct fake_pool)));
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_DestroyCommandPool(VkDevice device, VkCommandPool pool,
                                                          const VkAllocationCallbacks *alloc)
{
    (void)device;
    (void)alloc;
    struct fake_pool *p = OBJECT(fake_pool, pool);
    while (p != NULL && p->buffers != NULL) {
        struct fake_cmd_buffer *b = p->buffers;
        p->buffers = b->next;
        free(b->commands);
        fake_free(b);
    }
    fake_free(p);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_ResetCommandPool(VkDevice device, VkCommandPool pool,
                                                            VkCommandPoolResetFlags flags)
{
    (void)device;
    (void)flags;
    for (struct fake_cmd_buffer *b = OBJECT(fake_pool, pool)->buffers; b != NULL; b = b->next) {
        b->recording = b->ready = false;
        b->n = 0;
    }
    return fake_fallible("vkResetCommandPool", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_AllocateCommandBuffers(
    VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out)
{
    VkResult result = fake_fallible("vkAllocateCommandBuffers", NULL);
    for (uint32_t i = 0; result == VK_SUCCESS && i < info->commandBufferCount; i++) {
        struct fake_pool *pool = OBJECT(fake_pool, info->commandPool);
        struct fake_cmd_buffer *b = fake_object(sizeof *b);
        b->gpu = ((const struct fake_device *)(void *)device)->gpu;
        b->next = pool->buffers;
        pool->buffers = b;
        out[i] = (VkCommandBuffer)(void *)b;
    }
    return result;
}

static struct fake_cmd_buffer *recorded(VkCommandBuffer handle)
{
    return (struct fake_cmd_buffer *)(void *)handle;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_BeginCommandBuffer(VkCommandBuffer handle,
                                                              const VkCommandBufferBeginInfo *info)
{
    (void)info;
    struct fake_cmd_buffer *b = recorded(handle);
    b->n = 0;
    b->recording = true;
    b->ready = false;
    return fake_fallible("vkBeginCommandBuffer", NULL);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_EndCommandBuffer(VkCommandBuffer handle)
{
    struct fake_cmd_buffer *b = recorded(handle);
    VkResult result = fake_fallible("vkEndCommandBuffer", NULL);
    b->recording = false;
    b->ready = result == VK_SUCCESS;
    return result;
}

static void put(VkCommandBuffer handle, struct fake_command command)
{
    struct fake_cmd_buffer *b = recorded(handle);
    if (!b->recording) {
        fake_wrong("a command outside of a recording");
    }
    if (b->n == b->cap) {
        b->cap = b->cap != 0 ? b->cap * 2 : 16;
        b->commands = realloc(b->commands, b->cap * sizeof *b->commands);
    }
    b->commands[b->n++] = command;
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdBindPipeline(VkCommandBuffer cmd,
                                                       VkPipelineBindPoint point,
                                                       VkPipeline pipeline)
{
    (void)point;
    put(cmd, (struct fake_command){.what = FAKE_BIND_PIPELINE, .dst = (uint64_t)pipeline});
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdBindDescriptorSets(
    VkCommandBuffer cmd, VkPipelineBindPoint point, VkPipelineLayout layout, uint32_t first,
    uint32_t n, const VkDescriptorSet *sets, uint32_t n_offsets, const uint32_t *offsets)
{
    (void)cmd;
    (void)point;
    (void)layout;
    (void)n_offsets;
    (void)offsets;
    if (first != 0 || n != 1 || sets[0] == VK_NULL_HANDLE) {
        fake_wrong("descriptor sets other than one");
    }
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdPushConstants(VkCommandBuffer cmd,
                                                        VkPipelineLayout layout,
                                                        VkShaderStageFlags stages, uint32_t offset,
                                                        uint32_t bytes, const void *data)
{
    (void)cmd;
    (void)layout;
    (void)stages;
    if (offset + bytes > 128 || data == NULL) {
        fake_wrong("push constants of %u bytes", bytes);
    }
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdDispatch(VkCommandBuffer cmd, uint32_t x, uint32_t y,
                                                   uint32_t z)
{
    uint32_t most = recorded(cmd)->gpu->max_groups;
    if (x == 0 || y == 0 || z == 0 || x > most || y > most || z > most) {
        fake_wrong("a dispatch of %u x %u x %u, %u are allowed", x, y, z, most);
    }
    put(cmd, (struct fake_command){.what = FAKE_DISPATCH, .src = x, .dst = y, .word = z});
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdCopyBuffer(VkCommandBuffer cmd, VkBuffer src,
                                                     VkBuffer dst, uint32_t n,
                                                     const VkBufferCopy *regions)
{
    for (uint32_t i = 0; i < n; i++) {
        put(cmd, (struct fake_command){.what = FAKE_COPY,
                                       .src = (uint64_t)src,
                                       .dst = (uint64_t)dst,
                                       .src_offset = regions[i].srcOffset,
                                       .dst_offset = regions[i].dstOffset,
                                       .bytes = regions[i].size});
    }
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdFillBuffer(VkCommandBuffer cmd, VkBuffer dst,
                                                     VkDeviceSize offset, VkDeviceSize bytes,
                                                     uint32_t word)
{
    put(cmd, (struct fake_command){.what = FAKE_FILL,
                                   .dst = (uint64_t)dst,
                                   .dst_offset = offset,
                                   .bytes = bytes,
                                   .word = word});
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdPipelineBarrier(
    VkCommandBuffer cmd, VkPipelineStageFlags src, VkPipelineStageFlags dst,
    VkDependencyFlags flags, uint32_t n, const VkMemoryBarrier *memory, uint32_t n_buffers,
    const VkBufferMemoryBarrier *buffers, uint32_t n_images, const VkImageMemoryBarrier *images)
{
    (void)flags;
    (void)buffers;
    (void)images;
    if (n != 1 || n_buffers != 0 || n_images != 0 || src == 0 || dst == 0) {
        fake_wrong("a barrier of another kind");
    }
    put(cmd, (struct fake_command){.what = FAKE_BARRIER,
                                   .src_stages = src,
                                   .dst_stages = dst,
                                   .src_access = memory->srcAccessMask,
                                   .dst_access = memory->dstAccessMask});
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdResetQueryPool(VkCommandBuffer cmd, VkQueryPool pool,
                                                         uint32_t first, uint32_t n)
{
    (void)cmd;
    (void)pool;
    (void)first;
    (void)n;
}

static VKAPI_ATTR void VKAPI_CALL fake_CmdWriteTimestamp(VkCommandBuffer cmd,
                                                         VkPipelineStageFlagBits stage,
                                                         VkQueryPool pool, uint32_t query)
{
    (void)stage;
    (void)pool;
    if (fake_now->trace_timestamps) {
        put(cmd, (struct fake_command){.what = FAKE_TIMESTAMP, .word = query});
    }
}

static uint8_t *bytes_of(uint64_t buffer, uint64_t offset, uint64_t bytes);

/* The same numbers, at once. */
static VKAPI_ATTR void VKAPI_CALL fake_CmdCopyQueryPoolResults(
    VkCommandBuffer cmd, VkQueryPool pool, uint32_t first, uint32_t n, VkBuffer buffer,
    VkDeviceSize offset, VkDeviceSize stride, VkQueryResultFlags flags)
{
    (void)cmd;
    (void)pool;
    uint8_t *data = bytes_of((uint64_t)(uintptr_t)buffer, offset, (uint64_t)n * 8);
    if (first != 0 || stride != 8 || data == NULL ||
        flags != (VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT)) {
        fake_wrong("a copy of query results of another kind");
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t ticks = 1000 + 10 * (uint64_t)i + (1ull << 60);
        memcpy(data + i * 8, &ticks, 8);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetQueryPoolResults(VkDevice device, VkQueryPool pool,
                                                               uint32_t first, uint32_t n,
                                                               size_t bytes, void *data,
                                                               VkDeviceSize stride,
                                                               VkQueryResultFlags flags)
{
    (void)device;
    (void)pool;
    if (first != 0 || bytes < n * sizeof(uint64_t) || stride != 8 ||
        flags != VK_QUERY_RESULT_64_BIT) {
        fake_wrong("query results of another kind");
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t ticks = 1000 + 10 * (uint64_t)i + (1ull << 60); /* bits above the valid ones */
        memcpy((uint8_t *)data + i * 8, &ticks, 8);
    }
    return fake_fallible("vkGetQueryPoolResults", device);
}

static uint8_t *bytes_of(uint64_t buffer, uint64_t offset, uint64_t bytes)
{
    struct fake_buffer *b = OBJECT(fake_buffer, buffer);
    if (b->memory == NULL || offset > b->bytes || bytes > b->bytes - offset) {
        fake_wrong("a command outside of its buffer");
        return NULL;
    }
    return b->memory->data + b->offset + offset;
}

static void carry_out(const struct fake_command *c)
{
    if (c->what == FAKE_COPY) {
        const uint8_t *src = bytes_of(c->src, c->src_offset, c->bytes);
        uint8_t *dst = bytes_of(c->dst, c->dst_offset, c->bytes);
        if (src != NULL && dst != NULL) {
            memcpy(dst, src, (size_t)c->bytes);
        }
    } else if (c->what == FAKE_FILL) {
        uint8_t *dst = bytes_of(c->dst, c->dst_offset, c->bytes);
        for (uint64_t i = 0; dst != NULL && i < c->bytes; i += 4) {
            memcpy(dst + i, &c->word, 4);
        }
    }
    if (fake_now->n_trace < FAKE_TRACE) {
        fake_now->trace[fake_now->n_trace++] = *c;
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_QueueSubmit(VkQueue queue, uint32_t n,
                                                       const VkSubmitInfo *info, VkFence fence)
{
    VkResult result = fake_fallible("vkQueueSubmit", queue);
    if (result != VK_SUCCESS) {
        return result;
    }
    const struct fake_cmd_buffer *b = recorded(info->pCommandBuffers[0]);
    const VkTimelineSemaphoreSubmitInfo *timeline = info->pNext;
    pthread_mutex_lock(&queue_lock);
    if (n != 1 || info->commandBufferCount != 1 || !b->ready) {
        fake_wrong("a submission of a command buffer that is not ready");
    }
    uint64_t *value = timeline != NULL ? value_of(info->pSignalSemaphores[0]) : NULL;
    if (timeline != NULL && timeline->pSignalSemaphoreValues[0] <= *value) {
        fake_wrong("a timeline that does not grow");
    }
    for (uint32_t i = 0; i < b->n && !fake_now->stalled; i++) {
        carry_out(&b->commands[i]);
    }
    if (!fake_now->stalled && timeline != NULL) {
        *value = timeline->pSignalSemaphoreValues[0];
    }
    if (!fake_now->stalled) {
        fake_fence_signal(fence);
    }
    fake_now->submits++;
    pthread_mutex_unlock(&queue_lock);
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetSemaphoreCounterValue(VkDevice device,
                                                                    VkSemaphore semaphore,
                                                                    uint64_t *out)
{
    (void)device;
    pthread_mutex_lock(&queue_lock);
    *out = *value_of(semaphore);
    fake_now->polls++;
    pthread_mutex_unlock(&queue_lock);
    return fake_fallible("vkGetSemaphoreCounterValue", device);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_WaitSemaphores(VkDevice device,
                                                          const VkSemaphoreWaitInfo *info,
                                                          uint64_t timeout)
{
    (void)device;
    (void)timeout;
    VkResult result = fake_fallible("vkWaitSemaphores", device);
    pthread_mutex_lock(&queue_lock);
    if (result == VK_SUCCESS && *value_of(info->pSemaphores[0]) < info->pValues[0]) {
        result = VK_TIMEOUT;
    }
    fake_now->waits++;
    pthread_mutex_unlock(&queue_lock);
    return result;
}

#define QUEUE_FUNCTIONS(X)                                                                         \
    X(CreateCommandPool)                                                                           \
    X(DestroyCommandPool)                                                                          \
    X(ResetCommandPool)                                                                            \
    X(AllocateCommandBuffers)                                                                      \
    X(BeginCommandBuffer)                                                                          \
    X(EndCommandBuffer)                                                                            \
    X(CmdBindPipeline)                                                                             \
    X(CmdBindDescriptorSets)                                                                       \
    X(CmdPushConstants)                                                                            \
    X(CmdDispatch)                                                                                 \
    X(CmdCopyBuffer)                                                                               \
    X(CmdFillBuffer)                                                                               \
    X(CmdPipelineBarrier)                                                                          \
    X(CmdResetQueryPool)                                                                           \
    X(CmdCopyQueryPoolResults)                                                                     \
    X(CmdWriteTimestamp)                                                                           \
    X(GetQueryPoolResults)                                                                         \
    X(QueueSubmit)                                                                                 \
    X(GetSemaphoreCounterValue)                                                                    \
    X(WaitSemaphores)

PFN_vkVoidFunction fake_queue_function(const char *name)
{
    QUEUE_FUNCTIONS(FAKE_FIND)
    return fake_fence_function(name);
}
