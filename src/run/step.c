/* One step carried through the devices by one thread: submit, wait at a border, hand over, go on.
 * Several steps may be in flight, each with its own thread and slot; tickets keep their order on
 * every device. What is in the step is the caller's business. */
#include "run/run.h"

#include "base/os.h"
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

struct run_shape run_batch_shape(const struct run_model *model, const struct run_batch *batch)
{
    const uint32_t *n = batch->n_copies;
    uint32_t most = n[KV_GLOBAL] > n[KV_LOCAL] ? n[KV_GLOBAL] : n[KV_LOCAL];
    return (struct run_shape){.n_tokens = batch->n_tokens,
                              .n_out = batch->n_out,
                              .copies = run_copy_room(model, batch->n_tokens, most),
                              .scores = batch->target != NULL && batch->n_out != 0};
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

void run_step_write(const struct run_session *session, uint32_t *words,
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
    write_copies(session, words, batch);
}

/* The step buffer of one device. */
static void fill_step(const struct run_session *session, uint32_t *words,
                      const struct run_batch *batch)
{
    if (batch->words == NULL) {
        run_step_write(session, words, batch);
        return;
    }
    uint32_t copies = run_batch_shape(session->model, batch).copies;
    size_t n = run_step_words(session->model, batch->n_tokens, copies);
    memcpy(words, batch->words, n * sizeof *words);
}

/* Waits until this chunk is next on device d. */
static void take_turn(struct run_session *session, uint32_t d, uint64_t ticket)
{
    if (ticket == UINT64_MAX) {
        return;
    }
    pthread_mutex_lock(&session->lock);
    while (session->turn[d] < ticket) {
        pthread_cond_wait(&session->turned, &session->lock);
    }
    pthread_mutex_unlock(&session->lock);
}

static void give_turn(struct run_session *session, uint32_t d, uint64_t ticket)
{
    if (ticket == UINT64_MAX) {
        return;
    }
    pthread_mutex_lock(&session->lock);
    session->turn[d] = ticket + 1;
    pthread_cond_broadcast(&session->turned);
    pthread_mutex_unlock(&session->lock);
}

void run_step_pass(struct run_session *session, uint64_t ticket)
{
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        take_turn(session, d, ticket);
        give_turn(session, d, ticket);
    }
}

static bool submit_part(struct run_session *session, struct run_slot *slot,
                        const struct run_recording *rec, uint32_t d, uint64_t border)
{
    struct run_model *model = session->model;
    const struct run_part *part = &rec->part[d];
    if (part->has_in) {
        uint64_t begin = run_profile_begin(session);
        dev_exchange_fetch(model->exchange, d, run_border_offset(model, slot->number, d - 1),
                           border);
        run_profile_end(session, IDLE_EXCHANGE, begin);
    }
    slot->submit_begin[d] = os_clock_ns();
    for (size_t i = 0; i < part->n_cmds; i++) {
        slot->value[d] = dev_submit(model->devices[d].dev, part->cmds[i]);
        if (slot->value[d] == 0) {
            return false;
        }
    }
    slot->submit_end[d] = os_clock_ns();
    return true;
}

/* Waits for the slot's work on a device and notes when; a second wait changes nothing. */
static bool wait_part(struct run_session *session, struct run_slot *slot, uint32_t d)
{
    uint64_t begin = os_clock_ns();
    bool ok = dev_wait(session->model->devices[d].dev, slot->value[d]);
    if (slot->wait_end[d] == 0) {
        slot->wait_begin[d] = begin;
        slot->wait_end[d] = os_clock_ns();
    }
    return ok;
}

bool run_step_begin(struct run_session *session, struct run_slot *slot, struct run_recording *rec,
                    const struct run_batch *batch, uint64_t ticket)
{
    struct run_model *model = session->model;
    uint64_t border = (uint64_t)batch->n_tokens * model->arch.hp.n_embd * sizeof(float);
    bool ok = true;
    slot->begin_ns = os_clock_ns();
    for (uint32_t d = 0; d < model->n_devices; d++) {
        slot->value[d] = slot->wait_end[d] = 0;
        if (rec->part[d].n_cmds != 0) {
            fill_step(session, dev_buf_map(slot->step_host[d]), batch);
        }
    }
    run_profile_end(session, IDLE_PREPARE, slot->begin_ns);
    for (uint32_t d = 0; d < model->n_devices; d++) {
        take_turn(session, d, ticket);
        ok = ok && submit_part(session, slot, rec, d, border);
        give_turn(session, d, ticket);
        if (ok && rec->part[d].has_out) {
            ok = wait_part(session, slot, d);
            uint64_t begin = run_profile_begin(session);
            dev_exchange_publish(model->exchange, d, run_border_offset(model, slot->number, d),
                                 border);
            run_profile_end(session, IDLE_EXCHANGE, begin);
        }
    }
    return ok;
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

static void count(struct run_session *session, const struct run_slot *slot,
                  struct run_recording *rec)
{
    struct run_model *model = session->model;
    struct run_stats *stats = &session->stats;
    uint64_t border = (uint64_t)rec->shape.n_tokens * model->arch.hp.n_embd * sizeof(float);
    uint64_t wall = os_clock_ns() - slot->begin_ns;
    pthread_mutex_lock(&session->lock);
    stats->steps++;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        const struct run_part *part = &rec->part[d];
        uint64_t ns = busy_ns(part);
        stats->submissions += part->n_cmds;
        stats->busy_ns[d] += ns != 0 || part->n_cmds == 0 ? ns : wall / model->n_devices;
        if (part->has_out) {
            stats->exchanges++;
            stats->exchanged_bytes += border;
            stats->decode_exchanges += rec == &slot->decode;
            stats->decode_exchanged_bytes += rec == &slot->decode ? border : 0;
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

bool run_step_end(struct run_session *session, struct run_slot *slot, struct run_recording *rec)
{
    struct run_model *model = session->model;
    bool ok = true;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        bool begun = rec->part[d].n_cmds == 0 || slot->value[d] != 0;
        ok = (slot->value[d] == 0 || wait_part(session, slot, d)) && begun && ok;
    }
    if (ok) {
        uint64_t begin = run_profile_begin(session);
        ok = run_profile_step(session, slot, rec);
        count(session, slot, rec);
        run_profile_end(session, IDLE_READ, begin);
    }
    return ok;
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
