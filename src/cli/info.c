/* quadriga info: opens a file as deep as it goes: planned on the devices, else its
 * hyper-parameters, else its tokenizer, else its keys and tensors. How it is printed is
 * info_text.c's and info_json.c's. */
#include "cli/info.h"

#include "cli/commands.h"
#include "cli/env.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

/* A warning is said once, not at each depth that is tried. */
static void say(void *user, enum qd_log_level level, const char *line)
{
    const struct cli_info *info = user;
    if (!info->quiet) {
        cli_log(NULL, level, line);
    }
}

/* With devices where there are any; else why_not says what is missing. */
static int open_context(struct cli_info *info)
{
    struct qd_context_params params = {
        .log = say, .log_user = info, .log_level = QD_LOG_WARN, .no_devices = false};
    if (!cli_env_prepare(info->options->model)) {
        return CLI_FAILED;
    }
    info->quiet = true;
    enum qd_status status =
        qd_context_create(&params, &info->context, info->why_not, sizeof info->why_not);
    if (status != QD_OK) {
        params.no_devices = true;
        status = qd_context_create(&params, &info->context, NULL, 0);
        info->depth = QD_DEPTH_FACTS;
    }
    info->quiet = false;
    if (status != QD_OK) {
        cli_error("%s", qd_status_text(status));
    }
    return status == QD_OK ? CLI_DONE : CLI_FAILED;
}

static enum qd_status load(struct cli_info *info)
{
    const struct cli_options *options = info->options;
    struct qd_model_params params = {
        .path = options->model,
        .depth = info->depth,
        .n_devices = options->n_devices,
        .split = options->split,
        .n_tensor_split = options->n_shares,
        .n_ctx = (uint32_t)options->n_ctx,
        .n_batch = (uint32_t)options->n_batch,
        .type_k = options->type_k,
        .type_v = options->type_v,
    };
    memcpy(params.devices, options->devices, sizeof params.devices);
    memcpy(params.tensor_split, options->shares, sizeof params.tensor_split);
    return qd_model_load(info->context, &params, &info->model);
}

/* The deepest load that succeeds; the reason of the first that does not is kept. */
static int open_model(struct cli_info *info)
{
    enum qd_status status = load(info);
    while (status != QD_OK && info->depth < QD_DEPTH_DIRECTORY) {
        if (info->why_not[0] == '\0') {
            snprintf(info->why_not, sizeof info->why_not, "%s", qd_last_error(info->context));
        }
        info->depth++;
        info->quiet = true;
        status = load(info);
    }
    if (status != QD_OK) {
        cli_error_status(info->context, status);
        return CLI_FAILED;
    }
    info->runs = info->depth == QD_DEPTH_PLAN;
    qd_model_get_info(info->model, &info->facts);
    return CLI_DONE;
}

void cli_info_meta(const struct cli_info *info, const char *key, char *out, size_t cap)
{
    const char *name, *type, *value;
    out[0] = '\0';
    for (uint64_t i = 0; qd_model_get_meta(info->model, i, &name, &type, &value); i++) {
        if (strcmp(name, key) == 0) {
            cli_make_safe(value, strlen(value), false, out, cap);
            return;
        }
    }
}

/* The format of the chat template, where the file has one. */
static void read_chat(struct cli_info *info)
{
    char text[8];
    qd_chat *chat;
    cli_info_meta(info, "tokenizer.chat_template", text, sizeof text);
    if (info->depth == QD_DEPTH_DIRECTORY || text[0] == '\0') {
        return;
    }
    if (qd_chat_create(info->model, &(struct qd_chat_params){0}, &chat) != QD_OK) {
        snprintf(info->chat_why, sizeof info->chat_why, "%s", qd_last_error(info->context));
        return;
    }
    struct qd_chat_info facts;
    qd_chat_get_info(chat, &facts);
    snprintf(info->chat, sizeof info->chat, "%s", facts.name);
    qd_chat_destroy(&chat);
}

int cli_info(const struct cli_options *options)
{
    if (options->model == NULL) {
        cli_error("info: give a model with -m FILE (quadriga info --help)");
        return CLI_USAGE;
    }
    struct cli_info info = {.options = options, .depth = QD_DEPTH_PLAN};
    int code = open_context(&info);
    if (code == CLI_DONE) {
        code = open_model(&info);
    }
    if (code == CLI_DONE && !cli_formats_init(&info.formats, info.model)) {
        code = CLI_FAILED;
    }
    if (code == CLI_DONE) {
        read_chat(&info);
    }
    if (code == CLI_DONE && options->output == CLI_JSON) {
        code = cli_info_print_json(&info);
    } else if (code == CLI_DONE) {
        cli_info_print(&info);
    }
    cli_formats_finish(&info.formats);
    qd_model_destroy(&info.model);
    qd_context_destroy(&info.context);
    return code;
}
