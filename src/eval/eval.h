/* Evaluations: HellaSwag and perplexity, as far as they need no device. Readers of task files, the
 * texts and tokens of both styles, packing into steps, scores and statistics. What runs the steps
 * is the caller (src/cli/eval_run.c).
 *
 * Definitions: docs/evaluation.md. Formulas are those of lm-evaluation-harness ("lm-eval") and of
 * llama.cpp's llama-perplexity, whose figures are to be met.
 *
 * Errors go to the log that is given, one line each. Thread rule: one object, one thread at a
 * time. */
#ifndef QUADRIGA_EVAL_H
#define QUADRIGA_EVAL_H

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

enum { EVAL_ENDINGS = 4 };

/* ---- tasks as they are in the file (set.c, set_lines.c, set_json.c) ---- */

struct eval_task {
    uint64_t line; /* of the file, from 1, where the task begins */
    uint32_t label;
    const char
        *context; /* six lines: "label: ctx"; JSON: ctx, or "" where there is no such field */
    const char *activity, *ctx_a, *ctx_b; /* JSON only, else NULL */
    const char *ending[EVAL_ENDINGS];
};
struct eval_set {
    struct arena arena; /* owns the texts */
    struct eval_task *tasks;
    size_t n, cap;
};
/* Reads six lines a task, or JSON with one object a line, either one plain or as bzip2; which one
 * is seen by the first bytes. At most 1 GiB, unpacked. False: logged with file, line, field and
 * value. The set needs eval_set_finish in any case. */
bool eval_set_read(struct eval_set *set, const char *path, struct log *log);
/* The same from memory; `name` is for messages. */
bool eval_set_parse(struct eval_set *set, const char *name, const char *data, size_t bytes,
                    struct log *log);
void eval_set_finish(struct eval_set *set);

/* What tells sets, and model files, from each other (hash.c): of all texts and labels; of the
 * length of a file and up to 1 MiB at each of its ends. False: logged. */
uint64_t eval_hash_set(const struct eval_set *set);
bool eval_hash_file(const char *path, uint64_t *hash, struct log *log);

/* ---- which tasks (pick.c) ---- */

/* llama.cpp's choice of n out of `total` (n <= total), in its order: std::mt19937 with seed 1 and
 * std::uniform_int_distribution as libstdc++ has it (Lemire's method), the chosen ones taken out.
 * `out` has room for n. False: out of memory. */
bool eval_pick_llama(uint32_t total, uint32_t n, uint32_t *out);

/* ---- texts (text.c, style.c) ---- */

enum eval_style { EVAL_LM_EVAL, EVAL_LLAMA };
const char *eval_style_name(enum eval_style style); /* "lm-eval", "llama.cpp" */

struct eval_texts {
    char *context; /* without spaces at its end (lm-eval); they are at the begin of `between` */
    char *between; /* what stands between context and ending: a space */
    char *ending[EVAL_ENDINGS];
    uint32_t n_chars[EVAL_ENDINGS], n_bytes[EVAL_ENDINGS]; /* code points and bytes of an ending */
};
/* False: out of memory. Needs eval_texts_finish in any case. */
bool eval_texts_make(struct eval_texts *texts, const struct eval_task *task, enum eval_style style);
void eval_texts_finish(struct eval_texts *texts);

/* Bytes before the first one that is not part of valid UTF-8; `bytes` where all is. */
size_t eval_utf8_valid(const char *text, size_t bytes);

/* ---- tokens (item.c) ---- */

/* What is scored: 1 to 4 sequences with a common beginning. Token i of a sequence is scored from
 * the row of token i - 1; the last token has no row. */
struct eval_item {
    uint32_t index, label; /* of the task, in the file; of a chunk, its number and 0 */
    uint32_t n_ways, *tokens[EVAL_ENDINGS], n[EVAL_ENDINGS];
    uint32_t shared; /* rows that are computed once for all; the tokens up to it are common */
    uint32_t from;   /* the first scored token, above 0, below every n */
    uint32_t n_chars[EVAL_ENDINGS], n_bytes[EVAL_ENDINGS];
};
/* Token ids of a text: with `special`, BOS and EOS as the file asks, and with `parse`, special
 * tokens in the text. As qd_tokenize, whose `model` is `user`. False: said. */
typedef bool (*eval_tokenize_fn)(void *user, const char *text, size_t bytes, bool special,
                                 bool parse, uint32_t **ids, size_t *count);
struct eval_tokenizer {
    eval_tokenize_fn tokenize; /* *ids: from mem_alloc */
    void *user;
    uint32_t bos; /* UINT32_MAX: none */
};
/* Fills one item of the task at `index` of the set. False: logged. Needs eval_item_finish in any
 * case. */
bool eval_item_make(struct eval_item *item, const struct eval_set *set, uint32_t index,
                    enum eval_style style, const struct eval_tokenizer *tokenizer, struct log *log);
void eval_item_finish(struct eval_item *item);
/* Rows of each pair by itself, without sharing; and with it, as the packer plans them. */
uint64_t eval_item_pair_rows(const struct eval_item *item);
uint64_t eval_item_rows(const struct eval_item *item);
/* Scored rows: those of the shared part count once. */
uint64_t eval_item_wanted(const struct eval_item *item);

/* ---- steps (pack.c) ---- */

struct eval_limits {
    uint32_t n_batch; /* tokens of a step */
    uint32_t n_out;   /* wanted ones */
    uint32_t n_seq;   /* at least 2 */
    uint32_t n_kv;    /* entries of the KV cache; used in blocks */
    uint32_t block;   /* entries of a block of the KV cache */
};
/* Whose score a wanted token is. */
struct eval_row {
    uint32_t item; /* position among the items */
    uint32_t way;  /* EVAL_ENDINGS: of all */
    uint32_t at;   /* the token that is scored */
};
struct eval_fork {
    uint32_t from, to, length;
};
/* What a step consists of. First the sequences in `drop` are emptied, then forks are made, then the
 * tokens run, each at the end of its sequence. */
struct eval_step {
    uint32_t n_tokens, n_out;
    uint32_t *token, *pos, *seq, *target; /* [n_batch] */
    bool *want;
    struct eval_row *row; /* [n_out], of the wanted tokens in order */
    uint32_t n_drop, *drop, n_fork;
    struct eval_fork *fork;
};
struct eval_pack;
/* Cuts the items, in their order, into steps of n_batch tokens (fewer only where one of the other
 * limits is met, or at the end). The shared part of an item is computed in one sequence; the ways
 * fork from it in a later step, so that a step asks for nothing but what is in the caches before
 * it. Rows of one way come in order, and rows of items without a shared part all do. The
 * items must live as long as the pack. NULL: logged (memory, or an item that can never fit). */
struct eval_pack *eval_pack_create(const struct eval_item *items, size_t n,
                                   const struct eval_limits *limits, struct log *log);
void eval_pack_destroy(struct eval_pack *pack);
/* The next step, owned by the pack and valid until the next call; NULL at the end. */
const struct eval_step *eval_pack_next(struct eval_pack *pack);
/* Sequences and entries of a KV cache with which the pack seldom has to make a step shorter. */
struct eval_need {
    uint64_t n_kv;
    uint32_t n_seq;
};
struct eval_need eval_pack_need(const struct eval_item *items, size_t n, uint32_t n_batch,
                                uint32_t block);

/* ---- scores (score.c) ---- */

enum eval_metric { EVAL_ACC, EVAL_ACC_NORM, EVAL_ACC_BYTES, EVAL_ACC_TOK, EVAL_METRICS };
const char *eval_metric_name(enum eval_metric metric); /* "acc", ... */

/* The four sums of a task and what they are divided by. */
struct eval_result {
    uint32_t index, label;
    double sum[EVAL_ENDINGS]; /* of log-probabilities, natural */
    uint32_t n_tokens[EVAL_ENDINGS], n_chars[EVAL_ENDINGS], n_bytes[EVAL_ENDINGS];
};
/* The ending with the largest sum over divisor; ties go to the first. */
uint32_t eval_choose(const struct eval_result *result, enum eval_metric metric);

/* Collects the scores of items as they come. */
struct eval_collect {
    const struct eval_item *items;
    size_t n;
    double (*sum)[EVAL_ENDINGS];
    uint64_t *left; /* rows that have not come */
    uint64_t n_scores;
};
bool eval_collect_init(struct eval_collect *collect, const struct eval_item *items, size_t n);
void eval_collect_finish(struct eval_collect *collect);
/* True when it was the last one of its item. */
bool eval_collect_add(struct eval_collect *collect, const struct eval_row *row, double score);
void eval_collect_result(const struct eval_collect *collect, size_t item, struct eval_result *out);

struct eval_tally {
    uint64_t n, right[EVAL_METRICS];
};
/* True when all four sums are numbers. */
bool eval_result_ok(const struct eval_result *result);
void eval_tally_add(struct eval_tally *tally, const struct eval_result *result);
/* Wilson's 95 % interval of a share (E. B. Wilson, 1927), z = 1.95996398454. n above 0. */
void eval_wilson(uint64_t right, uint64_t n, double *low, double *high);

/* Perplexity of negative log-likelihoods, as llama.cpp has it: exp(mean), and that times the
 * standard error of the mean. */
struct eval_ppl {
    uint64_t n;
    double sum, sum2;
};
void eval_ppl_add(struct eval_ppl *ppl, double nll);
void eval_ppl_get(const struct eval_ppl *ppl, double *value, double *error); /* n above 1 */

/* ---- log-probabilities of a base (base.c, kld.c) ---- */

/* A file of log-probabilities, as llama.cpp's --kl-divergence-base writes it: "_logits_", n_ctx,
 * n_vocab, n_chunk (32 bits each), the tokens, then a row for each scored token: two floats, scale
 * and least, and n_vocab 16-bit steps above the least, one more where n_vocab is odd. Little
 * endian. */
struct eval_base {
    FILE *file;
    const char *path;
    uint32_t n_ctx, n_vocab, n_chunk;
    uint32_t *tokens; /* [n_chunk * n_ctx] */
    uint16_t *row;    /* the row read last */
    size_t row_words;
};
/* Opens for reading: checks the header against the size of the file. Tokens are below n_vocab.
 * False: logged. Needs eval_base_close in any case. */
bool eval_base_open(struct eval_base *base, const char *path, struct log *log);
bool eval_base_create(struct eval_base *base, const char *path, uint32_t n_ctx, uint32_t n_vocab,
                      uint32_t n_chunk, const uint32_t *tokens, struct log *log);
bool eval_base_read_row(struct eval_base *base, struct log *log);
bool eval_base_write_row(struct eval_base *base, const float *logits, struct log *log);
/* False: what was written did not arrive; logged. */
bool eval_base_close(struct eval_base *base, struct log *log);

/* How far a model's distributions are from the base's. */
struct eval_kld {
    struct eval_ppl here, there;
    double sum_both; /* of products of both negative log-likelihoods */
    double sum, sum2;
    uint64_t n_same_top;
    float *values; /* [n]: KL divergence of each row */
    size_t n, cap;
};
/* Adds a row: logits [n_vocab] against the base's row. False: out of memory. */
bool eval_kld_add(struct eval_kld *kld, const struct eval_base *base, const float *logits,
                  uint32_t target);
/* Sorts the values: then eval_kld_quantile. */
void eval_kld_sort(struct eval_kld *kld);
double eval_kld_quantile(const struct eval_kld *kld, double share);
/* Mean of ln ppl(here) - ln ppl(there), and its standard error. */
void eval_kld_ln_ratio(const struct eval_kld *kld, double *mean, double *error);
void eval_kld_finish(struct eval_kld *kld);

/* -log softmax(logits)[target]: the sum in double, as llama.cpp does it. */
double eval_nll(const float *logits, uint32_t n_vocab, uint32_t target);

#endif
