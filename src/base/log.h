/* Log lines and the one error text.
 *
 * There is no global log: every object that can fail holds a `struct log *` given by its creator.
 * An error is logged once, where it happens, as one line that names the file, field and value
 * concerned; the caller then only returns false or NULL. The API edge turns the last error line
 * into `qd_last_error`.
 *
 * Thread rule: log_* may be called from any thread on one log; the sink runs under its lock. */
#ifndef QUADRIGA_BASE_LOG_H
#define QUADRIGA_BASE_LOG_H

#include <pthread.h>
#include <stdbool.h>

#if defined(__GNUC__)
#define LOG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define LOG_PRINTF(fmt, args)
#endif

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Called with one line without its newline. */
typedef void log_fn(void *user, enum log_level level, const char *line);

struct log {
    log_fn *fn; /* may be NULL: lines are dropped, the last error is still kept */
    void *user;
    enum log_level level; /* lines above this level are dropped */
    pthread_mutex_t lock;
    char last[1024]; /* last LOG_ERROR line, "" when there was none */
};

void log_init(struct log *log, log_fn *fn, void *user, enum log_level level);
void log_finish(struct log *log);

/* A NULL log drops the line. Lines are cut at 1023 bytes; control bytes (names read from files)
 * are printed as '?'. */
void log_error(struct log *log, const char *fmt, ...) LOG_PRINTF(2, 3);
void log_warn(struct log *log, const char *fmt, ...) LOG_PRINTF(2, 3);
void log_info(struct log *log, const char *fmt, ...) LOG_PRINTF(2, 3);
void log_debug(struct log *log, const char *fmt, ...) LOG_PRINTF(2, 3);

/* Copy of the last error line into `out` (always terminated). */
void log_get_last(struct log *log, char *out, unsigned long out_bytes);

#endif
