/* quadriga eval hellaswag: tasks in, tokens made and packed before any weight is read, scores
 * collected as steps are done. */
#include "cli/eval_hellaswag.h"

#include "cli/commands.h"
#include "cli/memory.h"

#include <inttypes.h>
#include <string.h>

enum { LLAMA_TASKS = 400 };

static int check_usage(const struct cli_options *options)
{
    if ((options->model == NULL) == (options->dummy == NULL)) {
        cli_error("eval hellaswag: give either -m FILE or --dummy SHAPE (quadriga eval hellaswag "
                  "--help)");
        return CLI_USAGE;
    }
    if ((options->dummy == NULL) != (options->tokenizer == NULL)) {
        cli_error("eval hellaswag: --dummy and --tokenizer go together: dummy weights have no "
                  "vocabulary, a model file has its own");
        return CLI_USAGE;
    }
    if (options->file == NULL) {
        cli_error("eval hellaswag: give the tasks with -f FILE (quadriga eval hellaswag --help)");
        return CLI_USAGE;
    }
    if (options->go_on && options->per_task == NULL) {
        cli_error("eval hellaswag: --resume goes on with a file of --per-task: give one");
        return CLI_USAGE;
    }
    return CLI_DONE;
}

static bool choose(struct hellaswag *h)
{
    uint32_t total = (uint32_t)h->set.n;
    int64_t wanted = h->options->n_tasks;
    if (wanted < 0) {
        wanted = h->style == EVAL_LLAMA ? LLAMA_TASKS : 0;
    }
    h->n_chosen = wanted == 0 || wanted > total ? total : (uint32_t)wanted;
    h->chosen = cli_alloc(h->n_chosen, sizeof *h->chosen);
    if (h->chosen == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < h->n_chosen; i++) {
        h->chosen[i] = i;
    }
    if (h->style == EVAL_LLAMA && !eval_pick_llama(total, h->n_chosen, h->chosen)) {
        cli_error("out of memory for %" PRIu32 " tasks", total);
        return false;
    }
    return true;
}

/* What rows of --per-task must have in common. */
static bool make_id(struct hellaswag *h, char *out, size_t bytes)
{
    const struct cli_options *o = h->options;
    uint64_t model = 0;
    char name[64];
    if (o->dummy == NULL && !eval_hash_file(o->model, &model, &h->eval.log)) {
        return false;
    }
    snprintf(name, sizeof name, "%016" PRIx64, model);
    char text[256];
    snprintf(text, sizeof text, "style=%s tasks=%016" PRIx64 " model=%s cache=%s/%s%s",
             eval_style_name(h->style), eval_hash_set(&h->set), o->dummy != NULL ? o->dummy : name,
             cli_type_name(o->type_k), cli_type_name(o->type_v), o->no_share ? " no-share" : "");
    cli_make_safe(text, strlen(text), false, out, bytes);
    return true;
}

/* Opens the file of rows; those that are in it count. `done` is by index in the set. */
static bool open_rows(struct hellaswag *h, bool *done)
{
    char id[256] = "";
    const char *path = h->options->per_task;
    if ((path != NULL && !make_id(h, id, sizeof id)) ||
        !cli_eval_rows_open(&h->per_task, path, id, h->options->go_on, &h->set)) {
        return false;
    }
    bool *wanted = cli_alloc(h->set.n, sizeof *wanted);
    if (wanted == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < h->n_chosen; i++) {
        wanted[h->chosen[i]] = true;
    }
    for (size_t i = 0; i < h->per_task.n; i++) {
        const struct eval_result *result = &h->per_task.results[i];
        if (!done[result->index] && wanted[result->index]) {
            eval_tally_add(&h->tally, result);
            h->n_before++;
        }
        done[result->index] = true;
    }
    cli_free(wanted);
    return true;
}

static bool fits_model(const struct hellaswag *h, const struct eval_item *item)
{
    uint32_t most = h->eval.info.n_ctx_train;
    for (uint32_t e = 0; e < item->n_ways && most != 0; e++) {
        if (item->n[e] > most) {
            cli_error("task %" PRIu32 " (line %" PRIu64 ") has %" PRIu32
                      " tokens, the model was trained for %" PRIu32,
                      item->index, h->set.tasks[item->index].line, item->n[e], most);
            return false;
        }
    }
    return true;
}

static bool make_items(struct hellaswag *h, const bool *done)
{
    struct eval_tokenizer tokenizer = {
        .tokenize = cli_eval_tokenize, .user = &h->eval, .bos = h->eval.info.bos};
    h->items = cli_alloc(h->n_chosen, sizeof *h->items);
    bool ok = h->items != NULL;
    for (uint32_t i = 0; i < h->n_chosen && ok; i++) {
        if (done[h->chosen[i]]) {
            continue;
        }
        struct eval_item *item = &h->items[h->n_items++];
        ok = eval_item_make(item, &h->set, h->chosen[i], h->style, &tokenizer, &h->eval.log) &&
             fits_model(h, item);
        if (h->options->no_share) {
            item->shared = 0;
        }
        h->rows += ok ? eval_item_rows(item) : 0;
    }
    return ok;
}

static int prepare(struct hellaswag *h)
{
    if (!eval_set_read(&h->set, h->options->file, &h->eval.log) || !choose(h)) {
        return CLI_FAILED;
    }
    int code = cli_eval_open_vocab(&h->eval);
    if (code != CLI_DONE) {
        return code;
    }
    bool *done = cli_alloc(h->set.n, sizeof *done);
    bool ok = done != NULL && open_rows(h, done) && make_items(h, done);
    cli_free(done);
    if (ok && h->n_items != 0 && !eval_collect_init(&h->collect, h->items, h->n_items)) {
        cli_error("out of memory for %zu tasks", h->n_items);
        ok = false;
    }
    return ok ? CLI_DONE : CLI_FAILED;
}

static bool on_row(void *user, const struct eval_row *row, double score, const float *logits)
{
    struct hellaswag *h = user;
    struct eval_result result;
    (void)logits;
    if (!eval_collect_add(&h->collect, row, score)) {
        return true;
    }
    eval_collect_result(&h->collect, row->item, &result);
    if (!eval_result_ok(&result)) {
        cli_error("task %" PRIu32 ": the model's log-probabilities are no numbers", result.index);
        return false;
    }
    eval_tally_add(&h->tally, &result);
    h->pair_rows += eval_item_pair_rows(&h->items[row->item]);
    return cli_eval_rows_add(&h->per_task, &result);
}

static void on_step(void *user)
{
    struct hellaswag *h = user;
    char text[64];
    enum eval_metric metric = h->style == EVAL_LLAMA ? EVAL_ACC_TOK : EVAL_ACC_NORM;
    double share = h->tally.n != 0 ? (double)h->tally.right[metric] / (double)h->tally.n : 0;
    int n =
        snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu32 " tasks", h->tally.n, h->n_chosen);
    if (!h->eval.info.dummy && n > 0) {
        snprintf(text + n, sizeof text - (size_t)n, ", %s %.1f %%", eval_metric_name(metric),
                 100 * share);
    }
    cli_eval_bar_show(&h->bar, h->eval.n_rows, h->rows, text);
}

static int evaluate(struct hellaswag *h)
{
    int code = prepare(h);
    if (code != CLI_DONE) {
        return code;
    }
    if (h->n_items != 0) {
        code = cli_eval_load(&h->eval, h->items, h->n_items);
        if (code != CLI_DONE) {
            return code;
        }
        const struct cli_eval_job job = {
            .items = h->items, .n = h->n_items, .row = on_row, .step = on_step, .user = h};
        code = h->options->no_share ? cli_eval_run_pairs(&h->eval, &job)
                                    : cli_eval_run(&h->eval, &job);
        cli_eval_bar_end(&h->bar);
    }
    if (code == CLI_DONE || code > CLI_SIGNAL) {
        int printed = hellaswag_print(h);
        code = printed != CLI_DONE ? printed : code;
    }
    return code;
}

int cli_hellaswag(const struct cli_options *options)
{
    int code = check_usage(options);
    if (code != CLI_DONE) {
        return code;
    }
    struct hellaswag h = {.options = options,
                          .style = options->style == CLI_LLAMA_CPP ? EVAL_LLAMA : EVAL_LM_EVAL};
    cli_eval_init(&h.eval, options);
    code = evaluate(&h);
    if (!cli_eval_rows_close(&h.per_task) && code == CLI_DONE) {
        code = CLI_FAILED;
    }
    for (size_t i = 0; i < h.n_items; i++) {
        eval_item_finish(&h.items[i]);
    }
    eval_collect_finish(&h.collect);
    cli_free(h.items);
    cli_free(h.chosen);
    eval_set_finish(&h.set);
    return cli_eval_finish(&h.eval, code);
}
