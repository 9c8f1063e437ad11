/* quadriga info for people. */
#include "cli/info.h"
#include "cli/term.h"

#include <inttypes.h>

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_file(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    char name[256];
    cli_info_meta(info, "general.name", name, sizeof name);
    if (name[0] != '\0') {
        printf("name          %s\n", name);
    }
    printf("architecture  ");
    cli_put_safe(stdout, facts->architecture);
    if (info->depth <= QD_DEPTH_FACTS) {
        printf(" (%s)", facts->shape);
    }
    printf("\nfile          %.2f MiB, GGUF version %u", mib(facts->file_bytes),
           facts->gguf_version);
    if (facts->n_files > 1) {
        printf(", in %u files", facts->n_files);
    }
    printf("\nparameters    %.2f M in %" PRIu64 " tensors\n", (double)info->formats.elements / 1e6,
           info->formats.tensors);
}

static void print_shape(const struct qd_model_info *facts)
{
    printf("layers        %u\nembedding     %u\nheads         %u, KV heads %u, head size %u\n"
           "feed-forward  %u\nrope base     %g\ncontext       %u tokens in training\n",
           facts->n_layers, facts->n_embd, facts->n_heads, facts->n_kv_heads, facts->head_dim,
           facts->n_ff, (double)facts->rope_base, facts->n_ctx_train);
    if (facts->n_experts != 0) {
        printf("experts       %u, %u for a token, feed-forward %u\n", facts->n_experts,
               facts->n_experts_used, facts->n_ff_expert);
    }
    if (facts->window != 0) {
        printf("window        %u tokens in %u layers\n", facts->window, facts->n_local_layers);
    }
}

static void print_formats(const struct cli_info *info)
{
    for (size_t i = 0; i < info->formats.count; i++) {
        const struct cli_format *f = &info->formats.list[i];
        printf("%s%-8s %5.1f %% of the bytes, %.2f bits a weight, %" PRIu64 " tensors\n",
               i == 0 ? "formats       " : "              ", f->name,
               info->formats.bytes != 0 ? 100.0 * (double)f->bytes / (double)info->formats.bytes
                                        : 0,
               f->elements != 0 ? 8.0 * (double)f->bytes / (double)f->elements : 0, f->tensors);
    }
}

static void print_tokenizer(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    char model[64], pre[64];
    cli_info_meta(info, "tokenizer.ggml.model", model, sizeof model);
    cli_info_meta(info, "tokenizer.ggml.pre", pre, sizeof pre);
    if (model[0] != '\0') {
        printf("tokenizer     %s%s%s\n", model, pre[0] != '\0' ? ", pre-tokenizer " : "", pre);
    }
    if (info->depth == QD_DEPTH_DIRECTORY) {
        return;
    }
    printf("vocabulary    %u tokens", facts->n_vocab);
    if (facts->bos != UINT32_MAX) {
        printf(", begin %u%s", facts->bos, facts->adds_bos ? " (added)" : "");
    }
    if (facts->eos != UINT32_MAX) {
        printf(", end %u", facts->eos);
    }
    printf("\nchat          %s", info->chat[0] != '\0'       ? info->chat
                                 : info->chat_why[0] != '\0' ? "not known: "
                                                             : "no template");
    cli_put_safe(stdout, info->chat_why);
    printf("\n");
}

static void print_memory(const struct cli_info *info)
{
    const struct qd_model_info *facts = &info->facts;
    const struct cli_options *options = info->options;
    if (info->depth > QD_DEPTH_FACTS) {
        return;
    }
    printf("memory        weights %.2f MiB in the file, KV cache %.2f MiB at -c %u (K %s, V %s)\n",
           mib(facts->weight_bytes), mib(facts->kv_bytes), facts->n_ctx,
           cli_type_name(options->type_k), cli_type_name(options->type_v));
    for (uint32_t d = 0; info->runs && d < facts->n_devices; d++) {
        struct qd_device_info device;
        if (qd_device_get(info->context, facts->device_index[d], &device) != QD_OK) {
            continue;
        }
        uint64_t weights = facts->device_weight_bytes[d], kv = facts->device_kv_bytes[d],
                 work = facts->device_work_bytes[d];
        printf("  [%u] device %u ", d, facts->device_index[d]);
        cli_put_safe(stdout, device.name);
        printf(": %u layers, weights %.2f + KV %.2f + working %.2f = %.2f MiB of %.0f free\n",
               facts->layers[d], mib(weights), mib(kv), mib(work), mib(weights + kv + work),
               mib(device.free_bytes));
    }
}

static void print_lists(const struct cli_info *info)
{
    const char *key, *type, *value;
    struct qd_tensor_info tensor;
    printf("\nmetadata\n");
    for (uint64_t i = 0; qd_model_get_meta(info->model, i, &key, &type, &value); i++) {
        printf("  ");
        cli_put_safe(stdout, key);
        printf(" %s ", type);
        cli_put_safe(stdout, value);
        printf("\n");
    }
    printf("\ntensors\n");
    for (uint64_t i = 0; qd_model_get_tensor(info->model, i, &tensor); i++) {
        printf("  %-7s %8" PRIu64 " x %-8" PRIu64 " ", tensor.type, tensor.rows, tensor.cols);
        cli_put_safe(stdout, tensor.name);
        printf("\n");
    }
}

void cli_info_print(const struct cli_info *info)
{
    print_file(info);
    if (info->depth <= QD_DEPTH_FACTS) {
        print_shape(&info->facts);
    }
    print_formats(info);
    print_tokenizer(info);
    print_memory(info);
    printf("runs here     %s", info->runs ? "yes" : "no: ");
    cli_put_safe(stdout, info->runs ? "" : info->why_not);
    printf("\n");
    print_lists(info);
}
