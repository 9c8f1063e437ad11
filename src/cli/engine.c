/* Opens and closes what a command works with, in order. */
#include "cli/engine.h"

#include "cli/env.h"

#include <stdio.h>
#include <string.h>

static int open_context(struct cli_engine *engine, const struct cli_options *options,
                        bool no_devices)
{
    char error[1024] = "";
    struct qd_context_params params = {.log = cli_log,
                                       .log_level = options->verbose ? QD_LOG_DEBUG : QD_LOG_WARN,
                                       .no_devices = no_devices};
    enum qd_status status = qd_context_create(&params, &engine->context, error, sizeof error);
    if (status != QD_OK) {
        cli_error("%s", *error != '\0' ? error : qd_status_text(status));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

int cli_engine_open_vocab(struct cli_engine *engine, const struct cli_options *options,
                          enum qd_depth depth)
{
    *engine = (struct cli_engine){0};
    if (open_context(engine, options, true) != CLI_DONE) {
        return CLI_FAILED;
    }
    enum qd_status status = qd_model_load(engine->context,
                                          &(struct qd_model_params){.path = options->model,
                                                                    .dummy = options->dummy,
                                                                    .tokenizer = options->tokenizer,
                                                                    .depth = depth},
                                          &engine->model);
    return status == QD_OK ? CLI_DONE : cli_engine_failure(engine, status);
}

int cli_engine_open_devices(struct cli_engine *engine, const struct cli_options *options)
{
    *engine = (struct cli_engine){0};
    if (options->model != NULL && !cli_env_prepare(options->model)) {
        return CLI_FAILED;
    }
    if (!cli_trace_open(&engine->trace, options->trace)) {
        return CLI_FAILED;
    }
    engine->interrupt = cli_interrupt_create();
    return engine->interrupt != NULL ? open_context(engine, options, false) : CLI_FAILED;
}

static void print_plan(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "%s", text);
}

int cli_engine_load(struct cli_engine *engine, const struct cli_options *options, uint32_t n_ctx)
{
    engine->progress = (struct cli_progress){.interrupt = engine->interrupt};
    struct qd_model_params params = {
        .path = options->model,
        .dummy = options->dummy,
        .tokenizer = options->tokenizer,
        .depth = options->dry_run ? QD_DEPTH_PLAN : QD_DEPTH_SESSION,
        .n_devices = options->n_devices,
        .split = options->split,
        .n_tensor_split = options->n_shares,
        .n_ctx = n_ctx,
        .n_seq = engine->n_seq,
        .n_kv = engine->n_kv,
        .n_batch = (uint32_t)options->n_batch,
        .type_k = options->type_k,
        .type_v = options->type_v,
        .act = options->act,
        .disable = options->disable,
        .no_cache = options->no_cache,
        .progress = cli_progress_step,
        .progress_user = &engine->progress,
        .on_plan = engine->show_plan ? print_plan : NULL,
        .plan_nodes = options->verbose,
    };
    memcpy(params.devices, options->devices, sizeof params.devices);
    memcpy(params.tensor_split, options->shares, sizeof params.tensor_split);
    enum qd_status status = qd_model_load(engine->context, &params, &engine->model);
    cli_progress_end(&engine->progress);
    if (status == QD_OK && !options->dry_run) {
        status = qd_session_create(engine->model, &engine->session);
    }
    if (status == QD_OK && engine->trace.path != NULL && engine->session != NULL) {
        status = qd_session_trace(engine->session, true);
    }
    if (status != QD_OK) {
        return cli_engine_failure(engine, status);
    }
    cli_interrupt_watch(engine->interrupt, engine->session);
    return CLI_DONE;
}

int cli_engine_close(struct cli_engine *engine, int code)
{
    if (engine->interrupt != NULL) {
        cli_interrupt_watch(engine->interrupt, NULL);
    }
    if (!cli_trace_close(&engine->trace, engine->context, engine->model, engine->session) &&
        code == CLI_DONE) {
        code = CLI_FAILED;
    }
    qd_session_destroy(&engine->session);
    qd_model_destroy(&engine->model);
    uint32_t messages = engine->context != NULL ? qd_validation_messages(engine->context) : 0;
    qd_context_destroy(&engine->context);
    cli_interrupt_destroy(engine->interrupt);
    engine->interrupt = NULL;
    if (messages != 0 && code == CLI_DONE) {
        cli_error("the validation layer had %u messages", messages);
        code = CLI_FAILED;
    }
    return code;
}

int cli_engine_failure(const struct cli_engine *engine, enum qd_status status)
{
    int number = engine->interrupt != NULL ? cli_interrupted(engine->interrupt) : 0;
    if (number != 0) {
        cli_error("interrupted");
        return CLI_SIGNAL + number;
    }
    cli_error_status(engine->context, status);
    return CLI_FAILED;
}
