/* The program: finds the command, reads its options, runs it, and makes sure that what it printed
 * has arrived. */
#include "cli/commands.h"
#include "cli/manual.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* Bytes of the first word of a command, if there is another one; else 0. */
static size_t first_word(const struct cli_command *command)
{
    size_t n = strcspn(command->name, " ");
    return command->name[n] == ' ' ? n : 0;
}

/* The command that the words name, and how many they are: two, where a command has two. */
static const struct cli_command *find(int n, char **words, int *used)
{
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        size_t first = first_word(c);
        *used = first != 0 ? 2 : 1;
        if (*used <= n && strlen(words[0]) == (first != 0 ? first : strlen(c->name)) &&
            memcmp(words[0], c->name, strlen(words[0])) == 0 &&
            (first == 0 || strcmp(words[1], c->name + first + 1) == 0)) {
            return c;
        }
    }
    return NULL;
}

/* The second words that may follow `first`; their number. */
static size_t second_words(const char *first, const char *names[16])
{
    size_t n = 0;
    for (const struct cli_command *c = cli_commands(); c->name != NULL && n < 15; c++) {
        size_t bytes = first_word(c);
        if (bytes != 0 && strlen(first) == bytes && memcmp(first, c->name, bytes) == 0) {
            names[n++] = c->name + bytes + 1;
        }
    }
    names[n] = NULL;
    return n;
}

static int say_second(const char *first, const char *second, const char *const *names)
{
    char list[128] = "";
    for (size_t i = 0, used = 0; names[i] != NULL && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : " or ",
                                 names[i]);
    }
    const char *nearest = second != NULL ? cli_nearest(second, names) : NULL;
    if (second == NULL) {
        cli_error("%s: %s is wanted (quadriga --help)", first, list);
    } else if (nearest != NULL) {
        cli_error("%s: unknown '%s': did you mean %s? (quadriga --help)", first, second, nearest);
    } else {
        cli_error("%s: unknown '%s': must be %s (quadriga --help)", first, second, list);
    }
    return CLI_USAGE;
}

static int say_unknown(int argc, char **words)
{
    const char *names[24], *seconds[16];
    size_t n = 0;
    if (second_words(words[0], seconds) != 0) {
        return say_second(words[0], argc > 1 ? words[1] : NULL, seconds);
    }
    for (const struct cli_command *c = cli_commands(); c->name != NULL && n < 22; c++) {
        names[n++] = first_word(c) == 0 ? c->name : "eval";
    }
    names[n++] = "help";
    names[n] = NULL;
    const char *nearest = cli_nearest(words[0], names);
    if (nearest != NULL) {
        cli_error("unknown command '%s': did you mean %s? (quadriga --help)", words[0], nearest);
    } else {
        cli_error("unknown command '%s' (quadriga --help)", words[0]);
    }
    return CLI_USAGE;
}

static bool is_last(int argc, char **argv, int i)
{
    if (argc > i + 1) {
        cli_error("%s: unexpected argument '%s' (quadriga --help)", argv[1], argv[i + 1]);
        return false;
    }
    return true;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Help of all commands whose first of two words this is. False: none has. */
static bool help_of_all(const char *first)
{
    bool any = false;
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        size_t bytes = first_word(c);
        if (bytes != 0 && strlen(first) == bytes && memcmp(first, c->name, bytes) == 0) {
            fputs(any ? "\n" : "", stdout);
            cli_help(c);
            any = true;
        }
    }
    return any;
}

static int help(int argc, char **argv)
{
    if (argc < 3) {
        cli_help(NULL);
        return CLI_DONE;
    }
    if (argc == 3 && help_of_all(argv[2])) {
        return CLI_DONE;
    }
    int used;
    const struct cli_command *command = find(argc - 2, argv + 2, &used);
    bool man = strcmp(argv[2], "--man") == 0, bash = strcmp(argv[2], "--bash") == 0;
    if (command == NULL && !man && !bash) {
        return say_unknown(argc - 2, argv + 2);
    }
    if (!is_last(argc, argv, command != NULL ? used + 1 : 2)) {
        return CLI_USAGE;
    }
    if (man) {
        cli_manual_print();
    } else if (bash) {
        cli_completion_print();
    } else {
        cli_help(command);
    }
    return CLI_DONE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_error("no command given (quadriga --help)");
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || is_help(name)) {
        return help(argc, argv);
    }
    if (strcmp(name, "--version") == 0) {
        if (!is_last(argc, argv, 1)) {
            return CLI_USAGE;
        }
        printf("quadriga %s%s%s\n", qd_version(), *QD_PLANT != '\0' ? ", planted faults: " : "",
               QD_PLANT);
        return CLI_DONE;
    }
    if (argc == 3 && is_help(argv[2]) && help_of_all(name)) {
        return CLI_DONE;
    }
    int used;
    const struct cli_command *command = find(argc - 1, argv + 1, &used);
    if (command == NULL) {
        return say_unknown(argc - 1, argv + 1);
    }
    struct cli_options options;
    if (!cli_options_parse(command, argc - 1 - used, argv + 1 + used, &options)) {
        return CLI_USAGE;
    }
    if (options.help) {
        cli_help(command);
        return CLI_DONE;
    }
    return command->run(&options);
}

/* A standard stream that was closed keeps its number, as one that fails; else the next file opened
 * would be taken for it. */
static void hold_streams(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    hold_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error like any other */
    int code = dispatch(argc, argv);
    bool failed = ferror(stdout) != 0;
    if ((fclose(stdout) != 0 || failed) && code == CLI_DONE) {
        cli_error("cannot write to standard output: %s", strerror(errno));
        code = CLI_FAILED;
    }
    return code;
}
