/* The structs behind device.h and the calls between the files of this folder.
 *
 * Locks of a dev, each held alone or in this order: transfer.lock, submit_lock; memory.lock;
 * kernels.lock. `lost`, `submitted` and `reached` are atomic. */
#ifndef QUADRIGA_DEVICE_INTERNAL_H
#define QUADRIGA_DEVICE_INTERNAL_H

#include "device/device.h"
#include "device/hazard.h"
#include "device/ranges.h"
#include "device/vkfn.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- instance ---- */

struct loader {
    void *lib; /* of dlopen; NULL when the caller gave get_proc */
    PFN_vkGetInstanceProcAddr get_proc;
    struct vkfn_global vk;
};

/* Device extensions that matter, as bits of phys.exts. */
enum phys_ext {
    EXT_MEMORY_BUDGET = 1 << 0,
    EXT_HOST_IMPORT = 1 << 1,
    EXT_SIZE_CONTROL = 1 << 2,
    EXT_INT_DOT = 1 << 3,
    EXT_COOPMAT = 1 << 4,
    EXT_MAINTENANCE4 = 1 << 5,
    EXT_PORTABILITY = 1 << 6,
    EXT_COOPMAT2 = 1 << 7,
    EXT_CALIBRATED = 1 << 8,
    EXT_CORES_NV = 1 << 9, /* these three tell how many cores there are */
    EXT_CORES_AMD = 1 << 10,
    EXT_CORES_ARM = 1 << 11,
};

/* What a row of quirks.c may switch off besides capabilities. */
enum quirk_tune {
    TUNE_NO_FULL_SUBGROUPS = 1 << 0,
    TUNE_JOINT_BARRIERS = 1 << 1, /* goes into the caps */
};

struct phys {
    VkPhysicalDevice handle;
    struct dev_info info;
    uint32_t api;  /* lower of the instance's and the device's version */
    uint32_t exts; /* enum phys_ext */
    uint32_t tune; /* enum quirk_tune */
    uint32_t queue_family;
    uint32_t device_heap; /* largest device-local heap */
    VkPhysicalDeviceMemoryProperties memory;
    bool conformant;     /* the driver claims a conformance version */
    bool full_subgroups; /* computeFullSubgroups */
    uint32_t order;      /* place in the driver's enumeration */
};

struct dev_instance {
    struct log *log;
    struct loader loader;
    struct vkfn_instance vk;
    VkInstance handle;
    uint32_t api;
    VkDebugUtilsMessengerEXT messenger;
    atomic_uint messages;
    bool validate;
    struct phys *phys;
    uint32_t n_phys;
};

/* loader.c */
bool loader_open(struct loader *loader, void *get_proc, struct log *log);
void loader_close(struct loader *loader);
bool loader_instance(const struct loader *loader, VkInstance instance, struct vkfn_instance *vk,
                     struct log *log);
bool loader_device(const struct vkfn_instance *instance, VkDevice device, struct vkfn_device *vk,
                   struct log *log);
const char *vk_result_name(VkResult result);

/* validate.c */
bool validate_available(const struct loader *loader, struct log *log);
VkDebugUtilsMessengerCreateInfoEXT validate_messenger(struct dev_instance *inst);
/* For layers with VK_EXT_layer_settings. */
VkLayerSettingsCreateInfoEXT validate_settings(const void *next);
#define VALIDATE_LAYER "VK_LAYER_KHRONOS_validation"
/* validate_known.c: true for a message that is a known bug of the layer. */
bool validate_known(const char *vuid, const char *text);

/* caps.c: fills everything of `phys` from its handle, api and order. False only when out of memory.
 */
bool caps_read(const struct dev_instance *inst, struct phys *phys);
/* The capabilities left when `off` is masked, with what that implies. */
struct dev_caps caps_mask(const struct dev_caps *caps, uint32_t off);
uint64_t caps_free_bytes(const struct dev_instance *inst, const struct phys *phys, bool budget);

/* flexible.c: fills caps.flexible and its limits, of a device whose coopmat2 bits are known. */
void flexible_read(const struct dev_instance *inst, const struct phys *phys,
                   const VkPhysicalDeviceCooperativeMatrix2PropertiesNV *limits,
                   struct dev_caps *caps);

/* quirks.c: clears caps, sets phys.tune and info.quirks. */
void quirks_apply(struct phys *phys);

/* order.c: sorts, and drops the copies of a GPU that a worse driver shows. Returns how many stay.
 */
uint32_t order_devices(struct phys *phys, uint32_t n);

/* ---- logical device ---- */

/* One VkDeviceMemory. */
struct slab {
    struct slab *next;
    VkDeviceMemory handle;
    uint32_t type;
    bool dedicated; /* holds one buffer */
    uint64_t bytes;
    uint8_t *mapped; /* NULL when not host-visible */
    struct ranges ranges;
};

#define MEM_KINDS 3

struct memory {
    pthread_mutex_t lock;
    struct slab *slabs;
    uint32_t order[MEM_KINDS][VK_MAX_MEMORY_TYPES], n_order[MEM_KINDS]; /* types, best first */
    uint64_t budget, used, peak; /* of the device heap, in bytes of VkDeviceMemory */
    uint64_t other;              /* bytes on other heaps */
    uint32_t n_slabs;
    struct dev_buf *bufs; /* all buffers, for the dump */
};

struct dev_buf {
    struct dev *dev;
    struct dev_buf *prev, *next;
    VkBuffer handle;
    uint64_t bytes;
    char name[64];
    enum dev_mem mem;
    struct slab *slab; /* NULL when imported */
    uint64_t slab_offset, slab_bytes;
    uint8_t *mapped;
    bool cached;             /* mapped memory that is fast to read */
    VkDeviceMemory imported; /* host memory of an exchange */
    atomic_ullong transfer;  /* timeline value of the last staged transfer that uses it */
};

#define TRANSFER_SLOTS 4

struct transfer {
    pthread_mutex_t lock;
    VkCommandPool pool; /* all of this is made on first use */
    VkCommandBuffer cmds[TRANSFER_SLOTS];
    uint64_t value[TRANSFER_SLOTS]; /* the slot is free when this is reached */
    uint32_t next;
    uint64_t chunk; /* bytes of one slot in up and down */
    struct dev_buf *up, *down;
};

struct dev_kernel {
    struct dev_kernel *next; /* of its hash bucket */
    const struct dev_shader *shader;
    uint32_t values[DEV_MAX_SPECS]; /* of shader->spec_ids */
    uint32_t asked_size;            /* dev_kernel_params.subgroup_size */
    uint32_t subgroup_size;         /* required, 0: none */
    bool full;                      /* full subgroups required */
    bool noted;                     /* to be made at dev_kernels_end; kernels.lock */
    atomic_bool made;               /* what follows is there, and does not change any more */
    uint32_t n_storage, n_texel;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
};

#define KERNEL_BUCKETS 256

struct kernels {
    pthread_mutex_t lock;
    struct dev_kernel *buckets[KERNEL_BUCKETS];
    uint32_t brackets; /* dev_kernels_begin without its end */
    VkPipelineCache cache;
    char *folder, *path;  /* of the cache file; NULL = none */
    uint64_t shader_hash; /* part of the file's key */
    uint64_t file_hash;   /* of the file that was read; 0: none */
    bool dirty;           /* a pipeline was made since the file was read */
};

struct dev {
    struct dev_instance *inst;
    const struct phys *phys;
    struct dev_info info; /* caps after the mask */
    struct log *log;
    struct vkfn_device vk;
    VkDevice handle;
    VkQueue queue;
    VkSemaphore timeline;
    atomic_bool lost;
    pthread_mutex_t submit_lock;
    atomic_ullong submitted, reached; /* timeline values */
    struct memory memory;
    struct transfer transfer;
    struct kernels kernels;
};

/* submit.c */
/* True for VK_SUCCESS. Logs anything else as "device N (name): <what>: VK_ERROR_..." and turns
 * VK_ERROR_DEVICE_LOST into the lost state. */
bool dev_check(struct dev *dev, VkResult result, const char *what);
uint64_t submit_commands(struct dev *dev, VkCommandBuffer commands);
/* Waits for everything submitted so far. */
bool submit_drain(struct dev *dev);
#define WAIT_LIMIT_NS 60000000000ull /* then a submission counts as hung */

/* waiter.c */
struct dev_waiter {
    struct dev *dev;
    enum dev_wait_mode mode;
    VkFence fence; /* of the fence modes */
    bool failed;   /* a submission was not seen to end, or the fence is of no more use */
};

/* memory.c */
void memory_init(struct dev *dev, uint64_t budget);
void memory_finish(struct dev *dev);
/* Binds nothing: finds a place for `req`; the error names the buffer. */
bool memory_take(struct dev *dev, const VkMemoryRequirements *req, struct dev_buf *buf);
void memory_give(struct dev *dev, struct dev_buf *buf);
/* memory_type.c: types usable for each enum dev_mem, best first. */
void memory_types(struct dev *dev);

/* buffer.c */
/* A buffer over imported host memory; the pointer and bytes obey caps.import_align. NULL when the
 * device refuses; that is logged as debug, not as an error. */
struct dev_buf *buffer_import(struct dev *dev, const char *name, void *host, uint64_t bytes);
bool buffer_range_ok(const struct dev_buf *buf, uint64_t offset, uint64_t bytes, const char *what);
void dev_set_name(struct dev *dev, VkObjectType type, uint64_t handle, const char *name);

/* transfer.c */
void transfer_finish(struct dev *dev);

/* kernel.c */
void kernels_finish(struct dev *dev);
/* Makes a kernel that was only noted. False: logged. */
bool kernel_ensure(struct dev *dev, struct dev_kernel *kernel);
/* pipeline.c: under kernels.lock. Sets made. Returns the threads that worked; 0: one or more could
 * not be made, the first of them is logged. */
uint32_t pipeline_make(struct dev *dev, struct dev_kernel *const *kernels, uint32_t n,
                       uint32_t n_threads);
void pipeline_destroy(struct dev *dev, struct dev_kernel *kernel);
/* cache.c: all failures are misses. */
void cache_open(struct dev *dev, const struct dev_open_params *params);
void cache_save(struct dev *dev);
void cache_close(struct dev *dev);
/* cache_trim.c: removes the least recently used files of ours while they take more than `cap`
 * bytes together, but not `keep` (a name in the folder); and temporary files that were left. */
void cache_trim(const struct dev *dev, const char *folder, const char *keep, uint64_t cap);
#define CACHE_PREFIX "pipelines-"
#define CACHE_SUFFIX ".bin"

/* ---- commands ---- */

struct bind_view {
    VkBuffer buffer;
    uint64_t offset, bytes;
    VkFormat format;
    VkBufferView handle;
};

/* Descriptor sets and texel views of one recording. */
/* cache_trim.c: removes the least recently used files of ours while they take more than `cap`
 * bytes together, but not `keep` (a name in the folder); and temporary files that were left. */
void cache_trim(const struct dev *dev, const char *folder, const char *keep, uint64_t cap);
#define CACHE_PREFIX "pipelines-"
#define CACHE_SUFFIX ".bin"
struct binder {
    VkDescriptorPool *pools;
    size_t n_pools, cap_pools;
    size_t current; /* index of the pool in use */
    bool started;   /* there is a pool in use */
    uint32_t sets_left, storage_left, texel_left;
    struct bind_view *views;
    size_t n_views, cap_views;
};

enum cmd_state { CMD_EMPTY, CMD_RECORDING, CMD_READY, CMD_FAILED };

struct dev_cmd {
    struct dev *dev;
    VkCommandPool pool;
    VkCommandBuffer handle;
    enum cmd_state state;
    bool dry;
    struct hazard hazard;
    VkPipelineStageFlags stages; /* used since the last barrier */
    struct binder binder;
    VkPipeline bound;
    VkQueryPool queries;
    uint32_t n_queries;
    uint64_t stamped;       /* timers 0 to 63 that the recording writes */
    struct dev_buf *stamps; /* mapped; where a CPU device copies its timers to, or NULL */
    bool copies_stamps;     /* this recording does */
    uint32_t n_dispatches, n_barriers;
    VkQueryPool *span_pools;
    size_t n_span_pools, cap_span_pools;
    uint32_t n_spans;             /* of this recording */
    bool wants_spans, with_spans; /* of recordings to come; of this one */
    uint64_t value;               /* of the last submission */
    bool submitted;               /* since it was recorded: its timers have been reset */
};

/* timer.c: the first timestamps of a pool, in nanoseconds. */
/* At the end of a recording. */
void timer_copy(struct dev_cmd *cmd);
bool timer_read(struct dev *dev, VkQueryPool pool, uint64_t *ns, uint32_t count);
uint64_t timer_ns(const struct dev *dev, uint64_t ticks);
/* calibrate.c: the device can tell its clock and the host's at once. */
bool calibrate_probe(const struct dev_instance *inst, const struct phys *phys);
/* span.c: around a command, behind its barrier; nothing where the recording has no spans. */
bool span_begin(struct dev_cmd *cmd);
void span_end(struct dev_cmd *cmd);
void span_finish(struct dev_cmd *cmd);

/* bind.c */
VkDescriptorSet binder_set(struct dev *dev, struct binder *binder, const struct dev_dispatch *d);
bool binder_reset(struct dev *dev, struct binder *binder);
void binder_finish(struct dev *dev, struct binder *binder);
/* The dispatch is within the kernel's interface and the device's limits; one error line if not. */
bool bind_check(struct dev *dev, const struct dev_dispatch *d);

#endif
