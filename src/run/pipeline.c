/* Steps one after another, several in flight. The caller's thread plans them in order, writes each
 * into its slot and submits it to the first device at once; it waits for the last device and hands
 * out the results. Before each other device stands a thread, a hand, which takes the steps in order
 * from the device before it. So every device is given the steps in order, and no thread waits for
 * one that has something to submit.
 *
 * With one device there are no hands: the next step is submitted while the last one runs. */
#include "run/run.h"

#include "base/os.h"

#include <string.h>

struct pipeline;

struct hand {
    struct pipeline *pipe;
    uint32_t device;
    pthread_t thread;
};

struct pipeline {
    struct run_session *session;
    const struct run_source *source;
    struct run_arrays arrays;
    uint32_t n_devices, depth;
    enum run_status status;
    uint64_t n_done;
    struct flight {
        struct run_recording *rec;
        uint32_t n_out;
        bool scores;
    } flights[RUN_MAX_SLOTS]; /* of each slot */
    struct hand hands[DEV_MAX_OPEN];
    uint32_t n_hands;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t moved;
    uint64_t
        n_given[DEV_MAX_OPEN]; /* steps that each device has been given, or that passed it by */
    bool ended;                /* no step is planned any more */
    bool failed;               /* devices get nothing more */
};

static uint32_t slot_of(const struct pipeline *p, uint64_t step)
{
    return (uint32_t)(step % p->session->model->n_flight);
}

/* Step k goes to device d, unless one has failed. */
static void give(struct pipeline *p, uint64_t k, uint32_t d, uint32_t thread)
{
    uint32_t s = slot_of(p, k);
    pthread_mutex_lock(&p->lock);
    bool ok = !p->failed;
    pthread_mutex_unlock(&p->lock);
    ok = ok && run_step_submit(p->session, &p->session->slots[s], p->flights[s].rec, d, thread);
    pthread_mutex_lock(&p->lock);
    p->failed = p->failed || !ok;
    p->n_given[d] = k + 1;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
    struct hand *hand = arg;
    struct pipeline *p = hand->pipe;
    const uint64_t *before = &p->n_given[hand->device - 1];
    for (uint64_t k = 0;; k++) {
        pthread_mutex_lock(&p->lock);
        while (*before <= k && !(p->ended && p->n_given[0] <= k)) {
            pthread_cond_wait(&p->moved, &p->lock);
        }
        bool none = *before <= k;
        pthread_mutex_unlock(&p->lock);
        if (none) {
            return NULL;
        }
        give(p, k, hand->device, hand->device);
    }
}

static bool has_failed(struct pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    bool failed = p->failed;
    pthread_mutex_unlock(&p->lock);
    return failed;
}

static void fail(struct pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    p->failed = true;
    pthread_mutex_unlock(&p->lock);
}

/* Waits for the oldest step in flight and hands its results out. */
static void finish_step(struct pipeline *p)
{
    struct run_session *session = p->session;
    const struct run_source *source = p->source;
    uint64_t k = p->n_done++;
    struct run_slot *slot = &session->slots[slot_of(p, k)];
    const struct flight *flight = &p->flights[slot->number];
    pthread_mutex_lock(&p->lock);
    while (p->n_given[p->n_devices - 1] <= k) {
        pthread_cond_wait(&p->moved, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    if (!run_step_end(session, slot, flight->rec)) {
        fail(p);
    }
    if (has_failed(p) || p->status == RUN_CANCELLED) {
        return;
    }
    if (source->done != NULL &&
        !source->done(source->user, k, slot, flight->n_out, flight->scores)) {
        p->status = RUN_CANCELLED;
    }
}

static void finish_all(struct pipeline *p)
{
    while (p->n_done < p->n_given[0]) {
        finish_step(p);
    }
}

/* Room for the results, and the commands. */
static bool prepare(struct pipeline *p, struct run_slot *slot, const struct run_batch *batch)
{
    struct run_session *session = p->session;
    struct flight *flight = &p->flights[slot->number];
    struct run_shape shape = run_batch_shape(session->model, batch);
    if (batch->n_out > (shape.scores ? session->scored_rows : session->logits_rows)) {
        finish_all(p);
        bool ok = shape.scores ? run_session_reserve_scores(session, batch->n_out)
                               : run_session_reserve_logits(session, batch->n_out);
        if (!ok) {
            return false;
        }
    }
    flight->scores = shape.scores;
    flight->rec = run_record(session, slot, &shape);
    return flight->rec != NULL;
}

/* Plans the next step and sends it on its way. False: there is none, or the end has come. */
static bool send_next(struct pipeline *p)
{
    struct run_session *session = p->session;
    struct run_tokens tokens = {0};
    struct run_batch batch;
    uint32_t n_out;
    if (atomic_load(&session->cancel)) {
        p->status = RUN_CANCELLED;
    }
    if (p->status != RUN_OK || has_failed(p) || !p->source->next(p->source->user, &tokens)) {
        return false;
    }
    uint64_t begin = run_profile_begin(session), k = p->n_given[0];
    run_settle_all(session);
    p->status = run_tokens_plan(session, &tokens, &p->arrays, &batch, &n_out);
    run_profile_end(session, IDLE_PREPARE, begin);
    if (p->status != RUN_OK) {
        return false;
    }
    struct run_slot *slot = &session->slots[slot_of(p, k)];
    if (!prepare(p, slot, &batch)) {
        fail(p);
    }
    bool ok = !has_failed(p); /* one that is appended is run, cancelled or not */
    if (ok) {
        p->flights[slot->number].n_out = n_out;
        run_step_write(session, slot, p->flights[slot->number].rec, &batch);
    }
    kv_copied(&session->kv);
    if (!ok) {
        return false;
    }
    give(p, k, 0, 0);
    for (uint32_t d = 1; d < p->n_devices && p->n_hands == 0; d++) {
        give(p, k, d, 0);
    }
    return true;
}

static void end_hands(struct pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_hands; i++) {
        pthread_join(p->hands[i].thread, NULL);
    }
    p->ended = false;
    p->n_hands = 0;
}

/* All of them or, where threads cannot be had, none: then the caller's thread does their work. */
static void start_hands(struct pipeline *p)
{
    for (uint32_t d = 1; d < p->n_devices; d++) {
        struct hand *hand = &p->hands[p->n_hands];
        *hand = (struct hand){.pipe = p, .device = d};
        if (pthread_create(&hand->thread, NULL, work, hand) != 0) {
            log_debug(p->session->log, "no threads for %u devices: steps run one by one",
                      p->n_devices);
            end_hands(p);
            return;
        }
        p->n_hands++;
    }
}

static void run(struct pipeline *p)
{
    for (bool more = true; more || p->n_done < p->n_given[0];) {
        while (more && p->n_given[0] - p->n_done < p->depth) {
            more = send_next(p);
        }
        if (p->n_done < p->n_given[0]) {
            finish_step(p);
        }
    }
}

enum run_status run_pipeline(struct run_session *session, const struct run_source *source)
{
    uint32_t most = session->model->n_flight, depth = source->depth;
    struct pipeline p = {.session = session,
                         .source = source,
                         .n_devices = session->model->n_devices,
                         .depth = depth != 0 && depth < most ? depth : most};
    if (!run_arrays_init(&p.arrays, session->model->n_batch, session->log)) {
        return RUN_OUT_OF_MEMORY;
    }
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.moved, NULL);
    run_trace_tick(session);
    start_hands(&p);
    run(&p);
    end_hands(&p);
    pthread_cond_destroy(&p.moved);
    pthread_mutex_destroy(&p.lock);
    mem_free(p.arrays.memory);
    return p.failed ? run_session_failure(session) : p.status;
}
