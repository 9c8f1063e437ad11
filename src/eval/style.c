/* From the fields of a task to the texts that are tokenized: lm-evaluation-harness' task
 * "hellaswag" (version 1.0), and what llama.cpp's data was made with. */
#include "eval/internal.h"

#include <string.h>

const char *eval_style_name(enum eval_style style)
{
    return style == EVAL_LM_EVAL ? "lm-eval" : "llama.cpp";
}

/* "[...]", the shortest, anywhere but over the end of a line. */
static void drop_brackets(struct str *text)
{
    struct str out;
    str_init(&out);
    const char *at = str_get(text);
    for (const char *open; (open = strchr(at, '[')) != NULL;) {
        size_t inside = strcspn(open, "]\n");
        if (open[inside] != ']') {
            str_add(&out, at, (size_t)(open - at) + 1);
            at = open + 1;
            continue;
        }
        str_add(&out, at, (size_t)(open - at));
        at = open + inside + 1;
    }
    str_add(&out, at, strlen(at));
    out.failed = out.failed || text->failed;
    str_finish(text);
    *text = out;
}

static void keep_part(struct str *text, size_t begin, size_t end)
{
    if (begin == 0 && end == text->bytes) {
        return;
    }
    struct str out;
    str_init(&out);
    str_add(&out, str_get(text) + begin, end - begin);
    out.failed = out.failed || text->failed;
    str_finish(text);
    *text = out;
}

/* Spaces at both ends go first; what is cut out later may leave new ones, and they stay. */
static void preprocess(struct str *text)
{
    size_t begin = eval_space_begin(str_get(text), text->bytes);
    size_t end = text->bytes;
    if (begin < end) {
        end -= eval_space_end(str_get(text), end);
    }
    keep_part(text, begin, end);
    eval_replace(text, " [title]", ". ");
    drop_brackets(text);
    eval_replace(text, "  ", " ");
}

/* Of llama.cpp's data: each field by itself, one space at each end goes last. */
static void extract(struct str *text)
{
    static const char *const steps[][2] = {{"[header]", ""},   {"[step]", ""},   {"[substeps]", ""},
                                           {" [title]", ". "}, {"[title] ", ""}, {"[title].", ""},
                                           {"  ", " "}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        eval_replace(text, steps[i][0], steps[i][1]);
    }
    const char *t = str_get(text);
    size_t n = text->bytes, begin = n > 0 && t[0] == ' ';
    keep_part(text, begin, n - (n > begin && t[n - 1] == ' '));
}

/* Where a context of one line has what was ctx_b: behind the last end of a sentence, if a small
 * letter is there. The fields tell it exactly, one line does not. */
static size_t find_fragment(const char *text)
{
    size_t at = strlen(text);
    for (size_t i = 1; text[i] != '\0'; i++) {
        if (text[i] == ' ' && strchr(".!?", text[i - 1]) != NULL) {
            at = i + 1;
        }
    }
    size_t n;
    if (text[at] == '\0') {
        return at;
    }
    struct str big;
    str_init(&big);
    eval_utf8_get(text + at, &n);
    eval_add_capitalized(&big, text + at, n);
    bool small = !big.failed && memcmp(str_get(&big), text + at, n) != 0;
    str_finish(&big);
    return small ? at : strlen(text);
}

static void add_context(struct str *out, const struct eval_task *task, enum eval_style style)
{
    struct str part;
    str_init(&part);
    if (task->activity == NULL) { /* six lines */
        size_t at = style == EVAL_LM_EVAL ? find_fragment(task->context) : strlen(task->context);
        str_add(out, task->context, at);
        eval_add_capitalized(out, task->context + at, strlen(task->context + at));
    } else if (style == EVAL_LM_EVAL) {
        str_printf(out, "%s: %s ", task->activity, task->ctx_a);
        eval_add_capitalized(out, task->ctx_b, strlen(task->ctx_b));
    } else {
        str_printf(&part, "%s", task->activity);
        extract(&part);
        str_printf(out, "%s: ", str_get(&part));
        str_clear(&part);
        if (*task->context != '\0') {
            str_printf(&part, "%s", task->context);
        } else {
            str_printf(&part, "%s%s%s", task->ctx_a, *task->ctx_b != '\0' ? " " : "", task->ctx_b);
        }
        extract(&part);
        str_printf(out, "%s", str_get(&part));
    }
    out->failed = out->failed || part.failed;
    str_finish(&part);
    if (style == EVAL_LM_EVAL) {
        preprocess(out);
    }
}

static uint32_t count_chars(const char *text)
{
    uint32_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

/* Takes the text out of `str`; NULL: it failed. */
static char *take(struct str *str)
{
    char *text = str->failed ? NULL : mem_strdup(str_get(str));
    str_finish(str);
    return text;
}

bool eval_texts_make(struct eval_texts *texts, const struct eval_task *task, enum eval_style style)
{
    struct str text, between;
    *texts = (struct eval_texts){0};
    str_init(&text);
    str_init(&between);
    add_context(&text, task, style);
    if (style == EVAL_LM_EVAL) { /* spaces at the end go to the ending */
        size_t spaces = eval_space_end(str_get(&text), text.bytes);
        str_add(&between, str_get(&text) + text.bytes - spaces, spaces);
        keep_part(&text, 0, text.bytes - spaces);
    }
    str_add(&between, " ", 1);
    texts->context = take(&text);
    texts->between = take(&between);
    bool ok = texts->context != NULL && texts->between != NULL;
    for (uint32_t e = 0; e < EVAL_ENDINGS && ok; e++) {
        str_printf(&text, "%s", task->ending[e]);
        if (style == EVAL_LM_EVAL) {
            preprocess(&text);
        } else if (task->activity != NULL) {
            extract(&text);
        }
        texts->n_bytes[e] = (uint32_t)text.bytes;
        texts->ending[e] = take(&text);
        ok = texts->ending[e] != NULL;
        texts->n_chars[e] = ok ? count_chars(texts->ending[e]) : 0;
    }
    return ok;
}

void eval_texts_finish(struct eval_texts *texts)
{
    mem_free(texts->context);
    mem_free(texts->between);
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        mem_free(texts->ending[e]);
    }
    *texts = (struct eval_texts){0};
}
