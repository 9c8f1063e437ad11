/* What the chat files of this room share: the parameters of a format. Not for other rooms. */
#ifndef QUADRIGA_TEXT_CHAT_FORMAT_H
#define QUADRIGA_TEXT_CHAT_FORMAT_H

#include "text/chat.h"

enum chat_flags {
    CHAT_BOS = 1 << 0,         /* the BOS text comes first */
    CHAT_TRIM_SYSTEM = 1 << 1, /* without the white space at the ends of the text */
    CHAT_TRIM_USER = 1 << 2,
    CHAT_TRIM_ANSWER = 1 << 3,
    CHAT_TRIM_ALL = CHAT_TRIM_SYSTEM | CHAT_TRIM_USER | CHAT_TRIM_ANSWER,
    CHAT_TRIM_JOINED = 1 << 4, /* CHAT_TRIM_USER takes a system text before it as part of it */
    CHAT_THINKS = 1 << 5,      /* of answers that are over only what follows </think> */
    CHAT_STRIP_LINES = 1 << 6, /* of answers that are over the line ends before them, too */
    CHAT_PREFACE = 1 << 7      /* there always is a system turn, with a text of its own first */
};

/* In the texts "\1" stands for BOS and "\2" for EOS. */
struct chat_format {
    const char *name;
    enum chat_system system;
    unsigned flags; /* chat_flags */
    const char *system_pre, *system_post, *user_pre, *user_post, *answer_pre, *answer_post;
    const char *prompt;  /* begins the next answer */
    const char *end;     /* chat_template_end */
    const char *preface; /* with CHAT_PREFACE, when the format is chosen by name */
};
/* Ends with a format without a name. Formats that render the same never stand in it twice. */
const struct chat_format *chat_formats(void);

struct chat_template {
    struct chat_format format;
    struct str bos, eos;
    struct str preface;
    struct str standard; /* chat_template_default_system */
};
/* NULL: out of memory, logged. */
struct chat_template *chat_template_make(const struct chat_format *format,
                                         const struct chat_tokens *tokens, struct log *log);

#endif
