/* Expressions to values. Statements are jinja_run.c, methods and filters jinja_call.c. */
#include "text/jinja.h"

#include <string.h>

bool jinja_step(struct jinja_run *run)
{
    run->steps++;
    return run->result == JINJA_OK &&
           (run->steps < JINJA_MAX_STEPS || jinja_stop(run, JINJA_FAILED, "it takes too long"));
}

static const struct jinja_value *find_name(const struct jinja_run *run,
                                           const struct jinja_text *name)
{
    struct jinja_value key = jinja_make_text(name->text, name->bytes);
    for (const struct jinja_frame *frame = run->frame; frame != NULL; frame = frame->outer) {
        const struct jinja_value *found = jinja_dict_get(&frame->names, &key);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static bool evaluate_name(struct jinja_run *run, const struct jinja_node *node,
                          struct jinja_value *out)
{
    const struct jinja_value *found = find_name(run, &node->text);
    *out = (struct jinja_value){.type = JINJA_UNDEFINED};
    if (found != NULL) {
        *out = *found;
    } else if (jinja_is_function(&node->text)) {
        *out = (struct jinja_value){.type = JINJA_FUNCTION, .text = node->text};
    }
    return true;
}

static bool evaluate_collection(struct jinja_run *run, const struct jinja_node *node,
                                struct jinja_value *out)
{
    bool dict = node->kind == JINJA_DICT_OF;
    bool ok = dict ? jinja_make_dict(run, out) : jinja_make_list(run, out);
    for (const struct jinja_node *item = node->a; ok && item != NULL; item = item->next) {
        struct jinja_value key, value;
        if (dict) {
            ok = jinja_evaluate(run, item->a, &key) && jinja_evaluate(run, item->b, &value) &&
                 jinja_dict_set(run, out->dict, &key, &value);
        } else {
            ok = jinja_evaluate(run, item, &value) && jinja_list_add(run, out->list, &value);
        }
    }
    return ok;
}

static bool evaluate_member(struct jinja_run *run, const struct jinja_node *node,
                            struct jinja_value *out)
{
    struct jinja_value object, key = jinja_make_text(node->text.text, node->text.bytes);
    if (!jinja_evaluate(run, node->a, &object)) {
        return false;
    }
    if (object.type == JINJA_UNDEFINED) {
        return jinja_stop(run, JINJA_FAILED, "a member of what is not defined");
    }
    *out = (struct jinja_value){.type = JINJA_UNDEFINED};
    return object.type != JINJA_DICT || jinja_index(run, &object, &key, out);
}

static bool evaluate_args(struct jinja_run *run, const struct jinja_node *list,
                          struct jinja_args *args)
{
    *args = (struct jinja_args){.count = 0};
    for (; list != NULL; list = list->next) {
        bool named = list->kind == JINJA_PAIR;
        struct jinja_value value, key = jinja_make_text(list->text.text, list->text.bytes);
        if (!jinja_evaluate(run, named ? list->a : list, &value)) {
            return false;
        }
        if (!named) {
            if (args->count == sizeof args->values / sizeof *args->values) {
                return jinja_stop(run, JINJA_FAILED, "too many arguments");
            }
            args->values[args->count++] = value;
            continue;
        }
        struct jinja_value dict;
        if (args->named == NULL) {
            if (!jinja_make_dict(run, &dict)) {
                return false;
            }
            args->named = dict.dict;
        }
        if (!jinja_dict_set(run, args->named, &key, &value)) {
            return false;
        }
    }
    return true;
}

static bool evaluate_call(struct jinja_run *run, const struct jinja_node *node,
                          struct jinja_value *out)
{
    const struct jinja_node *callee = node->a;
    struct jinja_args args;
    struct jinja_value self;
    *out = (struct jinja_value){.type = JINJA_UNDEFINED};
    if (callee->kind == JINJA_VARIABLE) {
        return evaluate_args(run, node->b, &args) && evaluate_name(run, callee, &self) &&
               (self.type == JINJA_FUNCTION ? jinja_function(run, &self.text, &args, out)
                                            : jinja_stop(run, JINJA_FAILED, "an unknown function"));
    }
    if (callee->kind == JINJA_MEMBER) {
        return jinja_evaluate(run, callee->a, &self) && evaluate_args(run, node->b, &args) &&
               jinja_method(run, &self, &callee->text, &args, out);
    }
    return jinja_stop(run, JINJA_FAILED, "a call of what is no function");
}

static bool compare(struct jinja_run *run, const struct jinja_text *op, const struct jinja_value *a,
                    const struct jinja_value *b, struct jinja_value *out)
{
    int64_t order = 0;
    if (a->type == JINJA_TEXT && b->type == JINJA_TEXT) {
        size_t n = a->text.bytes < b->text.bytes ? a->text.bytes : b->text.bytes;
        order = n != 0 ? memcmp(a->text.text, b->text.text, n) : 0;
        order = order != 0 ? order : (int64_t)a->text.bytes - (int64_t)b->text.bytes;
    } else if ((a->type == JINJA_INT || a->type == JINJA_BOOL) &&
               (b->type == JINJA_INT || b->type == JINJA_BOOL)) {
        order = (a->number > b->number) - (a->number < b->number);
    } else {
        return jinja_stop(run, JINJA_FAILED, "a comparison of what has no order");
    }
    bool equal = op->bytes == 2;
    *out = jinja_make_bool(op->text[0] == '<' ? order < 0 || (equal && order == 0)
                                              : order > 0 || (equal && order == 0));
    return true;
}

/* Numbers stay small: no rendering needs large ones. */
static bool calculate(struct jinja_run *run, const struct jinja_text *op,
                      const struct jinja_value *a, const struct jinja_value *b,
                      struct jinja_value *out)
{
    bool numbers = (a->type == JINJA_INT || a->type == JINJA_BOOL) &&
                   (b->type == JINJA_INT || b->type == JINJA_BOOL);
    int64_t x = a->number, y = b->number;
    if (!numbers || x > INT32_MAX || x < -INT32_MAX || y > INT32_MAX || y < -INT32_MAX) {
        return jinja_stop(run, JINJA_FAILED, "arithmetic of what are no small numbers");
    }
    char c = op->text[0];
    if (op->bytes == 1 && (c == '+' || c == '-' || c == '*')) {
        *out = jinja_make_int(c == '+' ? x + y : c == '-' ? x - y : x * y);
        return true;
    }
    if (y == 0 || (c == '/' && op->bytes == 1)) {
        return jinja_stop(run, JINJA_FAILED, "a division by zero, or into a fraction");
    }
    int64_t rest = x % y;
    bool down = rest != 0 && (rest < 0) != (y < 0); /* Python rounds down */
    *out = jinja_make_int(c == '%' ? rest + (down ? y : 0) : x / y - down);
    return true;
}

static bool add(struct jinja_run *run, const struct jinja_value *a, const struct jinja_value *b,
                const struct jinja_text *op, struct jinja_value *out)
{
    if (a->type == JINJA_TEXT && b->type == JINJA_TEXT) {
        return jinja_concat(run, &a->text, &b->text, out);
    }
    if (a->type != JINJA_LIST || b->type != JINJA_LIST) {
        return calculate(run, op, a, b, out);
    }
    bool ok = jinja_make_list(run, out);
    for (size_t i = 0; ok && i < a->list->count + b->list->count; i++) {
        size_t n = a->list->count;
        ok = jinja_list_add(run, out->list, i < n ? &a->list->items[i] : &b->list->items[i - n]);
    }
    return ok;
}

static bool evaluate_binary(struct jinja_run *run, const struct jinja_node *node,
                            struct jinja_value *out)
{
    const struct jinja_text *op = &node->text;
    struct jinja_value a, b;
    if (!jinja_evaluate(run, node->a, &a)) {
        return false;
    }
    bool is_and = jinja_text_is(op, "and"), is_or = jinja_text_is(op, "or");
    if ((is_and && !jinja_truth(&a)) || (is_or && jinja_truth(&a))) {
        *out = a;
        return true;
    }
    if (!jinja_evaluate(run, node->b, &b)) {
        return false;
    }
    if (is_and || is_or) {
        *out = b;
        return true;
    }
    if (jinja_text_is(op, "==") || jinja_text_is(op, "!=")) {
        *out = jinja_make_bool(jinja_equal(&a, &b) == (op->text[0] == '='));
        return true;
    }
    if (jinja_text_is(op, "in") || jinja_text_is(op, "not in")) {
        bool found;
        if (!jinja_contains(run, &b, &a, &found)) {
            return false;
        }
        *out = jinja_make_bool(found == (op->bytes == 2));
        return true;
    }
    if (jinja_text_is(op, "~")) {
        struct jinja_text left, right;
        return jinja_to_text(run, &a, &left) && jinja_to_text(run, &b, &right) &&
               jinja_concat(run, &left, &right, out);
    }
    if (op->text[0] == '<' || op->text[0] == '>') {
        return compare(run, op, &a, &b, out);
    }
    return jinja_text_is(op, "+") ? add(run, &a, &b, op, out) : calculate(run, op, &a, &b, out);
}

static bool evaluate_slice(struct jinja_run *run, const struct jinja_node *node,
                           struct jinja_value *out)
{
    const struct jinja_node *from[3] = {node->b, node->c, node->d};
    struct jinja_value object, bounds[3];
    if (!jinja_evaluate(run, node->a, &object)) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        bounds[i] = (struct jinja_value){.type = JINJA_NONE};
        if (from[i] != NULL && !jinja_evaluate(run, from[i], &bounds[i])) {
            return false;
        }
    }
    return jinja_slice(run, &object, bounds, out);
}

static bool evaluate_test(struct jinja_run *run, const struct jinja_node *node,
                          struct jinja_value *out)
{
    struct jinja_value self;
    struct jinja_args args;
    bool yes;
    if (!jinja_evaluate(run, node->a, &self) || !evaluate_args(run, node->b, &args) ||
        !jinja_test(run, &self, &node->text, &args, &yes)) {
        return false;
    }
    *out = jinja_make_bool(yes);
    return true;
}

static bool evaluate_one(struct jinja_run *run, const struct jinja_node *node,
                         struct jinja_value *out)
{
    struct jinja_value a, b;
    struct jinja_args args;
    switch (node->kind) {
    case JINJA_CONST_TEXT:
        *out = jinja_make_text(node->text.text, node->text.bytes);
        return true;
    case JINJA_CONST_INT:
        *out = jinja_make_int(node->number);
        return true;
    case JINJA_CONST_BOOL:
        *out = jinja_make_bool(node->number != 0);
        return true;
    case JINJA_CONST_NONE:
        *out = (struct jinja_value){.type = JINJA_NONE};
        return true;
    case JINJA_VARIABLE:
        return evaluate_name(run, node, out);
    case JINJA_LIST_OF:
    case JINJA_DICT_OF:
        return evaluate_collection(run, node, out);
    case JINJA_MEMBER:
        return evaluate_member(run, node, out);
    case JINJA_INDEX:
        return jinja_evaluate(run, node->a, &a) && jinja_evaluate(run, node->b, &b) &&
               jinja_index(run, &a, &b, out);
    case JINJA_SLICE:
        return evaluate_slice(run, node, out);
    case JINJA_CALL:
        return evaluate_call(run, node, out);
    case JINJA_FILTER:
        return jinja_evaluate(run, node->a, &a) && evaluate_args(run, node->b, &args) &&
               jinja_filter(run, &a, &node->text, &args, out);
    case JINJA_TEST:
        return evaluate_test(run, node, out);
    case JINJA_NOT:
        if (!jinja_evaluate(run, node->a, &a)) {
            return false;
        }
        *out = jinja_make_bool(!jinja_truth(&a));
        return true;
    case JINJA_MINUS:
        b = jinja_make_int(0);
        return jinja_evaluate(run, node->a, &a) &&
               calculate(run, &(struct jinja_text){"-", 1}, &b, &a, out);
    case JINJA_BINARY:
        return evaluate_binary(run, node, out);
    case JINJA_CONDITION:
        if (!jinja_evaluate(run, node->b, &b)) {
            return false;
        }
        *out = (struct jinja_value){.type = JINJA_UNDEFINED};
        return jinja_truth(&b) ? jinja_evaluate(run, node->a, out)
                               : node->c == NULL || jinja_evaluate(run, node->c, out);
    default:
        return jinja_stop(run, JINJA_FAILED, "a statement in place of a value");
    }
}

bool jinja_evaluate(struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out)
{
    *out = (struct jinja_value){.type = JINJA_UNDEFINED};
    if (!jinja_step(run)) {
        return false;
    }
    if (run->depth >= JINJA_MAX_DEPTH * 8) {
        return jinja_stop(run, JINJA_FAILED, "expressions inside each other, too deep");
    }
    run->depth++;
    bool ok = evaluate_one(run, node, out);
    run->depth--;
    return ok;
}
