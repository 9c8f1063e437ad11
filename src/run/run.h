/* The engine: a model with its weights on the devices, and a session that runs steps on it.
 *
 *     model.c     file or dummy shape -> hyper-parameters, vocabulary, devices, placement
 *     weights.c   mmap -> repack -> staging -> device buffers
 *     prefs.c     what a device's kernels are chosen by: its profile, what is switched off
 *     fit.c       what would fit, where a model does not
 *     plans.c     the passes, for a given number of tokens
 *     record.c    a plan -> commands per device, cut where a submission would take too long
 *     pace.c      how fast a device is, and what follows for commands and chunks
 *     batch.c     tokens of a chunk: how many there is room for, how many there may be now
 *     kv.c        which blocks of the KV caches belong to which sequence
 *     step.c      one step through the devices, border by border
 *     pipeline.c  steps one after another, several in flight
 *     session.c   buffers, recordings and counters of a session
 *     profile.c   times of kernels and of what devices wait for, where they are asked for
 *     idle.c      sums of overlapping times
 *     trace.c     what devices and threads did, event by event, where it is asked for
 *     prefill.c   what tokens become a step; single steps, prompts in chunks
 *     generate.c  prompt in, tokens out
 *     describe.c  the plan as text
 *
 * Status values are those of include/quadriga.h (src/api asserts it); the reason is in the log.
 * Thread rule: one thread at a time on a model and its sessions, but for run_session.cancel. */
#ifndef QUADRIGA_RUN_RUN_H
#define QUADRIGA_RUN_RUN_H

#include "arch/arch.h"
#include "device/device.h"
#include "ops/variant.h"
#include "plan/op.h"
#include "plan/plan.h"
#include "run/kv.h"
#include "run/pace.h"
#include "run/profile.h"
#include "run/sample.h"
#include "run/trace.h"
#include "text/text.h"

#include <stdatomic.h>

enum run_status {
    RUN_OK = 0,
    RUN_ERROR,
    RUN_BAD_ARGUMENT,
    RUN_BAD_FILE,
    RUN_NO_DEVICE,
    RUN_OUT_OF_MEMORY,
    RUN_DEVICE_LOST,
    RUN_CONTEXT_FULL,
    RUN_CANCELLED
};

/* How far loading goes; values as in include/quadriga.h. */
enum run_depth {
    RUN_DEPTH_SESSION = 0,
    RUN_DEPTH_PLAN,
    RUN_DEPTH_FACTS,
    RUN_DEPTH_VOCAB,
    RUN_DEPTH_DIRECTORY
};

/* Slots: steps that may be in flight at once. With as many as devices the first one would get its
 * next step when the last one is done, and idle until then; two more are queued ahead of it. */
#define RUN_MAX_SLOTS (DEV_MAX_OPEN + 2)

struct run_params {
    const char *path, *dummy; /* one of them */
    enum run_depth depth;
    uint32_t n_devices, devices[DEV_MAX_OPEN]; /* 0: the default ones */
    enum plan_split split;
    double share[DEV_MAX_OPEN]; /* a device without a share stays out; all zero: by free memory */
    uint32_t n_shares;          /* given; at most as many as devices */
    uint32_t n_ctx, n_batch, n_seq; /* 0: default */
    enum plan_elem k_type, v_type;
    uint32_t caps_off;
    const char *disable; /* as for ops_disable_parse, on every device; NULL: nothing */
    bool no_cache;       /* nothing is read from the folder of the caches, nor written to it */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *progress_user;
    void (*on_plan)(void *user, const char *text); /* once, before weights load */
    void *plan_user;
    bool plan_nodes;
};

/* One logical device in use. */
struct run_device {
    struct dev *dev;
    uint32_t index;           /* of dev_instance_info */
    struct ops_prefs prefs;   /* what its kernels are chosen by, beside capabilities */
    uint32_t lanes;           /* row interleave of its weights */
    double share;             /* of the layers, where one was given */
    struct op_place *weights; /* [n_weights]; no segments: not on this device */
    struct dev_buf **buffers; /* of the weights' segments */
    uint32_t n_buffers;
    uint64_t weight_bytes, kv_bytes, work_bytes; /* planned */
    uint64_t scratch_bytes;                      /* of them, activations of the largest step */
    uint32_t first_layer, n_layers;
    struct run_pace pace;
};

struct run_model {
    struct log *log;
    struct dev_instance *inst; /* not owned; NULL from RUN_DEPTH_FACTS on */
    struct arena arena;
    struct gguf_file *file; /* NULL for a dummy */
    struct arch_model arch;
    struct vocab *vocab; /* NULL for a dummy */
    struct plan_map map;
    uint32_t n_devices;
    struct run_device devices[DEV_MAX_OPEN];
    uint32_t n_ctx, n_batch, n_seq;
    bool batch_asked;                /* n_batch is what somebody asked for */
    double chunk_flop;               /* of a token in the largest matrix of a layer */
    uint32_t n_slots, n_slots_local; /* entries of the KV caches of global and of local layers; 0:
                                        there are no such layers */
    uint32_t attn_splits;
    uint32_t max_out;              /* rows of logits that one binding may hold */
    struct dev_exchange *exchange; /* NULL with one device */
    uint64_t border_bytes;         /* of one border in the arena: n_batch x n_embd x 4 */
    uint32_t n_flight;             /* steps in flight at once, at most RUN_MAX_SLOTS */
    uint32_t n_compile;            /* threads that make pipelines, of each device */
    enum plan_elem k_type, v_type;
    enum run_depth depth;
    uint64_t load_ns;
    struct str text; /* of the last description */
};

/* Fills *model; on failure it is finished already. `inst` may be NULL from RUN_DEPTH_FACTS on. */
enum run_status run_model_init(struct run_model *model, struct dev_instance *inst,
                               const struct run_params *params, struct log *log);
void run_model_finish(struct run_model *model);
/* KV bytes of one layer. */
uint64_t run_kv_bytes(const struct run_model *model, uint32_t layer);
/* Of all layers, whether or not they are on a device; 0 before FACTS. */
uint64_t run_model_kv_bytes(const struct run_model *model);

/* batch.c: tokens there may be room for in a chunk, the i-th try (0 first, the most); `last`: it
 * was the last one. */
uint32_t run_batch_choose(struct run_model *model, uint32_t asked, uint32_t i, bool *last);
/* Tokens that a chunk of a prompt of n may have now, when its last token is entry `end`. */
uint32_t run_batch_now(const struct run_model *model, uint32_t n, uint32_t end);
/* Tokens for which the head's matrix stays below RUN_SUBMIT_NS, as assumed. */
uint32_t run_batch_head(const struct run_model *model);
/* Every activation of the plan, and its scratch, is within what the devices can bind. */
bool run_batch_fits(const struct run_model *model, const struct plan *plan);

/* Words of the step buffer of a step of n tokens. */
uint32_t run_step_words(const struct run_model *model, uint32_t n_tokens);
/* Where border `from` -> `from + 1` of a slot lies in the arena. */
uint64_t run_border_offset(const struct run_model *model, uint32_t slot, uint32_t from);

/* prefs.c: caps_off of the params with those of `disable`. */
enum run_status run_prefs_caps(const struct run_model *model, const struct run_params *params,
                               uint32_t *caps_off);
/* Fills devices[d].prefs from the profile in `dir` (NULL: none) and `disable`, and says what is
 * not used. */
bool run_prefs_init(struct run_model *model, const struct run_params *params, uint32_t d,
                    const char *dir);
/* Every op of the plans has a kernel left on its device; else one line says which has none. */
bool run_prefs_check(const struct run_model *model);
/* What is off or tuned on device d, a line; nothing where nothing is. */
void run_prefs_describe(const struct run_model *model, uint32_t d, struct str *out);

/* weights.c: creates the segments' buffers and fills them. `used[d][w]`: weight w is on device d.
 */
enum run_status run_weights_load(struct run_model *model, bool *const *used,
                                 const struct run_params *params);
/* Bytes that weight w takes on a device with this interleave; 0 on overflow. */
uint64_t run_weight_bytes(const struct arch_weight *weight, uint32_t lanes);
/* Interleave of weight w on a device: vectors (one row) are never interleaved. */
uint32_t run_weight_lanes(const struct arch_weight *weight, uint32_t lanes);

/* fit.c: what would fit, where `place` does not: a shorter context, else fewer bits a weight, else
 * more devices. `user`: a run_fit. */
struct run_fit {
    const struct run_model *model;
    const struct plan_place_params *place; /* layer_bytes with the KV caches of n_slots */
    uint32_t n_slots;                      /* of the whole context */
};
void run_fit_advise(void *user, struct str *out);

/* plans.c: build, place, fuse, memory. n_out == 0: no head. False: logged; *plan is finished. */
bool run_plan_init(const struct run_model *model, struct plan *plan, const struct plan_map *map,
                   uint32_t n_tokens, uint32_t n_out);

/* describe.c: owned by the model. NULL: out of memory. */
const char *run_model_describe(struct run_model *model, bool nodes);

/* ---- recordings ---- */

/* A plan recorded for one slot: the commands of each device in order. */
struct run_recording {
    bool ready;
    struct plan plan;
    uint32_t n_tokens, n_out;
    uint32_t runs; /* on a CPU the first one may include the compiler: it is not measured */
    double scale[DEV_MAX_OPEN]; /* pace_scale at the time of recording */
    struct run_part {
        struct dev_cmd **cmds;
        size_t n_cmds, cap_cmds;
        double assumed_ns;      /* of all: pace.h */
        struct run_mark *marks; /* where there is a profile */
        size_t n_marks, cap_marks;
        bool has_in, has_out; /* a border comes in, goes out */
    } part[DEV_MAX_OPEN];
};

/* What a step in flight owns. */
struct run_slot {
    uint32_t number;
    struct dev_buf *step_host[DEV_MAX_OPEN]; /* mapped */
    struct dev_buf *step[DEV_MAX_OPEN]; /* what kernels read: step_host itself on CPU devices */
    struct dev_buf *ids;                /* argmax results, mapped, on the last device: [n_batch] */
    struct dev_buf *ids_in;             /* on the first device, when that is not the last */
    struct dev_buf *logits, *logits_host; /* on the last device: written by it; read back */
    struct run_recording decode, chunk;   /* chunk: the last prefill shape */
    uint64_t index;                       /* number of the step, from 0 in each session */
    uint64_t value[DEV_MAX_OPEN];         /* timeline value of the last submission to each device */
    uint64_t submit_begin[DEV_MAX_OPEN], submit_end[DEV_MAX_OPEN]; /* os_clock_ns, the last time */
    uint64_t wait_begin[DEV_MAX_OPEN], wait_end[DEV_MAX_OPEN];
};

struct run_stats {
    uint64_t prefill_tokens, prefill_ns, decode_tokens, decode_ns, first_token_ns;
    uint64_t steps, exchanges, exchanged_bytes, decode_exchanges, decode_exchanged_bytes;
    uint64_t step_ns, busy_ns[DEV_MAX_OPEN], submissions;
};

struct run_session {
    struct run_model *model;
    struct log *log;
    struct kv kv;
    struct run_slot slots[RUN_MAX_SLOTS];
    struct dev_buf *scratch[DEV_MAX_OPEN];
    struct op_place *caches[DEV_MAX_OPEN]; /* [2 * n_layers]: K, V of each layer on that device */
    struct dev_buf **cache_buffers;
    size_t n_cache_buffers, cap_cache_buffers;
    struct arena arena;
    uint32_t logits_rows; /* room of the logits buffers, in rows */
    const float *logits;  /* of the last step, NULL: none */
    uint32_t n_logits;
    struct run_stats stats;
    uint64_t init_ns;               /* buffers, recordings, compiled kernels */
    uint64_t n_planned;             /* steps so far */
    uint64_t seen_ns[DEV_MAX_OPEN]; /* when the last step was seen to end on each device */
    pthread_mutex_t lock;           /* stats, profile */
    struct run_trace *trace;        /* NULL: off */
    struct run_profile *profile;    /* NULL: off */
    atomic_bool cancel;
};

enum run_status run_session_init(struct run_session *session, struct run_model *model);
void run_session_finish(struct run_session *session);
void run_session_cancel(struct run_session *session); /* any thread, signal handlers */

/* record.c: (re-)records `rec` of a slot for this shape, unless it is that already. With one device
 * the ids of the neighbour slot's argmax are bound as ids_in. */
bool run_record(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                uint32_t n_tokens, uint32_t n_out);
void run_recording_finish(struct run_recording *rec);
/* Only makes the kernels that a step of this shape needs. */
bool run_record_kernels(struct run_session *session, struct run_slot *slot, uint32_t n_tokens,
                        uint32_t n_out);
/* Room for this many rows of logits in every slot. Only while nothing is in flight. */
bool run_session_reserve_logits(struct run_session *session, uint32_t rows);

/* One step's arrays. */
struct run_batch {
    uint32_t n_tokens, n_out;
    const uint32_t *token, *pos, *seq, *len; /* [n_tokens] */
    const uint32_t *slot[KV_GROUPS];         /* [n_tokens] in each group's caches */
    const uint32_t *out;                     /* [n_out] row numbers */
};
/* step.c. Lays the step out in the slot, with the block tables as they are now, and gives it a
 * number. Steps are written in the order in which devices will run them. */
void run_step_write(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                    const struct run_batch *batch);
/* Submits the slot's step to device d, once device d - 1 is done with it and the border is handed
 * over. Different devices may be served by different threads, each in the order of the steps.
 * `thread`: who does it, for a trace; 0 is the caller's. */
bool run_step_submit(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                     uint32_t d, uint32_t thread);
/* All of that, device after device; returns when the last one has it. */
bool run_step_begin(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                    const struct run_batch *batch);
/* Waits for the slot and counts. False where a device has not had or not done its part. */
bool run_step_end(struct run_session *session, struct run_slot *slot, struct run_recording *rec);
enum run_status run_session_failure(const struct run_session *session); /* LOST or ERROR */

/* Tokens that are to be a step. */
struct run_input {
    uint32_t n_tokens;
    const uint32_t *token;
    const uint32_t *pos; /* NULL: the sequence's length, counting up */
    const uint32_t *seq; /* NULL: all only_seq */
    uint32_t only_seq;
    const bool *want; /* NULL: the last one */
    bool no_results;  /* nothing is wanted */
};

/* Arrays of a step while it is laid out, and the lengths of all sequences before it. */
struct run_arrays {
    uint32_t *memory;
    uint32_t *token, *pos, *seq, *slot[KV_GROUPS], *len, *out, *old;
};
/* prefill.c: for steps of up to n tokens. False: logged. */
bool run_arrays_init(struct run_arrays *arrays, const struct run_session *session, uint32_t n);
void run_arrays_finish(struct run_arrays *arrays);
/* Appends the tokens to their sequences. Where that is refused nothing has changed. Steps before
 * may be in flight: devices run them first. */
enum run_status run_arrays_fill(struct run_session *session, struct run_arrays *arrays,
                                const struct run_input *input, struct run_batch *batch);
struct run_recording *run_pick_recording(struct run_slot *slot, const struct run_batch *batch);

/* pipeline.c: steps one after another. */
struct run_source {
    /* Fills the next step; false: there is none. It has been taken in when `next` is called again.
     * It may change sequences: devices run steps in order. */
    bool (*next)(void *user, struct run_input *input);
    /* A step is done, in order: its results are in the slot until the call returns, `n` of them.
     * False: no more steps, RUN_CANCELLED. */
    bool (*done)(void *user, uint64_t index, struct run_slot *slot, uint32_t n);
    void *user;
    uint32_t
        depth; /* steps in flight at most; 0, or more than the session has: as many as it has */
};
/* Both are called on this thread. A step that is refused ends the run when those before it are
 * done, and so does cancelling. Where a device fails, what is in the caches of the sequences that
 * steps in flight belong to is not known. */
enum run_status run_pipeline(struct run_session *session, const struct run_source *source);

/* prefill.c: appends tokens to a sequence, in chunks of equal size, several in flight; with
 * want_last the logits and the argmax (*id, may be NULL) of the last token are there afterwards.
 * After a failure the sequence has its old length, or is empty: where local layers have given up
 * entries that the old end would see. That needs more than two chunks of n_batch. */
enum run_status run_prefill(struct run_session *session, uint32_t seq, const uint32_t *tokens,
                            uint32_t n, bool want_last, uint32_t *id);
/* One step of any tokens of any sequences; rows of logits for those wanted (NULL: the last). After
 * a failure the sequences have their old lengths. */
enum run_status run_step(struct run_session *session, uint32_t n, const uint32_t *tokens,
                         const uint32_t *pos, const uint32_t *seq, const bool *want);

enum run_stop { RUN_STOP_LIMIT, RUN_STOP_END, RUN_STOP_TEXT, RUN_STOP_CONTEXT, RUN_STOP_CALLBACK };

struct run_generate_params {
    const uint32_t *prompt;
    size_t n_prompt;
    int64_t n_predict;
    struct sample_params sampling;
    const char *const *stops;
    size_t n_stops;
    bool ignore_eos;
    bool (*on_token)(void *user, uint32_t token, const char *text, size_t bytes);
    void *user;
    bool (*on_logits)(void *user, uint32_t first, uint32_t n, const float *logits);
};
enum run_status run_generate(struct run_session *session, const struct run_generate_params *params,
                             uint32_t *n_generated, enum run_stop *stop);

#endif
