/* Statements to output: what a template makes of a conversation. */
#include "text/jinja.h"

#include <string.h>

static bool run_body(struct jinja_run *run, const struct jinja_node *node);

static bool put(struct jinja_run *run, const struct jinja_text *text)
{
    str_add(run->out, text->text, text->bytes);
    if (run->out->failed || run->out->bytes - run->out_start > JINJA_MAX_MEMORY) {
        return jinja_stop(run, JINJA_FAILED, "its output is too long");
    }
    return true;
}

static bool run_output(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_value value;
    struct jinja_text text;
    return jinja_evaluate(run, node->a, &value) && jinja_to_text(run, &value, &text) &&
           put(run, &text);
}

static bool set_name(struct jinja_run *run, const struct jinja_text *name,
                     const struct jinja_value *value)
{
    struct jinja_value key = jinja_make_text(name->text, name->bytes);
    return jinja_dict_set(run, &run->frame->names, &key, value);
}

static bool run_set(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_value value, object;
    if (node->kind == JINJA_SET) {
        if (!jinja_evaluate(run, node->a, &value)) {
            return false;
        }
    } else {
        struct str *outer = run->out, inner;
        struct jinja_text none = {"", 0};
        size_t start = run->out_start;
        str_init(&inner);
        run->out = &inner;
        run->out_start = 0;
        bool ok = run_body(run, node->b);
        run->out = outer;
        run->out_start = start;
        struct jinja_text text = {str_get(&inner), inner.bytes};
        ok = ok && jinja_concat(run, &text, &none, &value);
        str_finish(&inner);
        if (!ok) {
            return false;
        }
    }
    if (node->d->kind == JINJA_VARIABLE) {
        return set_name(run, &node->d->text, &value);
    }
    struct jinja_value key = jinja_make_text(node->d->text.text, node->d->text.bytes);
    return jinja_evaluate(run, node->d->a, &object) &&
           (object.type == JINJA_DICT
                ? jinja_dict_set(run, object.dict, &key, &value)
                : jinja_stop(run, JINJA_FAILED, "a member set of what is no namespace"));
}

/* The items that a for goes over; a dict gives its keys. */
static bool make_items(struct jinja_run *run, const struct jinja_node *node,
                       struct jinja_value *items)
{
    struct jinja_value value;
    if (!jinja_evaluate(run, node->a, &value) || !jinja_make_list(run, items)) {
        return false;
    }
    if (value.type == JINJA_UNDEFINED) {
        return true;
    }
    if (value.type != JINJA_LIST && value.type != JINJA_DICT) {
        return jinja_stop(run, JINJA_FAILED, "a for over what is no list");
    }
    size_t n = value.type == JINJA_LIST ? value.list->count : value.dict->count;
    for (size_t i = 0; i < n; i++) {
        const struct jinja_value *item =
            value.type == JINJA_LIST ? &value.list->items[i] : &value.dict->keys[i];
        if (!jinja_list_add(run, items->list, item)) {
            return false;
        }
    }
    return true;
}

static bool set_targets(struct jinja_run *run, const struct jinja_node *names,
                        const struct jinja_value *item)
{
    if (names->next == NULL) {
        return set_name(run, &names->text, item);
    }
    size_t n = 0;
    for (const struct jinja_node *name = names; name != NULL; name = name->next) {
        if (item->type != JINJA_LIST || n >= item->list->count) {
            return jinja_stop(run, JINJA_FAILED, "a for with more names than values");
        }
        if (!set_name(run, &name->text, &item->list->items[n++])) {
            return false;
        }
    }
    return true;
}

/* Keeps the items that the condition of the for holds for. */
static bool filter_items(struct jinja_run *run, const struct jinja_node *node,
                         struct jinja_list *items)
{
    size_t kept = 0;
    for (size_t i = 0; node->c != NULL && i < items->count; i++) {
        struct jinja_value yes;
        if (!set_targets(run, node->d, &items->items[i]) || !jinja_evaluate(run, node->c, &yes)) {
            return false;
        }
        if (jinja_truth(&yes)) {
            items->items[kept++] = items->items[i];
        }
    }
    items->count = node->c != NULL ? kept : items->count;
    return true;
}

static bool set_loop(struct jinja_run *run, const struct jinja_list *items, size_t i)
{
    size_t n = items->count;
    struct {
        const char *name;
        struct jinja_value value;
    } facts[] = {
        {"index", jinja_make_int((int64_t)i + 1)},
        {"index0", jinja_make_int((int64_t)i)},
        {"revindex", jinja_make_int((int64_t)(n - i))},
        {"revindex0", jinja_make_int((int64_t)(n - i - 1))},
        {"first", jinja_make_bool(i == 0)},
        {"last", jinja_make_bool(i + 1 == n)},
        {"length", jinja_make_int((int64_t)n)},
        {"previtem", i > 0 ? items->items[i - 1] : (struct jinja_value){.type = JINJA_UNDEFINED}},
        {"nextitem",
         i + 1 < n ? items->items[i + 1] : (struct jinja_value){.type = JINJA_UNDEFINED}},
    };
    struct jinja_value loop;
    struct jinja_text name = {"loop", 4};
    bool ok = jinja_make_dict(run, &loop);
    for (size_t f = 0; ok && f < sizeof facts / sizeof *facts; f++) {
        struct jinja_value key = jinja_make_name(facts[f].name);
        ok = jinja_dict_set(run, loop.dict, &key, &facts[f].value);
    }
    return ok && set_name(run, &name, &loop);
}

static bool run_for(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_value items;
    if (!make_items(run, node, &items)) {
        return false;
    }
    struct jinja_frame frame = {.outer = run->frame};
    run->frame = &frame;
    bool ok = filter_items(run, node, items.list);
    for (size_t i = 0; ok && i < items.list->count; i++) {
        frame.names.count = 0; /* what one turn sets is gone in the next */
        ok = jinja_step(run) && set_loop(run, items.list, i) &&
             set_targets(run, node->d, &items.list->items[i]) && run_body(run, node->b);
    }
    run->frame = frame.outer;
    return ok && (items.list->count != 0 || run_body(run, node->e));
}

static bool run_if(struct jinja_run *run, const struct jinja_node *node)
{
    struct jinja_value yes;
    return jinja_evaluate(run, node->a, &yes) &&
           run_body(run, jinja_truth(&yes) ? node->b : node->c);
}

static bool run_body(struct jinja_run *run, const struct jinja_node *node)
{
    bool ok = true;
    for (; ok && node != NULL; node = node->next) {
        ok = jinja_step(run);
        if (!ok) {
            break;
        }
        switch (node->kind) {
        case JINJA_OUTPUT_TEXT:
            ok = node->text.bytes == 0 || put(run, &node->text);
            break;
        case JINJA_OUTPUT:
            ok = run_output(run, node);
            break;
        case JINJA_IF:
            ok = run_if(run, node);
            break;
        case JINJA_FOR:
            ok = run_for(run, node);
            break;
        default:
            ok = run_set(run, node);
            break;
        }
    }
    return ok;
}

static bool set_globals(struct jinja_run *run)
{
    const struct jinja_context *context = run->context;
    struct jinja_value messages, none = {.type = JINJA_NONE};
    bool ok = jinja_make_list(run, &messages);
    for (size_t i = 0; ok && i < context->n_messages; i++) {
        const struct jinja_message *message = &context->messages[i];
        struct jinja_value dict, role = jinja_make_name("role"), text = jinja_make_name("content");
        struct jinja_value who = jinja_make_name(message->role);
        struct jinja_value what = jinja_make_text(message->content.text, message->content.bytes);
        ok = jinja_make_dict(run, &dict) && jinja_dict_set(run, dict.dict, &role, &who) &&
             jinja_dict_set(run, dict.dict, &text, &what) &&
             jinja_list_add(run, messages.list, &dict);
    }
    struct {
        const char *name;
        struct jinja_value value;
    } globals[] = {
        {"messages", messages},
        {"add_generation_prompt", jinja_make_bool(true)},
        {"bos_token", jinja_make_text(context->bos.text, context->bos.bytes)},
        {"eos_token", jinja_make_text(context->eos.text, context->eos.bytes)},
        {"tools", none},
        {"documents", none},
    };
    for (size_t i = 0; ok && i < sizeof globals / sizeof *globals; i++) {
        struct jinja_text name = {globals[i].name, strlen(globals[i].name)};
        ok = set_name(run, &name, &globals[i].value);
    }
    return ok;
}

enum jinja_result jinja_render(const struct jinja *jinja, const struct jinja_context *context,
                               struct str *out, struct str *why)
{
    struct jinja_frame frame = {.outer = NULL};
    struct jinja_run run = {.out = out,
                            .why = why,
                            .out_start = out->bytes,
                            .context = context,
                            .frame = &frame,
                            .result = JINJA_OK};
    arena_init(&run.arena);
    if (set_globals(&run)) {
        run_body(&run, jinja->body);
    }
    arena_finish(&run.arena);
    return run.result;
}
