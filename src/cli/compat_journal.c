/* The journal of --resume: a header, then a line per row. Rows of an interrupted run are found
 * again by what they are of; those of other devices, drivers, seeds or versions are refused. */
#include "cli/compat.h"
#include "cli/json.h"
#include "cli/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *key_of(const json_t *row, char *out, size_t bytes)
{
    int n = snprintf(out, bytes, "%lld ",
                     (long long)json_integer_value(json_object_get(row, "device")));
    if (n > 0 && (size_t)n < bytes) {
        compat_row_text(row, out + n, bytes - (size_t)n);
    }
    return out;
}

static bool refuse(const char *path, const char *field, const json_t *there, const json_t *here)
{
    char *a = json_dumps(there, JSON_ENCODE_ANY | JSON_COMPACT);
    char *b = json_dumps(here, JSON_ENCODE_ANY | JSON_COMPACT);
    cli_error("%s: a journal whose %s is %.200s, not %.200s: give another file", path, field,
              a != NULL ? a : "missing", b != NULL ? b : "missing");
    cli_free(a);
    cli_free(b);
    return false;
}

/* The fields of `here` are those of `there`; `prefix` names what they belong to. */
static bool check_fields(const char *path, const char *prefix, const json_t *there,
                         const json_t *here)
{
    const char *key;
    json_t *value;
    char name[96];
    json_object_foreach((json_t *)here, key, value)
    {
        const json_t *other = json_object_get(there, key);
        snprintf(name, sizeof name, "%s%s", prefix, key);
        if (!json_is_array(value)) {
            if (!json_equal(other, value)) {
                return refuse(path, name, other, value);
            }
            continue;
        }
        if (json_array_size(other) != json_array_size(value)) {
            json_t *a = json_integer((json_int_t)json_array_size(other));
            json_t *b = json_integer((json_int_t)json_array_size(value));
            refuse(path, "number of devices", a, b);
            json_decref(a);
            json_decref(b);
            return false;
        }
        for (size_t i = 0; i < json_array_size(value); i++) {
            snprintf(name, sizeof name, "%s[%zu].", key, i);
            if (!check_fields(path, name, json_array_get(other, i), json_array_get(value, i))) {
                return false;
            }
        }
    }
    return true;
}

static bool keep_row(struct compat_journal *journal, json_t *row, uint64_t line)
{
    char key[COMPAT_ROW_TEXT];
    if (!compat_row_ok(row)) {
        cli_error("%s: line %llu is no row of compat", journal->path, (unsigned long long)line);
        json_decref(row);
        return false;
    }
    key_of(row, key, sizeof key);
    if (json_object_get(journal->index, key) == NULL) {
        json_array_append(journal->rows, row);
        json_object_set(journal->index, key, row);
    }
    json_decref(row);
    return true;
}

/* One whole line: the header, or a row. */
static bool read_line(struct compat_journal *journal, const char *text, size_t bytes, uint64_t line,
                      const json_t *header)
{
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (line != 1) {
        return keep_row(journal, value, line);
    }
    bool ok = json_object_get(value, "journal") != NULL;
    if (!ok) {
        cli_error("%s: line 1 is no header of a compat journal", journal->path);
    }
    ok = ok && check_fields(journal->path, "", value, header);
    json_decref(value);
    return ok;
}

/* Reads what is there; `end` is behind the last whole line. */
static bool read_all(struct compat_journal *journal, const json_t *header, const char *first,
                     long *end)
{
    char *text = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ok = true;
    *end = 0;
    for (uint64_t line = 1; ok && (n = getline(&text, &cap, journal->file)) > 0; line++) {
        if (text[n - 1] != '\n') {
            /* cut; a cut header must still be ours before it is overwritten */
            if (line == 1 && ((size_t)n > strlen(first) || memcmp(text, first, (size_t)n) != 0)) {
                cli_error("%s: line 1 is no header of a compat journal", journal->path);
                ok = false;
            }
            break;
        }
        ok = read_line(journal, text, (size_t)n, line, header);
        *end = ftell(journal->file);
    }
    cli_free(text);
    return ok;
}

static bool say_failed(const struct compat_journal *journal, const char *what)
{
    cli_error("%s: cannot be %s: %s", journal->path, what, strerror(errno));
    return false;
}

static bool prepare(struct compat_journal *journal, const json_t *header, const char *first)
{
    long end;
    if (!read_all(journal, header, first, &end)) {
        return false;
    }
    if (end < 0 || fflush(journal->file) != 0 || ftruncate(fileno(journal->file), end) != 0 ||
        fseek(journal->file, end, SEEK_SET) != 0) {
        return say_failed(journal, "prepared");
    }
    if (end == 0 && (fprintf(journal->file, "%s\n", first) < 0 || fflush(journal->file) != 0)) {
        return say_failed(journal, "written");
    }
    return true;
}

bool compat_journal_open(struct compat_journal *journal, const char *path, const json_t *header)
{
    *journal = (struct compat_journal){.path = path, .rows = json_array(), .index = json_object()};
    char *first = json_dumps(header, JSON_COMPACT);
    journal->file = fopen(path, "r+");
    if (journal->file == NULL && errno == ENOENT) {
        journal->file = fopen(path, "w+");
    }
    bool ok = first != NULL && (journal->file != NULL ? prepare(journal, header, first)
                                                      : say_failed(journal, "opened"));
    cli_free(first);
    return ok;
}

bool compat_journal_add(struct compat_journal *journal, const json_t *row)
{
    return (json_dumpf(row, journal->file, JSON_COMPACT) == 0 &&
            fputc('\n', journal->file) != EOF && fflush(journal->file) == 0) ||
           say_failed(journal, "written");
}

const json_t *compat_journal_find(const struct compat_journal *journal, const json_t *row)
{
    char key[COMPAT_ROW_TEXT];
    return json_object_get(journal->index, key_of(row, key, sizeof key));
}

void compat_journal_close(struct compat_journal *journal)
{
    if (journal->file != NULL) {
        fclose(journal->file);
    }
    json_decref(journal->index);
    json_decref(journal->rows);
    *journal = (struct compat_journal){0};
}
