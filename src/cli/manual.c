/* quadriga help --man: the tables of commands and options as a man page. */
#include "cli/manual.h"

#include "cli/options.h"

#include <stdio.h>
#include <string.h>

/* Text of a page: a backslash, a leading dot or quote and hyphens mean something to roff. */
static void put_text(const char *text)
{
    if (*text == '.' || *text == '\'') {
        fputs("\\&", stdout);
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\') {
            fputs("\\e", stdout);
        } else if (*c == '-') {
            fputs("\\-", stdout);
        } else {
            putchar(*c);
        }
    }
}

static void put_option(const struct cli_option *option)
{
    printf(".TP\n");
    for (size_t i = 0; i < 3 && option->names[i] != NULL; i++) {
        printf("%s\\fB", i == 0 ? "" : ", ");
        put_text(option->names[i]);
        printf("\\fR");
    }
    if (option->kind == CLI_CHOICE) {
        for (const struct cli_choice *c = option->choices; c->name != NULL; c++) {
            printf("%s", c == option->choices ? " " : "|");
            put_text(c->name);
        }
    } else if (option->value != NULL) {
        printf(" \\fI");
        put_text(option->value);
        printf("\\fR");
    }
    printf("\n");
    put_text(option->help);
    printf("\n");
}

static void put_command(const struct cli_command *command)
{
    printf(".SH ");
    for (const char *c = command->name; *c != '\0'; c++) {
        putchar(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    printf("\n.B quadriga %s\n", command->name);
    put_text(command->usage);
    printf("\n.PP\n");
    put_text(command->about);
    printf("\n");
    for (const struct cli_option *o = NULL; (o = cli_option_next(o)) != NULL;) {
        if ((o->commands & command->bit) != 0) {
            put_option(o);
        }
    }
}

void cli_manual_print(void)
{
    printf(".TH QUADRIGA 1 \"\" \"quadriga %s\" \"User commands\"\n", qd_version());
    printf(".SH NAME\nquadriga \\- one language model on one to four Vulkan devices\n"
           ".SH SYNOPSIS\n.B quadriga\n.I COMMAND\n[options]\n"
           ".br\n.B quadriga help\n[\\fICOMMAND\\fR|\\fB\\-\\-man\\fR|\\fB\\-\\-bash\\fR]\n"
           ".br\n.B quadriga \\-\\-version\n"
           ".SH DESCRIPTION\nRuns language models in the GGUF format on GPUs of any vendor, "
           "through Vulkan, and measures and compares devices.\n");
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        printf(".TP\n.B %s\n", c->name);
        put_text(c->about);
        printf("\n");
    }
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        put_command(c);
    }
    printf(".SH EXIT STATUS\n0 done, 1 failed (one line on standard error says why), 2 wrong "
           "usage, 130 interrupted by Ctrl\\-C.\n"
           ".SH ENVIRONMENT\n.TP\n.B QUADRIGA_CACHE\nFolder of compiled kernels and of what "
           "self\\-tests and tuning found; default \\fI$XDG_CACHE_HOME/quadriga\\fR or "
           "\\fI~/.cache/quadriga\\fR.\n.TP\n.B NO_COLOR\nSet and not empty: no colours.\n"
           ".TP\n.B VK_DRIVER_FILES\nDriver files for the Vulkan loader, in place of those "
           "installed.\n");
}
