/* Ops that only have names, and a small LLaMA-like plan made of them: tests of the passes need no
 * shader and no device. Sizes: 4 heads of 8, 2 KV heads, FFN of 64, 40 words. */
#ifndef QUADRIGA_TESTS_PLAN_FAKE_H
#define QUADRIGA_TESTS_PLAN_FAKE_H

#include "plan/op.h"
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FAKE_DIM = 32, FAKE_KV = 16, FAKE_FF = 64, FAKE_VOCAB = 40, FAKE_SLOTS = 64 };

static const struct op FAKE_EMBED = {.name = "embed"}, FAKE_NORM = {.name = "rmsnorm"},
                       FAKE_MATMUL = {.name = "matmul"}, FAKE_ROPE = {.name = "rope"},
                       FAKE_APPEND = {.name = "kv_append"}, FAKE_ATTEND = {.name = "attention"},
                       FAKE_ADD = {.name = "add"}, FAKE_SWIGLU = {.name = "swiglu"},
                       FAKE_ARGMAX = {.name = "argmax"};

/* One node with an activation of its own as result. */
static inline uint32_t fake_node(struct plan *plan, const struct op *op, const char *name,
                                 uint32_t cols, uint32_t in_place, const uint32_t *src,
                                 uint32_t n_src)
{
    struct plan_node node = {.op = op, .n_src = n_src, .n_dst = 1, .in_place = in_place};
    memcpy(node.src, src, n_src * sizeof *src);
    node.dst[0] = plan_add_act(plan, name, plan->n_tokens, cols);
    plan_add_node(plan, &node);
    return node.dst[0];
}

#define FAKE_NODE(plan, op, name, cols, in_place, ...)                                             \
    fake_node(plan, op, name, cols, in_place, (const uint32_t[]){__VA_ARGS__},                     \
              sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static inline uint32_t fake_weight(struct plan *plan, uint32_t number, const char *name,
                                   uint32_t rows, uint32_t cols)
{
    char full[48];
    snprintf(full, sizeof full, plan->layer < 0 ? "%s" : "%s.%d", name, (int)plan->layer);
    return plan_get_weight(plan, number, full, rows == 1 ? QUANT_F32 : QUANT_F16, rows, cols);
}

static inline uint32_t fake_matmul(struct plan *plan, uint32_t number, const char *name, uint32_t x,
                                   uint32_t rows)
{
    uint32_t cols = (uint32_t)plan_get_tensor(plan, x)->cols;
    uint32_t w = fake_weight(plan, number, name, rows, cols);
    return FAKE_NODE(plan, &FAKE_MATMUL, name, rows, PLAN_NONE, w, x);
}

static inline uint32_t fake_cache(struct plan *plan, bool is_value)
{
    struct plan_tensor cache = {.role = PLAN_KV,
                                .elem = PLAN_F16,
                                .rows = 2,
                                .cols = FAKE_SLOTS * 8,
                                .layer = plan->layer,
                                .is_value = is_value};
    snprintf(cache.name, sizeof cache.name, "cache_%c.%d", is_value ? 'v' : 'k', (int)plan->layer);
    return plan_add_tensor(plan, &cache);
}

/* One layer: weights are numbered 10 * (layer + 1) + ... */
static inline uint32_t fake_layer(struct plan *plan, uint32_t x, uint32_t step)
{
    uint32_t w = 10 * (uint32_t)(plan->layer + 1);
    uint32_t norm = fake_weight(plan, w, "norm1", 1, FAKE_DIM);
    uint32_t h = FAKE_NODE(plan, &FAKE_NORM, "h1", FAKE_DIM, PLAN_NONE, x, norm);
    uint32_t q = fake_matmul(plan, w + 1, "q", h, FAKE_DIM);
    uint32_t k = fake_matmul(plan, w + 2, "k", h, FAKE_KV);
    uint32_t v = fake_matmul(plan, w + 3, "v", h, FAKE_KV);
    q = FAKE_NODE(plan, &FAKE_ROPE, "q_rope", FAKE_DIM, 0, q, step, PLAN_NONE);
    k = FAKE_NODE(plan, &FAKE_ROPE, "k_rope", FAKE_KV, 0, k, step, PLAN_NONE);
    uint32_t k_cache = fake_cache(plan, false), v_cache = fake_cache(plan, true);
    struct plan_node append = {.op = &FAKE_APPEND,
                               .n_src = 3,
                               .src = {k, v, step},
                               .n_dst = 2,
                               .dst = {k_cache, v_cache},
                               .in_place = PLAN_NONE};
    plan_add_node(plan, &append);
    uint32_t o = FAKE_NODE(plan, &FAKE_ATTEND, "o", FAKE_DIM, PLAN_NONE, q, k_cache, v_cache, step);
    o = fake_matmul(plan, w + 4, "proj", o, FAKE_DIM);
    x = FAKE_NODE(plan, &FAKE_ADD, "sum1", FAKE_DIM, 0, o, x);
    norm = fake_weight(plan, w + 5, "norm2", 1, FAKE_DIM);
    h = FAKE_NODE(plan, &FAKE_NORM, "h2", FAKE_DIM, PLAN_NONE, x, norm);
    uint32_t gate = fake_matmul(plan, w + 6, "gate", h, FAKE_FF);
    uint32_t up = fake_matmul(plan, w + 7, "up", h, FAKE_FF);
    h = FAKE_NODE(plan, &FAKE_SWIGLU, "act", FAKE_FF, 0, gate, up);
    h = fake_matmul(plan, w + 8, "down", h, FAKE_DIM);
    return FAKE_NODE(plan, &FAKE_ADD, "sum2", FAKE_DIM, 0, h, x);
}

static inline void fake_llama(struct plan *plan, struct log *log, uint32_t n_tokens,
                              uint32_t n_layers)
{
    plan_init(plan, log, n_tokens, n_tokens, n_layers);
    uint32_t step = plan_get_step(plan, 16 + 6 * n_tokens + 2);
    uint32_t table = fake_weight(plan, 0, "embd", FAKE_VOCAB, FAKE_DIM);
    struct plan_tensor in = {
        .name = "ids_in", .role = PLAN_IDS_IN, .elem = PLAN_U32, .rows = 1, .cols = n_tokens};
    uint32_t ids = plan_add_tensor(plan, &in);
    uint32_t x = FAKE_NODE(plan, &FAKE_EMBED, "x", FAKE_DIM, PLAN_NONE, table, step, ids);
    for (uint32_t layer = 0; layer < n_layers; layer++) {
        plan->layer = (int32_t)layer;
        x = fake_layer(plan, x, step);
    }
    plan->layer = (int32_t)n_layers;
    uint32_t norm = fake_weight(plan, 1, "norm", 1, FAKE_DIM);
    x = FAKE_NODE(plan, &FAKE_NORM, "out", FAKE_DIM, PLAN_NONE, x, norm);
    x = FAKE_NODE(plan, &FAKE_MATMUL, "logits", FAKE_VOCAB, PLAN_NONE, table, x);
    struct plan_tensor out = {
        .name = "ids", .role = PLAN_IDS_OUT, .elem = PLAN_U32, .rows = 1, .cols = n_tokens};
    if (!plan->failed) {
        plan->tensors[x].role = PLAN_LOGITS;
    }
    struct plan_node argmax = {
        .op = &FAKE_ARGMAX, .n_src = 1, .src = {x}, .n_dst = 1, .in_place = PLAN_NONE};
    argmax.dst[0] = plan_add_tensor(plan, &out);
    plan_add_node(plan, &argmax);
}

/* A map with these numbers of layers per device. */
static inline void fake_map(struct plan_map *map, uint32_t n_devices, const uint32_t *layers)
{
    *map = (struct plan_map){.n_devices = n_devices};
    for (uint32_t d = 0; d < n_devices; d++) {
        map->n_layers += layers[d];
    }
    map->device = mem_alloc(map->n_layers + 2, sizeof *map->device);
    for (uint32_t d = 0, l = 1; d < n_devices; d++) {
        for (uint32_t i = 0; i < layers[d]; i++) {
            map->device[l++] = d;
        }
        map->device[map->n_layers + 1] = d;
    }
}

#endif
