/* How many tokens of a prompt make a chunk: what there is room for, decided when the model is
 * placed, and what may run at once, by how fast the devices have shown to be. */
#include "run/run.h"

#include "shaders/common/step.h"

enum {
    MAX_BATCH = 4096,
    GPU_BATCH = 2048, /* full tiles on every unit of a large device, also in narrow matrices */
    GPU_LEAST = 512,  /* less is not tried: then the model does not fit */
    CPU_BATCH = 64,   /* enough for full tiles, small enough to overlap devices */
    OVERLAP = 4,      /* chunks of a prompt for each of several devices, of at least ... */
    OVERLAP_LEAST = 512,
};

/* How much slower attention is taken to be than a matmul of as many operations. */
#define ATTENTION_COST 4.0

/* Operations of a token in the largest matrix of layers, or of the head. */
static double largest_flop(const struct run_model *model, bool head)
{
    double largest = 1;
    for (size_t w = 0; w < model->arch.n_weights; w++) {
        const struct arch_weight *weight = &model->arch.weights[w];
        bool is_head = weight->layer == (int32_t)model->arch.hp.n_layers ||
                       (weight->layer == PLAN_LAYER_INPUT && model->arch.hp.tied_embedding);
        bool is_layer = weight->layer != PLAN_LAYER_INPUT && !is_head;
        double flop = 2.0 * (double)weight->rows * (double)weight->cols;
        if ((head ? is_head : is_layer) && weight->rows > 1 && flop > largest) {
            largest = flop;
        }
    }
    return largest;
}

/* Tokens for which `flop` each stay below RUN_SUBMIT_NS on the slowest device, by the rates assumed
 * before anything was measured: the same for any number of devices of one kind. */
static uint32_t tokens_in_time(const struct run_model *model, double flop)
{
    double slowest = 0;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        double ns = model->devices[d].pace.ns_per_flop;
        slowest = ns > slowest ? ns : slowest;
    }
    double tokens = RUN_SUBMIT_NS / (flop * slowest);
    return tokens < 1 ? 1 : tokens < MAX_BATCH ? (uint32_t)tokens : MAX_BATCH;
}

uint32_t run_batch_head(const struct run_model *model)
{
    return tokens_in_time(model, largest_flop(model, true));
}

static bool any_cpu(const struct run_model *model)
{
    bool any = false;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        any = any || model->devices[d].pace.cpu;
    }
    return any;
}

/* On CPUs chunks are as long as buffers; on GPUs run_batch_now makes them shorter where they would
 * take too long. Caches of local layers hold what is in flight beside their window: chunks are not
 * longer than that. */
uint32_t run_batch_choose(struct run_model *model, uint32_t asked, uint32_t i, bool *last)
{
    bool cpu = any_cpu(model);
    uint32_t window = model->arch.hp.window, batch = asked;
    model->batch_asked = asked != 0;
    model->chunk_flop = largest_flop(model, false);
    if (asked == 0) {
        batch = cpu ? CPU_BATCH : GPU_BATCH >> i;
        uint32_t most = window > GPU_LEAST ? window : GPU_LEAST;
        batch = arch_local_layers(&model->arch.hp) != 0 && batch > most ? most : batch;
    }
    if (cpu) {
        uint32_t most = tokens_in_time(model, model->chunk_flop);
        if (batch > most) {
            log_info(model->log, "prefill chunks of %u tokens would take too long: %u", batch,
                     most);
            batch = most;
        }
    }
    uint64_t slots = size_round(model->n_kv, STEP_BLOCK);
    batch = batch < slots ? batch : (uint32_t)slots;
    *last = asked != 0 || cpu || batch <= GPU_LEAST || GPU_BATCH >> i <= GPU_LEAST;
    return batch;
}

bool run_batch_fits(const struct run_model *model, const struct plan *plan)
{
    uint64_t binding = UINT64_MAX, buffer = UINT64_MAX;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        const struct dev_caps *caps = dev_get_caps(model->devices[d].dev);
        binding = caps->max_binding_bytes < binding ? caps->max_binding_bytes : binding;
        buffer = caps->max_buffer_bytes < buffer ? caps->max_buffer_bytes : buffer;
    }
    bool ok = true;
    for (uint32_t d = 0; d < PLAN_MAX_DEVICES; d++) {
        ok = ok && plan->scratch[d] <= buffer;
    }
    for (size_t i = 0; i < plan->n_tensors && ok; i++) {
        ok = plan->tensors[i].role != PLAN_ACT || plan->tensors[i].bytes <= binding;
    }
    return ok;
}

/* The longest node of a layer: its largest matrix, or attention over all entries. */
static double longest_flop(const struct run_model *model, uint32_t end)
{
    const struct arch_hparams *hp = &model->arch.hp;
    double attention = ATTENTION_COST * 4.0 * hp->n_heads * hp->head_dim * end;
    return attention > model->chunk_flop ? attention : model->chunk_flop;
}

uint32_t run_batch_now(const struct run_model *model, uint32_t n, uint32_t end)
{
    uint32_t most = model->n_batch;
    double flop = longest_flop(model, end);
    if (any_cpu(model)) {
        return most;
    }
    for (uint32_t d = 0; d < model->n_devices; d++) {
        uint32_t tokens = pace_tokens(&model->devices[d].pace, flop);
        most = tokens < most ? tokens : most;
    }
    if (model->n_devices > 1 && !model->batch_asked) {
        uint32_t share = n / (OVERLAP * model->n_devices);
        share = share > OVERLAP_LEAST ? share : OVERLAP_LEAST;
        most = share < most ? share : most;
    }
    return pace_full_tiles(most);
}
