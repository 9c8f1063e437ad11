/* Fusions of decode: act(gate x) * (up x) in one, and the norm of x in the matmuls that read it.
 * Both where these run as kernels for few tokens, which have all of x in each work group anyway. */
#include "ops/fuse_internal.h"

#include "ops/matmul_tile.h"
#include "ops/ops.h"

#include <string.h>

enum {
    SRC_W,
    SRC_X,
    SRC_UP,         /* of matmul_gate */
    MOST_TOKENS = 4 /* for which each work group makes the norm */
};

/* It runs as a kernel for few tokens. */
static bool is_few(const struct fuse *f, const struct plan_node *node)
{
    if (f->targets == NULL) {
        return false;
    }
    const struct ops_target *target = &f->targets[node->device];
    const struct ops_variant *best = ops_matmul_best(f->plan, node, target->caps, target->prefs);
    if (best == NULL || !ops_matmul_is_few((enum matmul_kernel)ops_variant_index(node->op, best))) {
        return false;
    }
    const struct dev_shader *shader = best->by_quant != NULL
                                          ? best->by_quant[f->plan->tensors[node->src[SRC_W]].quant]
                                          : best->shader;
    return shader->n_bindings <= target->caps->max_storage_buffers;
}

/* The product that writes a tensor which `reader` alone reads, without a residual. */
static struct plan_node *find_product(const struct fuse *f, uint32_t tensor,
                                      const struct plan_node *reader)
{
    uint32_t n = fuse_find_writer(f, tensor, reader);
    struct plan_node *node = n != PLAN_NONE ? &f->plan->nodes[n] : NULL;
    bool plain = node != NULL && fuse_is_op(node, "matmul") && node->n_src == 2 &&
                 f->plan->tensors[node->src[SRC_X]].elem == PLAN_F32;
    return plain && is_few(f, node) ? node : NULL;
}

/* What matmul_gate runs as on that device. */
static bool has_gate(const struct fuse *f, const struct plan_node *node, uint32_t quant)
{
    const struct op *op = ops_find("matmul_gate");
    const struct ops_need need = {.op = op, .tokens = f->plan->n_tokens, .quant = quant};
    const struct ops_target *target = &f->targets[node->device];
    const char *why;
    return ops_variant_choose(&need, target->caps, target->prefs, &why) != NULL;
}

bool fuse_matmul_gate(struct fuse *f, uint32_t gated)
{
    struct plan_node *node = &f->plan->nodes[gated];
    bool gelu = fuse_is_op(node, "geglu");
    if (!gelu && !fuse_is_op(node, "swiglu")) {
        return false;
    }
    struct plan_node *gate = find_product(f, node->src[0], node);
    struct plan_node *up = find_product(f, node->src[1], node);
    if (gate == NULL || up == NULL || gate == up || gate->src[SRC_X] != up->src[SRC_X]) {
        return false;
    }
    const struct plan_tensor *a = &f->plan->tensors[gate->src[SRC_W]];
    const struct plan_tensor *b = &f->plan->tensors[up->src[SRC_W]];
    if (a->quant != b->quant || a->rows != b->rows || !has_gate(f, node, a->quant)) {
        return false;
    }
    const struct op_matmul_gate_attr attr = {.gelu = gelu ? 1 : 0};
    uint32_t x = gate->src[SRC_X];
    f->uses[node->src[0]] = f->uses[node->src[1]] = (struct fuse_use){.writer = PLAN_NONE};
    f->uses[x].n_readers--;
    node->op = ops_find("matmul_gate");
    node->src[SRC_UP] = up->src[SRC_W];
    node->src[SRC_W] = gate->src[SRC_W];
    node->src[SRC_X] = x;
    node->src[3] = node->src[MATMUL_SRC_NORM] = PLAN_NONE;
    node->n_src = MATMUL_SRC_NORM + 1;
    node->in_place = PLAN_NONE;
    memcpy(node->attr, &attr, sizeof attr);
    gate->dead = up->dead = true;
    return true;
}

/* It reads x as its activations alone, and can make the norm. */
static bool takes_norm(const struct fuse *f, const struct plan_node *node, uint32_t x)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < node->n_src; i++) {
        n += node->src[i] == x ? 1 : 0;
    }
    bool gate = fuse_is_op(node, "matmul_gate");
    return n == 1 && node->src[SRC_X] == x && (gate || fuse_is_op(node, "matmul")) &&
           !ops_matmul_has_norm(node) && (gate || is_few(f, node));
}

static void set_norm(struct plan_node *node, const struct plan_node *norm)
{
    float eps = ((const struct op_rmsnorm_attr *)(const void *)norm->attr)->eps;
    while (node->n_src <= MATMUL_SRC_NORM) {
        node->src[node->n_src++] = PLAN_NONE;
    }
    node->src[SRC_X] = norm->src[0];
    node->src[MATMUL_SRC_NORM] = norm->src[1];
    if (fuse_is_op(node, "matmul_gate")) {
        ((struct op_matmul_gate_attr *)(void *)node->attr)->eps = eps;
    } else {
        ((struct op_matmul_attr *)(void *)node->attr)->eps = eps;
    }
}

/* Not on CPU devices, whose kernels read x where it lies. Norms of groups of columns have a weight
 * of a group's columns. */
bool fuse_norm_matmul(struct fuse *f, uint32_t at)
{
    struct plan *plan = f->plan;
    struct plan_node *norm = &plan->nodes[at];
    if (!fuse_is_op(norm, "rmsnorm") || norm->n_src != 2 ||
        plan->tensors[norm->src[0]].cols != plan->tensors[norm->src[1]].cols ||
        plan->tensors[norm->src[0]].cols % 4 != 0 ||
        plan->tensors[norm->src[0]].rows > MOST_TOKENS) {
        return false;
    }
    uint32_t y = norm->dst[0], readers = 0;
    for (uint32_t n = at + 1; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        if (!node->dead && node->kind == PLAN_OP && node->device == norm->device &&
            takes_norm(f, node, y)) {
            readers++;
        }
    }
    if (readers == 0 || readers != f->uses[y].n_readers) {
        return false;
    }
    for (uint32_t n = at + 1; n < plan->n_nodes; n++) {
        struct plan_node *node = &plan->nodes[n];
        if (!node->dead && node->kind == PLAN_OP && node->src[SRC_X] == y) {
            set_norm(node, norm);
        }
    }
    f->uses[norm->src[0]].n_readers += readers - 1;
    f->uses[y] = (struct fuse_use){.writer = PLAN_NONE};
    norm->dead = true;
    return true;
}
