/* Weights: for each tensor of the file, slice by slice: pack into planes, upload to every device
 * that uses it, drop the slice's pages. The file is read once and never stays resident. Dummy
 * weights are made on the device. Where they go is the plan's decision, not ours. */
#include "run/run.h"

#include "base/hash.h"
#include "ops/fill.h"

#include <string.h>

enum {
    SLICE_BYTES = 8 << 20, /* of the file, at a time */
    ROW_STEP = 64, /* slices and segments begin at multiples of it: all interleaves divide */
};

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
        if (n <= ROW_STEP) {
            log_error(log,
                      "weight %s: %u rows of %llu columns exceed half of the device's largest "
                      "binding, %llu bytes",
                      weight->name, ROW_STEP, (unsigned long long)weight->cols,
                      (unsigned long long)caps->max_binding_bytes);
            return false;
        }
        uint64_t fewer = size_div_up(n, size_div_up(layout.bytes, limit));
        fewer = size_round(fewer, ROW_STEP);
        n = fewer < n ? fewer : (n - 1) / ROW_STEP * ROW_STEP;
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

/* Host memory for one packed slice. */
struct staging {
    uint8_t *data;
    size_t bytes;
    uint8_t *scratch;
    size_t scratch_bytes;
};

static bool reserve(uint8_t **data, size_t *bytes, uint64_t need, struct log *log)
{
    if (need <= *bytes) {
        return true;
    }
    uint8_t *grown = mem_resize(*data, (size_t)need, 1);
    if (grown == NULL) {
        log_error(log, "out of memory: %llu bytes to repack weights", (unsigned long long)need);
        return false;
    }
    *data = grown;
    *bytes = (size_t)need;
    return true;
}

/* Rows [row0, row0 + n) of a segment, as file rows at src. */
static bool upload_rows(struct run_device *device, const struct op_segment *segment, uint64_t row0,
                        uint64_t n, const uint8_t *src, struct staging *staging, struct log *log)
{
    const struct quant_layout *layout = segment->layout;
    uint64_t offset[QUANT_PLANES], bytes[QUANT_PLANES], need = 0;
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        quant_pack_range(layout, row0, n, p, &offset[p], &bytes[p]);
        need += bytes[p];
    }
    if (!reserve(&staging->data, &staging->bytes, need, log) ||
        !reserve(&staging->scratch, &staging->scratch_bytes, quant_pack_scratch(layout), log)) {
        return false;
    }
    uint8_t *planes[QUANT_PLANES];
    uint8_t *at = staging->data;
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        planes[p] = bytes[p] != 0 ? at : NULL;
        at += bytes[p];
    }
    quant_pack_rows(layout, row0, n, src, planes, staging->scratch);
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        if (bytes[p] != 0 && !dev_upload(device->dev, segment->buf, segment->offset + offset[p],
                                         planes[p], bytes[p])) {
            return false;
        }
    }
    return true;
}

static bool upload_slice(struct run_model *model, uint32_t w, bool *const *used, uint64_t row0,
                         uint64_t n, const uint8_t *src, uint64_t row_bytes,
                         struct staging *staging)
{
    for (uint32_t d = 0; d < model->n_devices; d++) {
        struct run_device *device = &model->devices[d];
        for (uint32_t i = 0; used[d][w] && i < device->weights[w].n_segments; i++) {
            const struct op_segment *segment = &device->weights[w].segments[i];
            uint64_t begin = row0 > segment->row0 ? row0 : segment->row0;
            uint64_t end = row0 + n, last = segment->row0 + segment->rows;
            end = end < last ? end : last;
            if (begin < end &&
                !upload_rows(device, segment, begin - segment->row0, end - begin,
                             src + (begin - row0) * row_bytes, staging, model->log)) {
                return false;
            }
        }
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

static bool upload_tensor(struct run_model *model, uint32_t w, bool *const *used,
                          struct staging *staging)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    if (!gguf_check_size(model->file)) {
        return false;
    }
    uint64_t row_bytes = quant_row_bytes(weight->quant, weight->cols);
    uint64_t offset = weight->row0 * row_bytes; /* in the tensor */
    const uint8_t *data = gguf_data(model->file, weight->tensor) + offset;
    uint64_t step = SLICE_BYTES / row_bytes / ROW_STEP * ROW_STEP;
    step = step != 0 ? step : ROW_STEP;
    for (uint64_t row = 0; row < weight->rows; row += step) {
        uint64_t n = weight->rows - row < step ? weight->rows - row : step;
        if (!upload_slice(model, w, used, row, n, data + row * row_bytes, row_bytes, staging)) {
            return false;
        }
        uint32_t top = quant_top_exponent(weight->quant, data + row * row_bytes, n * row_bytes);
        for (uint32_t d = 0; d < model->n_devices; d++) {
            struct op_place *place = &model->devices[d].weights[w];
            place->top = top > place->top ? top : place->top;
        }
        gguf_drop(model->file, weight->tensor, offset + row * row_bytes, n * row_bytes);
    }
    return true;
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

static bool load_one(struct run_model *model, uint32_t w, bool *const *used,
                     struct staging *staging)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    if (weight->rows == 1) {
        return upload_vector(model, w, used);
    }
    return weight->tensor != NULL ? upload_tensor(model, w, used, staging)
                                  : fill_dummy(model, w, used);
}

enum run_status run_weights_load(struct run_model *model, bool *const *used,
                                 const struct run_params *params)
{
    enum run_status status = RUN_OUT_OF_MEMORY;
    struct staging staging = {0};
    for (uint32_t d = 0; d < model->n_devices; d++) {
        model->devices[d].weights =
            arena_alloc(&model->arena, model->arch.n_weights, sizeof(struct op_place));
        if (model->devices[d].weights == NULL) {
            log_error(model->log, "out of memory for %zu weights", model->arch.n_weights);
            return RUN_OUT_OF_MEMORY;
        }
        for (uint32_t w = 0; w < model->arch.n_weights; w++) {
            if (used[d][w] && !create_segments(model, &model->devices[d], w)) {
                goto done;
            }
        }
    }
    status = RUN_ERROR;
    uint64_t done = 0, total = model->arch.file_bytes;
    for (uint32_t w = 0; w < model->arch.n_weights; w++) {
        if (!load_one(model, w, used, &staging)) {
            goto done;
        }
        done += model->arch.weights[w].file_bytes;
        if (params->progress != NULL &&
            !params->progress(params->progress_user, done < total ? done : total, total)) {
            log_error(model->log, "loading was cancelled");
            status = RUN_CANCELLED;
            goto done;
        }
    }
    status = RUN_OK;
done:
    mem_free(staging.data);
    mem_free(staging.scratch);
    return status;
}
