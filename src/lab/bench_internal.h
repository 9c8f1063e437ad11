/* What the files of the microbenchmarks share: an open device with its memory, a case (a small plan
 * with its buffers, many times over) and the timing of anything that can be recorded. */
#ifndef QUADRIGA_LAB_BENCH_INTERNAL_H
#define QUADRIGA_LAB_BENCH_INTERNAL_H

#include "lab/bench.h"

#include "base/mem.h"

enum {
    BENCH_CMDS = 16,         /* recordings that alternate */
    BENCH_MAX_RUNS = 256,    /* of one recording */
    BENCH_MAX_COPIES = 4096, /* of a case's buffers */
    BENCH_MAX_SAMPLES = 10000,
    BENCH_MAX_TENSORS = 12,
    BENCH_ROWS = 8, /* of a result that are checked, */
    BENCH_COLS = 64 /* and of each so many columns */
};

/* Operations and bytes a second; 0: not measured. */
struct bench_ceilings {
    double read, copy, fma_f32, fma_f16, int_dot, matrix, matrix_s8;
};

struct bench_device {
    const struct bench_params *params;
    struct bench_totals *totals;
    struct dev *dev;
    struct log *log; /* its last line is the reason of a failure */
    uint32_t index;
    struct dev_buf *memory; /* grows, see bench_memory */
    struct dev_cmd *cmds[BENCH_CMDS];
    uint64_t rotate;              /* bytes that runs go through in turn */
    uint64_t cache;               /* last-level cache; 0: not known */
    uint64_t end_ns;              /* no row begins later; 0: no limit */
    double most_flop, most_bytes; /* of one run of a default shape; 0: no limit */
    bool cpu;                     /* a CPU device, and not to be taken for another */
    bool gpu_clock;
    struct bench_ceilings ceilings;
    struct ops_prefs prefs; /* of the device's profile */
    char folder[1024];      /* of the caches; "": none */
    double *samples;        /* [BENCH_MAX_SAMPLES] */
    uint32_t skipped[3];    /* default shapes left out: too large, no time left, other reasons */
};

/* Opens device `index`; the params live longer. False: logged; close in any case. */
bool bench_device_open(struct bench_device *bd, struct dev_instance *inst, uint32_t index,
                       const struct bench_params *params, struct bench_totals *totals,
                       struct log *log);
void bench_device_close(struct bench_device *bd);
/* At least `bytes` of device memory, contents undefined; NULL: logged. */
struct dev_buf *bench_memory(struct bench_device *bd, uint64_t bytes);
/* What that may grow to. */
uint64_t bench_memory_most(const struct bench_device *bd);
/* Gives a row to the caller and counts it; false: stop. */
bool bench_emit(struct bench_device *bd, const struct bench_row *row);
void bench_note(struct bench_device *bd, const char *fmt, ...) LOG_PRINTF(2, 3);
/* Time is left for another row. */
bool bench_goes_on(const struct bench_device *bd);
/* A row of this device: group, name. */
struct bench_row bench_row_init(const struct bench_device *bd, const char *group, const char *name);
/* Nothing was run: the last error line, or `why`, is the reason. */
void bench_row_unrun(struct bench_device *bd, struct bench_row *row, const char *why, bool error);

/* ---- bench_time.c ---- */

/* Records runs first .. first + n of something; runs do not depend on each other. */
struct bench_work {
    bool (*record)(void *user, struct dev_cmd *cmd, uint32_t first, uint32_t n);
    void *user;
    uint32_t copies; /* runs that use different buffers: no recording holds more */
};
struct bench_timing {
    double us, us_min;            /* of one run */
    uint32_t samples, runs, used; /* of a recording; copies that were gone through */
    bool gpu_clock;
};
/* Warms up, then samples. `samples` as in bench_params. False: logged. */
bool bench_time(struct bench_device *bd, const struct bench_work *work, uint32_t samples,
                struct bench_timing *out);
/* Records something once, submits it and waits. */
bool bench_once(struct bench_device *bd, bool (*record)(void *user, struct dev_cmd *cmd),
                void *user);

/* ---- bench_case.c ---- */

struct bench_case;

/* Elements of the result that are checked, both lists ascending. */
struct bench_picks {
    uint32_t n_rows, n_cols;
    uint64_t rows[BENCH_ROWS], cols[BENCH_COLS];
};

struct bench_kind {
    uint32_t group;
    const char *group_name, *op;
    /* Builds the plan, sets what it knows of c. False: c->why or the log says why. */
    bool (*make)(struct bench_case *c);
    /* Values and bounds, [n_rows][n_cols]. False: out of memory. */
    bool (*expect)(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound);
    uint32_t most_rows, tail_cols, random_cols; /* that are checked */
};
extern const struct bench_kind bench_kind_matmul, bench_kind_experts, bench_kind_attention,
    bench_kind_norm, bench_kind_rope;

struct bench_tensor {
    bool made;           /* result of a node; else an input */
    uint64_t at, bytes;  /* of copy 0, in its region; of one copy */
    uint64_t seed;       /* of an input */
    uint64_t rows, cols; /* of an input as it is filled: a cache has kv heads * slots rows */
    enum quant_id quant; /* and the format of its elements */
    uint32_t n_segments;
    struct op_segment *segments; /* offsets count from the start of the copy's region */
};

struct bench_case {
    /* given */
    struct bench_device *bd;
    const struct bench_kind *kind;
    struct bench_shape shape;
    enum quant_id quant; /* of weights */
    const struct ops_prefs *prefs;
    bool serial; /* each run waits for the one before, as in a model; else they may overlap */
    /* by make() */
    struct plan plan;
    uint32_t head_dim;                  /* attention */
    enum plan_elem cache;               /* attention: type of the caches */
    uint32_t *step_words;               /* of the step buffer, in the arena */
    uint32_t *words[BENCH_MAX_TENSORS]; /* of other inputs of that type, there too */
    double flop, bytes;                 /* of a run; 0: what the ops say */
    uint32_t parts;                     /* matmul: of a split product; 0: it is whole */
    const char *why;
    /* by bench_case_create */
    struct arena arena;
    struct bench_tensor tensors[BENCH_MAX_TENSORS];
    uint64_t in_bytes, out_bytes; /* of a copy */
    uint64_t in_stride;           /* 0: all copies share the inputs */
    uint64_t out_at;              /* where results begin */
    uint32_t copies;
    struct dev_buf *buf;
    struct op_used used;
};

/* Ends a call: validation messages into the totals; instance (may be NULL) and log are finished. */
void bench_end(struct dev_instance *inst, struct log *log, struct bench_totals *totals);

/* Builds, lays out, fills. False: c->why or the log says why; bench_case_finish in any case. */
bool bench_case_create(struct bench_case *c);
void bench_case_finish(struct bench_case *c);
/* Marks the results of all copies as not written. */
bool bench_case_poison(struct bench_case *c);
/* For bench_work: user is the case. */
bool bench_case_record(void *user, struct dev_cmd *cmd, uint32_t first, uint32_t n);
/* Judges the results of copy `copy`; `why` says what is wrong with them. */
bool bench_case_check(struct bench_case *c, uint32_t copy, char *why, size_t why_bytes);
/* Row `row` of an input tensor as the device sees it. */
bool bench_case_row(struct bench_case *c, uint32_t tensor, uint64_t row, float *out);
/* Of a node of matmul or matmul_experts: where the kernel that will run reads staged activations, x
 * becomes such, with scales as source number `scale_source`. */
void bench_stage_x(struct bench_case *c, struct plan_node *node, uint32_t scale_source);
/* Row of x as numbers and, where it is staged, its scales: one, or one of each OP_Q8_BLOCK columns.
 * False: out of memory. */
bool bench_read_x(struct bench_case *c, uint32_t x, uint32_t scale_id, uint64_t row, float *out,
                  float *scales);
/* What a row of weights and such a row of tensor x_id make. */
struct lab_product bench_product(const struct bench_case *c, uint32_t x_id, const float *w,
                                 const float *x, const float *scales);

/* ---- bench_cache.c: quantized caches ---- */

bool bench_cache_upload(struct bench_case *c, uint32_t tensor);
void bench_cache_row(const struct bench_case *c, uint32_t tensor, uint64_t row, float *out);

/* Measures and checks one case; the row has group, name, type and shape. */
void bench_case_measure(struct bench_case *c, struct bench_row *row, uint32_t samples);

/* ---- the groups ---- */

/* Kernels made for the ceilings; rows of group "ceiling" where that group was asked for. */
bool bench_ceilings_measure(struct bench_device *bd);
bool bench_kernels(struct bench_device *bd, uint32_t groups);
bool bench_copies(struct bench_device *bd);
/* Type of the caches that `--type` asks for; f16 where it names none. */
enum plan_elem bench_cache_type(const struct bench_device *bd);
/* Formats of `--type` that this kind of kernel has. */
bool bench_has_type(const struct bench_device *bd, const struct bench_kind *kind, uint32_t quant);
void bench_limits_of(const struct bench_device *bd, const char *op, enum quant_id quant,
                     struct bench_limits *out);

#endif
