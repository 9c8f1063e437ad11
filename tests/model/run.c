/* Steps one after another, several in flight (qd_session_run): the same bits as one by one, on any
 * number of devices, with forks and truncations between them; cancelling, steps that are refused;
 * the trace of a run. */
#include "base/hash.h"
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 4096, STEPS = 14, BATCH = 24, SEQ = 6, CTX = 64, RESULTS = STEPS * 2 * VOCAB };

/* A stream of steps that depends on its seed alone, and the results as they come. */
struct stream {
    qd_session *session;
    uint64_t state;
    uint32_t n, n_done, length[SEQ];
    uint32_t token[BATCH], seq[BATCH], target[BATCH];
    bool want[BATCH];
    uint32_t bad;    /* number of a step with a token that does not exist; UINT32_MAX: none */
    uint32_t stop;   /* after this one `done` says no */
    uint32_t cancel; /* after this one the session is cancelled */
    size_t n_results;
    float results[RESULTS];
};

static uint32_t draw(struct stream *s, uint32_t below)
{
    return (uint32_t)(hash_next(&s->state) >> 33) % below;
}

/* Empties a sequence or makes it the beginning of another one: blocks are used again while steps
 * that had them are in flight. */
static void shuffle(struct stream *s)
{
    uint32_t from = draw(s, SEQ), to = draw(s, SEQ);
    if (s->length[to] + BATCH > CTX || draw(s, 4) == 0) {
        assert_int_equal(qd_session_truncate(s->session, to, 0), QD_OK);
        s->length[to] = 0;
    } else if (from != to && s->length[from] != 0) {
        uint32_t length = 1 + draw(s, s->length[from]);
        assert_int_equal(qd_session_fork(s->session, from, to, length), QD_OK);
        s->length[to] = length;
    }
}

static bool next(void *user, struct qd_step *step)
{
    struct stream *s = user;
    if (s->n == STEPS) {
        return false;
    }
    shuffle(s);
    uint32_t n = 1 + 7 * draw(s, 4); /* few shapes: each is recorded in each slot */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t seq = draw(s, SEQ);
        while (s->length[seq] == CTX) {
            seq = (seq + 1) % SEQ;
        }
        s->length[seq]++;
        s->token[i] = draw(s, VOCAB) + (s->n == s->bad && i == n / 2 ? VOCAB : 0);
        s->seq[i] = seq;
        s->target[i] = draw(s, VOCAB);
        s->want[i] = i == 0 || i + 1 == n;
    }
    *step = (struct qd_step){.n_tokens = n,
                             .token = s->token,
                             .seq = s->seq,
                             .want = s->want,
                             .target = s->n % 3 == 0 ? NULL : s->target};
    s->n++;
    return true;
}

static bool done(void *user, uint64_t index, const float *results, uint32_t n)
{
    struct stream *s = user;
    assert_int_equal(index, s->n_done);
    size_t count = n * (index % 3 == 0 ? (size_t)VOCAB : 1);
    assert_in_range(n, 1, 2);
    assert_true(s->n_results + count <= RESULTS);
    memcpy(s->results + s->n_results, results, count * sizeof *results);
    s->n_results += count;
    s->n_done++;
    if (index == s->cancel) {
        qd_session_cancel(s->session);
    }
    return index != s->stop;
}

static void start(struct stream *s, struct rig *rig)
{
    memset(s, 0, sizeof *s);
    s->session = rig->session;
    s->state = 77;
    s->bad = s->stop = s->cancel = UINT32_MAX;
    for (uint32_t i = 0; i < SEQ; i++) {
        assert_int_equal(qd_session_truncate(rig->session, i, 0), QD_OK);
    }
}

static enum qd_status run(struct stream *s, uint32_t depth)
{
    const struct qd_run_params params = {.next = next, .done = done, .user = s, .depth = depth};
    return qd_session_run(s->session, &params);
}

static void open_rig(struct rig *rig, uint32_t n_devices)
{
    rig_open(rig, MODEL_Q4KM, n_devices,
             &(struct qd_model_params){
                 .n_ctx = CTX, .n_kv = SEQ * CTX + 64, .n_batch = BATCH, .n_seq = SEQ});
}

/* Each step alone, on one device. */
static void run_alone(struct stream *s)
{
    struct rig rig;
    struct qd_step step;
    open_rig(&rig, 1);
    start(s, &rig);
    while (next(s, &step)) {
        uint32_t n = 0;
        assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
        const float *scores = qd_session_scores(rig.session, &n);
        const float *logits = qd_session_logits(rig.session, 0);
        assert_true((scores != NULL) == (step.target != NULL) &&
                    (scores == NULL) != (logits == NULL));
        done(s, s->n_done, scores != NULL ? scores : logits, step.n_tokens == 1 ? 1 : 2);
    }
    rig_close(&rig);
}

static void same(const struct stream *s, const struct stream *reference)
{
    assert_int_equal(s->n_done, STEPS);
    assert_int_equal(s->n_results, reference->n_results);
    assert_memory_equal(s->results, reference->results, s->n_results * sizeof *s->results);
}

static void same_as_one_by_one(void **state)
{
    (void)state;
    static struct stream reference, s;
    run_alone(&reference);
    assert_true(reference.n_results > 2 * VOCAB);
    for (uint32_t devices = 1; devices <= 4; devices++) {
        struct rig rig;
        open_rig(&rig, devices);
        for (uint32_t depth = 0; depth < (devices == 3 ? 2u : 1u); depth++) {
            start(&s, &rig);
            assert_int_equal(run(&s, depth), QD_OK);
            same(&s, &reference);
            assert_null(qd_session_logits(rig.session, 0));
            for (uint32_t i = 0; i < SEQ; i++) {
                assert_int_equal(qd_session_length(rig.session, i), s.length[i]);
            }
        }
        rig_close(&rig);
    }
}

/* Whatever ended a run: the results until then were passed on, and the next run is whole. */
static void ends_in_the_middle(void **state)
{
    (void)state;
    static struct stream reference, s;
    run_alone(&reference);
    for (uint32_t devices = 1; devices <= 3; devices += 2) {
        struct rig rig;
        open_rig(&rig, devices);
        start(&s, &rig);
        s.stop = 3;
        assert_int_equal(run(&s, 0), QD_CANCELLED);
        assert_int_equal(s.n_done, 4);
        assert_in_range(s.n, 4, 3 + (devices == 1 ? 2 : devices + 2));
        for (uint32_t i = 0; i < SEQ; i++) { /* what was sent on its way came to its end */
            assert_int_equal(qd_session_length(rig.session, i), s.length[i]);
        }
        start(&s, &rig);
        s.cancel = 5;
        assert_int_equal(run(&s, 0), QD_CANCELLED);
        assert_int_equal(s.n_done, 6);
        start(&s, &rig);
        s.bad = 7;
        assert_int_equal(run(&s, 0), QD_BAD_ARGUMENT);
        assert_int_equal(s.n_done, 7); /* those before it */
        assert_memory_equal(s.results, reference.results, s.n_results * sizeof *s.results);
        start(&s, &rig);
        assert_int_equal(run(&s, 0), QD_OK);
        same(&s, &reference);
        rig_close(&rig);
    }
}

/* Every step on every device, in order, one at a time, as long as the statistics say. */
static void traced(void **state)
{
    (void)state;
    static struct stream s;
    struct rig rig;
    struct qd_stats stats;
    size_t n, again;
    open_rig(&rig, 3);
    assert_int_equal(qd_session_get_trace(rig.session, NULL, 0, &n), QD_OK);
    assert_int_equal(n, 0);
    assert_int_equal(qd_session_trace(rig.session, true), QD_OK);
    qd_session_reset_stats(rig.session);
    start(&s, &rig);
    assert_int_equal(run(&s, 0), QD_OK);
    qd_session_get_stats(rig.session, &stats);
    assert_int_equal(qd_session_get_trace(rig.session, NULL, 0, &n), QD_OK);
    struct qd_trace_event *events = malloc((n + 1) * sizeof *events);
    assert_non_null(events);
    assert_int_equal(qd_session_get_trace(rig.session, events, n, &again), QD_OK);
    assert_int_equal(again, n);
    uint32_t steps[3] = {0}, kinds[QD_TRACE_READ + 1] = {0};
    uint64_t busy[3] = {0}, end[3] = {0}, first = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct qd_trace_event *e = &events[i];
        assert_in_range(e->kind, 0, QD_TRACE_READ);
        assert_true(e->begin_ns <= e->end_ns && e->device < 3 && e->thread < 3);
        kinds[e->kind]++;
        if (e->kind == QD_TRACE_WORK) {
            assert_int_equal(e->n_layers, 4);
            assert_int_equal(e->first_layer, 4 * e->device);
            first = first == UINT64_MAX ? e->step : first;
            assert_int_equal(e->step, first + steps[e->device]);
            assert_true(e->begin_ns >= end[e->device]);
            steps[e->device] += e->part + 1 == e->n_parts;
            busy[e->device] += e->end_ns - e->begin_ns;
            end[e->device] = e->end_ns;
        }
    }
    for (uint32_t d = 0; d < 3; d++) {
        struct qd_trace_clock clock;
        qd_session_get_trace_clock(rig.session, d, &clock);
        assert_int_equal(steps[d], STEPS);
        assert_true(!clock.has_timestamps || clock.error_ns > 0);
        uint64_t most = stats.device_busy_ns[d] / 1000 + 1000; /* drift, if any */
        assert_in_range(busy[d], stats.device_busy_ns[d] - most, stats.device_busy_ns[d] + most);
    }
    assert_int_equal(kinds[QD_TRACE_PUBLISH], 2 * STEPS);
    assert_int_equal(kinds[QD_TRACE_FETCH], 2 * STEPS);
    assert_int_equal(kinds[QD_TRACE_SUBMIT], 3 * STEPS);
    assert_int_equal(kinds[QD_TRACE_WAIT], 3 * STEPS);
    free(events);
    assert_int_equal(qd_session_trace(rig.session, false), QD_OK);
    assert_int_equal(qd_session_get_trace(rig.session, NULL, 0, &n), QD_OK);
    assert_int_equal(n, 0);
    rig_close(&rig);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_one_by_one),
        cmocka_unit_test(ends_in_the_middle),
        cmocka_unit_test(traced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
