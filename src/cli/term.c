/* Standard error and terminals. What is said is the commands'. */
#include "cli/term.h"

#include "cli/interrupt.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 30, SHOW_EVERY_NS = 50000000 };

static bool has_colours(FILE *file)
{
    const char *no_color = getenv("NO_COLOR");
    return cli_on_terminal(file) && (no_color == NULL || *no_color == '\0');
}

bool cli_on_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

uint64_t cli_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Bytes of the UTF-8 sequence at `text` that may be shown; 0: none. */
static size_t shown_sequence(const unsigned char *text, size_t bytes)
{
    if (text[0] < 0x80) {
        return text[0] >= 0x20 && text[0] != 0x7f;
    }
    size_t n = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || n > bytes) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n == 2 && text[0] == 0xc2 && text[1] < 0xa0 ? 0 : n; /* C1 */
}

size_t cli_make_safe(const char *text, size_t bytes, bool keep_lines, char *out, size_t cap)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes;) {
        bool kept = keep_lines && (text[i] == '\n' || text[i] == '\t');
        size_t n = kept ? 1 : shown_sequence((const unsigned char *)text + i, bytes - i);
        if (used + (n != 0 ? n : 1) >= cap) {
            break;
        }
        if (n == 0) {
            out[used++] = '?';
            i++;
            continue;
        }
        memcpy(out + used, text + i, n);
        used += n;
        i += n;
    }
    out[used] = '\0';
    return used;
}

void cli_put_safe(FILE *file, const char *text)
{
    char safe[256];
    fwrite(safe, 1, cli_make_safe(text, strlen(text), false, safe, sizeof safe), file);
}

static void put_line(const char *colour, const char *line)
{
    char safe[1200];
    cli_make_safe(line, strlen(line), false, safe, sizeof safe);
    if (has_colours(stderr)) {
        fprintf(stderr, "%squadriga:\033[0m %s\n", colour, safe);
    } else {
        fprintf(stderr, "quadriga: %s\n", safe);
    }
}

void cli_error(const char *fmt, ...)
{
    char line[1200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    put_line("\033[31m", line);
}

void cli_error_status(qd_context *context, enum qd_status status)
{
    const char *reason = qd_last_error(context);
    cli_error("%s", *reason != '\0' ? reason : qd_status_text(status));
}

void cli_log(void *user, enum qd_log_level level, const char *line)
{
    (void)user;
    if (level != QD_LOG_ERROR || strncmp(line, "validation:", 11) == 0) {
        put_line(level == QD_LOG_WARN ? "\033[33m" : "\033[2m", line);
    }
}

static void show_bar(struct cli_progress *progress, uint64_t done, uint64_t total)
{
    double share = total != 0 ? (double)done / (double)total : 1;
    double seconds = (double)(progress->shown_ns - progress->begin_ns) / 1e9;
    int full = (int)(share * BAR);
    fprintf(stderr, "\rloading [%.*s%*s] %3.0f %%  %.2f of %.2f GB  %.2f GB/s ", full,
            "##############################", BAR - full, "", share * 100, (double)done / 1e9,
            (double)total / 1e9, seconds > 0 ? (double)done / seconds / 1e9 : 0);
    fflush(stderr);
    progress->shown = true;
}

bool cli_progress_step(void *user, uint64_t done, uint64_t total)
{
    struct cli_progress *progress = user;
    uint64_t now = cli_clock_ns();
    if (progress->begin_ns == 0) {
        progress->begin_ns = now;
    }
    if (cli_on_terminal(stderr) && (now - progress->shown_ns > SHOW_EVERY_NS || done == total)) {
        progress->shown_ns = now;
        show_bar(progress, done, total);
    }
    return progress->interrupt == NULL || cli_interrupted(progress->interrupt) == 0;
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->shown) {
        fprintf(stderr, "\r%79s\r", "");
    }
    progress->shown = false;
}
