/* Models: loading, facts, metadata, tokenizer. */
#include "api/objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum plan_elem cache_type(enum qd_type type)
{
    static const enum plan_elem elems[] = {[QD_TYPE_DEFAULT] = PLAN_F16,
                                           [QD_TYPE_F16] = PLAN_F16,
                                           [QD_TYPE_F32] = PLAN_F32,
                                           [QD_TYPE_Q8_0] = PLAN_Q8_0,
                                           [QD_TYPE_Q4_0] = PLAN_Q4_0};
    return elems[type];
}

static bool check_params(qd_context *context, const struct qd_model_params *params)
{
    if (params->n_devices > QD_MAX_DEVICES || params->n_tensor_split > QD_MAX_DEVICES) {
        log_error(&context->log, "%u devices, %u shares: at most %d of each", params->n_devices,
                  params->n_tensor_split, QD_MAX_DEVICES);
        return false;
    }
    double sum = 0;
    for (uint32_t i = 0; i < params->n_tensor_split; i++) {
        if (!(params->tensor_split[i] >= 0 && params->tensor_split[i] <= 1e9)) {
            log_error(&context->log, "tensor split: share %u is %g: must be 0 or more", i,
                      params->tensor_split[i]);
            return false;
        }
        sum += params->tensor_split[i];
    }
    if (params->n_tensor_split != 0 && sum <= 0) {
        log_error(&context->log, "tensor split: all shares are 0");
        return false;
    }
    if ((unsigned)params->type_k > QD_TYPE_Q4_0 || (unsigned)params->type_v > QD_TYPE_Q4_0) {
        log_error(&context->log,
                  "KV cache type %u or %u is none of f16, f32, q8_0 and q4_0 (1 to 4)",
                  (unsigned)params->type_k, (unsigned)params->type_v);
        return false;
    }
    if ((unsigned)params->act > QD_ACT_Q8) {
        log_error(&context->log, "activations %u are none of auto, f16 and q8 (0 to 2)",
                  (unsigned)params->act);
        return false;
    }
    if ((unsigned)params->split > QD_SPLIT_NONE || (unsigned)params->depth > QD_DEPTH_DIRECTORY) {
        log_error(&context->log, "split mode %u or depth %u is unknown", (unsigned)params->split,
                  (unsigned)params->depth);
        return false;
    }
    if (context->inst == NULL && params->depth < QD_DEPTH_FACTS) {
        log_error(&context->log, "a context without devices can open models for their facts "
                                 "only");
        return false;
    }
    return true;
}

enum qd_status qd_model_load(qd_context *context, const struct qd_model_params *params,
                             qd_model **out)
{
    *out = NULL;
    if (!check_params(context, params)) {
        return QD_BAD_ARGUMENT;
    }
    qd_model *model = mem_alloc(1, sizeof *model);
    if (model == NULL) {
        log_error(&context->log, "out of memory for a model");
        return QD_OUT_OF_MEMORY;
    }
    struct run_params run = {
        .path = params->path,
        .dummy = params->dummy,
        .tokenizer = params->tokenizer,
        .depth = (enum run_depth)params->depth,
        .n_devices = params->n_devices,
        .split = params->split == QD_SPLIT_NONE ? PLAN_SPLIT_NONE : PLAN_SPLIT_LAYER,
        .n_ctx = params->n_ctx,
        .n_shares = params->n_tensor_split,
        .n_batch = params->n_batch,
        .n_seq = params->n_seq,
        .n_kv = params->n_kv,
        .k_type = cache_type(params->type_k),
        .v_type = cache_type(params->type_v),
        .act_q8 = params->act == QD_ACT_Q8,
        .act_exact = params->act == QD_ACT_F16,
        .caps_off = params->caps_off,
        .disable = params->disable,
        .no_cache = params->no_cache,
        .progress = params->progress,
        .progress_user = params->progress_user,
        .on_plan = params->on_plan,
        .plan_user = params->plan_user,
        .plan_nodes = params->plan_nodes,
    };
    memcpy(run.devices, params->devices, sizeof run.devices);
    memcpy(run.share, params->tensor_split, params->n_tensor_split * sizeof run.share[0]);
    enum run_status status = run_model_init(&model->run, context->inst, &run, &context->log);
    if (status != RUN_OK) {
        mem_free(model);
        return (enum qd_status)status;
    }
    model->context = context;
    str_init(&model->key);
    str_init(&model->type);
    str_init(&model->value);
    *out = model;
    return QD_OK;
}

void qd_model_destroy(qd_model **model)
{
    if (model == NULL || *model == NULL) {
        return;
    }
    run_model_finish(&(*model)->run);
    str_finish(&(*model)->key);
    str_finish(&(*model)->type);
    str_finish(&(*model)->value);
    mem_free(*model);
    *model = NULL;
}

static void fill_devices(const struct run_model *run, struct qd_model_info *out)
{
    out->n_devices = run->n_devices;
    for (uint32_t d = 0; d < run->n_devices; d++) {
        const struct run_device *device = &run->devices[d];
        out->device_weight_bytes[d] = device->weight_bytes;
        out->device_kv_bytes[d] = device->kv_bytes;
        out->device_work_bytes[d] = device->work_bytes;
        out->device_index[d] = device->index;
        out->first_layer[d] = device->first_layer;
        out->layers[d] = device->n_layers;
    }
}

void qd_model_get_info(const qd_model *model, struct qd_model_info *out)
{
    const struct run_model *run = &model->run;
    const struct arch_hparams *hp = &run->arch.hp;
    *out = (struct qd_model_info){
        .dummy = run->arch.dummy,
        .n_params = run->arch.n_params,
        .weight_bytes = run->arch.file_bytes,
        .file_bytes = run->file != NULL ? gguf_file_bytes(run->file) : 0,
        .n_files = run->file != NULL ? gguf_shard_count(run->file) : 0,
        .gguf_version = run->file != NULL ? gguf_version(run->file) : 0,
        .kv_bytes = run_model_kv_bytes(run),
        .n_layers = hp->n_layers,
        .n_embd = hp->n_embd,
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .n_ff = hp->n_ff,
        .n_vocab = hp->n_vocab,
        .n_ctx_train = hp->n_ctx_train,
        .window = hp->window,
        .n_local_layers = arch_local_layers(hp),
        .n_experts = hp->n_experts,
        .n_experts_used = hp->n_experts_used,
        .n_ff_expert = hp->n_ff_expert,
        .rope_base = hp->rope_base,
        .bos = run->vocab != NULL ? vocab_bos(run->vocab) : UINT32_MAX,
        .eos = run->vocab != NULL ? vocab_eos(run->vocab) : UINT32_MAX,
        .adds_bos = run->vocab != NULL && vocab_adds_bos(run->vocab),
        .load_ns = run->load_ns,
        .weights_ns = run->weights_ns,
        .weights_bytes = run->weights_bytes,
        .n_ctx = run->n_ctx,
        .n_batch = run->n_batch,
        .n_seq = run->n_seq,
        .n_kv = run->n_kv,
        .kv_block = run->kv_block,
        .n_out_max = run->max_out,
    };
    if (run->vocab != NULL && out->n_vocab == 0) {
        out->n_vocab = vocab_count(run->vocab);
    }
    snprintf(out->name, sizeof out->name, "%s", run->arch.name);
    snprintf(out->shape, sizeof out->shape, "%s", run->arch.shape);
    struct gguf_str arch;
    if (run->file == NULL) {
        snprintf(out->architecture, sizeof out->architecture, "llama");
    } else if (gguf_get_str(run->file, "general.architecture", &arch) == GGUF_OK) {
        snprintf(out->architecture, sizeof out->architecture, "%.*s",
                 (int)(arch.bytes < 31 ? arch.bytes : 31), arch.text);
    }
    fill_devices(run, out);
}

const char *qd_model_plan(qd_model *model, bool nodes)
{
    return run_model_describe(&model->run, nodes);
}

static void add_number(struct str *out, const struct gguf_kv *kv)
{
    int64_t i = 0;
    uint64_t u = 0;
    float f;
    double d;
    static const uint8_t width[GGUF_TYPES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    memcpy(&u, kv->data, width[kv->type]);
    switch (kv->type) {
    case GGUF_I8:
        i = (int8_t)u;
        break;
    case GGUF_I16:
        i = (int16_t)u;
        break;
    case GGUF_I32:
        i = (int32_t)u;
        break;
    case GGUF_I64:
        i = (int64_t)u;
        break;
    case GGUF_F32:
        memcpy(&f, kv->data, sizeof f);
        str_printf(out, "%g", (double)f);
        return;
    case GGUF_F64:
        memcpy(&d, kv->data, sizeof d);
        str_printf(out, "%g", d);
        return;
    case GGUF_BOOL:
        str_printf(out, "%s", u != 0 ? "true" : "false");
        return;
    default:
        str_printf(out, "%" PRIu64, u);
        return;
    }
    str_printf(out, "%" PRId64, i);
}

static void add_value(struct str *out, const struct gguf_kv *kv)
{
    enum { LONGEST = 200 };
    if (kv->type == GGUF_ARRAY) {
        str_printf(out, "%s[%" PRIu64 "]", gguf_type_name(kv->elem), kv->count);
        return;
    }
    if (kv->type != GGUF_STRING) {
        add_number(out, kv);
        return;
    }
    uint64_t bytes;
    memcpy(&bytes, kv->data, sizeof bytes);
    size_t shown = bytes < LONGEST ? (size_t)bytes : LONGEST;
    str_add(out, (const char *)kv->data + sizeof bytes, shown);
    if (shown < bytes) {
        str_printf(out, "... (%" PRIu64 " bytes)", bytes);
    }
}

bool qd_model_get_meta(qd_model *model, uint64_t index, const char **key, const char **type,
                       const char **value)
{
    const struct gguf_file *file = model->run.file;
    if (file == NULL || index >= gguf_kv_count(file)) {
        return false;
    }
    const struct gguf_kv *kv = gguf_kv_at(file, index);
    str_clear(&model->key);
    str_clear(&model->value);
    str_add(&model->key, kv->key.text, (size_t)kv->key.bytes);
    add_value(&model->value, kv);
    *key = str_get(&model->key);
    *type = gguf_type_name(kv->type);
    *value = str_get(&model->value);
    return !model->key.failed && !model->value.failed;
}

bool qd_model_get_tensor(qd_model *model, uint64_t index, struct qd_tensor_info *out)
{
    const struct gguf_file *file = model->run.file;
    if (file == NULL || index >= gguf_tensor_count(file)) {
        return false;
    }
    const struct gguf_tensor *tensor = gguf_tensor_at(file, index);
    str_clear(&model->key);
    str_add(&model->key, tensor->name.text, (size_t)tensor->name.bytes);
    *out = (struct qd_tensor_info){
        .name = str_get(&model->key),
        .type = quant_type_name(tensor->type),
        .n_dims = tensor->n_dims,
        .rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3],
        .cols = tensor->dims[0],
        .bytes = tensor->bytes,
        .file = tensor->shard,
    };
    memcpy(out->dims, tensor->dims, sizeof out->dims);
    return !model->key.failed;
}

enum qd_status qd_tokenize(qd_model *model, const char *text, size_t bytes, bool add_special,
                           bool parse_special, uint32_t *ids, size_t cap, size_t *count)
{
    struct log *log = &model->context->log;
    *count = 0;
    if (model->run.vocab == NULL) {
        log_error(log, "a dummy model has no tokenizer");
        return QD_BAD_ARGUMENT;
    }
    struct text_tokens tokens = {0};
    uint32_t flags =
        (add_special ? TEXT_ADD_SPECIAL : 0u) | (parse_special ? TEXT_PARSE_SPECIAL : 0u);
    if (!vocab_encode(model->run.vocab, text, bytes, flags, &tokens, log)) {
        text_tokens_finish(&tokens);
        return QD_OUT_OF_MEMORY;
    }
    size_t n = tokens.count < cap ? tokens.count : cap;
    if (n != 0) {
        memcpy(ids, tokens.ids, n * sizeof *ids);
    }
    *count = tokens.count;
    text_tokens_finish(&tokens);
    return QD_OK;
}

enum qd_status qd_detokenize(qd_model *model, const uint32_t *ids, size_t count, char *out,
                             size_t cap, size_t *bytes)
{
    struct log *log = &model->context->log;
    *bytes = 0;
    if (model->run.vocab == NULL) {
        log_error(log, "a dummy model has no tokenizer");
        return QD_BAD_ARGUMENT;
    }
    struct text_stream *stream = text_stream_create(model->run.vocab, true);
    bool ok = stream != NULL;
    for (size_t i = 0; i <= count && ok; i++) {
        size_t n = 0;
        if (i < count && ids[i] >= vocab_count(model->run.vocab)) {
            log_error(log, "token %zu: id %u: the vocabulary has %u", i, ids[i],
                      vocab_count(model->run.vocab));
            text_stream_destroy(stream);
            return QD_BAD_ARGUMENT;
        }
        const char *text =
            i < count ? text_stream_add(stream, ids[i], &n) : text_stream_end(stream, &n);
        ok = text != NULL;
        if (ok && *bytes < cap) {
            memcpy(out + *bytes, text, n < cap - *bytes ? n : cap - *bytes);
        }
        *bytes += n;
    }
    if (ok && *bytes < cap) {
        out[*bytes] = '\0';
    }
    text_stream_destroy(stream);
    return ok ? QD_OK : QD_OUT_OF_MEMORY;
}

bool qd_is_end_token(const qd_model *model, uint32_t id)
{
    return model->run.vocab != NULL && vocab_is_end(model->run.vocab, id);
}
