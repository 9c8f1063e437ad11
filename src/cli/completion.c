/* quadriga help --bash: the tables of commands and options as a completion script. */
#include "cli/manual.h"
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

/* The name as one word: a space becomes '_'. */
static void put_name(const struct cli_command *command)
{
    for (const char *c = command->name; *c != '\0'; c++) {
        putchar(*c == ' ' ? '_' : *c);
    }
}

/* "-m|--model" as a pattern of case, with the command before it where it is given. */
static void put_pattern(const struct cli_command *command, const struct cli_option *option)
{
    for (size_t i = 0; i < 3 && option->names[i] != NULL; i++) {
        printf("%s", i == 0 ? "    " : " | ");
        put_name(command);
        printf(":%s", option->names[i]);
    }
    printf(")\n");
}

static bool wants_file(const struct cli_option *option)
{
    return option->value != NULL && strstr(option->value, "FILE") != NULL;
}

/* What may follow an option that takes a value. */
static void put_values(const struct cli_command *command, const struct cli_option *option)
{
    if (option->kind == CLI_FLAG) {
        return;
    }
    put_pattern(command, option);
    if (option->kind == CLI_CHOICE) {
        printf("        COMPREPLY=($(compgen -W '");
        for (const struct cli_choice *c = option->choices; c->name != NULL; c++) {
            printf("%s%s", c == option->choices ? "" : " ", c->name);
        }
        printf("' -- \"$current\"))\n        return ;;\n");
    } else if (wants_file(option)) {
        printf("        compopt -o filenames 2>/dev/null\n"
               "        COMPREPLY=($(compgen -f -- \"$current\"))\n        return ;;\n");
    } else {
        printf("        return ;;\n");
    }
}

static void put_names(const struct cli_command *command)
{
    printf("    ");
    put_name(command);
    printf(") words='");
    const char *space = "";
    for (const struct cli_option *o = NULL; (o = cli_option_next(o)) != NULL;) {
        for (size_t i = 0; (o->commands & command->bit) != 0 && i < 3 && o->names[i] != NULL; i++) {
            printf("%s%s", space, o->names[i]);
            space = " ";
        }
    }
    printf("' ;;\n");
}

void cli_completion_print(void)
{
    printf("# bash completion for quadriga %s, made by: quadriga help --bash\n"
           "_quadriga() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    local command=${COMP_WORDS[1]} words=\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        COMPREPLY=($(compgen -W '",
           qd_version());
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        if (strchr(c->name, ' ') == NULL) {
            printf("%s ", c->name);
        }
    }
    printf("eval help --help --version' -- \"$current\"))\n        return\n    fi\n"
           "    if [[ $command == eval ]]; then\n"
           "        if ((COMP_CWORD == 2)); then\n"
           "            COMPREPLY=($(compgen -W '");
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        const char *space = strchr(c->name, ' ');
        if (space != NULL) {
            printf("%s ", space + 1);
        }
    }
    printf("--help' -- \"$current\"))\n            return\n        fi\n"
           "        command=eval_${COMP_WORDS[2]}\n    fi\n"
           "    case $command:$before in\n");
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        for (const struct cli_option *o = NULL; (o = cli_option_next(o)) != NULL;) {
            if ((o->commands & c->bit) != 0) {
                put_values(c, o);
            }
        }
    }
    printf("    esac\n    case $command in\n");
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        put_names(c);
    }
    printf("    help) words='--man --bash");
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        printf(" %s", c->name);
    }
    printf("' ;;\n    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\n"
           "complete -F _quadriga quadriga\n");
}
