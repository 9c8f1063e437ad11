/* quadriga chat: a conversation on the terminal, or line by line from a file. Answers go to
 * standard output, everything else to standard error. */
#include "cli/chat_command.h"
#include "cli/chat_input.h"
#include "cli/chat_talk.h"
#include "cli/commands.h"
#include "cli/device_text.h"
#include "cli/input.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct chat {
    const struct cli_options *options;
    struct cli_engine engine;
    qd_model *vocab; /* what the template belongs to: read before the weights are */
    qd_chat *template;
    struct cli_output_text output;
    struct chat_talk talk;
    struct chat_input *input;
    bool failed; /* something was refused, and nobody was there to see it */
};

static int check_usage(const struct cli_options *options)
{
    if (options->model == NULL) {
        cli_error("chat: give a model with -m FILE (quadriga chat --help)");
        return CLI_USAGE;
    }
    return CLI_DONE;
}

static bool is_known(const char *name)
{
    const char *known;
    for (uint32_t i = 0; (known = qd_chat_template_name(i)) != NULL; i++) {
        if (strcmp(known, name) == 0) {
            return true;
        }
    }
    return false;
}

/* One line: why there is no template, and what may be done. */
static void say_no_template(const struct chat *chat)
{
    const char *why = qd_last_error(chat->engine.context);
    if (chat->options->template == NULL) {
        cli_error("%s (--template NAME or FILE)", why);
    } else {
        cli_error("%s", why);
    }
}

/* --template: a known name, else a file. */
static int open_template(struct chat *chat)
{
    const char *given = chat->options->template;
    struct qd_chat_params params = {.name = NULL};
    struct cli_text file = {.bytes = NULL};
    if (given != NULL && is_known(given)) {
        params.name = given;
    } else if (given != NULL) {
        FILE *there = fopen(given, "rb");
        if (there == NULL) {
            char names[512] = "";
            const char *known;
            for (uint32_t i = 0; (known = qd_chat_template_name(i)) != NULL; i++) {
                size_t used = strlen(names);
                snprintf(names + used, sizeof names - used, "%s%s", i != 0 ? ", " : "", known);
            }
            cli_error("chat: --template '%s': must be a file, or one of %s", given, names);
            return CLI_USAGE;
        }
        fclose(there);
        if (!cli_text_read(&file, given)) {
            return CLI_FAILED;
        }
        params.source = file.bytes != NULL ? file.bytes : "";
        params.source_bytes = file.n;
        params.source_name = given;
    }
    enum qd_status status = qd_chat_create(chat->vocab, &params, &chat->template);
    cli_text_finish(&file);
    if (status != QD_OK) {
        say_no_template(chat);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

/* The template is looked at before the weights are read: that may take long. */
static int load(struct chat *chat)
{
    const struct cli_options *options = chat->options;
    struct cli_engine *engine = &chat->engine;
    int code = cli_engine_open_devices(engine, options);
    if (code != CLI_DONE) {
        return code;
    }
    enum qd_status status = qd_model_load(
        engine->context, &(struct qd_model_params){.path = options->model, .depth = QD_DEPTH_FACTS},
        &chat->vocab);
    if (status != QD_OK) {
        return cli_engine_failure(engine, status);
    }
    code = open_template(chat);
    if (code != CLI_DONE) {
        return code;
    }
    chat_talk_init(&chat->talk, engine, chat->template, options, &chat->output);
    if (options->system != NULL &&
        !chat_talk_set_system(&chat->talk, options->system, strlen(options->system))) {
        return CLI_FAILED;
    }
    if (options->verbose) {
        fprintf(stderr, "devices:\n");
        cli_device_list(engine->context, stderr);
        engine->show_plan = true;
    }
    return cli_engine_load(engine, options, (uint32_t)options->n_ctx);
}

static void greet(const struct chat *chat)
{
    struct qd_model_info model;
    struct qd_chat_info info;
    qd_model_get_info(chat->engine.model, &model);
    qd_chat_get_info(chat->template, &info);
    fprintf(stderr, "template %s, context %u tokens", info.name, model.n_ctx);
    if (chat->options->temperature > 0) {
        fprintf(stderr, ", seed %" PRIu64, chat->talk.sampling.seed);
    }
    fprintf(stderr, "%s\n",
            chat_input_is_terminal(chat->input) ? "; /help lists the commands" : "");
}

/* What ended the answer, where that is not its end. */
static void say_stop(const struct chat *chat)
{
    if (chat->talk.result.stop == QD_STOP_CONTEXT) {
        cli_error("the context is full, the answer ends here: /reset begins a new conversation, "
                  "/save FILE keeps this one");
    }
}

/* A cli_exit, or -1: go on. */
static int answer(struct chat *chat, const char *text, size_t bytes)
{
    enum chat_answer result = chat_talk_answer(&chat->talk, text, bytes);
    if (chat->output.error == 0 && result != CHAT_TAKEN_BACK &&
        cli_output_put(&chat->output, "\n", 1)) {
        say_stop(chat);
    }
    if (chat->output.error != 0) {
        cli_error("cannot write to standard output: %s", strerror(chat->output.error));
        return CLI_FAILED;
    }
    chat->failed =
        chat->failed || result != CHAT_ANSWERED || chat->talk.result.stop == QD_STOP_CONTEXT;
    return result == CHAT_FATAL ? CLI_FAILED : -1;
}

/* After Ctrl-C or SIGTERM: a cli_exit, or -1 where only an answer was stopped. */
static int after_signal(struct chat *chat)
{
    int number = chat_input_is_terminal(chat->input) ? cli_interrupt_clear(chat->engine.interrupt)
                                                     : cli_interrupted(chat->engine.interrupt);
    return number != 0 ? CLI_SIGNAL + number : -1;
}

static int take_line(struct chat *chat, const char *text, size_t bytes)
{
    bool blank = true;
    for (size_t i = 0; i < bytes; i++) {
        blank = blank && (text[i] == ' ' || text[i] == '\t');
    }
    if (blank) {
        return -1;
    }
    if (text[0] != '/' || (bytes > 1 && text[1] == '/')) {
        size_t skip = text[0] == '/';
        return answer(chat, text + skip, bytes - skip);
    }
    enum chat_done done = chat_command_run(&chat->talk, text + 1, bytes - 1);
    chat->failed = chat->failed || done == CHAT_NOT_DONE;
    return done == CHAT_QUIT ? CLI_DONE : -1;
}

static int converse(struct chat *chat)
{
    int code = -1;
    while (code < 0) {
        const char *text;
        size_t bytes;
        switch (chat_input_read(chat->input, &text, &bytes)) {
        case CHAT_LINE:
            code = take_line(chat, text, bytes);
            break;
        case CHAT_CLEARED:
            break;
        case CHAT_END:
            code = CLI_DONE;
            break;
        case CHAT_SIGNAL:
            break; /* after_signal has it */
        case CHAT_BROKEN:
            code = CLI_FAILED;
            break;
        }
        code = code < 0 ? after_signal(chat) : code;
    }
    return code == CLI_DONE && chat->failed && !chat_input_is_terminal(chat->input) ? CLI_FAILED
                                                                                    : code;
}

int cli_chat(const struct cli_options *options)
{
    int code = check_usage(options);
    if (code != CLI_DONE) {
        return code;
    }
    struct chat chat = {.options = options, .output.to_terminal = cli_on_terminal(stdout)};
    code = load(&chat);
    if (code == CLI_DONE && !cli_interrupt_keep(chat.engine.interrupt)) {
        code = CLI_FAILED;
    }
    if (code == CLI_DONE) {
        chat.input = chat_input_create(chat.engine.interrupt);
        code = chat.input != NULL ? CLI_DONE : CLI_FAILED;
    }
    if (code == CLI_DONE) {
        greet(&chat);
        code = converse(&chat);
    }
    chat_input_destroy(chat.input);
    chat_talk_finish(&chat.talk);
    qd_chat_destroy(&chat.template);
    qd_model_destroy(&chat.vocab);
    return cli_engine_close(&chat.engine, code);
}
