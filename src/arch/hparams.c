/* Hyper-parameters: the sizes, defaults, and the checks that every size of a file or a dummy's spec
 * must pass. Optional features are read in features.c, rope scaling in rope.c; what the tensors
 * decide (vocabulary, tied embedding) is in weights.c. */
#include "arch/internal.h"

#include "ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 512, MAX_EMBD = 1 << 20, MAX_HEADS = 1 << 14, MAX_FF = 1 << 22, MAX_KEY = 96 };

static const char *const FILE_FIELDS[ARCH_FIELDS] = {
    [ARCH_LAYERS] = "block_count",
    [ARCH_EMBD] = "embedding_length",
    [ARCH_HEADS] = "attention.head_count",
    [ARCH_KV_HEADS] = "attention.head_count_kv",
    [ARCH_HEAD_DIM] = "attention.key_length",
    [ARCH_FF] = "feed_forward_length",
    [ARCH_VOCAB] = "vocab_size",
    [ARCH_CTX] = "context_length",
    [ARCH_EPS] = "attention.layer_norm_rms_epsilon",
    [ARCH_ROPE_BASE] = "rope.freq_base",
    [ARCH_ROPE_DIMS] = "rope.dimension_count",
    [ARCH_ROPE_FACTOR] = "rope.scaling.factor",
    [ARCH_EXPERTS] = "expert_count",
    [ARCH_EXPERTS_USED] = "expert_used_count",
    [ARCH_FF_EXPERT] = "expert_feed_forward_length",
    [ARCH_WINDOW] = "attention.sliding_window",
    [ARCH_ATTN_SCALE] = "attention.scale",
    [ARCH_ATTN_SOFTCAP] = "attn_logit_softcapping",
    [ARCH_FINAL_SOFTCAP] = "final_logit_softcapping",
    [ARCH_EMBD_SCALE] = "embedding_scale",
    [ARCH_RESIDUAL_SCALE] = "residual_scale",
    [ARCH_LOGIT_SCALE] = "logit_scale",
    [ARCH_ROPE_BASE_LOCAL] = "rope.freq_base_swa",
    [ARCH_ROPE_CTX] = "rope.scaling.original_context_length",
    [ARCH_ROPE_MAGNITUDE] = "rope.scaling.attn_factor",
    [ARCH_ROPE_YARN_MAGNITUDE] = "rope.scaling.yarn_attn_factor",
    [ARCH_ROPE_BETA_FAST] = "rope.scaling.yarn_beta_fast",
    [ARCH_ROPE_BETA_SLOW] = "rope.scaling.yarn_beta_slow",
};

/* ---- checks ---- */

bool arch_check_range(const struct arch_where *where, enum arch_field field, uint64_t value,
                      uint64_t low, uint64_t high)
{
    if (value >= low && value <= high) {
        return true;
    }
    log_error(where->log, "%s: %s%s: is %" PRIu64 ", must be %" PRIu64 " to %" PRIu64, where->name,
              where->prefix, where->fields[field], value, low, high);
    return false;
}

static bool check_divides(const struct arch_where *where, enum arch_field field, uint32_t value,
                          enum arch_field by_field, uint32_t by)
{
    if (value % by == 0) {
        return true;
    }
    log_error(where->log, "%s: %s%s: %u is not a multiple of %s, %u", where->name, where->prefix,
              where->fields[field], value, where->fields[by_field], by);
    return false;
}

bool arch_check_float(const struct arch_where *where, enum arch_field field, float value, float low,
                      float high)
{
    if (value >= low && value <= high) {
        return true;
    }
    log_error(where->log, "%s: %s%s: is %g, must be %g to %g", where->name, where->prefix,
              where->fields[field], (double)value, (double)low, (double)high);
    return false;
}

static bool check_even(const struct arch_where *where, enum arch_field field, uint32_t value)
{
    if (value % 2 == 0) {
        return true;
    }
    log_error(where->log, "%s: %s%s: is %u, must be even: rotary embedding turns pairs",
              where->name, where->prefix, where->fields[field], value);
    return false;
}

bool arch_hparams_check(const struct arch_hparams *hp, const struct arch_where *where)
{
    return arch_check_range(where, ARCH_LAYERS, hp->n_layers, 1, MAX_LAYERS) &&
           arch_check_range(where, ARCH_EMBD, hp->n_embd, 1, MAX_EMBD) &&
           arch_check_range(where, ARCH_HEADS, hp->n_heads, 1, MAX_HEADS) &&
           arch_check_range(where, ARCH_KV_HEADS, hp->n_kv_heads, 1, hp->n_heads) &&
           check_divides(where, ARCH_HEADS, hp->n_heads, ARCH_KV_HEADS, hp->n_kv_heads) &&
           arch_check_range(where, ARCH_HEAD_DIM, hp->head_dim, 2, OP_MAX_HEAD_DIM) &&
           check_even(where, ARCH_HEAD_DIM, hp->head_dim) &&
           arch_check_range(where, ARCH_FF, hp->n_ff, 1, MAX_FF) &&
           arch_check_range(where, ARCH_CTX, hp->n_ctx_train, 1, ARCH_MAX_CTX) &&
           arch_check_float(where, ARCH_EPS, hp->rms_eps, 1e-20f, 1.0f) &&
           arch_check_float(where, ARCH_ROPE_BASE, hp->rope_base, 1.0f, 1e15f) &&
           arch_check_range(where, ARCH_ROPE_DIMS, hp->rope_dims, 2, hp->head_dim) &&
           check_even(where, ARCH_ROPE_DIMS, hp->rope_dims) &&
           arch_check_float(where, ARCH_ROPE_FACTOR, hp->rope_factor, 1e-6f, 1e6f) &&
           (hp->n_experts == 0 ||
            (arch_check_range(where, ARCH_EXPERTS, hp->n_experts, 2, OP_MAX_EXPERTS) &&
             arch_check_range(where, ARCH_EXPERTS_USED, hp->n_experts_used, 1, hp->n_experts) &&
             arch_check_range(where, ARCH_FF_EXPERT, hp->n_ff_expert, 1, MAX_FF)));
}

/* ---- reading ---- */

static void make_key(const struct arch_reader *reader, const char *field, char key[MAX_KEY])
{
    snprintf(key, MAX_KEY, "%s.%s", reader->family, field);
}

enum gguf_result arch_read_u32(const struct arch_reader *reader, const char *field, uint32_t *out)
{
    char key[MAX_KEY];
    make_key(reader, field, key);
    return gguf_get_u32(reader->file, key, out);
}

enum gguf_result arch_read_f32(const struct arch_reader *reader, const char *field, float *out)
{
    char key[MAX_KEY];
    make_key(reader, field, key);
    return gguf_get_f32(reader->file, key, out);
}

enum gguf_result arch_read_bool(const struct arch_reader *reader, const char *field, bool *out)
{
    char key[MAX_KEY];
    make_key(reader, field, key);
    return gguf_get_bool(reader->file, key, out);
}

enum gguf_result arch_read_str(const struct arch_reader *reader, const char *field,
                               struct gguf_str *out)
{
    char key[MAX_KEY];
    make_key(reader, field, key);
    return gguf_get_str(reader->file, key, out);
}

bool arch_read_missing(const struct arch_reader *reader, const char *field)
{
    log_error(reader->log, "%s: key %s.%s: is missing", gguf_path(reader->file), reader->family,
              field);
    return false;
}

static bool need_u32(const struct arch_reader *reader, enum arch_field field, uint32_t *out)
{
    enum gguf_result result = arch_read_u32(reader, FILE_FIELDS[field], out);
    return result == GGUF_ABSENT ? arch_read_missing(reader, FILE_FIELDS[field])
                                 : result == GGUF_OK;
}

/* Head size: from the keys where there are any, else the width divided by the heads. */
static bool read_head_dim(const struct arch_reader *reader, struct arch_hparams *hp)
{
    const char *path = gguf_path(reader->file);
    bool divides = hp->n_heads != 0 && hp->n_embd % hp->n_heads == 0;
    uint32_t by_default = divides ? hp->n_embd / hp->n_heads : 0, k = by_default, v = by_default;
    enum gguf_result has_k = arch_read_u32(reader, FILE_FIELDS[ARCH_HEAD_DIM], &k);
    enum gguf_result has_v = arch_read_u32(reader, "attention.value_length", &v);
    if (has_k == GGUF_BAD || has_v == GGUF_BAD) {
        return false;
    }
    if (!divides && (has_k == GGUF_ABSENT || has_v == GGUF_ABSENT) && hp->n_heads != 0) {
        log_error(reader->log, "%s: key %s.embedding_length: %u is not a multiple of %s, %u", path,
                  reader->family, hp->n_embd, FILE_FIELDS[ARCH_HEADS], hp->n_heads);
        return false;
    }
    if (k != v) {
        log_error(reader->log,
                  "%s: key %s.attention.value_length: %u differs from the key length, %u: not "
                  "supported",
                  path, reader->family, v, k);
        return false;
    }
    hp->head_dim = k;
    return true;
}

void arch_hparams_defaults(struct arch_hparams *hp)
{
    hp->rope_factor = 1;
    hp->rope_magnitude = 1;
    hp->beta_fast = 32;
    hp->beta_slow = 1;
    hp->n_ctx_orig = hp->n_ctx_train;
    hp->attn_scale = 1.0f / sqrtf((float)hp->head_dim);
    hp->norm_before = true;
    hp->embd_scale = hp->residual_scale = hp->logit_scale = 1;
}

static bool read_sizes(const struct arch_reader *reader, struct arch_hparams *hp)
{
    if (!need_u32(reader, ARCH_LAYERS, &hp->n_layers) ||
        !need_u32(reader, ARCH_EMBD, &hp->n_embd) || !need_u32(reader, ARCH_HEADS, &hp->n_heads) ||
        !need_u32(reader, ARCH_FF, &hp->n_ff) || !need_u32(reader, ARCH_CTX, &hp->n_ctx_train)) {
        return false;
    }
    hp->n_kv_heads = hp->n_heads;
    hp->rope_base = 10000.0f;
    enum gguf_result has_eps = arch_read_f32(reader, FILE_FIELDS[ARCH_EPS], &hp->rms_eps);
    if (has_eps == GGUF_ABSENT) {
        return arch_read_missing(reader, FILE_FIELDS[ARCH_EPS]);
    }
    if (has_eps == GGUF_BAD ||
        arch_read_u32(reader, FILE_FIELDS[ARCH_KV_HEADS], &hp->n_kv_heads) == GGUF_BAD ||
        arch_read_f32(reader, FILE_FIELDS[ARCH_ROPE_BASE], &hp->rope_base) == GGUF_BAD ||
        !read_head_dim(reader, hp)) {
        return false;
    }
    hp->rope_dims = hp->head_dim;
    return arch_read_u32(reader, FILE_FIELDS[ARCH_ROPE_DIMS], &hp->rope_dims) != GGUF_BAD;
}

bool arch_hparams_read(struct arch_model *model, const struct gguf_file *file, struct log *log)
{
    struct arch_hparams *hp = &model->hp;
    char prefix[MAX_KEY];
    snprintf(prefix, sizeof prefix, "key %s.", model->family->name);
    struct arch_where where = {
        .name = gguf_path(file), .prefix = prefix, .fields = FILE_FIELDS, .log = log};
    struct arch_reader reader = {
        .file = file, .family = model->family->name, .where = &where, .log = log};
    if (!read_sizes(&reader, hp)) {
        return false;
    }
    arch_hparams_defaults(hp);
    if (model->family->defaults != NULL) {
        model->family->defaults(hp);
    }
    return arch_moe_read(&reader, hp) && arch_rope_read(&reader, hp) &&
           arch_hparams_check(hp, &where) && arch_features_read(&reader, hp);
}
