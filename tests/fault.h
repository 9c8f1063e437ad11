/* Every Vulkan function of device/vkfn.h that can fail, once, for the tests that make it fail: the
 * fake (fake_vk.h), the wrapper of a real driver (fault_vk.h) and the tests over both.
 *
 * A row: name; the codes of fault_codes that the specification lists for it (1.3.239); its first
 * parameter, by which its device is known; parameters; arguments. */
#ifndef QUADRIGA_TESTS_FAULT_H
#define QUADRIGA_TESTS_FAULT_H

#include "device/vkfn.h"

#include <stdint.h>

/* Bits in the order of fault_codes. */
#define FAULT_HOST   1u
#define FAULT_DEVICE 2u
#define FAULT_LOST   4u
#define FAULT_INIT   8u
#define FAULT_MEMORY (FAULT_HOST | FAULT_DEVICE)
#define FAULT_CODES  4u

#define FAULT_ALLOC const VkAllocationCallbacks *alloc

/* clang-format off */
#define FAULT_FUNCTIONS(X)                                                                         \
    X(EnumerateInstanceVersion, FAULT_HOST, version, (uint32_t *version), (version))               \
    X(EnumerateInstanceExtensionProperties, FAULT_MEMORY, layer,                                   \
      (const char *layer, uint32_t *n, VkExtensionProperties *out), (layer, n, out))               \
    X(EnumerateInstanceLayerProperties, FAULT_MEMORY, n,                                           \
      (uint32_t *n, VkLayerProperties *out), (n, out))                                             \
    X(CreateInstance, FAULT_MEMORY | FAULT_INIT, info,                                             \
      (const VkInstanceCreateInfo *info, FAULT_ALLOC, VkInstance *out), (info, alloc, out))        \
    X(EnumeratePhysicalDevices, FAULT_MEMORY | FAULT_INIT, instance,                               \
      (VkInstance instance, uint32_t *n, VkPhysicalDevice *out), (instance, n, out))               \
    X(EnumerateDeviceExtensionProperties, FAULT_MEMORY, physical,                                  \
      (VkPhysicalDevice physical, const char *layer, uint32_t *n, VkExtensionProperties *out),     \
      (physical, layer, n, out))                                                                   \
    X(CreateDevice, FAULT_MEMORY | FAULT_INIT | FAULT_LOST, physical,                              \
      (VkPhysicalDevice physical, const VkDeviceCreateInfo *info, FAULT_ALLOC, VkDevice *out),     \
      (physical, info, alloc, out))                                                                \
    X(GetPhysicalDeviceCooperativeMatrixPropertiesKHR, FAULT_MEMORY, physical,                     \
      (VkPhysicalDevice physical, uint32_t *n, VkCooperativeMatrixPropertiesKHR *out),             \
      (physical, n, out))                                                                          \
    X(GetPhysicalDeviceCalibrateableTimeDomainsEXT, FAULT_MEMORY, physical,                        \
      (VkPhysicalDevice physical, uint32_t *n, VkTimeDomainEXT *out), (physical, n, out))          \
    X(GetCalibratedTimestampsEXT, FAULT_MEMORY, device,                                            \
      (VkDevice device, uint32_t n, const VkCalibratedTimestampInfoEXT *infos, uint64_t *out,      \
       uint64_t *error),                                                                           \
      (device, n, infos, out, error))                                                              \
    X(CreateDebugUtilsMessengerEXT, FAULT_HOST, instance,                                          \
      (VkInstance instance, const VkDebugUtilsMessengerCreateInfoEXT *info, FAULT_ALLOC,           \
       VkDebugUtilsMessengerEXT *out),                                                             \
      (instance, info, alloc, out))                                                                \
    X(SetDebugUtilsObjectNameEXT, FAULT_MEMORY, device,                                            \
      (VkDevice device, const VkDebugUtilsObjectNameInfoEXT *info), (device, info))                \
    X(DeviceWaitIdle, FAULT_MEMORY | FAULT_LOST, device, (VkDevice device), (device))              \
    X(QueueSubmit, FAULT_MEMORY | FAULT_LOST, queue,                                               \
      (VkQueue queue, uint32_t n, const VkSubmitInfo *info, VkFence fence),                        \
      (queue, n, info, fence))                                                                     \
    X(CreateSemaphore, FAULT_MEMORY, device,                                                       \
      (VkDevice device, const VkSemaphoreCreateInfo *info, FAULT_ALLOC, VkSemaphore *out),         \
      (device, info, alloc, out))                                                                  \
    X(GetSemaphoreCounterValue, FAULT_MEMORY | FAULT_LOST, device,                                 \
      (VkDevice device, VkSemaphore semaphore, uint64_t *out), (device, semaphore, out))           \
    X(WaitSemaphores, FAULT_MEMORY | FAULT_LOST, device,                                           \
      (VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout),                        \
      (device, info, timeout))                                                                     \
    X(CreateFence, FAULT_MEMORY, device,                                                           \
      (VkDevice device, const VkFenceCreateInfo *info, FAULT_ALLOC, VkFence *out),                 \
      (device, info, alloc, out))                                                                  \
    X(ResetFences, FAULT_DEVICE, device, (VkDevice device, uint32_t n, const VkFence *fences),     \
      (device, n, fences))                                                                         \
    X(WaitForFences, FAULT_MEMORY | FAULT_LOST, device,                                            \
      (VkDevice device, uint32_t n, const VkFence *fences, VkBool32 all, uint64_t timeout),        \
      (device, n, fences, all, timeout))                                                           \
    X(GetFenceStatus, FAULT_MEMORY | FAULT_LOST, device,                                           \
      (VkDevice device, VkFence fence), (device, fence))                                           \
    X(AllocateMemory, FAULT_MEMORY, device,                                                        \
      (VkDevice device, const VkMemoryAllocateInfo *info, FAULT_ALLOC, VkDeviceMemory *out),       \
      (device, info, alloc, out))                                                                  \
    X(MapMemory, FAULT_MEMORY, device,                                                             \
      (VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize bytes,            \
       VkMemoryMapFlags flags, void **out),                                                        \
      (device, memory, offset, bytes, flags, out))                                                 \
    X(CreateBuffer, FAULT_MEMORY, device,                                                          \
      (VkDevice device, const VkBufferCreateInfo *info, FAULT_ALLOC, VkBuffer *out),               \
      (device, info, alloc, out))                                                                  \
    X(BindBufferMemory, FAULT_MEMORY, device,                                                      \
      (VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset),              \
      (device, buffer, memory, offset))                                                            \
    X(CreateBufferView, FAULT_MEMORY, device,                                                      \
      (VkDevice device, const VkBufferViewCreateInfo *info, FAULT_ALLOC, VkBufferView *out),       \
      (device, info, alloc, out))                                                                  \
    X(CreateShaderModule, FAULT_MEMORY, device,                                                    \
      (VkDevice device, const VkShaderModuleCreateInfo *info, FAULT_ALLOC, VkShaderModule *out),   \
      (device, info, alloc, out))                                                                  \
    X(CreateDescriptorSetLayout, FAULT_MEMORY, device,                                             \
      (VkDevice device, const VkDescriptorSetLayoutCreateInfo *info, FAULT_ALLOC,                  \
       VkDescriptorSetLayout *out),                                                                \
      (device, info, alloc, out))                                                                  \
    X(CreatePipelineLayout, FAULT_MEMORY, device,                                                  \
      (VkDevice device, const VkPipelineLayoutCreateInfo *info, FAULT_ALLOC,                       \
       VkPipelineLayout *out),                                                                     \
      (device, info, alloc, out))                                                                  \
    X(CreateComputePipelines, FAULT_MEMORY, device,                                                \
      (VkDevice device, VkPipelineCache cache, uint32_t n,                                         \
       const VkComputePipelineCreateInfo *info, FAULT_ALLOC, VkPipeline *out),                     \
      (device, cache, n, info, alloc, out))                                                        \
    X(CreatePipelineCache, FAULT_MEMORY, device,                                                   \
      (VkDevice device, const VkPipelineCacheCreateInfo *info, FAULT_ALLOC, VkPipelineCache *out), \
      (device, info, alloc, out))                                                                  \
    X(GetPipelineCacheData, FAULT_MEMORY, device,                                                  \
      (VkDevice device, VkPipelineCache cache, size_t *bytes, void *out),                          \
      (device, cache, bytes, out))                                                                 \
    X(CreateDescriptorPool, FAULT_MEMORY, device,                                                  \
      (VkDevice device, const VkDescriptorPoolCreateInfo *info, FAULT_ALLOC,                       \
       VkDescriptorPool *out),                                                                     \
      (device, info, alloc, out))                                                                  \
    X(ResetDescriptorPool, 0, device,                                                              \
      (VkDevice device, VkDescriptorPool pool, VkDescriptorPoolResetFlags flags),                  \
      (device, pool, flags))                                                                       \
    X(AllocateDescriptorSets, FAULT_MEMORY, device,                                                \
      (VkDevice device, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out),            \
      (device, info, out))                                                                         \
    X(CreateCommandPool, FAULT_MEMORY, device,                                                     \
      (VkDevice device, const VkCommandPoolCreateInfo *info, FAULT_ALLOC, VkCommandPool *out),     \
      (device, info, alloc, out))                                                                  \
    X(ResetCommandPool, FAULT_DEVICE, device,                                                      \
      (VkDevice device, VkCommandPool pool, VkCommandPoolResetFlags flags),                        \
      (device, pool, flags))                                                                       \
    X(AllocateCommandBuffers, FAULT_MEMORY, device,                                                \
      (VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out),            \
      (device, info, out))                                                                         \
    X(BeginCommandBuffer, FAULT_MEMORY, commands,                                                  \
      (VkCommandBuffer commands, const VkCommandBufferBeginInfo *info), (commands, info))          \
    X(EndCommandBuffer, FAULT_MEMORY, commands, (VkCommandBuffer commands), (commands))            \
    X(CreateQueryPool, FAULT_MEMORY, device,                                                       \
      (VkDevice device, const VkQueryPoolCreateInfo *info, FAULT_ALLOC, VkQueryPool *out),         \
      (device, info, alloc, out))                                                                  \
    X(GetQueryPoolResults, FAULT_MEMORY | FAULT_LOST, device,                                      \
      (VkDevice device, VkQueryPool pool, uint32_t first, uint32_t n, size_t bytes, void *out,     \
       VkDeviceSize stride, VkQueryResultFlags flags),                                             \
      (device, pool, first, n, bytes, out, stride, flags))                                         \
    X(GetMemoryHostPointerPropertiesEXT, FAULT_HOST, device,                                       \
      (VkDevice device, VkExternalMemoryHandleTypeFlagBits type, const void *host,                 \
       VkMemoryHostPointerPropertiesEXT *out),                                                     \
      (device, type, host, out))
/* clang-format on */

#define FAULT_NUMBER(name, legal, first, params, args) FAULT_##name,
enum { FAULT_FUNCTIONS(FAULT_NUMBER) FAULT_COUNT };
#undef FAULT_NUMBER

/* By number below FAULT_COUNT. */
const char *fault_name(uint32_t function); /* "vkQueueSubmit" */
uint32_t fault_legal(uint32_t function);
/* FAULT_COUNT: not one that can fail. */
uint32_t fault_find(const char *name);
/* Number `code` below FAULT_CODES, in the order of the bits. */
VkResult fault_code(uint32_t code);
const char *fault_code_name(uint32_t code);
/* Every function of device/vkfn.h is either in the table above or known to return nothing. NULL,
 * or the name of one that is neither. */
const char *fault_unknown(void);

#endif
