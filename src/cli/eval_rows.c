/* Rows of tasks, written one by one and read again. */
#include "cli/eval_rows.h"

#include "cli/memory.h"
#include "cli/term.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char columns[] =
    "index,label,logprob_0,logprob_1,logprob_2,logprob_3,tokens_0,tokens_1,tokens_2,tokens_3,"
    "chars_0,chars_1,chars_2,chars_3,bytes_0,bytes_1,bytes_2,bytes_3,acc,acc_norm,acc_bytes,"
    "acc_tok";
static const char before_id[] = "# quadriga eval hellaswag: ";

enum { COUNTS = 3 * EVAL_ENDINGS + EVAL_METRICS };

static bool say_failed(const struct cli_eval_rows *rows, const char *what)
{
    cli_error("%s: cannot be %s: %s", rows->path, what, strerror(errno));
    return false;
}

static bool say_bad(const struct cli_eval_rows *rows, uint64_t line, const char *text)
{
    char safe[64];
    cli_make_safe(text, strcspn(text, "\n"), false, safe, sizeof safe);
    cli_error("%s: line %" PRIu64 " is no row of this evaluation: '%s'", rows->path, line, safe);
    return false;
}

/* A number before a comma or the end of the line; *at is behind that then. */
static bool take_count(const char **at, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(*at, &end, 10);
    bool ok = **at >= '0' && **at <= '9' && errno == 0 && value <= UINT32_MAX &&
              (*end == ',' || *end == '\n');
    *at = end + 1;
    *out = (uint32_t)value;
    return ok;
}

static bool take_real(const char **at, double *out)
{
    char *end;
    *out = strtod(*at, &end);
    bool ok = end != *at && *end == ',';
    *at = end + 1;
    return ok;
}

/* `text` ends with a newline. What was chosen is worked out again. */
static bool read_row(const char *text, const struct eval_set *set, struct eval_result *out)
{
    uint32_t counts[COUNTS];
    bool ok = take_count(&text, &out->index) && take_count(&text, &out->label);
    for (uint32_t e = 0; e < EVAL_ENDINGS && ok; e++) {
        ok = take_real(&text, &out->sum[e]);
    }
    for (uint32_t i = 0; i < COUNTS && ok; i++) {
        ok = take_count(&text, &counts[i]) && (text[-1] == '\n') == (i + 1 == COUNTS) &&
             (counts[i] != 0 || i >= 3 * EVAL_ENDINGS);
    }
    if (!ok || !eval_result_ok(out) || out->index >= set->n ||
        set->tasks[out->index].label != out->label) {
        return false;
    }
    memcpy(out->n_tokens, counts, sizeof out->n_tokens);
    memcpy(out->n_chars, counts + EVAL_ENDINGS, sizeof out->n_chars);
    memcpy(out->n_bytes, counts + 2 * EVAL_ENDINGS, sizeof out->n_bytes);
    return true;
}

static bool keep_row(struct cli_eval_rows *rows, const struct eval_result *result)
{
    if (rows->n == rows->cap) {
        size_t cap = rows->cap != 0 ? 2 * rows->cap : 1024;
        struct eval_result *grown = cli_resize(rows->results, cap, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        rows->results = grown;
        rows->cap = cap;
    }
    rows->results[rows->n++] = *result;
    return true;
}

/* The two lines that a file of this evaluation begins with. */
static bool make_head(char *out, size_t bytes, const char *id)
{
    int n = snprintf(out, bytes, "%s%s\n%s\n", before_id, id, columns);
    return n > 0 && (size_t)n < bytes;
}

/* What is there of the head: all, or a piece of it, which is as good as none. */
static bool read_head(struct cli_eval_rows *rows, const char *head, bool *whole)
{
    char there[2048];
    size_t wanted = strlen(head), n = fread(there, 1, wanted, rows->file);
    *whole = n == wanted;
    if (ferror(rows->file)) {
        return say_failed(rows, "read");
    }
    if (memcmp(there, head, n) != 0) {
        char safe[512], ours[512];
        const char *end = memchr(there, '\n', n);
        cli_make_safe(there, end != NULL ? (size_t)(end - there) : n, false, safe, sizeof safe);
        cli_make_safe(head, strcspn(head, "\n"), false, ours, sizeof ours);
        cli_error("%s: belongs to another evaluation: it begins with '%s', not '%s'", rows->path,
                  safe, ours);
        return false;
    }
    return true;
}

/* Reads whole rows; *end is behind the last one. */
static bool read_rows(struct cli_eval_rows *rows, const struct eval_set *set, long *end)
{
    char *text = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ok = true;
    for (uint64_t line = 3; ok && (n = getline(&text, &cap, rows->file)) > 0; line++) {
        struct eval_result result;
        if (text[n - 1] != '\n') {
            break; /* torn */
        }
        ok = strlen(text) == (size_t)n && read_row(text, set, &result) ? keep_row(rows, &result)
                                                                       : say_bad(rows, line, text);
        *end = ftell(rows->file);
    }
    cli_free(text);
    return ok;
}

static bool begin(struct cli_eval_rows *rows, const char *head)
{
    return (fputs(head, rows->file) >= 0 && fflush(rows->file) == 0) || say_failed(rows, "written");
}

static bool go_on_with(struct cli_eval_rows *rows, const char *head, const struct eval_set *set)
{
    bool whole;
    if (!read_head(rows, head, &whole)) {
        return false;
    }
    long end = whole ? ftell(rows->file) : 0;
    if (whole && !read_rows(rows, set, &end)) {
        return false;
    }
    if (end < 0 || fflush(rows->file) != 0 || ftruncate(fileno(rows->file), end) != 0 ||
        fseek(rows->file, end, SEEK_SET) != 0) {
        return say_failed(rows, "prepared");
    }
    return whole || begin(rows, head);
}

bool cli_eval_rows_open(struct cli_eval_rows *rows, const char *path, const char *id, bool go_on,
                        const struct eval_set *set)
{
    char head[2048];
    *rows = (struct cli_eval_rows){.path = path};
    if (path == NULL) {
        return true;
    }
    if (!make_head(head, sizeof head, id)) {
        cli_error("%s: the names in its first line are too long", path);
        return false;
    }
    if (go_on) {
        rows->file = fopen(path, "r+");
        if (rows->file != NULL) {
            return go_on_with(rows, head, set);
        }
        if (errno != ENOENT) {
            return say_failed(rows, "opened");
        }
    }
    rows->file = fopen(path, "w");
    return rows->file != NULL ? begin(rows, head) : say_failed(rows, "opened");
}

bool cli_eval_rows_add(struct cli_eval_rows *rows, const struct eval_result *result)
{
    if (rows->file == NULL) {
        return true;
    }
    FILE *file = rows->file;
    fprintf(file, "%" PRIu32 ",%" PRIu32, result->index, result->label);
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        fprintf(file, ",%.17g", result->sum[e]);
    }
    const uint32_t *const counts[] = {result->n_tokens, result->n_chars, result->n_bytes};
    for (uint32_t i = 0; i < 3 * EVAL_ENDINGS; i++) {
        fprintf(file, ",%" PRIu32, counts[i / EVAL_ENDINGS][i % EVAL_ENDINGS]);
    }
    for (uint32_t m = 0; m < EVAL_METRICS; m++) {
        fprintf(file, ",%" PRIu32, eval_choose(result, (enum eval_metric)m));
    }
    return (fputc('\n', file) != EOF && fflush(file) == 0 && ferror(file) == 0) ||
           say_failed(rows, "written");
}

bool cli_eval_rows_close(struct cli_eval_rows *rows)
{
    bool ok = rows->file == NULL || fclose(rows->file) == 0 || say_failed(rows, "written");
    cli_free(rows->results);
    *rows = (struct cli_eval_rows){0};
    return ok;
}
