/* Vulkan, and nothing but Vulkan: buffers and kernels, no tensors.
 *
 * A `dev_instance` opens the loader (dlopen) and lists the physical devices. A `dev` is one logical
 * device: own VkDevice, one compute queue, one timeline semaphore, own memory; the same physical
 * device may be opened several times. Work is recorded into a `dev_cmd` and submitted; a submission
 * is known by its timeline value, which grows by one per submission.
 *
 * Errors: bool or pointer; the reason is logged once. A lost device is a state (dev_is_lost): every
 * later call on it fails at once. Every destroy takes NULL.
 *
 * Thread rule: dev_instance_*: one thread at a time. On one dev: dev_submit, dev_wait, dev_poll,
 * dev_is_lost from any thread; dev_upload, dev_download, dev_fill from any thread (one lock);
 * creating and destroying objects from any thread; one dev_cmd belongs to one thread at a time. */
#ifndef QUADRIGA_DEVICE_DEVICE_H
#define QUADRIGA_DEVICE_DEVICE_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

#define DEV_MAX_OPEN     4   /* logical devices of one model */
#define DEV_MAX_BINDINGS 16  /* of one kernel */
#define DEV_MAX_PUSH     128 /* bytes; what Vulkan guarantees */
#define DEV_MAX_SPECS    24

/* ---- capabilities: read once, in caps.c; everything optional is a field here ---- */

enum dev_type { DEV_DISCRETE, DEV_INTEGRATED, DEV_VIRTUAL, DEV_CPU, DEV_OTHER };

/* Bits for dev_open_params.caps_off: the capability is reported as absent and never enabled. */
enum dev_cap {
    DEV_CAP_SUBGROUP = 1 << 0, /* all subgroup operations beyond basic */
    DEV_CAP_SHUFFLE = 1 << 1,
    DEV_CAP_FP16 = 1 << 2, /* arithmetic in float16 */
    DEV_CAP_INT8 = 1 << 3,
    DEV_CAP_INT16 = 1 << 4,
    DEV_CAP_STORAGE8 = 1 << 5,
    DEV_CAP_STORAGE16 = 1 << 6,
    DEV_CAP_INT_DOT = 1 << 7,
    DEV_CAP_COOPMAT = 1 << 8,
    DEV_CAP_HOST_IMPORT = 1 << 9, /* VK_EXT_external_memory_host */
    DEV_CAP_SUBGROUP_CONTROL = 1 << 10,
    DEV_CAP_BUDGET = 1 << 11,   /* VK_EXT_memory_budget */
    DEV_CAP_CPU = 1 << 12,      /* being a CPU: masked, CPU variants are not chosen */
    DEV_CAP_TEXEL = 1 << 13,    /* uniform texel buffers (R32G32B32A32) of at least 2^24 elements */
    DEV_CAP_COOPMAT2 = 1 << 14, /* VK_NV_cooperative_matrix2, at least its flexible dimensions, and
                                   what shaders that use it need */
    DEV_CAP_CALIBRATED = 1 << 15, /* VK_EXT_calibrated_timestamps, with the host's clock */
};

/* Matrices of flexible dimensions, float16 x float16 + float32: each dimension is a multiple of m,
 * n or k and at most dev_caps.flexible_most. */
struct dev_flexible {
    uint32_t m, n, k;
    uint32_t local; /* of workgroup scope, for workgroups of this size; 0: of subgroup scope */
};
#define DEV_MAX_FLEXIBLE 4

/* Parts of VK_NV_cooperative_matrix2, each of which a device may have or not. */
enum dev_coopmat2 {
    DEV_COOPMAT2_WORKGROUP = 1 << 0, /* matrices of workgroup scope */
    DEV_COOPMAT2_FLEXIBLE = 1 << 1,  /* dimensions that are multiples of a granularity */
    DEV_COOPMAT2_REDUCE = 1 << 2,
    DEV_COOPMAT2_CONVERT = 1 << 3, /* between uses and component types */
    DEV_COOPMAT2_PER_ELEMENT = 1 << 4,
    DEV_COOPMAT2_TENSOR = 1 << 5, /* loads and stores by tensor layouts */
    DEV_COOPMAT2_BLOCK_LOADS = 1 << 6,
};

/* "subgroup", "fp16" ...: the name of one bit, as options and reports use it; "?" for others. */
const char *dev_cap_name(uint32_t cap);
/* The bit of that name, 0 when there is none. */
uint32_t dev_cap_find(const char *name);

struct dev_caps {
    uint32_t has;           /* enum dev_cap bits present and not masked */
    uint32_t subgroup_size; /* the size a kernel runs with by default */
    uint32_t subgroup_min, subgroup_max;
    uint32_t max_workgroup_subgroups; /* of kernels that use subgroups; 0: no limit of its own */
    uint32_t max_workgroup_invocations, max_workgroup_size[3], max_workgroup_count[3];
    uint32_t cores; /* that run work groups: multiprocessors, compute units; 0: it does not tell */
    uint32_t max_shared_bytes;
    uint32_t max_push_bytes;
    uint32_t max_storage_buffers; /* per stage */
    uint64_t max_binding_bytes;   /* maxStorageBufferRange */
    uint64_t max_texel_elements;  /* maxTexelBufferElements */
    uint64_t max_buffer_bytes;    /* min(maxBufferSize, maxMemoryAllocationSize) */
    uint32_t offset_align;        /* max of storage-buffer, texel-buffer and 16 byte alignments */
    uint32_t import_align;        /* minImportedHostPointerAlignment, 0 without HOST_IMPORT */
    uint32_t coopmat_m, coopmat_n, coopmat_k; /* a float16 x float16 + float32 shape of subgroup
                                                 scope; 0 without COOPMAT */
    bool coopmat_f16_sums;                    /* that shape exists with float16 sums too */
    /* A shape of signed bytes x signed bytes + int32 of that scope; 0: there is none. */
    uint32_t coopmat_s8_m, coopmat_s8_n, coopmat_s8_k;
    uint32_t coopmat2; /* enum dev_coopmat2 bits; 0 without COOPMAT2 */
    /* Those of workgroup scope, or one of subgroup scope where there are none; 0 without COOPMAT2.
     */
    struct dev_flexible flexible[DEV_MAX_FLEXIBLE];
    uint32_t n_flexible, flexible_most;
    uint32_t flexible_shared; /* bytes of max_shared_bytes that those of workgroup scope take */
    bool joint_barriers; /* a barrier of one subgroup holds the whole workgroup: all its subgroups
                            must come to the same ones */
    bool int_dot_fast;   /* dot products of four packed int8 are said to be faster than without */
    float timestamp_ns;  /* nanoseconds per tick, 0 without timestamps */
    uint32_t timestamp_bits;
};

struct dev_info {
    uint32_t index; /* the number that --device names */
    enum dev_type type;
    char name[256], driver[256], driver_info[256];
    uint32_t vendor_id, device_id, driver_id, driver_version, api_version;
    uint8_t uuid[16], driver_uuid[16], cache_uuid[16];
    uint64_t heap_bytes; /* the heap weights go to */
    uint64_t free_bytes; /* budget left now; CPU devices: from MemAvailable */
    /* Of its own memory, what the host can map: heap_bytes with a resizable BAR or shared memory,
     * a window of 256 MiB on many GPUs, 0 where there is none. */
    uint64_t host_visible_bytes;
    struct dev_caps caps;
    char quirks[256]; /* names of the rows of quirks.c in force, comma separated; "" if none */
    bool usable;
    char why_not[160]; /* when not usable */
};

/* ---- instance ---- */

struct dev_instance;

struct dev_instance_params {
    struct log *log; /* must outlive the instance */
    bool validate;   /* (or the environment variable QUADRIGA_VALIDATE=1) validation layer with
                        synchronization validation; an error when the layer is missing. Messages go to
                        the log as LOG_ERROR lines that begin with   "validation:" and are counted
                        (dev_instance_messages) */
    void *get_proc;  /* tests: a PFN_vkGetInstanceProcAddr to use instead of the loader's */
};

/* NULL, with one line that says what is missing and what to install, when there is no loader, no
 * driver or no device. */
struct dev_instance *dev_instance_create(const struct dev_instance_params *params);
void dev_instance_destroy(struct dev_instance *inst); /* after all its devs */
/* Ordered: discrete, integrated, virtual, CPU, other; then by UUID; one entry per GPU. */
uint32_t dev_instance_count(const struct dev_instance *inst);
const struct dev_info *dev_instance_info(struct dev_instance *inst, uint32_t index);
/* Indices opened by default: up to `cap` GPUs, integrated only without discrete, CPU only without
 * anything else. Returns how many. */
uint32_t dev_instance_default(const struct dev_instance *inst, uint32_t *out, uint32_t cap);
uint32_t dev_instance_messages(const struct dev_instance *inst);

/* ---- logical devices ---- */

struct dev;

struct dev_open_params {
    uint32_t index;        /* of dev_instance_info */
    uint32_t caps_off;     /* enum dev_cap bits to do without (also the ones they imply) */
    uint32_t sharers;      /* logical devices that will share this heap, this one included; 0 = 1 */
    uint64_t budget;       /* bytes this dev may allocate; 0 = its share of the free bytes */
    const char *cache_dir; /* folder for the pipeline cache; NULL = no file is read or written */
    uint64_t shader_hash;  /* of all shaders that may come; a cache with another one is not read */
};

struct dev *dev_open(struct dev_instance *inst, const struct dev_open_params *params);
void dev_close(struct dev *dev); /* waits for the device; after all its objects */
const struct dev_info *dev_get_info(const struct dev *dev);
const struct dev_caps *dev_get_caps(const struct dev *dev); /* after the mask */
bool dev_is_lost(const struct dev *dev);
uint64_t dev_get_budget(const struct dev *dev);
uint64_t dev_get_used(const struct dev *dev);
uint64_t dev_get_peak(const struct dev *dev);
struct log *dev_get_log(const struct dev *dev);

/* ---- buffers ---- */

struct dev_buf;

enum dev_mem {
    DEV_MEM_DEVICE,   /* fastest for the device; may or may not be mappable */
    DEV_MEM_UPLOAD,   /* host writes, device reads: mapped, coherent */
    DEV_MEM_READBACK, /* device writes, host reads: mapped, coherent, cached where there is such */
};

struct dev_buf_params {
    const char *name; /* for the dump and for errors */
    uint64_t bytes;   /* contents are undefined */
    enum dev_mem mem;
};

/* Sub-allocated from slabs under the budget; offset 0 is aligned to offset_align. Bindings of a
 * buffer are ranges; no binding may exceed caps.max_binding_bytes. Usage always includes storage,
 * uniform texel (R32G32B32A32 views), transfer source and destination. */
struct dev_buf *dev_buf_create(struct dev *dev, const struct dev_buf_params *params);
void dev_buf_destroy(struct dev_buf *buf); /* the caller knows that no submission uses it */
uint64_t dev_buf_bytes(const struct dev_buf *buf);
void *dev_buf_map(struct dev_buf *buf); /* host pointer, or NULL when not mappable */
void dev_memory_dump(const struct dev *dev, log_fn *line, void *user);

/* Transfers through a staging ring (or straight into mapped memory). Ordered after all submissions
 * made before and before all made later; `data` may be changed when they return. Only a download
 * has then ended for sure: who touches the buffer through dev_buf_map next waits for a submission
 * of his own first. */
bool dev_upload(struct dev *dev, struct dev_buf *dst, uint64_t offset, const void *data,
                uint64_t bytes);
bool dev_download(struct dev *dev, struct dev_buf *src, uint64_t offset, void *data,
                  uint64_t bytes);
bool dev_fill(struct dev *dev, struct dev_buf *dst, uint64_t offset, uint64_t bytes,
              uint32_t word); /* offset and bytes multiples of 4 */

/* Uploads of one thread at a time out of pinned memory: while the device copies out of one slot the
 * thread fills the next. Unlike dev_upload they wait for nothing: nobody else may use the ranges
 * until dev_stage_finish; what is submitted later sees them. Several stages of one dev may be used
 * at once. */
struct dev_stage;
#define DEV_STAGE_SLOTS 2
#define DEV_STAGE_PARTS 8
struct dev_stage_part {
    uint64_t from, to, bytes; /* from: in the slot; to: in the buffer */
};
struct dev_stage *dev_stage_create(struct dev *dev, uint64_t slot_bytes); /* NULL: logged */
void dev_stage_destroy(struct dev_stage *stage);                          /* waits */
/* The next slot: slot_bytes of mapped, cached memory, the same until it is sent; waits until the
 * device has read what was in it. NULL: lost, or not done within 60 s. */
uint8_t *dev_stage_take(struct dev_stage *stage);
/* Has the device copy 1 to DEV_STAGE_PARTS parts of that slot into `dst`. */
bool dev_stage_send(struct dev_stage *stage, struct dev_buf *dst,
                    const struct dev_stage_part *parts, uint32_t n);
bool dev_stage_finish(struct dev_stage *stage); /* waits for all that was sent */

/* ---- kernels ---- */

enum dev_bind_kind {
    DEV_BIND_STORAGE,    /* storage buffer */
    DEV_BIND_TEXEL_UINT, /* usamplerBuffer, R32G32B32A32_UINT: bound range in whole 16 bytes */
    DEV_BIND_TEXEL_FLOAT /* samplerBuffer, R32G32B32A32_SFLOAT */
};

/* Generated from SPIR-V, one per kernel variant; constant data that outlives every dev using it. */
struct dev_shader {
    const char *name; /* e.g. "gemv_lanes_q4_k" */
    const uint32_t *words;
    size_t n_words;
    uint32_t n_bindings;
    const uint8_t *bind_kinds; /* enum dev_bind_kind by binding number, 0..n_bindings-1 */
    uint32_t push_bytes;
    uint32_t n_specs;
    const uint32_t *spec_ids;
    const uint32_t *spec_defaults;
    bool uses_subgroup; /* declares a GroupNonUniform capability beyond basic */
    uint64_t hash;      /* of the words (base/hash.h, from HASH_SEED on) */
};

struct dev_kernel;

struct dev_kernel_params {
    const struct dev_shader *shader;
    uint32_t n_specs; /* overrides; ids not named keep their default */
    struct {
        uint32_t id, value;
    } specs[DEV_MAX_SPECS];
    uint32_t subgroup_size; /* required size, in full subgroups: the workgroup's x is a multiple of
                               it; 0 = the device's default */
};

/* The pipeline for these params; made on first use, kept by the dev and shared. Slow the first
 * time. Owned by the dev; do not free. */
struct dev_kernel *dev_kernel_get(struct dev *dev, const struct dev_kernel_params *params);

/* Many kernels at once. Between begin and end dev_kernel_get checks its params and notes the kernel
 * without making it; end makes the noted ones on up to `n_threads` threads, of which the caller's
 * is one. A noted kernel serves dry recordings (dev_cmd_begin_dry); a real recording that
 * dispatches one, of any thread, makes it first. Every begin has its end, with n_threads 0 to make
 * nothing. Brackets of several threads may overlap: an end makes what was noted so far. False: one
 * line names a kernel that could not be made. Kernels stay valid pointers; getting or dispatching
 * one that was not made tries again. */
void dev_kernels_begin(struct dev *dev);
bool dev_kernels_end(struct dev *dev, uint32_t n_threads);

/* ---- commands ---- */

enum dev_access { DEV_READ = 1, DEV_WRITE = 2, DEV_READ_WRITE = 3 };

struct dev_bind {
    struct dev_buf *buf;
    uint64_t offset, bytes; /* offset a multiple of caps.offset_align */
    enum dev_access access;
};

struct dev_dispatch {
    struct dev_kernel *kernel;
    uint32_t n_binds;
    struct dev_bind binds[DEV_MAX_BINDINGS];
    const void *push; /* copied */
    uint32_t push_bytes;
    uint32_t groups[3]; /* each in 1..max_workgroup_count */
    const char *label;  /* for errors and timers; lives as long as the cmd */
};

struct dev_cmd;

struct dev_cmd *dev_cmd_create(struct dev *dev);
void dev_cmd_destroy(struct dev_cmd *cmd); /* not while a submission of it is pending */
/* Recording: begin, any of the verbs, end. Barriers between them come from the read and write sets
 * (byte ranges); begin puts a full barrier against all earlier submissions, end makes all writes
 * visible to the host. begin again re-records (not while pending). An ended cmd may be submitted
 * again and again, also while an earlier submission of it is pending. */
bool dev_cmd_begin(struct dev_cmd *cmd);
/* A recording of which nothing is kept: the verbs check and dev_cmd_count counts. After its end the
 * cmd is as it was created, and not fit to be submitted. */
bool dev_cmd_begin_dry(struct dev_cmd *cmd);
bool dev_cmd_dispatch(struct dev_cmd *cmd, const struct dev_dispatch *dispatch);
bool dev_cmd_copy(struct dev_cmd *cmd, struct dev_buf *dst, uint64_t dst_offset,
                  struct dev_buf *src, uint64_t src_offset, uint64_t bytes);
bool dev_cmd_fill(struct dev_cmd *cmd, struct dev_buf *dst, uint64_t offset, uint64_t bytes,
                  uint32_t word);
/* What is recorded next waits for all before it, as if it used their results: for measurements. */
bool dev_cmd_barrier(struct dev_cmd *cmd);
/* Timestamps: write number `slot` (below the count given at dev_cmd_timers). A device without
 * timestamps takes timers too, but reading them gives false, without a log line; so does a command
 * that was not submitted since it was recorded. */
bool dev_cmd_timers(struct dev_cmd *cmd, uint32_t count); /* before begin */
void dev_cmd_timestamp(struct dev_cmd *cmd, uint32_t slot);
bool dev_cmd_read_timers(struct dev_cmd *cmd, uint64_t *ns, uint32_t count); /* after its wait */
/* Spans: each dispatch, copy and fill of the recordings from the next begin on is timed, from
 * behind the barrier before it to its end, which keeps those from overlapping that otherwise might.
 * A device without timestamps records none. */
void dev_cmd_set_spans(struct dev_cmd *cmd, bool on);
uint32_t dev_cmd_spans(const struct dev_cmd *cmd); /* of the recording so far, in its order */
/* Begin and end of each: ns[2 * dev_cmd_spans], on the clock of dev_cmd_read_timers and under its
 * rules. False where there are none. */
bool dev_cmd_read_spans(struct dev_cmd *cmd, uint64_t *ns);
bool dev_cmd_end(struct dev_cmd *cmd);
/* One moment on the clock of dev_cmd_read_timers and on os_clock_ns, and how far apart the two may
 * be. With DEV_CAP_CALIBRATED the device is asked, else a timestamp is submitted and waited for a
 * few times: then nothing else should be in flight. False: the device has no timestamps, or failed
 * (logged). Any thread. */
struct dev_moment {
    uint64_t device_ns, host_ns, error_ns;
};
bool dev_calibrate(struct dev *dev, struct dev_moment *out);
uint32_t dev_cmd_count(const struct dev_cmd *cmd);    /* dispatches */
uint32_t dev_cmd_barriers(const struct dev_cmd *cmd); /* barriers put between them */

/* Returns the timeline value that is reached when the work is done; 0 on error. Submissions of one
 * dev run in order. */
uint64_t dev_submit(struct dev *dev, struct dev_cmd *cmd);
/* Waits until the timeline reaches `value`, which may be submitted later by another thread: polls
 * briefly on GPUs, then blocks; never polls on a CPU device. False on loss or after 60 s. */
bool dev_wait(struct dev *dev, uint64_t value);
/* The same for work that should be done in about `ns`, and whose end somebody hangs on: on GPUs it
 * blocks for the first half of that and then polls for as long as all of it. */
bool dev_wait_about(struct dev *dev, uint64_t value, uint64_t ns);
bool dev_poll(struct dev *dev, uint64_t value); /* true when reached */

/* One way of the host to see that a submission is done. The engine has dev_wait; these are its
 * parts, and fences, to be measured side by side. One waiter belongs to one thread at a time. */
enum dev_wait_mode {
    DEV_FENCE_WAIT,    /* vkWaitForFences */
    DEV_FENCE_POLL,    /* vkGetFenceStatus again and again */
    DEV_TIMELINE_WAIT, /* vkWaitSemaphores */
    DEV_TIMELINE_POLL, /* vkGetSemaphoreCounterValue again and again */
};
struct dev_waiter;
struct dev_waiter *dev_waiter_create(struct dev *dev, enum dev_wait_mode mode);
/* Before the commands it ran: after a failed run it waits for the device. */
void dev_waiter_destroy(struct dev_waiter *waiter);
/* Submits an ended cmd and returns when the host has seen that it is done; `ns` (may be NULL) is
 * the time from before the submission to then. Fence modes submit without the timeline. False on
 * loss or after 60 s. */
bool dev_waiter_run(struct dev_waiter *waiter, struct dev_cmd *cmd, uint64_t *ns);

/* ---- exchange: host memory that several devices see ---- */

/* One arena of `bytes` in host memory. Devices that can import it (VK_EXT_external_memory_host,
 * probed here with a pattern both ways) work on it directly; the others get a host-visible staging
 * buffer of the same size and two copies. Offsets are the same for all. */
struct dev_exchange;
struct dev_exchange *dev_exchange_create(struct dev *const *devs, uint32_t n, uint64_t bytes,
                                         struct log *log);
void dev_exchange_destroy(struct dev_exchange *x);
struct dev_buf *dev_exchange_buf(struct dev_exchange *x, uint32_t dev); /* for cmd copies, binds */
bool dev_exchange_imported(const struct dev_exchange *x, uint32_t dev);
uint8_t *dev_exchange_host(struct dev_exchange *x); /* the arena itself */
/* After a submission of `dev` that wrote the range was waited for: makes it visible in the arena.
 */
void dev_exchange_publish(struct dev_exchange *x, uint32_t dev, uint64_t offset, uint64_t bytes);
/* Before `dev` is given a submission that reads the range. */
void dev_exchange_fetch(struct dev_exchange *x, uint32_t dev, uint64_t offset, uint64_t bytes);

#endif
