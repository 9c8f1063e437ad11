/* Expressions, by recursive descent in Jinja's order of precedence. Statements are jinja_block.c.
 */
#include "text/jinja.h"

#include <string.h>

struct jinja_node *jinja_node(struct jinja_reader *r, enum jinja_kind kind)
{
    struct jinja_node *node = r->failed ? NULL : arena_alloc(r->arena, 1, sizeof *node);
    if (node == NULL) {
        jinja_fail(r, "out of memory");
        return NULL;
    }
    node->kind = kind;
    return node;
}

static bool take_sign(struct jinja_reader *r, const char *sign)
{
    if (!jinja_is_sign(r, sign)) {
        return false;
    }
    jinja_advance(r);
    return true;
}

static bool take_name(struct jinja_reader *r, const char *name)
{
    if (!jinja_is_name(r, name)) {
        return false;
    }
    jinja_advance(r);
    return true;
}

static bool want_sign(struct jinja_reader *r, const char *sign)
{
    return take_sign(r, sign) || jinja_fail(r, "'%s' is missing in a tag", sign);
}

static struct jinja_node *binary(struct jinja_reader *r, struct jinja_text op, struct jinja_node *a,
                                 struct jinja_node *b)
{
    struct jinja_node *node = a != NULL && b != NULL ? jinja_node(r, JINJA_BINARY) : NULL;
    if (node != NULL) {
        node->text = op;
        node->a = a;
        node->b = b;
    }
    return node;
}

/* Items up to `close`; a name before '=' makes a named argument where `named`. */
static struct jinja_node *parse_items(struct jinja_reader *r, const char *close, bool named)
{
    struct jinja_node *first = NULL, **last = &first;
    while (!r->failed && !jinja_is_sign(r, close)) {
        struct jinja_node *item = jinja_parse_expression(r);
        if (item != NULL && named && item->kind == JINJA_VARIABLE && take_sign(r, "=")) {
            struct jinja_node *pair = jinja_node(r, JINJA_PAIR);
            if (pair == NULL) {
                return NULL;
            }
            pair->text = item->text;
            pair->a = jinja_parse_expression(r);
            item = pair->a != NULL ? pair : NULL;
        }
        if (item == NULL) {
            return NULL;
        }
        *last = item;
        last = &item->next;
        if (!jinja_is_sign(r, close) && !want_sign(r, ",")) {
            return NULL;
        }
    }
    want_sign(r, close);
    return r->failed ? NULL : first;
}

static struct jinja_node *parse_dict(struct jinja_reader *r)
{
    struct jinja_node *dict = jinja_node(r, JINJA_DICT_OF);
    struct jinja_node **last = dict != NULL ? &dict->a : NULL;
    jinja_advance(r);
    while (!r->failed && !jinja_is_sign(r, "}")) {
        struct jinja_node *pair = jinja_node(r, JINJA_PAIR);
        if (pair == NULL) {
            return NULL;
        }
        pair->a = jinja_parse_expression(r);
        want_sign(r, ":");
        pair->b = jinja_parse_expression(r);
        *last = pair;
        last = &pair->next;
        if (!jinja_is_sign(r, "}") && !want_sign(r, ",")) {
            return NULL;
        }
    }
    want_sign(r, "}");
    return r->failed ? NULL : dict;
}

static struct jinja_node *parse_name(struct jinja_reader *r)
{
    static const struct {
        const char *name;
        enum jinja_kind kind;
        int64_t number;
    } words[] = {{"true", JINJA_CONST_BOOL, 1},  {"True", JINJA_CONST_BOOL, 1},
                 {"false", JINJA_CONST_BOOL, 0}, {"False", JINJA_CONST_BOOL, 0},
                 {"none", JINJA_CONST_NONE, 0},  {"None", JINJA_CONST_NONE, 0}};
    struct jinja_node *node = jinja_node(r, JINJA_VARIABLE);
    for (size_t i = 0; node != NULL && i < sizeof words / sizeof *words; i++) {
        if (jinja_is_name(r, words[i].name)) {
            node->kind = words[i].kind;
            node->number = words[i].number;
        }
    }
    if (node != NULL) {
        node->text = r->token.text;
    }
    jinja_advance(r);
    return node;
}

/* Neighbouring strings are one. */
static struct jinja_node *parse_string(struct jinja_reader *r)
{
    struct jinja_node *node = jinja_node(r, JINJA_CONST_TEXT);
    while (node != NULL && r->token.kind == JINJA_STRING) {
        struct jinja_text all = node->text, more = r->token.text;
        char *joined = arena_alloc(r->arena, all.bytes + more.bytes + 1, 1);
        if (joined == NULL) {
            jinja_fail(r, "out of memory");
            return NULL;
        }
        if (all.bytes != 0) {
            memcpy(joined, all.text, all.bytes);
        }
        memcpy(joined + all.bytes, more.text, more.bytes);
        node->text = (struct jinja_text){joined, all.bytes + more.bytes};
        jinja_advance(r);
    }
    return node;
}

static struct jinja_node *parse_primary(struct jinja_reader *r)
{
    struct jinja_node *node = NULL;
    if (r->token.kind == JINJA_NAME) {
        return parse_name(r);
    }
    if (r->token.kind == JINJA_STRING) {
        return parse_string(r);
    }
    if (r->token.kind == JINJA_NUMBER) {
        node = jinja_node(r, JINJA_CONST_INT);
        if (node != NULL) {
            node->number = r->token.number;
        }
        jinja_advance(r);
        return node;
    }
    if (jinja_is_sign(r, "{")) {
        return parse_dict(r);
    }
    if (take_sign(r, "[")) {
        node = jinja_node(r, JINJA_LIST_OF);
        if (node != NULL) {
            node->a = parse_items(r, "]", false);
        }
        return r->failed ? NULL : node;
    }
    if (take_sign(r, "(")) {
        node = jinja_parse_expression(r);
        if (node != NULL && jinja_is_sign(r, ",")) { /* a tuple */
            struct jinja_node *list = jinja_node(r, JINJA_LIST_OF), *first = node;
            jinja_advance(r);
            first->next = parse_items(r, ")", false);
            if (list != NULL) {
                list->a = first;
            }
            return r->failed ? NULL : list;
        }
        return want_sign(r, ")") ? node : NULL;
    }
    jinja_fail(r, "a value is missing in a tag");
    return NULL;
}

/* After "[": an index, or a slice of up to three bounds. */
static struct jinja_node *parse_index(struct jinja_reader *r, struct jinja_node *object)
{
    struct jinja_node *node = jinja_node(r, JINJA_INDEX), *bounds[3] = {NULL};
    if (node == NULL) {
        return NULL;
    }
    node->a = object;
    size_t n = 0;
    for (;;) {
        if (!jinja_is_sign(r, ":") && !jinja_is_sign(r, "]")) {
            bounds[n] = jinja_parse_expression(r);
        }
        if (n == 2 || !take_sign(r, ":")) {
            break;
        }
        node->kind = JINJA_SLICE;
        n++;
    }
    if (node->kind == JINJA_INDEX && bounds[0] == NULL) {
        jinja_fail(r, "an index is missing");
    }
    node->b = bounds[0];
    node->c = bounds[1];
    node->d = bounds[2];
    return want_sign(r, "]") ? node : NULL;
}

static struct jinja_node *parse_postfix(struct jinja_reader *r, struct jinja_node *node)
{
    while (node != NULL && !r->failed) {
        struct jinja_node *object = node;
        if (take_sign(r, ".")) {
            if (r->token.kind != JINJA_NAME) {
                jinja_fail(r, "a name is missing after '.'");
                return NULL;
            }
            node = jinja_node(r, JINJA_MEMBER);
            if (node != NULL) {
                node->text = r->token.text;
                node->a = object;
            }
            jinja_advance(r);
        } else if (take_sign(r, "[")) {
            node = parse_index(r, object);
        } else if (take_sign(r, "(")) {
            node = jinja_node(r, JINJA_CALL);
            if (node != NULL) {
                node->a = object;
                node->b = parse_items(r, ")", true);
            }
        } else {
            return node;
        }
    }
    return r->failed ? NULL : node;
}

/* What may stand as the argument of a test without parentheses: "is divisibleby 3". */
static bool begins_argument(const struct jinja_reader *r)
{
    static const char *const words[] = {"else", "or", "and", "is", "in", "not", "if"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (jinja_is_name(r, words[i])) {
            return false;
        }
    }
    return r->token.kind == JINJA_NAME || r->token.kind == JINJA_STRING ||
           r->token.kind == JINJA_NUMBER;
}

static struct jinja_node *parse_filters(struct jinja_reader *r, struct jinja_node *node)
{
    while (node != NULL && !r->failed) {
        bool filter = jinja_is_sign(r, "|"), test = jinja_is_name(r, "is"), negated = false;
        if (!filter && !test) {
            return node;
        }
        jinja_advance(r);
        negated = test && take_name(r, "not");
        if (r->token.kind != JINJA_NAME) {
            jinja_fail(r, "a name is missing after '%s'", filter ? "|" : "is");
            return NULL;
        }
        struct jinja_node *outer = jinja_node(r, filter ? JINJA_FILTER : JINJA_TEST);
        if (outer == NULL) {
            return NULL;
        }
        outer->text = r->token.text;
        outer->a = node;
        jinja_advance(r);
        if (take_sign(r, "(")) {
            outer->b = parse_items(r, ")", true);
        } else if (test && begins_argument(r)) {
            outer->b = parse_postfix(r, parse_primary(r));
        }
        node = outer;
        if (negated) {
            node = jinja_node(r, JINJA_NOT);
            if (node != NULL) {
                node->a = outer;
            }
        }
    }
    return r->failed ? NULL : node;
}

static struct jinja_node *parse_unary(struct jinja_reader *r, bool filters)
{
    struct jinja_node *node;
    if (r->depth >= JINJA_MAX_DEPTH) {
        jinja_fail(r, "expressions inside each other, too deep");
        return NULL;
    }
    r->depth++;
    if (take_sign(r, "-")) {
        node = jinja_node(r, JINJA_MINUS);
        if (node != NULL) {
            node->a = parse_unary(r, false);
        }
    } else if (take_sign(r, "+")) {
        node = parse_unary(r, false);
    } else {
        node = parse_postfix(r, parse_primary(r));
    }
    node = filters ? parse_filters(r, node) : node;
    r->depth--;
    return r->failed ? NULL : node;
}

/* Operators of one level of precedence, each of them left to right. */
static const char *const levels[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}};

static struct jinja_node *parse_level(struct jinja_reader *r, size_t level)
{
    if (level == sizeof levels / sizeof *levels) {
        return parse_unary(r, true);
    }
    struct jinja_node *node = parse_level(r, level + 1);
    while (!r->failed) {
        size_t i = 0;
        while (levels[level][i] != NULL && !jinja_is_sign(r, levels[level][i])) {
            i++;
        }
        if (levels[level][i] == NULL) {
            break;
        }
        struct jinja_text op = r->token.text;
        jinja_advance(r);
        node = binary(r, op, node, parse_level(r, level + 1));
    }
    return r->failed ? NULL : node;
}

/* a < b < c is (a < b) and (b < c). */
static struct jinja_node *parse_compare(struct jinja_reader *r)
{
    static const char *const signs[] = {"==", "!=", "<", ">", "<=", ">="};
    struct jinja_node *left = parse_level(r, 0), *all = NULL;
    while (!r->failed) {
        struct jinja_text op = {NULL, 0};
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
            op = jinja_is_sign(r, signs[i]) ? r->token.text : op;
        }
        op = jinja_is_name(r, "in") ? (struct jinja_text){"in", 2} : op;
        if (jinja_is_name(r, "not")) {
            jinja_advance(r);
            if (!jinja_is_name(r, "in")) {
                jinja_fail(r, "'in' is missing after 'not'");
                return NULL;
            }
            op = (struct jinja_text){"not in", 6};
        }
        if (op.text == NULL) {
            break;
        }
        jinja_advance(r);
        struct jinja_node *right = parse_level(r, 0);
        struct jinja_node *one = binary(r, op, left, right);
        all = all == NULL ? one : binary(r, (struct jinja_text){"and", 3}, all, one);
        left = right;
    }
    return r->failed ? NULL : all != NULL ? all : left;
}

static struct jinja_node *parse_not(struct jinja_reader *r)
{
    bool negated = false, any = false;
    while (take_name(r, "not")) {
        negated = !negated;
        any = true;
    }
    struct jinja_node *node = parse_compare(r);
    for (int i = 0; any && i < (negated ? 1 : 2) && node != NULL; i++) {
        struct jinja_node *outer = jinja_node(r, JINJA_NOT);
        if (outer != NULL) {
            outer->a = node;
        }
        node = outer;
    }
    return node;
}

static struct jinja_node *parse_and(struct jinja_reader *r)
{
    struct jinja_node *node = parse_not(r);
    while (!r->failed && take_name(r, "and")) {
        node = binary(r, (struct jinja_text){"and", 3}, node, parse_not(r));
    }
    return r->failed ? NULL : node;
}

struct jinja_node *jinja_parse_or(struct jinja_reader *r)
{
    struct jinja_node *node = parse_and(r);
    while (!r->failed && take_name(r, "or")) {
        node = binary(r, (struct jinja_text){"or", 2}, node, parse_and(r));
    }
    return r->failed ? NULL : node;
}

struct jinja_node *jinja_parse_expression(struct jinja_reader *r)
{
    if (r->depth >= JINJA_MAX_DEPTH) {
        jinja_fail(r, "expressions inside each other, too deep");
        return NULL;
    }
    r->depth++;
    struct jinja_node *node = jinja_parse_or(r);
    while (node != NULL && take_name(r, "if")) {
        struct jinja_node *outer = jinja_node(r, JINJA_CONDITION);
        if (outer == NULL) {
            break;
        }
        outer->a = node;
        outer->b = jinja_parse_or(r);
        outer->c = take_name(r, "else") ? jinja_parse_expression(r) : NULL;
        node = outer;
    }
    r->depth--;
    return r->failed ? NULL : node;
}
