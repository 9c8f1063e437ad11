/* The engine: a model with its weights on the devices, and a session that runs steps on it.
 *
 *     model.c     file or dummy shape -> hyper-parameters, vocabulary, devices, placement
 *     weights.c   device buffers of the weights, and all that is not a matrix of the file
 *     upload.c    file -> repack -> staging -> device buffers, on several threads
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
 *     tokens.c    steps of any tokens of any sequences, which may be forked
 *     prefill.c   a prompt in chunks
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

/* Shapes of steps, beside that of decode, whose recordings a slot keeps. */
#define RUN_OTHERS 6

/* Slots: steps that may be in flight at once. With as many as devices the first one would get its
 * next step when the last one is done, and idle until then; two more are queued ahead of it. */
#define RUN_MAX_SLOTS (DEV_MAX_OPEN + 2)

struct run_params {
    const char *path, *dummy; /* one of them */
    const char *tokenizer;    /* of a dummy: a file with its vocabulary; NULL: none */
    enum run_depth depth;
    uint32_t n_devices, devices[DEV_MAX_OPEN]; /* 0: the default ones */
    enum plan_split split;
    double share[DEV_MAX_OPEN]; /* a device without a share stays out; all zero: by free memory */
    uint32_t n_shares;          /* given; at most as many as devices */
    uint32_t n_ctx, n_batch, n_seq; /* 0: default */
    uint32_t n_kv;                  /* 0: n_ctx */
    enum plan_elem k_type, v_type;
    bool act_q8;    /* matmuls of prompts read activations in 8 bits, where a kernel can */
    bool act_exact; /* no kernel quantizes activations */
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
    struct vocab *vocab;    /* NULL for a dummy */
    uint32_t *ends, n_ends; /* its end tokens */
    struct plan_map map;
    uint32_t n_devices;
    struct run_device devices[DEV_MAX_OPEN];
    uint32_t n_ctx, n_batch, n_seq;
    uint32_t n_kv;                   /* entries that all sequences have room for together */
    uint32_t kv_block;               /* entries of a block of the KV cache */
    bool batch_asked;                /* n_batch is what somebody asked for */
    double chunk_flop;               /* of a token in the largest matrix of a layer */
    uint32_t n_slots, n_slots_local; /* entries of the KV caches of global and of local layers; 0:
                                        there are no such layers */
    bool may_split_attn;           /* attention of steps of few tokens: not for CPU devices alone */
    uint32_t max_out;              /* rows of logits that one binding may hold */
    struct dev_exchange *exchange; /* NULL with one device */
    uint64_t border_bytes;         /* of one border in the arena: n_batch x n_embd x 4 */
    uint32_t n_flight;             /* steps in flight at once, at most RUN_MAX_SLOTS */
    uint32_t n_compile;            /* threads that make pipelines, of each device */
    enum plan_elem k_type, v_type;
    enum run_depth depth;
    uint64_t load_ns;
    uint64_t weights_ns, weights_bytes; /* of it, the weights; bytes: of the file, 0 of a dummy */
    struct str text;                    /* of the last description */
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

/* What a step is recorded for. */
struct run_shape {
    uint32_t n_tokens, n_out;
    uint32_t copies; /* room for pairs of entries to copy, in each group; 0: no step has any */
    bool scores;     /* the results are scores, not logits */
    bool ids;        /* the results are the ids of the largest logits, which stay on the device */
    bool no_end;     /* of them, those of end tokens do not count (n_ends <= OP_MAX_BANNED) */
    uint32_t top;    /* the results are so many of the largest logits and their ids (op_topk) */
    bool streams; /* more than OP_FEW_TOKENS, each of another sequence: attention is as for few */
};
/* The device that has the head: the last one in use. */
uint32_t run_head_device(const struct run_model *model);
/* The most tokens of a step whose attention may have splits; 0: none may. */
uint32_t run_most_split(const struct run_model *model);
/* Words of the step buffer of a step of n tokens, with room for `copies` pairs in each group. */
/* Words of its tickets; they lie before the pairs. Steps of more tokens have no fewer. */
uint32_t run_step_tickets(const struct run_model *model, uint32_t n_tokens);
uint32_t run_step_words(const struct run_model *model, uint32_t n_tokens, uint32_t copies);
/* The most pairs of a step; and the room that one with n_copies of them is given. */
uint32_t run_most_copies(const struct run_model *model);
uint32_t run_copy_room(const struct run_model *model, uint32_t n_tokens, uint32_t n_copies);
/* Where border `from` -> `from + 1` of a slot lies in the arena. */
uint64_t run_border_offset(const struct run_model *model, uint32_t slot, uint32_t from);

/* prefs.c: caps_off of the params with those of `disable`. */
enum run_status run_prefs_caps(const struct run_model *model, const struct run_params *params,
                               uint32_t *caps_off);
/* Fills devices[d].prefs from the profile in `dir` (NULL: none), `disable` and act_q8, and says
 * what is not used. */
bool run_prefs_init(struct run_model *model, const struct run_params *params, uint32_t d,
                    const char *dir);
/* Every op of the plans has a kernel left on its device; else one line says which has none. Says
 * also where act_q8 was asked for and nothing comes of it. */
bool run_prefs_check(const struct run_model *model);
/* The device that has the head finds the largest logits (run_shape.top), unless that was switched
 * off, or it is a CPU: then the host has all of them where they are. */
bool run_prefs_top(const struct run_model *model);
/* What is off or tuned on device d, a line; nothing where nothing is. */
void run_prefs_describe(const struct run_model *model, uint32_t d, struct str *out);

/* weights.c: creates the segments' buffers and fills them. `used[d][w]`: weight w is on device d.
 */
enum run_status run_weights_load(struct run_model *model, bool *const *used,
                                 const struct run_params *params);
/* Tells params->progress how many bytes are done. False, logged: it wants no more. */
bool run_weights_progress(const struct run_model *model, const struct run_params *params,
                          uint64_t done);
/* upload.c: fills the segments of the matrices of the file, on several threads. `done`: bytes of
 * other weights. */
enum run_status run_upload(struct run_model *model, bool *const *used,
                           const struct run_params *params, uint64_t done);
/* Slices and segments of weights begin at multiples of so many rows: all interleaves divide it. */
#define RUN_ROW_STEP 64
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
                   const struct run_shape *shape);

/* describe.c: owned by the model. NULL: out of memory. */
const char *run_model_describe(struct run_model *model, bool nodes);

/* ---- recordings ---- */

/* A plan recorded for one slot: the commands of each device in order. */
struct run_recording {
    bool ready;
    struct plan plan;
    struct run_shape shape;
    uint64_t used; /* number of the slot's run_record that asked for it last */
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
    struct dev_buf *ids;    /* argmax results, mapped, on the last device: [n_batch], or those of
                             topk */
    struct dev_buf *ids_in; /* on the first device, when that is not the last */
    struct dev_buf *logits, *logits_host; /* on the last device: written by it; read back */
    struct dev_buf *scores;               /* mapped, on the last device: [n_batch] */
    struct run_recording decode;          /* of one token with its logits */
    struct run_recording chained;         /* of one token with the id of the next, the last kind */
    struct run_recording others[RUN_OTHERS]; /* of the shapes that were asked for last */
    uint64_t n_asked;
    uint64_t index;               /* number of the step, from 0 in each session */
    uint64_t value[DEV_MAX_OPEN]; /* timeline value of the last submission to each device */
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
    struct dev_buf *scored; /* on the last device: logits of steps whose results are scores */
    uint32_t scored_rows;
    const float *scores; /* of the last step, NULL: none */
    uint32_t n_scores;
    struct run_stats stats;
    uint64_t init_ns;               /* buffers, recordings, compiled kernels */
    uint64_t n_planned;             /* steps so far */
    uint64_t seen_ns[DEV_MAX_OPEN]; /* when the last step was seen to end on each device */
    uint64_t part_ns[DEV_MAX_OPEN]; /* how long the last step of one token was waited for there */
    pthread_mutex_t lock;           /* stats, profile */
    struct run_trace *trace;        /* NULL: off */
    struct run_profile *profile;    /* NULL: off */
    atomic_bool cancel;
};

enum run_status run_session_init(struct run_session *session, struct run_model *model);
void run_session_finish(struct run_session *session);
void run_session_cancel(struct run_session *session); /* any thread, signal handlers */

/* record.c: the slot's recording for this shape, made (anew) where there is none, in place of the
 * one that was asked for longest ago; `decode` or `chained` where it is one token's. Where
 * the last device is the first one the ids of the neighbour slot's argmax are bound as ids_in.
 * NULL: logged. Nothing of the slot is in flight.
 */
struct run_recording *run_record(struct run_session *session, struct run_slot *slot,
                                 const struct run_shape *shape);
void run_recording_finish(struct run_recording *rec);
/* Only makes the kernels that steps of these shapes need, all together. */
bool run_record_kernels(struct run_session *session, struct run_slot *slot,
                        const struct run_shape *shapes, uint32_t n);
/* session.c: forgets all recordings of a slot. */
void run_slot_forget(struct run_slot *slot);
/* Room for this many rows of logits in every slot, or for those of steps with scores. Only while
 * nothing is in flight. */
bool run_session_reserve_logits(struct run_session *session, uint32_t rows);
bool run_session_reserve_scores(struct run_session *session, uint32_t rows);

/* One step's arrays. */
struct run_batch {
    uint32_t n_tokens, n_out;
    const uint32_t *token, *pos, *seq, *len; /* [n_tokens] */
    const uint32_t *slot[KV_GROUPS];         /* [n_tokens] in each group's caches */
    const uint32_t *out;                     /* [n_out] row numbers */
    const uint32_t *target;                  /* [n_out] ids to be scored; NULL: logits */
    uint32_t n_copies[KV_GROUPS];            /* pairs, see kv.h */
    const uint32_t *copy_from[KV_GROUPS], *copy_to[KV_GROUPS];
};
/* What a batch is recorded for. */
struct run_shape run_batch_shape(const struct run_model *model, const struct run_batch *batch);
/* The pairs that are not copied yet become the batch's. */
void run_batch_copies(struct run_batch *batch, const struct kv *kv);
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
/* A step that was written with STEP_TOKEN_CHAINED goes to the first device: its token is what the
 * step in slot `before` chooses. At once where the last device is the first one; else when that
 * step is done on the last, with the id in ids_in. */
bool run_step_chain(struct run_session *session, struct run_slot *before,
                    const struct run_recording *rec_before, struct run_slot *slot,
                    struct run_recording *rec);
/* It goes to the other devices; returns when the last one has it. */
bool run_step_go_on(struct run_session *session, struct run_slot *slot, struct run_recording *rec);
/* Waits for what was submitted of a step; it does not count. */
bool run_step_wait(struct run_session *session, struct run_slot *slot,
                   const struct run_recording *rec);
/* The same for a step that is not wanted any more; it counts where every device had it. */
bool run_step_drop(struct run_session *session, struct run_slot *slot, struct run_recording *rec);
/* Waits for the slot and counts. False where a device has not had or not done its part. */
bool run_step_end(struct run_session *session, struct run_slot *slot, struct run_recording *rec);
enum run_status run_session_failure(const struct run_session *session); /* LOST or ERROR */

/* prefill.c: appends tokens to a sequence, in chunks of equal size, several in flight; with
 * want_last the logits of the last token are there afterwards.
 * After a failure the sequence has its old length, or is empty: where local layers have given up
 * entries that the old end would see (that needs more than two chunks of n_batch), or where a
 * device failed and the sequence may have been forked. */
enum run_status run_prefill(struct run_session *session, uint32_t seq, const uint32_t *tokens,
                            uint32_t n, bool want_last);

/* tokens.c: steps of any tokens of any sequences. */
struct run_fork {
    uint32_t before; /* the token of the step before which it happens */
    uint32_t from, to, length;
};
struct run_tokens {
    uint32_t n;
    const uint32_t *token; /* [n] */
    const uint32_t *pos;   /* [n], NULL: the sequence's length, counting up */
    const uint32_t *seq;   /* [n], NULL: all only_seq */
    uint32_t only_seq;
    const bool *want;       /* [n], NULL: the last */
    bool no_results;        /* nothing is wanted */
    const uint32_t *target; /* [n], NULL: logits of those wanted; else their scores */
    const struct run_fork *forks;
    uint32_t n_forks;
};
/* Arrays of all tokens of a call; batches are ranges of it. */
struct run_arrays {
    uint32_t *memory;
    uint32_t *token, *pos, *seq, *slot[KV_GROUPS], *len, *out, *target;
    uint32_t n;
};
bool run_arrays_init(struct run_arrays *arrays, uint32_t n, struct log *log);
/* False: logged. */
bool run_check_token(const struct run_session *session, uint32_t n, uint32_t i, uint32_t token,
                     uint32_t seq);
enum run_status run_say_full(const struct run_session *session, uint32_t seq);
/* Appends token i of the arrays to its sequence. */
enum run_status run_append(struct run_session *session, struct run_arrays *arrays, uint32_t i,
                           uint32_t token, uint32_t seq, const uint32_t *pos);
/* Between calls nothing is in flight: all entries are computed. */
void run_settle_all(struct run_session *session);
/* Checks a step and appends its tokens: the arrays (of at least tokens->n) and *batch, which points
 * into them and to the pairs of the caches; those are the caller's to forget (kv_copied) once the
 * step buffer is written. Rows of scores are as many as full groups of 32, the last ones repeat row
 * 0; *n_out are wanted. After a failure the sequences are as they were. */
enum run_status run_tokens_plan(struct run_session *session, const struct run_tokens *tokens,
                                struct run_arrays *arrays, struct run_batch *batch,
                                uint32_t *n_out);
/* One step; rows of logits or scores for the tokens wanted. After bad arguments or without room the
 * sequences are as they were; after a failure of a device they have their old lengths, but where
 * the step had forks or copies its sequences are empty. */
enum run_status run_step(struct run_session *session, const struct run_tokens *tokens);
/* Makes sequence `to` the first `length` entries of `from`. */
enum run_status run_fork(struct run_session *session, const struct run_fork *fork);

/* pipeline.c: steps one after another. */
struct run_source {
    /* Fills the next step; false: there is none. It has been taken in when `next` is called again.
     * It may change sequences: devices run steps in order. */
    bool (*next)(void *user, struct run_tokens *tokens);
    /* A step is done, in order: its results are in the slot until the call returns, `n` of them,
     * logits or scores. False: no more steps, RUN_CANCELLED. */
    bool (*done)(void *user, uint64_t index, struct run_slot *slot, uint32_t n, bool scores);
    void *user;
    uint32_t
        depth; /* steps in flight at most; 0, or more than the session has: as many as it has */
};
/* Both are called on this thread. A step that is refused ends the run when those before it are
 * done, and so does cancelling. Where a device fails, what is in the caches of the sequences that
 * steps in flight belong to is not known. */
enum run_status run_pipeline(struct run_session *session, const struct run_source *source);

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
