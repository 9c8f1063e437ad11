/* Chat templates of a model: conversations to text and ids. */
#include "api/objects.h"

#include <string.h>

_Static_assert((int)QD_ROLE_SYSTEM == CHAT_SYSTEM && (int)QD_ROLE_USER == CHAT_USER &&
                   (int)QD_ROLE_ASSISTANT == CHAT_ASSISTANT,
               "roles");

const char *qd_chat_template_name(uint32_t index)
{
    return chat_format_name(index);
}

static void add_names(struct str *out)
{
    for (uint32_t i = 0; chat_format_name(i) != NULL; i++) {
        str_printf(out, "%s%s", i != 0 ? ", " : "", chat_format_name(i));
    }
}

static struct chat_template *find(qd_model *model, const char *source, size_t bytes,
                                  const char *where)
{
    struct chat_tokens tokens = chat_tokens_of(model->run.vocab);
    time_t seconds = time(NULL);
    struct tm now = {0};
    localtime_r(&seconds, &now);
    return chat_template_find(source, bytes, where, &tokens, &now, &model->context->log);
}

static struct chat_template *find_in_file(qd_model *model)
{
    static const char key[] = "tokenizer.chat_template";
    const struct gguf_file *file = model->run.file;
    struct gguf_str source;
    enum gguf_result result = gguf_get_str(file, key, &source);
    if (result == GGUF_OK) {
        return find(model, source.text, (size_t)source.bytes, gguf_path(file));
    }
    if (result == GGUF_ABSENT) {
        struct str names;
        str_init(&names);
        add_names(&names);
        log_error(&model->context->log,
                  "%s: there is no chat template in the file (%s); name one: %s", gguf_path(file),
                  key, str_get(&names));
        str_finish(&names);
    }
    return NULL;
}

/* Whether the text that ends an answer is one end token of the vocabulary. */
static bool ends_by_token(qd_model *model, const char *end)
{
    const struct vocab *vocab = model->run.vocab;
    struct text_tokens ids = {0};
    bool ok = vocab_encode(vocab, end, strlen(end), TEXT_PARSE_SPECIAL, &ids, NULL);
    ok = ok && ids.count == 1 && vocab_is_end(vocab, ids.ids[0]);
    text_tokens_finish(&ids);
    return ok;
}

enum qd_status qd_chat_create(qd_model *model, const struct qd_chat_params *params, qd_chat **out)
{
    static const struct qd_chat_params of_file = {.name = NULL};
    struct log *log = &model->context->log;
    params = params != NULL ? params : &of_file;
    *out = NULL;
    if (model->run.vocab == NULL || model->run.file == NULL) {
        log_error(log, "a dummy model has no chat template");
        return QD_BAD_ARGUMENT;
    }
    qd_chat *chat = mem_alloc(1, sizeof *chat);
    if (chat == NULL) {
        log_error(log, "out of memory for a chat template");
        return QD_OUT_OF_MEMORY;
    }
    chat->model = model;
    if (params->name != NULL) {
        struct chat_tokens tokens = chat_tokens_of(model->run.vocab);
        chat->template = chat_template_named(params->name, &tokens, log);
    } else if (params->source != NULL) {
        const char *where = params->source_name != NULL ? params->source_name : "template";
        chat->template = find(model, params->source, params->source_bytes, where);
    } else {
        chat->template = find_in_file(model);
    }
    if (chat->template == NULL) {
        mem_free(chat);
        return params->name != NULL ? QD_BAD_ARGUMENT : QD_BAD_FILE;
    }
    const char *end = chat_template_end(chat->template);
    chat->end_text = *end == '\0' || ends_by_token(model, end) ? "" : end;
    *out = chat;
    return QD_OK;
}

void qd_chat_destroy(qd_chat **chat)
{
    if (chat != NULL && *chat != NULL) {
        chat_template_destroy((*chat)->template);
        mem_free(*chat);
        *chat = NULL;
    }
}

void qd_chat_get_info(const qd_chat *chat, struct qd_chat_info *out)
{
    enum chat_system system = chat_template_system(chat->template);
    *out = (struct qd_chat_info){
        .name = chat_template_name(chat->template),
        .default_system = chat_template_default_system(chat->template),
        .end_text = chat->end_text,
        .system = system == CHAT_SYSTEM_REFUSED   ? QD_SYSTEM_REFUSED
                  : system == CHAT_SYSTEM_DROPPED ? QD_SYSTEM_DROPPED
                                                  : QD_SYSTEM_TAKEN,
    };
}

/* On success `out` is to be finished. */
static enum qd_status render(qd_chat *chat, const struct qd_message *messages, size_t count,
                             struct chat_text *out)
{
    struct log *log = &chat->model->context->log;
    struct chat_message *copy = mem_alloc(count, sizeof *copy);
    if (copy == NULL) {
        log_error(log, "out of memory for a conversation of %zu messages", count);
        return QD_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = (struct chat_message){(enum chat_role)messages[i].role, messages[i].text,
                                        messages[i].bytes};
    }
    chat_text_init(out);
    bool ok = chat_render(chat->template, copy, count, out, log);
    enum qd_status status = ok ? QD_OK : out->text.failed ? QD_OUT_OF_MEMORY : QD_BAD_ARGUMENT;
    if (!ok) {
        chat_text_finish(out);
    }
    mem_free(copy);
    return status;
}

enum qd_status qd_chat_render(qd_chat *chat, const struct qd_message *messages, size_t count,
                              char *out, size_t cap, size_t *bytes)
{
    struct chat_text text;
    *bytes = 0;
    enum qd_status status = render(chat, messages, count, &text);
    if (status != QD_OK) {
        return status;
    }
    *bytes = text.text.bytes;
    size_t n = *bytes < cap ? *bytes : cap;
    if (n != 0) {
        memcpy(out, str_get(&text.text), n);
    }
    if (n < cap) {
        out[n] = '\0';
    }
    chat_text_finish(&text);
    return QD_OK;
}

enum qd_status qd_chat_tokenize(qd_chat *chat, const struct qd_message *messages, size_t count,
                                size_t skip, uint32_t *ids, size_t cap, size_t *n_ids)
{
    struct log *log = &chat->model->context->log;
    struct text_tokens tokens = {0};
    struct chat_text text;
    *n_ids = 0;
    enum qd_status status = render(chat, messages, count, &text);
    if (status != QD_OK) {
        return status;
    }
    if (skip > text.text.bytes) {
        log_error(log, "the text of the conversation has %zu bytes, not %zu to skip",
                  text.text.bytes, skip);
        status = QD_BAD_ARGUMENT;
    } else if (!chat_encode(chat->model->run.vocab, &text, skip, &tokens, log)) {
        status = QD_OUT_OF_MEMORY;
    } else {
        size_t n = tokens.count < cap ? tokens.count : cap;
        if (n != 0) {
            memcpy(ids, tokens.ids, n * sizeof *ids);
        }
        *n_ids = tokens.count;
    }
    text_tokens_finish(&tokens);
    chat_text_finish(&text);
    return status;
}

size_t qd_chat_answer_start(const qd_chat *chat, const char *text, size_t bytes)
{
    return chat_answer_start(chat->template, text, bytes);
}
