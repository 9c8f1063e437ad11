/* A model from file or dummy shape to weights on devices: reads and checks, opens devices, sizes
 * the context, places layers, loads. The passes are plans.c's, the bytes weights.c's. */
#include "run/run.h"

#include "base/os.h"
#include "ops/matmul_split.h"
#include "ops/ops.h"
#include "ops/variant.h"
#include "shaders/common/step.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_CTX = 4096, /* at most, where the model allows more */
    MAX_BATCH = 4096,
    MAX_SEQ = 1024,
    MAX_SHAPES = 16, /* of steps that scratch is measured by */
};

static uint32_t count_sharers(struct dev_instance *inst, const uint32_t *index, uint32_t n,
                              uint32_t i)
{
    const struct dev_info *mine = dev_instance_info(inst, index[i]);
    uint32_t sharers = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct dev_info *other = dev_instance_info(inst, index[k]);
        bool cpus = mine->type == DEV_CPU && other->type == DEV_CPU;
        sharers += cpus || memcmp(mine->uuid, other->uuid, sizeof mine->uuid) == 0;
    }
    return sharers;
}

/* The devices asked for, or the default ones, without those that have no share of the layers. */
static enum run_status choose_devices(const struct run_model *model,
                                      const struct run_params *params, uint32_t index[DEV_MAX_OPEN],
                                      double share[DEV_MAX_OPEN], uint32_t *count)
{
    uint32_t n = params->n_devices, kept = 0;
    if (n == 0) {
        n = dev_instance_default(model->inst, index, DEV_MAX_OPEN);
    } else {
        memcpy(index, params->devices, n * sizeof *index);
    }
    if (n == 0) {
        log_error(model->log, "no usable Vulkan device");
        return RUN_NO_DEVICE;
    }
    if (params->n_shares > n) {
        log_error(model->log, "tensor split: %u shares for %u devices", params->n_shares, n);
        return RUN_BAD_ARGUMENT;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (params->n_shares == 0 || params->share[i] > 0) {
            index[kept] = index[i];
            share[kept++] = params->share[i];
        }
    }
    *count = params->split == PLAN_SPLIT_NONE ? 1 : kept;
    return RUN_OK;
}

static enum run_status open_devices(struct run_model *model, const struct run_params *params)
{
    uint32_t index[DEV_MAX_OPEN], n;
    double share[DEV_MAX_OPEN];
    enum run_status status = choose_devices(model, params, index, share, &n);
    if (status != RUN_OK) {
        return status;
    }
    uint32_t caps_off;
    status = run_prefs_caps(model, params, &caps_off);
    if (status != RUN_OK) {
        return status;
    }
    char cache[512];
    bool cached = !params->no_cache && os_cache_dir(cache, sizeof cache);
    uint64_t shader_hash = cached ? ops_shader_hash() : 0;
    model->n_compile = os_thread_share(n);
    for (uint32_t i = 0; i < n; i++) {
        if (index[i] >= dev_instance_count(model->inst)) {
            log_error(model->log, "device %u: there are %u devices", index[i],
                      dev_instance_count(model->inst));
            return RUN_NO_DEVICE;
        }
        const struct dev_info *info = dev_instance_info(model->inst, index[i]);
        if (!info->usable) {
            log_error(model->log, "device %u: %s: not usable: %s", index[i], info->name,
                      info->why_not);
            return RUN_NO_DEVICE;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        struct run_device *device = &model->devices[i];
        device->dev =
            dev_open(model->inst,
                     &(struct dev_open_params){.index = index[i],
                                               .caps_off = caps_off,
                                               .sharers = count_sharers(model->inst, index, n, i),
                                               .cache_dir = cached ? cache : NULL,
                                               .shader_hash = shader_hash});
        if (device->dev == NULL) {
            return RUN_NO_DEVICE;
        }
        model->n_devices = i + 1;
        device->index = index[i];
        device->share = share[i];
        if (!run_prefs_init(model, params, i, cached ? cache : NULL)) {
            return RUN_OUT_OF_MEMORY;
        }
        device->lanes = ops_weight_lanes(dev_get_caps(device->dev), &device->prefs);
        pace_init(&device->pace, dev_get_info(device->dev)->type == DEV_CPU);
    }
    return RUN_OK;
}

/* Caches of global layers hold everything, those of local layers what their windows reach from a
 * step's tokens, and as much again, so that a sequence can go back by a step. (Devices run steps in
 * order: those in flight need no room of their own.) */
static void size_caches(struct run_model *model)
{
    const struct arch_hparams *hp = &model->arch.hp;
    uint32_t slots = (uint32_t)size_round(model->n_kv, STEP_BLOCK);
    uint32_t n_local = arch_local_layers(hp);
    model->n_flight = model->n_devices > 1 ? model->n_devices + 2 : 2;
    model->n_slots = n_local < hp->n_layers ? slots : 0;
    if (n_local != 0) {
        uint64_t local =
            kv_local_blocks(hp->window, model->n_seq, 2 * (uint64_t)model->n_batch) * STEP_BLOCK;
        model->n_slots_local = local < slots ? (uint32_t)local : slots;
    }
}

uint64_t run_model_kv_bytes(const struct run_model *model)
{
    uint64_t bytes = 0;
    for (uint32_t l = 0; l < model->arch.hp.n_layers; l++) {
        bytes += run_kv_bytes(model, l);
    }
    return bytes;
}

/* Blocks of a quantized cache lie within one head. */
static bool heads_fit(const struct run_model *model, const char *option, enum plan_elem type)
{
    uint32_t head = model->arch.hp.head_dim, block = plan_elem_block(type);
    if (head % block != 0) {
        log_error(model->log, "%s %s needs a head size that is a multiple of %u, the model has %u",
                  option, plan_elem_name(type), block, head);
    }
    return head % block == 0;
}

/* What needs no device: how long, how many, of what type. */
static enum run_status size_context(struct run_model *model, const struct run_params *params)
{
    uint32_t train = model->arch.hp.n_ctx_train;
    model->n_ctx = params->n_ctx != 0 ? params->n_ctx : train < DEFAULT_CTX ? train : DEFAULT_CTX;
    model->n_seq = params->n_seq != 0 ? params->n_seq : 1;
    model->kv_block = STEP_BLOCK;
    model->n_kv = params->n_kv != 0 ? params->n_kv : model->n_ctx;
    if (model->n_ctx > 1u << 24 || model->n_seq > MAX_SEQ || params->n_batch > MAX_BATCH) {
        log_error(model->log,
                  "context %u (at most %u), sequences %u (at most %u) or batch %u (at most %u) is "
                  "too large",
                  model->n_ctx, 1u << 24, model->n_seq, MAX_SEQ, params->n_batch, MAX_BATCH);
        return RUN_BAD_ARGUMENT;
    }
    if (model->n_kv > 1u << 24) {
        log_error(model->log, "KV cache of %u tokens: at most %u", model->n_kv, 1u << 24);
        return RUN_BAD_ARGUMENT;
    }
    uint64_t most = model->n_seq * size_round(model->n_ctx, STEP_BLOCK);
    model->n_kv = model->n_kv < most ? model->n_kv : (uint32_t)most;
    if (model->n_ctx > train) {
        log_warn(model->log, "context %u is longer than the %u the model was trained for",
                 model->n_ctx, train);
    }
    model->k_type = params->k_type;
    model->v_type = params->v_type;
    return RUN_OK;
}

/* What the devices decide, for this many tokens of a chunk. */
static enum run_status size_steps(struct run_model *model, uint32_t n_batch)
{
    if (!heads_fit(model, "-ctk", model->k_type) || !heads_fit(model, "-ctv", model->v_type)) {
        return RUN_BAD_ARGUMENT;
    }
    model->n_batch = n_batch;
    size_caches(model);
    model->may_split_attn = false;
    uint64_t room = UINT64_MAX;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        const struct dev_caps *caps = dev_get_caps(model->devices[d].dev);
        model->may_split_attn = model->may_split_attn || (caps->has & DEV_CAP_CPU) == 0;
        room = caps->max_binding_bytes < room ? caps->max_binding_bytes : room;
    }
    uint64_t rows = room / (model->arch.hp.n_vocab * sizeof(float));
    if (rows == 0) {
        log_error(model->log, "a row of %u logits exceeds the largest binding, %" PRIu64 " bytes",
                  model->arch.hp.n_vocab, room);
        return RUN_ERROR;
    }
    uint64_t most = run_batch_head(model);
    rows = rows < most ? rows : most;
    model->max_out = rows < model->n_batch ? (uint32_t)rows : model->n_batch;
    return RUN_OK;
}

static bool may_split(const struct run_model *model)
{
    bool may = false;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        may = may || ops_may_split(&(struct ops_target){dev_get_caps(model->devices[d].dev),
                                                        &model->devices[d].prefs});
    }
    return may;
}

/* Bytes of activations when the whole plan runs on one device: what placement sets aside. Steps of
 * fewer tokens need less, but for those whose products are split (ops/matmul_split.h) or whose
 * attention is (op_attention_splits). */
static bool scratch_bytes(const struct run_model *model, const struct plan_map *map,
                          uint64_t *bytes, bool *fits)
{
    *fits = true;
    memset(bytes, 0, sizeof *bytes * PLAN_MAX_DEVICES);
    struct run_shape shape[MAX_SHAPES] = {{.n_tokens = 1, .n_out = 1},
                                          {.n_tokens = model->n_batch, .n_out = 1},
                                          {.n_tokens = model->n_batch, .n_out = model->max_out}};
    uint32_t n = 3, tokens = may_split(model) ? OPS_SPLIT_LEAST : model->n_batch;
    for (; tokens < model->n_batch && tokens <= OPS_SPLIT_MOST; tokens *= 2) {
        shape[n++] = (struct run_shape){.n_tokens = tokens, .n_out = 1};
    }
    uint32_t most = run_most_split(model);
    most = most < model->n_batch ? most : model->n_batch;
    for (uint32_t few = 2; few <= most; few = few < most && few * 2 > most ? most : few * 2) {
        shape[n++] = (struct run_shape){.n_tokens = few,
                                        .n_out = few < model->max_out ? few : model->max_out,
                                        .streams = few > OP_FEW_TOKENS};
    }
    for (uint32_t i = 0; i < n; i++) {
        struct plan plan;
        if (!run_plan_init(model, &plan, map, &shape[i])) {
            return false;
        }
        for (uint32_t d = 0; d < PLAN_MAX_DEVICES; d++) {
            bytes[d] = plan.scratch[d] > bytes[d] ? plan.scratch[d] : bytes[d];
        }
        *fits = *fits && run_batch_fits(model, &plan);
        plan_finish(&plan);
    }
    return true;
}

static uint64_t fixed_bytes(const struct run_model *model)
{
    uint64_t logits = (uint64_t)model->arch.hp.n_vocab * sizeof(float) * 2;
    uint64_t step = run_step_words(model, model->n_batch, run_most_copies(model));
    step *= sizeof(uint32_t) * 2;
    return (logits + step + 4096) * RUN_MAX_SLOTS;
}

static uint32_t weight_layer_slot(const struct run_model *model, const struct arch_weight *weight)
{
    int32_t n = (int32_t)model->arch.hp.n_layers;
    return (uint32_t)((weight->layer < n ? weight->layer : n) + 1);
}

/* `last`: says why it does not fit, and does not mind activations beyond a binding: some ops cut
 * those. */
static bool place(struct run_model *model, enum plan_split split, bool last)
{
    uint32_t n_layers = model->arch.hp.n_layers;
    uint32_t *all = arena_alloc(&model->arena, n_layers + 2, sizeof *all);
    uint64_t *bytes = arena_alloc(&model->arena, n_layers + 2, sizeof *bytes);
    uint64_t scratch[PLAN_MAX_DEVICES];
    bool fits;
    if (all == NULL || bytes == NULL) {
        log_error(model->log, "out of memory for %u layers", n_layers);
        return false;
    }
    struct plan_map one = {.n_devices = 1, .n_layers = n_layers, .device = all};
    if (!scratch_bytes(model, &one, scratch, &fits) || (!fits && !last)) {
        return false;
    }
    struct plan_place_params place = {
        .n_devices = model->n_devices, .split = split, .n_layers = n_layers, .layer_bytes = bytes};
    for (size_t w = 0; w < model->arch.n_weights; w++) {
        const struct arch_weight *weight = &model->arch.weights[w];
        uint64_t n = run_weight_bytes(weight, model->devices[0].lanes);
        bytes[weight_layer_slot(model, weight)] += n;
        if (w == 0 && model->arch.hp.tied_embedding && model->n_devices > 1) {
            bytes[n_layers + 1] += n;
        }
    }
    for (uint32_t l = 0; l < n_layers; l++) {
        bytes[l + 1] += run_kv_bytes(model, l);
    }
    uint64_t reserve = scratch[0] + fixed_bytes(model);
    for (uint32_t d = 0; d < model->n_devices; d++) {
        uint64_t budget = dev_get_budget(model->devices[d].dev);
        place.free_bytes[d] = budget > reserve ? budget - reserve : 0;
        place.share[d] = model->devices[d].share;
    }
    struct run_fit fit = {
        .model = model, .place = &place, .n_slots = (uint32_t)size_round(model->n_kv, STEP_BLOCK)};
    place.advise = run_fit_advise;
    place.advise_user = &fit;
    return plan_map_init(&model->map, &place, last ? model->log : NULL);
}

/* The longest chunks that fit. */
static enum run_status size_and_place(struct run_model *model, const struct run_params *params)
{
    bool last = false;
    for (uint32_t i = 0; !last; i++) {
        uint32_t batch = run_batch_choose(model, params->n_batch, i, &last);
        enum run_status status = size_steps(model, batch);
        if (status != RUN_OK) {
            return status;
        }
        if (place(model, params->split, last)) {
            return RUN_OK;
        }
    }
    return RUN_OUT_OF_MEMORY;
}

/* Which weights each device needs: those its nodes read. */
static bool find_used(struct run_model *model, bool **used)
{
    struct plan plan;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        used[d] = arena_alloc(&model->arena, model->arch.n_weights, sizeof(bool));
        if (used[d] == NULL) {
            log_error(model->log, "out of memory for %zu weights", model->arch.n_weights);
            return false;
        }
    }
    if (!run_plan_init(model, &plan, &model->map, &(struct run_shape){.n_tokens = 1, .n_out = 1})) {
        return false;
    }
    for (size_t i = 0; i < plan.n_nodes; i++) {
        const struct plan_node *node = &plan.nodes[i];
        for (uint32_t s = 0; s < node->n_src && !node->dead; s++) {
            const struct plan_tensor *tensor =
                node->src[s] != PLAN_NONE ? plan_get_tensor(&plan, node->src[s]) : NULL;
            if (tensor != NULL && tensor->role == PLAN_WEIGHT) {
                used[node->device][tensor->weight] = true;
            }
        }
    }
    plan_finish(&plan);
    return true;
}

/* What the plan will take on each device, and whether it fits. */
static bool account(struct run_model *model, bool *const *used)
{
    uint64_t scratch[PLAN_MAX_DEVICES];
    bool fits; /* placement has cared */
    if (!scratch_bytes(model, &model->map, scratch, &fits)) {
        return false;
    }
    for (uint32_t l = 0; l < model->arch.hp.n_layers; l++) {
        struct run_device *device = &model->devices[model->map.device[l + 1]];
        device->first_layer = device->n_layers == 0 ? l : device->first_layer;
        device->n_layers++;
        device->kv_bytes += run_kv_bytes(model, l);
    }
    for (uint32_t d = 0; d < model->n_devices; d++) {
        struct run_device *device = &model->devices[d];
        device->scratch_bytes = scratch[d];
        device->work_bytes = scratch[d] + fixed_bytes(model);
        for (uint32_t w = 0; w < model->arch.n_weights; w++) {
            if (used[d][w]) {
                device->weight_bytes += run_weight_bytes(&model->arch.weights[w], device->lanes);
            }
        }
        uint64_t want = device->weight_bytes + device->kv_bytes + device->work_bytes;
        if (want > dev_get_budget(device->dev)) {
            log_error(model->log,
                      "device %u: %s: the plan needs %" PRIu64 " MiB of %" PRIu64
                      " MiB free: use more devices, a shorter context (-c) or smaller weights",
                      device->index, dev_get_info(device->dev)->name, want >> 20,
                      dev_get_budget(device->dev) >> 20);
            return false;
        }
    }
    return true;
}

uint64_t run_border_offset(const struct run_model *model, uint32_t slot, uint32_t from)
{
    return ((uint64_t)slot * (model->n_devices - 1) + from) * model->border_bytes;
}

static bool create_exchange(struct run_model *model)
{
    if (model->n_devices == 1) {
        return true;
    }
    struct dev *devs[DEV_MAX_OPEN];
    for (uint32_t d = 0; d < model->n_devices; d++) {
        devs[d] = model->devices[d].dev;
    }
    model->border_bytes =
        size_round((uint64_t)model->n_batch * model->arch.hp.n_embd * sizeof(float), PLAN_ALIGN);
    model->exchange = dev_exchange_create(devs, model->n_devices,
                                          run_border_offset(model, model->n_flight, 0), model->log);
    return model->exchange != NULL;
}

/* The vocabulary of a dummy model, if it is given one. */
static enum run_status read_tokenizer(struct run_model *model, const struct run_params *params)
{
    if (params->tokenizer == NULL) {
        return RUN_OK;
    }
    struct gguf_file *file = gguf_open(params->tokenizer, model->log);
    model->vocab = file != NULL ? vocab_create(file, model->log) : NULL;
    gguf_close(file);
    if (model->vocab == NULL) {
        return RUN_BAD_FILE;
    }
    if (vocab_count(model->vocab) > model->arch.hp.n_vocab) {
        log_error(model->log, "%s: tokenizer.ggml.tokens has %u entries, %s only %u",
                  params->tokenizer, vocab_count(model->vocab), params->dummy,
                  model->arch.hp.n_vocab);
        return RUN_BAD_ARGUMENT;
    }
    return RUN_OK;
}

static enum run_status read_model(struct run_model *model, const struct run_params *params)
{
    if ((params->path != NULL) == (params->dummy != NULL)) {
        log_error(model->log, "give either a model file or a dummy shape");
        return RUN_BAD_ARGUMENT;
    }
    if (params->dummy != NULL) {
        return arch_model_dummy(&model->arch, params->dummy, model->log)
                   ? read_tokenizer(model, params)
                   : RUN_BAD_ARGUMENT;
    }
    if (params->tokenizer != NULL) {
        log_error(model->log, "%s: a vocabulary of its own is for dummy weights: %s has one",
                  params->tokenizer, params->path);
        return RUN_BAD_ARGUMENT;
    }
    model->file = gguf_open(params->path, model->log);
    if (model->file == NULL) {
        return RUN_BAD_FILE;
    }
    if (params->depth == RUN_DEPTH_DIRECTORY) {
        return RUN_OK;
    }
    if (params->depth < RUN_DEPTH_VOCAB &&
        !arch_model_read(&model->arch, model->file, model->log)) {
        return RUN_BAD_FILE;
    }
    model->vocab = vocab_create(model->file, model->log);
    if (model->vocab == NULL) {
        return RUN_BAD_FILE;
    }
    if (params->depth < RUN_DEPTH_VOCAB && vocab_count(model->vocab) != model->arch.hp.n_vocab) {
        log_error(model->log, "%s: tokenizer.ggml.tokens has %u entries, token_embd.weight %u rows",
                  params->path, vocab_count(model->vocab), model->arch.hp.n_vocab);
        return RUN_BAD_FILE;
    }
    return RUN_OK;
}

static bool find_ends(struct run_model *model)
{
    uint32_t n_vocab = model->vocab != NULL ? vocab_count(model->vocab) : 0, n = 0;
    for (uint32_t id = 0; id < n_vocab; id++) {
        n += vocab_is_end(model->vocab, id);
    }
    model->ends = arena_alloc(&model->arena, n, sizeof *model->ends);
    for (uint32_t id = 0; id < n_vocab && model->ends != NULL; id++) {
        if (vocab_is_end(model->vocab, id)) {
            model->ends[model->n_ends++] = id;
        }
    }
    return model->n_ends == n;
}

static enum run_status init(struct run_model *model, const struct run_params *params)
{
    uint64_t begin = os_clock_ns(), phase = begin;
    enum run_status status = read_model(model, params);
    if (status != RUN_OK || params->depth > RUN_DEPTH_FACTS) {
        return status;
    }
    if (!find_ends(model)) {
        log_error(model->log, "out of memory for the end tokens");
        return RUN_OUT_OF_MEMORY;
    }
    os_log_phase(model->log, "file", &phase);
    status = size_context(model, params);
    if (status != RUN_OK || params->depth == RUN_DEPTH_FACTS) {
        bool last;
        model->n_batch = run_batch_choose(model, params->n_batch, 0, &last);
        size_caches(model);
        return status;
    }
    status = open_devices(model, params);
    if (status != RUN_OK) {
        return status;
    }
    os_log_phase(model->log, "devices", &phase);
    status = size_and_place(model, params);
    if (status != RUN_OK) {
        return status;
    }
    bool *used[DEV_MAX_OPEN];
    if (!find_used(model, used) || !account(model, used)) {
        return RUN_OUT_OF_MEMORY;
    }
    if (!run_prefs_check(model) || !create_exchange(model)) {
        return RUN_ERROR;
    }
    os_log_phase(model->log, "placement", &phase);
    if (params->on_plan != NULL) {
        const char *text = run_model_describe(model, params->plan_nodes);
        params->on_plan(params->plan_user, text != NULL ? text : "");
    }
    if (params->depth == RUN_DEPTH_SESSION) {
        model->weights_bytes = model->arch.file_bytes;
        uint64_t before = phase;
        status = run_weights_load(model, used, params);
        os_log_phase(model->log, "weights", &phase);
        model->weights_ns = phase - before;
    }
    model->load_ns = os_clock_ns() - begin;
    return status;
}

enum run_status run_model_init(struct run_model *model, struct dev_instance *inst,
                               const struct run_params *params, struct log *log)
{
    memset(model, 0, sizeof *model);
    model->log = log;
    model->inst = inst;
    model->depth = params->depth;
    arena_init(&model->arena);
    str_init(&model->text);
    enum run_status status = init(model, params);
    if (status != RUN_OK) {
        for (uint32_t d = 0; d < model->n_devices; d++) {
            if (dev_is_lost(model->devices[d].dev)) {
                status = RUN_DEVICE_LOST;
            }
        }
        run_model_finish(model);
    }
    return status;
}

void run_model_finish(struct run_model *model)
{
    dev_exchange_destroy(model->exchange);
    for (uint32_t d = 0; d < model->n_devices; d++) {
        struct run_device *device = &model->devices[d];
        for (uint32_t i = 0; i < device->n_buffers; i++) {
            dev_buf_destroy(device->buffers[i]);
        }
        mem_free(device->buffers);
        ops_prefs_finish(&device->prefs);
        dev_close(device->dev);
    }
    plan_map_finish(&model->map);
    vocab_destroy(model->vocab);
    arch_model_finish(&model->arch);
    gguf_close(model->file);
    arena_finish(&model->arena);
    str_finish(&model->text);
    memset(model, 0, sizeof *model);
}
