/* Helpers of the model-level tests: a context on the first device (skip without one), models on n
 * logical devices, the golden file. */
#ifndef QUADRIGA_TESTS_MODEL_COMMON_H
#define QUADRIGA_TESTS_MODEL_COMMON_H

#include "include/quadriga.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODEL_F16  QD_SOURCE_DIR "/models/classics-13m-F16.gguf"
#define MODEL_Q4KM QD_SOURCE_DIR "/models/classics-13m-Q4_K_M.gguf"

struct rig {
    qd_context *context;
    qd_model *model;
    qd_session *session;
};

/* True when there is a usable device; else prints why. */
bool rig_has_device(void);
/* Opens `path` on n logical devices made from device 0; zero fields of `params` are defaults.
 * Failures fail the test. */
void rig_open(struct rig *rig, const char *path, uint32_t n_devices,
              const struct qd_model_params *params);
void rig_close(struct rig *rig); /* also fails the test when validation had messages */

struct gguf_make_params;
/* Writes a random model to `path`. */
void rig_make_file(const struct gguf_make_params *params, const char *path);

struct golden {
    json_t *root;
    size_t n;
};
void golden_open(struct golden *golden);
void golden_close(struct golden *golden);
/* Numbers of case i, field `name`; *count of them. Free with free_numbers. */
uint32_t *golden_ids(const struct golden *golden, size_t i, const char *name, size_t *count);
double *golden_reals(const struct golden *golden, size_t i, const char *name, size_t *count);
void free_numbers(void *numbers);

/* Greedy tokens after the prompt into out[n]. */
void rig_greedy(struct rig *rig, const uint32_t *prompt, size_t n_prompt, uint32_t n,
                uint32_t *out);
/* Logits of every position of the prompt [n][n_vocab], in steps of `chunk`; the session is reset
 * first. Free with free_numbers. */
float *rig_logits(struct rig *rig, const uint32_t *tokens, size_t n, uint32_t chunk);

/* log(sum(exp)) of n finite logits. */
double logits_log_sum(const float *row, size_t n);
/* Divergence of `row` from `base` (Kullback & Leibler 1951), in nats, both n logits. */
double logits_divergence(const float *base, const float *row, size_t n);
/* The largest |a - b|. */
double logits_difference(const float *a, const float *b, size_t n);

#endif
