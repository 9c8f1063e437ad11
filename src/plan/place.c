/* Decides which device has which layer, and carries that into a plan: nodes and tensors get their
 * devices, activations that cross get border nodes. How the copy is made is record.c's matter. */
#include "plan/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t add_sat(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return size_add(a, b, &sum) ? sum : UINT64_MAX;
}

/* ---- layers per device ---- */

/* end[d]: the first layer behind those of device d; n devices are used. */
struct cut {
    uint32_t n, end[PLAN_MAX_DEVICES];
};

/* Bytes of device d: its layers, with the embedding on the first and the head on the last one. */
static uint64_t cut_bytes(const struct plan_place_params *params, const struct cut *cut, uint32_t d)
{
    uint64_t bytes = d == 0 ? params->layer_bytes[0] : 0;
    for (uint32_t l = d == 0 ? 0 : cut->end[d - 1]; l < cut->end[d]; l++) {
        bytes = add_sat(bytes, params->layer_bytes[l + 1]);
    }
    return d + 1 == cut->n ? add_sat(bytes, params->layer_bytes[params->n_layers + 1]) : bytes;
}

/* At least one layer for each device; n is at most n_layers, or 1. */
static void cut_clamp(struct cut *cut, uint32_t n_layers)
{
    for (uint32_t d = 0; d + 1 < cut->n; d++) {
        uint32_t low = (d == 0 ? 0 : cut->end[d - 1]) + 1, high = n_layers - (cut->n - 1 - d);
        cut->end[d] = cut->end[d] < low ? low : cut->end[d] > high ? high : cut->end[d];
    }
    cut->end[cut->n - 1] = n_layers;
}

/* Layer l goes to the device in whose part of the shares l / (n_layers + 1) lies: the head counts
 * as one more layer, as in llama.cpp (src/llama-model.cpp, load_tensors). */
static void cut_by_count(const struct plan_place_params *params, struct cut *cut)
{
    double total = 0, sum = 0;
    for (uint32_t d = 0; d < cut->n; d++) {
        total += params->share[d];
    }
    uint32_t l = 0;
    for (uint32_t d = 0; d < cut->n; d++) {
        sum += params->share[d];
        while (l < params->n_layers && l / (double)(params->n_layers + 1) < sum / total) {
            l++;
        }
        cut->end[d] = l;
    }
}

/* ---- cut by bytes ---- */

/* best[d][e]: least cost of giving the layers before e to devices 0..d; from[d][e]: where device d
 * begins then. */
struct search {
    const struct plan_place_params *params;
    uint32_t n;
    bool must_fit;
    uint64_t *sum; /* [n_layers + 1]: bytes of the layers before l, saturated */
    double *best;
    uint32_t *from;
};

/* Of layers [begin, end) on device d: bytes^2 / free. Its sum over the devices is least where bytes
 * are in proportion to free memory. Embedding and head do not count, as they cost memory and hardly
 * time, but must fit. */
static double range_cost(const struct search *search, uint32_t d, uint32_t begin, uint32_t end)
{
    const struct plan_place_params *params = search->params;
    uint64_t room = params->free_bytes[d], layers = search->sum[end] - search->sum[begin];
    uint64_t bytes = d == 0 ? add_sat(layers, params->layer_bytes[0]) : layers;
    if (d + 1 == search->n) {
        bytes = add_sat(bytes, params->layer_bytes[params->n_layers + 1]);
    }
    if (search->must_fit && bytes > room) {
        return INFINITY;
    }
    return (double)layers * (double)layers / (double)(room != 0 ? room : 1);
}

static void fill_best(struct search *search)
{
    uint32_t n_layers = search->params->n_layers, width = n_layers + 1;
    for (uint32_t e = 0; e <= n_layers; e++) {
        search->best[e] = range_cost(search, 0, 0, e);
    }
    for (uint32_t d = 1; d < search->n; d++) {
        double *best = search->best + (size_t)d * width, *before = best - width;
        for (uint32_t e = 0; e <= n_layers; e++) {
            best[e] = INFINITY;
            for (uint32_t begin = d; begin < e; begin++) {
                double cost = before[begin] + range_cost(search, d, begin, e);
                if (cost < INFINITY && cost <= best[e] * (1 + 1e-12)) { /* a tie: to the front */
                    best[e] = cost;
                    search->from[(size_t)d * width + e] = begin;
                }
            }
        }
    }
}

/* The best cut with at least one layer for each device; false when none fits. */
static bool find_cut(struct search *search, struct cut *cut, bool must_fit)
{
    uint32_t n_layers = search->params->n_layers, end = n_layers;
    search->must_fit = must_fit;
    fill_best(search);
    if (!(search->best[(size_t)(search->n - 1) * (n_layers + 1) + n_layers] < INFINITY)) {
        return false;
    }
    for (uint32_t d = search->n; d-- > 0;) {
        cut->end[d] = end;
        end = search->from[(size_t)d * (n_layers + 1) + end];
    }
    return true;
}

static bool cut_by_bytes(const struct plan_place_params *params, struct cut *cut, struct log *log)
{
    size_t cells = ((size_t)params->n_layers + 1) * cut->n;
    struct search search = {.params = params, .n = cut->n};
    search.sum = mem_alloc((size_t)params->n_layers + 1, sizeof *search.sum);
    search.best = mem_alloc(cells, sizeof *search.best);
    search.from = mem_alloc(cells, sizeof *search.from);
    bool ok = search.sum != NULL && search.best != NULL && search.from != NULL;
    for (uint32_t l = 0; l < params->n_layers && ok; l++) {
        search.sum[l + 1] = add_sat(search.sum[l], params->layer_bytes[l + 1]);
    }
    if (!ok) {
        log_error(log, "placement: out of memory for %u layers", params->n_layers);
    } else if (search.sum[params->n_layers] == UINT64_MAX || !find_cut(&search, cut, true)) {
        find_cut(&search, cut, false); /* it does not fit: for the message */
    }
    mem_free(search.sum);
    mem_free(search.best);
    mem_free(search.from);
    return ok;
}

static bool check_params(const struct plan_place_params *params, struct log *log)
{
    double sum = 0;
    if (params->n_devices == 0 || params->n_devices > PLAN_MAX_DEVICES) {
        log_error(log, "placement: %u devices, must be 1 to %u", params->n_devices,
                  PLAN_MAX_DEVICES);
        return false;
    }
    for (uint32_t d = 0; d < params->n_devices; d++) {
        if (!(params->share[d] >= 0) || !isfinite(params->share[d])) {
            log_error(log, "tensor split: share %u is %g, must be 0 or more", d, params->share[d]);
            return false;
        }
        sum += params->share[d];
    }
    if (!isfinite(sum)) {
        log_error(log, "tensor split: the sum of the shares is not finite");
        return false;
    }
    return true;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* True, or one line about the device that lacks most. */
static bool report_fit(const struct plan_place_params *params, const struct cut *cut,
                       struct log *log)
{
    uint32_t worst = PLAN_NONE;
    uint64_t lacks = 0;
    for (uint32_t d = 0; d < cut->n; d++) {
        uint64_t want = cut_bytes(params, cut, d), has = params->free_bytes[d];
        if (want > has && want - has > lacks) {
            lacks = want - has;
            worst = d;
        }
    }
    if (worst == PLAN_NONE) {
        return true;
    }
    uint32_t first = worst == 0 ? 0 : cut->end[worst - 1], end = cut->end[worst];
    char layers[48] = "no layers";
    struct str advice;
    str_init(&advice);
    if (params->advise != NULL && log != NULL) {
        params->advise(params->advise_user, &advice);
    }
    if (end > first) {
        snprintf(layers, sizeof layers, "layers %u-%u", first, end - 1);
    }
    log_error(log,
              "device [%u]: the model does not fit: %s%s%s take %.1f MiB of weights and KV cache, "
              "%.1f MiB are free%s%s",
              worst, worst == 0 ? "embedding, " : "", layers, worst + 1 == cut->n ? ", head" : "",
              mib(cut_bytes(params, cut, worst)), mib(params->free_bytes[worst]),
              advice.bytes != 0 ? "; would fit: " : "", str_get(&advice));
    str_finish(&advice);
    return false;
}

static bool split_layers(const struct plan_place_params *params, struct cut *cut, struct log *log)
{
    if (!check_params(params, log)) {
        return false;
    }
    *cut = (struct cut){.n = params->n_devices};
    if (params->split == PLAN_SPLIT_NONE || params->n_layers <= 1) {
        cut->n = 1;
    } else if (params->n_layers < cut->n) {
        cut->n = params->n_layers;
    }
    double used = 0;
    for (uint32_t d = 0; d < cut->n; d++) {
        used += params->share[d];
    }
    if (used > 0) {
        cut_by_count(params, cut);
        cut_clamp(cut, params->n_layers);
    } else if (!cut_by_bytes(params, cut, log)) {
        return false;
    }
    return report_fit(params, cut, log);
}

bool plan_map_init(struct plan_map *map, const struct plan_place_params *params, struct log *log)
{
    struct cut cut;
    memset(map, 0, sizeof *map);
    if (!split_layers(params, &cut, log)) {
        return false;
    }
    map->device = mem_alloc((size_t)params->n_layers + 2, sizeof *map->device);
    if (map->device == NULL) {
        log_error(log, "placement: out of memory for %u layers", params->n_layers);
        return false;
    }
    map->n_devices = params->n_devices;
    map->n_layers = params->n_layers;
    for (uint32_t l = 0, d = 0; l < params->n_layers; l++) {
        while (l >= cut.end[d]) {
            d++;
        }
        map->device[l + 1] = d;
    }
    map->device[params->n_layers + 1] = cut.n - 1;
    return true;
}

void plan_map_finish(struct plan_map *map)
{
    mem_free(map->device);
    memset(map, 0, sizeof *map);
}

/* ---- nodes and borders ---- */

static bool set_devices(struct plan *plan, const struct plan_map *map)
{
    for (size_t n = 0; n < plan->n_nodes; n++) {
        struct plan_node *node = &plan->nodes[n];
        if (node->layer < PLAN_LAYER_INPUT || node->layer > (int32_t)map->n_layers) {
            log_error(plan->log, "placement: node %zu is in layer %d of %u", n, (int)node->layer,
                      map->n_layers);
            return false;
        }
        node->device = map->device[node->layer + 1];
        for (uint32_t i = 0; i < node->n_dst && !node->dead; i++) {
            if (plan->tensors[node->dst[i]].role != PLAN_KV) {
                plan->tensors[node->dst[i]].device = node->device;
            }
        }
    }
    for (size_t i = 0; i < plan->n_tensors; i++) {
        struct plan_tensor *tensor = &plan->tensors[i];
        if (tensor->role == PLAN_KV) {
            if (tensor->layer < 0 || tensor->layer >= (int32_t)map->n_layers) {
                log_error(plan->log, "placement: KV cache %s is in layer %d of %u", tensor->name,
                          (int)tensor->layer, map->n_layers);
                return false;
            }
            tensor->device = map->device[tensor->layer + 1];
        } else if (tensor->role == PLAN_IDS_IN) {
            tensor->device = map->device[0];
        }
    }
    return true;
}

/* The tensor on the reader's device that holds a copy of `id`. */
static uint32_t add_border(struct plan *plan, uint32_t id, const struct plan_node *reader)
{
    struct plan_tensor copy = *plan_get_tensor(plan, id);
    char name[sizeof copy.name];
    memcpy(name, copy.name, sizeof name);
    snprintf(copy.name, sizeof copy.name, "%.40s@%u", name, reader->device);
    uint32_t to = plan_add_tensor(plan, &copy);
    struct plan_node border = {.kind = PLAN_BORDER,
                               .n_src = 1,
                               .n_dst = 1,
                               .src = {id},
                               .dst = {to},
                               .in_place = PLAN_NONE};
    return to != PLAN_NONE && plan_add_node(plan, &border) != PLAN_NONE ? to : PLAN_NONE;
}

struct borders {
    size_t n_tensors; /* of the plan without borders */
    uint32_t *copies; /* [n_tensors][PLAN_MAX_DEVICES] */
};

/* Redirects what the node reads from other devices. */
static bool redirect(struct plan *plan, struct plan_node *node, void *user)
{
    struct borders *borders = user;
    for (uint32_t i = 0; i < node->n_src; i++) {
        uint32_t id = node->src[i];
        if (id >= borders->n_tensors || plan->tensors[id].role != PLAN_ACT ||
            plan->tensors[id].device == node->device) {
            continue;
        }
        uint32_t *copy = &borders->copies[(size_t)id * PLAN_MAX_DEVICES + node->device];
        if (*copy == PLAN_NONE) {
            *copy = add_border(plan, id, node);
        }
        if (*copy == PLAN_NONE) {
            return false;
        }
        node->src[i] = *copy;
    }
    return true;
}

static bool insert_borders(struct plan *plan)
{
    size_t n_nodes = plan->n_nodes;
    struct borders borders = {.n_tensors = plan->n_tensors};
    borders.copies = mem_alloc(borders.n_tensors, PLAN_MAX_DEVICES * sizeof *borders.copies);
    bool ok = borders.copies != NULL;
    if (ok) {
        memset(borders.copies, 0xff, borders.n_tensors * PLAN_MAX_DEVICES * sizeof *borders.copies);
        ok = plan_rewrite(plan, redirect, &borders);
    }
    if (!ok) {
        log_error(plan->log, "placement: out of memory for the borders of %zu nodes", n_nodes);
        plan->failed = true;
    }
    mem_free(borders.copies);
    return ok;
}

bool plan_place(struct plan *plan, const struct plan_map *map)
{
    if (plan->failed) {
        return false;
    }
    if (map->n_layers != plan->n_layers) {
        log_error(plan->log, "placement: a map of %u layers for a plan of %u", map->n_layers,
                  plan->n_layers);
        return false;
    }
    plan->n_devices = map->n_devices;
    return set_devices(plan, map) && insert_borders(plan) && plan_check(plan);
}
