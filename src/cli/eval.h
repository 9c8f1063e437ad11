/* What the evaluations have in common: tokens before weights, a session as large as the items need,
 * steps packed from them, a bar. The rest is of each one. */
#ifndef QUADRIGA_CLI_EVAL_H
#define QUADRIGA_CLI_EVAL_H

#include "cli/engine.h"
#include "eval/eval.h"

#include <jansson.h>

/* A bar on standard error while it is a terminal. */
struct cli_eval_bar {
    uint64_t begin_ns, shown_ns;
    bool shown;
};
/* `rows` of `all` are computed; `text`: what is known so far. */
void cli_eval_bar_show(struct cli_eval_bar *bar, uint64_t rows, uint64_t all, const char *text);
void cli_eval_bar_end(struct cli_eval_bar *bar);

struct cli_eval {
    const struct cli_options *options;
    struct log log;
    struct cli_engine engine;
    struct qd_model_info info; /* of the loaded model */
    uint64_t wall_ns;          /* of the steps */
    uint64_t n_rows;           /* tokens computed in steps that are done */
};

/* Needs cli_eval_finish in any case. */
void cli_eval_init(struct cli_eval *eval, const struct cli_options *options);
/* Closes the engine too. Returns `code`, or as cli_engine_close. */
int cli_eval_finish(struct cli_eval *eval, int code);

/* The tokenizer and facts of the model, without devices. They are closed by cli_eval_load. */
int cli_eval_open_vocab(struct cli_eval *eval);
/* An eval_tokenize_fn; `user` is the eval. */
bool cli_eval_tokenize(void *user, const char *text, size_t bytes, bool special, bool parse,
                       uint32_t **ids, size_t *count);
/* Devices, weights and a session for these items; with --no-share for one pair at a time. Returns
 * a cli_exit, said. */
int cli_eval_load(struct cli_eval *eval, const struct eval_item *items, size_t n);

/* A wanted row is done: its score, or its logits where those were asked for, else NULL. False ends
 * the run: said. */
typedef bool (*cli_eval_row_fn)(void *user, const struct eval_row *row, double score,
                                const float *logits);
/* After the rows of a step. */
typedef void (*cli_eval_step_fn)(void *user);
struct cli_eval_job {
    const struct eval_item *items;
    size_t n;
    bool logits; /* else scores */
    cli_eval_row_fn row;
    cli_eval_step_fn step;
    void *user;
};
/* Runs all items. CLI_DONE; the exit code of a signal, with what was done until then; else said. */
int cli_eval_run(struct cli_eval *eval, const struct cli_eval_job *job);
/* The same one pair of item and way at a time: a step in an empty sequence, awaited, then scored
 * on the host in double precision. A pair that is longer than a step of the session goes in pieces.
 * Items need `shared` = 0; rows come with score and logits. */
int cli_eval_run_pairs(struct cli_eval *eval, const struct cli_eval_job *job);

/* Seconds, tokens a second, busy shares; for JSON added to the object. */
void cli_eval_print_times(const struct cli_eval *eval);
void cli_eval_add_times(const struct cli_eval *eval, json_t *out);

#endif
