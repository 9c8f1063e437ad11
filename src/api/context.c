/* Contexts and devices. */
#include "api/objects.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)QD_OK == RUN_OK && (int)QD_ERROR == RUN_ERROR &&
                   (int)QD_BAD_ARGUMENT == RUN_BAD_ARGUMENT && (int)QD_BAD_FILE == RUN_BAD_FILE &&
                   (int)QD_NO_DEVICE == RUN_NO_DEVICE &&
                   (int)QD_OUT_OF_MEMORY == RUN_OUT_OF_MEMORY &&
                   (int)QD_DEVICE_LOST == RUN_DEVICE_LOST &&
                   (int)QD_CONTEXT_FULL == RUN_CONTEXT_FULL && (int)QD_CANCELLED == RUN_CANCELLED,
               "status values of the engine and of the interface are the same");
_Static_assert((int)QD_DEPTH_PLAN == RUN_DEPTH_PLAN &&
                   (int)QD_DEPTH_DIRECTORY == RUN_DEPTH_DIRECTORY,
               "depths");
_Static_assert((int)QD_LOG_ERROR == LOG_ERROR && (int)QD_LOG_DEBUG == LOG_DEBUG, "log levels");
_Static_assert((int)QD_DEVICE_DISCRETE == DEV_DISCRETE && (int)QD_DEVICE_CPU == DEV_CPU &&
                   (int)QD_DEVICE_OTHER == DEV_OTHER,
               "device types");
_Static_assert(QD_MAX_DEVICES == DEV_MAX_OPEN, "devices of one model");

const char *qd_version(void)
{
    return QD_VERSION;
}

const char *qd_status_text(enum qd_status status)
{
    static const char *const text[] = {
        "done",          "error",       "bad argument", "bad model file", "no usable device",
        "out of memory", "device lost", "context full", "cancelled"};
    return (unsigned)status < sizeof text / sizeof *text ? text[status] : "unknown status";
}

static void forward(void *user, enum log_level level, const char *line)
{
    qd_context *context = user;
    if (context->callback != NULL) {
        context->callback(context->user, (enum qd_log_level)level, line);
    }
}

enum qd_status qd_context_create(const struct qd_context_params *params, qd_context **out,
                                 char *error, size_t error_bytes)
{
    static const struct qd_context_params defaults = {.log_level = QD_LOG_WARN};
    params = params != NULL ? params : &defaults;
    *out = NULL;
    if (error != NULL && error_bytes != 0) {
        error[0] = '\0';
    }
    qd_context *context = mem_alloc(1, sizeof *context);
    if (context == NULL) {
        return QD_OUT_OF_MEMORY;
    }
    context->callback = params->log;
    context->user = params->log_user;
    log_init(&context->log, forward, context, (enum log_level)params->log_level);
    if (!params->no_devices) {
        uint64_t begin = os_clock_ns();
        context->inst = dev_instance_create(
            &(struct dev_instance_params){.log = &context->log, .validate = params->validate});
        if (context->inst == NULL) {
            if (error != NULL && error_bytes != 0) {
                log_get_last(&context->log, error, error_bytes);
            }
            log_finish(&context->log);
            mem_free(context);
            return QD_NO_DEVICE;
        }
        os_log_phase(&context->log, "instance", &begin);
    }
    *out = context;
    return QD_OK;
}

void qd_context_destroy(qd_context **context)
{
    if (context == NULL || *context == NULL) {
        return;
    }
    dev_instance_destroy((*context)->inst);
    log_finish(&(*context)->log);
    mem_free(*context);
    *context = NULL;
}

const char *qd_last_error(qd_context *context)
{
    log_get_last(&context->log, context->last, sizeof context->last);
    return context->last;
}

uint32_t qd_validation_messages(const qd_context *context)
{
    return context->inst != NULL ? dev_instance_messages(context->inst) : 0;
}

uint32_t qd_device_count(const qd_context *context)
{
    return context->inst != NULL ? dev_instance_count(context->inst) : 0;
}

static bool opened_by_default(const qd_context *context, uint32_t index)
{
    uint32_t all[DEV_MAX_OPEN], n = dev_instance_default(context->inst, all, DEV_MAX_OPEN);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i] == index) {
            return true;
        }
    }
    return false;
}

enum qd_status qd_device_get(qd_context *context, uint32_t index, struct qd_device_info *out)
{
    if (index >= qd_device_count(context)) {
        log_error(&context->log, "device %u: there are %u devices", index,
                  qd_device_count(context));
        return QD_BAD_ARGUMENT;
    }
    const struct dev_info *info = dev_instance_info(context->inst, index);
    const struct dev_caps *caps = &info->caps;
    *out = (struct qd_device_info){
        .index = index,
        .type = (enum qd_device_type)info->type,
        .usable = info->usable,
        .opened_by_default = opened_by_default(context, index),
        .vendor_id = info->vendor_id,
        .device_id = info->device_id,
        .api_version = info->api_version,
        .driver_version = info->driver_version,
        .memory_bytes = info->heap_bytes,
        .free_bytes = info->free_bytes,
        .host_visible_device_bytes = info->host_visible_bytes,
        .subgroup_size = caps->subgroup_size,
        .subgroup_min = caps->subgroup_min,
        .subgroup_max = caps->subgroup_max,
        .max_workgroup_invocations = caps->max_workgroup_invocations,
        .shared_bytes = caps->max_shared_bytes,
        .max_binding_bytes = caps->max_binding_bytes,
        .timestamp_ns = caps->timestamp_ns,
        .timestamp_bits = caps->timestamp_bits,
        .coopmat_m = caps->coopmat_m,
        .coopmat_n = caps->coopmat_n,
        .coopmat_k = caps->coopmat_k,
        .coopmat_s8_m = caps->coopmat_s8_m,
        .coopmat_s8_n = caps->coopmat_s8_n,
        .coopmat_s8_k = caps->coopmat_s8_k,
        .int_dot_fast = caps->int_dot_fast,
        .cores = caps->cores,
        .fp16 = caps->has & DEV_CAP_FP16,
        .int8 = caps->has & DEV_CAP_INT8,
        .int16 = caps->has & DEV_CAP_INT16,
        .storage8 = caps->has & DEV_CAP_STORAGE8,
        .storage16 = caps->has & DEV_CAP_STORAGE16,
        .int_dot = caps->has & DEV_CAP_INT_DOT,
        .cooperative_matrix = caps->has & DEV_CAP_COOPMAT,
        .cooperative_matrix2 = caps->has & DEV_CAP_COOPMAT2,
        .host_import = caps->has & DEV_CAP_HOST_IMPORT,
        .memory_budget = caps->has & DEV_CAP_BUDGET,
        .subgroup_ops = caps->has & DEV_CAP_SUBGROUP,
    };
    snprintf(out->name, sizeof out->name, "%s", info->name);
    snprintf(out->driver, sizeof out->driver, "%s", info->driver);
    snprintf(out->driver_info, sizeof out->driver_info, "%s", info->driver_info);
    snprintf(out->why_not, sizeof out->why_not, "%s", info->why_not);
    snprintf(out->quirks, sizeof out->quirks, "%s", info->quirks);
    memcpy(out->uuid, info->uuid, sizeof out->uuid);
    memcpy(out->driver_uuid, info->driver_uuid, sizeof out->driver_uuid);
    return QD_OK;
}
