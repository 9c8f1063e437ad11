/* Rendering of conversations, and their ids. Which format a model has is chat_find.c's. */
#include "text/chat.h"
#include "text/chat_format.h"
#include "text/internal.h"
#include "text/jinja.h"

#include "base/mem.h"

#include <string.h>

/* ---- templates ---- */

struct chat_tokens chat_tokens_of(const struct vocab *vocab)
{
    struct chat_tokens tokens = {.bos = "", .eos = ""};
    tokens.bos = vocab_text(vocab, vocab->bos, &tokens.bos_bytes);
    tokens.eos = vocab_text(vocab, vocab->eos, &tokens.eos_bytes);
    return tokens;
}

const char *chat_format_name(uint32_t i)
{
    const struct chat_format *format = chat_formats();
    while (i != 0 && format->name != NULL) {
        format++;
        i--;
    }
    return format->name;
}

struct chat_template *chat_template_make(const struct chat_format *format,
                                         const struct chat_tokens *tokens, struct log *log)
{
    struct chat_template *template = mem_alloc(1, sizeof *template);
    if (template == NULL) {
        log_error(log, "out of memory for a chat template");
        return NULL;
    }
    template->format = *format;
    str_init(&template->bos);
    str_init(&template->eos);
    str_init(&template->preface);
    str_init(&template->standard);
    str_add(&template->bos, tokens->bos, tokens->bos_bytes);
    str_add(&template->eos, tokens->eos, tokens->eos_bytes);
    if (format->preface != NULL) {
        str_add(&template->preface, format->preface, strlen(format->preface));
    }
    if (template->bos.failed || template->eos.failed || template->preface.failed) {
        log_error(log, "out of memory for a chat template");
        chat_template_destroy(template);
        return NULL;
    }
    return template;
}

struct chat_template *chat_template_named(const char *name, const struct chat_tokens *tokens,
                                          struct log *log)
{
    for (const struct chat_format *f = chat_formats(); f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0) {
            return chat_template_make(f, tokens, log);
        }
    }
    log_error(log, "chat template %s: there is no known one of that name", name);
    return NULL;
}

void chat_template_destroy(struct chat_template *template)
{
    if (template != NULL) {
        str_finish(&template->bos);
        str_finish(&template->eos);
        str_finish(&template->preface);
        str_finish(&template->standard);
        mem_free(template);
    }
}

const char *chat_template_name(const struct chat_template *template)
{
    return template->format.name;
}

enum chat_system chat_template_system(const struct chat_template *template)
{
    return template->format.system;
}

const char *chat_template_default_system(const struct chat_template *template)
{
    return str_get(&template->standard);
}

const char *chat_template_end(const struct chat_template *template)
{
    return template->format.end;
}

size_t chat_answer_start(const struct chat_template *template, const char *text, size_t bytes)
{
    const char *before = template->format.answer_pre;
    size_t n = strlen(template->format.prompt), more = strlen(before) - n;
    if (strlen(before) <= n || memcmp(before, template->format.prompt, n) != 0) {
        return 0;
    }
    return more <= bytes && memcmp(text, before + n, more) == 0 ? more : 0;
}

/* ---- rendering ---- */

void chat_text_init(struct chat_text *text)
{
    *text = (struct chat_text){.count = 0};
    str_init(&text->text);
}

void chat_text_finish(struct chat_text *text)
{
    str_finish(&text->text);
    mem_free(text->spans);
    *text = (struct chat_text){.count = 0};
}

static void end_span(struct chat_text *out, bool data)
{
    size_t start = out->count != 0 ? out->spans[out->count - 1].end : 0;
    if (out->text.failed || out->text.bytes == start) {
        return;
    }
    if (out->count != 0 && out->spans[out->count - 1].data == data) {
        out->spans[out->count - 1].end = out->text.bytes;
    } else if (mem_grow((void **)&out->spans, &out->cap, out->count, sizeof *out->spans)) {
        out->spans[out->count++] = (struct chat_span){out->text.bytes, data};
    } else {
        out->text.failed = true;
    }
}

static void put_part(const struct chat_template *template, struct chat_text *out, const char *mark,
                     size_t bytes)
{
    for (const char *c = mark; c != mark + bytes; c++) {
        const struct str *token = *c == '\1' ? &template->bos : *c == '\2' ? &template->eos : NULL;
        if (token != NULL) {
            str_add(&out->text, str_get(token), token->bytes);
        } else {
            str_add(&out->text, c, 1);
        }
    }
    end_span(out, false);
}

static void put_mark(const struct chat_template *template, struct chat_text *out, const char *mark)
{
    put_part(template, out, mark, strlen(mark));
}

static void put_own(struct chat_text *out, const struct str *text)
{
    str_add(&out->text, str_get(text), text->bytes);
    end_span(out, false);
}

static void put_data(struct chat_text *out, struct jinja_text text)
{
    if (utf8_valid(text.text, text.bytes)) {
        str_add(&out->text, text.text, text.bytes);
    } else {
        utf8_clean(&out->text, text.text, text.bytes);
    }
    end_span(out, true);
}

static struct jinja_text text_of(const struct chat_message *message, bool trim)
{
    struct jinja_text text = {message->text, message->bytes};
    return trim ? jinja_strip(text, true, true) : text;
}

static struct jinja_text after_lines(struct jinja_text text)
{
    while (text.bytes > 0 && text.text[0] == '\n') {
        text.text++;
        text.bytes--;
    }
    return text;
}

/* What follows the last </think>, without line ends before it. */
static struct jinja_text after_thinking(struct jinja_text text)
{
    static const char mark[] = "</think>";
    const size_t n = sizeof mark - 1;
    for (size_t i = text.bytes; i >= n; i--) {
        if (memcmp(text.text + i - n, mark, n) == 0) {
            return after_lines((struct jinja_text){text.text + i, text.bytes - i});
        }
    }
    return text;
}

struct conversation {
    const struct chat_template *template;
    const struct chat_message *system; /* NULL: none */
    const struct chat_message *turns;
    size_t n_turns;
};

/* The system text inside of a user's turn; `last`: nothing follows it there. */
static bool put_inner_system(const struct conversation *c, bool last, struct chat_text *out)
{
    const struct chat_template *template = c->template;
    const struct chat_format *format = &template->format;
    if (c->system == NULL && template->standard.bytes == 0) {
        return false;
    }
    put_mark(template, out, format->system_pre);
    if (c->system != NULL) {
        put_data(out, text_of(c->system, (format->flags & CHAT_TRIM_SYSTEM) != 0));
    } else {
        put_own(out, &template->standard);
    }
    struct jinja_text post = {format->system_post, strlen(format->system_post)};
    post = last && (format->flags & CHAT_TRIM_JOINED) != 0 ? jinja_strip(post, false, true) : post;
    put_part(template, out, post.text, post.bytes);
    return true;
}

static void put_user(const struct conversation *c, size_t turn, struct chat_text *out)
{
    const struct chat_format *format = &c->template->format;
    struct jinja_text text = {c->turns[turn].text, c->turns[turn].bytes};
    bool trim = (format->flags & CHAT_TRIM_USER) != 0, joined = false;
    bool empty = trim && jinja_strip(text, true, true).bytes == 0;
    put_mark(c->template, out, format->user_pre);
    if ((format->system == CHAT_SYSTEM_FIRST && turn == 0) ||
        (format->system == CHAT_SYSTEM_LAST && turn + 1 == c->n_turns)) {
        joined = put_inner_system(c, empty, out) && (format->flags & CHAT_TRIM_JOINED) != 0;
    }
    put_data(out, trim ? jinja_strip(text, !joined || empty, true) : text);
    put_mark(c->template, out, format->user_post);
}

static void put_answer(const struct conversation *c, size_t turn, struct chat_text *out)
{
    const struct chat_format *format = &c->template->format;
    struct jinja_text text = {c->turns[turn].text, c->turns[turn].bytes};
    text = (format->flags & CHAT_THINKS) != 0 ? after_thinking(text) : text;
    text = (format->flags & CHAT_STRIP_LINES) != 0 ? after_lines(text) : text;
    text = (format->flags & CHAT_TRIM_ANSWER) != 0 ? jinja_strip(text, true, true) : text;
    put_mark(c->template, out, format->answer_pre);
    put_data(out, text);
    put_mark(c->template, out, format->answer_post);
}

static void put_system_turn(const struct conversation *c, struct chat_text *out)
{
    const struct chat_template *template = c->template;
    const struct chat_format *format = &template->format;
    bool preface = (format->flags & CHAT_PREFACE) != 0;
    if (format->system != CHAT_SYSTEM_TURN && !preface && template->standard.bytes == 0) {
        return;
    }
    bool given = c->system != NULL && format->system == CHAT_SYSTEM_TURN;
    if (!given && !preface && template->standard.bytes == 0) {
        return;
    }
    put_mark(template, out, format->system_pre);
    put_own(out, &template->preface);
    if (given) {
        put_data(out, text_of(c->system, (format->flags & CHAT_TRIM_SYSTEM) != 0));
    } else {
        put_own(out, &template->standard);
    }
    put_mark(template, out, format->system_post);
}

static bool check(const struct chat_template *template, const struct chat_message *messages,
                  size_t count, struct conversation *out, struct log *log)
{
    size_t first = count != 0 && messages[0].role == CHAT_SYSTEM;
    *out = (struct conversation){.template = template,
                                 .system = first != 0 && messages[0].bytes != 0 ? messages : NULL,
                                 .turns = messages + first,
                                 .n_turns = count - first};
    for (size_t i = 0; i < out->n_turns; i++) {
        if (out->turns[i].role != (i % 2 == 0 ? CHAT_USER : CHAT_ASSISTANT)) {
            log_error(log, "message %zu of the conversation is not from the %s: they take turns",
                      i + first, i % 2 == 0 ? "user" : "assistant");
            return false;
        }
    }
    if (out->n_turns % 2 == 0) {
        log_error(log, "the conversation ends without a message of the user");
        return false;
    }
    if (out->system != NULL && template->format.system == CHAT_SYSTEM_REFUSED) {
        log_error(log, "the chat template %s takes no system text", template->format.name);
        return false;
    }
    return true;
}

bool chat_render(const struct chat_template *template, const struct chat_message *messages,
                 size_t count, struct chat_text *out, struct log *log)
{
    struct conversation c;
    if (!check(template, messages, count, &c, log)) {
        return false;
    }
    if ((template->format.flags & CHAT_BOS) != 0) {
        put_own(out, &template->bos);
    }
    if (template->format.system != CHAT_SYSTEM_FIRST &&
        template->format.system != CHAT_SYSTEM_LAST) {
        put_system_turn(&c, out);
    }
    for (size_t i = 0; i < c.n_turns; i++) {
        if (i % 2 == 0) {
            put_user(&c, i, out);
        } else {
            put_answer(&c, i, out);
        }
    }
    put_mark(template, out, template->format.prompt);
    if (out->text.failed) {
        log_error(log, "out of memory for the text of a conversation");
        return false;
    }
    return true;
}

/* ---- ids ---- */

bool chat_encode(const struct vocab *vocab, const struct chat_text *text, size_t skip,
                 struct text_tokens *out, struct log *log)
{
    size_t bytes = text->text.bytes, before = out->count;
    skip = skip < bytes ? skip : bytes;
    uint8_t *own = mem_alloc(bytes - skip, 1);
    bool bos = skip == 0 && vocab->adds_bos;
    bool ok = own != NULL && (!bos || text_tokens_add(out, vocab->bos));
    if (!ok) {
        log_error(log, "out of memory for the tokens of a conversation");
    }
    for (size_t i = 0, start = 0; ok && i < text->count; i++) {
        size_t first = start > skip ? start : skip, end = text->spans[i].end;
        if (!text->spans[i].data && end > first) {
            memset(own + (first - skip), 1, end - first);
        }
        start = end;
    }
    size_t at = out->count;
    ok = ok && vocab_encode_marked(vocab, str_get(&text->text) + skip, bytes - skip, own, skip != 0,
                                   out, log);
    if (ok && bos && out->count > at && out->ids[at] == vocab->bos) { /* the template's own */
        memmove(out->ids + at - 1, out->ids + at, (out->count - at) * sizeof *out->ids);
        out->count--;
    }
    mem_free(own);
    if (!ok) {
        out->count = before;
    }
    return ok;
}
