/* Capabilities + shape -> kernel. Each op has a table of variants, best first; a row names the
 * capabilities it needs. Never a vendor. What is known of one device beyond its capabilities (a
 * variant that is switched off, tile parameters that were measured best) comes in as ops_prefs. */
#ifndef QUADRIGA_OPS_VARIANT_H
#define QUADRIGA_OPS_VARIANT_H

#include "device/device.h"
#include "plan/op.h"

#define OPS_NAME         24 /* bytes of a name of an op, variant or tile parameter, with the end */
#define OPS_MAX_TUNABLES 4
#define OPS_MAX_VARIANTS 10 /* rows of an op's table */
#define OPS_MAX_VALUES   6
#define OPS_WHY          128 /* bytes of the reason why a variant is off, with the end */

/* A tile parameter that may be chosen by measurement, and its candidates. */
struct ops_tunable {
    const char *name;
    uint32_t values[OPS_MAX_VALUES]; /* ends with a 0 where there are fewer */
};

struct ops_variant {
    const char *name;                    /* "lanes", "subgroup", "plain"; unique in its op */
    uint32_t needs;                      /* enum dev_cap bits */
    uint32_t min_subgroup, max_subgroup; /* 0: any */
    /* Tokens (rows) of the node for which this is the best row; 0: any. A kernel that is asked for
     * by name runs outside them too. */
    uint32_t min_tokens, max_tokens;
    /* Element type of the activations that it reads: PLAN_F32, PLAN_F16 for the staged form
     * (op_stage), PLAN_S8 for the quantized one (op_stage_q8). Nodes with others do not fit. */
    enum plan_elem x;
    /* One shader, or one per weight format ([QUANT_COUNT], NULL entries: not made). */
    const struct dev_shader *shader;
    const struct dev_shader *const *by_quant;
    struct ops_tunable tunables[OPS_MAX_TUNABLES]; /* ends with a NULL name */
    bool rival;     /* may be faster than a row above it: --tune finds out (ops_tuned.first) */
    bool halves;    /* operands are rounded to float16, whatever the tensors hold */
    bool gpu;       /* on CPU devices others are better; by name it runs there too */
    bool quantizes; /* and activations to 8 bits: not where they shall stay exact */
};

/* ---- preferences: what a device is known for ---- */

#define OPS_FUSE "fuse" /* in the place of an op's name: fusions */

struct ops_off {
    char op[OPS_NAME], variant[OPS_NAME]; /* op "": every op */
    char why[OPS_WHY]; /* the first fault of its self-test; "": somebody asked for it */
};

/* Measured best values of a variant's tunables, in their order. */
struct ops_tuned {
    char op[OPS_NAME], variant[OPS_NAME];
    uint32_t quant; /* enum quant_id; QUANT_COUNT: the op has no formats */
    uint32_t class; /* ops_token_class */
    uint32_t values[OPS_MAX_TUNABLES];
    bool first; /* the variant was faster than the rows above it: it goes before them */
};

/* The last self-test of a device; the variants that failed it are off. */
struct ops_selftest {
    char date[24]; /* "2026-11-24T12:24:04Z"; "": there was none */
    bool quick;
    uint64_t seed;
    uint32_t passed, failed; /* cases */
};

/* Filled before plans are recorded and only read then. All zero: nothing is preferred. */
struct ops_prefs {
    const char *forced; /* the only variant allowed, in all ops that are recorded; NULL: any */
    bool act_q8;        /* matmuls may be given quantized activations: less exact */
    bool act_exact;     /* no kernel may quantize them itself, as it may for few tokens */
    struct ops_off *off;
    size_t n_off, cap_off;
    struct ops_tuned *tuned;
    size_t n_tuned, cap_tuned;
    struct ops_selftest selftest;
};

void ops_prefs_finish(struct ops_prefs *prefs);
/* op NULL: every op. False only when memory is out. */
bool ops_prefs_add_off(struct ops_prefs *prefs, const char *op, const char *variant);
/* The same for a variant that failed its self-test; a reason that is known already stays. */
bool ops_prefs_add_failed(struct ops_prefs *prefs, const char *op, const char *variant,
                          const char *why);
/* Replaces what was known for the same op, variant, format and class. */
bool ops_prefs_add_tuned(struct ops_prefs *prefs, const struct ops_tuned *tuned);
bool ops_prefs_is_off(const struct ops_prefs *prefs, const char *op, const char *variant);

/* The variant goes before all others for this format and class. */
bool ops_prefs_is_first(const struct ops_prefs *prefs, const char *op, const char *variant,
                        uint32_t quant, uint32_t class);

/* Value is one of the tunable's candidates. */
bool ops_tunable_has(const struct ops_tunable *tunable, uint32_t value);

/* What a device is, and what it is known for (NULL: nothing). */
struct ops_target {
    const struct dev_caps *caps;
    const struct ops_prefs *prefs;
};

/* What to do without: names with commas between them. A capability ("fp16", dev_cap_name) is added
 * to *caps_off; a variant ("lanes") is off in all ops that have it, "matmul/lanes" in one op; a
 * name that is both is both. "fuse" are all fusions, "fuse/residual" is one (ops/fuse.h), kept as a
 * variant of OPS_FUSE. "split" is the splitting of products (ops/matmul_split.h). NULL: nothing.
 * False: `error` says why, in one line without names of options; what was added before stays. */
bool ops_disable_parse(const char *list, uint32_t *caps_off, struct ops_prefs *prefs, char *error,
                       size_t error_bytes);
/* Every name that may be in such a list, one at a time; false behind the last. */
bool ops_disable_name(uint32_t index, char *out, size_t out_bytes);

/* Classes of token counts that share tuned values: 1, 2 to 8, 9 to 64, 65 to 512, more; where
 * nothing was measured for the last, what was for the one before. */
#define OPS_TOKEN_CLASSES 5
uint32_t ops_token_class(uint64_t tokens);
/* "1", "2-8", "9-64", "65-512", "513-" */
const char *ops_token_class_name(uint32_t class);

/* ---- choice ---- */

/* What a node asks of a variant beyond capabilities. */
struct ops_need {
    const struct op *op;
    uint64_t tokens;
    uint32_t quant;   /* enum quant_id; QUANT_COUNT: the op has no formats */
    enum plan_elem x; /* that of the node's activations: ops_node_x */
    bool any_x;       /* they may still be brought into another form */
    bool fused;       /* made by fuse, where a kernel can run it: some devices have none */
    /* By row of the op's table: why it cannot run this shape ("columns are no multiple of 4"). */
    const char *unfit[OPS_MAX_VARIANTS];
};

/* First row of the op's table that capabilities, preferences and the need allow; where only rows
 * for other numbers of tokens are left, the first of those. NULL when there is none; `why` says
 * why. */
const struct ops_variant *ops_variant_choose(const struct ops_need *need,
                                             const struct dev_caps *caps,
                                             const struct ops_prefs *prefs, const char **why);
/* The same for a node that is being recorded. The choice is noted in site->used. Without one the
 * reason is logged or, for a forced variant or staged activations where somebody asks, only noted
 * there. */
const struct ops_variant *ops_variant_pick(const struct op_site *site, const struct ops_need *need);
/* PLAN_F16 for a node that reads the staged form, PLAN_S8 for the quantized one, else PLAN_F32. */
enum plan_elem ops_node_x(const struct plan *plan, const struct plan_node *node);
/* Why a variant that reads activations of this type does not fit a node with others. */
const char *ops_other_x(enum plan_elem x);
uint32_t ops_variant_index(const struct op *op, const struct ops_variant *variant);
/* Capabilities allow it; else `why` says what is missing: "fp16, coopmat", "subgroup size 32, not
 * 4 to 16". */
bool ops_variant_supported(const struct ops_variant *variant, const struct dev_caps *caps,
                           char *why, size_t why_bytes);
/* The tile parameters for a node: `values`, in the order of the tunables, keep their defaults where
 * nothing was measured. Returns whether they were replaced. */
bool ops_tuned_get(const struct ops_prefs *prefs, const struct ops_need *need,
                   const struct ops_variant *variant, uint32_t *values);

/* Row interleave R of weights on a device: the subgroup size where the lanes kernels of matmul run
 * (a CPU device with shuffles, texel buffers and 4, 8 or 16 lanes, and not switched off), else 1.
 */
uint32_t ops_weight_lanes(const struct dev_caps *caps, const struct ops_prefs *prefs);

/* The bind of a one-segment tensor. */
struct dev_bind ops_bind(const struct op_site *site, uint32_t tensor, enum dev_access access);
/* The same for rows [row0, row0 + rows) of it. */
struct dev_bind ops_bind_rows(const struct op_site *site, uint32_t tensor, enum dev_access access,
                              uint64_t row0, uint64_t rows);

/* Of the words of every shader in this build: what the cache of pipelines is keyed by. */
uint64_t ops_shader_hash(void);

/* Table of all ops, by name; generated from the files in src/ops. NULL when not there. */
const struct op *ops_find(const char *name);
const struct op *const *ops_list(uint32_t *count);
const struct ops_variant *ops_find_variant(const struct op *op, const char *name);

#endif
