/* Submission and its end seen in one way only: by fence or timeline, blocking or polling. For
 * measurements; the engine's own way is dev_submit and dev_wait in submit.c. */
#include "device/internal.h"

#include "base/mem.h"
#include "base/os.h"

static bool is_fence(const struct dev_waiter *w)
{
    return w->mode == DEV_FENCE_WAIT || w->mode == DEV_FENCE_POLL;
}

struct dev_waiter *dev_waiter_create(struct dev *dev, enum dev_wait_mode mode)
{
    if (atomic_load(&dev->lost)) {
        return NULL;
    }
    struct dev_waiter *w = mem_alloc(1, sizeof *w);
    if (w == NULL) {
        log_error(dev->log, "out of memory for a waiter");
        return NULL;
    }
    w->dev = dev;
    w->mode = mode;
    const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    if (is_fence(w) && !dev_check(dev, dev->vk.CreateFence(dev->handle, &info, NULL, &w->fence),
                                  "vkCreateFence")) {
        mem_free(w);
        return NULL;
    }
    return w;
}

void dev_waiter_destroy(struct dev_waiter *w)
{
    if (w == NULL) {
        return;
    }
    if (w->failed) {
        w->dev->vk.DeviceWaitIdle(w->dev->handle);
    }
    if (is_fence(w)) {
        w->dev->vk.DestroyFence(w->dev->handle, w->fence, NULL);
    }
    mem_free(w);
}

static bool submit_fence(struct dev_waiter *w, struct dev_cmd *cmd)
{
    struct dev *dev = w->dev;
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &cmd->handle};
    pthread_mutex_lock(&dev->submit_lock);
    VkResult result = dev->vk.QueueSubmit(dev->queue, 1, &info, w->fence);
    pthread_mutex_unlock(&dev->submit_lock);
    cmd->submitted = dev_check(dev, result, "vkQueueSubmit");
    return cmd->submitted;
}

/* VK_SUCCESS, VK_TIMEOUT while it is not done, or an error. */
static VkResult look(struct dev_waiter *w, uint64_t value)
{
    struct dev *dev = w->dev;
    uint64_t now = 0;
    VkResult result;
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &dev->timeline,
                                      .pValues = &value};
    switch (w->mode) {
    case DEV_FENCE_WAIT:
        return dev->vk.WaitForFences(dev->handle, 1, &w->fence, VK_TRUE, WAIT_LIMIT_NS);
    case DEV_FENCE_POLL:
        result = dev->vk.GetFenceStatus(dev->handle, w->fence);
        return result == VK_NOT_READY ? VK_TIMEOUT : result;
    case DEV_TIMELINE_WAIT:
        return dev->vk.WaitSemaphores(dev->handle, &info, WAIT_LIMIT_NS);
    default:
        result = dev->vk.GetSemaphoreCounterValue(dev->handle, dev->timeline, &now);
        return result == VK_SUCCESS && now < value ? VK_TIMEOUT : result;
    }
}

static const char *call_name(enum dev_wait_mode mode)
{
    static const char *const names[] = {"vkWaitForFences", "vkGetFenceStatus", "vkWaitSemaphores",
                                        "vkGetSemaphoreCounterValue"};
    return names[mode];
}

/* Until it is done, with a look at the clock for the modes that do not block. */
static bool see_end(struct dev_waiter *w, uint64_t value, uint64_t begin)
{
    struct dev *dev = w->dev;
    bool polls = w->mode == DEV_FENCE_POLL || w->mode == DEV_TIMELINE_POLL;
    VkResult result = look(w, value);
    while (polls && result == VK_TIMEOUT && os_clock_ns() - begin < WAIT_LIMIT_NS) {
        result = look(w, value);
    }
    if (result == VK_TIMEOUT) {
        log_error(dev->log, "device %u (%s): %s: a submission did not finish within 60 s",
                  dev->info.index, dev->info.name, call_name(w->mode));
        return false;
    }
    return dev_check(dev, result, call_name(w->mode));
}

bool dev_waiter_run(struct dev_waiter *w, struct dev_cmd *cmd, uint64_t *ns)
{
    struct dev *dev = w->dev;
    if (atomic_load(&dev->lost)) {
        return false;
    }
    if (cmd->dev != dev || cmd->state != CMD_READY || w->failed) {
        log_error(dev->log, "device %u (%s): %s", dev->info.index, dev->info.name,
                  w->failed ? "a waiter was used after it failed"
                            : "a command list was submitted that is not ready");
        return false;
    }
    uint64_t begin = os_clock_ns(), value = 0;
    bool ok = is_fence(w) ? submit_fence(w, cmd) : (value = dev_submit(dev, cmd)) != 0;
    if (!ok) {
        return false;
    }
    w->failed = !see_end(w, value, begin);
    uint64_t end = os_clock_ns();
    if (!w->failed && is_fence(w)) {
        w->failed =
            !dev_check(dev, dev->vk.ResetFences(dev->handle, 1, &w->fence), "vkResetFences");
    }
    if (ns != NULL) {
        *ns = end - begin;
    }
    return !w->failed;
}
