/* Items one pair at a time, without anything that cli_eval_run makes use of: no forks, nothing
 * packed, no step while another one runs, no scores made on the devices. */
#include "cli/eval.h"

#include "cli/memory.h"

#include <math.h>

/* In double precision throughout, unlike the kernels. */
static double log_probability(const float *logits, uint32_t n_vocab, uint32_t target)
{
    double most = (double)logits[0], sum = 0;
    for (uint32_t i = 1; i < n_vocab; i++) {
        most = fmax(most, (double)logits[i]);
    }
    for (uint32_t i = 0; i < n_vocab; i++) {
        sum += exp((double)logits[i] - most);
    }
    return (double)logits[target] - most - log(sum);
}

struct pair {
    struct cli_eval *eval;
    const struct cli_eval_job *job;
    uint32_t item, way;
    bool *want; /* [n_batch] */
};

static bool score_rows(const struct pair *pair, uint32_t row, uint32_t n)
{
    const struct cli_eval *eval = pair->eval;
    const struct cli_eval_job *job = pair->job;
    const uint32_t *tokens = job->items[pair->item].tokens[pair->way];
    for (uint32_t i = 0, k = 0; i < n; i++) {
        if (!pair->want[i]) {
            continue;
        }
        const float *logits = qd_session_logits(eval->engine.session, k++);
        struct eval_row at = {.item = pair->item, .way = pair->way, .at = row + i + 1};
        double score = log_probability(logits, eval->info.n_vocab, tokens[at.at]);
        if (!job->row(job->user, &at, score, logits)) {
            return false;
        }
    }
    return true;
}

/* One step where the session takes it whole; else pieces, one behind the other. Row i is that of
 * token i; the last token has none. False: *status, or said. */
static bool run_pair(const struct pair *pair, enum qd_status *status)
{
    struct cli_eval *eval = pair->eval;
    const struct eval_item *item = &pair->job->items[pair->item];
    uint32_t rows = item->n[pair->way] - 1;
    *status = qd_session_truncate(eval->engine.session, 0, 0);
    for (uint32_t row = 0, n; row < rows && *status == QD_OK; row += n) {
        uint32_t n_out = 0;
        for (n = 0; n < eval->info.n_batch && row + n < rows && n_out < eval->info.n_out_max; n++) {
            pair->want[n] = row + n + 1 >= item->from;
            n_out += pair->want[n];
        }
        struct qd_step step = {
            .n_tokens = n, .token = item->tokens[pair->way] + row, .want = pair->want};
        *status = qd_session_step(eval->engine.session, &step);
        if (*status != QD_OK || !score_rows(pair, row, n)) {
            return false;
        }
        eval->n_rows += n;
    }
    return *status == QD_OK;
}

static int run_all(struct pair *pair)
{
    const struct cli_eval_job *job = pair->job;
    struct cli_engine *engine = &pair->eval->engine;
    for (pair->item = 0; pair->item < job->n; pair->item++) {
        for (pair->way = 0; pair->way < job->items[pair->item].n_ways; pair->way++) {
            enum qd_status status;
            int number = cli_interrupted(engine->interrupt);
            if (number != 0) {
                return CLI_SIGNAL + number;
            }
            if (!run_pair(pair, &status)) {
                return status == QD_OK ? CLI_FAILED : cli_engine_failure(engine, status);
            }
            if (job->step != NULL) {
                job->step(job->user);
            }
        }
    }
    return CLI_DONE;
}

int cli_eval_run_pairs(struct cli_eval *eval, const struct cli_eval_job *job)
{
    struct pair pair = {
        .eval = eval, .job = job, .want = cli_alloc(eval->info.n_batch, sizeof *pair.want)};
    if (pair.want == NULL) {
        return CLI_FAILED;
    }
    qd_session_reset_stats(eval->engine.session);
    uint64_t begin = cli_clock_ns();
    int code = run_all(&pair);
    eval->wall_ns = cli_clock_ns() - begin;
    cli_free(pair.want);
    return code;
}
