/* Streams at once. Prompts are cut into steps without regard to where one ends, so that all but the
 * last are full. Generating, the streams form as many groups as there are devices: a step has one
 * token of each stream of a group, and a group's next step waits for the one before, as it would if
 * its tokens came from there; so each device can work on another group. */
#include "cli/bench.h"

#include "cli/memory.h"
#include "cli/term.h"

#include <string.h>

enum { OVERLAP = 4, OVERLAP_LEAST = 512 }; /* as the engine cuts a long prompt */

uint32_t bench_token(uint64_t *state, uint32_t limit)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % limit);
}

bool bench_streams_init(struct bench_streams *s, qd_session *session,
                        const struct qd_model_info *info, const struct cli_options *options)
{
    *s = (struct bench_streams){.session = session,
                                .info = *info,
                                .n = (uint32_t)options->n_streams,
                                .most = info->n_batch,
                                .random = 1};
    uint64_t share = (uint64_t)options->n_prompt * s->n / (OVERLAP * (uint64_t)info->n_devices);
    share = share > OVERLAP_LEAST ? share : OVERLAP_LEAST;
    if (info->n_devices > 1 && options->n_batch == 0 && share < s->most) {
        s->most = (uint32_t)share;
    }
    s->token = cli_alloc(info->n_batch, sizeof *s->token);
    s->seq = cli_alloc(info->n_batch, sizeof *s->seq);
    s->want = cli_alloc(info->n_batch, sizeof *s->want);
    return s->token != NULL && s->seq != NULL && s->want != NULL;
}

void bench_streams_finish(struct bench_streams *s)
{
    cli_free(s->token);
    cli_free(s->seq);
    cli_free(s->want);
}

enum qd_status bench_streams_truncate(struct bench_streams *s, uint32_t length)
{
    enum qd_status status = QD_OK;
    for (uint32_t i = 0; i < s->n && status == QD_OK; i++) {
        status = qd_session_truncate(s->session, i, length);
    }
    return status;
}

/* A run on its way. */
struct run {
    struct bench_streams *streams;
    uint32_t n, stream, at;   /* tokens of a prompt; where the next one is */
    uint32_t group, n_groups; /* of streams that generate */
    uint64_t steps;           /* that are left */
    uint64_t begin_ns, first_ns;
};

static void put(struct run *run, uint32_t i, uint32_t stream, bool want)
{
    struct bench_streams *s = run->streams;
    s->token[i] = bench_token(&s->random, s->info.n_vocab);
    s->seq[i] = stream;
    s->want[i] = want;
}

static void fill(const struct run *run, struct qd_step *step, uint32_t n)
{
    const struct bench_streams *s = run->streams;
    *step = (struct qd_step){.n_tokens = n, .token = s->token, .seq = s->seq, .want = s->want};
}

static bool next_prompt(void *user, struct qd_step *step)
{
    struct run *run = user;
    struct bench_streams *s = run->streams;
    uint32_t n = 0, n_out = 0;
    while (n < s->most && n_out < s->info.n_out_max && run->stream < s->n) {
        bool last = run->at + 1 == run->n;
        put(run, n++, run->stream, last);
        n_out += last ? 1 : 0;
        run->at = last ? 0 : run->at + 1;
        run->stream += last ? 1 : 0;
    }
    fill(run, step, n);
    return n != 0;
}

static bool next_tokens(void *user, struct qd_step *step)
{
    struct run *run = user;
    uint32_t n = 0;
    for (uint32_t i = run->group; i < run->streams->n; i += run->n_groups) {
        put(run, n++, i, true);
    }
    run->group = (run->group + 1) % run->n_groups;
    fill(run, step, n);
    return run->steps-- != 0;
}

static bool done(void *user, uint64_t index, const float *results, uint32_t n)
{
    struct run *run = user;
    (void)index;
    (void)results;
    if (n != 0 && run->first_ns == 0) {
        run->first_ns = cli_clock_ns() - run->begin_ns;
    }
    return true;
}

enum qd_status bench_streams_prompt(struct bench_streams *s, uint32_t n, uint64_t *first_ns)
{
    struct run run = {.streams = s, .n = n, .begin_ns = cli_clock_ns()};
    const struct qd_run_params params = {.next = next_prompt, .done = done, .user = &run};
    enum qd_status status = qd_session_run(s->session, &params);
    *first_ns = run.first_ns;
    return status;
}

enum qd_status bench_streams_generate(struct bench_streams *s, uint32_t n, uint64_t *first_ns)
{
    uint32_t most = s->info.n_out_max < s->most ? s->info.n_out_max : s->most;
    uint32_t least = (s->n + most - 1) / most; /* groups, so that a step can have one */
    uint32_t groups = s->info.n_devices > least ? s->info.n_devices : least;
    groups = groups < s->n ? groups : s->n;
    struct run run = {.streams = s,
                      .n_groups = groups,
                      .steps = (uint64_t)n * groups,
                      .begin_ns = cli_clock_ns()};
    const struct qd_run_params params = {
        .next = next_tokens, .done = done, .user = &run, .depth = groups};
    enum qd_status status = qd_session_run(s->session, &params);
    *first_ns = run.first_ns;
    return status;
}
