/* Microbenchmarks: how fast a kernel, a dispatch, a submission or an exchange is on one device.
 * Every measurement ends as a bench_row; who prints rows knows nothing of how they were made.
 *
 * Times are medians and minima of many samples after a warm-up: of GPU timestamps where the device
 * has them, else of the host's clock around a submission that holds the work many times.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_LAB_BENCH_H
#define QUADRIGA_LAB_BENCH_H

#include "lab/lab.h"

#define BENCH_NONE UINT32_MAX

struct bench_row {
    char group[16];    /* "gemm", "gemv", "experts", "attention", "norm", "rope", "copy", "ceiling",
                          "dispatch", "submit", "exchange" */
    char name[40];     /* what ran: an op, a ceiling's kernel, a way to submit */
    char variant[24];  /* kernel variant of an op; path of an exchange: "imported", "staging" ... */
    char type[16];     /* weight format or element type; "" */
    char shape[64];    /* "4096x4096x512"; "" */
    uint32_t device;   /* of dev_instance_info */
    uint32_t peer;     /* second device of an exchange or a hand-over; BENCH_NONE */
    uint32_t samples;  /* 0: nothing was run */
    double us, us_min; /* median, minimum: of one run */
    double flop, bytes; /* of one run; 0: does not apply */
    double gflops, gbs; /* by the median; 0: does not apply */
    double share;       /* of the device's own ceiling that bounds it, 0..1; below 0: unknown */
    char limit[24];     /* name of that ceiling; "" */
    bool passed;        /* the result was checked and is right */
    bool skipped;       /* the device has no such thing: nothing was run, and no failure */
    char why[160];      /* when skipped or not passed: the reason */
    uint64_t rotated;   /* bytes of buffers that the runs went through in turn; 0: does not apply */
    bool gpu_clock;     /* GPU timestamps; else the host's clock */
};

/* Called for each row as soon as it is measured; false ends the run. */
typedef bool bench_row_fn(void *user, const struct bench_row *row);
/* One line about the run: what was used, what was left out. */
typedef void bench_note_fn(void *user, const char *line);

/* ---- shapes, ceilings: pure functions (bench_shape.c) ---- */

/* "MxNxK": rows M, tokens N, columns K. Experts: M of each of E ("M/ExNxK"; 8). Attention: heads M
 * (of KV heads G: "M/GxNxK"), tokens N, KV entries K. Norm: 1 x tokens x columns. RoPE: heads x
 * tokens x head size. Copy: M * N * K floats.
 */
struct bench_shape {
    uint32_t m, n, k;
    uint32_t kv; /* 0: as many as m */
};
#define BENCH_MAX_DIM (1u << 24)
/* Strict: decimal numbers from 1 to BENCH_MAX_DIM, nothing else. */
bool bench_shape_parse(const char *text, struct bench_shape *out);
void bench_shape_text(const struct bench_shape *shape, char *out, size_t out_bytes);

/* Ceilings that apply to a kernel; 0: not known. */
struct bench_limits {
    double flops, bandwidth; /* operations and bytes a second */
    const char *flops_name, *bandwidth_name;
};
/* The share of its ceiling that a run of `us` reaches, and that ceiling's name: the longer of flop
 * / flops and bytes / bandwidth is the least time it can take. Below 0, and "", when neither is
 * known.
 */
double bench_roofline(double flop, double bytes, double us, const struct bench_limits *limits,
                      char *limit, size_t limit_bytes);
/* Of n > 0 values, which are sorted in place; of an even number the mean of the middle two. */
double bench_median(double *values, uint32_t n);

/* ---- running ---- */

enum bench_group {
    BENCH_CEILING = 1 << 0,
    BENCH_GEMV = 1 << 1, /* matmul of at most BENCH_FEW_TOKENS */
    BENCH_GEMM = 1 << 2,
    BENCH_ATTENTION = 1 << 3,
    BENCH_NORM = 1 << 4,
    BENCH_ROPE = 1 << 5,
    BENCH_COPY = 1 << 6,
    BENCH_DISPATCH = 1 << 7, /* bench_device.h, and the next two */
    BENCH_SUBMIT = 1 << 8,
    BENCH_EXCHANGE = 1 << 9,
    BENCH_EXPERTS = 1 << 10, /* matmul_experts of any number of tokens */
    BENCH_ALL = (1 << 11) - 1
};
#define BENCH_FEW_TOKENS 8

struct bench_params {
    log_fn *log; /* warnings and errors below the rows; may be NULL */
    void *log_user;
    uint32_t groups;                 /* enum bench_group bits */
    const char *type;                /* a weight format, any case; NULL: all */
    const struct bench_shape *shape; /* NULL: the default ones */
    const char *variant;             /* NULL: as the engine chooses; "all": every supported one */
    uint32_t devices[DEV_MAX_OPEN], n_devices; /* of dev_instance_info */
    uint32_t samples; /* of a row; 0: as many as fit in half a second, 3 to 10 (or 1 of seconds) */
    bool warm;        /* one set of buffers, in the caches */
    bool quick;       /* one model's shapes, three numbers of tokens, two formats */
    const char *disable; /* capabilities and kernels to do without, ops_disable_parse; NULL: none */
    double least_gain;   /* bench_tune: by how much the best must beat the default; 0: 0.03 */
    double seconds;      /* no row begins after so many; 0: no limit */
    uint64_t seed;
    bool no_cache; /* neither the profile of the device nor its cache of pipelines is used */
    bench_row_fn *row;
    bench_note_fn *note; /* may be NULL */
    void *user;
};

struct bench_totals {
    uint32_t rows, failed, skipped, left_out; /* left_out: default shapes without a row */
    uint32_t messages;                        /* of the validation layer */
    bool stopped;                             /* by the row callback */
};

/* Name of a weight format, or else of a type of KV caches, as --type takes it, lower case; NULL
 * beyond the last. */
const char *bench_type_name(uint32_t index);
bool bench_type_known(const char *name);
/* Whether some op of these groups has a variant of that name ("all" is one). */
bool bench_variant_known(uint32_t groups, const char *name);

/* One set of tile parameters that was looked for. */
struct bench_tuned {
    uint32_t device;
    char op[OPS_NAME], variant[OPS_NAME], type[16], tokens[8]; /* "q4_k" or "", "2-8" */
    char shape[64];
    uint32_t tried, failed; /* candidates; those that gave wrong results or none */
    double default_us, best_us;
    char values[96]; /* of the best: "rows=4 local=128 tokens=2"; "" */
    bool kept;       /* better than the default by more than noise, and in the profile */
    char why[160];   /* of the first that failed; or why nothing was tried */
};
typedef bool bench_tuned_fn(void *user, const struct bench_tuned *tuned);

/* For each kernel that the engine would choose, format and class of token counts: tries every
 * combination of its tile parameters, checks each result, and keeps the best in the device's
 * profile. Of params, `groups` says which kernels; row is not called. False as bench_measure, or
 * when a profile could not be written. */
bool bench_tune(const struct bench_params *params, bench_tuned_fn *tuned,
                struct bench_totals *totals, char *why, size_t why_bytes);

/* Opens the devices and measures group by group. False when nothing could be run: `why` says it. */
bool bench_measure(const struct bench_params *params, struct bench_totals *totals, char *why,
                   size_t why_bytes);

#endif
