/* What the driver tests share: an instance over the machine's driver, a log that is printed, the
 * two kernels. A test without a driver, or without the layer when QUADRIGA_VALIDATE=1, ends the
 * program with 77 (skipped). */
#ifndef QUADRIGA_TESTS_DEVICE_DRIVER_H
#define QUADRIGA_TESTS_DEVICE_DRIVER_H

#include "device/device.h"

struct fixture {
    struct log log;
    struct dev_instance *inst;
    uint32_t errors; /* LOG_ERROR lines so far */
};

extern const struct dev_shader driver_add;   /* bindings a, b, dst; push n; spec 0 group, 1 scale */
extern const struct dev_shader driver_texel; /* bindings u (uint), f (float), dst; push n */

void fixture_init(struct fixture *f);
/* Checks that validation had nothing to say, then frees. */
void fixture_finish(struct fixture *f);
struct dev *fixture_open(struct fixture *f, uint32_t index, uint32_t caps_off);
struct dev_buf *make_buf(struct dev *dev, const char *name, uint64_t bytes, enum dev_mem mem);
struct dev_kernel *get_add(struct dev *dev, uint32_t scale);
/* dst[0..n) = a * scale + b over whole buffers of n words. */
struct dev_dispatch add_dispatch(struct dev_kernel *kernel, struct dev_buf *a, struct dev_buf *b,
                                 struct dev_buf *dst, const uint32_t *n);
/* Submits and waits. */
void run_cmd(struct dev *dev, struct dev_cmd *cmd);

#endif
