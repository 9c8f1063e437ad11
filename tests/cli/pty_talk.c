/* Runs a program on a pseudo-terminal and talks with it: pty_talk PROGRAM ARGUMENTS... <STEPS
 *
 *     send TEXT    types it; escapes: \n, \r, \e, \\ and \xNN
 *     wait TEXT    until this was shown, behind what the last wait found; behind a prompt "> " also
 *                  until keys are read one by one (at most 2 s)
 *     end CODE     until the program ends, which must be with this exit code
 *
 * Exit code 1 after a step that failed in 60 s, with what was shown; 77 without a terminal. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60, SHOWN = 1 << 20 };

struct talk {
    int fd;
    pid_t child;
    char shown[SHOWN + 1];
    size_t n, at;
    int ended; /* the terminal was closed */
};

static int open_child(struct talk *talk, char **argv)
{
    talk->fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (talk->fd < 0 || grantpt(talk->fd) != 0 || unlockpt(talk->fd) != 0) {
        return 0;
    }
    const char *name = ptsname(talk->fd);
    if (name == NULL) {
        return 0;
    }
    talk->child = fork();
    if (talk->child == 0) {
        setsid();
        int slave = open(name, O_RDWR);
        for (int fd = 0; fd < 3; fd++) {
            dup2(slave, fd);
        }
        close(slave);
        close(talk->fd);
        execv(argv[0], argv);
        _exit(126);
    }
    return talk->child > 0;
}

/* Takes what is shown within a tenth of a second. */
static void take(struct talk *talk)
{
    struct pollfd fd = {.fd = talk->fd, .events = POLLIN};
    if (poll(&fd, 1, 100) <= 0) {
        return;
    }
    ssize_t n = read(talk->fd, talk->shown + talk->n, SHOWN - talk->n);
    if (n <= 0) {
        talk->ended = 1;
        return;
    }
    talk->n += (size_t)n;
    for (size_t i = 0; i < talk->n; i++) {
        talk->shown[i] = talk->shown[i] == '\0' ? ' ' : talk->shown[i];
    }
    talk->shown[talk->n] = '\0';
}

static size_t unescape(char *text)
{
    size_t used = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        char c = text[i];
        if (c == '\\') {
            c = text[++i];
            if (c == 'x') {
                char digits[3] = {text[i + 1], text[i + 2], '\0'};
                c = (char)strtol(digits, NULL, 16);
                i += 2;
            } else {
                c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'e' ? '\033' : c;
            }
        }
        text[used++] = c;
    }
    text[used] = '\0';
    return used;
}

static int wait_for(struct talk *talk, const char *text)
{
    time_t begin = time(NULL);
    while (time(NULL) - begin < PATIENCE_S) {
        const char *found = strstr(talk->shown + talk->at, text);
        if (found != NULL) {
            talk->at = (size_t)(found - talk->shown) + strlen(text);
            return 1;
        }
        if (talk->ended) {
            return 0;
        }
        take(talk);
    }
    return 0;
}

/* libedit shows its prompt before it takes the terminal's own editing away: until then the terminal
 * would keep a Ctrl-D for itself. */
static void wait_for_keys(struct talk *talk)
{
    struct termios now;
    for (int i = 0; i < 200 && tcgetattr(talk->fd, &now) == 0 && (now.c_lflag & ICANON) != 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static int wait_end(struct talk *talk, int code)
{
    int status = 0;
    time_t begin = time(NULL);
    while (waitpid(talk->child, &status, WNOHANG) == 0) {
        if (time(NULL) - begin >= PATIENCE_S) {
            return 0;
        }
        if (talk->ended) {
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        } else {
            take(talk);
        }
    }
    talk->child = 0;
    int got = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (got != code) {
        printf("exit code %d\n", got);
    }
    return got == code;
}

static int do_step(struct talk *talk, char *line)
{
    char *text = strchr(line, ' ');
    if (text == NULL) {
        return 0;
    }
    *text++ = '\0';
    size_t n = unescape(text);
    if (strcmp(line, "send") == 0) {
        return write(talk->fd, text, n) == (ssize_t)n;
    }
    if (strcmp(line, "wait") == 0) {
        int found = wait_for(talk, text);
        if (found && strcmp(text, "> ") == 0) {
            wait_for_keys(talk);
        }
        return found;
    }
    return strcmp(line, "end") == 0 && wait_end(talk, (int)strtol(text, NULL, 10));
}

int main(int argc, char **argv)
{
    static struct talk talk;
    char line[1024], copy[1024];
    if (argc < 2) {
        return 2;
    }
    if (!open_child(&talk, argv + 1)) {
        printf("skipped: no pseudo-terminal can be had here: %s\n", strerror(errno));
        return 77;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        memcpy(copy, line, sizeof copy);
        if (!do_step(&talk, line)) {
            printf("FAILED: %s\nshown:\n%s\n---- behind the last wait:\n%s\n", copy, talk.shown,
                   talk.shown + talk.at);
            if (talk.child > 0) {
                kill(talk.child, 9);
                waitpid(talk.child, NULL, 0);
            }
            return 1;
        }
    }
    if (talk.child > 0) {
        kill(talk.child, 9);
        waitpid(talk.child, NULL, 0);
    }
    return 0;
}
