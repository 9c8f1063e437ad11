/* What the files of src/arch share. A family's file adds its weights to a table and wires blocks;
 * everything else here is common to the families.
 *
 * Thread rule: as arch.h. */
#ifndef QUADRIGA_ARCH_INTERNAL_H
#define QUADRIGA_ARCH_INTERNAL_H

#include "arch/arch.h"

#include <inttypes.h>

/* ---- families ---- */

struct arch_table;
struct arch_wiring;

struct arch_family {
    const char *name; /* general.architecture, and prefix of the keys */
    /* Sets what differs from a LLaMA. Sizes, bases and head_dim are there already (but unchecked:
     * no integer division); the keys of the file that are read afterwards win. NULL: nothing. */
    void (*defaults)(struct arch_hparams *hp);
    /* Adds every weight in the order of arch.h. False: a weight is missing or wrong; logged. */
    bool (*weights)(struct arch_table *table);
    /* Adds the nodes of a step, from the embedding to the logits. */
    void (*build)(struct arch_wiring *wiring);
};

#define ARCH(name) extern const struct arch_family arch_family_##name;
#include "arch/archs.def"
#undef ARCH

/* ---- hparams.c ---- */

enum arch_field {
    ARCH_LAYERS,
    ARCH_EMBD,
    ARCH_HEADS,
    ARCH_KV_HEADS,
    ARCH_HEAD_DIM,
    ARCH_FF,
    ARCH_VOCAB,
    ARCH_CTX,
    ARCH_EPS,
    ARCH_ROPE_BASE,
    ARCH_ROPE_DIMS,
    ARCH_ROPE_FACTOR,
    ARCH_EXPERTS,
    ARCH_EXPERTS_USED,
    ARCH_FF_EXPERT,
    ARCH_FIELDS_OF_DUMMIES, /* a dummy's spec has no others */
    ARCH_WINDOW = ARCH_FIELDS_OF_DUMMIES,
    ARCH_ATTN_SCALE,
    ARCH_ATTN_SOFTCAP,
    ARCH_FINAL_SOFTCAP,
    ARCH_EMBD_SCALE,
    ARCH_RESIDUAL_SCALE,
    ARCH_LOGIT_SCALE,
    ARCH_ROPE_BASE_LOCAL,
    ARCH_ROPE_CTX,
    ARCH_ROPE_MAGNITUDE,
    ARCH_ROPE_YARN_MAGNITUDE,
    ARCH_ROPE_BETA_FAST,
    ARCH_ROPE_BETA_SLOW,
    ARCH_FIELDS
};

/* How messages name a field: "<name>: <prefix><field>: ...", e.g. "m.gguf: key
 * llama.block_count: ...". */
struct arch_where {
    const char *name, *prefix;
    const char *const *fields; /* [ARCH_FIELDS], of a dummy [ARCH_FIELDS_OF_DUMMIES] */
    struct log *log;
};

/* A file being read. */
struct arch_reader {
    const struct gguf_file *file;
    const char *family;
    const struct arch_where *where;
    struct log *log;
};

/* The key <family>.<field>; absent ones leave *out as it is. */
enum gguf_result arch_read_u32(const struct arch_reader *reader, const char *field, uint32_t *out);
enum gguf_result arch_read_f32(const struct arch_reader *reader, const char *field, float *out);
enum gguf_result arch_read_bool(const struct arch_reader *reader, const char *field, bool *out);
enum gguf_result arch_read_str(const struct arch_reader *reader, const char *field,
                               struct gguf_str *out);
/* Logs that the key is missing. */
bool arch_read_missing(const struct arch_reader *reader, const char *field);

/* What a LLaMA has, by its sizes. */
void arch_hparams_defaults(struct arch_hparams *hp);
/* Everything but n_vocab and tied_embedding, which the weights decide. */
bool arch_hparams_read(struct arch_model *model, const struct gguf_file *file, struct log *log);
/* Ranges and divisibility of everything but n_vocab. */
bool arch_hparams_check(const struct arch_hparams *hp, const struct arch_where *where);
/* Logs "..., must be <low> to <high>" unless value is. */
bool arch_check_range(const struct arch_where *where, enum arch_field field, uint64_t value,
                      uint64_t low, uint64_t high);

bool arch_check_float(const struct arch_where *where, enum arch_field field, float value, float low,
                      float high);

enum { ARCH_MAX_VOCAB = 1 << 27, ARCH_MAX_CTX = 1 << 28 };

/* ---- features.c, rope.c: parts of arch_hparams_read ---- */

/* Optional keys of attention, feed-forward and residual stream; refuses by name what changes the
 * result and is not supported. */
bool arch_features_read(const struct arch_reader *reader, struct arch_hparams *hp);
bool arch_rope_read(const struct arch_reader *reader, struct arch_hparams *hp);

/* rope.c: adds the factors that the model has, in the file or made. */
bool arch_rope_weights(struct arch_table *table);
/* Tensor id of the factors for this context, PLAN_NONE: all 1. */
uint32_t arch_rope_factors(struct arch_wiring *wiring);
/* YaRN's factors [rope_dims / 2]. */
void arch_rope_yarn(const struct arch_hparams *hp, float *out);

/* shape.c: model->shape, "llama 7B": by the well-known sizes, else by the number of parameters. */
void arch_shape_set(struct arch_model *model);

/* ---- moe.c ---- */

/* Keys of a mixture of experts, where the file has them; what we cannot run is refused by name. */
bool arch_moe_read(const struct arch_reader *reader, struct arch_hparams *hp);
/* Router and experts of a layer. */
bool arch_moe_weights(struct arch_table *table, int32_t layer);

/* ---- weights.c ---- */

enum arch_kind {
    ARCH_MATRIX,  /* [rows = outputs][cols = inputs], any supported format */
    ARCH_VECTOR,  /* 1 x cols; F32 or F16 in the file, F32 on the device */
    ARCH_STACK,   /* n_experts matrices [rows][cols] one behind the other; shape [cols, rows, n] */
    ARCH_FACTORS, /* a vector of numbers above 0, at most OP_MAX_HEAD_DIM / 2 */
    ARCH_MADE     /* a vector that is not in the file: arch_weight_make */
};

struct arch_table {
    struct arch_model *model;
    const struct gguf_file *file; /* NULL: a dummy */
    struct log *log;
    enum quant_id dummy_type;
    const struct arch_mix *dummy_mix; /* NULL: all matrices in dummy_type */
};

/* Adds one weight after looking it up and checking it. `name` is printed with the layer where
 * layer >= 0 ("blk.%d.attn_q.weight" -> "blk.3.attn_q.weight"). */
void arch_weight_name(char out[48], const char *name, int32_t layer);
bool arch_table_add(struct arch_table *table, enum arch_kind kind, const char *name, int32_t layer,
                    uint64_t rows, uint64_t cols);
/* The same for a matrix that is rows [row0, row0 + rows) of a tensor of `all` rows. */
struct arch_rows {
    const char *tensor; /* printed with the layer too */
    uint64_t row0, all;
};
bool arch_table_add_rows(struct arch_table *table, const struct arch_rows *in, const char *name,
                         int32_t layer, uint64_t rows, uint64_t cols);
/* Is it in the file? A dummy has nothing optional. */
bool arch_table_has(const struct arch_table *table, const char *name);
bool arch_table_has_of(const struct arch_table *table, const char *name, int32_t layer);
/* n_vocab out of the rows of the embedding (checked against <family>.vocab_size), and whether the
 * head has its own weight. */
bool arch_table_read_vocab(struct arch_table *table, const char *embedding, const char *head);
/* Names tensors that would change the result and are not supported; warns of unknown ones. */
bool arch_table_check_rest(const struct arch_table *table);

/* ---- dummy.c ---- */

/* Hyper-parameters and formats of a spec (arch.h). */
bool arch_dummy_read(struct arch_table *table, const char *spec);
/* The format of a dummy's matrix. */
enum quant_id arch_dummy_quant(const struct arch_table *table, const char *name, int32_t layer);

/* ---- mix.c ---- */

/* Mixtures of formats; NULL at their end. */
const struct arch_mix *arch_mix_at(uint32_t i);
const char *arch_mix_name(const struct arch_mix *mix);
enum quant_id arch_mix_quant(const struct arch_mix *mix, const struct arch_model *model,
                             const char *name, int32_t layer);

/* ---- blocks.c ---- */

struct arch_wiring {
    const struct arch_model *model;
    const struct arch_build_params *params;
    struct plan *plan;
    uint32_t step;    /* tensor id */
    uint32_t factors; /* rope factors: tensor id or PLAN_NONE */
    size_t cursor;    /* where the next weight is probably found */
};

/* The weights of one layer, in order: attention, feed-forward. */
bool arch_block_weights(struct arch_table *table, int32_t layer);

/* Tensor id of a weight, by name and layer as in arch_table_add. */
uint32_t arch_wire_weight(struct arch_wiring *wiring, const char *name, int32_t layer);
bool arch_wire_has(const struct arch_wiring *wiring, const char *name);
uint32_t arch_block_embed(struct arch_wiring *wiring);
/* norm, q, k, v, their norms, rope, KV append, attention, output projection, norm, residual: the
 * new x. What the hyper-parameters do not ask for is left out. */
uint32_t arch_block_attention(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* The part of it that fills the KV cache, and no more. */
void arch_block_kv(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* norm, gate, up, gated activation, down, norm, residual: the new x. */
uint32_t arch_block_ffn(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* What stands between its norms where there are experts: router, gate, up, activation, down, sum.
 */
uint32_t arch_block_moe(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* Rows that are asked for, norm, logits, argmax, topk or scores. */
void arch_block_head(struct arch_wiring *wiring, uint32_t x);

/* ---- decoder.c ---- */

/* A decoder of these blocks, for families whose differences are all hyper-parameters. */
bool arch_decoder_weights(struct arch_table *table);
void arch_decoder_build(struct arch_wiring *wiring);

#endif
