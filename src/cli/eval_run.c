/* Items through a session. */
#include "cli/eval.h"

#include "cli/input.h"
#include "cli/json.h"
#include "cli/memory.h"

#include <inttypes.h>
#include <string.h>

static void say(void *user, enum log_level level, const char *line)
{
    if (level == LOG_ERROR) {
        cli_error("%s", line);
    } else {
        cli_log(user, (enum qd_log_level)level, line);
    }
}

void cli_eval_init(struct cli_eval *eval, const struct cli_options *options)
{
    *eval = (struct cli_eval){.options = options};
    log_init(&eval->log, say, NULL, options->verbose ? LOG_INFO : LOG_WARN);
}

int cli_eval_finish(struct cli_eval *eval, int code)
{
    code = cli_engine_close(&eval->engine, code);
    log_finish(&eval->log);
    return code;
}

int cli_eval_open_vocab(struct cli_eval *eval)
{
    int code = cli_engine_open_vocab(&eval->engine, eval->options, QD_DEPTH_FACTS);
    if (code == CLI_DONE) {
        qd_model_get_info(eval->engine.model, &eval->info);
    }
    return code;
}

bool cli_eval_tokenize(void *user, const char *text, size_t bytes, bool special, bool parse,
                       uint32_t **ids, size_t *count)
{
    struct cli_eval *eval = user;
    struct cli_ids read;
    bool ok = cli_ids_read_as(&read, eval->engine.context, eval->engine.model, text, bytes, special,
                              parse);
    if (!ok) {
        cli_ids_finish(&read);
    }
    *ids = read.ids;
    *count = read.n;
    return ok;
}

/* Tokens of a step where nobody says: as the library chooses them, before it can be asked. */
static uint32_t guess_batch(const struct cli_eval *eval)
{
    enum { OF_CPU = 64, OF_GPU = 2048 };
    const struct cli_options *options = eval->options;
    if (options->n_batch != 0) {
        return (uint32_t)options->n_batch;
    }
    struct qd_device_info info;
    for (uint32_t d = 0; d < qd_device_count(eval->engine.context); d++) {
        bool used = false;
        if (qd_device_get(eval->engine.context, d, &info) != QD_OK) {
            continue;
        }
        for (uint32_t i = 0; i < options->n_devices; i++) {
            used = used || options->devices[i] == d;
        }
        used = options->n_devices != 0 ? used : info.opened_by_default;
        if (used && info.type != QD_DEVICE_CPU) {
            return OF_GPU;
        }
    }
    return OF_CPU;
}

int cli_eval_load(struct cli_eval *eval, const struct eval_item *items, size_t n)
{
    enum { MOST_BATCH = 4096 }; /* as of the option */
    uint32_t longest = 0, block = eval->info.kv_block;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t w = 0; w < items[i].n_ways; w++) {
            longest = items[i].n[w] > longest ? items[i].n[w] : longest;
        }
    }
    int code = cli_engine_close(&eval->engine, CLI_DONE);
    if (code == CLI_DONE) {
        code = cli_engine_open_devices(&eval->engine, eval->options);
    }
    if (code != CLI_DONE) {
        return code;
    }
    struct cli_options options = *eval->options;
    if (!options.no_share) {
        struct eval_need need = eval_pack_need(items, n, guess_batch(eval), block);
        eval->engine.n_seq = need.n_seq;
        eval->engine.n_kv = need.n_kv < UINT32_MAX ? (uint32_t)need.n_kv : UINT32_MAX;
    } else if (options.n_batch == 0) {
        options.n_batch = longest < MOST_BATCH ? longest : MOST_BATCH;
    }
    code = cli_engine_load(&eval->engine, &options, longest);
    if (code == CLI_DONE) {
        qd_model_get_info(eval->engine.model, &eval->info);
    }
    return code;
}

/* Rows of the steps in flight, in order. */
struct queue {
    struct eval_row *rows;
    size_t begin, end, cap;
};

static bool queue_add(struct queue *queue, const struct eval_row *rows, size_t n)
{
    if (queue->begin != 0 && queue->end + n > queue->cap) {
        memmove(queue->rows, queue->rows + queue->begin,
                (queue->end - queue->begin) * sizeof *queue->rows);
        queue->end -= queue->begin;
        queue->begin = 0;
    }
    if (queue->end + n > queue->cap) {
        size_t cap = 2 * (queue->end + n);
        struct eval_row *grown = cli_resize(queue->rows, cap, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        queue->rows = grown;
        queue->cap = cap;
    }
    memcpy(queue->rows + queue->end, rows, n * sizeof *rows);
    queue->end += n;
    return true;
}

struct run {
    struct cli_eval *eval;
    const struct cli_eval_job *job;
    struct eval_pack *pack;
    struct queue queue;
    struct queue sizes; /* of the steps in flight: tokens, as `at` */
    enum qd_status status;
    bool failed; /* said */
};

static bool next_step(void *user, struct qd_step *out)
{
    struct run *run = user;
    qd_session *session = run->eval->engine.session;
    if (cli_interrupted(run->eval->engine.interrupt) != 0) {
        return false;
    }
    const struct eval_step *step = eval_pack_next(run->pack);
    if (step == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < step->n_drop && run->status == QD_OK; i++) {
        run->status = qd_session_truncate(session, step->drop[i], 0);
    }
    for (uint32_t i = 0; i < step->n_fork && run->status == QD_OK; i++) {
        const struct eval_fork *fork = &step->fork[i];
        run->status = qd_session_fork(session, fork->from, fork->to, fork->length);
    }
    struct eval_row size = {.at = step->n_tokens};
    run->failed =
        !queue_add(&run->queue, step->row, step->n_out) || !queue_add(&run->sizes, &size, 1);
    *out = (struct qd_step){
        .n_tokens = step->n_tokens,
        .token = step->token,
        .pos = step->pos,
        .seq = step->seq,
        .want = step->want,
        .target = run->job->logits || step->n_out == 0 ? NULL : step->target,
    };
    return run->status == QD_OK && !run->failed;
}

static bool step_done(void *user, uint64_t index, const float *results, uint32_t n)
{
    struct run *run = user;
    const struct cli_eval_job *job = run->job;
    (void)index;
    for (uint32_t i = 0; i < n; i++) {
        const struct eval_row *row = &run->queue.rows[run->queue.begin++];
        const float *logits = results + (size_t)i * run->eval->info.n_vocab;
        if (!job->row(job->user, row, job->logits ? 0 : (double)results[i],
                      job->logits ? logits : NULL)) {
            run->failed = true;
            return false;
        }
    }
    run->eval->n_rows += run->sizes.rows[run->sizes.begin++].at;
    if (job->step != NULL) {
        job->step(job->user);
    }
    return true;
}

/* Why the run ended. */
static int judge(const struct run *run, enum qd_status status)
{
    int number = cli_interrupted(run->eval->engine.interrupt);
    if (run->failed) {
        return CLI_FAILED;
    }
    if (number != 0) {
        return CLI_SIGNAL + number;
    }
    status = status != QD_OK ? status : run->status;
    return status == QD_OK ? CLI_DONE : cli_engine_failure(&run->eval->engine, status);
}

int cli_eval_run(struct cli_eval *eval, const struct cli_eval_job *job)
{
    struct run run = {.eval = eval, .job = job};
    const struct eval_limits limits = {.n_batch = eval->info.n_batch,
                                       .n_out = eval->info.n_out_max,
                                       .n_seq = eval->info.n_seq,
                                       .n_kv = eval->info.n_kv,
                                       .block = eval->info.kv_block};
    run.pack = eval_pack_create(job->items, job->n, &limits, &eval->log);
    if (run.pack == NULL) {
        return CLI_FAILED;
    }
    qd_session_reset_stats(eval->engine.session);
    uint64_t begin = cli_clock_ns();
    enum qd_status status =
        qd_session_run(eval->engine.session,
                       &(struct qd_run_params){.next = next_step, .done = step_done, .user = &run});
    eval->wall_ns = cli_clock_ns() - begin;
    eval_pack_destroy(run.pack);
    cli_free(run.queue.rows);
    cli_free(run.sizes.rows);
    return judge(&run, status);
}

/* Of the time of the steps. */
static double busy_share(const struct cli_eval *eval, const struct qd_stats *stats, uint32_t d)
{
    return eval->wall_ns != 0 ? (double)stats->device_busy_ns[d] / (double)eval->wall_ns : 0;
}

static double rate(const struct cli_eval *eval)
{
    return eval->wall_ns != 0 ? (double)eval->n_rows / ((double)eval->wall_ns / 1e9) : 0;
}

void cli_eval_print_times(const struct cli_eval *eval)
{
    struct qd_stats stats;
    qd_session_get_stats(eval->engine.session, &stats);
    printf("  %-12s %10.3f s, after %.3f s of loading\n", "time", (double)eval->wall_ns / 1e9,
           (double)stats.load_ns / 1e9);
    printf("  %-12s %10.1f tokens/s\n  %-12s", "rate", rate(eval), "busy");
    for (uint32_t d = 0; d < eval->info.n_devices; d++) {
        printf(" %s[%u] %.0f %%", d == 0 ? "      " : "", d, 100 * busy_share(eval, &stats, d));
    }
    printf("\n");
}

void cli_eval_add_times(const struct cli_eval *eval, json_t *out)
{
    struct qd_stats stats;
    json_t *devices = json_array();
    qd_session_get_stats(eval->engine.session, &stats);
    cli_json_add(out, "seconds", json_real((double)eval->wall_ns / 1e9));
    cli_json_add(out, "load_seconds", json_real((double)stats.load_ns / 1e9));
    cli_json_add(out, "tokens_per_second", json_real(rate(eval)));
    cli_json_add(out, "n_batch", json_integer(eval->info.n_batch));
    for (uint32_t d = 0; d < eval->info.n_devices; d++) {
        struct qd_device_info info = {.index = 0};
        json_t *device = json_object();
        qd_device_get(eval->engine.context, eval->info.device_index[d], &info);
        cli_json_add(device, "device", json_integer(eval->info.device_index[d]));
        cli_json_add(device, "name", cli_json_text(info.name));
        cli_json_add(device, "busy", json_real(busy_share(eval, &stats, d)));
        json_array_append_new(devices, device);
    }
    cli_json_add(out, "devices", devices);
}
