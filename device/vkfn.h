/* Every Vulkan function that is used, once, and the tables they are loaded into: one for the
 * instance, one per logical device, so that two devices never share a pointer. The second argument
 * says whether the table is useless without it; the others belong to extensions and may only be
 * called when the extension was found and enabled. */
#ifndef QUADRIGA_DEVICE_VKFN_H
#define QUADRIGA_DEVICE_VKFN_H

#include "device/vk_compat.h"

#include <stdbool.h>

#define VKFN_GLOBAL(X)                                                                             \
    X(EnumerateInstanceVersion, true)                                                              \
    X(EnumerateInstanceExtensionProperties, true)                                                  \
    X(EnumerateInstanceLayerProperties, true)                                                      \
    X(CreateInstance, true)

#define VKFN_INSTANCE(X)                                                                           \
    X(DestroyInstance, true)                                                                       \
    X(EnumeratePhysicalDevices, true)                                                              \
    X(EnumerateDeviceExtensionProperties, true)                                                    \
    X(GetPhysicalDeviceProperties, true)                                                           \
    X(GetPhysicalDeviceProperties2, true)                                                          \
    X(GetPhysicalDeviceFeatures2, true)                                                            \
    X(GetPhysicalDeviceMemoryProperties2, true)                                                    \
    X(GetPhysicalDeviceQueueFamilyProperties, true)                                                \
    X(GetPhysicalDeviceFormatProperties, true)                                                     \
    X(GetDeviceProcAddr, true)                                                                     \
    X(CreateDevice, true)                                                                          \
    X(GetPhysicalDeviceCooperativeMatrixPropertiesKHR, false)                                      \
    X(GetPhysicalDeviceCalibrateableTimeDomainsEXT, false)                                         \
    X(CreateDebugUtilsMessengerEXT, false)                                                         \
    X(DestroyDebugUtilsMessengerEXT, false)                                                        \
    X(SetDebugUtilsObjectNameEXT, false)

#define VKFN_DEVICE(X)                                                                             \
    X(DestroyDevice, true)                                                                         \
    X(GetDeviceQueue, true)                                                                        \
    X(DeviceWaitIdle, true)                                                                        \
    X(QueueSubmit, true)                                                                           \
    X(CreateSemaphore, true)                                                                       \
    X(DestroySemaphore, true)                                                                      \
    X(GetSemaphoreCounterValue, true)                                                              \
    X(WaitSemaphores, true)                                                                        \
    X(CreateFence, true)                                                                           \
    X(DestroyFence, true)                                                                          \
    X(ResetFences, true)                                                                           \
    X(WaitForFences, true)                                                                         \
    X(GetFenceStatus, true)                                                                        \
    X(AllocateMemory, true)                                                                        \
    X(FreeMemory, true)                                                                            \
    X(MapMemory, true)                                                                             \
    X(CreateBuffer, true)                                                                          \
    X(DestroyBuffer, true)                                                                         \
    X(GetBufferMemoryRequirements, true)                                                           \
    X(BindBufferMemory, true)                                                                      \
    X(CreateBufferView, true)                                                                      \
    X(DestroyBufferView, true)                                                                     \
    X(CreateShaderModule, true)                                                                    \
    X(DestroyShaderModule, true)                                                                   \
    X(CreateDescriptorSetLayout, true)                                                             \
    X(DestroyDescriptorSetLayout, true)                                                            \
    X(CreatePipelineLayout, true)                                                                  \
    X(DestroyPipelineLayout, true)                                                                 \
    X(CreateComputePipelines, true)                                                                \
    X(DestroyPipeline, true)                                                                       \
    X(CreatePipelineCache, true)                                                                   \
    X(DestroyPipelineCache, true)                                                                  \
    X(GetPipelineCacheData, true)                                                                  \
    X(CreateDescriptorPool, true)                                                                  \
    X(DestroyDescriptorPool, true)                                                                 \
    X(ResetDescriptorPool, true)                                                                   \
    X(AllocateDescriptorSets, true)                                                                \
    X(UpdateDescriptorSets, true)                                                                  \
    X(CreateCommandPool, true)                                                                     \
    X(DestroyCommandPool, true)                                                                    \
    X(ResetCommandPool, true)                                                                      \
    X(AllocateCommandBuffers, true)                                                                \
    X(BeginCommandBuffer, true)                                                                    \
    X(EndCommandBuffer, true)                                                                      \
    X(CmdBindPipeline, true)                                                                       \
    X(CmdBindDescriptorSets, true)                                                                 \
    X(CmdPushConstants, true)                                                                      \
    X(CmdDispatch, true)                                                                           \
    X(CmdCopyBuffer, true)                                                                         \
    X(CmdFillBuffer, true)                                                                         \
    X(CmdPipelineBarrier, true)                                                                    \
    X(CreateQueryPool, true)                                                                       \
    X(DestroyQueryPool, true)                                                                      \
    X(GetQueryPoolResults, true)                                                                   \
    X(CmdResetQueryPool, true)                                                                     \
    X(CmdCopyQueryPoolResults, true)                                                               \
    X(CmdWriteTimestamp, true)                                                                     \
    X(GetMemoryHostPointerPropertiesEXT, false)                                                    \
    X(GetCalibratedTimestampsEXT, false)

#define VKFN_FIELD(name, needed) PFN_vk##name name;

struct vkfn_global {
    VKFN_GLOBAL(VKFN_FIELD)
};
struct vkfn_instance {
    VKFN_INSTANCE(VKFN_FIELD)
};
struct vkfn_device {
    VKFN_DEVICE(VKFN_FIELD)
};
#undef VKFN_FIELD

#endif
