/* --help, from the tables. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 90, INDENT = 34, OVERVIEW = 19 };

/* `text` in lines of WIDTH, each after INDENT columns; the first one begins at `column`. */
static void print_wrapped(const char *text, int indent, int column)
{
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + (int)word > WIDTH) {
            putchar('\n');
            column = 0;
        }
        if (column < indent) {
            printf("%*s", indent - column, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        fwrite(text, 1, word, stdout);
        column += (int)word;
        text += word;
        text += *text == ' ';
    }
    putchar('\n');
}

static void print_option(const struct cli_option *option)
{
    int column = printf("  ");
    for (size_t i = 0; i < 3 && option->names[i] != NULL; i++) {
        column += printf("%s%s", i == 0 ? "" : ", ", option->names[i]);
    }
    if (option->kind == CLI_CHOICE) {
        for (const struct cli_choice *c = option->choices; c->name != NULL; c++) {
            column += printf("%c%s", c == option->choices ? ' ' : '|', c->name);
        }
    } else if (option->value != NULL) {
        column += printf(" %s", option->value);
    }
    if (column + 2 > INDENT) {
        putchar('\n');
        column = 0;
    }
    print_wrapped(option->help, INDENT, column);
}

static void print_overview(void)
{
    printf("quadriga %s: one language model on one to four Vulkan devices\n\n"
           "usage: quadriga COMMAND [options]\n\n",
           qd_version());
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        int column = printf("  %s", c->name);
        print_wrapped(c->about, OVERVIEW, column);
    }
    int column = printf("  help");
    print_wrapped("The same as --help; help COMMAND explains one, help --man prints the man page, "
                  "help --bash a completion script",
                  OVERVIEW, column);
    column = printf("  --version");
    print_wrapped("Prints the version", OVERVIEW, column);
    printf("\n"
           "exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C\n\n");
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        printf("quadriga %s %s\n", c->name, c->usage);
    }
}

void cli_help(const struct cli_command *command)
{
    if (command == NULL) {
        print_overview();
        return;
    }
    printf("usage: quadriga %s %s\n\n", command->name, command->usage);
    print_wrapped(command->about, 0, 0);
    printf("\n");
    for (const struct cli_option *o = NULL; (o = cli_option_next(o)) != NULL;) {
        if (o->commands & command->bit) {
            print_option(o);
        }
    }
}
