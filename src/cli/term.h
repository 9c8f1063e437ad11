/* What the program says: errors and notes on standard error, safe text, the progress bar.
 *
 * Colours and the bar appear only on a terminal, colours only where NO_COLOR is unset or empty. */
#ifndef QUADRIGA_CLI_TERM_H
#define QUADRIGA_CLI_TERM_H

#include "include/quadriga.h"

#include <stdio.h>

#if defined(__GNUC__)
#define CLI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CLI_PRINTF(fmt, args)
#endif

/* One line on standard error, "quadriga: " before it; control characters become '?'. */
void cli_error(const char *fmt, ...) CLI_PRINTF(1, 2);
/* The reason of a failed call: the context's last error, else the text of the status. */
void cli_error_status(qd_context *context, enum qd_status status);
/* For qd_context_params.log. Errors are left out, but for those of the validation layer: the
 * command says them once, at its end. */
void cli_log(void *user, enum qd_log_level level, const char *line);

bool cli_on_terminal(FILE *file);
/* Copies at most `cap` - 1 bytes for a terminal: control characters (C0 and C1, DEL) and bytes that
 * are not UTF-8 become '?'; newline and tab stay when `keep_lines`. Returns the bytes, terminated.
 */
size_t cli_make_safe(const char *text, size_t bytes, bool keep_lines, char *out, size_t cap);
/* Prints `text` made safe, as it is cut at 255 bytes. */
void cli_put_safe(FILE *file, const char *text);

struct cli_interrupt;
/* Bytes of weights loaded, as a bar with rate on a terminal. Ctrl-C ends the loading. */
struct cli_progress {
    const struct cli_interrupt *interrupt; /* may be NULL */
    uint64_t begin_ns, shown_ns;
    bool shown;
};
/* A qd_progress_callback; `user` is the struct. */
bool cli_progress_step(void *user, uint64_t done, uint64_t total);
void cli_progress_end(struct cli_progress *progress); /* wipes the bar */

uint64_t cli_clock_ns(void);

#endif
