/* Where activations lie: lifetimes from the order of the nodes, then first fit, the largest first,
 * in the scratch of each device. A result that may overwrite an operand shares its place. */
#include "plan/plan.h"

#include "plan/op.h"

#include <stdlib.h>
#include <string.h>

/* Tensors that share one place: a chain of in-place results. Alive over [first, last]. */
struct group {
    uint32_t device, first, last;
    uint64_t bytes, offset;
};

struct memory {
    struct plan *plan;
    uint32_t *group_of; /* [n_tensors]; PLAN_NONE: not an activation that is written */
    struct group *groups;
    uint32_t n_groups;
    uint32_t *order;  /* groups, largest first */
    uint32_t *placed; /* groups of one device with an offset, lowest first */
};

/* ---- lifetimes ---- */

static bool set_lifetimes(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        struct plan_tensor *tensor = &plan->tensors[i];
        tensor->first = tensor->last = PLAN_NONE;
        tensor->offset = tensor->bytes = 0;
    }
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        for (uint32_t i = 0; i < node->n_src && !node->dead; i++) {
            if (node->src[i] != PLAN_NONE) {
                plan->tensors[node->src[i]].last = n;
            }
        }
        for (uint32_t i = 0; i < node->n_dst && !node->dead; i++) {
            struct plan_tensor *tensor = &plan->tensors[node->dst[i]];
            tensor->first = tensor->first == PLAN_NONE ? n : tensor->first;
            tensor->last = n;
        }
    }
    for (size_t i = 0; i < plan->n_tensors; i++) {
        struct plan_tensor *tensor = &plan->tensors[i];
        if (tensor->role != PLAN_ACT || tensor->first == PLAN_NONE) {
            continue;
        }
        uint64_t bytes = plan_tensor_bytes(tensor);
        if (tensor->device >= plan->n_devices || bytes == 0 || bytes > UINT64_MAX - PLAN_ALIGN) {
            log_error(plan->log, "plan: activation %s of %llu bytes on device %u cannot be placed",
                      tensor->name, (unsigned long long)bytes, tensor->device);
            return false;
        }
        tensor->bytes = size_round(bytes, PLAN_ALIGN);
    }
    return true;
}

/* The operand whose place the result of node n may take, PLAN_NONE if none: it dies here, is of
 * the same size, and the node reads it only as that operand. */
static uint32_t find_in_place(const struct plan *plan, uint32_t n)
{
    const struct plan_node *node = &plan->nodes[n];
    if (node->dead || node->in_place == PLAN_NONE || node->src[node->in_place] == PLAN_NONE) {
        return PLAN_NONE;
    }
    uint32_t id = node->src[node->in_place];
    const struct plan_tensor *src = &plan->tensors[id], *dst = &plan->tensors[node->dst[0]];
    if (src->role != PLAN_ACT || dst->role != PLAN_ACT || src->device != dst->device ||
        src->last != n || plan_tensor_bytes(src) != plan_tensor_bytes(dst)) {
        return PLAN_NONE;
    }
    for (uint32_t i = 0; i < node->n_src; i++) {
        if (i != node->in_place && node->src[i] == id) {
            return PLAN_NONE;
        }
    }
    return id;
}

/* ---- groups ---- */

static void join(struct memory *mem, uint32_t id, uint32_t g)
{
    const struct plan_tensor *tensor = &mem->plan->tensors[id];
    struct group *group = &mem->groups[g];
    if (g == mem->n_groups) {
        mem->n_groups++;
        *group =
            (struct group){.device = tensor->device, .first = tensor->first, .last = tensor->last};
    }
    group->last = tensor->last > group->last ? tensor->last : group->last;
    group->bytes = tensor->bytes > group->bytes ? tensor->bytes : group->bytes;
    mem->group_of[id] = g;
}

static void make_groups(struct memory *mem)
{
    struct plan *plan = mem->plan;
    memset(mem->group_of, 0xff, plan->n_tensors * sizeof *mem->group_of);
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        uint32_t src = find_in_place(plan, n);
        for (uint32_t i = 0; i < node->n_dst && !node->dead; i++) {
            uint32_t id = node->dst[i];
            if (plan->tensors[id].role == PLAN_ACT && mem->group_of[id] == PLAN_NONE) {
                bool shares = i == 0 && src != PLAN_NONE;
                join(mem, id, shares ? mem->group_of[src] : mem->n_groups);
            }
        }
    }
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a, *y = *(const struct group *const *)b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x < y ? -1 : x > y;
}

static bool sort_groups(struct memory *mem)
{
    const struct group **sorted = mem_alloc(mem->n_groups, sizeof *sorted);
    if (sorted == NULL) {
        return false;
    }
    for (uint32_t g = 0; g < mem->n_groups; g++) {
        sorted[g] = &mem->groups[g];
    }
    qsort(sorted, mem->n_groups, sizeof *sorted, compare_groups);
    for (uint32_t g = 0; g < mem->n_groups; g++) {
        mem->order[g] = (uint32_t)(sorted[g] - mem->groups);
    }
    mem_free(sorted);
    return true;
}

/* ---- offsets ---- */

static bool together(uint32_t first_a, uint32_t last_a, uint32_t first_b, uint32_t last_b)
{
    return first_a <= last_b && first_b <= last_a;
}

/* Lowest gap between the groups of the same device that are alive with this one. */
static bool place_group(struct memory *mem, struct group *group, uint32_t n_placed)
{
    uint64_t offset = 0, end;
    uint32_t at = n_placed;
    for (uint32_t i = 0; i < n_placed; i++) {
        const struct group *other = &mem->groups[mem->placed[i]];
        if (!together(group->first, group->last, other->first, other->last)) {
            continue;
        }
        if (other->offset >= offset && other->offset - offset >= group->bytes) {
            break;
        }
        end = other->offset + other->bytes;
        offset = end > offset ? end : offset;
    }
    if (!size_add(offset, group->bytes, &end)) {
        return false;
    }
    group->offset = offset;
    while (at > 0 && mem->groups[mem->placed[at - 1]].offset > offset) {
        mem->placed[at] = mem->placed[at - 1];
        at--;
    }
    mem->placed[at] = (uint32_t)(group - mem->groups);
    uint64_t *scratch = &mem->plan->scratch[group->device];
    *scratch = end > *scratch ? end : *scratch;
    return true;
}

static bool place_groups(struct memory *mem)
{
    for (uint32_t d = 0; d < mem->plan->n_devices; d++) {
        uint32_t n_placed = 0;
        for (uint32_t i = 0; i < mem->n_groups; i++) {
            struct group *group = &mem->groups[mem->order[i]];
            if (group->device != d) {
                continue;
            }
            if (!place_group(mem, group, n_placed++)) {
                log_error(mem->plan->log, "plan: activations of device %u do not fit 64 bits", d);
                return false;
            }
        }
    }
    return true;
}

bool plan_memory(struct plan *plan)
{
    memset(plan->scratch, 0, sizeof plan->scratch);
    if (plan->failed || !set_lifetimes(plan)) {
        return false;
    }
    struct memory mem = {.plan = plan};
    mem.group_of = mem_alloc(plan->n_tensors, sizeof *mem.group_of);
    mem.groups = mem_alloc(plan->n_tensors, sizeof *mem.groups);
    mem.order = mem_alloc(plan->n_tensors, sizeof *mem.order);
    mem.placed = mem_alloc(plan->n_tensors, sizeof *mem.placed);
    bool ok = mem.group_of != NULL && mem.groups != NULL && mem.order != NULL && mem.placed != NULL;
    if (ok) {
        make_groups(&mem);
        ok = sort_groups(&mem);
    }
    if (!ok) {
        log_error(plan->log, "plan: out of memory to place %zu tensors", plan->n_tensors);
    }
    ok = ok && place_groups(&mem);
    for (uint32_t id = 0; id < plan->n_tensors && ok; id++) {
        if (mem.group_of[id] != PLAN_NONE) {
            plan->tensors[id].offset = mem.groups[mem.group_of[id]].offset;
        }
    }
    mem_free(mem.group_of);
    mem_free(mem.groups);
    mem_free(mem.order);
    mem_free(mem.placed);
    return ok;
}

/* ---- proof ---- */

/* May b lie where a lies although they meet? Only as the in-place result of a's last reader. */
static bool may_share(const struct plan *plan, uint32_t a, uint32_t b)
{
    uint32_t n = plan->tensors[b].first;
    return plan->tensors[a].last == n && plan->nodes[n].n_dst > 0 && plan->nodes[n].dst[0] == b &&
           find_in_place(plan, n) == a && plan->tensors[a].offset == plan->tensors[b].offset;
}

static bool pair_is_sound(const struct plan *plan, uint32_t a, uint32_t b)
{
    const struct plan_tensor *x = &plan->tensors[a], *y = &plan->tensors[b];
    if (x->device != y->device || !together(x->first, x->last, y->first, y->last) ||
        x->offset >= y->offset + y->bytes || y->offset >= x->offset + x->bytes ||
        may_share(plan, a, b) || may_share(plan, b, a)) {
        return true;
    }
    log_error(plan->log, "plan: %s and %s overlap in the scratch of device %u", x->name, y->name,
              x->device);
    return false;
}

static bool tensor_is_sound(const struct plan *plan, uint32_t id)
{
    const struct plan_tensor *tensor = &plan->tensors[id];
    uint64_t end;
    if (tensor->device >= plan->n_devices || tensor->offset % PLAN_ALIGN != 0 ||
        tensor->bytes < plan_tensor_bytes(tensor) ||
        !size_add(tensor->offset, tensor->bytes, &end) || end > plan->scratch[tensor->device]) {
        log_error(plan->log,
                  "plan: %s at %llu of %llu bytes does not lie in the scratch of device %u",
                  tensor->name, (unsigned long long)tensor->offset,
                  (unsigned long long)tensor->bytes, tensor->device);
        return false;
    }
    return true;
}

static bool is_placed(const struct plan_tensor *tensor)
{
    return tensor->role == PLAN_ACT && tensor->first != PLAN_NONE;
}

bool plan_memory_check(const struct plan *plan)
{
    for (uint32_t a = 0; a < plan->n_tensors; a++) {
        if (!is_placed(&plan->tensors[a])) {
            continue;
        }
        if (!tensor_is_sound(plan, a)) {
            return false;
        }
        for (uint32_t b = 0; b < a; b++) {
            if (is_placed(&plan->tensors[b]) && !pair_is_sound(plan, a, b)) {
                return false;
            }
        }
    }
    return true;
}
