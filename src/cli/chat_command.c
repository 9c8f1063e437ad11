/* The commands of a chat, a table; what they say goes to standard error. */
#include "cli/chat_command.h"

#include "cli/chat_file.h"
#include "cli/report.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name, *argument; /* argument: what the help calls it; NULL: there is none */
    const char *help;
    bool needs; /* an argument */
    enum chat_done (*run)(struct chat_talk *talk, const char *argument);
};
static const struct command *table(void); /* ends with a command without a name */

static enum chat_done help(struct chat_talk *talk, const char *argument)
{
    (void)talk;
    (void)argument;
    for (const struct command *c = table(); c->name != NULL; c++) {
        char name[40];
        snprintf(name, sizeof name, "/%s%s%s", c->name, c->argument != NULL ? " " : "",
                 c->argument != NULL ? c->argument : "");
        fprintf(stderr, "  %-16s %s\n", name, c->help);
    }
    fprintf(stderr, "  //...            a message that begins with /\n"
                    "  Ctrl-C           stops an answer, forgets the line; Ctrl-D ends the chat\n");
    return CHAT_DONE;
}

static enum chat_done reset(struct chat_talk *talk, const char *argument)
{
    (void)argument;
    chat_talk_reset(talk);
    return CHAT_DONE;
}

static enum chat_done save(struct chat_talk *talk, const char *path)
{
    return chat_file_save(talk, path) ? CHAT_DONE : CHAT_NOT_DONE;
}

static enum chat_done load(struct chat_talk *talk, const char *path)
{
    return chat_file_load(talk, path) ? CHAT_DONE : CHAT_NOT_DONE;
}

static enum chat_done set_system(struct chat_talk *talk, const char *text)
{
    struct qd_chat_info info;
    if (*text != '\0') {
        return chat_talk_set_system(talk, text, strlen(text)) ? CHAT_DONE : CHAT_NOT_DONE;
    }
    qd_chat_get_info(talk->chat, &info);
    char safe[1024];
    bool own = talk->system.n != 0;
    cli_make_safe(own ? talk->system.bytes : info.default_system,
                  own ? talk->system.n : strlen(info.default_system), true, safe, sizeof safe);
    fprintf(stderr, "%s%s\n", own || *safe == '\0' ? "" : "(the template's own) ",
            *safe != '\0' ? safe : "(no system text)");
    return CHAT_DONE;
}

static enum chat_done show_stats(struct chat_talk *talk, const char *argument)
{
    struct qd_chat_info info;
    struct qd_model_info model;
    (void)argument;
    qd_chat_get_info(talk->chat, &info);
    qd_model_get_info(talk->engine->model, &model);
    cli_report(talk->engine->model, talk->engine->session, &talk->result);
    fprintf(stderr, "  %-12s %8zu messages, template %s\n", "chat", talk->n_messages, info.name);
    fprintf(stderr, "  %-12s %8u of %u tokens\n", "context",
            qd_session_length(talk->engine->session, 0), model.n_ctx);
    return CHAT_DONE;
}

static enum chat_done quit(struct chat_talk *talk, const char *argument)
{
    (void)talk;
    (void)argument;
    return CHAT_QUIT;
}

static const struct command *table(void)
{
    static const struct command commands[] = {
        {"help", NULL, "this list", false, help},
        {"reset", NULL, "begins a new conversation; the system text stays", false, reset},
        {"system", "[TEXT]", "sets the system text, or shows it", false, set_system},
        {"save", "FILE", "writes the conversation to a file", true, save},
        {"load", "FILE", "reads a saved conversation", true, load},
        {"stats", NULL, "rates and memory of the last answer, and the context used", false,
         show_stats},
        {"quit", NULL, "ends the chat, as /exit and Ctrl-D do", false, quit},
        {NULL, NULL, NULL, false, NULL},
    };
    return commands;
}

static const struct command *find(const char *name)
{
    static const char *const aliases[][2] = {
        {"exit", "quit"}, {"bye", "quit"}, {"clear", "reset"}, {"?", "help"}};
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        name = strcmp(name, aliases[i][0]) == 0 ? aliases[i][1] : name;
    }
    for (const struct command *c = table(); c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

enum chat_done chat_command_run(struct chat_talk *talk, const char *line, size_t bytes)
{
    char name[32];
    struct talk_text copy = {.n = 0};
    size_t n = 0;
    enum chat_done done = CHAT_NOT_DONE;
    while (n < bytes && line[n] != ' ' && line[n] != '\t' && line[n] != '\0') {
        n++;
    }
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name), line);
    const struct command *command = find(name);
    size_t at = n;
    while (at < bytes && (line[at] == ' ' || line[at] == '\t')) {
        at++;
    }
    while (bytes > at && (line[bytes - 1] == ' ' || line[bytes - 1] == '\t')) {
        bytes--;
    }
    if (command == NULL) {
        cli_error("unknown command /%s (/help lists them; a message may begin with //)", name);
    } else if (command->argument == NULL && at < bytes) {
        cli_error("/%s takes nothing behind it", name);
    } else if (command->needs && at == bytes) {
        cli_error("/%s needs a %s", name, command->argument);
    } else if (memchr(line + at, '\0', bytes - at) != NULL) {
        cli_error("/%s: a zero byte", name);
    } else if (talk_text_add(&copy, line + at, bytes - at) && talk_text_add(&copy, "", 1)) {
        done = command->run(talk, copy.bytes);
    }
    talk_text_finish(&copy);
    return done;
}
