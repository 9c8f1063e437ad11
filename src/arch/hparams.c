/* Hyper-parameters: read from the file's keys, defaults, and the checks that every number of a file
 * or a dummy's spec must pass. Features that would change the result are refused by name. What the
 * tensors decide (vocabulary, tied embedding) is in weights.c. */
#include "arch/internal.h"

#include "ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_LAYERS = 512,
    MAX_EMBD = 1 << 20,
    MAX_HEADS = 1 << 14,
    MAX_FF = 1 << 22,
    MAX_CTX = 1 << 28,
    MAX_KEY = 96
};

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
};

/* A file being read. */
struct reader {
    const struct gguf_file *file;
    const char *family;
    struct log *log;
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

static bool check_float(const struct arch_where *where, enum arch_field field, float value,
                        float low, float high)
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
           arch_check_range(where, ARCH_CTX, hp->n_ctx_train, 1, MAX_CTX) &&
           check_float(where, ARCH_EPS, hp->rms_eps, 1e-20f, 1.0f) &&
           check_float(where, ARCH_ROPE_BASE, hp->rope_base, 1.0f, 1e15f) &&
           arch_check_range(where, ARCH_ROPE_DIMS, hp->rope_dims, 2, hp->head_dim) &&
           check_even(where, ARCH_ROPE_DIMS, hp->rope_dims) &&
           check_float(where, ARCH_ROPE_FACTOR, hp->rope_factor, 1e-6f, 1e6f);
}

/* ---- reading ---- */

static void make_key(const struct reader *reader, const char *field, char key[MAX_KEY])
{
    snprintf(key, MAX_KEY, "%s.%s", reader->family, field);
}

static enum gguf_result get_u32(const struct reader *reader, const char *field, uint32_t *out)
{
    char key[MAX_KEY];
    make_key(reader, field, key);
    return gguf_get_u32(reader->file, key, out);
}

static enum gguf_result get_f32(const struct reader *reader, const char *field, float *out)
{
    char key[MAX_KEY];
    make_key(reader, field, key);
    return gguf_get_f32(reader->file, key, out);
}

static bool missing(const struct reader *reader, const char *field)
{
    log_error(reader->log, "%s: key %s.%s: is missing", gguf_path(reader->file), reader->family,
              field);
    return false;
}

static bool need_u32(const struct reader *reader, enum arch_field field, uint32_t *out)
{
    enum gguf_result result = get_u32(reader, FILE_FIELDS[field], out);
    return result == GGUF_ABSENT ? missing(reader, FILE_FIELDS[field]) : result == GGUF_OK;
}

/* Head size: from the keys where there are any, else the width divided by the heads. */
static bool read_head_dim(const struct reader *reader, struct arch_hparams *hp)
{
    const char *path = gguf_path(reader->file);
    bool divides = hp->n_heads != 0 && hp->n_embd % hp->n_heads == 0;
    uint32_t by_default = divides ? hp->n_embd / hp->n_heads : 0, k = by_default, v = by_default;
    enum gguf_result has_k = get_u32(reader, FILE_FIELDS[ARCH_HEAD_DIM], &k);
    enum gguf_result has_v = get_u32(reader, "attention.value_length", &v);
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

/* Type absent, but a factor there: linear, as older files have it. */
static bool read_rope_scaling(const struct reader *reader, struct arch_hparams *hp)
{
    char key[MAX_KEY];
    struct gguf_str type = {0};
    float factor = 1.0f;
    make_key(reader, "rope.scaling.type", key);
    enum gguf_result has_type = gguf_get_str(reader->file, key, &type);
    enum gguf_result has_factor = get_f32(reader, FILE_FIELDS[ARCH_ROPE_FACTOR], &factor);
    if (has_factor == GGUF_ABSENT) {
        has_factor = get_f32(reader, "rope.scale_linear", &factor);
    }
    if (has_type == GGUF_BAD || has_factor == GGUF_BAD) {
        return false;
    }
    bool none = type.bytes == 4 && memcmp(type.text, "none", 4) == 0;
    bool linear = type.bytes == 6 && memcmp(type.text, "linear", 6) == 0;
    if (has_type == GGUF_OK && !none && !linear) {
        log_error(reader->log, "%s: key %s: %.*s is not supported (supported: none, linear)",
                  gguf_path(reader->file), key, type.bytes < 64 ? (int)type.bytes : 64, type.text);
        return false;
    }
    if (linear && has_factor == GGUF_ABSENT) {
        return missing(reader, FILE_FIELDS[ARCH_ROPE_FACTOR]);
    }
    bool scaled = linear || (has_type == GGUF_ABSENT && has_factor == GGUF_OK);
    hp->rope_scaling = scaled ? ARCH_ROPE_LINEAR : ARCH_ROPE_NONE;
    hp->rope_factor = scaled ? factor : 1.0f;
    return true;
}

/* The period of a list of "is local", one per layer: local layers, then a global one, again and
 * again. False: it is not of that form. */
static bool read_list(const struct gguf_kv *kv, uint32_t *period)
{
    uint64_t run = 0;
    while (run < kv->count && gguf_array_u32(kv, run) != 0) {
        run++;
    }
    for (uint64_t i = 0; i < kv->count; i++) {
        if ((gguf_array_u32(kv, i) != 0) != (i % (run + 1) != run)) {
            return false;
        }
    }
    *period = run < kv->count ? (uint32_t)run + 1 : 0;
    return true;
}

static bool read_period(const struct reader *reader, struct arch_hparams *hp)
{
    char key[MAX_KEY];
    make_key(reader, "attention.sliding_window_pattern", key);
    const struct gguf_kv *kv = gguf_find(reader->file, key);
    if (kv == NULL || kv->type != GGUF_ARRAY) {
        return gguf_get_u32(reader->file, key, &hp->window_period) != GGUF_BAD;
    }
    if (gguf_get_array(reader->file, key, GGUF_BOOL, &kv) != GGUF_OK) {
        return false;
    }
    if (kv->count != hp->n_layers) {
        log_error(reader->log,
                  "%s: key %s: has %" PRIu64 " entries, must be one for each of %u layers",
                  gguf_path(reader->file), key, kv->count, hp->n_layers);
        return false;
    }
    if (!read_list(kv, &hp->window_period)) {
        log_error(reader->log,
                  "%s: key %s: local and global layers do not repeat regularly: not supported",
                  gguf_path(reader->file), key);
        return false;
    }
    return true;
}

/* Where all layers are alike, a window as long as the context is none. */
static bool read_window(const struct reader *reader, struct arch_hparams *hp)
{
    if (get_u32(reader, "attention.sliding_window", &hp->window) == GGUF_BAD ||
        !read_period(reader, hp)) {
        return false;
    }
    bool none = hp->window_period == 1 || (hp->window_period == 0 && hp->window >= hp->n_ctx_train);
    hp->window = none ? 0 : hp->window;
    return true;
}

/* Keys that mean nothing when 0, and a model that we cannot run otherwise. */
static bool refuse_features(const struct reader *reader)
{
    static const char *const EXPERTS[] = {"expert_count", "expert_used_count",
                                          "expert_shared_count"};
    for (size_t i = 0; i < sizeof EXPERTS / sizeof EXPERTS[0]; i++) {
        uint32_t value = 0;
        if (get_u32(reader, EXPERTS[i], &value) == GGUF_BAD) {
            return false;
        }
        if (value != 0) {
            log_error(reader->log, "%s: key %s.%s: is %u: mixture of experts is not supported",
                      gguf_path(reader->file), reader->family, EXPERTS[i], value);
            return false;
        }
    }
    return true;
}

bool arch_hparams_read(struct arch_model *model, const struct gguf_file *file, struct log *log)
{
    struct arch_hparams *hp = &model->hp;
    struct reader reader = {.file = file, .family = model->family->name, .log = log};
    if (!need_u32(&reader, ARCH_LAYERS, &hp->n_layers) ||
        !need_u32(&reader, ARCH_EMBD, &hp->n_embd) ||
        !need_u32(&reader, ARCH_HEADS, &hp->n_heads) || !need_u32(&reader, ARCH_FF, &hp->n_ff) ||
        !need_u32(&reader, ARCH_CTX, &hp->n_ctx_train)) {
        return false;
    }
    hp->n_kv_heads = hp->n_heads;
    hp->rope_base = 10000.0f;
    hp->rope_half_split = model->family->rope_half_split;
    enum gguf_result has_eps = get_f32(&reader, FILE_FIELDS[ARCH_EPS], &hp->rms_eps);
    if (has_eps == GGUF_ABSENT) {
        return missing(&reader, FILE_FIELDS[ARCH_EPS]);
    }
    if (has_eps == GGUF_BAD ||
        get_u32(&reader, FILE_FIELDS[ARCH_KV_HEADS], &hp->n_kv_heads) == GGUF_BAD ||
        get_f32(&reader, FILE_FIELDS[ARCH_ROPE_BASE], &hp->rope_base) == GGUF_BAD ||
        !read_head_dim(&reader, hp)) {
        return false;
    }
    hp->rope_dims = hp->head_dim;
    if (get_u32(&reader, FILE_FIELDS[ARCH_ROPE_DIMS], &hp->rope_dims) == GGUF_BAD ||
        !read_rope_scaling(&reader, hp) || !read_window(&reader, hp) || !refuse_features(&reader)) {
        return false;
    }
    char prefix[MAX_KEY];
    snprintf(prefix, sizeof prefix, "key %s.", model->family->name);
    struct arch_where where = {
        .name = gguf_path(file), .prefix = prefix, .fields = FILE_FIELDS, .log = log};
    return arch_hparams_check(hp, &where);
}
