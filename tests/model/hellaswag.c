/* HellaSwag tasks packed, with shared contexts, scored on the devices, against one pair at a time
 * in a sequence of its own, scored here in double precision: sums within 1e-2, the same choices;
 * and bit by bit the same on three devices. 100 tasks in each style: contexts of
 * tests/data/eval/tasks.txt with endings of other ones. */
#include "common.h"
#include "eval/eval.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

enum { TASKS = 100, BATCH = 64, LONGEST = 256, FLIGHT = 8 };

struct tasks {
    struct log log;
    struct eval_set set;
    struct eval_item items[TASKS];
};

static bool tokenize(void *user, const char *text, size_t bytes, bool special, bool parse,
                     uint32_t **ids, size_t *count)
{
    *ids = mem_alloc(bytes + 8, sizeof **ids);
    return qd_tokenize(user, text, bytes, special, parse, *ids, bytes + 8, count) == QD_OK;
}

static void make_tasks(struct tasks *tasks, qd_model *model, enum eval_style style)
{
    struct eval_set *set = &tasks->set;
    struct eval_task mixed[TASKS];
    uint64_t rng = 11;
    log_init(&tasks->log, NULL, NULL, LOG_WARN);
    assert_true(eval_set_read(set, QD_SOURCE_DIR "/tests/data/eval/tasks.txt", &tasks->log));
    for (size_t i = 0; i < TASKS; i++) {
        mixed[i] = set->tasks[i % set->n];
        for (uint32_t e = 0; e < EVAL_ENDINGS && i >= set->n; e++) {
            mixed[i].ending[e] = set->tasks[hash_next(&rng) % set->n].ending[e];
        }
    }
    struct qd_model_info info;
    qd_model_get_info(model, &info);
    struct eval_set all = {.tasks = mixed, .n = TASKS};
    struct eval_tokenizer tokenizer = {tokenize, model, info.bos};
    for (uint32_t i = 0; i < TASKS; i++) {
        bool ok = eval_item_make(&tasks->items[i], &all, i, style, &tokenizer, &tasks->log);
        assert_string_equal(tasks->log.last, "");
        assert_true(ok);
    }
}

static void finish_tasks(struct tasks *tasks)
{
    for (uint32_t i = 0; i < TASKS; i++) {
        eval_item_finish(&tasks->items[i]);
    }
    eval_set_finish(&tasks->set);
    log_finish(&tasks->log);
}

/* ---- packed ---- */

struct packed {
    qd_session *session;
    struct eval_pack *pack;
    struct eval_collect collect;
    struct eval_row rows[FLIGHT * BATCH]; /* of the steps in flight */
    uint32_t begin, end;
};

static bool next(void *user, struct qd_step *out)
{
    struct packed *packed = user;
    const struct eval_step *step = eval_pack_next(packed->pack);
    for (uint32_t i = 0; step != NULL && i < step->n_drop; i++) {
        assert_int_equal(qd_session_truncate(packed->session, step->drop[i], 0), QD_OK);
    }
    for (uint32_t i = 0; step != NULL && i < step->n_fork; i++) {
        const struct eval_fork *f = &step->fork[i];
        assert_int_equal(qd_session_fork(packed->session, f->from, f->to, f->length), QD_OK);
    }
    for (uint32_t i = 0; step != NULL && i < step->n_out; i++) {
        packed->rows[packed->end++ % (FLIGHT * BATCH)] = step->row[i];
    }
    *out = step == NULL ? (struct qd_step){.n_tokens = 0}
                        : (struct qd_step){.n_tokens = step->n_tokens,
                                           .token = step->token,
                                           .pos = step->pos,
                                           .seq = step->seq,
                                           .want = step->want,
                                           .target = step->n_out != 0 ? step->target : NULL};
    return step != NULL;
}

static bool done(void *user, uint64_t index, const float *results, uint32_t n)
{
    struct packed *packed = user;
    (void)index;
    for (uint32_t i = 0; i < n; i++) {
        const struct eval_row *row = &packed->rows[packed->begin++ % (FLIGHT * BATCH)];
        eval_collect_add(&packed->collect, row, (double)results[i]);
    }
    return true;
}

/* The sums of all tasks on n devices. */
static void run_packed(const struct tasks *tasks, uint32_t n_devices,
                       double sums[TASKS][EVAL_ENDINGS])
{
    struct rig rig;
    struct qd_model_info info;
    struct packed *packed = mem_alloc(1, sizeof *packed);
    struct eval_need need = eval_pack_need(tasks->items, TASKS, BATCH, 32);
    assert_non_null(packed);
    rig_open(
        &rig, MODEL_F16, n_devices,
        &(struct qd_model_params){
            .n_batch = BATCH, .n_ctx = LONGEST, .n_seq = need.n_seq, .n_kv = (uint32_t)need.n_kv});
    qd_model_get_info(rig.model, &info);
    struct eval_limits limits = {info.n_batch, info.n_out_max, info.n_seq, info.n_kv,
                                 info.kv_block};
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    packed->session = rig.session;
    packed->pack = eval_pack_create(tasks->items, TASKS, &limits, &log);
    assert_non_null(packed->pack);
    assert_true(eval_collect_init(&packed->collect, tasks->items, TASKS));
    assert_int_equal(
        qd_session_run(
            rig.session,
            &(struct qd_run_params){.next = next, .done = done, .user = packed, .depth = FLIGHT}),
        QD_OK);
    for (uint32_t i = 0; i < TASKS; i++) {
        assert_int_equal(packed->collect.left[i], 0);
        memcpy(sums[i], packed->collect.sum[i], sizeof sums[i]);
    }
    eval_collect_finish(&packed->collect);
    eval_pack_destroy(packed->pack);
    log_finish(&log);
    rig_close(&rig);
    mem_free(packed);
}

/* ---- one pair at a time ---- */

static double sum_of_pair(struct rig *rig, const struct eval_item *item, uint32_t way,
                          uint32_t n_vocab)
{
    bool want[LONGEST];
    uint32_t n = item->n[way] - 1;
    double sum = 0;
    assert_true(n <= LONGEST && item->from >= 1 && item->from <= n);
    for (uint32_t i = 0; i < n; i++) {
        want[i] = i + 1 >= item->from;
    }
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    struct qd_step step = {.n_tokens = n, .token = item->tokens[way], .want = want};
    assert_int_equal(qd_session_step(rig->session, &step), QD_OK);
    for (uint32_t i = item->from; i <= n; i++) {
        const float *logits = qd_session_logits(rig->session, i - item->from);
        double most = -INFINITY, all = 0;
        for (uint32_t v = 0; v < n_vocab; v++) {
            most = fmax(most, (double)logits[v]);
        }
        for (uint32_t v = 0; v < n_vocab; v++) {
            all += exp((double)logits[v] - most);
        }
        sum += (double)logits[item->tokens[way][i]] - most - log(all);
    }
    return sum;
}

static uint32_t count_other_choices(const struct eval_result *a, const struct eval_result *b)
{
    uint32_t n = 0;
    for (uint32_t m = 0; m < EVAL_METRICS; m++) {
        n += eval_choose(a, (enum eval_metric)m) != eval_choose(b, (enum eval_metric)m);
    }
    return n;
}

static void compare(const struct tasks *tasks, struct rig *rig, double sums[TASKS][EVAL_ENDINGS])
{
    struct qd_model_info info;
    double worst = 0;
    uint32_t others = 0;
    qd_model_get_info(rig->model, &info);
    for (uint32_t i = 0; i < TASKS; i++) {
        const struct eval_item *item = &tasks->items[i];
        struct eval_result alone = {.index = i}, shared;
        for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
            alone.n_tokens[e] = item->n[e] - item->from;
            alone.n_chars[e] = item->n_chars[e];
            alone.n_bytes[e] = item->n_bytes[e];
            alone.sum[e] = sum_of_pair(rig, item, e, info.n_vocab);
            worst = fmax(worst, fabs(alone.sum[e] - sums[i][e]));
        }
        shared = alone;
        memcpy(shared.sum, sums[i], sizeof shared.sum);
        others += count_other_choices(&alone, &shared);
    }
    print_message("sums differ by at most %.2e, %u choices of %d\n", worst, others,
                  TASKS * EVAL_METRICS);
    assert_true(worst < 1e-2);
    assert_true(others * 1000 <= TASKS * EVAL_METRICS);
}

static void check_style(enum eval_style style)
{
    static double sums[3][TASKS][EVAL_ENDINGS];
    struct tasks *tasks = mem_alloc(1, sizeof *tasks);
    struct rig rig;
    assert_non_null(tasks);
    rig_open(&rig, MODEL_F16, 1, &(struct qd_model_params){.n_batch = LONGEST, .n_ctx = LONGEST});
    make_tasks(tasks, rig.model, style);
    run_packed(tasks, 1, sums[0]);
    compare(tasks, &rig, sums[0]);
    rig_close(&rig);
    if (style == EVAL_LM_EVAL) {
        run_packed(tasks, 3, sums[2]);
        assert_memory_equal(sums[0], sums[2], sizeof sums[0]);
    }
    finish_tasks(tasks);
    mem_free(tasks);
}

static void lm_eval(void **state)
{
    (void)state;
    check_style(EVAL_LM_EVAL);
}

static void llama(void **state)
{
    (void)state;
    check_style(EVAL_LLAMA);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lm_eval),
        cmocka_unit_test(llama),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
