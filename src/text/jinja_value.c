/* Values of a rendering: made, compared, sliced, printed. They live in the rendering's arena. */
#include "text/internal.h"
#include "text/jinja.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool jinja_stop(struct jinja_run *run, enum jinja_result result, const char *fmt, ...)
{
    if (run->result == JINJA_OK) {
        char text[240];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        str_printf(run->why, "%s", text);
        run->result = result;
    }
    return false;
}

void *jinja_alloc(struct jinja_run *run, size_t count, size_t size)
{
    uint64_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > JINJA_MAX_MEMORY ||
        run->used + bytes > JINJA_MAX_MEMORY) {
        jinja_stop(run, JINJA_FAILED, "it needs too much memory");
        return NULL;
    }
    void *out = arena_alloc(&run->arena, count, size);
    if (out == NULL) {
        jinja_stop(run, JINJA_FAILED, "out of memory");
    }
    run->used += (size_t)bytes + 16;
    return out;
}

struct jinja_value jinja_make_bool(bool value)
{
    return (struct jinja_value){.type = JINJA_BOOL, .number = value};
}

struct jinja_value jinja_make_int(int64_t value)
{
    return (struct jinja_value){.type = JINJA_INT, .number = value};
}

struct jinja_value jinja_make_text(const char *text, size_t bytes)
{
    return (struct jinja_value){.type = JINJA_TEXT, .text = {text, bytes}};
}

struct jinja_value jinja_make_name(const char *text)
{
    return jinja_make_text(text, strlen(text));
}

bool jinja_text_is(const struct jinja_text *text, const char *name)
{
    return text->bytes == strlen(name) && memcmp(text->text, name, text->bytes) == 0;
}

bool jinja_truth(const struct jinja_value *value)
{
    switch (value->type) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
    case JINJA_INT:
        return value->number != 0;
    case JINJA_TEXT:
        return value->text.bytes != 0;
    case JINJA_LIST:
        return value->list->count != 0;
    case JINJA_DICT:
        return value->dict->count != 0;
    case JINJA_FUNCTION:
        break;
    }
    return true;
}

static bool text_equal(const struct jinja_text *a, const struct jinja_text *b)
{
    return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->text, b->text, a->bytes) == 0);
}

bool jinja_equal(const struct jinja_value *a, const struct jinja_value *b)
{
    bool numbers = (a->type == JINJA_BOOL || a->type == JINJA_INT) &&
                   (b->type == JINJA_BOOL || b->type == JINJA_INT);
    if (numbers) {
        return a->number == b->number;
    }
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case JINJA_TEXT:
    case JINJA_FUNCTION:
        return text_equal(&a->text, &b->text);
    case JINJA_LIST: /* by identity: what is in it may be as deep as the template likes */
        return a->list == b->list;
    case JINJA_DICT:
        return a->dict == b->dict;
    default:
        return true;
    }
}

bool jinja_make_list(struct jinja_run *run, struct jinja_value *out)
{
    *out = (struct jinja_value){.type = JINJA_LIST, .list = jinja_alloc(run, 1, sizeof *out->list)};
    return out->list != NULL;
}

bool jinja_make_dict(struct jinja_run *run, struct jinja_value *out)
{
    *out = (struct jinja_value){.type = JINJA_DICT, .dict = jinja_alloc(run, 1, sizeof *out->dict)};
    return out->dict != NULL;
}

static struct jinja_value *grow(struct jinja_run *run, const struct jinja_value *items,
                                size_t count, size_t cap)
{
    struct jinja_value *grown = jinja_alloc(run, cap, sizeof *grown);
    if (grown != NULL && count != 0) {
        memcpy(grown, items, count * sizeof *items);
    }
    return grown;
}

bool jinja_list_add(struct jinja_run *run, struct jinja_list *list, const struct jinja_value *item)
{
    if (list->count == list->cap) {
        size_t cap = list->cap != 0 ? list->cap * 2 : 4;
        struct jinja_value *grown = grow(run, list->items, list->count, cap);
        if (grown == NULL) {
            return false;
        }
        list->items = grown;
        list->cap = cap;
    }
    list->items[list->count++] = *item;
    return true;
}

static size_t find_key(const struct jinja_dict *dict, const struct jinja_value *key)
{
    size_t i = 0;
    while (i < dict->count && !jinja_equal(&dict->keys[i], key)) {
        i++;
    }
    return i;
}

const struct jinja_value *jinja_dict_get(const struct jinja_dict *dict,
                                         const struct jinja_value *key)
{
    size_t i = find_key(dict, key);
    return i < dict->count ? &dict->values[i] : NULL;
}

bool jinja_dict_set(struct jinja_run *run, struct jinja_dict *dict, const struct jinja_value *key,
                    const struct jinja_value *value)
{
    size_t i = find_key(dict, key);
    if (i == dict->count) {
        if (dict->count == dict->cap) {
            size_t cap = dict->cap != 0 ? dict->cap * 2 : 4;
            struct jinja_value *keys = grow(run, dict->keys, dict->count, cap);
            struct jinja_value *values = grow(run, dict->values, dict->count, cap);
            if (keys == NULL || values == NULL) {
                return false;
            }
            dict->keys = keys;
            dict->values = values;
            dict->cap = cap;
        }
        dict->keys[dict->count++] = *key;
    }
    dict->values[i] = *value;
    return true;
}

bool jinja_to_text(struct jinja_run *run, const struct jinja_value *value, struct jinja_text *out)
{
    char number[24];
    *out = (struct jinja_text){"", 0};
    switch (value->type) {
    case JINJA_TEXT:
        *out = value->text;
        return true;
    case JINJA_UNDEFINED:
        return true;
    case JINJA_NONE:
        *out = (struct jinja_text){"None", 4};
        return true;
    case JINJA_BOOL:
        *out =
            value->number != 0 ? (struct jinja_text){"True", 4} : (struct jinja_text){"False", 5};
        return true;
    case JINJA_INT: {
        int n = snprintf(number, sizeof number, "%" PRId64, value->number);
        char *copy = jinja_alloc(run, (size_t)n + 1, 1);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, number, (size_t)n);
        *out = (struct jinja_text){copy, (size_t)n};
        return true;
    }
    default:
        return jinja_stop(run, JINJA_FAILED, "printing a list or a function is left out");
    }
}

bool jinja_concat(struct jinja_run *run, const struct jinja_text *a, const struct jinja_text *b,
                  struct jinja_value *out)
{
    char *joined = jinja_alloc(run, a->bytes + b->bytes + 1, 1);
    if (joined == NULL) {
        return false;
    }
    if (a->bytes != 0) {
        memcpy(joined, a->text, a->bytes);
    }
    if (b->bytes != 0) {
        memcpy(joined + a->bytes, b->text, b->bytes);
    }
    *out = jinja_make_text(joined, a->bytes + b->bytes);
    return true;
}

bool jinja_contains(struct jinja_run *run, const struct jinja_value *all,
                    const struct jinja_value *item, bool *found)
{
    *found = false;
    if (all->type == JINJA_TEXT && item->type == JINJA_TEXT) {
        size_t n = item->text.bytes;
        for (size_t i = 0; i + n <= all->text.bytes && !*found; i++) {
            *found = n == 0 || memcmp(all->text.text + i, item->text.text, n) == 0;
        }
        return true;
    }
    if (all->type == JINJA_LIST) {
        for (size_t i = 0; i < all->list->count && !*found; i++) {
            *found = jinja_equal(&all->list->items[i], item);
        }
        return true;
    }
    if (all->type == JINJA_DICT) {
        *found = jinja_dict_get(all->dict, item) != NULL;
        return true;
    }
    return all->type == JINJA_UNDEFINED ||
           jinja_stop(run, JINJA_FAILED, "'in' of what holds nothing");
}

/* Byte offset of each character, and of the end; NULL: stopped. */
static size_t *offsets(struct jinja_run *run, const struct jinja_text *text, size_t *count)
{
    size_t *at = jinja_alloc(run, text->bytes + 1, sizeof *at), n = 0;
    for (size_t i = 0; at != NULL && i < text->bytes; n++) {
        uint32_t code;
        at[n] = i;
        i += utf8_read(text->text + i, text->bytes - i, &code);
    }
    if (at != NULL) {
        at[n] = text->bytes;
    }
    *count = n;
    return at;
}

bool jinja_index(struct jinja_run *run, const struct jinja_value *object,
                 const struct jinja_value *index, struct jinja_value *out)
{
    *out = (struct jinja_value){.type = JINJA_UNDEFINED};
    if (object->type == JINJA_DICT) {
        const struct jinja_value *found = jinja_dict_get(object->dict, index);
        *out = found != NULL ? *found : *out;
        return true;
    }
    if (object->type == JINJA_UNDEFINED || object->type == JINJA_NONE) {
        return object->type == JINJA_NONE ||
               jinja_stop(run, JINJA_FAILED, "an index of what is not defined");
    }
    if (index->type != JINJA_INT) {
        return true;
    }
    size_t count = 0, *at = NULL;
    if (object->type == JINJA_TEXT) {
        at = offsets(run, &object->text, &count);
        if (at == NULL) {
            return false;
        }
    } else if (object->type == JINJA_LIST) {
        count = object->list->count;
    }
    int64_t i = index->number < 0 ? index->number + (int64_t)count : index->number;
    if (i < 0 || i >= (int64_t)count) {
        return true;
    }
    *out = object->type == JINJA_LIST
               ? object->list->items[i]
               : jinja_make_text(object->text.text + at[i], at[i + 1] - at[i]);
    return true;
}

/* Python's rules: a bound may be none, negative, or beyond the ends. */
static int64_t bound(const struct jinja_value *value, int64_t none, int64_t count, int64_t low,
                     int64_t high)
{
    if (value->type != JINJA_INT) {
        return none;
    }
    int64_t i = value->number < 0 ? value->number + count : value->number;
    return i < low ? low : i > high ? high : i;
}

bool jinja_slice(struct jinja_run *run, const struct jinja_value *object,
                 const struct jinja_value bounds[3], struct jinja_value *out)
{
    size_t n = 0, *at = NULL;
    int64_t step = bounds[2].type == JINJA_INT ? bounds[2].number : 1;
    bool is_text = object->type == JINJA_TEXT;
    if ((!is_text && object->type != JINJA_LIST) || (step != 1 && step != -1)) {
        return jinja_stop(run, JINJA_FAILED, "a slice of what has none, or in steps");
    }
    if (is_text) {
        at = offsets(run, &object->text, &n);
    }
    int64_t count = is_text ? (int64_t)n : (int64_t)object->list->count;
    int64_t first, end;
    if (step == 1) {
        first = bound(&bounds[0], 0, count, 0, count);
        end = bound(&bounds[1], count, count, 0, count);
    } else {
        first = bound(&bounds[0], count - 1, count, -1, count - 1);
        end = bound(&bounds[1], -1, count, -1, count - 1);
    }
    if (is_text) {
        if (at == NULL || step != 1) {
            return jinja_stop(run, JINJA_FAILED, "a text backwards is left out");
        }
        end = end < first ? first : end;
        *out = jinja_make_text(object->text.text + at[first], at[end] - at[first]);
        return true;
    }
    bool ok = jinja_make_list(run, out);
    for (int64_t i = first; ok && (step == 1 ? i < end : i > end); i += step) {
        ok = jinja_list_add(run, out->list, &object->list->items[i]);
    }
    return ok;
}
