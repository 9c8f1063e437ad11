/* A turn of a chat. The conversation is rendered anew for each message; what the KV cache holds of
 * it stays, and only what is new, or was changed by the template, runs through the model. */
#include "cli/chat_talk.h"

#include "cli/memory.h"

#include <string.h>

/* ---- growing arrays ---- */

static bool grow(void **array, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap) {
        return true;
    }
    size_t more = *cap != 0 ? *cap : 16;
    while (more < count) {
        more = more <= SIZE_MAX / 2 ? more * 2 : count;
    }
    void *grown = cli_resize(*array, more, size);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *cap = more;
    return true;
}

bool talk_text_add(struct talk_text *text, const char *bytes, size_t n)
{
    if (!grow((void **)&text->bytes, &text->cap, text->n + n, 1)) {
        return false;
    }
    if (n != 0) {
        memcpy(text->bytes + text->n, bytes, n);
    }
    text->n += n;
    return true;
}

bool talk_text_set(struct talk_text *text, const char *bytes, size_t n)
{
    struct talk_text fresh = {.n = 0};
    if (!talk_text_add(&fresh, bytes, n)) {
        return false;
    }
    talk_text_finish(text);
    *text = fresh;
    return true;
}

void talk_text_finish(struct talk_text *text)
{
    cli_free(text->bytes);
    *text = (struct talk_text){.n = 0};
}

static bool add_ids(struct chat_ids *ids, const uint32_t *more, size_t n)
{
    if (!grow((void **)&ids->ids, &ids->cap, ids->n + n, sizeof *ids->ids)) {
        return false;
    }
    if (n != 0) {
        memcpy(ids->ids + ids->n, more, n * sizeof *more);
    }
    ids->n += n;
    return true;
}

/* ---- the conversation ---- */

void chat_talk_init(struct chat_talk *talk, struct cli_engine *engine, qd_chat *chat,
                    const struct cli_options *options, struct cli_output_text *output)
{
    *talk = (struct chat_talk){.engine = engine,
                               .chat = chat,
                               .options = options,
                               .output = output,
                               .sampling = cli_sampling(options)};
}

static void drop_messages(struct chat_talk *talk, size_t keep)
{
    while (talk->n_messages > keep) {
        talk_text_finish(&talk->messages[--talk->n_messages]);
    }
}

void chat_talk_reset(struct chat_talk *talk)
{
    drop_messages(talk, 0);
    talk->result = (struct qd_generate_result){0};
}

void chat_talk_finish(struct chat_talk *talk)
{
    drop_messages(talk, 0);
    cli_free(talk->messages);
    cli_free(talk->ids.ids);
    talk_text_finish(&talk->system);
    talk_text_finish(&talk->rendered);
}

bool chat_talk_add(struct chat_talk *talk, const char *text, size_t bytes)
{
    struct talk_text message = {.n = 0};
    if (!grow((void **)&talk->messages, &talk->cap_messages, talk->n_messages + 1,
              sizeof *talk->messages) ||
        !talk_text_set(&message, text, bytes)) {
        return false;
    }
    talk->messages[talk->n_messages++] = message;
    return true;
}

bool chat_talk_set_system(struct chat_talk *talk, const char *text, size_t bytes)
{
    struct qd_chat_info info;
    qd_chat_get_info(talk->chat, &info);
    if (bytes != 0 && info.system != QD_SYSTEM_TAKEN) {
        cli_error("the chat template %s %s", info.name,
                  info.system == QD_SYSTEM_REFUSED ? "takes no system text"
                                                   : "has no place for a system text");
        return false;
    }
    return talk_text_set(&talk->system, text, bytes);
}

/* ---- a turn ---- */

/* Free with cli_free; NULL: said. */
static struct qd_message *make_messages(const struct chat_talk *talk, size_t *count)
{
    struct qd_message *messages = cli_alloc(talk->n_messages + 1, sizeof *messages);
    size_t n = 0;
    if (messages == NULL) {
        return NULL;
    }
    if (talk->system.n != 0) {
        messages[n++] = (struct qd_message){QD_ROLE_SYSTEM, talk->system.bytes, talk->system.n};
    }
    for (size_t i = 0; i < talk->n_messages; i++) {
        messages[n++] = (struct qd_message){i % 2 == 0 ? QD_ROLE_USER : QD_ROLE_ASSISTANT,
                                            talk->messages[i].n != 0 ? talk->messages[i].bytes : "",
                                            talk->messages[i].n};
    }
    *count = n;
    return messages;
}

static bool render(struct chat_talk *talk, const struct qd_message *messages, size_t n,
                   struct talk_text *out)
{
    enum qd_status status = QD_OK;
    for (size_t bytes = 1024; status == QD_OK; bytes = out->n + 1) {
        if (!grow((void **)&out->bytes, &out->cap, bytes, 1)) {
            return false;
        }
        status = qd_chat_render(talk->chat, messages, n, out->bytes, out->cap, &out->n);
        if (status == QD_OK && out->n < out->cap) {
            return true;
        }
    }
    cli_error_status(talk->engine->context, status);
    return false;
}

/* The ids after the first `skip` bytes, behind those in `out`. */
static bool tokenize(struct chat_talk *talk, const struct qd_message *messages, size_t n,
                     size_t skip, struct chat_ids *out)
{
    enum qd_status status = QD_OK;
    for (size_t room = 256; status == QD_OK;) {
        size_t count;
        if (!grow((void **)&out->ids, &out->cap, out->n + room, sizeof *out->ids)) {
            return false;
        }
        room = out->cap - out->n;
        status = qd_chat_tokenize(talk->chat, messages, n, skip, out->ids + out->n, room, &count);
        if (status == QD_OK && count <= room) {
            out->n += count;
            return true;
        }
        room = count;
    }
    cli_error_status(talk->engine->context, status);
    return false;
}

/* `ids` become those of the whole conversation, `*keep` of them as they were. */
static bool encode(struct chat_talk *talk, const struct qd_message *messages, size_t n,
                   const struct talk_text *text, struct chat_ids *ids, size_t *keep)
{
    const struct talk_text *before = &talk->rendered;
    bool goes_on =
        before->n != 0 && before->n < text->n && memcmp(before->bytes, text->bytes, before->n) == 0;
    if (goes_on) {
        *keep = talk->ids.n;
        return add_ids(ids, talk->ids.ids, talk->ids.n) &&
               tokenize(talk, messages, n, before->n, ids);
    }
    if (!tokenize(talk, messages, n, 0, ids)) {
        return false;
    }
    *keep = 0;
    while (*keep < ids->n && *keep < talk->ids.n && ids->ids[*keep] == talk->ids.ids[*keep]) {
        ++*keep;
    }
    return true;
}

struct answer {
    struct chat_talk *talk;
    struct talk_text text;
    struct chat_ids ids;
    bool begun, failed;
};

static bool on_token(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct answer *answer = user;
    size_t blank = 0;
    answer->failed = answer->failed || !talk_text_add(&answer->text, text, bytes) ||
                     (token != UINT32_MAX && !add_ids(&answer->ids, &token, 1));
    while (!answer->begun && blank < bytes &&
           (text[blank] == ' ' || (text[blank] >= '\t' && text[blank] <= '\r'))) {
        blank++; /* white space before an answer is not shown */
    }
    answer->begun = answer->begun || blank < bytes;
    if (blank < bytes) {
        answer->failed =
            answer->failed || !cli_output_put(answer->talk->output, text + blank, bytes - blank);
    }
    return !answer->failed && cli_interrupted(answer->talk->engine->interrupt) == 0;
}

/* Runs ids[have..] and generates. */
static enum qd_status generate(struct chat_talk *talk, const struct chat_ids *ids, size_t have,
                               struct answer *answer)
{
    const struct cli_options *options = talk->options;
    const char *stops[CLI_MAX_STOPS + 1];
    struct qd_chat_info info;
    uint32_t n_stops = 0;
    qd_chat_get_info(talk->chat, &info);
    for (; n_stops < options->n_stops; n_stops++) {
        stops[n_stops] = options->stops[n_stops];
    }
    if (*info.end_text != '\0') {
        stops[n_stops++] = info.end_text;
    }
    struct qd_generate_params params = {
        .prompt = ids->ids + have,
        .n_prompt = ids->n - have,
        .n_predict = options->n_predict,
        .sampling = talk->sampling,
        .stops = stops,
        .n_stops = n_stops,
        .on_token = on_token,
        .user = answer,
    };
    params.sampling.seed += talk->n_messages / 2; /* not the same draws in every turn */
    talk->n_prefilled = (uint32_t)params.n_prompt;
    talk->result = (struct qd_generate_result){0};
    qd_session_reset_stats(talk->engine->session);
    return qd_session_generate(talk->engine->session, &params, &talk->result);
}

/* What the cache holds, and which text that is, after an answer. */
static bool note(struct chat_talk *talk, struct chat_ids *ids, struct talk_text *text,
                 const struct answer *answer)
{
    size_t length = qd_session_length(talk->engine->session, 0);
    bool whole = talk->result.stop != QD_STOP_TEXT; /* then the text ends inside of the ids */
    if (!add_ids(ids, answer->ids.ids, answer->ids.n) ||
        !talk_text_add(text, answer->text.bytes, answer->text.n)) {
        return false;
    }
    cli_free(talk->ids.ids);
    talk->ids = *ids;
    *ids = (struct chat_ids){.n = 0};
    talk_text_finish(&talk->rendered);
    if (whole && length + 1 >= talk->ids.n) {
        talk->rendered = *text;
        *text = (struct talk_text){.n = 0};
    }
    return true;
}

/* The context has room for the conversation and a token of the answer. */
static bool fits(const struct chat_talk *talk, size_t n)
{
    struct qd_model_info info;
    qd_model_get_info(talk->engine->model, &info);
    if (n != 0 && n <= info.n_ctx) {
        return true;
    }
    if (n == 0) {
        cli_error("the message has no token");
        return false;
    }
    cli_error("the conversation has %zu tokens with this message, the context %u: /reset begins a "
              "new one, /save FILE keeps this one, a start with -c makes the context longer",
              n, info.n_ctx);
    return false;
}

/* Lets the cache keep the first `keep` entries, or less where it cannot: the entries it has. */
static bool rewind_cache(struct chat_talk *talk, size_t keep, size_t *have)
{
    qd_session *session = talk->engine->session;
    enum qd_status status = QD_OK;
    if (qd_session_length(session, 0) > keep) {
        status = qd_session_truncate(session, 0, (uint32_t)keep);
    }
    *have = qd_session_length(session, 0);
    if (status != QD_OK) {
        cli_error_status(talk->engine->context, status);
    }
    return status == QD_OK;
}

static enum chat_answer finish_answer(struct chat_talk *talk, enum qd_status status,
                                      struct chat_ids *ids, struct talk_text *text,
                                      struct answer *answer)
{
    if (status != QD_OK && status != QD_CANCELLED) {
        cli_error_status(talk->engine->context, status);
        return CHAT_FATAL;
    }
    if (answer->failed) {
        return CHAT_FATAL; /* said, or standard output is gone */
    }
    if (status == QD_CANCELLED && answer->ids.n == 0) {
        size_t length = qd_session_length(talk->engine->session, 0);
        if (length + 1 < talk->ids.n) { /* the cache was rewound for this message */
            talk->ids.n = length;
            talk->rendered.n = 0;
        }
        cli_error("stopped before the answer began: the message is taken back");
        return CHAT_TAKEN_BACK;
    }
    size_t start = qd_chat_answer_start(talk->chat, answer->text.n != 0 ? answer->text.bytes : "",
                                        answer->text.n);
    if (status == QD_CANCELLED || cli_interrupted(talk->engine->interrupt) != 0) {
        talk->result.stop = QD_STOP_CALLBACK;
    }
    return chat_talk_add(talk, answer->text.n != 0 ? answer->text.bytes + start : "",
                         answer->text.n - start) &&
                   note(talk, ids, text, answer)
               ? CHAT_ANSWERED
               : CHAT_FATAL;
}

enum chat_answer chat_talk_answer(struct chat_talk *talk, const char *message, size_t bytes)
{
    struct talk_text text = {.n = 0};
    struct chat_ids ids = {.n = 0};
    struct answer answer = {.talk = talk};
    size_t n, keep, have, before = talk->n_messages;
    enum chat_answer result = CHAT_TAKEN_BACK;
    struct qd_message *messages = NULL;
    if (chat_talk_add(talk, message, bytes)) {
        messages = make_messages(talk, &n);
    }
    if (messages != NULL && render(talk, messages, n, &text) &&
        encode(talk, messages, n, &text, &ids, &keep) && fits(talk, ids.n)) {
        keep = keep < ids.n ? keep : ids.n - 1; /* something has to run */
        result = CHAT_FATAL;
        if (rewind_cache(talk, keep, &have)) {
            enum qd_status status = generate(talk, &ids, have, &answer);
            result = finish_answer(talk, status, &ids, &text, &answer);
        }
    }
    if (result != CHAT_ANSWERED) {
        drop_messages(talk, before);
        talk->rendered.n = result == CHAT_TAKEN_BACK ? talk->rendered.n : 0;
    }
    cli_free(messages);
    cli_free(ids.ids);
    cli_free(answer.ids.ids);
    talk_text_finish(&text);
    talk_text_finish(&answer.text);
    return result;
}
