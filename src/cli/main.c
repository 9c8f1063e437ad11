/* The program: finds the command, reads its options, runs it, and makes sure that what it printed
 * has arrived. */
#include "cli/commands.h"
#include "cli/manual.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

static const struct cli_command *find(const char *name)
{
    for (const struct cli_command *c = cli_commands(); c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static int say_unknown(const char *name)
{
    const char *names[16];
    size_t n = 0;
    for (const struct cli_command *c = cli_commands(); c->name != NULL && n < 14; c++) {
        names[n++] = c->name;
    }
    names[n++] = "help";
    names[n] = NULL;
    const char *nearest = cli_nearest(name, names);
    if (nearest != NULL) {
        cli_error("unknown command '%s': did you mean %s? (quadriga --help)", name, nearest);
    } else {
        cli_error("unknown command '%s' (quadriga --help)", name);
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

static int help(int argc, char **argv)
{
    if (argc < 3) {
        cli_help(NULL);
        return CLI_DONE;
    }
    const struct cli_command *command = find(argv[2]);
    bool man = strcmp(argv[2], "--man") == 0, bash = strcmp(argv[2], "--bash") == 0;
    if (command == NULL && !man && !bash) {
        return say_unknown(argv[2]);
    }
    if (!is_last(argc, argv, 2)) {
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
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
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
    const struct cli_command *command = find(name);
    if (command == NULL) {
        return say_unknown(name);
    }
    struct cli_options options;
    if (!cli_options_parse(command, argc - 2, argv + 2, &options)) {
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
