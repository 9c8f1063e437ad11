/* The official form: a JSON object in each line, with activity_label, ctx_a, ctx_b, endings, label,
 * and mostly ctx. */
#include "eval/internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

struct place {
    struct eval_set *set;
    const char *path;
    uint64_t line;
    struct log *log;
};

static bool wrong(const struct place *place, const char *field, const json_t *value,
                  const char *wanted)
{
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const char *shown = text != NULL ? text : "missing";
    log_error(place->log, "%s: line %" PRIu64 ": %s is %s: must be %s", place->path, place->line,
              field, eval_quote(shown, strlen(shown)).text, wanted);
    mem_free(text);
    return false;
}

/* NULL: said. A field that may be missing is "" then. */
static const char *get_text(const struct place *place, const json_t *value, const char *field,
                            bool must_have_text)
{
    const char *text = json_string_value(value);
    size_t bytes = json_string_length(value);
    if (value == NULL && !must_have_text) {
        text = "";
    }
    if (text == NULL || (must_have_text && eval_space_begin(text, bytes) == bytes)) {
        wrong(place, field, value, "a text that is not empty");
        return NULL;
    }
    return eval_set_text(place->set, place->path, place->line, text, bytes, place->log);
}

/* A number as in the official file, or a text with one digit as in the copies made of it. */
static bool get_label(const struct place *place, const json_t *object, uint32_t *label)
{
    const json_t *value = json_object_get(object, "label");
    const char *text = json_string_value(value);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (text != NULL && json_string_length(value) == 1 && *text >= '0' && *text <= '3') {
        number = *text - '0';
    }
    if (number < 0 || number >= EVAL_ENDINGS) {
        return wrong(place, "label", value, "0, 1, 2 or 3");
    }
    *label = (uint32_t)number;
    return true;
}

static bool get_endings(const struct place *place, const json_t *object, struct eval_task *task)
{
    const json_t *list = json_object_get(object, "endings");
    if (!json_is_array(list) || json_array_size(list) != EVAL_ENDINGS) {
        return wrong(place, "endings", list, "a list of four texts");
    }
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        char field[16];
        snprintf(field, sizeof field, "endings[%u]", e);
        task->ending[e] = get_text(place, json_array_get(list, e), field, true);
        if (task->ending[e] == NULL) {
            return false;
        }
    }
    return true;
}

static bool read_object(const struct place *place, const json_t *object)
{
    struct eval_task *task = eval_set_add(place->set, place->path, place->line, place->log);
    if (task == NULL || !get_label(place, object, &task->label) ||
        !get_endings(place, object, task)) {
        return false;
    }
    task->activity =
        get_text(place, json_object_get(object, "activity_label"), "activity_label", true);
    task->ctx_a = task->activity != NULL
                      ? get_text(place, json_object_get(object, "ctx_a"), "ctx_a", true)
                      : NULL;
    task->ctx_b = task->ctx_a != NULL
                      ? get_text(place, json_object_get(object, "ctx_b"), "ctx_b", false)
                      : NULL;
    task->context =
        task->ctx_b != NULL ? get_text(place, json_object_get(object, "ctx"), "ctx", false) : NULL;
    return task->context != NULL;
}

static bool read_line(const struct place *place, const char *text, size_t bytes)
{
    json_error_t error;
    json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    bool ok = json_is_object(object);
    if (ok) {
        ok = read_object(place, object);
    } else {
        log_error(place->log, "%s: line %" PRIu64 ": no JSON object: %s", place->path, place->line,
                  object != NULL ? "something else" : error.text);
    }
    json_decref(object);
    return ok;
}

bool eval_read_json(struct eval_set *set, const char *path, const char *text, size_t bytes,
                    struct log *log)
{
    struct place place = {set, path, 0, log};
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : bytes - at;
        place.line++;
        if (eval_space_begin(text + at, n) < n && !read_line(&place, text + at, n)) {
            return false;
        }
        at += n + 1;
    }
    return true;
}
