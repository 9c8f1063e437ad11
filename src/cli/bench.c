/* quadriga bench: measures. Each test has one run to warm up and then -r timed ones; tokens are
 * random (a fixed sequence), but for those of one stream's generation, which are the model's own.
 * How results are written is bench_print.c's. */
#include "cli/bench.h"

#include "cli/commands.h"
#include "cli/engine.h"
#include "cli/formats.h"
#include "cli/memory.h"

#include <math.h>
#include <string.h>
#include <time.h>

struct bench {
    const struct cli_options *options;
    struct cli_engine engine;
    struct bench_setup setup;
    uint64_t random; /* state of the token generator */
    uint32_t *tokens;
    struct bench_streams streams; /* where there are several */
};

static uint32_t next_token(struct bench *bench)
{
    return bench_token(&bench->random, bench->setup.info.n_vocab);
}

/* Runs n random tokens as a prompt, with the logits of the last. */
static enum qd_status run_prompt(struct bench *bench, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bench->tokens[i] = next_token(bench);
    }
    struct qd_generate_params params = {.prompt = bench->tokens, .n_prompt = n, .n_predict = 1};
    struct qd_generate_result result;
    return qd_session_generate(bench->engine.session, &params, &result);
}

/* When the first token came. */
struct first {
    struct bench *bench;
    uint64_t ns; /* 0: not yet */
};

static bool take_token(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct first *first = user;
    (void)token;
    (void)text;
    (void)bytes;
    first->ns = first->ns != 0 ? first->ns : cli_clock_ns();
    return cli_interrupted(first->bench->engine.interrupt) == 0;
}

/* n steps of one token, as `run` has them: greedy from a random token on; where the model ends its
 * text, from another one. The end token took a step, but is not counted as generated. */
static enum qd_status run_generation(struct bench *bench, uint32_t n, uint64_t *first_ns)
{
    struct first first = {.bench = bench};
    uint64_t begin = cli_clock_ns();
    for (uint32_t done = 0; done < n;) {
        uint32_t token = next_token(bench);
        struct qd_generate_params params = {.prompt = &token,
                                            .n_prompt = 1,
                                            .n_predict = n - done,
                                            .on_token = take_token,
                                            .user = &first};
        struct qd_generate_result result;
        enum qd_status status = qd_session_generate(bench->engine.session, &params, &result);
        if (status != QD_OK || cli_interrupted(bench->engine.interrupt) != 0) {
            return status != QD_OK ? status : QD_CANCELLED;
        }
        done += result.n_generated + (result.stop == QD_STOP_END_TOKEN ? 1 : 0);
        first.ns = first.ns != 0 ? first.ns : cli_clock_ns();
    }
    *first_ns = first.ns - begin;
    return QD_OK;
}

static void summarize(struct bench_test *test)
{
    double tokens = (double)(test->n_prompt + test->n_gen) * test->n_streams;
    double n = test->n_samples;
    double sum_ns = 0, sum_ts = 0, square_ns = 0, square_ts = 0;
    for (uint32_t i = 0; i < test->n_samples; i++) {
        sum_ns += (double)test->samples_ns[i];
        sum_ts += tokens * 1e9 / (double)test->samples_ns[i];
    }
    test->avg_ns = sum_ns / n;
    test->avg_ts = sum_ts / n;
    for (uint32_t i = 0; i < test->n_samples; i++) {
        double ns = (double)test->samples_ns[i];
        square_ns += (ns - test->avg_ns) * (ns - test->avg_ns);
        square_ts += pow(tokens * 1e9 / ns - test->avg_ts, 2);
    }
    test->stddev_ns = n > 1 ? sqrt(square_ns / (n - 1)) : 0;
    test->stddev_ts = n > 1 ? sqrt(square_ts / (n - 1)) : 0;
}

static enum qd_status run_streams(struct bench *bench, struct bench_test *test, uint64_t *ns,
                                  uint64_t *first_ns)
{
    struct bench_streams *s = &bench->streams;
    enum qd_status status = bench_streams_truncate(s, test->n_depth);
    uint64_t begin = cli_clock_ns();
    if (status == QD_OK) {
        status = test->n_prompt != 0 ? bench_streams_prompt(s, test->n_prompt, first_ns)
                                     : bench_streams_generate(s, test->n_gen, first_ns);
    }
    *ns = cli_clock_ns() - begin;
    *ns = *ns != 0 ? *ns : 1;
    return status;
}

static enum qd_status run_once(struct bench *bench, struct bench_test *test, uint64_t *ns,
                               uint64_t *first_ns)
{
    qd_session *session = bench->engine.session;
    if (test->n_streams > 1) {
        return run_streams(bench, test, ns, first_ns);
    }
    enum qd_status status = qd_session_truncate(session, 0, test->n_depth);
    if (status != QD_OK) {
        return status;
    }
    uint64_t begin = cli_clock_ns();
    status = test->n_prompt != 0 ? run_prompt(bench, test->n_prompt)
                                 : run_generation(bench, test->n_gen, first_ns);
    *ns = cli_clock_ns() - begin;
    *ns = *ns != 0 ? *ns : 1;
    if (test->n_prompt != 0) {
        *first_ns = *ns;
    }
    return status == QD_OK && cli_interrupted(bench->engine.interrupt) != 0 ? QD_CANCELLED : status;
}

static enum qd_status warm_up(struct bench *bench, struct bench_test *test)
{
    uint64_t ns, first_ns;
    enum qd_status status = test->n_streams > 1 ? bench_streams_truncate(&bench->streams, 0)
                                                : qd_session_truncate(bench->engine.session, 0, 0);
    if (status == QD_OK && test->n_depth != 0) {
        status = test->n_streams > 1
                     ? bench_streams_prompt(&bench->streams, test->n_depth, &first_ns)
                     : run_prompt(bench, test->n_depth);
    }
    return status == QD_OK ? run_once(bench, test, &ns, &first_ns) : status;
}

/* One more run, with timestamps; the one before it is for the recordings. */
static enum qd_status profile(struct bench *bench, struct bench_test *test)
{
    qd_session *session = bench->engine.session;
    uint64_t first_ns;
    size_t n = 0;
    enum qd_status status = qd_session_profile(session, true);
    if (status == QD_OK) {
        status = run_once(bench, test, &test->profile_ns, &first_ns);
    }
    if (status == QD_OK) {
        qd_session_reset_stats(session);
        status = run_once(bench, test, &test->profile_ns, &first_ns);
    }
    if (status == QD_OK) {
        status = qd_session_get_profile(session, NULL, 0, &n);
    }
    if (status == QD_OK) {
        test->profile = cli_alloc(n, sizeof *test->profile);
        status = test->profile == NULL
                     ? QD_OUT_OF_MEMORY
                     : qd_session_get_profile(session, test->profile, n, &test->n_profile);
    }
    qd_session_profile(session, false);
    return status;
}

static enum qd_status measure(struct bench *bench, struct bench_test *test)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(test->time, sizeof test->time, "%Y-%m-%dT%H:%M:%SZ", &utc);
    enum qd_status status = warm_up(bench, test);
    if (status != QD_OK) {
        return status;
    }
    struct qd_stats stats;
    uint64_t first_sum = 0;
    qd_session_reset_stats(bench->engine.session);
    for (uint32_t i = 0; i < test->n_samples; i++) {
        uint64_t first_ns = 0;
        status = run_once(bench, test, &test->samples_ns[i], &first_ns);
        if (status != QD_OK) {
            return status;
        }
        first_sum += first_ns;
    }
    qd_session_get_stats(bench->engine.session, &stats);
    summarize(test);
    test->ttft_ns = first_sum / test->n_samples;
    test->exchanges = stats.exchanges / test->n_samples;
    test->exchanged_bytes = stats.exchanged_bytes / test->n_samples;
    for (uint32_t d = 0; d < bench->setup.info.n_devices && stats.step_ns != 0; d++) {
        test->busy[d] = (double)stats.device_busy_ns[d] / (double)stats.step_ns;
    }
    memcpy(test->peak_device_bytes, stats.device_peak_bytes, sizeof test->peak_device_bytes);
    test->peak_host_bytes = stats.host_peak_bytes;
    return bench->options->profile ? profile(bench, test) : QD_OK;
}

/* "llama 7B Q4_K": shape and the format that most of the file is in; "llama-7b:f16 DUMMY". */
static bool name_model(struct bench *bench)
{
    struct bench_setup *setup = &bench->setup;
    struct cli_formats formats;
    if (setup->info.dummy) {
        snprintf(setup->model, sizeof setup->model, "%.100s DUMMY", bench->options->dummy);
        return true;
    }
    bool ok = cli_formats_init(&formats, bench->engine.model);
    snprintf(setup->model, sizeof setup->model, "%s %s", setup->info.shape,
             ok && formats.count != 0 ? formats.list[0].name : "");
    cli_formats_finish(&formats);
    return ok;
}

static bool describe(struct bench *bench)
{
    struct bench_setup *setup = &bench->setup;
    struct qd_model_info *info = &setup->info;
    setup->options = bench->options;
    qd_model_get_info(bench->engine.model, info);
    if (!name_model(bench)) {
        return false;
    }
    size_t at_devices = 0, at_split = 0, at_names = 0, at_shares = 0;
    for (uint32_t d = 0; d < info->n_devices; d++) {
        const char *slash = d == 0 ? "" : "/";
        qd_device_get(bench->engine.context, info->device_index[d], &setup->device_info[d]);
        at_devices +=
            (size_t)snprintf(setup->devices + at_devices, sizeof setup->devices - at_devices,
                             "%s%u", slash, info->device_index[d]);
        at_split += (size_t)snprintf(setup->split + at_split, sizeof setup->split - at_split,
                                     "%s%u", slash, info->layers[d]);
        at_names += (size_t)snprintf(setup->gpu_info + at_names, sizeof setup->gpu_info - at_names,
                                     "%s%.120s", d == 0 ? "" : ", ", setup->device_info[d].name);
    }
    for (uint32_t d = 0; d < bench->options->n_shares; d++) {
        at_shares += (size_t)snprintf(setup->shares + at_shares, sizeof setup->shares - at_shares,
                                      "%s%.2f", d == 0 ? "" : "/", bench->options->shares[d]);
    }
    return true;
}

static int check_usage(const struct cli_options *options)
{
    if ((options->model == NULL) == (options->dummy == NULL)) {
        cli_error("bench: give either -m FILE or --dummy SHAPE (quadriga bench --help)");
        return CLI_USAGE;
    }
    if (options->n_prompt == 0 && options->n_predict == 0) {
        cli_error("bench: -p 0 and -n 0: there is nothing to measure");
        return CLI_USAGE;
    }
    if (options->profile && options->output == CLI_CSV) {
        cli_error("bench: --profile: -o csv has no place for it, md and json have");
        return CLI_USAGE;
    }
    int64_t longest =
        options->n_prompt > options->n_predict ? options->n_prompt : options->n_predict;
    if (options->n_ctx != 0 && options->n_ctx < options->n_depth + longest) {
        cli_error("bench: -c %lld: the tests need %lld", (long long)options->n_ctx,
                  (long long)(options->n_depth + longest));
        return CLI_USAGE;
    }
    return CLI_DONE;
}

/* Room for the prompt of a test and for that which fills the context before it. */
static bool prepare(struct bench *bench, struct bench_test *tests, size_t n)
{
    const struct cli_options *options = bench->options;
    int64_t most = options->n_prompt > options->n_depth ? options->n_prompt : options->n_depth;
    bench->tokens = cli_alloc((size_t)most, sizeof *bench->tokens);
    for (size_t i = 0; i < n; i++) {
        tests[i].n_samples = (uint32_t)options->n_repeats;
        tests[i].n_depth = (uint32_t)options->n_depth;
        tests[i].n_streams = (uint32_t)options->n_streams;
        tests[i].samples_ns = cli_alloc(tests[i].n_samples, sizeof *tests[i].samples_ns);
        if (tests[i].samples_ns == NULL) {
            return false;
        }
    }
    return bench->tokens != NULL;
}

/* Tokens of the KV cache for all streams, each of whole blocks of 32; too many are refused. */
static uint32_t kv_tokens(int64_t n_streams, int64_t n_ctx)
{
    int64_t n = n_streams * ((n_ctx + 31) / 32 * 32);
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static int run_tests(struct bench *bench, struct bench_test *tests, size_t n)
{
    const struct cli_options *options = bench->options;
    int64_t longest =
        options->n_prompt > options->n_predict ? options->n_prompt : options->n_predict;
    int64_t n_ctx = options->n_ctx != 0 ? options->n_ctx : options->n_depth + longest;
    int code = cli_engine_open_devices(&bench->engine, options);
    bench->engine.n_seq = (uint32_t)options->n_streams;
    bench->engine.n_kv = kv_tokens(options->n_streams, n_ctx);
    if (code == CLI_DONE) {
        code = cli_engine_load(&bench->engine, options, (uint32_t)n_ctx);
    }
    if (code != CLI_DONE) {
        return code;
    }
    if (!describe(bench) ||
        !bench_streams_init(&bench->streams, bench->engine.session, &bench->setup.info, options)) {
        return CLI_FAILED;
    }
    for (size_t i = 0; i < n; i++) {
        enum qd_status status = measure(bench, &tests[i]);
        if (status != QD_OK) {
            return cli_engine_failure(&bench->engine, status);
        }
    }
    return bench_print(&bench->setup, tests, n);
}

int cli_bench(const struct cli_options *options)
{
    int code = check_usage(options);
    if (code != CLI_DONE) {
        return code;
    }
    struct bench bench = {.options = options, .random = 1};
    struct bench_test tests[2] = {{0}};
    size_t n = 0;
    if (options->n_prompt != 0) {
        tests[n++].n_prompt = (uint32_t)options->n_prompt;
    }
    if (options->n_predict != 0) {
        tests[n++].n_gen = (uint32_t)options->n_predict;
    }
    code = prepare(&bench, tests, n) ? run_tests(&bench, tests, n) : CLI_FAILED;
    code = cli_engine_close(&bench.engine, code);
    bench_streams_finish(&bench.streams);
    cli_free(bench.tokens);
    for (size_t i = 0; i < 2; i++) {
        cli_free(tests[i].samples_ns);
        cli_free(tests[i].profile);
    }
    return code;
}
