/* Context, model and interruption: what the commands that compute have in common. */
#ifndef QUADRIGA_CLI_ENGINE_H
#define QUADRIGA_CLI_ENGINE_H

#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/term.h"
#include "cli/trace.h"

struct cli_engine {
    qd_context *context;
    qd_model *model;
    qd_session *session; /* none with QD_DEPTH_PLAN */
    struct cli_interrupt *interrupt;
    struct cli_progress progress;
    struct cli_trace trace;
    /* set before cli_engine_load */
    bool show_plan;       /* the plan goes to standard error */
    uint32_t n_seq, n_kv; /* as in qd_model_params */
};

/* A context without devices and the model to this depth (FACTS or more shallow). On failure the
 * cli_exit to return with, said; the engine needs cli_engine_close in any case. */
int cli_engine_open_vocab(struct cli_engine *engine, const struct cli_options *options,
                          enum qd_depth depth);
/* Context with devices. */
int cli_engine_open_devices(struct cli_engine *engine, const struct cli_options *options);
/* After it: the model on its devices and a session, or with dry_run only the plan. `n_ctx` as in
 * qd_model_params. */
int cli_engine_load(struct cli_engine *engine, const struct cli_options *options, uint32_t n_ctx);
/* Writes the trace that --trace asked for. Returns `code`, the cli_exit so far; CLI_FAILED, said,
 * in place of CLI_DONE where that failed or the validation layer had a message. */
int cli_engine_close(struct cli_engine *engine, int code);

/* Says why a call failed and returns the exit code: CLI_FAILED, or that of the signal. */
int cli_engine_failure(const struct cli_engine *engine, enum qd_status status);

#endif
