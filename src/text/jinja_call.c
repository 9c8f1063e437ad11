/* What templates call: methods of texts and dicts, filters, tests, and a few functions. */
#include "text/jinja.h"

#include <stdio.h>
#include <string.h>

static const struct jinja_value undefined = {.type = JINJA_UNDEFINED};

static bool unknown(struct jinja_run *run, const char *what, const struct jinja_text *name)
{
    return jinja_stop(run, JINJA_FAILED, "the %s %.*s is left out", what,
                      (int)(name->bytes < 40 ? name->bytes : 40), name->text);
}

static bool is_text_arg(const struct jinja_args *args, size_t i)
{
    return i < args->count && args->values[i].type == JINJA_TEXT;
}

/* ---- texts ---- */

static bool in_set(const struct jinja_text *set, char c)
{
    return set->bytes != 0 && memchr(set->text, c, set->bytes) != NULL;
}

/* strip(chars): of single-byte characters. */
static struct jinja_text strip_set(struct jinja_text text, const struct jinja_text *set, bool left,
                                   bool right)
{
    while (left && text.bytes > 0 && in_set(set, text.text[0])) {
        text.text++;
        text.bytes--;
    }
    while (right && text.bytes > 0 && in_set(set, text.text[text.bytes - 1])) {
        text.bytes--;
    }
    return text;
}

static bool strip(struct jinja_run *run, const struct jinja_text *self,
                  const struct jinja_args *args, bool left, bool right, struct jinja_value *out)
{
    struct jinja_text text;
    if (args->count == 0) {
        text = jinja_strip(*self, left, right);
    } else {
        const struct jinja_text *set = &args->values[0].text;
        for (size_t i = 0; i < set->bytes; i++) {
            if ((unsigned char)set->text[i] >= 0x80) {
                return jinja_stop(run, JINJA_FAILED, "strip of characters beyond ASCII");
            }
        }
        text = strip_set(*self, set, left, right);
    }
    *out = jinja_make_text(text.text, text.bytes);
    return true;
}

/* Position of `part` in `text` from `at` on, or its length. */
static size_t find(const struct jinja_text *text, size_t at, const struct jinja_text *part)
{
    for (; part->bytes != 0 && at + part->bytes <= text->bytes; at++) {
        if (memcmp(text->text + at, part->text, part->bytes) == 0) {
            return at;
        }
    }
    return text->bytes;
}

static bool split(struct jinja_run *run, const struct jinja_text *self,
                  const struct jinja_args *args, struct jinja_value *out)
{
    if (!is_text_arg(args, 0) || args->values[0].text.bytes == 0 || args->count != 1) {
        return jinja_stop(run, JINJA_FAILED, "split without a separator is left out");
    }
    const struct jinja_text *by = &args->values[0].text;
    bool ok = jinja_make_list(run, out);
    for (size_t at = 0; ok;) {
        size_t next = find(self, at, by);
        struct jinja_value part = jinja_make_text(self->text + at, next - at);
        ok = jinja_step(run) && jinja_list_add(run, out->list, &part);
        if (next + by->bytes > self->bytes) {
            break;
        }
        at = next + by->bytes;
    }
    return ok;
}

static bool replace(struct jinja_run *run, const struct jinja_text *self,
                    const struct jinja_args *args, struct jinja_value *out)
{
    if (args->count != 2 || !is_text_arg(args, 0) || !is_text_arg(args, 1) ||
        args->values[0].text.bytes == 0) {
        return jinja_stop(run, JINJA_FAILED, "replace needs two texts");
    }
    const struct jinja_text *from = &args->values[0].text, *to = &args->values[1].text;
    *out = jinja_make_text("", 0);
    for (size_t at = 0; at < self->bytes;) {
        size_t next = find(self, at, from);
        struct jinja_text part = {self->text + at, next - at};
        if (!jinja_step(run) || !jinja_concat(run, &out->text, &part, out)) {
            return false;
        }
        if (next < self->bytes && !jinja_concat(run, &out->text, to, out)) {
            return false;
        }
        at = next + from->bytes;
    }
    return true;
}

/* ASCII only: nothing else is cased in what templates write themselves. */
static bool change_case(struct jinja_run *run, const struct jinja_text *self,
                        const struct jinja_text *name, struct jinja_value *out)
{
    char *copy = jinja_alloc(run, self->bytes + 1, 1);
    bool upper = jinja_text_is(name, "upper"), title = jinja_text_is(name, "title");
    bool capital = title || jinja_text_is(name, "capitalize");
    for (size_t i = 0; copy != NULL && i < self->bytes; i++) {
        char c = self->text[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool up = upper || capital;
        copy[i] = !letter ? c : up ? (char)(c & ~0x20) : (char)(c | 0x20);
        capital = title ? !letter : false;
    }
    *out = jinja_make_text(copy, self->bytes);
    return copy != NULL;
}

static bool is_case(const struct jinja_text *name)
{
    return jinja_text_is(name, "upper") || jinja_text_is(name, "lower") ||
           jinja_text_is(name, "title") || jinja_text_is(name, "capitalize");
}

static bool text_method(struct jinja_run *run, const struct jinja_text *self,
                        const struct jinja_text *name, const struct jinja_args *args,
                        struct jinja_value *out)
{
    bool left = jinja_text_is(name, "lstrip"), right = jinja_text_is(name, "rstrip");
    bool starts = jinja_text_is(name, "startswith"), ends = jinja_text_is(name, "endswith");
    if (left || right || jinja_text_is(name, "strip")) {
        return args->count == 0 || is_text_arg(args, 0)
                   ? strip(run, self, args, !right, !left, out)
                   : jinja_stop(run, JINJA_FAILED, "strip of what is no text");
    }
    if ((starts || ends) && is_text_arg(args, 0)) {
        const struct jinja_text *part = &args->values[0].text;
        size_t at = self->bytes - part->bytes;
        *out = jinja_make_bool(part->bytes <= self->bytes && memcmp(self->text + (starts ? 0 : at),
                                                                    part->text, part->bytes) == 0);
        return true;
    }
    if (jinja_text_is(name, "split")) {
        return split(run, self, args, out);
    }
    if (jinja_text_is(name, "replace")) {
        return replace(run, self, args, out);
    }
    return is_case(name) ? change_case(run, self, name, out) : unknown(run, "method", name);
}

/* ---- dicts ---- */

static bool dict_items(struct jinja_run *run, const struct jinja_dict *dict, bool keys, bool values,
                       struct jinja_value *out)
{
    bool ok = jinja_make_list(run, out);
    for (size_t i = 0; ok && i < dict->count; i++) {
        struct jinja_value pair = keys ? dict->keys[i] : dict->values[i];
        if (keys && values) {
            ok = jinja_make_list(run, &pair) && jinja_list_add(run, pair.list, &dict->keys[i]) &&
                 jinja_list_add(run, pair.list, &dict->values[i]);
        }
        ok = ok && jinja_list_add(run, out->list, &pair);
    }
    return ok;
}

static bool dict_method(struct jinja_run *run, const struct jinja_dict *self,
                        const struct jinja_text *name, const struct jinja_args *args,
                        struct jinja_value *out)
{
    if (jinja_text_is(name, "get") && args->count >= 1) {
        const struct jinja_value *found = jinja_dict_get(self, &args->values[0]);
        *out = found != NULL      ? *found
               : args->count >= 2 ? args->values[1]
                                  : (struct jinja_value){.type = JINJA_NONE};
        return true;
    }
    if (jinja_text_is(name, "items")) {
        return dict_items(run, self, true, true, out);
    }
    if (jinja_text_is(name, "keys") || jinja_text_is(name, "values")) {
        return dict_items(run, self, name->text[0] == 'k', name->text[0] == 'v', out);
    }
    return unknown(run, "method", name);
}

bool jinja_method(struct jinja_run *run, const struct jinja_value *self,
                  const struct jinja_text *name, const struct jinja_args *args,
                  struct jinja_value *out)
{
    *out = undefined;
    if (self->type == JINJA_TEXT) {
        return text_method(run, &self->text, name, args, out);
    }
    if (self->type == JINJA_DICT) {
        return dict_method(run, self->dict, name, args, out);
    }
    return unknown(run, "method", name);
}

/* ---- functions ---- */

bool jinja_is_function(const struct jinja_text *name)
{
    return jinja_text_is(name, "raise_exception") || jinja_text_is(name, "namespace") ||
           jinja_text_is(name, "dict") || jinja_text_is(name, "range") ||
           jinja_text_is(name, "strftime_now");
}

static bool make_range(struct jinja_run *run, const struct jinja_args *args,
                       struct jinja_value *out)
{
    bool ok = args->count == 1 || args->count == 2;
    for (size_t i = 0; i < args->count; i++) {
        ok = ok && args->values[i].type == JINJA_INT;
    }
    if (!ok) {
        return jinja_stop(run, JINJA_FAILED, "range needs one or two numbers");
    }
    int64_t first = args->count == 2 ? args->values[0].number : 0;
    int64_t end = args->values[args->count - 1].number;
    ok = jinja_make_list(run, out);
    for (int64_t i = first; ok && i < end; i++) {
        struct jinja_value item = jinja_make_int(i);
        ok = jinja_step(run) && jinja_list_add(run, out->list, &item);
    }
    return ok;
}

static bool format_now(struct jinja_run *run, const struct jinja_args *args,
                       struct jinja_value *out)
{
    char format[64], text[256];
    if (!is_text_arg(args, 0) || args->values[0].text.bytes >= sizeof format ||
        run->context->now == NULL) {
        return jinja_stop(run, JINJA_FAILED, "strftime_now needs a short format");
    }
    memcpy(format, args->values[0].text.text, args->values[0].text.bytes);
    format[args->values[0].text.bytes] = '\0';
    size_t n = strftime(text, sizeof text, format, run->context->now);
    char *copy = jinja_alloc(run, n + 1, 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, text, n);
    *out = jinja_make_text(copy, n);
    return true;
}

bool jinja_function(struct jinja_run *run, const struct jinja_text *name,
                    const struct jinja_args *args, struct jinja_value *out)
{
    *out = undefined;
    if (jinja_text_is(name, "raise_exception")) {
        struct jinja_text text = {"", 0};
        if (args->count >= 1 && !jinja_to_text(run, &args->values[0], &text)) {
            return false;
        }
        return jinja_stop(run, JINJA_RAISED, "%.*s", (int)(text.bytes < 200 ? text.bytes : 200),
                          text.text);
    }
    if (jinja_text_is(name, "range")) {
        return make_range(run, args, out);
    }
    if (jinja_text_is(name, "strftime_now")) {
        return format_now(run, args, out);
    }
    bool ok = jinja_make_dict(run, out); /* namespace, dict */
    if (ok && args->count == 1 && args->values[0].type == JINJA_DICT) {
        const struct jinja_dict *from = args->values[0].dict;
        for (size_t i = 0; ok && i < from->count; i++) {
            ok = jinja_dict_set(run, out->dict, &from->keys[i], &from->values[i]);
        }
    }
    for (size_t i = 0; ok && args->named != NULL && i < args->named->count; i++) {
        ok = jinja_dict_set(run, out->dict, &args->named->keys[i], &args->named->values[i]);
    }
    return ok;
}

/* ---- filters ---- */

static bool length(struct jinja_run *run, const struct jinja_value *self, struct jinja_value *out)
{
    int64_t n = 0;
    if (self->type == JINJA_TEXT) {
        for (size_t i = 0; i < self->text.bytes; i++) {
            n += ((unsigned char)self->text.text[i] & 0xc0) != 0x80;
        }
    } else if (self->type == JINJA_LIST || self->type == JINJA_DICT) {
        n = (int64_t)(self->type == JINJA_LIST ? self->list->count : self->dict->count);
    } else if (self->type != JINJA_UNDEFINED) {
        return jinja_stop(run, JINJA_FAILED, "the length of what has none");
    }
    *out = jinja_make_int(n);
    return true;
}

static bool join(struct jinja_run *run, const struct jinja_value *self,
                 const struct jinja_args *args, struct jinja_value *out)
{
    struct jinja_text by = {"", 0}, item;
    if (self->type != JINJA_LIST || (args->count >= 1 && !is_text_arg(args, 0))) {
        return jinja_stop(run, JINJA_FAILED, "join of what is no list");
    }
    by = args->count >= 1 ? args->values[0].text : by;
    *out = jinja_make_text("", 0);
    for (size_t i = 0; i < self->list->count; i++) {
        if (!jinja_to_text(run, &self->list->items[i], &item) ||
            (i != 0 && !jinja_concat(run, &out->text, &by, out)) ||
            !jinja_concat(run, &out->text, &item, out)) {
            return false;
        }
    }
    return true;
}

/* selectattr("role", "equalto", "user") and the like; rejectattr is the rest. */
static bool select_by(struct jinja_run *run, const struct jinja_value *self,
                      const struct jinja_args *args, bool reject, struct jinja_value *out)
{
    if (self->type != JINJA_LIST || !is_text_arg(args, 0) ||
        (args->count >= 2 && !is_text_arg(args, 1))) {
        return jinja_stop(run, JINJA_FAILED, "selectattr of what is no list");
    }
    bool ok = jinja_make_list(run, out);
    for (size_t i = 0; ok && i < self->list->count; i++) {
        struct jinja_value value;
        struct jinja_args rest = {.count = 0};
        bool yes;
        if (self->list->items[i].type != JINJA_DICT ||
            !jinja_index(run, &self->list->items[i], &args->values[0], &value)) {
            return jinja_stop(run, JINJA_FAILED, "selectattr of what has no members");
        }
        yes = jinja_truth(&value);
        if (args->count >= 2) {
            rest.count = args->count - 2;
            for (size_t a = 0; a < rest.count; a++) {
                rest.values[a] = args->values[a + 2];
            }
            ok = jinja_test(run, &value, &args->values[1].text, &rest, &yes);
        }
        if (ok && yes != reject) {
            ok = jinja_list_add(run, out->list, &self->list->items[i]);
        }
    }
    return ok;
}

static bool make_list(struct jinja_run *run, const struct jinja_value *self,
                      struct jinja_value *out)
{
    if (self->type != JINJA_LIST) {
        return self->type == JINJA_DICT ? dict_items(run, self->dict, true, false, out)
                                        : jinja_stop(run, JINJA_FAILED, "list of what is no list");
    }
    bool ok = jinja_make_list(run, out);
    for (size_t i = 0; ok && i < self->list->count; i++) {
        ok = jinja_list_add(run, out->list, &self->list->items[i]);
    }
    return ok;
}

static bool first_or_last(struct jinja_run *run, const struct jinja_value *self, bool last,
                          struct jinja_value *out)
{
    struct jinja_value index = jinja_make_int(last ? -1 : 0);
    return self->type == JINJA_LIST || self->type == JINJA_TEXT
               ? jinja_index(run, self, &index, out)
               : jinja_stop(run, JINJA_FAILED, "first or last of what is no list");
}

bool jinja_filter(struct jinja_run *run, const struct jinja_value *self,
                  const struct jinja_text *name, const struct jinja_args *args,
                  struct jinja_value *out)
{
    struct jinja_text text;
    *out = undefined;
    if (jinja_text_is(name, "length") || jinja_text_is(name, "count")) {
        return length(run, self, out);
    }
    if (jinja_text_is(name, "default") || jinja_text_is(name, "d")) {
        bool use = self->type == JINJA_UNDEFINED ||
                   (args->count >= 2 && jinja_truth(&args->values[1]) && !jinja_truth(self));
        *out = !use ? *self : args->count >= 1 ? args->values[0] : jinja_make_text("", 0);
        return true;
    }
    if (jinja_text_is(name, "join")) {
        return join(run, self, args, out);
    }
    if (jinja_text_is(name, "list")) {
        return make_list(run, self, out);
    }
    if (jinja_text_is(name, "first") || jinja_text_is(name, "last")) {
        return first_or_last(run, self, name->text[0] == 'l', out);
    }
    if (jinja_text_is(name, "selectattr") || jinja_text_is(name, "rejectattr")) {
        return select_by(run, self, args, name->text[0] == 'r', out);
    }
    if (jinja_text_is(name, "items") && self->type == JINJA_DICT) {
        return dict_items(run, self->dict, true, true, out);
    }
    bool trim = jinja_text_is(name, "trim"),
         plain = jinja_text_is(name, "string") || jinja_text_is(name, "safe");
    if (!trim && !plain && !is_case(name) && !jinja_text_is(name, "replace")) {
        return unknown(run, "filter", name);
    }
    if (!jinja_to_text(run, self, &text)) {
        return false;
    }
    *out = jinja_make_text(text.text, text.bytes);
    return plain ||
           text_method(run, &text, trim ? &(struct jinja_text){"strip", 5} : name, args, out);
}

/* ---- tests ---- */

static bool is_of_type(const struct jinja_value *self, const struct jinja_text *name, bool *out)
{
    enum jinja_type t = self->type;
    struct {
        const char *name;
        bool yes;
    } kinds[] = {
        {"defined", t != JINJA_UNDEFINED},
        {"undefined", t == JINJA_UNDEFINED},
        {"none", t == JINJA_NONE},
        {"string", t == JINJA_TEXT},
        {"mapping", t == JINJA_DICT},
        {"iterable", t == JINJA_TEXT || t == JINJA_LIST || t == JINJA_DICT || t == JINJA_UNDEFINED},
        {"sequence", t == JINJA_TEXT || t == JINJA_LIST || t == JINJA_DICT || t == JINJA_UNDEFINED},
        {"number", t == JINJA_INT || t == JINJA_BOOL},
        {"integer", t == JINJA_INT},
        {"boolean", t == JINJA_BOOL},
        {"true", t == JINJA_BOOL && self->number != 0},
        {"false", t == JINJA_BOOL && self->number == 0},
        {"callable", t == JINJA_FUNCTION},
        {"even", t == JINJA_INT && self->number % 2 == 0},
        {"odd", t == JINJA_INT && self->number % 2 != 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (jinja_text_is(name, kinds[i].name)) {
            *out = kinds[i].yes;
            return true;
        }
    }
    return false;
}

bool jinja_test(struct jinja_run *run, const struct jinja_value *self,
                const struct jinja_text *name, const struct jinja_args *args, bool *out)
{
    *out = false;
    if (is_of_type(self, name, out)) {
        return true;
    }
    if (args->count == 1 && (jinja_text_is(name, "equalto") || jinja_text_is(name, "eq") ||
                             jinja_text_is(name, "==") || jinja_text_is(name, "sameas"))) {
        *out = jinja_equal(self, &args->values[0]);
        return true;
    }
    if (args->count == 1 && (jinja_text_is(name, "ne") || jinja_text_is(name, "!="))) {
        *out = !jinja_equal(self, &args->values[0]);
        return true;
    }
    if (args->count == 1 && jinja_text_is(name, "in")) {
        return jinja_contains(run, &args->values[0], self, out);
    }
    return unknown(run, "test", name);
}
