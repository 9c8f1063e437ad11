/* A random model with a sliding window over a text several windows long: against a forward pass in
 * double precision that keeps every entry; chunks of any size; caches with and without the saving;
 * 1 = 4 devices bit by bit; truncation, failure, several sequences. */
#include "api/objects.h"
#include "base/hash.h"
#include "common.h"
#include "gguf_make.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 4, DIM = 64, HEADS = 4, KV_HEADS = 2, FFN = 128, VOCAB = 384, HEAD = DIM / HEADS };
enum { CTX = 300, WINDOW = 48, BATCH = 16, KV = KV_HEADS * HEAD };
enum { MIXED, ALL_LOCAL, KINDS }; /* layers 0 and 2 are local, or all */

static char path[KINDS][512]; /* of the models, this process's own */
static uint32_t text[CTX];
static float *reference[KINDS]; /* [CTX][VOCAB] */

/* ---- the reference ---- */

struct layer {
    const float *attn_norm, *q, *k, *v, *o, *ffn_norm, *gate, *up, *down;
};

static const float *weight(const struct gguf_file *file, const char *format, int layer)
{
    char name[64];
    snprintf(name, sizeof name, format, layer);
    const struct gguf_tensor *tensor = gguf_tensor_find(file, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->type, 0); /* F32 */
    return (const float *)(const void *)gguf_data(file, tensor);
}

static void multiply(const float *w, const double *x, size_t rows, size_t cols, double *y)
{
    for (size_t r = 0; r < rows; r++) {
        y[r] = 0;
        for (size_t c = 0; c < cols; c++) {
            y[r] += (double)w[r * cols + c] * x[c];
        }
    }
}

static void norm(const float *w, const double *x, double *y)
{
    double squares = 0;
    for (size_t i = 0; i < DIM; i++) {
        squares += x[i] * x[i];
    }
    for (size_t i = 0; i < DIM; i++) {
        y[i] = x[i] / sqrt(squares / DIM + 1e-5) * (double)w[i];
    }
}

static void rope(double *x, size_t heads, uint32_t pos)
{
    for (size_t i = 0; i < heads * HEAD; i += 2) {
        double angle = pos * pow(10000, -(double)(i % HEAD) / HEAD);
        double a = x[i], b = x[i + 1];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + 1] = a * sin(angle) + b * cos(angle);
    }
}

/* k, v: [CTX][KV] of this layer, entries up to pos filled. */
static void attend(const double *q, const double *k, const double *v, uint32_t pos, bool local,
                   double *out)
{
    uint32_t first = local && pos + 1 > WINDOW ? pos + 1 - WINDOW : 0;
    double score[CTX];
    for (size_t h = 0; h < HEADS; h++) {
        size_t at = h / (HEADS / KV_HEADS) * HEAD;
        double top = -INFINITY, sum = 0;
        for (uint32_t e = first; e <= pos; e++) {
            score[e] = 0;
            for (size_t d = 0; d < HEAD; d++) {
                score[e] += q[h * HEAD + d] * k[e * KV + at + d] / sqrt(HEAD);
            }
            top = fmax(top, score[e]);
        }
        memset(out + h * HEAD, 0, HEAD * sizeof *out);
        for (uint32_t e = first; e <= pos; e++) {
            double w = exp(score[e] - top);
            sum += w;
            for (size_t d = 0; d < HEAD; d++) {
                out[h * HEAD + d] += w * v[e * KV + at + d];
            }
        }
        for (size_t d = 0; d < HEAD; d++) {
            out[h * HEAD + d] /= sum;
        }
    }
}

static void run_layer(const struct layer *w, double *x, double *k, double *v, uint32_t pos,
                      bool local)
{
    double n[DIM], q[DIM], o[DIM], y[DIM], gate[FFN], up[FFN];
    norm(w->attn_norm, x, n);
    multiply(w->q, n, DIM, DIM, q);
    multiply(w->k, n, KV, DIM, k + (size_t)pos * KV);
    multiply(w->v, n, KV, DIM, v + (size_t)pos * KV);
    rope(q, HEADS, pos);
    rope(k + (size_t)pos * KV, KV_HEADS, pos);
    attend(q, k, v, pos, local, o);
    multiply(w->o, o, DIM, DIM, y);
    for (size_t i = 0; i < DIM; i++) {
        x[i] += y[i];
    }
    norm(w->ffn_norm, x, n);
    multiply(w->gate, n, FFN, DIM, gate);
    multiply(w->up, n, FFN, DIM, up);
    for (size_t i = 0; i < FFN; i++) {
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    }
    multiply(w->down, gate, DIM, FFN, y);
    for (size_t i = 0; i < DIM; i++) {
        x[i] += y[i];
    }
}

static float *compute(int kind, const uint32_t *tokens, uint32_t n)
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct gguf_file *file = gguf_open(path[kind], &log);
    assert_non_null(file);
    static double k[LAYERS][CTX * KV], v[LAYERS][CTX * KV];
    const float *table = weight(file, "token_embd.weight", 0);
    const float *last = weight(file, "output_norm.weight", 0);
    float *out = malloc((size_t)n * VOCAB * sizeof *out);
    assert_non_null(out);
    for (uint32_t pos = 0; pos < n; pos++) {
        double x[DIM], y[DIM], logits[VOCAB];
        for (size_t i = 0; i < DIM; i++) {
            x[i] = (double)table[tokens[pos] * DIM + i];
        }
        for (int l = 0; l < LAYERS; l++) {
            const struct layer w = {.attn_norm = weight(file, "blk.%d.attn_norm.weight", l),
                                    .q = weight(file, "blk.%d.attn_q.weight", l),
                                    .k = weight(file, "blk.%d.attn_k.weight", l),
                                    .v = weight(file, "blk.%d.attn_v.weight", l),
                                    .o = weight(file, "blk.%d.attn_output.weight", l),
                                    .ffn_norm = weight(file, "blk.%d.ffn_norm.weight", l),
                                    .gate = weight(file, "blk.%d.ffn_gate.weight", l),
                                    .up = weight(file, "blk.%d.ffn_up.weight", l),
                                    .down = weight(file, "blk.%d.ffn_down.weight", l)};
            run_layer(&w, x, k[l], v[l], pos, kind == ALL_LOCAL || l % 2 == 0);
        }
        norm(last, x, y);
        multiply(table, y, VOCAB, DIM, logits);
        for (size_t i = 0; i < VOCAB; i++) {
            out[(size_t)pos * VOCAB + i] = (float)logits[i];
        }
    }
    gguf_close(file);
    log_finish(&log);
    return out;
}

/* Largest difference over largest logit. */
static double distance(const float *a, const float *b, size_t n)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(a[i]));
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return worst / largest;
}

static int setup(void **state)
{
    (void)state;
    static const uint32_t window = WINDOW, period = 2;
    uint64_t rng = 3;
    for (int kind = 0; kind < KINDS; kind++) {
        const struct gguf_make_kv kvs[] = {
            {.key = "llama.attention.sliding_window",
             .type = GGUF_U32,
             .value = &window,
             .bytes = 4},
            {.key = kind == MIXED ? "llama.attention.sliding_window_pattern" : NULL,
             .type = GGUF_U32,
             .value = &period,
             .bytes = 4},
            {0}};
        struct gguf_make_params params = gguf_make_defaults();
        params.layers = LAYERS;
        params.ctx = 512;
        params.quant = QUANT_F32;
        params.kvs = kvs;
        snprintf(path[kind], sizeof path[kind], "%s/window-%d-%ld.gguf", QD_BINARY_DIR, kind,
                 (long)getpid());
        rig_make_file(&params, path[kind]);
    }
    for (uint32_t i = 0; i < CTX; i++) {
        text[i] = (uint32_t)(hash_next(&rng) % VOCAB);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        reference[kind] = compute(kind, text, CTX);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        free(reference[kind]);
        remove(path[kind]);
    }
    return 0;
}

/* ---- the engine ---- */

static void open_window(struct rig *rig, int kind, uint32_t n_devices, uint32_t n_seq)
{
    rig_open(rig, path[kind], n_devices,
             &(struct qd_model_params){.n_ctx = CTX,
                                       .n_batch = BATCH,
                                       .n_seq = n_seq,
                                       .type_k = QD_TYPE_F32,
                                       .type_v = QD_TYPE_F32});
}

/* Runs tokens through the prefill behind what the session holds; logits of the last one. */
static const float *prefill(struct rig *rig, const uint32_t *tokens, size_t n)
{
    struct qd_generate_result result;
    assert_int_equal(
        qd_session_generate(
            rig->session,
            &(struct qd_generate_params){.prompt = tokens, .n_prompt = n, .n_predict = 1}, &result),
        QD_OK);
    const float *logits = qd_session_logits(rig->session, 0);
    assert_non_null(logits);
    return logits;
}

static void check_logits(const float *logits, int kind, uint32_t first, uint32_t n)
{
    double far = distance(logits, reference[kind] + (size_t)first * VOCAB, (size_t)n * VOCAB);
    if (!(far < 1e-5)) {
        fail_msg("kind %d, tokens %u and on: %g away from the reference", kind, first, far);
    }
}

/* Would a model without the window do as well? Then this file would prove nothing. */
static void window_matters(void **state)
{
    (void)state;
    double far = distance(reference[MIXED] + (size_t)(CTX - 1) * VOCAB,
                          reference[ALL_LOCAL] + (size_t)(CTX - 1) * VOCAB, VOCAB);
    assert_true(far > 1e-2);
}

static void chunks_agree(void **state)
{
    (void)state;
    static const uint32_t chunks[] = {1, 7, BATCH};
    for (int kind = 0; kind < KINDS; kind++) {
        struct rig rig;
        open_window(&rig, kind, 1, 1);
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            float *mine = rig_logits(&rig, text, CTX, chunks[c]);
            check_logits(mine, kind, 0, CTX);
            free_numbers(mine);
        }
        check_logits((qd_session_truncate(rig.session, 0, 0), prefill(&rig, text, CTX)), kind,
                     CTX - 1, 1);
        rig_close(&rig);
    }
}

/* Local caches of 5 blocks, of the 10 that the context takes; eight sequences give them all 10. The
 * last logits depend on every entry within reach. */
static void saving_changes_nothing(void **state)
{
    (void)state;
    static const uint32_t how[][2] = {{1, 8}, {1, 1}, {4, 1}}; /* devices, sequences */
    static const uint32_t entries[] = {320, 160, 160};
    for (int kind = 0; kind < KINDS; kind++) {
        float first[VOCAB];
        for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
            struct rig rig;
            struct qd_model_info info;
            uint64_t bytes = 0, row = 2 * 4 * KV;
            open_window(&rig, kind, how[i][0], how[i][1]);
            for (int again = 0; again < 2; again++) { /* over what the last time left */
                assert_int_equal(qd_session_truncate(rig.session, 0, 0), QD_OK);
                const float *logits = prefill(&rig, text, CTX);
                if (i == 0 && again == 0) {
                    memcpy(first, logits, sizeof first);
                    check_logits(logits, kind, CTX - 1, 1);
                }
                assert_memory_equal(logits, first, sizeof first);
            }
            qd_model_get_info(rig.model, &info);
            char line[96];
            snprintf(line, sizeof line, "window of %d in %d layers, whose caches hold %u entries\n",
                     WINDOW, kind == MIXED ? 2 : LAYERS, entries[i]);
            assert_non_null(strstr(qd_model_plan(rig.model, false), line));
            assert_int_equal(info.window, WINDOW);
            assert_int_equal(info.n_local_layers, kind == MIXED ? 2 : LAYERS);
            for (uint32_t d = 0; d < info.n_devices; d++) {
                bytes += info.device_kv_bytes[d];
            }
            assert_int_equal(bytes, kind == MIXED ? 2 * row * (320 + entries[i])
                                                  : LAYERS * row * entries[i]);
            rig_close(&rig);
        }
    }
}

/* Greedy with two steps in flight on one device, one step at a time on four. */
static void decoding_goes_on(void **state)
{
    (void)state;
    enum { N_PROMPT = 40, N = CTX - N_PROMPT };
    static uint32_t one[N], four[N];
    for (int kind = 0; kind < KINDS; kind++) {
        struct rig rig;
        open_window(&rig, kind, 1, 1);
        rig_greedy(&rig, text, N_PROMPT, N, one);
        rig_close(&rig);
        open_window(&rig, kind, 4, 1);
        rig_greedy(&rig, text, N_PROMPT, N, four);
        rig_close(&rig);
        assert_memory_equal(one, four, sizeof one);
        uint32_t all[CTX];
        memcpy(all, text, sizeof all);
        memcpy(all + N_PROMPT, one, sizeof one);
        float *logits = compute(kind, all, CTX);
        for (uint32_t i = N_PROMPT - 1; i + 1 < CTX; i++) { /* the best, or as good as it */
            const float *row = logits + (size_t)i * VOCAB;
            for (uint32_t k = 0; k < VOCAB; k++) {
                assert_true(row[k] < row[all[i + 1]] + 1e-4f);
            }
        }
        free(logits);
    }
}

static void truncation_is_honest(void **state)
{
    (void)state;
    struct rig rig;
    for (int kind = 0; kind < KINDS; kind++) {
        open_window(&rig, kind, 1, 1);
        prefill(&rig, text, CTX);
        /* a little: nothing is lost */
        assert_int_equal(qd_session_truncate(rig.session, 0, CTX - BATCH), QD_OK);
        assert_int_equal(qd_session_length(rig.session, 0), CTX - BATCH);
        check_logits(prefill(&rig, text + CTX - BATCH, BATCH), kind, CTX - 1, 1);
        /* too much: empty, and as new */
        assert_int_equal(qd_session_truncate(rig.session, 0, 150), QD_OK);
        assert_int_equal(qd_session_length(rig.session, 0), 0);
        check_logits(prefill(&rig, text, 150), kind, 149, 1);
        /* below the window everything is there */
        assert_int_equal(qd_session_truncate(rig.session, 0, 0), QD_OK);
        prefill(&rig, text, 100);
        assert_int_equal(qd_session_truncate(rig.session, 0, 20), QD_OK);
        assert_int_equal(qd_session_length(rig.session, 0), 20);
        check_logits(prefill(&rig, text + 20, 60), kind, 79, 1);
        rig_close(&rig);
    }
}

struct chunks {
    uint32_t first, n, at;
};

static bool next_chunk(void *user, struct qd_step *step)
{
    struct chunks *c = user;
    uint32_t left = c->n - c->at;
    *step =
        (struct qd_step){.n_tokens = left < BATCH ? left : BATCH, .token = text + c->first + c->at};
    c->at += step->n_tokens;
    return left != 0;
}

static bool stop(void *user, uint64_t index, const float *results, uint32_t n)
{
    struct chunks *c = user;
    assert_int_equal(index, 0);
    assert_int_equal(n, 1);
    check_logits(results, MIXED, c->first + BATCH - 1, 1);
    return false;
}

/* A prompt that is refused or cancelled leaves the old length; one that is cancelled on its way and
 * taken back, that or nothing, but never entries that see less than they should. */
static void failed_prompts(void **state)
{
    (void)state;
    struct rig rig;
    for (uint32_t devices = 1; devices <= 4; devices += 3) {
        open_window(&rig, MIXED, devices, 1);
        struct run_session *run = &rig.session->run;
        prefill(&rig, text, 100);
        uint32_t bad[CTX];
        memcpy(bad, text, sizeof bad);
        bad[199] = VOCAB;
        assert_int_equal(run_prefill(run, 0, bad, 200, true), RUN_BAD_ARGUMENT);
        assert_int_equal(run_prefill(run, 0, text, 201, true), RUN_CONTEXT_FULL);
        assert_int_equal(qd_session_length(rig.session, 0), 100);
        qd_session_cancel(rig.session);
        assert_int_equal(run_prefill(run, 0, text + 100, 140, true), RUN_CANCELLED);
        assert_int_equal(qd_session_length(rig.session, 0), 100);
        for (uint32_t depth = 1; depth <= 6; depth += 5) { /* cancelled after its first chunk */
            struct chunks chunks = {.first = 100, .n = 140};
            const struct qd_run_params params = {
                .next = next_chunk, .done = stop, .user = &chunks, .depth = depth};
            assert_int_equal(qd_session_run(rig.session, &params), QD_CANCELLED);
            uint32_t length = qd_session_length(rig.session, 0);
            assert_int_equal(length, 100 + (devices == 1 && depth > 2 ? 2 : depth) * BATCH);
            assert_int_equal(qd_session_truncate(rig.session, 0, 100), QD_OK);
            assert_int_equal(qd_session_length(rig.session, 0), length <= 132 ? 100 : 0);
            uint32_t from = qd_session_length(rig.session, 0);
            check_logits(prefill(&rig, text + from, 100 - from + 1), MIXED, 100, 1);
            assert_int_equal(qd_session_truncate(rig.session, 0, 100), QD_OK);
        }
        rig_close(&rig);
    }
}

/* One sequence has taken every block; the next one gets what left the first one's window and no
 * more, so that its own blocks are used again as soon as they may be: devices run steps in order,
 * and what the last chunk does not see is free for it. */
static void blocks_are_scarce(void **state)
{
    (void)state;
    for (uint32_t devices = 1; devices <= 4; devices += 3) {
        struct rig rig;
        open_window(&rig, ALL_LOCAL, devices, 2);
        struct run_session *run = &rig.session->run;
        const struct kv_group *local = &run->kv.group[KV_LOCAL];
        assert_int_equal(run_prefill(run, 1, text, CTX, true), RUN_OK);
        assert_int_equal(local->n_free, 0);
        check_logits(prefill(&rig, text, CTX - 1), ALL_LOCAL, CTX - 2, 1);
        uint32_t chunks = (CTX - 1 + BATCH - 1) / BATCH;
        uint32_t size = (CTX - 1 + chunks - 1) / chunks; /* of all but the last */
        uint32_t settled = (chunks - 1) * size, old = (CTX - 1) / 32 * 32;
        assert_int_equal(run->kv.settled[0], settled);
        assert_true(local->first[0] * 32 + WINDOW - 1 <= settled);
        assert_true(old - local->first[0] * 32 <= WINDOW + BATCH + 32);
        uint32_t seq = 1; /* which has lost nothing that it needs */
        struct qd_step step = {.n_tokens = 1, .token = text, .seq = &seq};
        assert_int_equal(qd_session_truncate(rig.session, 1, CTX - 1), QD_OK);
        step.token = text + qd_session_length(rig.session, 1);
        assert_int_equal(qd_session_length(rig.session, 1), CTX - 1);
        assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
        check_logits(qd_session_logits(rig.session, 0), ALL_LOCAL, CTX - 1, 1);
        rig_close(&rig);
    }
}

/* Two sequences in one step, the second ten tokens behind in the same text. */
static void sequences_share(void **state)
{
    (void)state;
    enum { LAG = 10, LEN = 150 };
    struct rig rig;
    open_window(&rig, ALL_LOCAL, 1, 2);
    float *other = compute(ALL_LOCAL, text + LAG, LEN);
    for (uint32_t at = 0; at < LEN; at += 5) {
        uint32_t token[10], seq[10];
        bool want[10] = {[8] = true, [9] = true};
        for (uint32_t i = 0; i < 10; i++) {
            seq[i] = i % 2;
            token[i] = text[at + i / 2 + LAG * seq[i]];
        }
        struct qd_step step = {.n_tokens = 10, .token = token, .seq = seq, .want = want};
        assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
        check_logits(qd_session_logits(rig.session, 0), ALL_LOCAL, at + 4, 1);
        const float *row = qd_session_logits(rig.session, 1);
        assert_true(distance(row, other + (size_t)(at + 4) * VOCAB, VOCAB) < 1e-5);
    }
    free(other);
    rig_close(&rig);
}

/* Forks of the text at several lengths go on: with the text, with another one, and as a fork within
 * the step. Blocks are shared in both groups. */
static void forks_go_on(void **state)
{
    (void)state;
    enum { AT = 107, BACK = 101, LEN = 160 };
    uint32_t other[LEN];
    memcpy(other, text, AT * sizeof *text);
    memcpy(other + AT, text, (LEN - AT) * sizeof *text);
    for (int kind = 0; kind < KINDS; kind++) {
        struct rig rig;
        float *another = compute(kind, other, LEN);
        open_window(&rig, kind, kind == MIXED ? 1 : 4, 4);
        prefill(&rig, text, AT);
        assert_int_equal(qd_session_fork(rig.session, 0, 1, AT), QD_OK);
        assert_int_equal(qd_session_fork(rig.session, 0, 2, BACK), QD_OK);
        for (uint32_t at = AT, back = BACK; at < LEN; at++, back++) {
            const bool want[] = {true, true, true, true};
            const uint32_t seq[] = {0, 1, 2, 3};
            const uint32_t token[] = {text[at], other[at], text[back], text[at + 1]};
            const struct qd_fork fork = {.before = 3, .from = 0, .to = 3, .length = at + 1};
            const struct qd_step step = {.n_tokens = 4,
                                         .token = token,
                                         .seq = seq,
                                         .want = want,
                                         .forks = &fork,
                                         .n_forks = 1};
            assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
            const float *row = qd_session_logits(rig.session, 1);
            check_logits(qd_session_logits(rig.session, 0), kind, at, 1);
            assert_true(distance(row, another + (size_t)at * VOCAB, VOCAB) < 1e-5);
            check_logits(qd_session_logits(rig.session, 2), kind, back, 1);
            check_logits(qd_session_logits(rig.session, 3), kind, at + 1, 1);
        }
        free(another);
        rig_close(&rig);
    }
}

/* What has left the window cannot be forked. Two sequences have 9 blocks, the text takes 10. */
static void forks_are_honest(void **state)
{
    (void)state;
    struct rig rig;
    open_window(&rig, ALL_LOCAL, 1, 2);
    prefill(&rig, text, CTX);
    uint32_t length = CTX - 4;
    while (qd_session_fork(rig.session, 0, 1, length) == QD_OK) {
        assert_int_equal(qd_session_length(rig.session, 1), length);
        length -= 4;
    }
    assert_int_equal(length, 76); /* the next token would see entries 29 to 31 */
    assert_non_null(strstr(qd_last_error(rig.context), "have left the window of 48"));
    assert_int_equal(qd_session_length(rig.session, 0), CTX);
    assert_int_equal(qd_session_length(rig.session, 1), 80);
    uint32_t seq[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct qd_step step = {.n_tokens = 8, .token = text + 80, .seq = seq};
    assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
    check_logits(qd_session_logits(rig.session, 0), ALL_LOCAL, 87, 1);
    rig_close(&rig);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_matters),
        cmocka_unit_test(chunks_agree),
        cmocka_unit_test(saving_changes_nothing),
        cmocka_unit_test(decoding_goes_on),
        cmocka_unit_test(truncation_is_honest),
        cmocka_unit_test(failed_prompts),
        cmocka_unit_test(blocks_are_scarce),
        cmocka_unit_test(sequences_share),
        cmocka_unit_test(forks_go_on),
        cmocka_unit_test(forks_are_honest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
