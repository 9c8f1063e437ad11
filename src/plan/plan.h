/* The plan: what one step computes, as plain data, built without a GPU.
 *
 * A plan is a list of tensors and a list of nodes in execution order, made for a fixed number of
 * tokens. Passes run over it in this order, one file each:
 *
 *     build   (src/arch, src/ops)  nodes of the model
 *     place   place.c              node -> device, border nodes where an activation changes device
 *     fuse    src/ops/fuse.c       never across a border or the end of a layer
 *     lower   src/ops/lower.c      operands in the form that each device's kernels read
 *     fuse                         once more, what has to do with that form
 *     memory  memory.c             lifetimes of activations -> offsets in each device's scratch
 *     record  src/run/record.c     nodes -> commands
 *
 * One device is the case without borders. Everything printable: dump.c.
 * Thread rule: a plan is built by one thread and then only read. */
#ifndef QUADRIGA_PLAN_PLAN_H
#define QUADRIGA_PLAN_PLAN_H

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "quant/quant.h"

#include <stdint.h>

#define PLAN_NONE        UINT32_MAX
#define PLAN_MAX_SRC     8
#define PLAN_MAX_DST     3
#define PLAN_ATTR_BYTES  64
#define PLAN_MAX_DEVICES 4
#define PLAN_ALIGN       256 /* of every activation's offset: the largest alignment Vulkan allows */

struct op; /* plan/op.h */

enum plan_role {
    PLAN_ACT,     /* activation [rows = tokens][cols], in the scratch of one device */
    PLAN_WEIGHT,  /* weight number `weight` of the model: [rows = outputs][cols = inputs] */
    PLAN_KV,      /* K or V cache of layer `layer`: [rows = KV heads][slots][head_dim] as
                     rows = KV heads, cols = slots * head_dim */
    PLAN_STEP,    /* the step buffer (shaders/common/step.h) of the device: u32 words */
    PLAN_IDS_IN,  /* u32[tokens]: token ids the device wrote in the last step (chained decode) */
    PLAN_IDS_OUT, /* u32: what was chosen of each row of logits (argmax, topk) */
    PLAN_LOGITS,  /* f32 [n_out][vocab], read by the host */
    PLAN_SCORES,  /* f32 [n_out][1], read by the host in place of the logits */
};

enum plan_elem {
    PLAN_F32,
    PLAN_F16,
    PLAN_U32,
    PLAN_QUANT, /* weights: see `quant` */
    PLAN_Q8_0,  /* KV caches in blocks of 32 values along head_dim: shaders/common/kv_types.h */
    PLAN_Q4_0,
    PLAN_S8, /* activations as signed bytes, their scales beside them: op_stage_q8 */
};

struct plan_tensor {
    char name[48]; /* "blk.3.attn_norm" */
    enum plan_role role;
    enum plan_elem elem;
    enum quant_id quant; /* PLAN_WEIGHT */
    uint64_t rows, cols; /* cols is contiguous */
    uint32_t weight;     /* PLAN_WEIGHT: index into the model's weights; else PLAN_NONE */
    int32_t layer;       /* PLAN_KV: layer; else that of the producing node */
    bool is_value;       /* PLAN_KV: V and not K */
    /* set by place (activations, KV, ids, logits); PLAN_NONE for weights and the step buffer,
       which are on every device that uses them */
    uint32_t device;
    /* set by memory (activations only) */
    uint64_t offset, bytes;
    uint32_t first, last; /* nodes that first write and last read it */
};

enum plan_node_kind {
    PLAN_OP,     /* run `op` */
    PLAN_BORDER, /* copy activation src[0] of one device to dst[0] of another, fp32 */
};

/* Layer numbers of nodes outside the layers. */
enum { PLAN_LAYER_INPUT = -1 }; /* embedding; the head has layer == n_layers */

struct plan_node {
    enum plan_node_kind kind;
    const struct op *op; /* NULL for borders */
    uint32_t n_src, n_dst;
    uint32_t src[PLAN_MAX_SRC]; /* tensor ids; PLAN_NONE for an optional one that is absent */
    uint32_t dst[PLAN_MAX_DST];
    uint32_t in_place; /* index into src: dst[0] may take that tensor's memory if it dies here;
                          PLAN_NONE: never */
    int32_t layer;
    uint32_t device;                                 /* set by place */
    bool dead;                                       /* removed by fuse */
    _Alignas(8) unsigned char attr[PLAN_ATTR_BYTES]; /* the op's own struct, see ops/ops.h */
};

struct plan {
    struct log *log;
    uint32_t n_tokens; /* of one step */
    uint32_t n_out;    /* rows of logits asked for: 0..n_tokens; 0: no head */
    uint32_t n_layers;
    int32_t layer; /* build: given to the nodes that are added */
    uint32_t n_devices;
    struct plan_tensor *tensors;
    size_t n_tensors, cap_tensors;
    struct plan_node *nodes;
    size_t n_nodes, cap_nodes;
    uint64_t scratch[PLAN_MAX_DEVICES]; /* bytes of activations, set by memory */
    bool failed; /* an add failed (logged): later adds do nothing, callers check once */
};

/* ---- build.c ---- */
const char *plan_elem_name(enum plan_elem elem); /* "f16" */
uint32_t plan_elem_block(enum plan_elem elem);   /* values that lie together: 32 or 1 */
/* Bytes of n values, a multiple of the block; not of weights. False: they do not fit 64 bits. */
bool plan_elem_bytes(enum plan_elem elem, uint64_t n, uint64_t *bytes);
void plan_init(struct plan *plan, struct log *log, uint32_t n_tokens, uint32_t n_out,
               uint32_t n_layers);
void plan_finish(struct plan *plan);
/* Ids of the new tensor or node; PLAN_NONE after a failure. Templates are copied; layer (but for
 * KV: the template's) and device are set here and by place. */
uint32_t plan_add_tensor(struct plan *plan, const struct plan_tensor *tensor);
uint32_t plan_add_node(struct plan *plan, const struct plan_node *node);
/* New f32 activation [rows][cols] named after the current layer: "blk.3.<name>". */
uint32_t plan_add_act(struct plan *plan, const char *name, uint64_t rows, uint64_t cols);
/* The tensor of this role, made once per plan (STEP, IDS_IN) or per weight number. */
uint32_t plan_get_step(struct plan *plan, uint64_t words);
uint32_t plan_get_weight(struct plan *plan, uint32_t weight, const char *name, enum quant_id quant,
                         uint64_t rows, uint64_t cols);
/* Never NULL: an id that does not exist gives an empty tensor of 0 x 0. Valid until one is added.
 */
const struct plan_tensor *plan_get_tensor(const struct plan *plan, uint32_t id);
uint64_t plan_tensor_bytes(const struct plan_tensor *tensor); /* not for PLAN_QUANT; 0 overflow */
/* Ids in range, sources written before they are read, each activation written once; after place
 * also: a node reads and writes on its own device alone, borders join device d to d + 1. */
bool plan_check(const struct plan *plan);

/* ---- place.c ---- */
enum plan_split { PLAN_SPLIT_NONE, PLAN_SPLIT_LAYER };

struct plan_place_params {
    uint32_t n_devices;
    enum plan_split split;          /* NONE: everything on device 0 */
    double share[PLAN_MAX_DEVICES]; /* -ts; all zero: by free memory */
    uint64_t free_bytes[PLAN_MAX_DEVICES];
    uint32_t n_layers;
    const uint64_t *layer_bytes; /* [n_layers + 2] weights + KV: embedding, layers 0.., head */
    /* Says what would fit, for the end of the line about what does not; NULL: nothing. */
    void (*advise)(void *user, struct str *out);
    void *advise_user;
};
struct plan_map {
    uint32_t n_devices, n_layers;
    uint32_t *device; /* [n_layers + 2]: embedding, layer 0.., head; non-decreasing */
};
/* Contiguous layers per device, embedding on the first used device, head on the last; each device
 * that is named gets at least one layer while there are enough layers, else the last devices stay
 * unused. By memory: bytes of layers in proportion to free bytes (the least sum of bytes^2 / free
 * where everything fits; equal devices get equal numbers, a tie goes to the front). With -ts,
 * layers are counted by cumulative shares, the head as one more layer, as llama.cpp does. False
 * with one line naming device, MiB wanted and MiB free when the model does not fit; nothing is
 * logged where log is NULL. */
bool plan_map_init(struct plan_map *map, const struct plan_place_params *params, struct log *log);
void plan_map_finish(struct plan_map *map);
/* Gives each node its device and inserts the border nodes: one per activation and device that reads
 * it, right before the first reader; its result is named "<name>@<device>". */
bool plan_place(struct plan *plan, const struct plan_map *map);

/* ---- rewrite.c ---- */
/* Called with a copy of each live node in order: nodes that it adds come to lie before it, in its
 * layer and on its device, and it may change the node's operands. False: the plan has failed. */
typedef bool plan_visit(struct plan *plan, struct plan_node *node, void *user);
/* Builds the list of nodes of a placed plan anew. False: `visit` failed or memory is out, and so
 * has the plan; the list is then incomplete. */
bool plan_rewrite(struct plan *plan, plan_visit *visit, void *user);

/* ---- memory.c ---- */
/* Lifetimes -> offsets (first fit, greedy by size), in-place reuse; fills scratch[]. Tensors that
 * are alive at the same time never overlap; plan_memory_check proves it. */
bool plan_memory(struct plan *plan);
bool plan_memory_check(const struct plan *plan);

/* ---- dump.c ---- */
/* One line per live node: number, device, layer, op, sources -> destinations as name, element type,
 * [rows,columns] and @offset of activations; then one line per device: bytes of its scratch. */
void plan_dump(const struct plan *plan, struct str *out);

#endif
