/* The opaque objects of include/quadriga.h, shared by the files of this room. */
#ifndef QUADRIGA_API_OBJECTS_H
#define QUADRIGA_API_OBJECTS_H

#include "include/quadriga.h"
#include "run/run.h"
#include "text/chat.h"

struct qd_context {
    struct log log;
    qd_log_callback callback;
    void *user;
    struct dev_instance *inst; /* NULL with no_devices */
    char last[sizeof((struct log *)0)->last];
};

struct qd_model {
    qd_context *context;
    struct run_model run;
    struct str key, type, value; /* of the last metadata or tensor asked for */
};

struct qd_chat {
    qd_model *model;
    struct chat_template *template;
    const char *end_text;
};

struct qd_session {
    qd_model *model;
    struct run_session run;
};

#endif
