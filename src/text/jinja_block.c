/* Statements: text, {{ }}, if, for, set. */
#include "text/jinja.h"

#include <string.h>

static struct jinja_node *parse_body(struct jinja_reader *r, const char *const *ends);

static const char *const top[] = {NULL};
static const char *const if_ends[] = {"elif", "else", "endif", NULL};
static const char *const for_ends[] = {"else", "endfor", NULL};
static const char *const else_ends[] = {"endif", NULL};
static const char *const for_else_ends[] = {"endfor", NULL};
static const char *const set_ends[] = {"endset", NULL};
static const char *const macro_ends[] = {"endmacro", NULL};

/* "else" and the like: nothing but the name is in the tag. */
static bool take_word(struct jinja_reader *r, const char *word)
{
    if (!jinja_is_name(r, word)) {
        return jinja_fail(r, "%s is missing", word);
    }
    jinja_advance(r);
    return jinja_end_tag(r, JINJA_TAG_BLOCK);
}

static struct jinja_node *parse_if(struct jinja_reader *r)
{
    struct jinja_node *node = jinja_node(r, JINJA_IF);
    jinja_advance(r);
    if (node == NULL) {
        return NULL;
    }
    node->a = jinja_parse_expression(r);
    if (r->failed || !jinja_end_tag(r, JINJA_TAG_BLOCK)) {
        return NULL;
    }
    node->b = parse_body(r, if_ends);
    if (jinja_is_name(r, "elif")) {
        if (r->depth >= JINJA_MAX_DEPTH) {
            jinja_fail(r, "blocks inside each other, too deep");
            return NULL;
        }
        r->depth++;
        node->c = parse_if(r); /* takes the endif */
        r->depth--;
        return node;
    }
    if (jinja_is_name(r, "else")) {
        take_word(r, "else");
        node->c = parse_body(r, else_ends);
    }
    return take_word(r, "endif") ? node : NULL;
}

/* A name, or names with commas between them, linked; with `members`, "a.b" too. */
static struct jinja_node *parse_targets(struct jinja_reader *r, bool members)
{
    struct jinja_node *first = NULL, **last = &first;
    do {
        struct jinja_node *node = jinja_node(r, JINJA_VARIABLE);
        if (node == NULL || r->token.kind != JINJA_NAME) {
            jinja_fail(r, "a name is missing");
            return NULL;
        }
        node->text = r->token.text;
        jinja_advance(r);
        if (members && jinja_is_sign(r, ".")) {
            struct jinja_node *member = jinja_node(r, JINJA_MEMBER);
            jinja_advance(r);
            if (member == NULL || r->token.kind != JINJA_NAME) {
                jinja_fail(r, "a name is missing after '.'");
                return NULL;
            }
            member->a = node;
            member->text = r->token.text;
            node = member;
            jinja_advance(r);
        }
        *last = node;
        last = &node->next;
        if (!jinja_is_sign(r, ",")) {
            return first;
        }
        jinja_advance(r);
    } while (!r->failed);
    return NULL;
}

static struct jinja_node *parse_for(struct jinja_reader *r)
{
    struct jinja_node *node = jinja_node(r, JINJA_FOR);
    jinja_advance(r);
    if (node == NULL) {
        return NULL;
    }
    node->d = parse_targets(r, false);
    if (r->failed || !jinja_is_name(r, "in")) {
        jinja_fail(r, "'in' is missing in a for");
        return NULL;
    }
    jinja_advance(r);
    node->a = jinja_parse_or(r);
    if (jinja_is_name(r, "if")) {
        jinja_advance(r);
        node->c = jinja_parse_expression(r);
    }
    if (r->failed || !jinja_end_tag(r, JINJA_TAG_BLOCK)) {
        return NULL;
    }
    node->b = parse_body(r, for_ends);
    if (jinja_is_name(r, "else")) {
        take_word(r, "else");
        node->e = parse_body(r, for_else_ends);
    }
    return take_word(r, "endfor") ? node : NULL;
}

static struct jinja_node *parse_set(struct jinja_reader *r)
{
    struct jinja_node *node = jinja_node(r, JINJA_SET);
    jinja_advance(r);
    if (node == NULL) {
        return NULL;
    }
    node->d = parse_targets(r, true);
    if (node->d != NULL && node->d->next != NULL) {
        jinja_fail(r, "set with more than one name is left out");
        return NULL;
    }
    if (jinja_is_sign(r, "=")) {
        jinja_advance(r);
        node->a = jinja_parse_expression(r);
        return !r->failed && jinja_end_tag(r, JINJA_TAG_BLOCK) ? node : NULL;
    }
    node->kind = JINJA_SET_BLOCK;
    if (r->failed || !jinja_end_tag(r, JINJA_TAG_BLOCK)) {
        return NULL;
    }
    node->b = parse_body(r, set_ends);
    return take_word(r, "endset") ? node : NULL;
}

/* A macro is read and forgotten: those of chat templates are for tools. A call of it is one of an
 * unknown function. */
static struct jinja_node *parse_macro(struct jinja_reader *r)
{
    while (!r->failed && r->token.kind != JINJA_END) {
        jinja_advance(r);
    }
    if (r->failed || !jinja_end_tag(r, JINJA_TAG_BLOCK)) {
        return NULL;
    }
    parse_body(r, macro_ends);
    return take_word(r, "endmacro") ? jinja_node(r, JINJA_OUTPUT_TEXT) : NULL;
}

static struct jinja_node *parse_block(struct jinja_reader *r)
{
    if (jinja_is_name(r, "if")) {
        return parse_if(r);
    }
    if (jinja_is_name(r, "for")) {
        return parse_for(r);
    }
    if (jinja_is_name(r, "set")) {
        return parse_set(r);
    }
    if (jinja_is_name(r, "macro")) {
        return parse_macro(r);
    }
    if (jinja_is_name(r, "generation") || jinja_is_name(r, "endgeneration")) {
        jinja_advance(r); /* marks for training, without output */
        return jinja_end_tag(r, JINJA_TAG_BLOCK) ? jinja_node(r, JINJA_OUTPUT_TEXT) : NULL;
    }
    struct jinja_text name = r->token.text;
    jinja_fail(r, "the statement %.*s is left out",
               (int)(r->token.kind != JINJA_NAME ? 0
                     : name.bytes < 20           ? name.bytes
                                                 : 20),
               name.bytes != 0 ? name.text : "");
    return NULL;
}

static struct jinja_node *parse_print(struct jinja_reader *r)
{
    struct jinja_node *node = jinja_node(r, JINJA_OUTPUT);
    if (node != NULL) {
        node->a = jinja_parse_expression(r);
    }
    return !r->failed && jinja_end_tag(r, JINJA_TAG_PRINT) ? node : NULL;
}

static bool is_end(const struct jinja_reader *r, const char *const *ends)
{
    for (; *ends != NULL; ends++) {
        if (jinja_is_name(r, *ends)) {
            return true;
        }
    }
    return false;
}

/* Up to a block whose name is one of `ends`, which is left to the caller; without `ends` up to the
 * end of the template. */
static struct jinja_node *parse_body(struct jinja_reader *r, const char *const *ends)
{
    struct jinja_node *first = NULL, **last = &first;
    if (r->depth >= JINJA_MAX_DEPTH) {
        jinja_fail(r, "blocks inside each other, too deep");
        return NULL;
    }
    r->depth++;
    while (!r->failed) {
        struct jinja_text text;
        struct jinja_node *node = NULL;
        enum jinja_tag tag = jinja_read_text(r, &text);
        if (text.bytes != 0 && !r->failed) {
            node = jinja_node(r, JINJA_OUTPUT_TEXT);
            if (node != NULL) {
                node->text = text;
                *last = node;
                last = &node->next;
            }
        }
        if (tag == JINJA_TAG_EOF) {
            if (*ends != NULL) {
                while (ends[1] != NULL) {
                    ends++;
                }
                jinja_fail(r, "%s is missing at the end", ends[0]);
            }
            break;
        }
        if (tag == JINJA_TAG_BLOCK && is_end(r, ends)) {
            break;
        }
        if (tag != JINJA_TAG_TEXT) {
            node = tag == JINJA_TAG_PRINT ? parse_print(r) : parse_block(r);
            if (node == NULL) {
                break;
            }
            *last = node;
            last = &node->next;
        }
    }
    r->depth--;
    return first;
}

struct jinja_node *jinja_parse_template(struct jinja_reader *r)
{
    return parse_body(r, top);
}

/* Line ends become "\n", and one at the very end goes. */
static char *normalise(struct arena *arena, const char *text, size_t bytes, size_t *out)
{
    char *copy = arena_alloc(arena, bytes + 1, 1);
    size_t used = 0;
    for (size_t i = 0; copy != NULL && i < bytes; i++) {
        if (text[i] == '\r') {
            copy[used++] = '\n';
            i += i + 1 < bytes && text[i + 1] == '\n';
        } else {
            copy[used++] = text[i];
        }
    }
    used -= used > 0 && copy[used - 1] == '\n';
    *out = used;
    return copy;
}

struct jinja *jinja_create(const char *text, size_t bytes, struct str *why)
{
    struct jinja *jinja = mem_alloc(1, sizeof *jinja);
    if (jinja == NULL || bytes > JINJA_MAX_SOURCE) {
        str_printf(why, jinja == NULL ? "out of memory" : "longer than a template may be");
        mem_free(jinja);
        return NULL;
    }
    arena_init(&jinja->arena);
    struct jinja_reader r = {.arena = &jinja->arena, .why = why};
    r.text = normalise(&jinja->arena, text, bytes, &r.bytes);
    if (r.text == NULL) {
        jinja_fail(&r, "out of memory");
    } else {
        jinja->body = jinja_parse_template(&r);
    }
    if (r.failed) {
        jinja_destroy(jinja);
        return NULL;
    }
    return jinja;
}

void jinja_destroy(struct jinja *jinja)
{
    if (jinja != NULL) {
        arena_finish(&jinja->arena);
        mem_free(jinja);
    }
}
