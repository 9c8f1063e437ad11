/* Quadriga: one language model on one to four GPUs of any vendor, over Vulkan.
 *
 *     qd_context   the Vulkan devices of this machine; last error; log
 *     qd_model     a GGUF file: its facts, its tokenizer, its weights on the chosen devices
 *     qd_session   a KV cache and the recorded steps of one model: prompts in, tokens out
 *
 * Objects are destroyed in the reverse order; destroy takes the address, accepts NULL inside, and
 * sets it to NULL. Params structs are filled with designated initialisers: zero means default; they
 * need to live only until the call returns. Texts are UTF-8.
 *
 * Errors: functions return a qd_status; the reason, one line that names file, field and value, is
 * qd_last_error(context) until the next error, and goes to the log callback.
 *
 * Threads: there is no global state; several contexts may be used side by side. Calls on one
 * context and everything made from it must come from one thread at a time, except
 * qd_session_cancel, which any thread and any signal handler may call. Callbacks come on the
 * calling thread.
 *
 * This header is the whole public interface; it is C99 and C++ clean. Not stable before 1.0. */
#ifndef QUADRIGA_H
#define QUADRIGA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QD_API __attribute__((visibility("default")))
#else
#define QD_API
#endif

#define QD_MAX_DEVICES 4

enum qd_status {
    QD_OK = 0,
    QD_ERROR,         /* the last error says what */
    QD_BAD_ARGUMENT,  /* a parameter is out of range */
    QD_BAD_FILE,      /* the model file is damaged or not supported */
    QD_NO_DEVICE,     /* no Vulkan loader, driver or usable device */
    QD_OUT_OF_MEMORY, /* host or device memory, or the model does not fit */
    QD_DEVICE_LOST,
    QD_CONTEXT_FULL, /* the prompt or the text is longer than the context */
    QD_CANCELLED
};

/* Static text: "0.1.0". */
QD_API const char *qd_version(void);
QD_API const char *qd_status_text(enum qd_status status);

/* ---- context ---- */

typedef struct qd_context qd_context;

enum qd_log_level { QD_LOG_ERROR, QD_LOG_WARN, QD_LOG_INFO, QD_LOG_DEBUG };
typedef void (*qd_log_callback)(void *user, enum qd_log_level level, const char *line);

struct qd_context_params {
    qd_log_callback log; /* NULL: silent */
    void *log_user;
    enum qd_log_level log_level; /* lines above it are dropped */
    bool no_devices;             /* do not touch Vulkan: enough for QD_DEPTH_FACTS and less */
    bool validate;               /* Vulkan validation layer, with synchronization validation */
};

/* On failure *out is NULL and, since there is no context to ask, the reason is copied to `error`
 * (may be NULL). */
QD_API enum qd_status qd_context_create(const struct qd_context_params *params, qd_context **out,
                                        char *error, size_t error_bytes);
QD_API void qd_context_destroy(qd_context **context);
/* "" when there was none; owned by the context, valid until the next call on it. */
QD_API const char *qd_last_error(qd_context *context);
/* Validation messages so far; 0 without `validate`. */
QD_API uint32_t qd_validation_messages(const qd_context *context);

enum qd_device_type {
    QD_DEVICE_DISCRETE,
    QD_DEVICE_INTEGRATED,
    QD_DEVICE_VIRTUAL,
    QD_DEVICE_CPU,
    QD_DEVICE_OTHER
};

struct qd_device_info {
    uint32_t index; /* what --device names */
    enum qd_device_type type;
    bool usable; /* false: why_not says why */
    bool opened_by_default;
    char name[256], driver[256], driver_info[256], why_not[160], quirks[256];
    uint32_t vendor_id, device_id, api_version, driver_version;
    uint8_t uuid[16], driver_uuid[16];
    uint64_t memory_bytes, free_bytes;
    /* Of its own memory, what the host can map: memory_bytes with a resizable BAR or shared memory,
     * less where there is only a window, 0 where there is none. */
    uint64_t host_visible_device_bytes;
    uint32_t subgroup_size, subgroup_min, subgroup_max, max_workgroup_invocations;
    uint32_t shared_bytes;      /* of a workgroup */
    uint64_t max_binding_bytes; /* maxStorageBufferRange */
    float timestamp_ns;         /* nanoseconds of a tick; 0: no timestamps */
    uint32_t timestamp_bits;
    uint32_t cores; /* multiprocessors, compute units or CPU cores; 0: the device does not tell */
    uint32_t coopmat_m, coopmat_n, coopmat_k;          /* float16 x float16 + float32; 0: none */
    uint32_t coopmat_s8_m, coopmat_s8_n, coopmat_s8_k; /* signed bytes + int32; 0: none */
    bool int_dot_fast; /* dot products of four packed int8 are said to be faster than without */
    /* capabilities */
    bool fp16, int8, int16, storage8, storage16, int_dot, cooperative_matrix, cooperative_matrix2,
        host_import, memory_budget, subgroup_ops;
};

QD_API uint32_t qd_device_count(const qd_context *context);
QD_API enum qd_status qd_device_get(qd_context *context, uint32_t index,
                                    struct qd_device_info *out);

/* ---- model ---- */

typedef struct qd_model qd_model;

enum qd_split { QD_SPLIT_LAYER = 0, QD_SPLIT_NONE };
/* Q8_0 and Q4_0: blocks of 32 values with one scale; the model's head size must be a multiple. */
enum qd_type { QD_TYPE_DEFAULT = 0, QD_TYPE_F16, QD_TYPE_F32, QD_TYPE_Q8_0, QD_TYPE_Q4_0 };
/* What matrix products read activations as. AUTO: those of 5 tokens or more at a time (prompts,
 * steps of several streams) what is best on the device, f32 or, on matrix units, f16 with a scale
 * for each token; fewer, on GPUs with integer dot products and where the weights are quantized,
 * signed bytes with a scale for each 32 values, which a kernel makes on its way, else f32. F16: as
 * AUTO, but nothing is quantized. Q8: prompts too, 17 tokens or more: signed bytes with a scale for
 * each 32 values, multiplied by the quants of the weights in integers, which is less exact; a
 * product takes it where the device has integer dot products, the weights are quantized and their
 * columns a multiple of 32, and stays as it is elsewhere. Where that is every product of the model,
 * a warning says why. */
enum qd_act { QD_ACT_AUTO = 0, QD_ACT_F16, QD_ACT_Q8 };

/* How far loading goes. Each step checks more of the file and needs what the steps below it need;
 * only the last two need devices. */
enum qd_depth {
    QD_DEPTH_SESSION = 0, /* everything: sessions can be made */
    QD_DEPTH_PLAN,        /* planned and accounted, no weights: qd_model_plan, bytes of devices */
    QD_DEPTH_FACTS,       /* architecture and its hyper-parameters are read and supported */
    QD_DEPTH_VOCAB,       /* the tokenizer is read and supported */
    QD_DEPTH_DIRECTORY,   /* keys and tensors of the file: qd_model_get_meta, qd_model_get_tensor */
};

/* Called with bytes done and in all while weights load; returning false cancels. */
typedef bool (*qd_progress_callback)(void *user, uint64_t done, uint64_t total);

struct qd_model_params {
    const char *path;  /* GGUF file ... */
    const char *dummy; /* ... or a shape: "llama-7b:q4_k", "layers=2,dim=256,..." */
    /* With `dummy`: a GGUF file whose vocabulary becomes the model's. It may have fewer tokens than
     * the shape. NULL: none. */
    const char *tokenizer;
    enum qd_depth depth;
    uint32_t n_devices; /* 0: the default devices */
    uint32_t
        devices[QD_MAX_DEVICES]; /* indices; one may be repeated: logical devices of their own */
    enum qd_split split;
    /* Shares of the layers. A device whose share is 0 or not given is not used. */
    double tensor_split[QD_MAX_DEVICES];
    uint32_t n_tensor_split; /* given; 0: by free memory, more than devices: an error */
    uint32_t n_ctx;          /* context of the session, in tokens; 0: the model's, at most 4096 */
    /* Tokens of a prefill chunk, at most; 0: 64 on CPU devices, else 2048, less where memory or the
     * window of local layers asks for it. GPUs get fewer at a time where a submission would take
     * longer than 250 ms: the first chunk is short and measured. */
    uint32_t n_batch;
    uint32_t n_seq; /* sequences at once; 0: 1 */
    /* Tokens of the KV cache, for all sequences together (a prefix that several share counts once,
     * but for blocks of 32 of which a part is shared); 0: n_ctx. None has more than n_ctx. */
    uint32_t n_kv;
    enum qd_type type_k, type_v; /* of the KV cache; default f16 */
    enum qd_act act;             /* activations in products; default auto */
    uint32_t caps_off; /* capabilities to do without, for tests: bits as in device/device.h */
    /* Names, with commas between them, of what to do without on every device: capabilities ("fp16",
     * "subgroup", "coopmat"), kernels of all ops ("lanes") or of one ("matmul/lanes"), all fusions
     * of ops ("fuse") or one ("fuse/residual"), the splitting of products of few tokens along
     * their columns ("split"). NULL: of nothing. An unknown name is QD_BAD_ARGUMENT. */
    const char *disable;
    /* Nothing is read from the folder of the caches, nor written: no pipelines, and nothing of what
     * a self-test or tuning left there. */
    bool no_cache;
    qd_progress_callback progress;
    void *progress_user;
    /* Called once, with the text of qd_model_plan, before weights load. */
    void (*on_plan)(void *user, const char *text);
    void *plan_user;
    bool plan_nodes; /* every node of the decode plan too */
};

QD_API enum qd_status qd_model_load(qd_context *context, const struct qd_model_params *params,
                                    qd_model **out);
QD_API void qd_model_destroy(qd_model **model); /* after its sessions */

struct qd_model_info {
    char name[64], shape[32], architecture[32];
    bool dummy;
    uint64_t n_params, weight_bytes; /* in the file's formats */
    uint64_t file_bytes;             /* of all files of a split model */
    uint32_t n_files, gguf_version;  /* 0 of a dummy */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_ctx_train;
    /* Layers whose tokens see only themselves and window - 1 tokens before; the rest see all. */
    uint32_t window, n_local_layers;                 /* 0: none */
    uint32_t n_experts, n_experts_used, n_ff_expert; /* mixture of experts; 0: none */
    float rope_base;
    uint32_t bos, eos; /* UINT32_MAX: none */
    bool adds_bos;
    uint64_t load_ns;
    uint64_t weights_ns, weights_bytes; /* of it, the weights; bytes: of the file, 0 of a dummy */
    uint32_t n_devices;                 /* in use */
    uint32_t n_ctx, n_batch, n_seq, n_kv;
    uint32_t kv_block;  /* entries of the KV cache that sequences take at once */
    uint32_t n_out_max; /* tokens of a step whose logits or scores may be wanted, at most */
    uint64_t kv_bytes;  /* of all layers, with n_kv */
    uint64_t device_weight_bytes[QD_MAX_DEVICES], device_kv_bytes[QD_MAX_DEVICES],
        device_work_bytes[QD_MAX_DEVICES];
    uint32_t device_index[QD_MAX_DEVICES]; /* of qd_device_get */
    uint32_t first_layer[QD_MAX_DEVICES], layers[QD_MAX_DEVICES];
};
QD_API void qd_model_get_info(const qd_model *model, struct qd_model_info *out);
/* Which layers, weights, KV cache and working memory (MiB) are on which device, and how activations
 * cross. With `nodes`, also every node of the decode plan. Owned by the model. */
QD_API const char *qd_model_plan(qd_model *model, bool nodes);

/* Metadata of the file as text, one at a time: key, type name, value (long ones cut). False at the
 * end. Pointers live until the next call on the model. */
QD_API bool qd_model_get_meta(qd_model *model, uint64_t index, const char **key, const char **type,
                              const char **value);
/* Tensors of the file. Pointers as above. False at the end. */
struct qd_tensor_info {
    const char *name, *type; /* type: of the format, "Q4_K" */
    uint32_t n_dims;
    uint64_t dims[4];    /* dims[0] is contiguous; unused ones are 1 */
    uint64_t rows, cols; /* all but dims[0] together; a vector has one row */
    uint64_t bytes;
    uint32_t file; /* which one of a split model, from 0 */
};
QD_API bool qd_model_get_tensor(qd_model *model, uint64_t index, struct qd_tensor_info *out);

/* ---- tokenizer ---- */

/* A dummy model has a tokenizer only where qd_model_params.tokenizer gave it one.
 *
 * Ids of the text into `ids` (at most `cap`); *count is the full number, so a first call with cap 0
 * measures. add_special: BOS/EOS as the file asks. parse_special: text of special tokens becomes
 * the token. */
QD_API enum qd_status qd_tokenize(qd_model *model, const char *text, size_t bytes, bool add_special,
                                  bool parse_special, uint32_t *ids, size_t cap, size_t *count);
/* Text of ids, complete UTF-8 (invalid bytes are U+FFFD); like qd_tokenize for `cap`; terminated
 * where there is room. */
QD_API enum qd_status qd_detokenize(qd_model *model, const uint32_t *ids, size_t count, char *out,
                                    size_t cap, size_t *bytes);
QD_API bool qd_is_end_token(const qd_model *model, uint32_t id);

/* ---- chat ---- */

typedef struct qd_chat qd_chat; /* the chat template of a model */

enum qd_role { QD_ROLE_SYSTEM, QD_ROLE_USER, QD_ROLE_ASSISTANT };
struct qd_message {
    enum qd_role role;
    const char *text; /* special tokens in it stay text */
    size_t bytes;
};
struct qd_chat_params {
    const char *name;   /* one of qd_chat_template_name ... */
    const char *source; /* ... or the text of a Jinja template; neither: the model file's own */
    size_t source_bytes;
    const char *source_name; /* in messages */
};
/* A template is recognised by what it renders. One that is none of the known ones, or a file
 * without, is QD_BAD_FILE and the error lists them; an unknown name is QD_BAD_ARGUMENT. */
QD_API enum qd_status qd_chat_create(qd_model *model, const struct qd_chat_params *params,
                                     qd_chat **out);
QD_API void qd_chat_destroy(qd_chat **chat); /* before its model */
/* The templates that are known: static text; NULL beyond the last. */
QD_API const char *qd_chat_template_name(uint32_t index);

enum qd_system { QD_SYSTEM_TAKEN, QD_SYSTEM_REFUSED, QD_SYSTEM_DROPPED /* without an error */ };
struct qd_chat_info { /* texts are owned by the chat */
    const char *name;
    const char *default_system; /* what stands there without a system text; "" for nothing */
    const char *end_text; /* ends an answer, where the file has no end token of it; "" where it has.
                             For qd_generate_params.stops */
    enum qd_system system; /* what the template does with a system text */
};
QD_API void qd_chat_get_info(const qd_chat *chat, struct qd_chat_info *out);

/* A conversation as the model knows it, up to the beginning of the next answer. At most one message
 * of the system, first; then user and assistant in turns, the user first and last. An empty system
 * text is none. Text, terminated where there is room; ids of the text after its first `skip` bytes,
 * with BOS at the beginning where the file asks for it. Both like qd_tokenize for `cap`. */
QD_API enum qd_status qd_chat_render(qd_chat *chat, const struct qd_message *messages, size_t count,
                                     char *out, size_t cap, size_t *bytes);
QD_API enum qd_status qd_chat_tokenize(qd_chat *chat, const struct qd_message *messages,
                                       size_t count, size_t skip, uint32_t *ids, size_t cap,
                                       size_t *n_ids);
/* Bytes at the beginning of a generated answer that qd_chat_render writes before an answer by
 * itself (a space): the rest is the text of the message. */
QD_API size_t qd_chat_answer_start(const qd_chat *chat, const char *text, size_t bytes);

/* ---- session ---- */

typedef struct qd_session qd_session;

QD_API enum qd_status qd_session_create(qd_model *model, qd_session **out);
QD_API void qd_session_destroy(qd_session **session);

/* A fork within a step: see qd_session_fork. It happens before token `before` of the step is
 * appended, so that `from` may have its first `length` entries from the tokens before. None of
 * those is of sequence `to`. */
struct qd_fork {
    uint32_t before;
    uint32_t from, to, length;
};
/* One step: n tokens, at most n_batch, run as they are, however long they take; each with position
 * and sequence (< n_seq); they are appended to their sequences in order. want[i] asks for the
 * logits of token i (want NULL: of the last), qd_model_info.n_out_max tokens at most. */
struct qd_step {
    uint32_t n_tokens;
    const uint32_t *token;
    const uint32_t *pos; /* NULL: the sequence's length, counting up */
    const uint32_t *seq; /* NULL: all 0 */
    const bool *want;
    /* NULL: logits of the wanted tokens come back. Else [n_tokens]: of each wanted token i the
     * score alone comes back: the log-probability (natural logarithm of the softmax over the
     * vocabulary) of token id target[i] coming next. Entries of tokens not wanted are not read. */
    const uint32_t *target;
    const struct qd_fork *forks; /* [n_forks], in the order of `before` */
    uint32_t n_forks;
};
/* After bad arguments, or where the KV cache has no room, all sequences are as they were. After a
 * failure of a device they have their old lengths; but those of a step with forks, or that writes
 * into shared blocks, are empty. */
QD_API enum qd_status qd_session_step(qd_session *session, const struct qd_step *step);
/* Logits [n_vocab] of the i-th token of the last step that asked for them; NULL beyond. Owned by
 * the session, valid until the next step. A generation of several tokens may leave none: where the
 * device chooses them, or finds the largest, no others come back. */
QD_API const float *qd_session_logits(qd_session *session, uint32_t i);
/* Scores of the wanted tokens of the last step, in their order, if it had targets; else NULL.
 * *count of them (may be NULL). Owned by the session, valid until the next step. */
QD_API const float *qd_session_scores(qd_session *session, uint32_t *count);
/* Makes `to` a copy of the first `length` entries of `from`: what `to` had is forgotten; blocks of
 * the caches are shared, and one is copied (on the devices) when either sequence writes into it.
 * Layers with a sliding window: QD_BAD_ARGUMENT where an entry is gone that the next token would
 * see. length <= length of from. */
QD_API enum qd_status qd_session_fork(qd_session *session, uint32_t from, uint32_t to,
                                      uint32_t length);
/* Forgets the entries of a sequence from `length` on. It may then have fewer entries than asked
 * for, see qd_session_length: layers with a sliding window forget what left it, and where an entry
 * is gone that the next token would see, the sequence is emptied. A sequence that is alone can
 * always go back by n_batch tokens from where it was longest. */
QD_API enum qd_status qd_session_truncate(qd_session *session, uint32_t seq, uint32_t length);
QD_API uint32_t qd_session_length(const qd_session *session, uint32_t seq);
QD_API void qd_session_cancel(qd_session *session); /* ends the running call with QD_CANCELLED */

/* Steps one after another, several in flight: while a device works on one, those before it work on
 * the next. */
struct qd_run_params {
    /* Fills the next step; false: there is none. It may fork and truncate sequences: that takes
     * effect between the step before and this one, although steps before may still be in flight.
     * What the step points to must stay valid until the next call of `next`, or the end of the
     * run. */
    bool (*next)(void *user, struct qd_step *step);
    /* The results of step `index` (0 first), in the order of the steps: logits [n][n_vocab] of the
     * n tokens that asked for them, valid during the call; NULL with n 0. Returning false ends the
     * run with QD_CANCELLED. NULL: nobody is told. */
    bool (*done)(void *user, uint64_t index, const float *results, uint32_t n);
    void *user;
    /* Steps in flight at most: step k is asked for when step k - depth is done. 0: as many as keep
     * every device busy. */
    uint32_t depth;
};
/* A step that is refused ends the run with its status after those before it are done, and changes
 * nothing; the same goes for qd_session_cancel, and steps in flight then run to their end without
 * `done`. Where a device fails all sequences are emptied. Both callbacks come on the calling
 * thread, and must not call the session but to fork, to truncate, to cancel and to ask for a
 * length. Afterwards qd_session_logits and qd_session_scores have nothing. */
QD_API enum qd_status qd_session_run(qd_session *session, const struct qd_run_params *params);

struct qd_sampling {
    float temperature;    /* 0: greedy */
    uint32_t top_k;       /* 0: off */
    float top_p;          /* 0 or >= 1: off */
    float min_p;          /* 0: off */
    float repeat_penalty; /* 0 or 1: off */
    uint64_t seed;
};

enum qd_stop { QD_STOP_LIMIT, QD_STOP_END_TOKEN, QD_STOP_TEXT, QD_STOP_CONTEXT, QD_STOP_CALLBACK };

/* Called for each token with the text it completed ("" while UTF-8 or a possible stop text is held
 * back); returning false ends the generation. */
typedef bool (*qd_token_callback)(void *user, uint32_t token, const char *text, size_t bytes);

struct qd_generate_params {
    const uint32_t *prompt; /* token ids, at least one */
    size_t n_prompt;
    int64_t n_predict; /* tokens; < 0: until the end token or the context is full */
    struct qd_sampling sampling;
    const char *const *stops; /* texts that end the generation; they are not passed on */
    size_t n_stops;
    bool ignore_eos; /* end tokens are never chosen */
    qd_token_callback on_token;
    void *user;
    /* Called after each prefill chunk with the logits of all its positions [n][n_vocab], when not
     * NULL: every position's logits are then computed. */
    bool (*on_logits)(void *user, uint32_t first, uint32_t n, const float *logits);
};
struct qd_generate_result {
    uint32_t n_generated;
    enum qd_stop stop;
};
/* Runs the prompt through sequence 0, after what it holds, then generates. Where the prompt fails
 * or is cancelled the sequence has its old length; in models with a sliding window it may be empty.
 * Other sequences are left alone. */
QD_API enum qd_status qd_session_generate(qd_session *session,
                                          const struct qd_generate_params *params,
                                          struct qd_generate_result *result);

struct qd_stats {
    uint64_t load_ns;                    /* weights, buffers and the compilation of kernels */
    uint64_t prefill_tokens, prefill_ns; /* since the last qd_session_reset_stats */
    uint64_t decode_tokens, decode_ns;
    uint64_t first_token_ns; /* of the last generate: from its call to its first token */
    uint64_t steps, exchanges, exchanged_bytes;
    uint64_t decode_exchanges, decode_exchanged_bytes; /* those of decode steps */
    uint64_t step_ns;                                  /* wall time of all steps */
    uint64_t
        device_busy_ns[QD_MAX_DEVICES]; /* by timestamps, or by submission where there are none */
    uint64_t device_peak_bytes[QD_MAX_DEVICES];
    uint64_t host_peak_bytes; /* resident set of the process */
    uint64_t submissions;
};
QD_API void qd_session_get_stats(const qd_session *session, struct qd_stats *out);
QD_API void qd_session_reset_stats(qd_session *session); /* and the times of a profile */

/* Where the time of steps goes, by timestamps around every dispatch. They cost time, and keep
 * kernels from overlapping that otherwise might. Both ways commands are recorded anew: run
 * something, then qd_session_reset_stats, before what is to be measured. A device without
 * timestamps is QD_ERROR. */
QD_API enum qd_status qd_session_profile(qd_session *session, bool on);

enum qd_profile_kind {
    QD_PROFILE_KERNEL, /* an op's dispatches, by kernel, weight format and shape */
    QD_PROFILE_COPY,   /* step words, logits, activations at a border */
    QD_PROFILE_GAP,    /* within submissions, between the end of one command and the begin of the
                          next: barriers, launches */
    QD_PROFILE_HOST,   /* the device is idle: what the host did, or had not seen, meanwhile. By a
                          common clock of host and device that is estimated to some microseconds */
};
struct qd_profile_row {
    uint32_t device; /* position among those of the model */
    enum qd_profile_kind kind;
    char op[32];      /* of a kernel; else what the row is */
    char variant[32]; /* kernel of the op; "" where there is but one, and for other kinds */
    char format[16];  /* of the weight matrix; "": none */
    /* rows x tokens x columns of a matrix ("/8": split into 8 parts), rows x columns of another
     * result */
    char shape[48];
    char what[64]; /* names of weights or results: "ffn_gate, ffn_up" */
    uint64_t calls, dispatches, ns;
    double flop, bytes; /* of all calls; 0: not known */
};
/* Rows since the last reset, device by device, the longest first: up to `cap` of them, and their
 * full number in *count. Those of one device sum to the wall time of the calls on the session, but
 * for what is not explained. None while it is off. */
QD_API enum qd_status qd_session_get_profile(qd_session *session, struct qd_profile_row *rows,
                                             size_t cap, size_t *count);

/* What devices and threads do, event by event, on one clock: from here on, or no more. Costs a few
 * microseconds a step; commands stay as they are. Switching it on forgets the events before. */
QD_API enum qd_status qd_session_trace(qd_session *session, bool on);

enum qd_trace_kind {
    QD_TRACE_WORK,    /* a device works on (a part of) a step */
    QD_TRACE_PUBLISH, /* activations leave a device ... */
    QD_TRACE_FETCH,   /* ... and come to the next */
    QD_TRACE_PLAN,    /* the rest are a thread's: a step is laid out */
    QD_TRACE_RECORD,  /* commands are recorded */
    QD_TRACE_SUBMIT,  /* a step is submitted to a device */
    QD_TRACE_WAIT,    /* for a device to be done with a step */
    QD_TRACE_SAMPLE,  /* a token is chosen and turned into text */
    QD_TRACE_READ,    /* timestamps are read */
};
struct qd_trace_event {
    enum qd_trace_kind kind;
    uint32_t device; /* position among those of the model */
    uint32_t thread; /* 0: the one that calls; d: the one that hands steps over to device d */
    uint64_t step;   /* from 0, of the session's life; UINT64_MAX: of no step in particular */
    uint64_t begin_ns, end_ns;      /* CLOCK_MONOTONIC */
    uint32_t part, n_parts;         /* of the device's work on the step; submissions are short */
    uint32_t n_tokens, n_out;       /* of the step, and for how many there are results */
    uint32_t first_layer, n_layers; /* of the device */
    uint64_t bytes;                 /* of activations */
    bool copied;                    /* by the host; false: the device works on host memory itself */
};
/* Up to `cap` events, in the order in which they were noted, and their full number in *count. Those
 * of a device's work are in the order of the steps. None while it is off. */
QD_API enum qd_status qd_session_get_trace(qd_session *session, struct qd_trace_event *events,
                                           size_t cap, size_t *count);
/* How the times of a device were put on that clock. */
struct qd_trace_clock {
    bool has_timestamps; /* else its work is what the host saw: from submission to end */
    bool calibrated;     /* the driver tells both clocks; else submissions were bracketed */
    uint64_t error_ns;   /* how far they may be apart: the most that was seen */
};
QD_API void qd_session_get_trace_clock(const qd_session *session, uint32_t device,
                                       struct qd_trace_clock *out);

#ifdef __cplusplus
}
#endif

#endif
