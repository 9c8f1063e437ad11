/* One step on its way through the devices: submit, wait at a border, hand over, go on. Who does
 * that for which device, and how many steps are in flight, is the business of pipeline.c. */
#include "run/run.h"

#include "base/os.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <string.h>

/* Blocks that left the window are written too: chunks before this one's end may still see them. */
static void write_table(const struct kv *kv, uint32_t g, uint32_t *table)
{
    const struct kv_group *group = &kv->group[g];
    for (uint32_t s = 0; s < kv->n_seq && group->n_blocks != 0; s++) {
        uint32_t used = (uint32_t)size_div_up(kv->length[s], STEP_BLOCK);
        memcpy(table + (size_t)s * kv->row, group->table + (size_t)s * kv->row,
               used * sizeof *table);
    }
}

void run_batch_copies(struct run_batch *batch, const struct kv *kv)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        batch->n_copies[g] = kv->group[g].n_copies;
        batch->copy_from[g] = kv->group[g].copy_from;
        batch->copy_to[g] = kv->group[g].copy_to;
    }
}

static bool is_of_streams(const struct run_model *model, const struct run_batch *batch)
{
    bool streams = batch->n_tokens > OP_FEW_TOKENS && batch->n_tokens <= run_most_split(model);
    for (uint32_t t = 1; t < batch->n_tokens && streams; t++) {
        streams = batch->seq[t] != batch->seq[t - 1]; /* those of a sequence lie together */
    }
    return streams;
}

struct run_shape run_batch_shape(const struct run_model *model, const struct run_batch *batch)
{
    const uint32_t *n = batch->n_copies;
    uint32_t most = n[KV_GLOBAL] > n[KV_LOCAL] ? n[KV_GLOBAL] : n[KV_LOCAL];
    return (struct run_shape){.n_tokens = batch->n_tokens,
                              .n_out = batch->n_out,
                              .copies = run_copy_room(model, batch->n_tokens, most),
                              .scores = batch->target != NULL && batch->n_out != 0,
                              .streams = is_of_streams(model, batch)};
}

static void write_copies(const struct run_session *session, uint32_t *words,
                         const struct run_batch *batch)
{
    uint32_t room = run_batch_shape(session->model, batch).copies;
    uint32_t begin = run_step_words(session->model, batch->n_tokens, 0);
    words[STEP_COPIES] = begin;
    words[STEP_COPY_CAP] = room;
    for (uint32_t g = 0; g < KV_GROUPS && room != 0; g++) {
        uint32_t *from = words + begin + (size_t)2 * g * room, n = batch->n_copies[g];
        words[STEP_N_COPIES + g] = n;
        if (n != 0) {
            memcpy(from, batch->copy_from[g], n * sizeof *from);
            memcpy(from + room, batch->copy_to[g], n * sizeof *from);
        }
    }
}

/* [cap] words of which n are given, the rest 0. */
static void write_array(uint32_t *words, const uint32_t *values, uint32_t n, uint32_t cap)
{
    memset(words, 0, cap * sizeof *words);
    if (n != 0 && values != NULL) {
        memcpy(words, values, n * sizeof *words);
    }
}

/* With the block tables as they are now: run_step_words of its shape. */
static void write_step(const struct run_session *session, uint32_t *words,
                       const struct run_batch *batch)
{
    const struct kv *kv = &session->kv;
    uint32_t n = batch->n_tokens;
    memset(words, 0, STEP_HEADER * sizeof *words);
    words[STEP_N_TOKENS] = n;
    words[STEP_N_OUT] = batch->n_out;
    words[STEP_CAP] = n;
    words[STEP_BLOCKS] = kv->row;
    words[STEP_N_SEQ] = kv->n_seq;
    uint32_t *arrays = words + STEP_HEADER;
    memcpy(arrays + STEP_TOKEN * n, batch->token, n * sizeof *words);
    memcpy(arrays + STEP_POS * n, batch->pos, n * sizeof *words);
    memcpy(arrays + STEP_SEQ * n, batch->seq, n * sizeof *words);
    memcpy(arrays + STEP_SLOT * n, batch->slot[KV_GLOBAL], n * sizeof *words);
    memcpy(arrays + STEP_LEN * n, batch->len, n * sizeof *words);
    write_array(arrays + STEP_OUT * n, batch->out, batch->n_out, n);
    write_array(arrays + STEP_TARGET * n, batch->target, batch->n_out, n);
    uint32_t *table = arrays + STEP_ARRAYS * n;
    write_table(kv, KV_GLOBAL, table);
    if (kv->group[KV_LOCAL].n_blocks != 0) {
        uint32_t *local = table + (size_t)kv->n_seq * kv->row;
        memcpy(local, batch->slot[KV_LOCAL], n * sizeof *words);
        write_table(kv, KV_LOCAL, local + n);
    }
    uint32_t n_tickets = run_step_tickets(session->model, n);
    words[STEP_TICKETS] = run_step_words(session->model, n, 0) - n_tickets;
    memset(words + words[STEP_TICKETS], 0, n_tickets * sizeof *words);
    write_copies(session, words, batch);
}

void run_step_write(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                    const struct run_batch *batch)
{
    uint64_t begin = run_profile_begin(session);
    slot->index = session->n_planned++;
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        slot->value[d] = slot->wait_end[d] = 0;
        if (rec->part[d].n_cmds != 0) {
            write_step(session, dev_buf_map(slot->step_host[d]), batch);
        }
    }
    run_profile_end(session, IDLE_PREPARE, begin);
}

/* Waits for the slot's work on a device and notes when; a second wait changes nothing. Somebody
 * hangs on the end of one token's step, unless the next one is submitted already. */
static bool wait_part(struct run_session *session, struct run_slot *slot,
                      const struct run_recording *rec, uint32_t d, uint32_t thread)
{
    struct dev *dev = session->model->devices[d].dev;
    uint64_t begin = os_clock_ns();
    bool first = slot->wait_end[d] == 0;
    bool urgent =
        first && rec->shape.n_tokens == 1 && (!rec->shape.ids || session->model->n_devices > 1);
    bool ok = urgent ? dev_wait_about(dev, slot->value[d], session->part_ns[d])
                     : dev_wait(dev, slot->value[d]);
    if (first) {
        slot->wait_begin[d] = begin;
        slot->wait_end[d] = os_clock_ns();
        session->part_ns[d] = urgent ? slot->wait_end[d] - begin : session->part_ns[d];
        const struct run_trace_event event = {.kind = RUN_TRACE_WAIT,
                                              .device = d,
                                              .thread = thread,
                                              .begin_ns = begin,
                                              .end_ns = slot->wait_end[d]};
        run_trace_note(session, slot, rec, &event);
    }
    return ok;
}

/* The border of device d - 1 has been written: brings it to where device d reads it. */
static void hand_over(struct run_session *session, const struct run_slot *slot,
                      const struct run_recording *rec, uint32_t d, uint32_t thread)
{
    const struct run_model *model = session->model;
    struct run_trace_event event = {.thread = thread};
    event.bytes = (uint64_t)rec->shape.n_tokens * model->arch.hp.n_embd * sizeof(float);
    uint64_t at = run_border_offset(model, slot->number, d - 1), begin = run_profile_begin(session);
    for (uint32_t to = d - 1; to <= d; to++) {
        event.kind = to == d ? RUN_TRACE_FETCH : RUN_TRACE_PUBLISH;
        event.device = to;
        event.copied = !dev_exchange_imported(model->exchange, to);
        event.begin_ns = session->trace != NULL ? os_clock_ns() : 0;
        (to == d ? dev_exchange_fetch : dev_exchange_publish)(model->exchange, to, at, event.bytes);
        event.end_ns = session->trace != NULL ? os_clock_ns() : 0;
        run_trace_note(session, slot, rec, &event);
    }
    run_profile_end(session, IDLE_EXCHANGE, begin);
}

bool run_step_submit(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                     uint32_t d, uint32_t thread)
{
    const struct run_part *part = &rec->part[d];
    if (d != 0 && rec->part[d - 1].has_out) {
        if (slot->value[d - 1] == 0 || !wait_part(session, slot, rec, d - 1, thread)) {
            return false;
        }
        hand_over(session, slot, rec, d, thread);
    }
    slot->submit_begin[d] = os_clock_ns();
    for (size_t i = 0; i < part->n_cmds; i++) {
        slot->value[d] = dev_submit(session->model->devices[d].dev, part->cmds[i]);
        if (slot->value[d] == 0) {
            return false;
        }
    }
    slot->submit_end[d] = os_clock_ns();
    const struct run_trace_event event = {.kind = RUN_TRACE_SUBMIT,
                                          .device = d,
                                          .thread = thread,
                                          .begin_ns = slot->submit_begin[d],
                                          .end_ns = slot->submit_end[d]};
    run_trace_note(session, slot, rec, &event);
    return true;
}

bool run_step_go_on(struct run_session *session, struct run_slot *slot, struct run_recording *rec)
{
    bool ok = true;
    for (uint32_t d = 1; d < session->model->n_devices && ok; d++) {
        ok = run_step_submit(session, slot, rec, d, 0);
    }
    return ok;
}

bool run_step_begin(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                    const struct run_batch *batch)
{
    run_step_write(session, slot, rec, batch);
    return run_step_submit(session, slot, rec, 0, 0) && run_step_go_on(session, slot, rec);
}

/* The ids that the last device chose, where that is not the first one. */
static void hand_ids(struct run_session *session, const struct run_slot *from,
                     const struct run_slot *to, uint32_t n)
{
    uint64_t begin = run_profile_begin(session);
    memcpy(dev_buf_map(to->ids_in), dev_buf_map(from->ids), n * sizeof(uint32_t));
    run_profile_end(session, IDLE_EXCHANGE, begin);
}

bool run_step_chain(struct run_session *session, struct run_slot *before,
                    const struct run_recording *rec_before, struct run_slot *slot,
                    struct run_recording *rec)
{
    const struct run_model *model = session->model;
    if (slot->ids_in != NULL) {
        uint32_t last = run_head_device(model);
        if (before->value[last] == 0 || !wait_part(session, before, rec_before, last, 0)) {
            return false;
        }
        hand_ids(session, before, slot, rec->shape.n_tokens);
    }
    return run_step_submit(session, slot, rec, 0, 0);
}

/* Device time of a part by timestamps; 0 where there are none. */
static uint64_t busy_ns(const struct run_part *part)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < part->n_cmds; i++) {
        uint64_t ns[2];
        if (!dev_cmd_read_timers(part->cmds[i], ns, 2)) {
            return 0;
        }
        sum += ns[1] > ns[0] ? ns[1] - ns[0] : 0;
    }
    return sum;
}

/* The same as the host saw it: from the submission, or the end of the step before. */
static uint64_t seen_busy_ns(struct run_session *session, const struct run_slot *slot, uint32_t d)
{
    uint64_t begin = slot->submit_begin[d], before = session->seen_ns[d], end = slot->wait_end[d];
    begin = before > begin ? before : begin;
    session->seen_ns[d] = end > before ? end : before;
    return end > begin ? end - begin : 0;
}

static void count(struct run_session *session, const struct run_slot *slot,
                  struct run_recording *rec)
{
    struct run_model *model = session->model;
    struct run_stats *stats = &session->stats;
    uint64_t border = (uint64_t)rec->shape.n_tokens * model->arch.hp.n_embd * sizeof(float);
    bool decode = rec->shape.n_tokens == 1 && rec->shape.n_out == 1 && !rec->shape.scores;
    pthread_mutex_lock(&session->lock);
    stats->steps++;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        const struct run_part *part = &rec->part[d];
        uint64_t ns = busy_ns(part), wall = seen_busy_ns(session, slot, d);
        stats->submissions += part->n_cmds;
        stats->busy_ns[d] += ns != 0 || part->n_cmds == 0 ? ns : wall;
        if (part->has_out) {
            stats->exchanges++;
            stats->exchanged_bytes += border;
            stats->decode_exchanges += decode;
            stats->decode_exchanged_bytes += decode ? border : 0;
        }
        struct run_pace *pace = &model->devices[d].pace;
        if (pace->cpu ? ns != 0 && rec->runs != 0 : part->n_cmds != 0) {
            pace_add(pace, pace_kind_of(rec->shape.n_tokens), part->assumed_ns,
                     (double)(ns != 0 ? ns : wall));
        }
    }
    rec->runs++;
    pthread_mutex_unlock(&session->lock);
}

/* Every device has had its part. */
static bool all_begun(const struct run_session *session, const struct run_slot *slot,
                      const struct run_recording *rec)
{
    bool all = true;
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        all = all && (rec->part[d].n_cmds == 0 || slot->value[d] != 0);
    }
    return all;
}

bool run_step_wait(struct run_session *session, struct run_slot *slot,
                   const struct run_recording *rec)
{
    bool ok = true;
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        ok = (slot->value[d] == 0 || wait_part(session, slot, rec, d, 0)) && ok;
    }
    return ok;
}

bool run_step_end(struct run_session *session, struct run_slot *slot, struct run_recording *rec)
{
    bool ok = run_step_wait(session, slot, rec) && all_begun(session, slot, rec);
    if (ok) {
        uint64_t begin = run_profile_begin(session);
        ok = run_profile_step(session, slot, rec);
        run_trace_step(session, slot, rec);
        count(session, slot, rec);
        run_profile_end(session, IDLE_READ, begin);
    }
    return ok;
}

bool run_step_drop(struct run_session *session, struct run_slot *slot, struct run_recording *rec)
{
    return all_begun(session, slot, rec) ? run_step_end(session, slot, rec)
                                         : run_step_wait(session, slot, rec);
}

enum run_status run_session_failure(const struct run_session *session)
{
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        if (dev_is_lost(session->model->devices[d].dev)) {
            return RUN_DEVICE_LOST;
        }
    }
    return RUN_ERROR;
}
