/* A conversation: its messages, and what of it the session's KV cache holds. */
#ifndef QUADRIGA_CLI_CHAT_TALK_H
#define QUADRIGA_CLI_CHAT_TALK_H

#include "cli/engine.h"
#include "cli/output.h"

struct talk_text {
    char *bytes; /* NULL while empty */
    size_t n, cap;
};
/* All false: out of memory, said. */
bool talk_text_set(struct talk_text *text, const char *bytes, size_t n);
bool talk_text_add(struct talk_text *text, const char *bytes, size_t n);
void talk_text_finish(struct talk_text *text);

struct chat_ids {
    uint32_t *ids;
    size_t n, cap;
};

/* Made by chat_talk_init; messages may be read by anybody, and are changed here only. */
struct chat_talk {
    struct cli_engine *engine;
    qd_chat *chat;
    const struct cli_options *options;
    struct cli_output_text *output;
    struct qd_sampling sampling;
    struct talk_text system;    /* empty: none */
    struct talk_text *messages; /* user and assistant in turns, the user first */
    size_t n_messages, cap_messages;
    /* Ids of the conversation so far. The cache has the first qd_session_length of them; one that
     * was generated last may be missing. */
    struct chat_ids ids;
    /* What is rendered by all of them; empty: no text is known to be. */
    struct talk_text rendered;
    struct qd_generate_result result; /* of the last answer */
    uint32_t n_prefilled;             /* tokens run through the model before it */
};

void chat_talk_init(struct chat_talk *talk, struct cli_engine *engine, qd_chat *chat,
                    const struct cli_options *options, struct cli_output_text *output);
void chat_talk_finish(struct chat_talk *talk);
/* Forgets the messages; the system text stays. */
void chat_talk_reset(struct chat_talk *talk);
/* Puts a message behind the others. False: said. */
bool chat_talk_add(struct chat_talk *talk, const char *text, size_t bytes);
/* False: said; the old one stays. */
bool chat_talk_set_system(struct chat_talk *talk, const char *text, size_t bytes);

enum chat_answer {
    CHAT_ANSWERED,   /* also by Ctrl-C, or with a full context: `result` says */
    CHAT_TAKEN_BACK, /* said: the message is not part of the conversation */
    CHAT_FATAL       /* said: the session cannot go on */
};
/* Runs a message of the user and prints the answer. */
enum chat_answer chat_talk_answer(struct chat_talk *talk, const char *text, size_t bytes);

#endif
