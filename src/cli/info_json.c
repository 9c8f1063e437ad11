/* quadriga info for programs: one object. What is not known is null. */
#include "cli/info.h"
#include "cli/json.h"

#include <string.h>

static json_t *get_shape(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    if (info->depth > QD_DEPTH_FACTS) {
        return json_null();
    }
    json_t *out = json_object();
    cli_json_add(out, "layers", json_integer(facts->n_layers));
    cli_json_add(out, "embedding", json_integer(facts->n_embd));
    cli_json_add(out, "heads", json_integer(facts->n_heads));
    cli_json_add(out, "kv_heads", json_integer(facts->n_kv_heads));
    cli_json_add(out, "head_dim", json_integer(facts->head_dim));
    cli_json_add(out, "feed_forward", json_integer(facts->n_ff));
    cli_json_add(out, "experts", json_integer(facts->n_experts));
    cli_json_add(out, "experts_used", json_integer(facts->n_experts_used));
    cli_json_add(out, "feed_forward_expert", json_integer(facts->n_ff_expert));
    cli_json_add(out, "window", json_integer(facts->window));
    cli_json_add(out, "local_layers", json_integer(facts->n_local_layers));
    cli_json_add(out, "rope_base", json_real((double)facts->rope_base));
    cli_json_add(out, "context", json_integer(facts->n_ctx_train));
    return out;
}

static json_t *get_formats(const struct cli_info *info)
{
    json_t *out = json_array();
    for (size_t i = 0; i < info->formats.count; i++) {
        const struct cli_format *f = &info->formats.list[i];
        json_t *format = json_object();
        cli_json_add(format, "name", cli_json_text(f->name));
        cli_json_add(format, "tensors", cli_json_uint(f->tensors));
        cli_json_add(format, "elements", cli_json_uint(f->elements));
        cli_json_add(format, "bytes", cli_json_uint(f->bytes));
        cli_json_add(format, "share",
                     json_real(info->formats.bytes != 0
                                   ? (double)f->bytes / (double)info->formats.bytes
                                   : 0));
        json_array_append_new(out, format);
    }
    return out;
}

static json_t *get_id(uint32_t id)
{
    return id != UINT32_MAX ? json_integer(id) : json_null();
}

static json_t *get_tokenizer(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    char text[64];
    cli_info_meta(info, "tokenizer.ggml.model", text, sizeof text);
    if (text[0] == '\0') {
        return json_null();
    }
    json_t *out = json_object();
    cli_json_add(out, "model", json_string(text));
    cli_info_meta(info, "tokenizer.ggml.pre", text, sizeof text);
    cli_json_add(out, "pre", text[0] != '\0' ? json_string(text) : json_null());
    bool known = info->depth < QD_DEPTH_DIRECTORY;
    cli_json_add(out, "supported", json_boolean(known));
    cli_json_add(out, "tokens", known ? json_integer(facts->n_vocab) : json_null());
    cli_json_add(out, "bos", known ? get_id(facts->bos) : json_null());
    cli_json_add(out, "eos", known ? get_id(facts->eos) : json_null());
    cli_json_add(out, "adds_bos", known ? json_boolean(facts->adds_bos) : json_null());
    return out;
}

static json_t *get_devices(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    json_t *out = json_array();
    for (uint32_t d = 0; info->runs && d < facts->n_devices; d++) {
        struct qd_device_info device;
        if (qd_device_get(info->context, facts->device_index[d], &device) != QD_OK) {
            continue;
        }
        json_t *row = json_object();
        cli_json_add(row, "device", json_integer(facts->device_index[d]));
        cli_json_add(row, "name", cli_json_text(device.name));
        cli_json_add(row, "first_layer", json_integer(facts->first_layer[d]));
        cli_json_add(row, "layers", json_integer(facts->layers[d]));
        cli_json_add(row, "weight_bytes", cli_json_uint(facts->device_weight_bytes[d]));
        cli_json_add(row, "kv_bytes", cli_json_uint(facts->device_kv_bytes[d]));
        cli_json_add(row, "work_bytes", cli_json_uint(facts->device_work_bytes[d]));
        cli_json_add(row, "free_bytes", cli_json_uint(device.free_bytes));
        json_array_append_new(out, row);
    }
    return out;
}

static json_t *get_memory(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    if (info->depth > QD_DEPTH_FACTS) {
        return json_null();
    }
    json_t *out = json_object();
    cli_json_add(out, "context", json_integer(facts->n_ctx));
    cli_json_add(out, "type_k", json_string(cli_type_name(info->options->type_k)));
    cli_json_add(out, "type_v", json_string(cli_type_name(info->options->type_v)));
    cli_json_add(out, "weight_bytes", cli_json_uint(facts->weight_bytes));
    cli_json_add(out, "kv_bytes", cli_json_uint(facts->kv_bytes));
    cli_json_add(out, "devices", get_devices(info));
    return out;
}

static json_t *get_metadata(const struct cli_info *info)
{
    const char *key, *type, *value;
    json_t *out = json_array();
    for (uint64_t i = 0; qd_model_get_meta(info->model, i, &key, &type, &value); i++) {
        json_t *row = json_object();
        cli_json_add(row, "key", cli_json_text(key));
        cli_json_add(row, "type", json_string(type));
        cli_json_add(row, "value", cli_json_text(value));
        json_array_append_new(out, row);
    }
    return out;
}

static json_t *get_tensors(const struct cli_info *info)
{
    struct qd_tensor_info tensor;
    json_t *out = json_array();
    for (uint64_t i = 0; qd_model_get_tensor(info->model, i, &tensor); i++) {
        json_t *row = json_object(), *dims = json_array();
        for (uint32_t d = 0; d < tensor.n_dims; d++) {
            json_array_append_new(dims, cli_json_uint(tensor.dims[d]));
        }
        cli_json_add(row, "name", cli_json_text(tensor.name));
        cli_json_add(row, "type", json_string(tensor.type));
        cli_json_add(row, "dims", dims);
        cli_json_add(row, "bytes", cli_json_uint(tensor.bytes));
        cli_json_add(row, "file", json_integer(tensor.file));
        json_array_append_new(out, row);
    }
    return out;
}

int cli_info_print_json(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    char name[256];
    json_t *out = json_object();
    cli_info_meta(info, "general.name", name, sizeof name);
    cli_json_add(out, "path", cli_json_text(info->options->model));
    cli_json_add(out, "name", name[0] != '\0' ? json_string(name) : json_null());
    cli_json_add(out, "architecture", cli_json_text(facts->architecture));
    cli_json_add(out, "gguf_version", json_integer(facts->gguf_version));
    cli_json_add(out, "files", json_integer(facts->n_files));
    cli_json_add(out, "file_bytes", cli_json_uint(facts->file_bytes));
    cli_json_add(out, "parameters", cli_json_uint(info->formats.elements));
    cli_json_add(out, "hyper_parameters", get_shape(info));
    cli_json_add(out, "formats", get_formats(info));
    cli_json_add(out, "tokenizer", get_tokenizer(info));
    cli_json_add(out, "chat", info->chat[0] != '\0' ? cli_json_text(info->chat) : json_null());
    cli_json_add(out, "memory", get_memory(info));
    cli_json_add(out, "supported", json_boolean(info->depth <= QD_DEPTH_FACTS));
    cli_json_add(out, "runs_here", json_boolean(info->runs));
    cli_json_add(out, "why_not", info->runs ? json_null() : cli_json_text(info->why_not));
    cli_json_add(out, "metadata", get_metadata(info));
    cli_json_add(out, "tensors", get_tensors(info));
    int code = cli_json_print(out);
    json_decref(out);
    return code;
}
