/* Formats lines, keeps the last error, hands lines to the owner's sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void log_init(struct log *log, log_fn *fn, void *user, enum log_level level)
{
    memset(log, 0, sizeof *log);
    log->fn = fn;
    log->user = user;
    log->level = level;
    pthread_mutex_init(&log->lock, NULL);
}

void log_finish(struct log *log)
{
    if (log != NULL) {
        pthread_mutex_destroy(&log->lock);
    }
}

LOG_PRINTF(3, 0)
static void emit(struct log *log, enum log_level level, const char *fmt, va_list args)
{
    if (log == NULL || (level > log->level && level != LOG_ERROR)) {
        return;
    }
    char line[sizeof log->last];
    vsnprintf(line, sizeof line, fmt, args);
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    pthread_mutex_lock(&log->lock);
    if (level == LOG_ERROR) {
        memcpy(log->last, line, sizeof line);
    }
    if (log->fn != NULL && level <= log->level) {
        log->fn(log->user, level, line);
    }
    pthread_mutex_unlock(&log->lock);
}

#define DEFINE_LEVEL(name, level)                                                                  \
    void name(struct log *log, const char *fmt, ...)                                               \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        emit(log, level, fmt, args);                                                               \
        va_end(args);                                                                              \
    }

DEFINE_LEVEL(log_error, LOG_ERROR)
DEFINE_LEVEL(log_warn, LOG_WARN)
DEFINE_LEVEL(log_info, LOG_INFO)
DEFINE_LEVEL(log_debug, LOG_DEBUG)
#undef DEFINE_LEVEL

void log_get_last(struct log *log, char *out, unsigned long out_bytes)
{
    if (out_bytes == 0) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    snprintf(out, out_bytes, "%s", log->last);
    pthread_mutex_unlock(&log->lock);
}
