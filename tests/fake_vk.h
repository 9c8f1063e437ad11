/* Vulkan in host memory, for tests of device/: any devices, any limits, and every k-th call that
 * may fail can be made to fail. Give fake_vk_get_proc to dev_instance_params.get_proc.
 *
 * Copies and fills are carried out when they are submitted; dispatches only leave a trace. Wrong
 * use (an overlap of bound buffers, an unaligned offset, a workgroup beyond the limits, a feature
 * that was not offered, an object that is used after its end) is printed and counted in `wrong`.
 *
 * There is one fake at a time (a Vulkan function has no user pointer); calls from any thread. */
#ifndef QUADRIGA_TESTS_FAKE_VK_H
#define QUADRIGA_TESTS_FAKE_VK_H

#include "fault.h"

#include <stdbool.h>
#include <stdint.h>

enum fake_memory {
    FAKE_UNIFIED,  /* one heap, one type, mapped and cached */
    FAKE_DISCRETE, /* device heap, not mapped; host heap with write-combined and cached types */
    FAKE_REBAR,    /* as FAKE_DISCRETE, and a mapped type on the device heap */
};

enum { FAKE_CORES_NV, FAKE_CORES_AMD, FAKE_CORES_ARM, FAKE_CORES };

struct fake_gpu {
    const char *name;
    VkPhysicalDeviceType type;
    uint32_t api, vendor_id, device_id, driver_id, driver_version;
    uint8_t uuid[16], driver_uuid[16], cache_uuid[16];
    bool conformant;
    bool no_timeline, no_compute, no_timestamps;
    uint32_t caps; /* enum dev_cap bits that features, extensions and limits offer */
    uint32_t subgroup_size, subgroup_min, subgroup_max;
    uint32_t max_subgroups; /* of a workgroup whose size of subgroups is required */
    uint32_t max_storage_range, max_texels, storage_align, texel_align, max_push;
    uint32_t max_invocations, max_groups, max_shared; /* of a workgroup; of a dispatch, each way */
    uint64_t max_allocation;
    enum fake_memory memory;
    uint64_t heap_bytes, heap_budget, heap_usage; /* the last two: VK_EXT_memory_budget */
    uint64_t memory_left;                         /* vkAllocateMemory refuses beyond; 0 = never */
    bool coopmat2_rigid;                          /* its extension without flexible dimensions */
    bool coopmat2_narrow;       /* the same without workgroup scope and functions of elements */
    uint32_t cores[FAKE_CORES]; /* by which extension; 0: it is missing */
    bool import_broken;         /* imports succeed, but the memory is a copy */
};

enum fake_what {
    FAKE_BARRIER,
    FAKE_DISPATCH,
    FAKE_COPY,
    FAKE_FILL,
    FAKE_BIND_PIPELINE,
    FAKE_TIMESTAMP, /* `word`: the query; only where they are asked for */
};

struct fake_command {
    enum fake_what what;
    VkPipelineStageFlags src_stages, dst_stages; /* barriers */
    VkAccessFlags src_access, dst_access;
    uint64_t src, dst; /* handles of buffers */
    uint64_t src_offset, dst_offset, bytes;
    uint32_t word;
};

#define FAKE_GPUS  8
#define FAKE_TRACE 4096

struct fake_vk {
    struct fake_gpu gpus[FAKE_GPUS];
    uint32_t n_gpus;
    uint32_t loader_version; /* of vkEnumerateInstanceVersion */
    bool no_driver;          /* vkCreateInstance: VK_ERROR_INCOMPATIBLE_DRIVER */
    const char *missing;     /* name of a function that neither loader nor driver has */
    bool validation;         /* there is a validation layer, with VK_EXT_debug_utils */

    /* faults: the call with this number (from 1) fails. Counted are the calls of `only`, or, when
     * that is NULL, of all functions that may find a device lost if it is to be lost, else of all
     * that can fail. A lost device stays lost. */
    uint32_t fail_at;
    VkResult fail_with;
    const char *only;
    uint32_t calls;
    const char *failed_in; /* name of the call that failed */
    bool lost;             /* all devices */
    bool stalled;          /* submissions are accepted, but never done */

    uint32_t pipeline_us; /* what making a pipeline takes */
    uint64_t cache_bytes; /* of vkGetPipelineCacheData; 0: 100 */
    bool trace_timestamps;

    /* what was seen */
    int32_t live;     /* objects not destroyed */
    bool portability; /* vkCreateInstance asked for portability drivers */
    uint32_t wrong;
    uint32_t calls_of[FAULT_COUNT];
    VkDebugUtilsMessengerCreateInfoEXT messenger; /* of the last messenger */
    struct fake_command trace[FAKE_TRACE];
    uint32_t n_trace;
    uint32_t submits, polls, waits, pipelines;
    uint32_t required_size; /* of the last pipeline; 0: none */
    bool full_subgroups;
    uint32_t local[3];          /* its workgroup */
    uint64_t shared;            /* bytes of it */
    uint32_t pipelines_at_once; /* most vkCreateComputePipelines running at one time */
    uint32_t pipelines_running;
    uint8_t *cache_given; /* initial data of the last vkCreatePipelineCache; owned by the fake */
    uint64_t cache_given_bytes;
    uint32_t enabled_extensions; /* of the last vkCreateDevice */
    bool enabled_fp16, enabled_int8, enabled_storage16, enabled_coopmat, enabled_coopmat2;
};

/* A discrete GPU of this number with every capability and a heap of 1 GiB; change what you like. */
struct fake_gpu fake_vk_gpu(uint32_t number);
/* Makes `fake` the one in use; the caller has filled gpus. */
void fake_vk_begin(struct fake_vk *fake);
/* Frees what the fake holds. Returns objects still alive plus wrong uses. */
int32_t fake_vk_end(void);
void *fake_vk_get_proc(void);

#endif
