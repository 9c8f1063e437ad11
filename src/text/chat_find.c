/* Which known format a Jinja template has, by what it renders: the template is run on a few
 * conversations, and a format that gives the same text for each of them is the one. */
#include "text/chat_format.h"
#include "text/jinja.h"

#include "base/mem.h"

#include <string.h>

/* White space at the ends, of several kinds; braces; thinking; text like a special token. */
#define SYSTEM "\n s1 {{ x }} \xc2\xa0"
#define USER_1 " \t\nu1 {% x %} <|u|> \n "
#define USER_2 "u2 \xe3\x80\x80"
#define USER_3 "\xe2\x80\x83u3"
#define ANSWER_1                                                                                   \
    " <think>\nr\n</think>\n\n a1 </s> "                                                           \
    "\n"
#define ANSWER_2 "\n\na2 "

static const struct probe {
    const char *system; /* NULL: none */
    size_t n_turns;
} probes[] = {{NULL, 1}, {NULL, 3}, {NULL, 5}, {SYSTEM, 1}, {SYSTEM, 3}, {SYSTEM, 5}};
enum { N_PROBES = sizeof probes / sizeof *probes, N_PLAIN = 3, MAX_TURNS = 5 };
static const char *const turns[MAX_TURNS] = {USER_1, ANSWER_1, USER_2, ANSWER_2, USER_3};

/* What the template made of the probes. */
struct seen {
    struct str text[N_PROBES];
    enum jinja_result result[N_PROBES];
    struct str why; /* of the first plain probe that failed */
};

static struct jinja_message message(const char *role, const char *text)
{
    return (struct jinja_message){role, {text, strlen(text)}};
}

static void look(const struct jinja *jinja, const struct chat_tokens *tokens, const struct tm *now,
                 struct seen *seen)
{
    for (size_t p = 0; p < N_PROBES; p++) {
        struct jinja_message messages[MAX_TURNS + 1];
        struct str why;
        size_t n = 0;
        if (probes[p].system != NULL) {
            messages[n++] = message("system", probes[p].system);
        }
        for (size_t t = 0; t < probes[p].n_turns; t++) {
            messages[n++] = message(t % 2 == 0 ? "user" : "assistant", turns[t]);
        }
        struct jinja_context context = {.messages = messages,
                                        .n_messages = n,
                                        .bos = {tokens->bos, tokens->bos_bytes},
                                        .eos = {tokens->eos, tokens->eos_bytes},
                                        .now = now};
        str_init(&why);
        seen->result[p] = jinja_render(jinja, &context, &seen->text[p], &why);
        if (seen->result[p] != JINJA_OK && p < N_PLAIN && seen->why.bytes == 0) {
            str_add(&seen->why, str_get(&why), why.bytes);
        }
        str_finish(&why);
    }
}

static bool same(const struct str *a, const char *text, size_t bytes)
{
    return a->bytes == bytes && memcmp(str_get(a), text, bytes) == 0;
}

static bool renders(const struct chat_template *template, size_t p, struct chat_text *out)
{
    struct chat_message messages[MAX_TURNS + 1];
    size_t n = 0;
    if (probes[p].system != NULL) {
        messages[n++] = (struct chat_message){CHAT_SYSTEM, SYSTEM, strlen(SYSTEM)};
    }
    for (size_t t = 0; t < probes[p].n_turns; t++) {
        messages[n++] = (struct chat_message){t % 2 == 0 ? CHAT_USER : CHAT_ASSISTANT, turns[t],
                                              strlen(turns[t])};
    }
    str_clear(&out->text);
    out->count = 0;
    return chat_render(template, messages, n, out, NULL);
}

static bool matches(const struct chat_template *template, size_t first, size_t end,
                    const struct seen *seen, struct chat_text *work)
{
    for (size_t p = first; p < end; p++) {
        if (seen->result[p] != JINJA_OK || !renders(template, p, work) ||
            !same(&seen->text[p], str_get(&work->text), work->text.bytes)) {
            return false;
        }
    }
    return true;
}

/* Offset of what `before` is followed by in `text` from `at` on; 0: it is not there. */
static size_t after(const char *text, size_t bytes, size_t at, const char *before)
{
    size_t n = strlen(before);
    return at + n <= bytes && memcmp(text + at, before, n) == 0 ? at + n : 0;
}

/* A system text of the template's own, which stands there when none is given: what is between the
 * marks, in the first probe, before all that the format renders without one. */
static bool find_standard(struct chat_template *template, const struct seen *seen,
                          struct chat_text *work)
{
    const struct chat_format *format = &template->format;
    const char *text = str_get(&seen->text[0]);
    bool inside = format->system == CHAT_SYSTEM_FIRST;
    size_t bos = (format->flags & CHAT_BOS) != 0 ? template->bos.bytes : 0;
    if (!renders(template, 0, work) || work->text.bytes >= seen->text[0].bytes ||
        memcmp(text, str_get(&template->bos), bos) != 0) {
        return true;
    }
    const char *plain = str_get(&work->text);
    size_t at = bos; /* the plain text goes on there after the system text */
    if (inside) {
        const char *pre = format->user_pre;
        size_t token = pre[0] == '\1' ? template->bos.bytes : 0;
        at += token + strlen(pre) - (pre[0] == '\1');
        if (format->system_pre[0] == '\0' || memcmp(text, plain, at) != 0) {
            return true;
        }
    }
    size_t rest = work->text.bytes - at, all = seen->text[0].bytes, post;
    /* A trimmed first text is only trimmed at its end behind a system text. */
    if (inside && (format->flags & CHAT_TRIM_JOINED) != 0) {
        rest += strlen(USER_1) -
                jinja_strip((struct jinja_text){USER_1, strlen(USER_1)}, true, false).bytes;
    }
    size_t start = after(text, all, at, format->system_pre);
    post = strlen(format->system_post);
    if (start == 0 || strchr(format->system_post, '\2') != NULL || start + post + rest > all ||
        memcmp(text + all - rest - post, format->system_post, post) != 0) {
        return true;
    }
    str_add(&template->standard, text + start, all - rest - post - start);
    return !template->standard.failed;
}

/* What stands before the system text inside the system's turn: from the first probe with one. */
static bool find_preface(struct chat_template *template, const struct seen *seen)
{
    const struct chat_format *format = &template->format;
    struct jinja_text system = {SYSTEM, strlen(SYSTEM)};
    const char *text = str_get(&seen->text[N_PLAIN]);
    size_t all = seen->text[N_PLAIN].bytes;
    system = (format->flags & CHAT_TRIM_SYSTEM) != 0 ? jinja_strip(system, true, true) : system;
    size_t bos = (format->flags & CHAT_BOS) != 0 ? template->bos.bytes : 0;
    size_t start = after(text, all, bos, format->system_pre);
    str_clear(&template->preface);
    for (size_t i = start; start != 0 && i + system.bytes <= all; i++) {
        if (memcmp(text + i, system.text, system.bytes) == 0) {
            str_add(&template->preface, text + start, i - start);
            break;
        }
    }
    return !template->preface.failed;
}

/* Whether the template takes system texts as the format does, refuses or drops them. */
static bool system_matches(struct chat_template *template, const struct seen *seen,
                           struct chat_text *work)
{
    enum chat_system *system = &template->format.system;
    bool raised = true, dropped = true;
    for (size_t p = N_PLAIN; p < N_PROBES; p++) {
        const struct str *plain = &seen->text[p - N_PLAIN];
        raised = raised && seen->result[p] == JINJA_RAISED;
        dropped = dropped && seen->result[p] == JINJA_OK &&
                  same(&seen->text[p], str_get(plain), plain->bytes);
    }
    if (raised || dropped) {
        *system = raised ? CHAT_SYSTEM_REFUSED : CHAT_SYSTEM_DROPPED;
        return matches(template, 0, N_PLAIN, seen, work);
    }
    if (*system == CHAT_SYSTEM_REFUSED) {
        return false;
    }
    if (matches(template, N_PLAIN, N_PROBES, seen, work)) {
        return true;
    }
    if (*system != CHAT_SYSTEM_FIRST && *system != CHAT_SYSTEM_LAST) {
        return false;
    }
    *system = *system == CHAT_SYSTEM_FIRST ? CHAT_SYSTEM_LAST : CHAT_SYSTEM_FIRST;
    return matches(template, 0, N_PROBES, seen, work);
}

/* The format with these flags, if it renders what was seen. `*failed`: out of memory. */
static struct chat_template *try_flags(const struct chat_format *format, unsigned flags,
                                       const struct chat_tokens *tokens, const struct seen *seen,
                                       struct chat_text *work, struct log *log, bool *failed)
{
    struct chat_format variant = *format;
    variant.flags = flags;
    struct chat_template *template = chat_template_make(&variant, tokens, log);
    if (template == NULL) {
        *failed = true;
        return NULL;
    }
    bool ok = (flags & CHAT_PREFACE) != 0 ? find_preface(template, seen)
                                          : find_standard(template, seen, work);
    if (ok && !work->text.failed && matches(template, 0, N_PLAIN, seen, work) &&
        system_matches(template, seen, work)) {
        return template;
    }
    *failed = !ok || work->text.failed;
    chat_template_destroy(template);
    return NULL;
}

/* The format in any of its variants: BOS first or not, texts trimmed or not. */
static struct chat_template *try_format(const struct chat_format *format,
                                        const struct chat_tokens *tokens, const struct seen *seen,
                                        struct chat_text *work, struct log *log, bool *failed)
{
    const unsigned thinks = (format->flags & CHAT_THINKS) != 0 ? CHAT_STRIP_LINES : 0u;
    const unsigned free_flags = CHAT_BOS | CHAT_TRIM_ALL | thinks;
    for (unsigned change = 0; change <= free_flags && !*failed; change++) {
        struct chat_template *found =
            (change & ~free_flags) == 0
                ? try_flags(format, format->flags ^ change, tokens, seen, work, log, failed)
                : NULL;
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* A template that is none of the known ones may still have a name. */
static const char *foreign_name(const char *source)
{
    static const struct {
        const char *mark, *name;
    } names[] = {{"<|START_OF_TURN_TOKEN|>", "command-r"},
                 {"<\xef\xbd\x9cUser\xef\xbd\x9c>", "deepseek"},
                 {"<|channel|>", "harmony (gpt-oss)"},
                 {"<|header_start|>", "llama4"},
                 {"<|turn>", "gemma4"},
                 {"GPT4 Correct", "openchat"},
                 {"[gMASK]", "chatglm"},
                 {"### Instruction:", "alpaca"},
                 {"USER: ", "vicuna"},
                 {"[|assistant|]", "exaone"},
                 {"<|im_middle|>", "kimi-k2"},
                 {"<|im_start|>", "a variant of chatml"},
                 {"<|start_header_id|>", "a variant of llama3"},
                 {"<start_of_turn>", "a variant of gemma"},
                 {"<<SYS>>", "a variant of llama2"},
                 {"[INST]", "a variant of mistral"},
                 {"<|end|>", "a variant of phi3"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strstr(source, names[i].mark) != NULL) {
            return names[i].name;
        }
    }
    return "unknown";
}

static void say_unknown(const char *where, const char *source, size_t bytes, const char *why,
                        struct log *log)
{
    struct str list, copy;
    str_init(&list);
    str_init(&copy);
    str_add(&copy, source, bytes);
    for (const struct chat_format *f = chat_formats(); f->name != NULL; f++) {
        str_printf(&list, "%s%s", f->name, f[1].name != NULL ? ", " : "");
    }
    log_error(log, "%s: the chat template (%s) is none of the known ones: %s%s%s%s", where,
              foreign_name(str_get(&copy)), str_get(&list), *why != '\0' ? " (" : "", why,
              *why != '\0' ? ")" : "");
    str_finish(&list);
    str_finish(&copy);
}

struct chat_template *chat_template_find(const char *source, size_t bytes, const char *where,
                                         const struct chat_tokens *tokens, const struct tm *now,
                                         struct log *log)
{
    struct chat_template *found = NULL;
    struct chat_text work;
    struct seen seen;
    bool failed = false;
    str_init(&seen.why);
    chat_text_init(&work);
    for (size_t p = 0; p < N_PROBES; p++) {
        str_init(&seen.text[p]);
        seen.result[p] = JINJA_FAILED;
    }
    struct jinja *jinja = jinja_create(source, bytes, &seen.why);
    if (jinja != NULL) {
        look(jinja, tokens, now, &seen);
    }
    for (const struct chat_format *f = chat_formats();
         jinja != NULL && seen.why.bytes == 0 && f->name != NULL && found == NULL && !failed; f++) {
        found = try_format(f, tokens, &seen, &work, log, &failed);
    }
    if (failed) {
        log_error(log, "out of memory for the chat template of %s", where);
    } else if (found == NULL) {
        say_unknown(where, source, bytes, str_get(&seen.why), log);
    }
    for (size_t p = 0; p < N_PROBES; p++) {
        str_finish(&seen.text[p]);
    }
    jinja_destroy(jinja);
    str_finish(&seen.why);
    chat_text_finish(&work);
    return found;
}
