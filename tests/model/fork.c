/* Sequences that share a prefix, and scores: the endings of a question, its context run once, are
 * as likely as when each is run alone; scores are what the logits say. */
#include "api/objects.h"
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 4096, CONTEXT = 37, ENDINGS = 4, MOST = 11, BATCH = 128, SEQ = 8, CTX = 128 };

static const uint32_t lengths[ENDINGS] = {5, MOST, 1, 8};

/* A context, and endings that begin with its last token: that is where their first one is scored.
 */
struct question {
    uint32_t context[CONTEXT];
    uint32_t ending[ENDINGS][MOST + 1], target[ENDINGS][MOST + 1];
};

static void make_question(struct question *q)
{
    struct golden golden;
    size_t n, more;
    golden_open(&golden);
    uint32_t *ids = golden_ids(&golden, 1, "greedy", &n);
    uint32_t *others = golden_ids(&golden, 0, "greedy", &more);
    assert_true(n >= CONTEXT && more > ENDINGS + MOST);
    memcpy(q->context, ids, sizeof q->context);
    for (uint32_t e = 0; e < ENDINGS; e++) {
        q->ending[e][0] = q->context[CONTEXT - 1];
        for (uint32_t i = 0; i <= MOST; i++) {
            q->target[e][i] = others[e + i];
            if (i < MOST) {
                q->ending[e][i + 1] = others[e + i];
            }
        }
    }
    free_numbers(ids);
    free_numbers(others);
    golden_close(&golden);
}

static void open_rig(struct rig *rig, enum qd_type type, uint32_t n_devices)
{
    rig_open(rig, MODEL_F16, n_devices,
             &(struct qd_model_params){.n_ctx = CTX,
                                       .n_kv = 5 * CTX,
                                       .n_batch = BATCH,
                                       .n_seq = SEQ,
                                       .type_k = type,
                                       .type_v = type});
}

/* A step that is put together. */
struct batch {
    uint32_t n, n_forks, token[BATCH], seq[BATCH], target[BATCH];
    bool want[BATCH];
    struct qd_fork fork[SEQ];
};

static void add(struct batch *b, uint32_t seq, const uint32_t *token, const uint32_t *target,
                uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, b->n++) {
        assert_true(b->n < BATCH);
        b->token[b->n] = token[i];
        b->seq[b->n] = seq;
        b->want[b->n] = target != NULL;
        b->target[b->n] = target != NULL ? target[i] : UINT32_MAX; /* which nobody reads */
    }
}

static void add_fork(struct batch *b, uint32_t from, uint32_t to, uint32_t length)
{
    b->fork[b->n_forks++] =
        (struct qd_fork){.before = b->n, .from = from, .to = to, .length = length};
}

static void run(struct rig *rig, const struct batch *b, bool scores)
{
    struct qd_step step = {.n_tokens = b->n,
                           .token = b->token,
                           .seq = b->seq,
                           .want = b->want,
                           .target = scores ? b->target : NULL,
                           .forks = b->fork,
                           .n_forks = b->n_forks};
    assert_int_equal(qd_session_step(rig->session, &step), QD_OK);
}

static void forget(struct rig *rig)
{
    for (uint32_t s = 0; s < SEQ; s++) {
        assert_int_equal(qd_session_truncate(rig->session, s, 0), QD_OK);
    }
}

/* Scores of the endings one behind the other. */
struct scores {
    uint32_t n;
    float value[ENDINGS * (MOST + 1)];
};

static void take(struct rig *rig, struct scores *out)
{
    uint32_t n;
    const float *scores = qd_session_scores(rig->session, &n);
    assert_non_null(scores);
    assert_null(qd_session_logits(rig->session, 0));
    assert_true(out->n + n <= sizeof out->value / sizeof *out->value);
    memcpy(out->value + out->n, scores, n * sizeof *scores);
    out->n += n;
}

static void alone(struct rig *rig, const struct question *q, struct scores *out)
{
    out->n = 0;
    forget(rig);
    for (uint32_t e = 0; e < ENDINGS; e++) {
        struct batch b = {0};
        add(&b, e, q->context, NULL, CONTEXT - 1);
        add(&b, e, q->ending[e], q->target[e], lengths[e]);
        run(rig, &b, true);
        take(rig, out);
    }
}

/* One step, in which sequence 0 has the context and the first ending. */
static void at_once(struct rig *rig, const struct question *q, struct scores *out)
{
    struct batch b = {0};
    out->n = 0;
    forget(rig);
    add(&b, 0, q->context, NULL, CONTEXT - 1);
    for (uint32_t e = 1; e < ENDINGS; e++) {
        add_fork(&b, 0, e, CONTEXT - 1);
    }
    for (uint32_t e = 0; e < ENDINGS; e++) {
        add(&b, e, q->ending[e], q->target[e], lengths[e]);
    }
    run(rig, &b, true);
    take(rig, out);
}

/* The context in two steps; forks of forks; the first ending is complete before the last ones. */
static void in_steps(struct rig *rig, const struct question *q, struct scores *out)
{
    struct batch b = {0};
    out->n = 0;
    forget(rig);
    add(&b, 7, q->context, NULL, 20);
    run(rig, &b, true);
    assert_null(qd_session_scores(rig->session, NULL));
    b.n = 0;
    add(&b, 7, q->context + 20, NULL, CONTEXT - 20);
    run(rig, &b, true);
    assert_int_equal(qd_session_fork(rig->session, 7, 3, CONTEXT - 1), QD_OK);
    assert_int_equal(qd_session_fork(rig->session, 3, 0, CONTEXT - 1), QD_OK);
    assert_int_equal(qd_session_fork(rig->session, 0, 1, CONTEXT - 1), QD_OK);
    assert_int_equal(qd_session_truncate(rig->session, 7, 10), QD_OK);
    b.n = 0;
    add(&b, 0, q->ending[0], q->target[0], lengths[0]);
    add(&b, 1, q->ending[1], q->target[1], 2);
    add(&b, 7, q->ending[1], NULL, 3); /* somebody else, in a block that the others see */
    run(rig, &b, true);
    take(rig, out);
    b.n = 0;
    add(&b, 1, q->ending[1] + 2, q->target[1] + 2, lengths[1] - 2);
    add_fork(&b, 3, 2, CONTEXT - 1);
    add(&b, 3, q->ending[3], NULL, 1);
    add(&b, 2, q->ending[2], q->target[2], lengths[2]);
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    run(rig, &b, true);
    take(rig, out);
    assert_int_equal(qd_session_truncate(rig->session, 3, CONTEXT - 1), QD_OK);
    b.n = b.n_forks = 0;
    add(&b, 3, q->ending[3], q->target[3], lengths[3]);
    run(rig, &b, true);
    take(rig, out);
}

static double distance(const struct scores *a, const struct scores *b)
{
    double worst = 0;
    assert_true(a->n == b->n && a->n > ENDINGS);
    for (uint32_t i = 0; i < a->n; i++) {
        assert_true(isfinite(a->value[i]) && a->value[i] < 0);
        worst = fmax(worst, fabs((double)a->value[i] - (double)b->value[i]));
    }
    return worst;
}

/* Few tokens are multiplied by other kernels than many, so steps in parts may differ a bit. */
static void endings_agree(void **state)
{
    (void)state;
    static const enum qd_type types[] = {QD_TYPE_F16, QD_TYPE_Q8_0, QD_TYPE_F32};
    static const char *const names[] = {"f16", "q8_0", "f32"};
    struct question q;
    make_question(&q);
    for (size_t t = 0; t < 3; t++) {
        struct scores one, first = {0};
        for (uint32_t devices = 1; devices <= 4; devices += 3) {
            struct rig rig;
            struct scores each, parts;
            open_rig(&rig, types[t], devices);
            alone(&rig, &q, &each);
            at_once(&rig, &q, &one);
            in_steps(&rig, &q, &parts);
            double far = distance(&each, &one), more = distance(&each, &parts);
            printf("%s, %u devices: one step %.2e, several %.2e from each alone\n", names[t],
                   devices, far, more);
            assert_true(far < 1e-4);
            assert_true(more < (types[t] == QD_TYPE_Q8_0 ? 5e-2 : 1e-3));
            at_once(&rig, &q, &parts); /* over what was there */
            assert_memory_equal(one.value, parts.value, one.n * sizeof *one.value);
            if (devices > 1) {
                assert_memory_equal(one.value, first.value, one.n * sizeof *one.value);
            }
            first = one;
            rig_close(&rig);
        }
    }
}

/* Against the logits of the same tokens, in double precision. */
static void scores_are_those_of_logits(void **state)
{
    (void)state;
    struct rig rig;
    struct question q;
    struct batch b = {0};
    struct scores scores = {0};
    make_question(&q);
    open_rig(&rig, QD_TYPE_F16, 1);
    for (int pass = 0; pass < 2; pass++) {
        forget(&rig);
        b.n = 0;
        add(&b, 0, q.context, NULL, CONTEXT - 1);
        add(&b, 0, q.ending[1], q.target[1], MOST);
        run(&rig, &b, pass == 0);
        if (pass == 0) {
            take(&rig, &scores);
        }
    }
    assert_int_equal(scores.n, MOST);
    assert_null(qd_session_scores(rig.session, NULL));
    for (uint32_t i = 0; i < MOST; i++) {
        const float *row = qd_session_logits(rig.session, i);
        double top = -INFINITY, sum = 0;
        for (uint32_t v = 0; v < VOCAB; v++) {
            top = fmax(top, (double)row[v]);
        }
        for (uint32_t v = 0; v < VOCAB; v++) {
            sum += exp((double)row[v] - top);
        }
        double want = (double)row[q.target[1][i]] - top - log(sum);
        assert_true(fabs(want - (double)scores.value[i]) < 1e-5);
    }
    assert_null(qd_session_logits(rig.session, MOST));
    rig_close(&rig);
}

/* A prompt behind a shared end, and its sharer afterwards. */
static void generation_goes_on(void **state)
{
    (void)state;
    for (uint32_t devices = 1; devices <= 4; devices += 3) {
        struct rig rig;
        struct question q;
        uint32_t clean[6], mine[6];
        make_question(&q);
        open_rig(&rig, QD_TYPE_F16, devices);
        rig_greedy(&rig, q.context, CONTEXT, 6, clean);
        for (int turn = 0; turn < 2; turn++) {
            forget(&rig);
            struct batch b = {0};
            add(&b, 1, q.context, NULL, 20);
            run(&rig, &b, true);
            assert_int_equal(qd_session_fork(rig.session, 1, 0, 20), QD_OK);
            b.n = 0;
            add(&b, 1, q.ending[0], NULL, 5);
            if (turn == 1) {
                run(&rig, &b, true);
            }
            struct qd_generate_result result;
            for (uint32_t i = 0; i < 6; i++) {
                struct qd_generate_params params = {.prompt =
                                                        i == 0 ? q.context + 20 : &mine[i - 1],
                                                    .n_prompt = i == 0 ? CONTEXT - 20 : 1,
                                                    .n_predict = 1};
                assert_int_equal(qd_session_generate(rig.session, &params, &result), QD_OK);
                const float *row = qd_session_logits(rig.session, 0);
                mine[i] = 0;
                for (uint32_t v = 1; v < VOCAB; v++) {
                    mine[i] = row[v] > row[mine[i]] ? v : mine[i];
                }
            }
            assert_memory_equal(mine, clean, sizeof mine);
        }
        rig_close(&rig);
    }
}

/* A prompt that is cancelled leaves a sequence with the end that it shares. */
static void cancelled_prompts(void **state)
{
    (void)state;
    for (uint32_t devices = 1; devices <= 4; devices += 3) {
        struct rig rig;
        struct question q;
        struct batch b = {0};
        uint32_t clean;
        make_question(&q);
        open_rig(&rig, QD_TYPE_F16, devices);
        struct run_session *session = &rig.session->run;
        rig_greedy(&rig, q.context, CONTEXT, 1, &clean);
        forget(&rig);
        add(&b, 1, q.context, NULL, 20);
        run(&rig, &b, true);
        assert_int_equal(qd_session_fork(rig.session, 1, 0, 20), QD_OK);
        for (uint32_t s = 0; s < 2; s++) {
            const uint32_t *rest = q.context + 20;
            uint32_t n_free = session->kv.group[KV_GLOBAL].n_free;
            qd_session_cancel(rig.session);
            assert_int_equal(run_prefill(session, s, rest, CONTEXT - 20, true), RUN_CANCELLED);
            assert_int_equal(qd_session_length(rig.session, s), 20);
            assert_int_equal(session->kv.group[KV_GLOBAL].n_free, n_free);
            atomic_store(&session->cancel, false);
            assert_int_equal(run_prefill(session, s, rest, CONTEXT - 20, true), RUN_OK);
            uint32_t best = 0;
            for (uint32_t v = 1; v < VOCAB; v++) {
                best = session->logits[v] > session->logits[best] ? v : best;
            }
            assert_int_equal(best, clean);
        }
        rig_close(&rig);
    }
}

static void refuse(struct rig *rig, const struct qd_step *step, enum qd_status status,
                   const char *text)
{
    uint32_t before[SEQ];
    for (uint32_t s = 0; s < SEQ; s++) {
        before[s] = qd_session_length(rig->session, s);
    }
    assert_int_equal(qd_session_step(rig->session, step), status);
    assert_non_null(strstr(qd_last_error(rig->context), text));
    for (uint32_t s = 0; s < SEQ; s++) {
        assert_int_equal(qd_session_length(rig->session, s), before[s]);
    }
}

static void bad_arguments(void **state)
{
    (void)state;
    struct rig rig;
    struct question q;
    make_question(&q);
    open_rig(&rig, QD_TYPE_F16, 1);
    struct batch b = {0};
    add(&b, 0, q.context, NULL, 10);
    run(&rig, &b, true);
    qd_session *session = rig.session;
    assert_int_equal(qd_session_fork(session, 0, SEQ, 1), QD_BAD_ARGUMENT);
    assert_int_equal(qd_session_fork(session, SEQ, 0, 0), QD_BAD_ARGUMENT);
    assert_int_equal(qd_session_fork(session, 0, 0, 1), QD_BAD_ARGUMENT);
    assert_int_equal(qd_session_fork(session, 0, 1, 11), QD_BAD_ARGUMENT);
    assert_string_equal(qd_last_error(rig.context),
                        "fork of 11 tokens of sequence 0, which has 10");
    uint32_t token[3] = {1, 2, 3}, seq[3] = {0, 1, 1}, target[3] = {0, VOCAB, 0};
    bool want[3] = {true, false, true};
    struct qd_fork fork[2] = {{.before = 1, .from = 0, .to = 1, .length = 11},
                              {.before = 1, .from = 0, .to = 2, .length = 3}};
    struct qd_step step = {.n_tokens = 3, .token = token, .seq = seq, .forks = fork, .n_forks = 2};
    step.want = want;
    step.target = target;
    want[1] = true;
    refuse(&rig, &step, QD_BAD_ARGUMENT, "token 1 of 3: target 4096: the vocabulary has 4096");
    want[1] = false;
    fork[1].before = 0;
    refuse(&rig, &step, QD_BAD_ARGUMENT, "fork 1 of a step of 3 tokens, before token 0");
    fork[1].before = 3;
    refuse(&rig, &step, QD_BAD_ARGUMENT, "fork 1 of a step of 3 tokens, before token 3");
    fork[1].before = 2;
    fork[1].to = 1;
    refuse(&rig, &step, QD_BAD_ARGUMENT, "fork 1 of a step to sequence 1, of which it has token 1");
    fork[1].to = 2;
    fork[1].length = 12;
    refuse(&rig, &step, QD_BAD_ARGUMENT, "fork of 12 tokens of sequence 0, which has 11");
    step.forks = NULL;
    refuse(&rig, &step, QD_BAD_ARGUMENT, "a step without forks");
    step.forks = fork;
    fork[1].length = 11;
    assert_int_equal(qd_session_step(session, &step), QD_OK);
    assert_int_equal(qd_session_length(session, 1), 13);
    assert_int_equal(qd_session_length(session, 2), 11);
    rig_close(&rig);
}

/* Many sequences in a cache that is smaller than all of them: a shared prefix counts once. */
static void room_is_shared(void **state)
{
    (void)state;
    struct rig rig;
    struct qd_model_info info;
    struct question q;
    make_question(&q);
    rig_open(
        &rig, MODEL_F16, 1,
        &(struct qd_model_params){.n_ctx = CTX, .n_kv = 2 * CTX, .n_batch = BATCH, .n_seq = SEQ});
    qd_model_get_info(rig.model, &info);
    assert_int_equal(info.n_kv, 2 * CTX);
    assert_true(info.n_out_max > 0 && info.n_out_max <= BATCH);
    struct batch b = {0};
    add(&b, 0, q.context, NULL, 32);
    run(&rig, &b, true);
    for (uint32_t s = 1; s < SEQ; s++) {
        assert_int_equal(qd_session_fork(rig.session, 0, s, 32), QD_OK);
    }
    b.n = 0;
    for (uint32_t s = 1; s < SEQ; s++) { /* seven blocks, and the shared one: all */
        add(&b, s, q.ending[0], NULL, 3);
    }
    run(&rig, &b, true);
    uint32_t seq[33] = {0}, token[33] = {0};
    struct qd_step step = {.n_tokens = 1, .token = token, .seq = seq};
    refuse(&rig, &step, QD_CONTEXT_FULL,
           "sequence 0 of 32 tokens: the KV cache of 256 tokens is full");
    assert_int_equal(qd_session_truncate(rig.session, 5, 32), QD_OK);
    step.n_tokens = 33;
    refuse(&rig, &step, QD_CONTEXT_FULL, "is full");
    step.n_tokens = 32;
    assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endings_agree),      cmocka_unit_test(scores_are_those_of_logits),
        cmocka_unit_test(generation_goes_on), cmocka_unit_test(cancelled_prompts),
        cmocka_unit_test(bad_arguments),      cmocka_unit_test(room_is_shared),
    };
    return rig_has_device() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
