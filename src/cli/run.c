/* quadriga run: a prompt in, text out. Standard output carries the text alone. */
#include "cli/commands.h"
#include "cli/device_text.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/npy.h"
#include "cli/output.h"
#include "cli/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct run {
    const struct cli_options *options;
    struct cli_engine engine;
    struct cli_text file;
    const char *prompt;
    size_t prompt_bytes;
    struct cli_ids ids;
    struct cli_npy npy;
    struct cli_output_text output;
    bool npy_failed; /* said */
};

static bool put_text(struct run *run, const char *text, size_t bytes)
{
    return cli_output_put(&run->output, text, bytes);
}

static bool on_token(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct run *run = user;
    (void)token;
    return put_text(run, text, bytes) && cli_interrupted(run->engine.interrupt) == 0;
}

static bool on_logits(void *user, uint32_t first, uint32_t n, const float *logits)
{
    struct run *run = user;
    (void)first;
    run->npy_failed = !cli_npy_write(&run->npy, logits, n);
    return !run->npy_failed;
}

static int check_usage(const struct cli_options *options)
{
    if (options->model == NULL) {
        cli_error("run: give a model with -m FILE (quadriga run --help)");
        return CLI_USAGE;
    }
    if (options->prompt != NULL && options->file != NULL) {
        cli_error("run: give -p or -f, not both");
        return CLI_USAGE;
    }
    if (options->prompt == NULL && options->file == NULL && !options->dry_run) {
        cli_error("run: give a prompt with -p TEXT or -f FILE (quadriga run --help)");
        return CLI_USAGE;
    }
    if (options->dry_run && options->trace != NULL) {
        cli_error("run: --trace: --dry-run runs nothing");
        return CLI_USAGE;
    }
    return CLI_DONE;
}

static int read_prompt(struct run *run)
{
    const struct cli_options *options = run->options;
    if (options->file != NULL) {
        if (!cli_text_read(&run->file, options->file)) {
            return CLI_FAILED;
        }
        run->prompt = run->file.bytes;
        run->prompt_bytes = run->file.n;
    } else if (options->prompt != NULL) {
        run->prompt = options->prompt;
        run->prompt_bytes = strlen(options->prompt);
    }
    if (run->prompt_bytes == 0 && !options->dry_run) {
        cli_error("the prompt is empty");
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int load(struct run *run)
{
    const struct cli_options *options = run->options;
    struct cli_engine *engine = &run->engine;
    int code = cli_engine_open_devices(engine, options);
    if (code != CLI_DONE) {
        return code;
    }
    fprintf(stderr, "devices:\n");
    cli_device_list(engine->context, stderr);
    engine->show_plan = true;
    return cli_engine_load(engine, options, (uint32_t)options->n_ctx);
}

static struct qd_generate_params make_params(struct run *run)
{
    const struct cli_options *options = run->options;
    struct qd_generate_params params = {
        .prompt = run->ids.ids,
        .n_prompt = run->ids.n,
        .n_predict = options->n_predict,
        .sampling = cli_sampling(options),
        .stops = options->stops,
        .n_stops = options->n_stops,
        .ignore_eos = options->ignore_eos,
        .on_token = on_token,
        .user = run,
        .on_logits = options->logits != NULL ? on_logits : NULL,
    };
    if (options->temperature > 0 && options->n_predict != 0) {
        fprintf(stderr, "seed: %" PRIu64 "\n", params.sampling.seed);
    }
    return params;
}

/* What a generation that ended, or was ended, means for the exit code. */
static int judge(struct run *run, enum qd_status status)
{
    int number = cli_interrupted(run->engine.interrupt);
    if (run->output.error != 0) {
        cli_error("cannot write to standard output: %s", strerror(run->output.error));
        return CLI_FAILED;
    }
    if (run->npy_failed) {
        return CLI_FAILED;
    }
    if (status != QD_OK && status != QD_CANCELLED) {
        return cli_engine_failure(&run->engine, status);
    }
    return number != 0 ? CLI_SIGNAL + number : CLI_DONE;
}

static int generate(struct run *run)
{
    const struct cli_options *options = run->options;
    struct cli_engine *engine = &run->engine;
    struct qd_model_info info;
    qd_model_get_info(engine->model, &info);
    if (!cli_ids_read(&run->ids, engine->context, engine->model, run->prompt, run->prompt_bytes,
                      true)) {
        return CLI_FAILED;
    }
    if (run->ids.n > info.n_ctx) {
        cli_error("the prompt has %zu tokens, the context %u: use a shorter prompt or a longer "
                  "context (-c)",
                  run->ids.n, info.n_ctx);
        return CLI_FAILED;
    }
    if (options->logits != NULL &&
        !cli_npy_open(&run->npy, options->logits, run->ids.n, info.n_vocab)) {
        return CLI_FAILED;
    }
    struct qd_generate_params params = make_params(run);
    struct qd_generate_result result = {0};
    enum qd_status status = QD_CANCELLED;
    if (options->no_display_prompt || put_text(run, run->prompt, run->prompt_bytes)) {
        status = qd_session_generate(engine->session, &params, &result);
    }
    if (run->output.error == 0) {
        put_text(run, "\n", 1);
    }
    if (cli_interrupted(engine->interrupt) != 0) {
        result.stop = QD_STOP_CALLBACK;
    }
    int code = judge(run, status);
    if (options->logits != NULL && !cli_npy_close(&run->npy, code == CLI_DONE) &&
        code == CLI_DONE) {
        code = CLI_FAILED;
    }
    if (code == CLI_DONE || code > CLI_SIGNAL) {
        cli_report(engine->model, engine->session, &result);
    }
    return code;
}

int cli_run(const struct cli_options *options)
{
    int code = check_usage(options);
    if (code != CLI_DONE) {
        return code;
    }
    struct run run = {.options = options, .output.to_terminal = cli_on_terminal(stdout)};
    code = read_prompt(&run);
    if (code == CLI_DONE) {
        code = load(&run);
    }
    if (code == CLI_DONE && !options->dry_run) {
        code = generate(&run);
    }
    cli_ids_finish(&run.ids);
    cli_text_finish(&run.file);
    return cli_engine_close(&run.engine, code);
}
