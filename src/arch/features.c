/* Hyper-parameters beyond the sizes: scales, soft caps, window. Keys that would change the result
 * and are not supported are refused by name. Defaults are the families' matter. */
#include "arch/internal.h"

#include <stdio.h>

#define PATTERN "attention.sliding_window_pattern"

/* A number above 0. */
static bool read_scale(const struct arch_reader *reader, enum arch_field field, float *out)
{
    enum gguf_result result = arch_read_f32(reader, reader->where->fields[field], out);
    return result == GGUF_ABSENT ||
           (result == GGUF_OK && arch_check_float(reader->where, field, *out, 1e-6f, 1e6f));
}

/* The same, or 0: none. */
static bool read_cap(const struct arch_reader *reader, enum arch_field field, float *out)
{
    float cap = *out;
    if (arch_read_f32(reader, reader->where->fields[field], &cap) == GGUF_BAD ||
        (cap != 0 && !arch_check_float(reader->where, field, cap, 1e-3f, 1e6f))) {
        return false;
    }
    *out = cap;
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

static bool read_period(const struct arch_reader *reader, struct arch_hparams *hp)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", reader->family, PATTERN);
    const struct gguf_kv *kv = gguf_find(reader->file, key);
    if (kv == NULL || kv->type != GGUF_ARRAY) {
        return arch_read_u32(reader, PATTERN, &hp->window_period) != GGUF_BAD;
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
static bool read_window(const struct arch_reader *reader, struct arch_hparams *hp)
{
    if (arch_read_u32(reader, reader->where->fields[ARCH_WINDOW], &hp->window) == GGUF_BAD ||
        !read_period(reader, hp)) {
        return false;
    }
    bool none = hp->window_period == 1 || (hp->window_period == 0 && hp->window >= hp->n_ctx_train);
    hp->window = none ? 0 : hp->window;
    return true;
}

static bool refuse(const struct arch_reader *reader, const char *field, const char *what)
{
    log_error(reader->log, "%s: key %s.%s: %s not supported", gguf_path(reader->file),
              reader->family, field, what);
    return false;
}

/* Keys that mean nothing when they are 0 or absent. */
static bool refuse_numbers(const struct arch_reader *reader)
{
    static const struct {
        const char *field, *what;
        bool is_float;
    } KEYS[] = {
        {"attention.clamp_kqv", "clamped q, k and v are", true},
        {"attention.max_alibi_bias", "ALiBi is", true},
        {"attention.temperature_scale", "attention temperature is", true},
        {"rope.scaling.alpha", "rope scaling of this kind is", true},
        {"rope.scaling.yarn_log_multiplier", "rope scaling of this kind is", true},
        {"attention.shared_kv_layers", "layers that share a KV cache are", false},
        {"attention.q_lora_rank", "latent attention is", false},
        {"attention.kv_lora_rank", "latent attention is", false},
        {"nextn_predict_layers", "layers that predict more than one token are", false},
    };
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        float number = 0;
        uint32_t count = 0;
        enum gguf_result result = KEYS[i].is_float ? arch_read_f32(reader, KEYS[i].field, &number)
                                                   : arch_read_u32(reader, KEYS[i].field, &count);
        if (result == GGUF_BAD) {
            return false;
        }
        if (number != 0 || count != 0) {
            return refuse(reader, KEYS[i].field, KEYS[i].what);
        }
    }
    return true;
}

static bool refuse_flags(const struct arch_reader *reader)
{
    bool causal = true, parallel = false;
    if (arch_read_bool(reader, "attention.causal", &causal) == GGUF_BAD ||
        arch_read_bool(reader, "use_parallel_residual", &parallel) == GGUF_BAD) {
        return false;
    }
    return (causal || refuse(reader, "attention.causal", "attention to later tokens is")) &&
           (!parallel || refuse(reader, "use_parallel_residual", "parallel blocks are"));
}

bool arch_features_read(const struct arch_reader *reader, struct arch_hparams *hp)
{
    float divisor = 1;
    if (!read_window(reader, hp) || !read_scale(reader, ARCH_ATTN_SCALE, &hp->attn_scale) ||
        !read_cap(reader, ARCH_ATTN_SOFTCAP, &hp->attn_softcap) ||
        !read_cap(reader, ARCH_FINAL_SOFTCAP, &hp->final_softcap) ||
        !read_scale(reader, ARCH_EMBD_SCALE, &hp->embd_scale) ||
        !read_scale(reader, ARCH_RESIDUAL_SCALE, &hp->residual_scale) ||
        !read_scale(reader, ARCH_LOGIT_SCALE, &divisor)) {
        return false;
    }
    hp->logit_scale = 1 / divisor;
    return refuse_numbers(reader) && refuse_flags(reader);
}
