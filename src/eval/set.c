/* A file of tasks: what it is packed with, which format it has, and that it is UTF-8. */
#include "eval/internal.h"

#include "base/os.h"

#include <inttypes.h>
#include <string.h>

static const size_t longest = (size_t)1 << 30;

struct eval_quote eval_quote(const char *text, size_t bytes)
{
    struct eval_quote quote;
    size_t n = bytes < 40 ? bytes : 40;
    while (n > 0 && n < bytes && ((unsigned char)text[n] & 0xc0) == 0x80) {
        n--;
    }
    memcpy(quote.text, text, n);
    snprintf(quote.text + n, sizeof quote.text - n, "%s", n < bytes ? "..." : "");
    return quote;
}

struct eval_task *eval_set_add(struct eval_set *set, const char *path, uint64_t line,
                               struct log *log)
{
    if (set->n >= UINT32_MAX / 2 ||
        !mem_grow((void **)&set->tasks, &set->cap, set->n, sizeof *set->tasks)) {
        log_error(log, "%s: line %" PRIu64 ": out of memory for %zu tasks", path, line, set->n + 1);
        return NULL;
    }
    struct eval_task *task = &set->tasks[set->n++];
    *task = (struct eval_task){.line = line};
    return task;
}

const char *eval_set_text(struct eval_set *set, const char *path, uint64_t line, const char *text,
                          size_t bytes, struct log *log)
{
    char *copy = arena_strndup(&set->arena, text, bytes);
    if (copy == NULL) {
        log_error(log, "%s: line %" PRIu64 ": out of memory for %zu bytes", path, line, bytes);
    }
    return copy;
}

static uint64_t count_lines(const char *text, size_t bytes)
{
    uint64_t n = 1;
    for (size_t i = 0; i < bytes; i++) {
        n += text[i] == '\n';
    }
    return n;
}

static bool check_text(const char *path, const char *text, size_t bytes, struct log *log)
{
    size_t valid = eval_utf8_valid(text, bytes);
    if (valid < bytes) {
        log_error(log, "%s: line %" PRIu64 ": byte 0x%02x at %zu is not valid UTF-8", path,
                  count_lines(text, valid), (unsigned char)text[valid], valid);
        return false;
    }
    const char *nul = memchr(text, '\0', bytes);
    if (nul != NULL) {
        log_error(log, "%s: line %" PRIu64 ": byte 0x00 at %zu is no text", path,
                  count_lines(text, (size_t)(nul - text)), (size_t)(nul - text));
        return false;
    }
    return true;
}

static bool read_text(struct eval_set *set, const char *path, const char *text, size_t bytes,
                      struct log *log)
{
    if (!check_text(path, text, bytes, log)) {
        return false;
    }
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        bytes -= 3;
    }
    size_t begin = eval_space_begin(text, bytes);
    if (begin == bytes) {
        log_error(log, "%s: there are no tasks in it", path);
        return false;
    }
    return text[begin] == '{' ? eval_read_json(set, path, text, bytes, log)
                              : eval_read_lines(set, path, text, bytes, log);
}

bool eval_set_parse(struct eval_set *set, const char *name, const char *data, size_t bytes,
                    struct log *log)
{
    *set = (struct eval_set){0};
    arena_init(&set->arena);
    if (bytes < 3 || memcmp(data, "BZh", 3) != 0) {
        return read_text(set, name, data, bytes, log);
    }
    char *plain = eval_unpack(name, data, bytes, longest, &bytes, log);
    bool ok = plain != NULL && read_text(set, name, plain, bytes, log);
    mem_free(plain);
    return ok;
}

bool eval_set_read(struct eval_set *set, const char *path, struct log *log)
{
    size_t bytes;
    char *text = os_read_text(path, longest, &bytes, log);
    *set = (struct eval_set){0};
    bool ok = text != NULL && eval_set_parse(set, path, text, bytes, log);
    mem_free(text);
    return ok;
}

void eval_set_finish(struct eval_set *set)
{
    arena_finish(&set->arena);
    mem_free(set->tasks);
    *set = (struct eval_set){0};
}
