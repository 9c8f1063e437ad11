/* A plan -> commands. Each device gets its nodes in order; a border is a copy into or out of the
 * exchange arena. A new command begins where the predicted time of the current one would be too
 * long (pace.h). Which kernel runs a node is the op's decision. */
#include "base/os.h"
#include "run/run.h"

#include <stdio.h>
#include <string.h>

/* Where the tensors of one plan lie on one device. */
struct site_map {
    struct arena arena;
    struct op_place *places; /* [n_tensors] */
    struct str kernels;      /* of the plan's nodes: " matmul/lanes, add/plain," */
};

static bool set_place(struct site_map *map, uint32_t tensor, struct dev_buf *buf, uint64_t offset,
                      uint64_t bytes)
{
    struct op_segment *segment = arena_alloc(&map->arena, 1, sizeof *segment);
    if (segment == NULL) {
        return false;
    }
    *segment = (struct op_segment){.buf = buf, .offset = offset, .bytes = bytes};
    map->places[tensor] = (struct op_place){.n_segments = 1, .segments = segment};
    return true;
}

static bool place_tensor(struct run_session *session, const struct run_slot *slot,
                         const struct run_recording *rec, uint32_t id, uint32_t d,
                         struct site_map *map)
{
    const struct plan *plan = &rec->plan;
    const struct run_model *model = session->model;
    const struct plan_tensor *tensor = &plan->tensors[id];
    uint32_t other = (slot->number + 1) % 2;
    switch (tensor->role) {
    case PLAN_WEIGHT:
        map->places[id] = model->devices[d].weights[tensor->weight];
        return true;
    case PLAN_KV:
        if (tensor->device == d) {
            map->places[id] =
                session->caches[d][2 * (uint32_t)tensor->layer + (tensor->is_value ? 1 : 0)];
        }
        return true;
    case PLAN_STEP:
        return set_place(map, id, slot->step[d], 0, plan_tensor_bytes(tensor));
    case PLAN_ACT:
        return tensor->device != d ||
               set_place(map, id, session->scratch[d], tensor->offset, tensor->bytes);
    case PLAN_IDS_IN:
        return set_place(map, id, slot->ids_in != NULL ? slot->ids_in : session->slots[other].ids,
                         0, plan_tensor_bytes(tensor));
    case PLAN_IDS_OUT:
        return set_place(map, id, slot->ids, 0, plan_tensor_bytes(tensor));
    case PLAN_LOGITS:
        return set_place(map, id, rec->shape.scores ? session->scored : slot->logits, 0,
                         plan_tensor_bytes(tensor));
    case PLAN_SCORES:
        return set_place(map, id, slot->scores, 0, plan_tensor_bytes(tensor));
    }
    return false;
}

static void part_finish(struct run_part *part)
{
    for (size_t i = 0; i < part->n_cmds; i++) {
        dev_cmd_destroy(part->cmds[i]);
    }
    mem_free(part->cmds);
    mem_free(part->marks);
    memset(part, 0, sizeof *part);
}

void run_recording_finish(struct run_recording *rec)
{
    for (uint32_t d = 0; d < DEV_MAX_OPEN; d++) {
        part_finish(&rec->part[d]);
    }
    if (rec->ready) {
        plan_finish(&rec->plan);
    }
    memset(rec, 0, sizeof *rec);
}

static struct dev_cmd *begin_cmd(struct dev *dev, struct run_part *part, bool profile)
{
    if (!mem_grow((void **)&part->cmds, &part->cap_cmds, part->n_cmds, sizeof *part->cmds)) {
        return NULL;
    }
    struct dev_cmd *cmd = dev_cmd_create(dev);
    if (cmd == NULL) {
        return NULL;
    }
    part->cmds[part->n_cmds++] = cmd;
    dev_cmd_set_spans(cmd, profile);
    if (!dev_cmd_timers(cmd, 2) || !dev_cmd_begin(cmd)) {
        return NULL;
    }
    dev_cmd_timestamp(cmd, 0);
    return cmd;
}

static bool end_cmd(struct dev_cmd *cmd)
{
    dev_cmd_timestamp(cmd, 1);
    return dev_cmd_end(cmd);
}

static bool record_border(struct run_session *session, const struct run_slot *slot,
                          const struct op_site *site, const struct plan_node *node, uint32_t d,
                          struct run_part *part)
{
    const struct run_model *model = session->model;
    const struct plan_tensor *src = &site->plan->tensors[node->src[0]];
    const struct plan_tensor *dst = &site->plan->tensors[node->dst[0]];
    struct dev_buf *shared = dev_exchange_buf(model->exchange, d);
    uint64_t offset = run_border_offset(model, slot->number, src->device);
    uint64_t bytes = plan_tensor_bytes(src);
    if (src->device == d) {
        part->has_out = true;
        return dev_cmd_copy(site->cmd, shared, offset, session->scratch[d], src->offset, bytes);
    }
    part->has_in = true;
    return dev_cmd_copy(site->cmd, session->scratch[d], dst->offset, shared, offset, bytes);
}

static double assume_ns(const struct run_device *device, const struct plan *plan,
                        const struct plan_node *node)
{
    struct op_cost cost = {0};
    if (node->kind == PLAN_BORDER) {
        cost.bytes = 2.0 * (double)plan_tensor_bytes(&plan->tensors[node->src[0]]);
    } else {
        node->op->cost(plan, node, &cost);
    }
    return pace_assumed_ns(&device->pace, &cost);
}

static bool on_device(const struct plan *plan, const struct plan_node *node, uint32_t d)
{
    if (node->dead) {
        return false;
    }
    return node->device == d ||
           (node->kind == PLAN_BORDER && plan->tensors[node->src[0]].device == d);
}

/* Host-side results of the last device: logits into mapped memory. Scores, ids and the largest
 * logits are there already. */
static bool record_results(const struct run_slot *slot, struct dev_cmd *cmd,
                           const struct run_recording *rec)
{
    const struct plan *plan = &rec->plan;
    bool wanted = !rec->shape.scores && !rec->shape.ids && rec->shape.top == 0;
    for (uint32_t i = 0; i < plan->n_tensors && wanted; i++) {
        if (plan->tensors[i].role == PLAN_LOGITS && slot->logits_host != slot->logits) {
            return dev_cmd_copy(cmd, slot->logits_host, 0, slot->logits, 0,
                                plan_tensor_bytes(&plan->tensors[i]));
        }
    }
    return true;
}

static bool record_step_copy(const struct run_slot *slot, uint32_t d, struct dev_cmd *cmd,
                             uint64_t bytes)
{
    return slot->step[d] == slot->step_host[d] ||
           dev_cmd_copy(cmd, slot->step[d], 0, slot->step_host[d], 0, bytes);
}

static void note_kernel(struct str *kernels, const struct op *op, const struct op_used *used)
{
    char name[2 * OPS_NAME + 4];
    snprintf(name, sizeof name, " %s/%s,", op->name, used->variant != NULL ? used->variant : "");
    if (strstr(str_get(kernels), name) == NULL) {
        str_printf(kernels, "%s", name);
    }
}

/* Gets every kernel of the plan that this device lacks, without recording anything, and has them
 * made on several threads; 0: by the end of the caller's bracket. */
static bool make_kernels(const struct run_model *model, const struct plan *plan, uint32_t d,
                         struct site_map *map, uint32_t n_threads, struct log *log)
{
    struct dev *dev = model->devices[d].dev;
    struct op_used used = {0};
    struct op_site site = {.dev = dev,
                           .plan = plan,
                           .places = map->places,
                           .log = log,
                           .prefs = &model->devices[d].prefs,
                           .used = &used};
    site.cmd = dev_cmd_create(dev);
    if (site.cmd == NULL) {
        return false;
    }
    dev_kernels_begin(dev);
    bool ok = dev_cmd_begin_dry(site.cmd);
    for (size_t i = 0; i < plan->n_nodes && ok; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (node->kind != PLAN_BORDER && on_device(plan, node, d)) {
            ok = node->op->record(&site, node);
            if (!ok && used.unfit != NULL) {
                log_error(log, "%s: device %u: %s", node->op->name, model->devices[d].index,
                          used.unfit);
            }
            note_kernel(&map->kernels, node->op, &used);
        }
    }
    ok = ok && dev_cmd_end(site.cmd);
    ok = dev_kernels_end(dev, ok ? n_threads : 0) && ok;
    dev_cmd_destroy(site.cmd);
    return ok;
}

/* A device's part while it is recorded. */
struct part_site {
    struct run_session *session;
    const struct run_slot *slot;
    struct run_part *part;
    uint32_t d;
    struct op_site site; /* its cmd is the open one, NULL: none yet */
    double ns;           /* predicted, of the open command */
};

static bool end_copy(struct part_site *at, const struct run_mark *mark, const char *what)
{
    return run_profile_end_mark(at->session, at->d, at->part, mark, &at->site, NULL, what);
}

/* Ends the open command, if any, and opens the next one. */
static bool next_cmd(struct part_site *at, const struct run_shape *shape)
{
    bool first = at->site.cmd == NULL;
    if (!first && !end_cmd(at->site.cmd)) {
        return false;
    }
    at->ns = 0;
    at->site.cmd = begin_cmd(at->site.dev, at->part, at->session->profile != NULL);
    if (!first || at->site.cmd == NULL) {
        return at->site.cmd != NULL;
    }
    const struct run_model *model = at->session->model;
    uint64_t bytes = (uint64_t)run_step_words(model, shape->n_tokens, shape->copies) * 4;
    struct run_mark mark = run_profile_mark(at->part);
    return record_step_copy(at->slot, at->d, at->site.cmd, bytes) &&
           end_copy(at, &mark, "step words");
}

static bool record_node(struct part_site *at, const struct plan_node *node)
{
    struct run_mark mark = run_profile_mark(at->part);
    if (node->kind == PLAN_BORDER) {
        return record_border(at->session, at->slot, &at->site, node, at->d, at->part) &&
               end_copy(at, &mark, "border");
    }
    at->site.used->variant = NULL;
    return node->op->record(&at->site, node) &&
           run_profile_end_mark(at->session, at->d, at->part, &mark, &at->site, node, NULL);
}

static bool record_part(struct run_session *session, const struct run_slot *slot,
                        struct run_recording *rec, uint32_t d, struct site_map *map)
{
    const struct plan *plan = &rec->plan;
    const struct run_device *device = &session->model->devices[d];
    struct op_used used = {0};
    struct part_site at = {.session = session, .slot = slot, .part = &rec->part[d], .d = d};
    at.site = (struct op_site){.dev = device->dev,
                               .plan = plan,
                               .places = map->places,
                               .log = session->log,
                               .prefs = &device->prefs,
                               .used = &used};
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (!on_device(plan, node, d)) {
            continue;
        }
        double assumed = assume_ns(device, plan, node), more = assumed * rec->scale[d];
        if ((at.site.cmd == NULL || pace_splits(&device->pace, at.ns, more)) &&
            !next_cmd(&at, &rec->shape)) {
            return false;
        }
        at.ns += more;
        at.part->assumed_ns += assumed;
        if (!record_node(&at, node)) {
            return false;
        }
    }
    if (at.site.cmd == NULL) {
        return true;
    }
    struct run_mark mark = run_profile_mark(at.part);
    return (d != run_head_device(session->model) ||
            (record_results(slot, at.site.cmd, rec) && end_copy(&at, &mark, "logits"))) &&
           end_cmd(at.site.cmd);
}

struct recorder {
    struct run_session *session;
    const struct run_slot *slot;
    struct run_recording *rec;
    uint32_t device;
    bool kernels_only;
    bool started, ok;
    pthread_t thread;
};

static void *record_device(void *arg)
{
    struct recorder *r = arg;
    struct site_map map;
    arena_init(&map.arena);
    str_init(&map.kernels);
    map.places = arena_alloc(&map.arena, r->rec->plan.n_tensors, sizeof *map.places);
    r->ok = map.places != NULL;
    for (uint32_t id = 0; id < r->rec->plan.n_tensors && r->ok; id++) {
        r->ok = place_tensor(r->session, r->slot, r->rec, id, r->device, &map);
    }
    r->ok = r->ok &&
            make_kernels(r->session->model, &r->rec->plan, r->device, &map,
                         r->kernels_only ? 0 : r->session->model->n_compile, r->session->log) &&
            (r->kernels_only || record_part(r->session, r->slot, r->rec, r->device, &map));
    if (r->ok && r->slot->number == 0) {
        const struct run_device *device = &r->session->model->devices[r->device];
        log_debug(r->session->log, "device %u (%s): kernels of a step of %u tokens:%s",
                  device->index, dev_get_info(device->dev)->name, r->rec->shape.n_tokens,
                  str_get(&map.kernels));
    }
    str_finish(&map.kernels);
    arena_finish(&map.arena);
    return NULL;
}

/* All devices at once: the first recording on a device has its kernels made. */
static bool record_devices(struct run_session *session, const struct run_slot *slot,
                           struct run_recording *rec, bool kernels_only)
{
    struct recorder recorders[DEV_MAX_OPEN];
    uint32_t n = session->model->n_devices;
    bool ok = true;
    for (uint32_t d = 0; d < n; d++) {
        rec->scale[d] =
            pace_scale(&session->model->devices[d].pace, pace_kind_of(rec->shape.n_tokens));
        recorders[d] = (struct recorder){.session = session,
                                         .slot = slot,
                                         .rec = rec,
                                         .device = d,
                                         .kernels_only = kernels_only};
        recorders[d].started = d + 1 < n && pthread_create(&recorders[d].thread, NULL,
                                                           record_device, &recorders[d]) == 0;
    }
    for (uint32_t d = 0; d < n; d++) {
        if (!recorders[d].started) {
            record_device(&recorders[d]);
        }
    }
    for (uint32_t d = 0; d < n; d++) {
        if (recorders[d].started) {
            pthread_join(recorders[d].thread, NULL);
        }
        ok = ok && recorders[d].ok;
    }
    return ok;
}

/* A part is cut anew only when its device turned out much slower than thought, or so much faster
 * that most of its submissions are not needed. */
static bool is_cut_well(const struct run_pace *pace, const struct run_recording *rec, uint32_t d)
{
    const struct run_part *part = &rec->part[d];
    double scale = pace_scale(pace, pace_kind_of(rec->shape.n_tokens));
    double cuts = part->assumed_ns * scale / pace->cut_ns;
    bool slower = scale > 1.5 * rec->scale[d] && cuts > (double)part->n_cmds;
    bool faster =
        scale < 0.5 * rec->scale[d] && part->n_cmds > 1 && 4 * (cuts + 1) < (double)part->n_cmds;
    return !slower && !faster;
}

/* The end of a device's bracket: makes what was noted. */
struct maker {
    struct dev *dev;
    uint32_t n_threads;
    bool started, ok;
    pthread_t thread;
};

static void *make_noted(void *arg)
{
    struct maker *m = arg;
    m->ok = dev_kernels_end(m->dev, m->n_threads);
    return NULL;
}

static bool note_kernels(struct run_session *session, struct run_slot *slot,
                         const struct run_shape *shape)
{
    struct run_recording rec = {.shape = *shape};
    if (!run_plan_init(session->model, &rec.plan, &session->model->map, shape)) {
        return false;
    }
    rec.ready = true;
    bool ok = record_devices(session, slot, &rec, true);
    run_recording_finish(&rec);
    return ok;
}

bool run_record_kernels(struct run_session *session, struct run_slot *slot,
                        const struct run_shape *shapes, uint32_t n)
{
    const struct run_model *model = session->model;
    struct maker makers[DEV_MAX_OPEN];
    bool ok = true;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        makers[d] = (struct maker){.dev = model->devices[d].dev};
        dev_kernels_begin(makers[d].dev);
    }
    for (uint32_t i = 0; i < n && ok; i++) {
        ok = note_kernels(session, slot, &shapes[i]);
    }
    for (uint32_t d = 0; d < model->n_devices; d++) {
        makers[d].n_threads = ok ? model->n_compile : 0;
        makers[d].started = d + 1 < model->n_devices &&
                            pthread_create(&makers[d].thread, NULL, make_noted, &makers[d]) == 0;
        if (!makers[d].started) {
            make_noted(&makers[d]);
        }
    }
    for (uint32_t d = 0; d < model->n_devices; d++) {
        if (makers[d].started) {
            pthread_join(makers[d].thread, NULL);
        }
        ok = ok && makers[d].ok;
    }
    return ok;
}

static bool same_shape(const struct run_shape *a, const struct run_shape *b)
{
    return a->n_tokens == b->n_tokens && a->n_out == b->n_out && a->copies == b->copies &&
           a->scores == b->scores && a->ids == b->ids && a->streams == b->streams &&
           a->no_end == b->no_end && a->top == b->top;
}

/* The recording of this shape, else the one to make way. */
static struct run_recording *find_recording(struct run_slot *slot, const struct run_shape *shape)
{
    if (same_shape(shape, &(struct run_shape){.n_tokens = 1, .n_out = 1})) {
        return &slot->decode;
    }
    if (shape->n_tokens == 1 && shape->ids) {
        return &slot->chained;
    }
    struct run_recording *oldest = &slot->others[0];
    for (uint32_t i = 0; i < RUN_OTHERS; i++) {
        struct run_recording *rec = &slot->others[i];
        if (rec->ready && same_shape(&rec->shape, shape)) {
            return rec;
        }
        oldest = rec->used < oldest->used ? rec : oldest; /* those never used have 0 */
    }
    return oldest;
}

struct run_recording *run_record(struct run_session *session, struct run_slot *slot,
                                 const struct run_shape *shape)
{
    const struct run_model *model = session->model;
    struct run_recording *rec = find_recording(slot, shape);
    bool same = rec->ready && same_shape(&rec->shape, shape);
    for (uint32_t d = 0; d < model->n_devices && same; d++) {
        same = is_cut_well(&model->devices[d].pace, rec, d);
    }
    if (same) {
        rec->used = ++slot->n_asked;
        return rec;
    }
    uint64_t begin = run_profile_begin(session), now = os_clock_ns();
    run_recording_finish(rec);
    if (!run_plan_init(model, &rec->plan, &model->map, shape)) {
        return NULL;
    }
    rec->ready = true;
    rec->shape = *shape;
    rec->used = ++slot->n_asked;
    bool ok = record_devices(session, slot, rec, false);
    if (!ok) {
        log_debug(session->log, "recording a step of %u tokens failed", shape->n_tokens);
        run_recording_finish(rec);
    }
    run_profile_end(session, IDLE_RECORD, begin);
    log_debug(session->log, "recording a step of %u tokens took %.1f ms", shape->n_tokens,
              (double)(os_clock_ns() - now) / 1e6);
    return ok ? rec : NULL;
}
