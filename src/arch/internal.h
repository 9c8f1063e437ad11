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
    const char *name;     /* general.architecture, and prefix of the keys */
    bool rope_half_split; /* pairs (i, i + dims/2) and not (2i, 2i + 1) */
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
    ARCH_FIELDS
};

/* How messages name a field: "<name>: <prefix><field>: ...", e.g. "m.gguf: key
 * llama.block_count: ...". */
struct arch_where {
    const char *name, *prefix;
    const char *const *fields; /* [ARCH_FIELDS] */
    struct log *log;
};

/* Everything but n_vocab and tied_embedding, which the weights decide. */
bool arch_hparams_read(struct arch_model *model, const struct gguf_file *file, struct log *log);
/* Ranges and divisibility of everything but n_vocab. */
bool arch_hparams_check(const struct arch_hparams *hp, const struct arch_where *where);
/* Logs "..., must be <low> to <high>" unless value is. */
bool arch_check_range(const struct arch_where *where, enum arch_field field, uint64_t value,
                      uint64_t low, uint64_t high);

enum { ARCH_MAX_VOCAB = 1 << 27 };

/* ---- weights.c ---- */

enum arch_kind {
    ARCH_MATRIX, /* [rows = outputs][cols = inputs], any supported format */
    ARCH_VECTOR, /* 1 x cols; F32 or F16 in the file, F32 on the device */
    ARCH_FACTORS /* a vector of numbers above 0, at most OP_MAX_HEAD_DIM / 2 */
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
/* Is it in the file? A dummy has nothing optional. */
bool arch_table_has(const struct arch_table *table, const char *name);
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

/* The weights of a standard decoder, in order: attention and FFN of a layer. */
bool arch_block_weights(struct arch_table *table, int32_t layer);

/* Tensor id of a weight, by name and layer as in arch_table_add. */
uint32_t arch_wire_weight(struct arch_wiring *wiring, const char *name, int32_t layer);
bool arch_wire_has(const struct arch_wiring *wiring, const char *name);
uint32_t arch_block_embed(struct arch_wiring *wiring);
/* norm, q, k, v, rope, KV append, attention, output projection, residual: the new x. */
uint32_t arch_block_attention(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* The part of it that fills the KV cache, and no more. */
void arch_block_kv(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* norm, gate, up, SwiGLU, down, residual: the new x. */
uint32_t arch_block_ffn(struct arch_wiring *wiring, uint32_t x, uint32_t layer);
/* Rows that are asked for, norm, logits, argmax. */
void arch_block_head(struct arch_wiring *wiring, uint32_t x);

#endif
