/* Six lines a task: context, label, four endings. The form of llama.cpp's data. */
#include "eval/internal.h"

#include <inttypes.h>
#include <string.h>

enum { LINES = 2 + EVAL_ENDINGS };

struct line {
    const char *text;
    size_t bytes;
};

/* The line at *at, without its end; behind it is *at then. */
static struct line take_line(const char *text, size_t bytes, size_t *at)
{
    const char *end = memchr(text + *at, '\n', bytes - *at);
    size_t n = end != NULL ? (size_t)(end - text) - *at : bytes - *at;
    struct line line = {text + *at, n};
    *at += n + 1;
    if (n != 0 && line.text[n - 1] == '\r') {
        line.bytes--;
    }
    return line;
}

static bool read_task(struct eval_set *set, const char *path, uint64_t first,
                      const struct line *line, struct log *log)
{
    struct eval_task *task = eval_set_add(set, path, first, log);
    if (task == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < LINES; i++) {
        if (eval_space_begin(line[i].text, line[i].bytes) == line[i].bytes) {
            log_error(log, "%s: line %" PRIu64 ": the %s is empty", path, first + i,
                      i == 0   ? "context"
                      : i == 1 ? "label"
                               : "ending");
            return false;
        }
    }
    if (line[1].bytes != 1 || line[1].text[0] < '0' || line[1].text[0] > '3') {
        log_error(log, "%s: line %" PRIu64 ": label '%s' is none of 0, 1, 2 and 3", path, first + 1,
                  eval_quote(line[1].text, line[1].bytes).text);
        return false;
    }
    task->label = (uint32_t)(line[1].text[0] - '0');
    task->context = eval_set_text(set, path, first, line[0].text, line[0].bytes, log);
    bool ok = task->context != NULL;
    for (uint32_t e = 0; e < EVAL_ENDINGS && ok; e++) {
        task->ending[e] =
            eval_set_text(set, path, first + 2 + e, line[2 + e].text, line[2 + e].bytes, log);
        ok = task->ending[e] != NULL;
    }
    return ok;
}

bool eval_read_lines(struct eval_set *set, const char *path, const char *text, size_t bytes,
                     struct log *log)
{
    uint64_t number = 1;
    for (size_t at = 0; at < bytes; number += LINES) {
        struct line line[LINES];
        for (uint32_t i = 0; i < LINES; i++) {
            if (at >= bytes) {
                log_error(log,
                          "%s: line %" PRIu64 ": the file ends, %u lines of six into a task: "
                          "context, label and four endings are wanted",
                          path, number + i - 1, i);
                return false;
            }
            line[i] = take_line(text, bytes, &at);
        }
        if (!read_task(set, path, number, line, log)) {
            return false;
        }
    }
    return true;
}
