/* Chooses a token from logits: collects the candidates, cuts them down in the order that sample.h
 * states, draws one. The largest come off a heap one by one, so a small top-k or top-p never sorts
 * the whole vocabulary; where the largest are known already only those are looked at. Reading
 * logits from devices and stopping are for others. */
#include "run/sample.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    double logit;
    uint32_t id;
};

struct sampler {
    struct sample_params params;
    uint32_t n_vocab;
    uint64_t state;
    struct candidate *list; /* n_vocab */
    uint32_t *recent;       /* ring of the last repeat_last tokens */
    uint32_t n_recent, at;
    uint32_t *uses;  /* of each token in the ring; NULL without penalty */
    uint8_t *banned; /* NULL: none */
    uint32_t n_banned;
};

static bool has_penalty(const struct sample_params *p)
{
    return isfinite(p->repeat_penalty) && p->repeat_penalty > 0 && p->repeat_penalty != 1 &&
           p->repeat_last > 0;
}

struct sampler *sampler_create(const struct sample_params *params, uint32_t n_vocab)
{
    struct sampler *sampler = mem_alloc(1, sizeof *sampler);
    if (sampler == NULL) {
        return NULL;
    }
    sampler->params = *params;
    sampler->n_vocab = n_vocab;
    sampler->state = params->seed;
    sampler->list = mem_alloc(n_vocab, sizeof *sampler->list);
    if (sampler->list == NULL) {
        goto fail;
    }
    if (has_penalty(params)) {
        sampler->recent = mem_alloc(params->repeat_last, sizeof *sampler->recent);
        sampler->uses = mem_alloc(n_vocab, sizeof *sampler->uses);
        if (sampler->recent == NULL || sampler->uses == NULL) {
            goto fail;
        }
    }
    return sampler;
fail:
    sampler_destroy(sampler);
    return NULL;
}

void sampler_destroy(struct sampler *sampler)
{
    if (sampler != NULL) {
        mem_free(sampler->list);
        mem_free(sampler->recent);
        mem_free(sampler->uses);
        mem_free(sampler->banned);
        mem_free(sampler);
    }
}

void sampler_add(struct sampler *sampler, uint32_t token)
{
    if (sampler->uses == NULL || token >= sampler->n_vocab) {
        return;
    }
    if (sampler->n_recent == sampler->params.repeat_last) {
        sampler->uses[sampler->recent[sampler->at]]--;
    } else {
        sampler->n_recent++;
    }
    sampler->recent[sampler->at] = token;
    sampler->uses[token]++;
    sampler->at = sampler->at + 1 < sampler->params.repeat_last ? sampler->at + 1 : 0;
}

/* Only the largest (penalized) logit can win. */
static bool takes_largest(const struct sample_params *p)
{
    return !(p->temperature > 0) || p->top_k == 1 || p->top_p <= 0;
}

bool sampler_is_greedy(const struct sampler *sampler)
{
    return takes_largest(&sampler->params) && sampler->uses == NULL;
}

bool sampler_ban(struct sampler *sampler, uint32_t token)
{
    if (token >= sampler->n_vocab) {
        return true;
    }
    if (sampler->banned == NULL) {
        sampler->banned = mem_alloc(sampler->n_vocab, 1);
        if (sampler->banned == NULL) {
            return false;
        }
    }
    sampler->n_banned += sampler->banned[token] == 0;
    sampler->banned[token] = 1;
    return true;
}

/* Whether `a` comes before `b`: larger logit, then lower id. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* Adds a logit to the n in the list, penalized, unless it may not be chosen; returns their number.
 */
static uint32_t consider(struct sampler *sampler, uint32_t n, float value, uint32_t id)
{
    if (!isfinite(value) || (sampler->banned != NULL && sampler->banned[id])) {
        return n;
    }
    double logit = value;
    if (sampler->uses != NULL && sampler->uses[id] > 0) {
        double penalty = sampler->params.repeat_penalty;
        logit = logit > 0 ? logit / penalty : logit * penalty;
    }
    sampler->list[n] = (struct candidate){.logit = logit, .id = id};
    return n + 1;
}

static void sift_down(struct candidate *list, uint32_t n, uint32_t i)
{
    struct candidate item = list[i];
    while (i < n / 2) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < n && is_better(&list[child + 1], &list[child])) {
            child++;
        }
        if (!is_better(&list[child], &item)) {
            break;
        }
        list[i] = list[child];
        i = child;
    }
    list[i] = item;
}

/* Takes the best off a heap of n: it moves to list[n - 1], behind the heap of n - 1 that remains.
 */
static void pop(struct candidate *list, uint32_t n)
{
    struct candidate best = list[0];
    list[0] = list[n - 1];
    list[n - 1] = best;
    sift_down(list, n - 1, 0);
}

/* Top-k, top-p and min-p. Afterwards the survivors are list[n - kept, n), best last; at least one.
 */
static uint32_t cut(struct candidate *list, uint32_t n, const struct sample_params *p)
{
    uint32_t limit = p->top_k > 0 && p->top_k < n ? p->top_k : n, kept = 0;
    bool nucleus = p->top_p < 1;
    double most, sum = 0, reached = 0;
    for (uint32_t i = n / 2; i-- > 0;) {
        sift_down(list, n, i);
    }
    most = list[0].logit;
    if (limit < n) {
        while (kept < limit) {
            pop(list, n - kept++);
        }
    }
    for (uint32_t i = 0; nucleus && i < limit; i++) {
        sum += exp(list[n - 1 - i].logit - most);
    }
    double floor = p->min_p > 0 ? most + log((double)p->min_p) : -INFINITY;
    for (uint32_t i = 0; i < limit; i++) {
        if (i >= kept) {
            pop(list, n - kept++);
        }
        double logit = list[n - 1 - i].logit;
        if (i > 0 && (logit < floor || (nucleus && reached >= p->top_p * sum))) {
            return i;
        }
        reached += exp(logit - most);
    }
    return limit;
}

/* Draws one of n candidates by softmax(logit / temperature). */
static uint32_t draw(struct sampler *sampler, const struct candidate *list, uint32_t n)
{
    double most = list[0].logit, sum = 0, reached = 0;
    double temperature = sampler->params.temperature;
    for (uint32_t i = 1; i < n; i++) {
        most = list[i].logit > most ? list[i].logit : most;
    }
    for (uint32_t i = 0; i < n; i++) {
        sum += exp((list[i].logit - most) / temperature);
    }
    double mark = hash_uniform(&sampler->state) * sum;
    uint32_t last = n;
    for (uint32_t i = n; i-- > 0;) {
        double weight = exp((list[i].logit - most) / temperature);
        reached += weight;
        if (weight > 0) {
            last = i;
        }
        if (reached > mark) {
            break;
        }
    }
    return list[last].id; /* the largest always has a weight */
}

/* One of the first n of the list. */
static bool choose(struct sampler *sampler, uint32_t n, uint32_t *token)
{
    const struct sample_params *p = &sampler->params;
    struct candidate *list = sampler->list;
    if (n == 0) {
        return false;
    }
    if (takes_largest(p)) {
        struct candidate best = list[0];
        for (uint32_t i = 1; i < n; i++) {
            best = is_better(&list[i], &best) ? list[i] : best;
        }
        *token = best.id;
        return true;
    }
    if ((p->top_k > 0 && p->top_k < n) || p->top_p < 1 || p->min_p > 0) {
        uint32_t kept = cut(list, n, p);
        list += n - kept;
        n = kept;
    }
    *token = draw(sampler, list, n);
    return true;
}

/* Fills the list with the finite logits that may be chosen, penalized; returns how many. */
static uint32_t collect(struct sampler *sampler, const float *logits)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < sampler->n_vocab; id++) {
        n = consider(sampler, n, logits[id], id);
    }
    return n;
}

bool sampler_pick(struct sampler *sampler, const float *logits, uint32_t *token)
{
    return choose(sampler, collect(sampler, logits), token);
}

/* One more than top-k, so that it is known whether there are more than that: only then are
 * candidates put in order. And one for each that is banned or may be lowered by a penalty. */
uint32_t sampler_top(const struct sampler *sampler)
{
    const struct sample_params *p = &sampler->params;
    bool largest = takes_largest(p), raises = sampler->uses != NULL && p->repeat_penalty < 1;
    if (raises || (!largest && p->top_k == 0)) {
        return 0;
    }
    uint64_t n = largest ? 1 : (uint64_t)p->top_k + 1;
    n += sampler->n_banned + (uint64_t)(sampler->uses != NULL ? p->repeat_last : 0);
    return n < sampler->n_vocab ? (uint32_t)n : 0;
}

static int by_id(const void *a, const void *b)
{
    uint32_t left = ((const struct candidate *)a)->id, right = ((const struct candidate *)b)->id;
    return left < right ? -1 : left > right;
}

bool sampler_pick_top(struct sampler *sampler, const uint32_t *top, uint32_t n, uint32_t *token)
{
    uint32_t count = 0;
    bool all = false; /* they are all that there are: as sampler_pick would find them */
    for (uint32_t i = 0; i < n && !all; i++) {
        float value;
        memcpy(&value, &top[i], sizeof value);
        all = top[n + i] >= sampler->n_vocab;
        count = all ? count : consider(sampler, count, value, top[n + i]);
    }
    if (all) {
        qsort(sampler->list, count, sizeof *sampler->list, by_id);
    }
    return choose(sampler, count, token);
}
