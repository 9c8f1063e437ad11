/* Rotary embedding of long contexts: which scaling a file asks for, the factors of each dimension
 * (in the file, or made here for YaRN), and which of them a context takes. */
#include "arch/internal.h"

#include <math.h>
#include <string.h>

#define FREQS "rope_freqs.weight"
#define LONG  "rope_factors_long.weight"
#define SHORT "rope_factors_short.weight"
#define YARN  "rope_yarn.weight" /* made */

/* ---- keys ---- */

static bool is(const struct gguf_str *text, const char *name)
{
    return text->bytes == strlen(name) && memcmp(text->text, name, (size_t)text->bytes) == 0;
}

/* Type absent, but a factor there: linear, as older files have it; or factors for long contexts. */
static bool read_type(const struct arch_reader *reader, struct arch_hparams *hp)
{
    static const struct {
        const char *name;
        enum arch_rope_scaling scaling;
    } TYPES[] = {{"none", ARCH_ROPE_NONE},
                 {"linear", ARCH_ROPE_LINEAR},
                 {"yarn", ARCH_ROPE_YARN},
                 {"longrope", ARCH_ROPE_LONG}};
    struct gguf_str type = {0};
    float factor = 1.0f;
    enum gguf_result has_type = arch_read_str(reader, "rope.scaling.type", &type);
    enum gguf_result has_factor =
        arch_read_f32(reader, reader->where->fields[ARCH_ROPE_FACTOR], &factor);
    if (has_factor == GGUF_ABSENT) {
        has_factor = arch_read_f32(reader, "rope.scale_linear", &factor);
    }
    if (has_type == GGUF_BAD || has_factor == GGUF_BAD) {
        return false;
    }
    bool found = has_type == GGUF_ABSENT;
    hp->rope_scaling = found && has_factor == GGUF_OK ? ARCH_ROPE_LINEAR : ARCH_ROPE_NONE;
    if (found && gguf_tensor_find(reader->file, LONG) != NULL) {
        hp->rope_scaling = ARCH_ROPE_LONG;
    }
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0] && !found; i++) {
        found = is(&type, TYPES[i].name);
        hp->rope_scaling = TYPES[i].scaling;
    }
    if (!found) {
        log_error(reader->log,
                  "%s: key %s.rope.scaling.type: %.*s is not supported (supported: none, linear, "
                  "yarn, longrope)",
                  gguf_path(reader->file), reader->family, type.bytes < 64 ? (int)type.bytes : 64,
                  type.text);
        return false;
    }
    bool scaled = hp->rope_scaling == ARCH_ROPE_LINEAR || hp->rope_scaling == ARCH_ROPE_YARN;
    if (scaled && has_factor == GGUF_ABSENT) {
        return arch_read_missing(reader, reader->where->fields[ARCH_ROPE_FACTOR]);
    }
    hp->rope_factor = scaled ? factor : 1.0f;
    return true;
}

static bool read_float(const struct arch_reader *reader, enum arch_field field, float low,
                       float *out)
{
    enum gguf_result result = arch_read_f32(reader, reader->where->fields[field], out);
    return result == GGUF_ABSENT ||
           (result == GGUF_OK && arch_check_float(reader->where, field, *out, low, 1e6f));
}

/* The context before scaling; longrope cannot do without. */
static bool read_context(const struct arch_reader *reader, struct arch_hparams *hp)
{
    const char *name = reader->where->fields[ARCH_ROPE_CTX];
    enum gguf_result result = arch_read_u32(reader, name, &hp->n_ctx_orig);
    if (result == GGUF_ABSENT && hp->rope_scaling == ARCH_ROPE_LONG) {
        return arch_read_missing(reader, name);
    }
    return result == GGUF_ABSENT ||
           (result == GGUF_OK &&
            arch_check_range(reader->where, ARCH_ROPE_CTX, hp->n_ctx_orig, 2, ARCH_MAX_CTX));
}

static bool read_yarn(const struct arch_reader *reader, struct arch_hparams *hp)
{
    float extrapolate = 1, more = 1;
    const char *name = "rope.scaling.yarn_ext_factor";
    if (arch_read_f32(reader, name, &extrapolate) == GGUF_BAD ||
        !read_float(reader, ARCH_ROPE_YARN_MAGNITUDE, 1e-3f, &more) ||
        !read_float(reader, ARCH_ROPE_BETA_SLOW, 1e-3f, &hp->beta_slow) ||
        !read_float(reader, ARCH_ROPE_BETA_FAST, hp->beta_slow, &hp->beta_fast)) {
        return false;
    }
    if (extrapolate != 1) {
        log_error(reader->log, "%s: key %s.%s: is %g, only 1 is supported", gguf_path(reader->file),
                  reader->family, name, (double)extrapolate);
        return false;
    }
    hp->rope_magnitude *= more;
    if (hp->rope_factor > 1) {
        hp->rope_magnitude *= 1 + 0.1f * logf(hp->rope_factor);
    }
    return true;
}

bool arch_rope_read(const struct arch_reader *reader, struct arch_hparams *hp)
{
    if (!read_type(reader, hp) || !read_context(reader, hp)) {
        return false;
    }
    if (hp->rope_scaling == ARCH_ROPE_LONG && hp->n_ctx_train > hp->n_ctx_orig) {
        double scale = (double)hp->n_ctx_train / hp->n_ctx_orig;
        hp->rope_magnitude = (float)sqrt(1 + log(scale) / log(hp->n_ctx_orig));
    }
    return read_float(reader, ARCH_ROPE_MAGNITUDE, 1e-3f, &hp->rope_magnitude) &&
           read_float(reader, ARCH_ROPE_BASE_LOCAL, 1.0f, &hp->rope_base_local) &&
           (hp->rope_scaling != ARCH_ROPE_YARN || read_yarn(reader, hp));
}

/* ---- factors ---- */

/* The dimension whose wave turns `turns` times in the original context. */
static double yarn_dim(const struct arch_hparams *hp, double turns)
{
    const double two_pi = 6.283185307179586;
    return hp->rope_dims * log(hp->n_ctx_orig / (turns * two_pi)) /
           (2 * log((double)hp->rope_base));
}

/* Fast waves stay as they are, slow ones are stretched by the factor, with a ramp between. */
void arch_rope_yarn(const struct arch_hparams *hp, float *out)
{
    double low = fmax(floor(yarn_dim(hp, (double)hp->beta_fast)), 0);
    double high = fmin(ceil(yarn_dim(hp, (double)hp->beta_slow)), hp->rope_dims - 1.0);
    for (uint32_t i = 0; i < hp->rope_dims / 2; i++) {
        double ramp = fmax(fmin((i - low) / fmax(high - low, 0.001), 1), 0);
        out[i] = (float)(1 / (1 - ramp + ramp / (double)hp->rope_factor));
    }
}

static bool add(struct arch_table *table, enum arch_kind kind, const char *name)
{
    return arch_table_add(table, kind, name, PLAN_LAYER_INPUT, 1, table->model->hp.rope_dims / 2);
}

bool arch_rope_weights(struct arch_table *table)
{
    enum arch_rope_scaling scaling = table->model->hp.rope_scaling;
    bool freqs = arch_table_has(table, FREQS);
    if (freqs && (scaling == ARCH_ROPE_YARN || scaling == ARCH_ROPE_LONG)) {
        log_error(table->log, "%s: tensor " FREQS ": beside other factors it is not supported",
                  gguf_path(table->file));
        return false;
    }
    switch (scaling) {
    case ARCH_ROPE_YARN:
        return add(table, ARCH_MADE, YARN);
    case ARCH_ROPE_LONG:
        return add(table, ARCH_FACTORS, LONG) && add(table, ARCH_FACTORS, SHORT);
    default:
        return !freqs || add(table, ARCH_FACTORS, FREQS);
    }
}

uint32_t arch_rope_factors(struct arch_wiring *wiring)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    const char *name = FREQS;
    if (hp->rope_scaling == ARCH_ROPE_YARN) {
        name = YARN;
    } else if (hp->rope_scaling == ARCH_ROPE_LONG) {
        name = wiring->params->n_ctx > hp->n_ctx_orig ? LONG : SHORT;
    } else if (!arch_wire_has(wiring, FREQS)) {
        return PLAN_NONE;
    }
    return arch_wire_weight(wiring, name, PLAN_LAYER_INPUT);
}
