/* Matrices of the file to the devices, by several threads: each takes the next slice of rows, reads
 * it, packs it into planes in pinned memory and has the device copy it, which goes on while the
 * thread fills another slot. Memory that is mapped and the host's own (a CPU, an integrated GPU) is
 * packed into directly. Threads are dealt to the devices in turn, so that all links are busy at
 * once; one whose device has all it wants helps the next. What several devices use is read for each
 * of them. Nothing of the file becomes resident. */
#include "base/os.h"
#include "run/run.h"

#include <errno.h>
#include <string.h>

enum {
    SLICE_BYTES = 3 << 20,  /* of the file, at a time */
    HOST_BYTES = 192 << 20, /* what all threads together may have */
    MOST_THREADS = 16,
};

struct upload {
    struct run_model *model;
    bool *const *used;
    const struct run_params *params;
    uint64_t slot_bytes;    /* that any packed slice fits into */
    uint64_t file_bytes;    /* that any slice fits into */
    uint64_t scratch_bytes; /* of any layout */
    bool staged[DEV_MAX_OPEN];
    pthread_mutex_t lock; /* of what follows, and of op_place.top */
    struct {
        uint32_t w;
        uint64_t row;
    } next[DEV_MAX_OPEN]; /* slice of each device */
    uint64_t done;        /* bytes; what several devices use counts on the first one */
    bool stop;            /* a thread has failed, or nobody wants more */
};

struct worker {
    struct upload *up;
    pthread_t thread;
    uint32_t d;              /* device it works for */
    struct dev_stage *stage; /* of that device, where it is staged */
    uint8_t *file, *scratch;
    bool ok, started;
};

struct slice {
    uint32_t d, w;
    uint64_t row0, n, row_bytes;
};

static bool is_matrix(const struct arch_weight *weight)
{
    return weight->rows > 1 && weight->tensor != NULL;
}

static uint64_t slice_rows(const struct arch_weight *weight)
{
    uint64_t row_bytes = quant_row_bytes(weight->quant, weight->cols);
    uint64_t n = SLICE_BYTES / row_bytes / RUN_ROW_STEP * RUN_ROW_STEP;
    return n != 0 ? n : RUN_ROW_STEP;
}

/* The next slice of device d; under the lock. */
static bool next_slice(struct upload *up, uint32_t d, struct slice *slice)
{
    const struct arch_model *arch = &up->model->arch;
    uint32_t *w = &up->next[d].w;
    uint64_t *row = &up->next[d].row;
    while (*w < arch->n_weights &&
           (!is_matrix(&arch->weights[*w]) || !up->used[d][*w] || *row >= arch->weights[*w].rows)) {
        ++*w;
        *row = 0;
    }
    if (*w == arch->n_weights) {
        return false;
    }
    const struct arch_weight *weight = &arch->weights[*w];
    uint64_t n = slice_rows(weight), left = weight->rows - *row;
    *slice = (struct slice){.d = d,
                            .w = *w,
                            .row0 = *row,
                            .n = n < left ? n : left,
                            .row_bytes = quant_row_bytes(weight->quant, weight->cols)};
    *row += slice->n;
    return true;
}

/* Of the thread's own device first. False: there is none left, or the work has been stopped. */
static bool take_slice(const struct worker *worker, struct slice *slice)
{
    struct upload *up = worker->up;
    uint32_t n = up->model->n_devices;
    bool some = false;
    pthread_mutex_lock(&up->lock);
    for (uint32_t i = 0; i < n && !up->stop && !some; i++) {
        some = next_slice(up, (worker->d + i) % n, slice);
    }
    pthread_mutex_unlock(&up->lock);
    return some;
}

/* Whether this is the first thread that has to stop the others: it says why. */
static bool stop(struct upload *up)
{
    pthread_mutex_lock(&up->lock);
    bool first = !up->stop;
    up->stop = true;
    pthread_mutex_unlock(&up->lock);
    return first;
}

static bool read_rows(struct upload *up, const struct slice *slice, uint64_t row0, uint64_t n,
                      uint8_t *out)
{
    const struct arch_weight *weight = &up->model->arch.weights[slice->w];
    if (gguf_read(up->model->file, weight->tensor, (weight->row0 + row0) * slice->row_bytes, out,
                  n * slice->row_bytes)) {
        return true;
    }
    int reason = errno;
    if (stop(up)) { /* what one thread cannot read, the others cannot either */
        gguf_read_error(up->model->file, weight->tensor, reason);
    }
    return false;
}

/* Rows [row0, row0 + n) of a segment to its device. `src`: their bytes in the file, NULL: they are
 * to be read, and to be copied as they are. */
static bool send_rows(struct worker *worker, const struct slice *slice,
                      const struct op_segment *segment, uint64_t row0, uint64_t n,
                      const uint8_t *src)
{
    struct upload *up = worker->up;
    const struct quant_layout *layout = segment->layout;
    struct dev_stage_part parts[QUANT_PLANES];
    uint8_t *planes[QUANT_PLANES] = {NULL};
    bool staged = worker->stage != NULL;
    uint8_t *base = staged ? dev_stage_take(worker->stage)
                           : (uint8_t *)dev_buf_map(segment->buf) + segment->offset;
    if (base == NULL) {
        return false;
    }
    uint32_t n_parts = 0;
    uint64_t at = 0;
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        uint64_t offset, bytes;
        quant_pack_range(layout, row0, n, p, &offset, &bytes);
        if (bytes != 0) {
            planes[p] = base + (staged ? at : offset);
            parts[n_parts++] =
                (struct dev_stage_part){.from = at, .to = segment->offset + offset, .bytes = bytes};
            at += size_round(bytes, 64);
        }
    }
    if (src != NULL) {
        quant_pack_rows(layout, row0, n, src, planes, worker->scratch);
    } else if (!read_rows(up, slice, segment->row0 + row0, n, planes[0])) {
        return false;
    }
    return !staged || dev_stage_send(worker->stage, segment->buf, parts, n_parts);
}

static bool send_slice(struct worker *worker, const struct slice *slice, const uint8_t *src)
{
    const struct op_place *place = &worker->up->model->devices[slice->d].weights[slice->w];
    for (uint32_t i = 0; i < place->n_segments; i++) {
        const struct op_segment *segment = &place->segments[i];
        uint64_t begin = slice->row0 > segment->row0 ? slice->row0 : segment->row0;
        uint64_t end = slice->row0 + slice->n, last = segment->row0 + segment->rows;
        end = end < last ? end : last;
        if (begin < end &&
            !send_rows(worker, slice, segment, begin - segment->row0, end - begin,
                       src != NULL ? src + (begin - slice->row0) * slice->row_bytes : NULL)) {
            return false;
        }
    }
    return true;
}

/* Rows go straight from the file to where the device reads them. */
static bool is_direct(const struct upload *up, const struct slice *slice)
{
    const struct op_place *place = &up->model->devices[slice->d].weights[slice->w];
    bool copies = up->model->arch.weights[slice->w].quant == QUANT_F16; /* others are looked at */
    for (uint32_t i = 0; i < place->n_segments; i++) {
        copies = copies && quant_pack_is_copy(place->segments[i].layout);
    }
    return copies;
}

/* The first device that has the weight; n_devices: none. */
static uint32_t home(const struct upload *up, uint32_t w)
{
    uint32_t d = 0;
    while (d < up->model->n_devices && !up->used[d][w]) {
        d++;
    }
    return d;
}

/* Waits for what the device still copies. */
static bool end_stage(struct worker *worker)
{
    return worker->stage == NULL || dev_stage_finish(worker->stage);
}

/* The thread works for device d from now on. */
static bool move(struct worker *worker, uint32_t d)
{
    struct upload *up = worker->up;
    dev_stage_destroy(worker->stage);
    worker->stage = NULL;
    worker->d = d;
    if (up->staged[d]) {
        worker->stage = dev_stage_create(up->model->devices[d].dev, up->slot_bytes);
    }
    return worker->stage != NULL || !up->staged[d];
}

static bool load_slice(struct worker *worker, const struct slice *slice)
{
    struct upload *up = worker->up;
    uint32_t top = 0;
    if (slice->d != worker->d && !(end_stage(worker) && move(worker, slice->d))) {
        return false;
    }
    if (is_direct(up, slice)) {
        if (!send_slice(worker, slice, NULL)) {
            return false;
        }
    } else {
        if (!read_rows(up, slice, slice->row0, slice->n, worker->file)) {
            return false;
        }
        top = quant_top_exponent(up->model->arch.weights[slice->w].quant, worker->file,
                                 slice->n * slice->row_bytes);
        if (!send_slice(worker, slice, worker->file)) {
            return false;
        }
    }
    pthread_mutex_lock(&up->lock);
    struct op_place *place = &up->model->devices[slice->d].weights[slice->w];
    place->top = top > place->top ? top : place->top;
    up->done += home(up, slice->w) == slice->d ? slice->n * slice->row_bytes : 0;
    pthread_mutex_unlock(&up->lock);
    return true;
}

static bool worker_init(struct worker *worker)
{
    struct upload *up = worker->up;
    worker->file = mem_resize(NULL, (size_t)up->file_bytes, 1);
    worker->scratch = mem_resize(NULL, (size_t)up->scratch_bytes, 1);
    if (worker->file == NULL || worker->scratch == NULL) {
        log_error(up->model->log, "out of memory: %llu bytes to repack weights",
                  (unsigned long long)(up->file_bytes + up->scratch_bytes));
        return false;
    }
    return move(worker, worker->d);
}

static void worker_finish(struct worker *worker)
{
    dev_stage_destroy(worker->stage);
    mem_free(worker->file);
    mem_free(worker->scratch);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct slice slice;
    worker->ok = true;
    while (worker->ok && take_slice(worker, &slice)) {
        worker->ok = load_slice(worker, &slice);
    }
    worker->ok = end_stage(worker) && worker->ok;
    if (!worker->ok) {
        stop(worker->up);
    }
    return NULL;
}

/* The caller's thread works too, and tells how far all are. False: nobody wants more. */
static bool work_and_tell(struct worker *worker)
{
    struct upload *up = worker->up;
    struct slice slice;
    bool wanted = true;
    worker->ok = true;
    while (worker->ok && wanted && take_slice(worker, &slice)) {
        worker->ok = load_slice(worker, &slice);
        pthread_mutex_lock(&up->lock);
        uint64_t done = up->done;
        pthread_mutex_unlock(&up->lock);
        wanted = !worker->ok || run_weights_progress(up->model, up->params, done);
    }
    worker->ok = end_stage(worker) && worker->ok;
    if (!worker->ok || !wanted) {
        stop(up);
    }
    return wanted;
}

/* Through pinned memory: the device copies faster than the host writes into a GPU's own memory. */
static bool is_staged(const struct run_device *device)
{
    bool staged = dev_get_info(device->dev)->type == DEV_DISCRETE;
    for (uint32_t i = 0; i < device->n_buffers; i++) {
        staged = staged || dev_buf_map(device->buffers[i]) == NULL;
    }
    return staged;
}

/* Sizes that serve every weight. Returns how many threads are worth it; 0: no device wants a
 * matrix. */
static uint32_t measure(struct upload *up)
{
    const struct run_model *model = up->model;
    uint64_t bytes = 0;
    bool staged = false;
    for (uint32_t w = 0; w < model->arch.n_weights; w++) {
        const struct arch_weight *weight = &model->arch.weights[w];
        if (!is_matrix(weight)) {
            continue;
        }
        uint64_t rows = slice_rows(weight), row = quant_row_bytes(weight->quant, weight->cols);
        rows = rows < weight->rows ? rows : size_round(weight->rows, RUN_ROW_STEP);
        up->file_bytes = rows * row > up->file_bytes ? rows * row : up->file_bytes;
        bytes += weight->rows * row;
        up->done += home(up, w) == model->n_devices ? weight->rows * row : 0; /* no one's */
        for (uint32_t d = 0; d < model->n_devices; d++) {
            if (up->used[d][w]) {
                uint64_t packed = quant_pack_scratch(model->devices[d].weights[w].segments->layout);
                uint64_t slot = rows * packed + QUANT_PLANES * 64;
                up->scratch_bytes = packed > up->scratch_bytes ? packed : up->scratch_bytes;
                up->slot_bytes = slot > up->slot_bytes ? slot : up->slot_bytes;
            }
        }
    }
    for (uint32_t d = 0; d < model->n_devices; d++) {
        up->staged[d] = is_staged(&model->devices[d]);
        staged = staged || up->staged[d];
    }
    if (up->slot_bytes == 0) {
        return 0;
    }
    uint64_t n = os_thread_share(1), most = bytes / SLICE_BYTES;
    n = n < most ? n : most;
    uint64_t each = up->file_bytes + up->scratch_bytes;
    each += staged ? up->slot_bytes * DEV_STAGE_SLOTS : 0;
    most = HOST_BYTES / each;
    n = n < most ? n : most;
    return n == 0 ? 1 : n < MOST_THREADS ? (uint32_t)n : MOST_THREADS;
}

static enum run_status upload(struct upload *up, struct worker *workers, uint32_t n)
{
    bool ready = true;
    uint64_t phase = os_clock_ns();
    for (uint32_t i = 0; i < n && ready; i++) {
        workers[i].up = up;
        workers[i].d = i % up->model->n_devices;
        ready = worker_init(&workers[i]);
    }
    os_log_phase(up->model->log, "staging", &phase);
    for (uint32_t i = 1; i < n && ready; i++) {
        workers[i].started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
    }
    bool wanted = !ready || work_and_tell(&workers[0]);
    bool ok = ready && workers[0].ok;
    for (uint32_t i = 1; i < n; i++) {
        if (workers[i].started) {
            pthread_join(workers[i].thread, NULL);
            ok = ok && workers[i].ok;
        }
    }
    if (ok && wanted) {
        wanted = run_weights_progress(up->model, up->params, up->done);
    }
    return !wanted ? RUN_CANCELLED : ok ? RUN_OK : RUN_ERROR;
}

enum run_status run_upload(struct run_model *model, bool *const *used,
                           const struct run_params *params, uint64_t done)
{
    struct upload up = {.model = model, .used = used, .params = params, .done = done};
    struct worker workers[MOST_THREADS];
    uint32_t n = measure(&up);
    if (n == 0) {
        return RUN_OK;
    }
    if (!gguf_check_size(model->file)) {
        return RUN_ERROR;
    }
    uint64_t begin = os_clock_ns();
    memset(workers, 0, sizeof workers);
    pthread_mutex_init(&up.lock, NULL);
    enum run_status status = upload(&up, workers, n);
    for (uint32_t i = 0; i < n; i++) {
        worker_finish(&workers[i]);
    }
    pthread_mutex_destroy(&up.lock);
    double seconds = (double)(os_clock_ns() - begin) / 1e9;
    log_debug(model->log, "weights: %.3f GB by %u threads in %.3f s: %.2f GB/s",
              (double)up.done / 1e9, n, seconds, (double)up.done / seconds / 1e9);
    return status;
}
