/* The fake's fences: an object of 8 bytes that holds whether it is signalled; see fake_vk.h. A
 * submission is carried out at once, so a fence is signalled by vkQueueSubmit or never. */
#include "fake_vk_internal.h"

#include <string.h>

static uint64_t *signal_of(VkFence fence)
{
    return (uint64_t *)(uintptr_t)fence;
}

void fake_fence_signal(VkFence fence)
{
    if (fence != VK_NULL_HANDLE) {
        if (*signal_of(fence) != 0) {
            fake_wrong("a submission with a fence that was not reset");
        }
        *signal_of(fence) = 1;
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_CreateFence(VkDevice device,
                                                       const VkFenceCreateInfo *info,
                                                       const VkAllocationCallbacks *alloc,
                                                       VkFence *out)
{
    (void)device;
    (void)alloc;
    VkResult result = fake_fallible("vkCreateFence", NULL);
    if (result == VK_SUCCESS) {
        *out = HANDLE(VkFence, fake_object(8));
        *signal_of(*out) = (info->flags & VK_FENCE_CREATE_SIGNALED_BIT) != 0 ? 1 : 0;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_DestroyFence(VkDevice device, VkFence fence,
                                                    const VkAllocationCallbacks *alloc)
{
    (void)device;
    (void)alloc;
    fake_free((void *)(uintptr_t)fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_ResetFences(VkDevice device, uint32_t n,
                                                       const VkFence *fences)
{
    (void)device;
    VkResult result = fake_fallible("vkResetFences", NULL);
    for (uint32_t i = 0; i < n && result == VK_SUCCESS; i++) {
        *signal_of(fences[i]) = 0;
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_WaitForFences(VkDevice device, uint32_t n,
                                                         const VkFence *fences, VkBool32 all,
                                                         uint64_t timeout)
{
    (void)all;
    (void)timeout;
    VkResult result = fake_fallible("vkWaitForFences", device);
    for (uint32_t i = 0; i < n && result == VK_SUCCESS; i++) {
        result = *signal_of(fences[i]) != 0 ? VK_SUCCESS : VK_TIMEOUT;
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetFenceStatus(VkDevice device, VkFence fence)
{
    VkResult result = fake_fallible("vkGetFenceStatus", device);
    return result == VK_SUCCESS && *signal_of(fence) == 0 ? VK_NOT_READY : result;
}

#define FENCE_FUNCTIONS(X)                                                                         \
    X(CreateFence)                                                                                 \
    X(DestroyFence)                                                                                \
    X(ResetFences)                                                                                 \
    X(WaitForFences)                                                                               \
    X(GetFenceStatus)

PFN_vkVoidFunction fake_fence_function(const char *name)
{
    FENCE_FUNCTIONS(FAKE_FIND)
    return NULL;
}
