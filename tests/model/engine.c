/* A model from loading to closing; see engine.h. */
#include "engine.h"

#include <stdio.h>
#include <string.h>

static void hear(void *user, enum log_level level, const char *line)
{
    struct engine_life *life = user;
    life->errors += level == LOG_ERROR;
    size_t used = strlen(life->lines);
    snprintf(life->lines + used, sizeof life->lines - used, "%s\n", line);
}

static bool take(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct engine_life *life = user;
    (void)text;
    (void)bytes;
    if (token != UINT32_MAX && life->n_tokens < ENGINE_TOKENS) {
        life->tokens[life->n_tokens++] = token;
    }
    return true;
}

/* A step in which a sequence forks, and what it leaves: after a failure the sequences are as they
 * were, or empty. */
static enum run_status score(struct engine_life *life, struct run_session *session)
{
    static const uint32_t token[] = {5, 6, 7}, seq[] = {0, 1, 0}, target[] = {6, 9, 8};
    static const bool want[] = {true, true, true};
    const struct run_fork fork = {.before = 1, .from = 0, .to = 1, .length = 3};
    const struct run_tokens tokens = {.n = 3,
                                      .token = token,
                                      .seq = seq,
                                      .want = want,
                                      .target = target,
                                      .forks = &fork,
                                      .n_forks = 1};
    uint32_t old = session->kv.length[0];
    enum run_status status = run_step(session, &tokens);
    const uint32_t *length = session->kv.length;
    bool done = length[0] == old + 2 && length[1] == 4 && session->n_scores == 3;
    bool undone = session->n_scores == 0 && length[1] == 0 && (length[0] == old || length[0] == 0);
    life->torn = status == RUN_OK ? !done : !undone;
    return status;
}

static enum run_status generate(struct engine_life *life, struct run_model *model, bool fork)
{
    static const uint32_t prompt[] = {1, 300, 17, 42, 301, 5, 99, 310};
    struct run_session session;
    enum run_status status = run_session_init(&session, model);
    if (status != RUN_OK) {
        return status;
    }
    uint32_t n;
    enum run_stop stop;
    status = run_generate(&session,
                          &(struct run_generate_params){.prompt = prompt,
                                                        .n_prompt = 8,
                                                        .n_predict = ENGINE_TOKENS,
                                                        .ignore_eos = true,
                                                        .on_token = take,
                                                        .user = life},
                          &n, &stop);
    status = status == RUN_OK && fork ? score(life, &session) : status;
    run_session_finish(&session);
    return status;
}

static enum run_status work(struct engine_life *life, struct dev_instance *inst,
                            const struct engine_params *params)
{
    struct run_model model;
    struct run_params load = {.path = params->path,
                              .n_devices = params->n_devices,
                              .n_batch = params->n_batch,
                              .n_seq = 2,
                              .split = PLAN_SPLIT_LAYER};
    for (uint32_t i = 0; i < params->n_devices; i++) {
        load.devices[i] = dev_instance_count(inst) >= params->n_devices ? i : 0;
    }
    enum run_status status = run_model_init(&model, inst, &load, &life->log);
    if (status != RUN_OK) {
        return status;
    }
    status = generate(life, &model, params->fork);
    for (uint32_t d = 0; d < model.n_devices; d++) {
        life->lost = life->lost || dev_is_lost(model.devices[d].dev);
    }
    run_model_finish(&model);
    return status;
}

void engine_run(struct engine_life *life, const struct engine_params *params)
{
    memset(life, 0, sizeof *life);
    log_init(&life->log, hear, life, LOG_WARN);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){
        .log = &life->log, .validate = params->validate, .get_proc = params->get_proc});
    life->status = inst != NULL ? work(life, inst, params) : RUN_NO_DEVICE;
    dev_instance_destroy(inst);
    log_finish(&life->log);
}
