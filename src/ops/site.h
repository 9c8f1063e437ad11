/* Helpers of the ops' builders and recorders. */
#ifndef QUADRIGA_OPS_SITE_H
#define QUADRIGA_OPS_SITE_H

#include "ops/variant.h"

/* Splits `count` workgroups over dimensions `dim` and `dim` + 1 (0 or 1) under the device's limit
 * of the first, which is often larger for x than for y; the kernel computes y * gl_NumWorkGroups.x
 * + x (or z * gl_NumWorkGroups.y + y) and checks for the end. The third one is the caller's. */
void ops_fold(const struct dev_caps *caps, uint32_t dim, uint64_t count, uint32_t groups[3]);

/* Invocations of the largest workgroup of one dimension; of kernels that require the size of their
 * subgroups, `by_subgroups`, no more than a workgroup may have of those. */
uint32_t ops_most_local(const struct dev_caps *caps, bool by_subgroups);

/* Kernels of the ops whose workgroups have a size that is chosen here. Convention of their shaders:
 * spec constant 0 is that size (local_size_x_id = 0). NULL: logged. */
/* One subgroup is a workgroup; spec constant 1 is the subgroup size, which is required. */
struct dev_kernel *ops_lanes_kernel(struct dev *dev, const struct dev_shader *shader);
/* One workgroup loops over `items`, a few each: 64 to 512 invocations, a power of two within the
 * device's limit, or what was measured ("local"); spec constant 1 is the size
 * too. */
struct dev_kernel *ops_loop_kernel(const struct op_site *site, const struct plan_node *node,
                                   const struct ops_variant *variant, uint64_t tokens,
                                   uint64_t items);
/* The same before it is made, for one with more constants. */
struct dev_kernel_params ops_loop_params(const struct op_site *site, const struct plan_node *node,
                                         const struct ops_variant *variant, uint64_t tokens,
                                         uint64_t items);
/* The same for a row of x, whose one work group has the device for itself: the largest, up to
 * 1,024, that still gives each lane 8 columns, where nothing else was tuned. */
struct dev_kernel *ops_row_kernel(const struct op_site *site, const struct plan_node *node,
                                  const struct ops_variant *variant, const struct plan_tensor *x);
/* One more specialization constant. */
void ops_add_spec(struct dev_kernel_params *params, uint32_t id, uint32_t value);
/* Nothing to choose. */
struct dev_kernel *ops_fixed_kernel(struct dev *dev, const struct dev_shader *shader);

/* Adds a node of one result and returns the result's id. `node` has op, sources and attributes. */
uint32_t ops_add_result(struct plan *plan, struct plan_node *node, const char *name, uint64_t rows,
                        uint64_t cols);

/* Adds a node of one result, which the host reads, and returns the result's id. `node` has op,
 * sources and attributes; `what` the result's role, type and shape. */
uint32_t ops_add_output(struct plan *plan, struct plan_node *node, const char *name,
                        const struct plan_tensor *what);

/* New u32 activation, named as by plan_add_act. */
uint32_t ops_add_words(struct plan *plan, const char *name, uint64_t rows, uint64_t cols);

/* Builder of an op on two activations of one shape, element by element; the result may take the
 * place of the first. */
uint32_t ops_add_pair(struct plan *plan, const struct op *op, const char *name, uint32_t a,
                      uint32_t b);

/* The tensor, or NULL (logged with the op's name, plan->failed set) when the id is PLAN_NONE, its
 * elements are not of this type, or they are too many for the shaders' 32-bit indices. */
const struct plan_tensor *ops_operand(struct plan *plan, const char *op, const char *what,
                                      uint32_t id, enum plan_elem elem);
/* Logs "op: <text>" for a shape that does not fit and marks the plan as failed. */
uint32_t ops_refuse(struct plan *plan, const char *op, const char *fmt, ...) LOG_PRINTF(3, 4);

/* A KV cache of a type that kernels read, its heads whole blocks; and what they call the type. */
bool ops_is_cache(const struct plan_tensor *tensor, uint32_t head_dim);
uint32_t ops_cache_type(enum plan_elem elem);
/* It is that, of so many heads and slots. */
bool ops_cache_fits(const struct plan_tensor *cache, uint32_t kv_heads, uint32_t head_dim,
                    uint32_t slots);
/* Values of a head that an invocation stores at a time in both caches (tensor ids): a pair, or a
 * block where one of them is quantized. */
uint32_t ops_cache_unit(const struct plan *plan, uint32_t k_cache, uint32_t v_cache);

/* Both caches of a node (tensor ids) lie in segments of the same heads; false: logged. */
bool ops_same_segments(const struct op_site *site, const struct plan_node *node, uint32_t k_cache,
                       uint32_t v_cache);
/* The segment of a cache that a node writes: two scales of a quantized one share a word, which is
 * changed by atomic operations. */
struct dev_bind ops_bind_cache(const struct op_site *site, uint32_t cache, uint32_t segment);

/* The variant for a node whose rows are those of `x`; "lanes" rows read x as a texel buffer. */
const struct ops_variant *ops_pick_texel(const struct op_site *site, const struct plan_node *node,
                                         const struct plan_tensor *x);
/* The variant of an op without formats that any of its rows can run. */
const struct ops_variant *ops_pick_any(const struct op_site *site, const struct plan_node *node);

/* True when the tensor can be read as a texel buffer of four columns each. */
bool ops_is_texel(const struct plan_tensor *tensor, const struct dev_caps *caps);

/* Binds the tensors, records one dispatch. */
struct ops_dispatch {
    struct dev_kernel *kernel;
    uint32_t n;
    uint32_t tensors[DEV_MAX_BINDINGS]; /* by binding number */
    enum dev_access access[DEV_MAX_BINDINGS];
    const void *push;
    uint32_t push_bytes;
    uint64_t groups; /* folded */
    const char *label;
};
bool ops_record(const struct op_site *site, const struct ops_dispatch *dispatch);

/* Bytes of a tensor, for op costs. */
double ops_bytes(const struct plan *plan, uint32_t tensor);

#endif
