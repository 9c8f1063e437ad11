/* Weights: their buffers, then their contents: vectors and dummies (made on the device) here, the
 * matrices of a file in upload.c. Where they go is the plan's decision, not ours. */
#include "run/run.h"

#include "base/hash.h"
#include "base/os.h"
#include "ops/fill.h"

#include <string.h>

uint32_t run_weight_lanes(const struct arch_weight *weight, uint32_t lanes)
{
    return weight->rows == 1 ? 1 : lanes;
}

uint64_t run_weight_bytes(const struct arch_weight *weight, uint32_t lanes)
{
    struct quant_layout layout;
    return quant_layout_init(&layout, weight->quant, weight->rows, weight->cols,
                             run_weight_lanes(weight, lanes))
               ? layout.bytes
               : 0;
}

/* Rows per segment so that none is larger than half of what a binding may be. */
static bool segment_rows(const struct arch_weight *weight, uint32_t lanes,
                         const struct dev_caps *caps, uint64_t *rows, struct log *log)
{
    uint64_t limit = caps->max_binding_bytes / 2;
    struct quant_layout layout;
    uint64_t n = weight->rows;
    for (;;) {
        if (!quant_layout_init(&layout, weight->quant, n, weight->cols, lanes)) {
            log_error(log, "weight %s: %llu x %llu does not fit the address space", weight->name,
                      (unsigned long long)n, (unsigned long long)weight->cols);
            return false;
        }
        if (layout.bytes <= limit) {
            *rows = n;
            return true;
        }
        if (n <= RUN_ROW_STEP) {
            log_error(log,
                      "weight %s: %u rows of %llu columns exceed half of the device's largest "
                      "binding, %llu bytes",
                      weight->name, RUN_ROW_STEP, (unsigned long long)weight->cols,
                      (unsigned long long)caps->max_binding_bytes);
            return false;
        }
        uint64_t fewer = size_div_up(n, size_div_up(layout.bytes, limit));
        fewer = size_round(fewer, RUN_ROW_STEP);
        n = fewer < n ? fewer : (n - 1) / RUN_ROW_STEP * RUN_ROW_STEP;
    }
}

static bool create_segments(struct run_model *model, struct run_device *device, uint32_t w)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    uint32_t lanes = run_weight_lanes(weight, device->lanes);
    uint64_t rows;
    if (!segment_rows(weight, lanes, dev_get_caps(device->dev), &rows, model->log)) {
        return false;
    }
    uint32_t n = (uint32_t)size_div_up(weight->rows, rows);
    struct op_segment *segments = arena_alloc(&model->arena, n, sizeof *segments);
    struct quant_layout *layouts = arena_alloc(&model->arena, n, sizeof *layouts);
    struct dev_buf **more = mem_resize(device->buffers, device->n_buffers + n, sizeof *more);
    if (more != NULL) {
        device->buffers = more;
    }
    if (segments == NULL || layouts == NULL || more == NULL) {
        log_error(model->log, "weight %s: out of memory for %u segments", weight->name, n);
        return false;
    }
    device->weights[w].segments = segments;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t row0 = i * rows, count = weight->rows - row0 < rows ? weight->rows - row0 : rows;
        if (!quant_layout_init(&layouts[i], weight->quant, count, weight->cols, lanes)) {
            return false;
        }
        struct dev_buf *buf =
            dev_buf_create(device->dev, &(struct dev_buf_params){.name = weight->name,
                                                                 .bytes = layouts[i].bytes,
                                                                 .mem = DEV_MEM_DEVICE});
        if (buf == NULL) {
            return false;
        }
        device->buffers[device->n_buffers++] = buf;
        segments[i] = (struct op_segment){.buf = buf,
                                          .bytes = layouts[i].bytes,
                                          .row0 = row0,
                                          .rows = count,
                                          .layout = &layouts[i]};
        device->weights[w].n_segments = i + 1;
    }
    return true;
}

/* Vectors are few and small: norms may be F16 in the file and are F32 on the device. */
static bool upload_vector(struct run_model *model, uint32_t w, bool *const *used)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    uint32_t n = (uint32_t)weight->cols;
    float *values = mem_alloc(n, sizeof *values);
    bool ok = values != NULL;
    enum quant_id id = QUANT_F32;
    const struct quant_format *format =
        weight->tensor != NULL ? quant_find(weight->tensor->type, &id) : NULL;
    if (ok && format != NULL) {
        format->decode(gguf_data(model->file, weight->tensor), values, n);
        gguf_drop(model->file, weight->tensor, 0, weight->tensor->bytes);
    } else if (ok) {
        arch_weight_make(&model->arch, weight, values);
    }
    for (uint32_t d = 0; d < model->n_devices && ok; d++) {
        if (used[d][w]) {
            const struct op_segment *segment = &model->devices[d].weights[w].segments[0];
            ok = dev_upload(model->devices[d].dev, segment->buf, segment->offset, values,
                            n * sizeof *values);
        }
    }
    mem_free(values);
    return ok;
}

static bool fill_dummy(struct run_model *model, uint32_t w, bool *const *used)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    uint64_t seed = hash_bytes(HASH_SEED, weight->name, strlen(weight->name));
    for (uint32_t d = 0; d < model->n_devices; d++) {
        struct run_device *device = &model->devices[d];
        for (uint32_t i = 0; used[d][w] && i < device->weights[w].n_segments; i++) {
            const struct op_segment *segment = &device->weights[w].segments[i];
            struct dev_cmd *cmd = dev_cmd_create(device->dev);
            uint64_t value = 0;
            if (cmd != NULL && dev_cmd_begin(cmd) &&
                ops_fill_weight(device->dev, cmd, segment->buf, segment->offset, segment->layout,
                                segment->row0, seed, model->log) &&
                dev_cmd_end(cmd)) {
                value = dev_submit(device->dev, cmd);
            }
            bool ok = value != 0 && dev_wait(device->dev, value);
            dev_cmd_destroy(cmd);
            if (!ok) {
                return false;
            }
        }
    }
    return true;
}

/* All but the matrices of a file: norms, and what a dummy is made of. */
static bool load_small(struct run_model *model, uint32_t w, bool *const *used)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    if (weight->rows == 1) {
        return upload_vector(model, w, used);
    }
    return weight->tensor != NULL || fill_dummy(model, w, used);
}

static bool create_all(struct run_model *model, bool *const *used)
{
    for (uint32_t d = 0; d < model->n_devices; d++) {
        model->devices[d].weights =
            arena_alloc(&model->arena, model->arch.n_weights, sizeof(struct op_place));
        if (model->devices[d].weights == NULL) {
            log_error(model->log, "out of memory for %zu weights", model->arch.n_weights);
            return false;
        }
        for (uint32_t w = 0; w < model->arch.n_weights; w++) {
            if (used[d][w] && !create_segments(model, &model->devices[d], w)) {
                return false;
            }
        }
    }
    return true;
}

enum run_status run_weights_load(struct run_model *model, bool *const *used,
                                 const struct run_params *params)
{
    uint64_t done = 0, phase = os_clock_ns();
    if (!create_all(model, used)) {
        return RUN_OUT_OF_MEMORY;
    }
    os_log_phase(model->log, "buffers of weights", &phase);
    if (!run_weights_progress(model, params, done)) { /* rates count from here */
        return RUN_CANCELLED;
    }
    for (uint32_t w = 0; w < model->arch.n_weights; w++) {
        const struct arch_weight *weight = &model->arch.weights[w];
        bool matrix = weight->rows > 1 && weight->tensor != NULL;
        if (!load_small(model, w, used)) {
            return RUN_ERROR;
        }
        done += matrix ? 0 : weight->file_bytes;
        if (!matrix && !run_weights_progress(model, params, done)) {
            return RUN_CANCELLED;
        }
    }
    os_log_phase(model->log, "vectors", &phase);
    return run_upload(model, used, params, done);
}

bool run_weights_progress(const struct run_model *model, const struct run_params *params,
                          uint64_t done)
{
    uint64_t total = model->arch.file_bytes;
    if (params->progress == NULL ||
        params->progress(params->progress_user, done < total ? done : total, total)) {
        return true;
    }
    log_error(model->log, "loading was cancelled");
    return false;
}
