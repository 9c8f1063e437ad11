/* The whole life of a model on the engine, for tests in which one call of Vulkan fails: load,
 * session, a prompt, a few tokens, all closed. Over the fake and over real
 * drivers. */
#ifndef QUADRIGA_TESTS_MODEL_ENGINE_H
#define QUADRIGA_TESTS_MODEL_ENGINE_H

#include "run/run.h"

#define ENGINE_TOKENS 4

struct engine_params {
    void *get_proc; /* of dev_instance_params */
    bool validate;
    const char *path;   /* of the model */
    uint32_t n_devices; /* all of them GPU 0, or GPU i when there are as many */
    uint32_t n_batch;   /* of the prompt's 8 tokens; smaller: several chunks */
    bool fork;          /* at the end a step with a fork and scores */
};

struct engine_life {
    struct log log;
    uint32_t errors;  /* LOG_ERROR lines */
    char lines[4096]; /* all lines */
    enum run_status status;
    bool lost; /* a device was, when the model was closed */
    uint32_t n_tokens, tokens[ENGINE_TOKENS];
    bool torn; /* a step with a fork left the sequences half done */
};

/* Fills *life. */
void engine_run(struct engine_life *life, const struct engine_params *params);

#endif
