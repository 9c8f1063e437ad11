/* Makes an arch_model, from a file or from a dummy's spec, and runs the build pass of its family.
 * Which families there are is archs.def's matter. */
#include "arch/internal.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct arch_family *const FAMILIES[] = {
#define ARCH(name) &arch_family_##name,
#include "arch/archs.def"
#undef ARCH
};
enum { N_FAMILIES = sizeof FAMILIES / sizeof FAMILIES[0] };

static bool find_family(struct arch_model *model, const struct gguf_file *file, struct log *log)
{
    struct gguf_str name;
    enum gguf_result result = gguf_get_str(file, "general.architecture", &name);
    if (result != GGUF_OK) {
        if (result == GGUF_ABSENT) {
            log_error(log, "%s: key general.architecture: is missing", gguf_path(file));
        }
        return false;
    }
    struct str list;
    str_init(&list);
    for (uint32_t i = 0; i < N_FAMILIES; i++) {
        if (strlen(FAMILIES[i]->name) == name.bytes &&
            memcmp(FAMILIES[i]->name, name.text, name.bytes) == 0) {
            model->family = FAMILIES[i];
        }
        str_printf(&list, "%s%s", i == 0 ? "" : ", ", FAMILIES[i]->name);
    }
    if (model->family == NULL) {
        log_error(log, "%s: key general.architecture: %.*s is not supported (supported: %s)",
                  gguf_path(file), name.bytes < 64 ? (int)name.bytes : 64, name.text,
                  str_get(&list));
    }
    str_finish(&list);
    return model->family != NULL;
}

/* Cut at a whole UTF-8 character; control bytes become '?'. */
static void set_name(struct arch_model *model, const char *text, uint64_t bytes)
{
    size_t n = bytes < sizeof model->name ? (size_t)bytes : sizeof model->name - 1;
    while (n > 0 && n < bytes && ((unsigned char)text[n] & 0xc0) == 0x80) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        model->name[i] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    model->name[n] = '\0';
}

bool arch_model_read(struct arch_model *model, const struct gguf_file *file, struct log *log)
{
    memset(model, 0, sizeof *model);
    struct arch_table table = {.model = model, .file = file, .log = log};
    struct gguf_str name = {0};
    if (!find_family(model, file, log)) {
        goto fail;
    }
    if (gguf_get_str(file, "general.name", &name) == GGUF_BAD ||
        !arch_hparams_read(model, file, log) || !model->family->weights(&table) ||
        !arch_table_check_rest(&table)) {
        goto fail;
    }
    arch_shape_set(model);
    if (name.bytes != 0) {
        set_name(model, name.text, name.bytes);
    } else {
        set_name(model, model->shape, strlen(model->shape));
    }
    return true;
fail:
    arch_model_finish(model);
    return false;
}

bool arch_model_dummy(struct arch_model *model, const char *spec, struct log *log)
{
    memset(model, 0, sizeof *model);
    model->dummy = true;
    model->family = &arch_family_llama;
    set_name(model, spec, strlen(spec));
    struct arch_table table = {.model = model, .log = log};
    if (!arch_dummy_read(&table, spec) || !model->family->weights(&table)) {
        arch_model_finish(model);
        return false;
    }
    arch_shape_set(model);
    return true;
}

void arch_weight_make(const struct arch_model *model, const struct arch_weight *weight, float *out)
{
    if (!model->dummy) {
        arch_rope_yarn(&model->hp, out);
        return;
    }
    for (uint64_t i = 0; i < weight->cols; i++) {
        out[i] = 1;
    }
}

void arch_model_finish(struct arch_model *model)
{
    mem_free(model->weights);
    memset(model, 0, sizeof *model);
}

bool arch_build(const struct arch_model *model, struct plan *plan,
                const struct arch_build_params *params)
{
    if (params->n_tokens == 0 || params->n_out > params->n_tokens ||
        params->n_tokens != plan->n_tokens || params->n_out != plan->n_out ||
        plan->n_layers != model->hp.n_layers) {
        log_error(plan->log,
                  "build: a plan of %u tokens, %u rows of logits and %u layers was asked "
                  "for %u, %u and %u",
                  plan->n_tokens, plan->n_out, plan->n_layers, params->n_tokens, params->n_out,
                  model->hp.n_layers);
        plan->failed = true;
        return false;
    }
    struct arch_wiring wiring = {
        .model = model, .params = params, .plan = plan, .factors = PLAN_NONE};
    plan->layer = PLAN_LAYER_INPUT;
    wiring.step = plan_get_step(plan, params->step_words);
    if (!plan->failed) {
        model->family->build(&wiring);
    }
    return !plan->failed;
}

bool arch_is_local(const struct arch_hparams *hp, uint32_t layer)
{
    uint32_t p = hp->window_period;
    return hp->window != 0 && (p == 0 || layer % p != p - 1);
}

uint32_t arch_local_layers(const struct arch_hparams *hp)
{
    uint32_t n = 0;
    for (uint32_t layer = 0; layer < hp->n_layers; layer++) {
        n += arch_is_local(hp, layer) ? 1 : 0;
    }
    return n;
}

uint64_t arch_kv_bytes(const struct arch_model *model, uint32_t layer,
                       const struct arch_build_params *params)
{
    uint32_t slots = arch_is_local(&model->hp, layer) ? params->n_slots_local : params->n_slots;
    uint64_t values = (uint64_t)model->hp.head_dim * model->hp.n_kv_heads * slots;
    uint64_t k, v;
    return plan_elem_bytes(params->k_type, values, &k) &&
                   plan_elem_bytes(params->v_type, values, &v)
               ? k + v
               : UINT64_MAX;
}

double arch_flop(const struct arch_model *model, uint64_t len)
{
    const struct arch_hparams *hp = &model->hp;
    double flop = 0;
    for (size_t w = 0; w < model->n_weights; w++) {
        const struct arch_weight *weight = &model->weights[w];
        bool looked_up = weight->layer == PLAN_LAYER_INPUT && !hp->tied_embedding;
        if (weight->rows > 1 && !looked_up) {
            double used = weight->experts != 0 ? (double)hp->n_experts_used / weight->experts : 1;
            flop += 2.0 * (double)weight->rows * (double)weight->cols * used;
        }
    }
    double seen = hp->window != 0 && hp->window < len ? hp->window : (double)len;
    uint32_t local = arch_local_layers(hp);
    seen = seen * local + (double)len * (hp->n_layers - local);
    return flop + 4.0 * hp->n_heads * hp->head_dim * seen;
}
