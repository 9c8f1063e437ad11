/* The plan as text for people: devices, layers, bytes, borders; with nodes, every node of decode.
 */
#include "run/run.h"

#include <stdio.h>

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void add_layers(const struct run_model *model, uint32_t d, struct str *out)
{
    const struct run_device *device = &model->devices[d];
    uint32_t head = model->arch.hp.n_layers + 1;
    char layers[32] = "no layers";
    if (device->n_layers == 1) {
        snprintf(layers, sizeof layers, "layer %u", device->first_layer);
    } else if (device->n_layers > 1) {
        snprintf(layers, sizeof layers, "layers %u-%u", device->first_layer,
                 device->first_layer + device->n_layers - 1);
    }
    char all[64];
    snprintf(all, sizeof all, "%s%s%s", model->map.device[0] == d ? "embedding, " : "", layers,
             model->map.device[head] == d ? ", head" : "");
    str_printf(out, "  %-32s", all);
}

static void add_device(const struct run_model *model, uint32_t d, struct str *out)
{
    const struct run_device *device = &model->devices[d];
    str_printf(out, "  [%u] device %u", d, device->index);
    add_layers(model, d, out);
    str_printf(out, " weights %9.2f  KV %8.2f  working %8.2f  sum %9.2f of %.0f MiB  %s\n",
               mib(device->weight_bytes), mib(device->kv_bytes), mib(device->work_bytes),
               mib(device->weight_bytes + device->kv_bytes + device->work_bytes),
               mib(dev_get_budget(device->dev)), dev_get_info(device->dev)->name);
    run_prefs_describe(model, d, out);
}

static void add_nodes(const struct run_model *model, struct str *out)
{
    struct plan plan;
    const struct run_shape shape = {.n_tokens = 1, .n_out = 1, .ids = model->n_devices == 1};
    if (run_plan_init(model, &plan, &model->map, &shape)) {
        str_printf(out, "decode plan:\n");
        plan_dump(&plan, out);
        plan_finish(&plan);
    }
}

const char *run_model_describe(struct run_model *model, bool nodes)
{
    struct str *out = &model->text;
    const struct arch_hparams *hp = &model->arch.hp;
    str_clear(out);
    if (model->n_devices == 0) {
        return str_get(out);
    }
    char experts[64] = "";
    if (hp->n_experts != 0) {
        snprintf(experts, sizeof experts, ", %u of %u experts", hp->n_experts_used, hp->n_experts);
    }
    str_printf(
        out,
        "plan: %s%s, %.1f M parameters%s, %u layers, context %u, KV cache K %s V %s, prefill "
        "chunks of %u\n",
        model->arch.shape, model->arch.dummy ? " DUMMY" : "", (double)model->arch.n_params / 1e6,
        experts, hp->n_layers, model->n_ctx, plan_elem_name(model->k_type),
        plan_elem_name(model->v_type), model->n_batch);
    if (model->n_seq > 1) {
        str_printf(out, "  up to %u sequences in a KV cache of %u tokens\n", model->n_seq,
                   model->n_kv);
    }
    if (hp->window != 0) {
        str_printf(out, "  window of %u in %u layers, whose caches hold %u entries\n", hp->window,
                   arch_local_layers(hp), model->n_slots_local);
    }
    for (uint32_t d = 0; d < model->n_devices; d++) {
        add_device(model, d, out);
    }
    for (uint32_t d = 0; d + 1 < model->n_devices && model->map.device[hp->n_layers + 1] > d; d++) {
        str_printf(out, "  border [%u]->[%u]: %u floats a token, out %s, in %s\n", d, d + 1,
                   hp->n_embd,
                   dev_exchange_imported(model->exchange, d) ? "to imported host memory"
                                                             : "by staging and memcpy",
                   dev_exchange_imported(model->exchange, d + 1) ? "from imported host memory"
                                                                 : "by memcpy and staging");
    }
    if (nodes) {
        add_nodes(model, out);
    }
    return out->failed ? NULL : str_get(out);
}
