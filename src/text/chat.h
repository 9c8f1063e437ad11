/* Chat templates: a conversation to the text, and the ids, that a chat model was trained on.
 *
 * Templates are programs (Jinja) in the model's file. Here they are not run on conversations: a
 * template is run on a few made-up ones, and what it renders tells which of the known formats it
 * is; the format then renders what people write. So a user's text never passes through a program,
 * and stays apart from the template's own text down to the tokenizer.
 *
 * Thread rule: a template is read-only after creation, any thread. */
#ifndef QUADRIGA_TEXT_CHAT_H
#define QUADRIGA_TEXT_CHAT_H

#include "base/str.h"
#include "text/text.h"

#include <time.h>

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };
struct chat_message {
    enum chat_role role;
    const char *text;
    size_t bytes;
};

/* Where a system text goes. */
enum chat_system {
    CHAT_SYSTEM_TURN,    /* a turn of its own, the first */
    CHAT_SYSTEM_FIRST,   /* before the text of the first user turn */
    CHAT_SYSTEM_LAST,    /* before the text of the last user turn */
    CHAT_SYSTEM_REFUSED, /* the template takes none */
    CHAT_SYSTEM_DROPPED  /* the template leaves it out, without a word */
};

struct chat_template;

/* What "bos_token" and "eos_token" are in a template: the text of the vocabulary's tokens, "" for
 * none. */
struct chat_tokens {
    const char *bos, *eos;
    size_t bos_bytes, eos_bytes;
};
struct chat_tokens chat_tokens_of(const struct vocab *vocab);

/* The known formats; NULL after the last. */
const char *chat_format_name(uint32_t i);
/* NULL: no such name, or out of memory; logged. */
struct chat_template *chat_template_named(const char *name, const struct chat_tokens *tokens,
                                          struct log *log);
/* The format that the Jinja text `source` renders; `where` names it in messages, `now` is the date
 * that it may write. NULL: none of the known ones, logged with the list. */
struct chat_template *chat_template_find(const char *source, size_t bytes, const char *where,
                                         const struct chat_tokens *tokens, const struct tm *now,
                                         struct log *log);
void chat_template_destroy(struct chat_template *template);
const char *chat_template_name(const struct chat_template *template);
enum chat_system chat_template_system(const struct chat_template *template);
/* The system text that stands there when a conversation has none; "" for none. */
const char *chat_template_default_system(const struct chat_template *template);
/* The text that ends an answer, "<|im_end|>"; "" where that is the end token of any text. */
const char *chat_template_end(const struct chat_template *template);

/* Bytes at the beginning of a generated answer that chat_render writes before an answer by itself:
 * the rest is the text of the message. */
size_t chat_answer_start(const struct chat_template *template, const char *text, size_t bytes);

/* A rendered conversation. */
struct chat_span {
    size_t end; /* it begins where the one before ends */
    bool data;  /* somebody's text; else the template's own */
};
struct chat_text {
    struct str text; /* valid UTF-8 */
    struct chat_span *spans;
    size_t count, cap;
};
void chat_text_init(struct chat_text *text);
void chat_text_finish(struct chat_text *text);

/* Appends the conversation and the beginning of the next answer to an initialised chat_text. The
 * messages: at most one of the system, first; then user and assistant in turns, the user first and
 * last. An empty system text is none. Invalid UTF-8 becomes U+FFFD. False: logged. */
bool chat_render(const struct chat_template *template, const struct chat_message *messages,
                 size_t count, struct chat_text *out, struct log *log);

/* Appends the ids of the text after its first `skip` bytes, which the caller has ids of: those of
 * the whole text (as vocab_encode with TEXT_PARSE_SPECIAL would make them), but special tokens are
 * found in the template's own text only, and user-defined ones that read like marks of turns are
 * not found in data either. From the beginning (skip 0) a BOS that the file asks for comes first,
 * once. False: logged; nothing is appended then. */
bool chat_encode(const struct vocab *vocab, const struct chat_text *text, size_t skip,
                 struct text_tokens *out, struct log *log);

#endif
