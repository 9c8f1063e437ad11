/* What a session owns: KV caches, scratch, slots with their step and result buffers. */
#include "run/run.h"

#include "base/os.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <string.h>

static struct dev_buf *create_buf(struct dev *dev, const char *name, uint64_t bytes,
                                  enum dev_mem mem)
{
    return dev_buf_create(dev, &(struct dev_buf_params){.name = name, .bytes = bytes, .mem = mem});
}

/* The K or V cache of a layer, cut into segments of whole heads that a binding can hold. */
static bool create_cache(struct run_session *session, uint32_t d, uint32_t layer, bool value)
{
    const struct run_model *model = session->model;
    const struct arch_hparams *hp = &model->arch.hp;
    const struct run_device *device = &model->devices[d];
    uint32_t slots = arch_is_local(hp, layer) ? model->n_slots_local : model->n_slots;
    uint64_t head;
    if (!plan_elem_bytes(value ? model->v_type : model->k_type, (uint64_t)slots * hp->head_dim,
                         &head)) {
        return false;
    }
    uint64_t limit = dev_get_caps(device->dev)->max_binding_bytes / head;
    if (limit == 0) {
        log_error(session->log,
                  "KV cache: one head of %u entries takes %llu bytes, the device's largest binding "
                  "is %llu: use a shorter context (-c)",
                  slots, (unsigned long long)head,
                  (unsigned long long)dev_get_caps(device->dev)->max_binding_bytes);
        return false;
    }
    uint32_t heads = limit < hp->n_kv_heads ? (uint32_t)limit : hp->n_kv_heads;
    uint32_t n = (uint32_t)size_div_up(hp->n_kv_heads, heads);
    struct op_segment *segments = arena_alloc(&session->arena, n, sizeof *segments);
    if (segments == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = i * heads;
        uint32_t rows = hp->n_kv_heads - first < heads ? hp->n_kv_heads - first : heads;
        struct dev_buf *buf =
            create_buf(device->dev, value ? "V cache" : "K cache", head * rows, DEV_MEM_DEVICE);
        if (buf == NULL || !mem_grow((void **)&session->cache_buffers, &session->cap_cache_buffers,
                                     session->n_cache_buffers, sizeof *session->cache_buffers)) {
            dev_buf_destroy(buf);
            return false;
        }
        session->cache_buffers[session->n_cache_buffers++] = buf;
        /* Kernels may load, and mask, entries beyond a sequence's end: they must be finite. */
        if (!dev_fill(device->dev, buf, 0, size_round(head * rows, 4), 0)) {
            return false;
        }
        segments[i] =
            (struct op_segment){.buf = buf, .bytes = head * rows, .row0 = first, .rows = rows};
    }
    session->caches[d][2 * layer + (value ? 1 : 0)] =
        (struct op_place){.n_segments = n, .segments = segments};
    return true;
}

static bool create_caches(struct run_session *session)
{
    const struct run_model *model = session->model;
    uint32_t n_layers = model->arch.hp.n_layers;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        session->caches[d] =
            arena_alloc(&session->arena, 2 * (size_t)n_layers, sizeof(struct op_place));
        if (session->caches[d] == NULL) {
            return false;
        }
    }
    for (uint32_t l = 0; l < n_layers; l++) {
        uint32_t d = model->map.device[l + 1];
        if (!create_cache(session, d, l, false) || !create_cache(session, d, l, true)) {
            return false;
        }
    }
    return true;
}

static bool create_scratch(struct run_session *session)
{
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        const struct run_device *device = &session->model->devices[d];
        if (device->scratch_bytes != 0) {
            session->scratch[d] =
                create_buf(device->dev, "activations", device->scratch_bytes, DEV_MEM_DEVICE);
            if (session->scratch[d] == NULL) {
                return false;
            }
        }
    }
    return true;
}

static bool is_cpu(const struct run_device *device)
{
    return dev_get_info(device->dev)->type == DEV_CPU;
}

static bool create_slot(struct run_session *session, struct run_slot *slot)
{
    const struct run_model *model = session->model;
    uint32_t last = run_head_device(model);
    uint32_t step_words = run_step_words(model, model->n_batch, run_most_copies(model));
    uint64_t step_bytes = (uint64_t)step_words * sizeof(uint32_t);
    uint64_t id_bytes = (uint64_t)model->n_batch * sizeof(uint32_t);
    uint64_t top_bytes = 2 * OP_MAX_TOP * sizeof(uint32_t);
    for (uint32_t d = 0; d < model->n_devices; d++) {
        struct dev *dev = model->devices[d].dev;
        slot->step_host[d] = create_buf(dev, "step", step_bytes, DEV_MEM_UPLOAD);
        slot->step[d] = is_cpu(&model->devices[d])
                            ? slot->step_host[d]
                            : create_buf(dev, "step", step_bytes, DEV_MEM_DEVICE);
        if (slot->step_host[d] == NULL || slot->step[d] == NULL ||
            dev_buf_map(slot->step_host[d]) == NULL) {
            return false;
        }
    }
    slot->ids = create_buf(model->devices[last].dev, "ids",
                           id_bytes > top_bytes ? id_bytes : top_bytes, DEV_MEM_READBACK);
    slot->scores = create_buf(model->devices[last].dev, "scores", id_bytes, DEV_MEM_READBACK);
    if (slot->ids == NULL || dev_buf_map(slot->ids) == NULL || slot->scores == NULL ||
        dev_buf_map(slot->scores) == NULL) {
        return false;
    }
    if (last != 0) {
        slot->ids_in = create_buf(model->devices[0].dev, "ids in", id_bytes, DEV_MEM_UPLOAD);
    }
    return last == 0 || slot->ids_in != NULL;
}

void run_slot_forget(struct run_slot *slot)
{
    run_recording_finish(&slot->decode);
    run_recording_finish(&slot->chained);
    for (uint32_t i = 0; i < RUN_OTHERS; i++) {
        run_recording_finish(&slot->others[i]);
    }
}

static void drop_logits(struct run_slot *slot)
{
    if (slot->logits_host != slot->logits) {
        dev_buf_destroy(slot->logits_host);
    }
    dev_buf_destroy(slot->logits);
    slot->logits = slot->logits_host = NULL;
}

bool run_session_reserve_logits(struct run_session *session, uint32_t rows)
{
    struct run_model *model = session->model;
    if (rows <= session->logits_rows) {
        return true;
    }
    const struct run_device *last = &model->devices[run_head_device(model)];
    uint64_t bytes = (uint64_t)rows * model->arch.hp.n_vocab * sizeof(float);
    session->logits = NULL;
    session->n_logits = 0;
    session->logits_rows = 0;
    for (uint32_t s = 0; s < model->n_flight; s++) {
        struct run_slot *slot = &session->slots[s];
        run_slot_forget(slot);
        drop_logits(slot);
        slot->logits = create_buf(last->dev, "logits", bytes,
                                  is_cpu(last) ? DEV_MEM_READBACK : DEV_MEM_DEVICE);
        slot->logits_host =
            is_cpu(last) ? slot->logits : create_buf(last->dev, "logits", bytes, DEV_MEM_READBACK);
        if (slot->logits == NULL || slot->logits_host == NULL ||
            dev_buf_map(slot->logits_host) == NULL) {
            return false;
        }
    }
    session->logits_rows = rows;
    return true;
}

/* Steps follow each other on the device, so that all slots may have the same room. */
bool run_session_reserve_scores(struct run_session *session, uint32_t rows)
{
    struct run_model *model = session->model;
    if (rows <= session->scored_rows) {
        return true;
    }
    const struct run_device *last = &model->devices[run_head_device(model)];
    uint32_t more = rows > 2 * session->scored_rows ? rows : 2 * session->scored_rows;
    more = more < model->max_out ? more : model->max_out;
    session->scored_rows = 0;
    for (uint32_t s = 0; s < model->n_flight; s++) {
        for (uint32_t i = 0; i < RUN_OTHERS; i++) {
            struct run_recording *rec = &session->slots[s].others[i];
            if (rec->shape.scores) {
                run_recording_finish(rec);
            }
        }
    }
    dev_buf_destroy(session->scored);
    session->scored =
        create_buf(last->dev, "logits to score",
                   (uint64_t)more * model->arch.hp.n_vocab * sizeof(float), DEV_MEM_DEVICE);
    session->scored_rows = session->scored != NULL ? more : 0;
    return session->scored != NULL;
}

enum { FEW_TOKENS = 16 }; /* of a short prompt */

/* Makes the kernels of a decode step, of a first prefill chunk, a full one and a short prompt, all
 * at once, so that drivers which compile when a pipeline is made have done so before the first
 * prompt comes; records the first two. (Software drivers compile at the first dispatch.) */
static bool warm_up(struct run_session *session)
{
    struct run_slot *slot = &session->slots[0];
    const struct run_model *model = session->model;
    uint32_t full = model->n_batch, first = run_batch_now(model, full, full);
    first = first < full ? first : full;
    uint32_t few = FEW_TOKENS < full ? FEW_TOKENS : full;
    const struct run_shape shapes[] = {
        {.n_tokens = 1, .n_out = 1},
        {.n_tokens = first, .n_out = first > 1 ? 1 : 0},
        {.n_tokens = full, .n_out = 1},
        {.n_tokens = few, .n_out = 1},
        {.n_tokens = 1, .n_out = 1, .ids = true},
        {.n_tokens = 1, .n_out = 1, .top = 1},
    };
    uint32_t n = sizeof shapes / sizeof *shapes - (run_prefs_top(model) ? 0 : 1);
    return run_record_kernels(session, slot, shapes, n) &&
           run_record(session, slot, &shapes[0]) != NULL &&
           run_record(session, slot, &shapes[4]) != NULL &&
           run_record(session, slot, &shapes[1]) != NULL;
}

enum run_status run_session_init(struct run_session *session, struct run_model *model)
{
    uint64_t begin = os_clock_ns(), phase = begin;
    memset(session, 0, sizeof *session);
    session->model = model;
    session->log = model->log;
    arena_init(&session->arena);
    pthread_mutex_init(&session->lock, NULL);
    atomic_init(&session->cancel, false);
    if (model->n_devices == 0 || model->depth != RUN_DEPTH_SESSION) {
        log_error(model->log, "the model was opened without its weights");
        run_session_finish(session);
        return RUN_BAD_ARGUMENT;
    }
    const struct kv_params kv = {
        .n_seq = model->n_seq,
        .n_ctx = model->n_ctx,
        .n_blocks = {model->n_slots / STEP_BLOCK, model->n_slots_local / STEP_BLOCK},
        .window = model->arch.hp.window,
        .most_copies = run_most_copies(model)};
    bool ok = kv_init(&session->kv, &kv);
    ok = ok && create_scratch(session) && create_caches(session);
    for (uint32_t s = 0; s < model->n_flight && ok; s++) {
        session->slots[s].number = s;
        ok = create_slot(session, &session->slots[s]);
    }
    ok = ok && run_session_reserve_logits(session, 1);
    os_log_phase(session->log, "buffers", &phase);
    ok = ok && warm_up(session);
    os_log_phase(session->log, "kernels and recordings", &phase);
    if (!ok) {
        enum run_status status = run_session_failure(session);
        run_session_finish(session);
        return status == RUN_ERROR ? RUN_OUT_OF_MEMORY : status;
    }
    session->init_ns = os_clock_ns() - begin;
    return RUN_OK;
}

static void slot_finish(struct run_slot *slot)
{
    run_slot_forget(slot);
    for (uint32_t d = 0; d < DEV_MAX_OPEN; d++) {
        if (slot->step[d] != slot->step_host[d]) {
            dev_buf_destroy(slot->step[d]);
        }
        dev_buf_destroy(slot->step_host[d]);
    }
    dev_buf_destroy(slot->ids);
    dev_buf_destroy(slot->ids_in);
    dev_buf_destroy(slot->scores);
    drop_logits(slot);
}

void run_session_finish(struct run_session *session)
{
    run_profile_stop(session);
    run_trace_stop(session);
    for (uint32_t s = 0; s < RUN_MAX_SLOTS; s++) {
        slot_finish(&session->slots[s]);
    }
    for (size_t i = 0; i < session->n_cache_buffers; i++) {
        dev_buf_destroy(session->cache_buffers[i]);
    }
    mem_free(session->cache_buffers);
    for (uint32_t d = 0; d < DEV_MAX_OPEN; d++) {
        dev_buf_destroy(session->scratch[d]);
    }
    dev_buf_destroy(session->scored);
    kv_finish(&session->kv);
    arena_finish(&session->arena);
    pthread_mutex_destroy(&session->lock);
    memset(session, 0, sizeof *session);
}

void run_session_cancel(struct run_session *session)
{
    atomic_store(&session->cancel, true);
}
