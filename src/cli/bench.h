/* One measured test, and how it is written. Names are those of llama-bench where it has them. */
#ifndef QUADRIGA_CLI_BENCH_H
#define QUADRIGA_CLI_BENCH_H

#include "cli/options.h"

struct bench_test {
    uint32_t n_prompt, n_gen, n_depth; /* of each stream; one of the first two is 0 */
    uint32_t n_streams;
    char time[32]; /* UTC, when it began */
    uint32_t n_samples;
    uint64_t *samples_ns; /* one per repetition */
    double avg_ns, stddev_ns, avg_ts, stddev_ts;
    uint64_t ttft_ns; /* mean time to the first token: of a prompt, or of the first step */
    uint64_t exchanges, exchanged_bytes; /* of one repetition */
    double busy[QD_MAX_DEVICES];         /* of the time of all repetitions */
    uint64_t peak_device_bytes[QD_MAX_DEVICES], peak_host_bytes;
    struct qd_profile_row *profile; /* of one more run, with timestamps; NULL: none */
    size_t n_profile;
    uint64_t profile_ns; /* wall time of that run */
};

/* What all tests of a call have in common. */
struct bench_setup {
    const struct cli_options *options;
    struct qd_model_info info;
    char model[128]; /* shape, DUMMY in it for a dummy */
    char devices[64], split[64], shares[64];
    struct qd_device_info device_info[QD_MAX_DEVICES]; /* of those in use */
    char gpu_info[QD_MAX_DEVICES * 128];               /* device names */
};

/* bench_streams.c: N streams at once, of random tokens. */
struct bench_streams {
    qd_session *session;
    struct qd_model_info info;
    uint32_t n;      /* streams */
    uint32_t most;   /* tokens of a step */
    uint64_t random; /* state of the token generator */
    uint32_t *token, *seq;
    bool *want;
};
/* False: out of memory, said. */
bool bench_streams_init(struct bench_streams *s, qd_session *session,
                        const struct qd_model_info *info, const struct cli_options *options);
void bench_streams_finish(struct bench_streams *s);
/* Each stream goes back to `length` tokens. */
enum qd_status bench_streams_truncate(struct bench_streams *s, uint32_t length);
/* A prompt of n tokens for each, with the logits of its last one. *first_ns: until the first
 * stream's. */
enum qd_status bench_streams_prompt(struct bench_streams *s, uint32_t n, uint64_t *first_ns);
/* n tokens for each, one by one, each with its logits. */
enum qd_status bench_streams_generate(struct bench_streams *s, uint32_t n, uint64_t *first_ns);

/* splitmix64, below `limit`. */
uint32_t bench_token(uint64_t *state, uint32_t limit);

/* bench_profile.c: the tables of a test, and its entry in JSON: rows, and what is left of the wall
 * time of each device. */
struct json_t;
void bench_profile_print(const struct bench_setup *setup, const struct bench_test *test);
struct json_t *bench_profile_json(const struct bench_setup *setup, const struct bench_test *test);
/* "pp512", "tg32 @ d100", "8 x pp512" */
void bench_test_name(const struct bench_test *test, char *out, size_t bytes);

/* To standard output, in the format asked for. Returns a cli_exit. */
int bench_print(const struct bench_setup *setup, const struct bench_test *tests, size_t n);

#endif
