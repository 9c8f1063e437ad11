/* What the kernels of each device are chosen by beside its capabilities: the profile that a
 * self-test or tuning left, and what somebody asked to do without. Says what is not used; the
 * choice itself is made in src/ops. */
#include "run/run.h"

#include "ops/matmul_split.h"
#include "ops/profile.h"

#include <stdio.h>
#include <string.h>

enum run_status run_prefs_caps(const struct run_model *model, const struct run_params *params,
                               uint32_t *caps_off)
{
    struct ops_prefs asked = {0};
    char error[128];
    *caps_off = params->caps_off;
    bool ok = ops_disable_parse(params->disable, caps_off, &asked, error, sizeof error);
    ops_prefs_finish(&asked);
    if (!ok) {
        log_error(model->log, "disable: %s", error);
    }
    return ok ? RUN_OK : RUN_BAD_ARGUMENT;
}

static bool same_file(const struct dev_info *a, const struct dev_info *b)
{
    return a->vendor_id == b->vendor_id && a->device_id == b->device_id &&
           memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0 &&
           memcmp(a->driver_uuid, b->driver_uuid, sizeof a->driver_uuid) == 0;
}

static void say_profile(const struct run_model *model, uint32_t d)
{
    const struct run_device *device = &model->devices[d];
    const struct dev_info *info = dev_get_info(device->dev);
    for (size_t i = 0; i < device->prefs.n_off; i++) {
        const struct ops_off *off = &device->prefs.off[i];
        log_warn(model->log,
                 "device %u (%s): kernel %s/%s is not used: it failed the self-test: %s",
                 info->index, info->name, off->op, off->variant, off->why);
    }
    if (device->prefs.n_tuned != 0) {
        log_info(model->log,
                 "device %u (%s): %zu sets of tile parameters are those that were measured",
                 info->index, info->name, device->prefs.n_tuned);
    }
}

bool run_prefs_init(struct run_model *model, const struct run_params *params, uint32_t d,
                    const char *dir)
{
    struct run_device *device = &model->devices[d];
    const struct dev_info *info = dev_get_info(device->dev);
    bool known = false, read = false; /* the device, its file: what is said of them was said */
    for (uint32_t k = 0; k < d; k++) {
        const struct dev_info *other = dev_get_info(model->devices[k].dev);
        known = known || other->index == info->index;
        read = read || same_file(other, info);
    }
    if (dir != NULL && ops_profile_load(&device->prefs, dir, info, read ? NULL : model->log) &&
        !known) {
        say_profile(model, d);
    }
    device->prefs.act_q8 = params->act_q8;
    device->prefs.act_exact = params->act_exact;
    uint32_t caps = 0; /* masked when the device was opened */
    char error[128];
    if (!ops_disable_parse(params->disable, &caps, &device->prefs, error, sizeof error)) {
        log_error(model->log, "disable: %s", error);
        return false;
    }
    return true;
}

/* The format that decides the kernel: that of the weight which the node reads. */
static uint32_t node_quant(const struct plan *plan, const struct plan_node *node)
{
    for (uint32_t s = 0; s < node->n_src; s++) {
        const struct plan_tensor *tensor =
            node->src[s] != PLAN_NONE ? plan_get_tensor(plan, node->src[s]) : NULL;
        if (tensor != NULL && tensor->role == PLAN_WEIGHT) {
            return tensor->quant;
        }
    }
    return QUANT_COUNT;
}

static bool check_plan(const struct run_model *model, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (node->dead || node->kind == PLAN_BORDER) {
            continue;
        }
        const struct run_device *device = &model->devices[node->device];
        const struct ops_need need = {.op = node->op,
                                      .tokens = plan->n_tokens,
                                      .quant = node_quant(plan, node),
                                      .x = ops_node_x(plan, node)};
        const char *why;
        if (device->prefs.n_off != 0 &&
            ops_variant_choose(&need, dev_get_caps(device->dev), &device->prefs, &why) == NULL) {
            log_error(model->log,
                      "device %u (%s): %s: every kernel that this device could run is switched off",
                      device->index, dev_get_info(device->dev)->name, node->op->name);
            return false;
        }
    }
    return true;
}

/* Why the first device has no kernel of matmul that reads quantized activations; else why a shape
 * has none. */
static void say_why_f16(const struct run_model *model, char *why, size_t why_bytes)
{
    const struct op *matmul = ops_find("matmul");
    snprintf(why, why_bytes, "no kernel for their formats, sizes or so few tokens");
    for (uint32_t i = 0; i < matmul->n_variants; i++) {
        const struct ops_variant *v = &matmul->variants[i];
        char missing[96];
        if (v->x == PLAN_S8 && ops_prefs_is_off(&model->devices[0].prefs, matmul->name, v->name)) {
            snprintf(why, why_bytes, "kernel %s is switched off", v->name);
        } else if (v->x == PLAN_S8 && !ops_variant_supported(v, dev_get_caps(model->devices[0].dev),
                                                             missing, sizeof missing)) {
            snprintf(why, why_bytes, "kernel %s: %s", v->name, missing);
        }
    }
}

/* What came of act_q8 in the plan of a prompt's chunk. */
static void say_act(const struct run_model *model, const struct plan *plan)
{
    uint32_t all = 0, quantized = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (!node->dead && node->kind == PLAN_OP && strncmp(node->op->name, "matmul", 6) == 0) {
            all++;
            quantized += ops_node_x(plan, node) == PLAN_S8 ? 1 : 0;
        }
    }
    if (quantized != 0) {
        log_info(model->log, "%u of %u products of a prompt read activations in 8 bits", quantized,
                 all);
        return;
    }
    char why[128];
    say_why_f16(model, why, sizeof why);
    log_warn(model->log,
             "activations stay as they are, not q8: of the %u products of a prompt, %u tokens at a "
             "time, none can read them in 8 bits (%s)",
             all, plan->n_tokens, why);
}

bool run_prefs_check(const struct run_model *model)
{
    /* One token, a chunk, one that only fills the caches, one with copies: nodes differ. */
    const struct run_shape shape[] = {{.n_tokens = 1, .n_out = 1, .ids = true},
                                      {.n_tokens = model->n_batch, .n_out = model->max_out},
                                      {.n_tokens = model->n_batch},
                                      {.n_tokens = model->n_batch,
                                       .n_out = model->max_out,
                                       .copies = run_most_copies(model),
                                       .scores = true}};
    for (uint32_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        struct plan plan;
        if (!run_plan_init(model, &plan, &model->map, &shape[i])) {
            return false;
        }
        bool ok = check_plan(model, &plan);
        if (ok && i == 1 && model->devices[0].prefs.act_q8) {
            say_act(model, &plan);
        }
        plan_finish(&plan);
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool run_prefs_top(const struct run_model *model)
{
    const struct run_device *device = &model->devices[run_head_device(model)];
    const struct dev_caps *caps = dev_get_caps(device->dev);
    const struct ops_need need = {.op = ops_find("topk"), .tokens = 1, .quant = QUANT_COUNT};
    const char *why;
    return (caps->has & DEV_CAP_CPU) == 0 &&
           ops_variant_choose(&need, caps, &device->prefs, &why) != NULL;
}

void run_prefs_describe(const struct run_model *model, uint32_t d, struct str *out)
{
    const struct run_device *device = &model->devices[d];
    const struct ops_prefs *prefs = &device->prefs;
    uint32_t masked =
        dev_instance_info(model->inst, device->index)->caps.has & ~dev_get_caps(device->dev)->has;
    const char *joint = " without ";
    if (prefs->n_off == 0 && prefs->n_tuned == 0 && masked == 0) {
        return;
    }
    str_printf(out, "     ");
    for (uint32_t bit = 0; bit < 32; bit++) {
        if ((masked >> bit & 1u) != 0) {
            str_printf(out, "%scapability %s", joint, dev_cap_name(1u << bit));
            joint = ", ";
        }
    }
    for (size_t i = 0; i < prefs->n_off; i++) {
        const struct ops_off *off = &prefs->off[i];
        bool fusion = strcmp(off->op, OPS_FUSE) == 0;
        if (strcmp(off->variant, OPS_SPLIT) == 0) {
            str_printf(out, "%ssplit products", joint);
        } else {
            str_printf(out, "%s%s %s/%s%s", joint, fusion ? "fusion" : "kernel",
                       off->op[0] != '\0' ? off->op : "*", off->variant,
                       off->why[0] != '\0' ? " (failed the self-test)" : "");
        }
        joint = ", ";
    }
    if (prefs->n_tuned != 0) {
        str_printf(out, "%s%zu sets of tile parameters as measured",
                   joint[0] == ',' ? "; with " : " with ", prefs->n_tuned);
    }
    str_printf(out, "\n");
}
