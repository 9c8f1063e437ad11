/* The queue and the timeline: submission, waiting, and the state of a lost device. */
#include "device/internal.h"

#include "base/os.h"

#define POLL_NS 100000ull /* about twice what a blocked thread takes to wake up */

bool dev_check(struct dev *dev, VkResult result, const char *what)
{
    if (result == VK_SUCCESS) {
        return true;
    }
    const struct dev_info *info = &dev->info;
    if (result == VK_ERROR_DEVICE_LOST) {
        if (!atomic_exchange(&dev->lost, true)) {
            log_error(dev->log, "device %u (%s) is lost: %s failed after submission %llu",
                      info->index, info->name, what,
                      (unsigned long long)atomic_load(&dev->submitted));
        }
        return false;
    }
    log_error(dev->log, "device %u (%s): %s: %s", info->index, info->name, what,
              vk_result_name(result));
    return false;
}

uint64_t submit_commands(struct dev *dev, VkCommandBuffer commands)
{
    if (atomic_load(&dev->lost)) {
        return 0;
    }
    pthread_mutex_lock(&dev->submit_lock);
    uint64_t value = atomic_load(&dev->submitted) + 1;
    const VkTimelineSemaphoreSubmitInfo timeline = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &value};
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .pNext = &timeline,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands,
                               .signalSemaphoreCount = 1,
                               .pSignalSemaphores = &dev->timeline};
    VkResult result = dev->vk.QueueSubmit(dev->queue, 1, &info, VK_NULL_HANDLE);
    if (result == VK_SUCCESS) {
        atomic_store(&dev->submitted, value);
    }
    pthread_mutex_unlock(&dev->submit_lock);
    return dev_check(dev, result, "vkQueueSubmit") ? value : 0;
}

uint64_t dev_submit(struct dev *dev, struct dev_cmd *cmd)
{
    if (atomic_load(&dev->lost)) {
        return 0;
    }
    if (cmd->dev != dev || cmd->state != CMD_READY) {
        log_error(dev->log, "device %u (%s): a command list was submitted that is not ready",
                  dev->info.index, dev->info.name);
        return 0;
    }
    uint64_t value = submit_commands(dev, cmd->handle);
    if (value != 0) {
        cmd->value = value;
        cmd->submitted = true;
    }
    return value;
}

static void raise_reached(struct dev *dev, uint64_t value)
{
    unsigned long long old = atomic_load(&dev->reached);
    while (old < value && !atomic_compare_exchange_weak(&dev->reached, &old, value)) {
    }
}

bool dev_poll(struct dev *dev, uint64_t value)
{
    if (atomic_load(&dev->lost)) {
        return false;
    }
    uint64_t now = 0;
    if (atomic_load(&dev->reached) < value) {
        VkResult result = dev->vk.GetSemaphoreCounterValue(dev->handle, dev->timeline, &now);
        if (!dev_check(dev, result, "vkGetSemaphoreCounterValue")) {
            return false;
        }
        raise_reached(dev, now);
    }
    return atomic_load(&dev->reached) >= value;
}

/* Asks the driver again and again for a time. A failure to answer is no failure of the work: the
 * wait that follows decides. */
static bool poll_for(struct dev *dev, uint64_t value, uint64_t ns)
{
    uint64_t end = os_clock_ns() + ns, now = 0;
    VkResult result;
    do {
        result = dev->vk.GetSemaphoreCounterValue(dev->handle, dev->timeline, &now);
        if (result == VK_SUCCESS && now >= value) {
            raise_reached(dev, now);
            return true;
        }
    } while (result == VK_SUCCESS && !atomic_load(&dev->lost) && os_clock_ns() < end);
    if (result == VK_ERROR_DEVICE_LOST) {
        dev_check(dev, result, "vkGetSemaphoreCounterValue");
    }
    return false;
}

static VkResult block_for(struct dev *dev, uint64_t value, uint64_t ns)
{
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &dev->timeline,
                                      .pValues = &value};
    return dev->vk.WaitSemaphores(dev->handle, &info, ns);
}

bool dev_wait_about(struct dev *dev, uint64_t value, uint64_t ns)
{
    uint64_t most = ns < WAIT_LIMIT_NS ? ns : WAIT_LIMIT_NS;
    bool long_enough = dev->info.type != DEV_CPU && most / 2 > POLL_NS &&
                       !atomic_load(&dev->lost) && atomic_load(&dev->reached) < value;
    if (long_enough && block_for(dev, value, most / 2) == VK_TIMEOUT) {
        poll_for(dev, value, most);
    }
    return dev_wait(dev, value); /* which also says what was wrong */
}

bool dev_wait(struct dev *dev, uint64_t value)
{
    if (atomic_load(&dev->lost)) {
        return false;
    }
    if (atomic_load(&dev->reached) >= value) {
        return true;
    }
    if (dev->info.type != DEV_CPU && poll_for(dev, value, POLL_NS)) {
        return true;
    }
    if (atomic_load(&dev->lost)) {
        return false;
    }
    VkResult result = block_for(dev, value, WAIT_LIMIT_NS);
    if (result == VK_TIMEOUT) {
        log_error(dev->log, "device %u (%s): submission %llu did not finish within 60 s",
                  dev->info.index, dev->info.name, (unsigned long long)value);
        return false;
    }
    if (!dev_check(dev, result, "vkWaitSemaphores")) {
        return false;
    }
    raise_reached(dev, value);
    return true;
}

bool submit_drain(struct dev *dev)
{
    return dev_wait(dev, atomic_load(&dev->submitted));
}
