/* The table of a model's weights: each is looked up by name, its shape and type are checked against
 * the hyper-parameters, and what the file has beyond them is refused or counted. Norms, biases and
 * rope factors become F32 at load, whatever they are in the file. Nothing is read here but rope
 * factors. */
#include "arch/internal.h"

#include "ops/ops.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FACTORS = OP_MAX_HEAD_DIM / 2 };

static bool name_ends(const struct gguf_tensor *tensor, const char *end)
{
    size_t n = strlen(end);
    return n <= tensor->name.bytes &&
           memcmp(tensor->name.text + tensor->name.bytes - n, end, n) == 0;
}

static bool name_has(const struct gguf_tensor *tensor, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= tensor->name.bytes; i++) {
        if (memcmp(tensor->name.text + i, part, n) == 0) {
            return true;
        }
    }
    return false;
}

static const char *table_name(const struct arch_table *table)
{
    return table->file != NULL ? gguf_path(table->file) : table->model->name;
}

/* ---- checks of one tensor ---- */

static bool check_type(const struct arch_table *table, struct arch_weight *weight,
                       enum arch_kind kind)
{
    uint32_t type = weight->tensor->type;
    enum quant_id id;
    bool vector = kind != ARCH_MATRIX && kind != ARCH_STACK;
    bool known = quant_find(type, &id) != NULL;
    if (known && (!vector || id == QUANT_F32 || id == QUANT_F16)) {
        weight->quant = vector ? QUANT_F32 : id;
        return true;
    }
    struct str list;
    str_init(&list);
    for (uint32_t i = 0; i < QUANT_COUNT; i++) {
        if (!vector || i == QUANT_F32 || i == QUANT_F16) {
            str_printf(&list, "%s%s", list.bytes != 0 ? ", " : "", quant_get(i)->name);
        }
    }
    const char *name = quant_type_name(type);
    log_error(table->log, "%s: tensor %s: type %s is not supported%s (supported: %s)",
              table_name(table), weight->name, name != NULL ? name : "?",
              vector ? " for a vector" : "", str_get(&list));
    str_finish(&list);
    return false;
}

/* `rows`: of the whole tensor, or of each of its matrices. */
static bool check_shape(const struct arch_table *table, const struct arch_weight *weight,
                        enum arch_kind kind, uint64_t rows)
{
    const uint64_t *dims = weight->tensor->dims;
    uint32_t n = kind == ARCH_STACK ? weight->experts : 1;
    if (dims[0] == weight->cols && dims[1] == rows && dims[2] == n && dims[3] == 1) {
        return true;
    }
    char have[96], want[72];
    int at = snprintf(have, sizeof have, "%" PRIu64, dims[0]);
    for (uint32_t d = 1; d < weight->tensor->n_dims && d < 4; d++) {
        at += snprintf(have + at, sizeof have - (size_t)at, ", %" PRIu64, dims[d]);
    }
    if (kind == ARCH_STACK) {
        snprintf(want, sizeof want, "%" PRIu64 ", %" PRIu64 ", %" PRIu32, weight->cols, rows, n);
    } else {
        snprintf(want, sizeof want, kind != ARCH_MATRIX ? "%" PRIu64 : "%" PRIu64 ", %" PRIu64,
                 weight->cols, rows);
    }
    log_error(table->log, "%s: tensor %.*s: shape is [%s], must be [%s] by the file's keys",
              table_name(table), (int)weight->tensor->name.bytes, weight->tensor->name.text, have,
              want);
    return false;
}

/* Rope factors divide angles. */
static bool check_factors(const struct arch_table *table, const struct arch_weight *weight)
{
    float factor[MAX_FACTORS];
    const struct quant_format *format = quant_find(weight->tensor->type, NULL);
    format->decode(gguf_data(table->file, weight->tensor), factor, (size_t)weight->cols);
    for (size_t i = 0; i < weight->cols; i++) {
        if (!(factor[i] > 0) || !isfinite(factor[i])) {
            log_error(table->log, "%s: tensor %s: factor %zu is %g, must be above 0",
                      table_name(table), weight->name, i, (double)factor[i]);
            return false;
        }
    }
    return true;
}

/* In the tensor `name`, of `rows` rows. */
static bool look_up(const struct arch_table *table, struct arch_weight *weight, enum arch_kind kind,
                    const char *name, uint64_t rows)
{
    weight->tensor = gguf_tensor_find(table->file, name);
    if (weight->tensor == NULL) {
        log_error(table->log, "%s: tensor %s: is missing", table_name(table), name);
        return false;
    }
    return check_shape(table, weight, kind, rows) && check_type(table, weight, kind) &&
           (kind != ARCH_FACTORS || check_factors(table, weight));
}

/* ---- the table ---- */

static bool count(struct arch_table *table, struct arch_weight *weight)
{
    struct arch_model *model = table->model;
    const struct quant_format *format = quant_get(weight->quant);
    uint64_t n;
    if (weight->cols % format->block_cols != 0) {
        log_error(table->log, "%s: tensor %s: %" PRIu64 " columns, %s needs a multiple of %u",
                  table_name(table), weight->name, weight->cols, format->name, format->block_cols);
        return false;
    }
    bool ok =
        size_mul(weight->rows, weight->cols, &n) &&
        size_mul(weight->rows, quant_row_bytes(weight->quant, weight->cols), &weight->file_bytes);
    if (ok && weight->rows == 1 && weight->tensor != NULL) {
        weight->file_bytes = weight->tensor->bytes; /* F16, perhaps */
    }
    if (!ok || !size_add(model->n_params, n, &model->n_params) ||
        !size_add(model->file_bytes, weight->file_bytes, &model->file_bytes)) {
        log_error(table->log, "%s: tensor %s: the model's size does not fit 64 bits",
                  table_name(table), weight->name);
        return false;
    }
    return true;
}

static bool append(struct arch_table *table, const struct arch_weight *weight)
{
    struct arch_model *model = table->model;
    if (!mem_grow((void **)&model->weights, &model->cap_weights, model->n_weights,
                  sizeof *model->weights)) {
        log_error(table->log, "%s: tensor %s: out of memory after %zu weights", table_name(table),
                  weight->name, model->n_weights);
        return false;
    }
    model->weights[model->n_weights++] = *weight;
    return true;
}

bool arch_table_add_rows(struct arch_table *table, const struct arch_rows *in, const char *name,
                         int32_t layer, uint64_t rows, uint64_t cols)
{
    struct arch_weight weight = {.rows = rows, .cols = cols, .layer = layer, .row0 = in->row0};
    char tensor[48];
    arch_weight_name(weight.name, name, layer);
    arch_weight_name(tensor, in->tensor, layer);
    if (table->file == NULL) {
        weight.quant = arch_dummy_quant(table, weight.name, layer);
    } else if (!look_up(table, &weight, ARCH_MATRIX, tensor, in->all)) {
        return false;
    }
    return count(table, &weight) && append(table, &weight);
}

static bool add_stack(struct arch_table *table, const char *name, int32_t layer, uint64_t rows,
                      uint64_t cols)
{
    uint32_t n = table->model->hp.n_experts;
    struct arch_weight weight = {.rows = rows * n, .cols = cols, .experts = n, .layer = layer};
    arch_weight_name(weight.name, name, layer);
    if (table->file == NULL) {
        weight.quant = arch_dummy_quant(table, weight.name, layer);
    } else if (!look_up(table, &weight, ARCH_STACK, weight.name, rows)) {
        return false;
    }
    return count(table, &weight) && append(table, &weight);
}

bool arch_table_add(struct arch_table *table, enum arch_kind kind, const char *name, int32_t layer,
                    uint64_t rows, uint64_t cols)
{
    if (kind == ARCH_MATRIX) {
        return arch_table_add_rows(table, &(struct arch_rows){.tensor = name, .all = rows}, name,
                                   layer, rows, cols);
    }
    if (kind == ARCH_STACK) {
        return add_stack(table, name, layer, rows, cols);
    }
    struct arch_weight weight = {.rows = 1, .cols = cols, .layer = layer, .quant = QUANT_F32};
    arch_weight_name(weight.name, name, layer);
    if (kind == ARCH_MADE) {
        return append(table, &weight);
    }
    return (table->file == NULL || look_up(table, &weight, kind, weight.name, 1)) &&
           count(table, &weight) && append(table, &weight);
}

void arch_weight_name(char out[48], const char *name, int32_t layer)
{
    const char *mark = strstr(name, "%d");
    if (mark == NULL) {
        snprintf(out, 48, "%s", name);
    } else {
        snprintf(out, 48, "%.*s%d%s", (int)(mark - name), name, (int)layer, mark + 2);
    }
}

bool arch_table_has(const struct arch_table *table, const char *name)
{
    return table->file != NULL && gguf_tensor_find(table->file, name) != NULL;
}

bool arch_table_has_of(const struct arch_table *table, const char *name, int32_t layer)
{
    char full[48];
    arch_weight_name(full, name, layer);
    return arch_table_has(table, full);
}

bool arch_table_read_vocab(struct arch_table *table, const char *embedding, const char *head)
{
    struct arch_hparams *hp = &table->model->hp;
    if (table->file == NULL) {
        return true;
    }
    const struct gguf_tensor *tensor = gguf_tensor_find(table->file, embedding);
    if (tensor == NULL) {
        log_error(table->log, "%s: tensor %s: is missing", table_name(table), embedding);
        return false;
    }
    if (tensor->dims[1] == 0 || tensor->dims[1] > ARCH_MAX_VOCAB) {
        log_error(table->log, "%s: tensor %s: %" PRIu64 " rows, must be 1 to %d", table_name(table),
                  embedding, tensor->dims[1], ARCH_MAX_VOCAB);
        return false;
    }
    hp->n_vocab = (uint32_t)tensor->dims[1];
    hp->tied_embedding = gguf_tensor_find(table->file, head) == NULL;
    char key[96];
    uint32_t size = hp->n_vocab;
    snprintf(key, sizeof key, "%s.vocab_size", table->model->family->name);
    if (gguf_get_u32(table->file, key, &size) == GGUF_BAD) {
        return false;
    }
    if (size != hp->n_vocab) {
        log_error(table->log, "%s: key %s: is %u, but tensor %s has %u rows", table_name(table),
                  key, size, embedding, hp->n_vocab);
        return false;
    }
    return true;
}

/* ---- what else is in the file ---- */

/* Layer number of "blk.<n>.", -1 for other names. */
static int64_t layer_of(const struct gguf_tensor *tensor)
{
    const char *text = tensor->name.text;
    uint64_t i = 4, n = tensor->name.bytes;
    if (n < 6 || memcmp(text, "blk.", 4) != 0) {
        return -1;
    }
    int64_t layer = 0;
    for (; i < n && text[i] >= '0' && text[i] <= '9'; i++) {
        layer = layer > INT32_MAX ? layer : layer * 10 + (text[i] - '0');
    }
    return i > 4 && i < n && text[i] == '.' ? layer : -1;
}

static bool refuse(const struct arch_table *table, const struct gguf_tensor *tensor)
{
    static const struct {
        const char *part, *what;
    } PARTS[] = {
        {"_exps.", "experts beyond the file's keys are"},
        {"ffn_gate_inp", "experts beyond the file's keys are"},
        {"_shexp.", "shared experts are"},
        {"rope_factors_", "rope scaling of this kind is"},
        {"attn_q_norm.", "query and key norm is"},
        {"attn_k_norm.", "query and key norm is"},
        {"post_attention_norm.", "a norm behind a block is"},
        {"post_ffw_norm.", "a norm behind a block is"},
        {"attn_qkv.", "fused q, k and v are"},
        {"attn_sinks.", "attention sinks are"},
        {"attn_sub_norm.", "a norm inside a block is"},
        {"ffn_sub_norm.", "a norm inside a block is"},
        {"layer_output_scale.", "a scaled layer is"},
        {"altup_", "alternating updates are"},
        {"per_layer_", "an embedding of each layer is"},
    };
    uint32_t n_layers = table->model->hp.n_layers;
    if (layer_of(tensor) >= (int64_t)n_layers) {
        log_error(table->log,
                  "%s: tensor %.*s: is of layer %" PRId64 ", but key %s.block_count is %u",
                  table_name(table), (int)tensor->name.bytes, tensor->name.text, layer_of(tensor),
                  table->model->family->name, n_layers);
        return true;
    }
    const char *what = name_ends(tensor, ".bias") ? "a bias here is" : NULL;
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0] && what == NULL; i++) {
        what = name_has(tensor, PARTS[i].part) ? PARTS[i].what : NULL;
    }
    if (what != NULL) {
        log_error(table->log, "%s: tensor %.*s: %s not supported in %s", table_name(table),
                  (int)tensor->name.bytes, tensor->name.text, what, table->model->family->name);
        return true;
    }
    return false;
}

static bool check_unused(const struct arch_table *table, const bool *used, uint64_t n)
{
    uint64_t unknown = 0;
    const struct gguf_tensor *first = NULL;
    for (uint64_t i = 0; i < n; i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(table->file, i);
        if (!used[i]) {
            if (refuse(table, tensor)) {
                return false;
            }
            first = first != NULL ? first : tensor;
            unknown++;
        }
    }
    if (unknown != 0) {
        log_warn(table->log,
                 "%s: %" PRIu64 " tensors are not known to %s and stay unused, first %.*s",
                 table_name(table), unknown, table->model->family->name, (int)first->name.bytes,
                 first->name.text);
    }
    return true;
}

bool arch_table_check_rest(const struct arch_table *table)
{
    const struct arch_model *model = table->model;
    uint64_t n = table->file != NULL ? gguf_tensor_count(table->file) : 0;
    if (n == 0) {
        return true;
    }
    bool *used = mem_alloc((size_t)n, sizeof *used);
    if (used == NULL) {
        log_error(table->log, "%s: out of memory for %" PRIu64 " tensors", table_name(table), n);
        return false;
    }
    for (size_t w = 0; w < model->n_weights; w++) {
        if (model->weights[w].tensor != NULL) {
            used[model->weights[w].tensor - gguf_tensor_at(table->file, 0)] = true;
        }
    }
    bool ok = check_unused(table, used, n);
    mem_free(used);
    return ok;
}
