/* History of a chat's prompt, in memory and in a file that only its owner reads. */
#include "cli/chat_history.h"

#include "cli/memory.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEPT = 1000 };

struct chat_history {
    HistoryW *lines;
    char path[4096]; /* "": no file */
};

/* The folder, made where there is none; then the file, so that it is nobody else's to read. */
static void make_file(char *path, size_t cap)
{
    const char *state = getenv("XDG_STATE_HOME");
    path[0] = '\0';
    if (state == NULL || *state != '/') {
        return;
    }
    int n = snprintf(path, cap, "%s/quadriga/chat_history", state);
    if (n < 0 || (size_t)n >= cap) {
        path[0] = '\0';
        return;
    }
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(state, 0700);
    bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
    *slash = '/';
    int file = made ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        cli_error("%s: no history is kept there: %s", path,
                  file < 0 ? strerror(errno) : "no regular file");
        path[0] = '\0';
    }
    if (file >= 0) {
        close(file);
    }
}

struct chat_history *chat_history_create(EditLine *el)
{
    HistEventW event;
    struct chat_history *history = cli_alloc(1, sizeof *history);
    if (history == NULL) {
        return NULL;
    }
    history->lines = history_winit();
    make_file(history->path, sizeof history->path);
    if (history->lines == NULL) {
        cli_error("out of memory for the history");
        chat_history_destroy(history);
        return NULL;
    }
    history_w(history->lines, &event, H_SETSIZE, KEPT);
    history_w(history->lines, &event, H_SETUNIQUE, 1);
    if (history->path[0] != '\0') {
        history_w(history->lines, &event, H_LOAD, history->path);
    }
    el_wset(el, EL_HIST, history_w, history->lines);
    return history;
}

void chat_history_add(struct chat_history *history, const wchar_t *line)
{
    HistEventW event;
    if (line[0] != L'\n' && line[0] != L'\0') {
        history_w(history->lines, &event, H_ENTER, line);
    }
}

void chat_history_destroy(struct chat_history *history)
{
    HistEventW event;
    if (history == NULL) {
        return;
    }
    if (history->lines != NULL) {
        if (history->path[0] != '\0' &&
            history_w(history->lines, &event, H_SAVE, history->path) < 0) {
            cli_error("%s: the history cannot be written", history->path);
        }
        history_wend(history->lines);
    }
    cli_free(history);
}
