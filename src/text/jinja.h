/* The part of Jinja 2 that chat templates are written in, to see what a template renders. Not for
 * other rooms.
 *
 *     jinja_lex.c     template -> text and tags, tags -> tokens
 *     jinja_parse.c   tokens -> expressions
 *     jinja_block.c   text and tags -> statements
 *     jinja_value.c   values: comparing, slicing, printing
 *     jinja_call.c    methods, filters, tests, functions
 *     jinja_strip.c   white space at the ends of a text
 *     jinja_eval.c    expressions -> values
 *     jinja_run.c     statements -> output
 *
 * Whitespace is as transformers sets it (trim_blocks, lstrip_blocks). Left out, and so an error:
 * includes, inheritance, floats; and, only where they are reached, calls of macros and filters that
 * tools need (tojson). Work, depth and memory are bounded, whatever the template does. */
#ifndef QUADRIGA_TEXT_JINJA_H
#define QUADRIGA_TEXT_JINJA_H

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <time.h>

enum {
    JINJA_MAX_SOURCE = 1 << 20, /* bytes of a template */
    JINJA_MAX_DEPTH = 64,       /* of expressions and blocks inside each other */
    JINJA_MAX_STEPS = 1 << 20,
    JINJA_MAX_MEMORY = 1 << 24 /* bytes of values in one rendering, and of output */
};

struct jinja_text {
    const char *text;
    size_t bytes;
};
struct jinja_message {
    const char *role;
    struct jinja_text content;
};
struct jinja_context {
    const struct jinja_message *messages;
    size_t n_messages;
    struct jinja_text bos, eos;
    const struct tm *now; /* what strftime_now formats */
};

struct jinja;
/* NULL: the template cannot be read, `why` (an empty str) says where and why. */
struct jinja *jinja_create(const char *text, size_t bytes, struct str *why);
void jinja_destroy(struct jinja *jinja);

enum jinja_result {
    JINJA_OK,
    JINJA_RAISED, /* the template called raise_exception; its text is in `why` */
    JINJA_FAILED  /* an error, something left out, or a limit; `why` says which */
};
/* Appends what the template makes of the messages, with add_generation_prompt, without tools. */
enum jinja_result jinja_render(const struct jinja *jinja, const struct jinja_context *context,
                               struct str *out, struct str *why);

/* ---- what the files of the interpreter share ---- */

enum jinja_token_kind {
    JINJA_END, /* of the tag */
    JINJA_NAME,
    JINJA_STRING,
    JINJA_NUMBER,
    JINJA_SIGN, /* one or two characters, e.g. "==" */
    JINJA_BAD
};
struct jinja_token {
    enum jinja_token_kind kind;
    struct jinja_text text; /* of a string: without quotes, escapes resolved */
    int64_t number;
};
enum jinja_tag { JINJA_TAG_TEXT, JINJA_TAG_PRINT, JINJA_TAG_BLOCK, JINJA_TAG_EOF };

enum jinja_kind {
    /* expressions */
    JINJA_CONST_TEXT,
    JINJA_CONST_INT,
    JINJA_CONST_BOOL,
    JINJA_CONST_NONE,
    JINJA_VARIABLE,
    JINJA_LIST_OF, /* items: a, linked by next */
    JINJA_DICT_OF, /* items: a, each a pair a -> b */
    JINJA_PAIR,    /* of a dict, or a named argument `text` = a */
    JINJA_MEMBER,  /* a.text */
    JINJA_INDEX,   /* a[b] */
    JINJA_SLICE,   /* a[b:c:d] */
    JINJA_CALL,    /* a(b, ...) */
    JINJA_FILTER,  /* a | text(b, ...) */
    JINJA_TEST,    /* a is text(b, ...) */
    JINJA_NOT,
    JINJA_MINUS,
    JINJA_BINARY,    /* a text b */
    JINJA_CONDITION, /* a if b else c */
    /* statements, linked by next */
    JINJA_OUTPUT_TEXT,
    JINJA_OUTPUT,   /* {{ a }} */
    JINJA_IF,       /* if a: b, else: c */
    JINJA_FOR,      /* for d (names) in a, if c: b; else: e */
    JINJA_SET,      /* d (a name, or a member of one) = a */
    JINJA_SET_BLOCK /* d = output of b */
};
struct jinja_node {
    enum jinja_kind kind;
    struct jinja_text text;
    int64_t number;
    struct jinja_node *a, *b, *c, *d, *e, *next;
};

struct jinja {
    struct arena arena;
    struct jinja_node *body;
};

/* One template being read. After the first failure `why` is set and all calls give up. */
struct jinja_reader {
    struct arena *arena;
    struct str *why;
    const char *text;
    size_t bytes, at;
    uint32_t depth, braces;
    bool failed;
    struct jinja_token token; /* the next one */
};
/* Always false. */
bool jinja_fail(struct jinja_reader *r, const char *fmt, ...) LOG_PRINTF(2, 3);
struct jinja_node *jinja_node(struct jinja_reader *r, enum jinja_kind kind); /* NULL: failed */

/* jinja_lex.c: the text up to the next tag, with the spaces around tags taken away, and the kind of
 * that tag; r->token is its first token then. */
enum jinja_tag jinja_read_text(struct jinja_reader *r, struct jinja_text *text);
void jinja_advance(struct jinja_reader *r); /* to the next token of the tag */
bool jinja_is_sign(const struct jinja_reader *r, const char *sign);
bool jinja_is_name(const struct jinja_reader *r, const char *name);
/* Ends the tag: its closing mark is read. */
bool jinja_end_tag(struct jinja_reader *r, enum jinja_tag tag);

/* jinja_parse.c: NULL: failed. */
struct jinja_node *jinja_parse_expression(struct jinja_reader *r);
struct jinja_node *jinja_parse_or(struct jinja_reader *r); /* without "if ... else" */

/* jinja_block.c */
struct jinja_node *jinja_parse_template(struct jinja_reader *r);

/* ---- values ---- */

enum jinja_type {
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_TEXT,
    JINJA_LIST,
    JINJA_DICT,
    JINJA_FUNCTION
};
struct jinja_value {
    enum jinja_type type;
    int64_t number;         /* bool, int */
    struct jinja_text text; /* text; a function's name */
    struct jinja_list *list;
    struct jinja_dict *dict;
};
struct jinja_list {
    struct jinja_value *items;
    size_t count, cap;
};
struct jinja_dict {
    struct jinja_value *keys, *values;
    size_t count, cap;
};

struct jinja_frame {
    struct jinja_dict names;
    struct jinja_frame *outer;
};
struct jinja_run {
    struct arena arena;
    size_t used;
    uint32_t steps, depth;
    enum jinja_result result;
    struct str *why, *out;
    size_t out_start;
    const struct jinja_context *context;
    struct jinja_frame *frame;
};
/* Ends the rendering with this text; always false. */
bool jinja_stop(struct jinja_run *run, enum jinja_result result, const char *fmt, ...)
    LOG_PRINTF(3, 4);
void *jinja_alloc(struct jinja_run *run, size_t count, size_t size); /* NULL: stopped */

struct jinja_value jinja_make_bool(bool value);
struct jinja_value jinja_make_int(int64_t value);
struct jinja_value jinja_make_text(const char *text, size_t bytes);
struct jinja_value jinja_make_name(const char *text); /* terminated */
bool jinja_truth(const struct jinja_value *value);
bool jinja_equal(const struct jinja_value *a, const struct jinja_value *b);
bool jinja_text_is(const struct jinja_text *text, const char *name);
/* All false: stopped. */
bool jinja_make_list(struct jinja_run *run, struct jinja_value *out);
bool jinja_make_dict(struct jinja_run *run, struct jinja_value *out);
bool jinja_list_add(struct jinja_run *run, struct jinja_list *list, const struct jinja_value *item);
bool jinja_dict_set(struct jinja_run *run, struct jinja_dict *dict, const struct jinja_value *key,
                    const struct jinja_value *value);
const struct jinja_value *jinja_dict_get(const struct jinja_dict *dict,
                                         const struct jinja_value *key); /* NULL: not there */
/* As text, the way it is printed. */
bool jinja_to_text(struct jinja_run *run, const struct jinja_value *value, struct jinja_text *out);
bool jinja_concat(struct jinja_run *run, const struct jinja_text *a, const struct jinja_text *b,
                  struct jinja_value *out);
bool jinja_contains(struct jinja_run *run, const struct jinja_value *all,
                    const struct jinja_value *item, bool *found);
bool jinja_index(struct jinja_run *run, const struct jinja_value *object,
                 const struct jinja_value *index, struct jinja_value *out);
/* Bounds may be none. */
bool jinja_slice(struct jinja_run *run, const struct jinja_value *object,
                 const struct jinja_value bounds[3], struct jinja_value *out);

/* jinja_strip.c: Python's strip(): white space is Unicode's. */
struct jinja_text jinja_strip(struct jinja_text text, bool left, bool right);

/* jinja_call.c: at most four arguments. All false: stopped. */
struct jinja_args {
    struct jinja_value values[4];
    size_t count;
    struct jinja_dict *named; /* NULL: none */
};
bool jinja_is_function(const struct jinja_text *name);
bool jinja_function(struct jinja_run *run, const struct jinja_text *name,
                    const struct jinja_args *args, struct jinja_value *out);
bool jinja_method(struct jinja_run *run, const struct jinja_value *self,
                  const struct jinja_text *name, const struct jinja_args *args,
                  struct jinja_value *out);
bool jinja_filter(struct jinja_run *run, const struct jinja_value *self,
                  const struct jinja_text *name, const struct jinja_args *args,
                  struct jinja_value *out);
bool jinja_test(struct jinja_run *run, const struct jinja_value *self,
                const struct jinja_text *name, const struct jinja_args *args, bool *out);

/* jinja_eval.c */
bool jinja_evaluate(struct jinja_run *run, const struct jinja_node *node, struct jinja_value *out);
bool jinja_step(struct jinja_run *run); /* counts; false: stopped */

#endif
