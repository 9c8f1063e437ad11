/* What the tests over tests/fake_vk.c share: a log that is kept, an instance over the fake, a
 * shader description without meaning. */
#ifndef QUADRIGA_TESTS_DEVICE_FAKE_H
#define QUADRIGA_TESTS_DEVICE_FAKE_H

#include "fake_vk.h"

#include "device/device.h"

struct fake_fixture {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    uint32_t errors;  /* LOG_ERROR lines */
    char lines[4096]; /* all lines since the last fake_forget, with newlines */
};

extern const struct dev_shader fake_shader;       /* three storage bindings, push of 4 bytes */
extern const struct dev_shader fake_texel_shader; /* texel uint, texel float, storage */
extern const struct dev_shader fake_subgroup_shader;

/* `n` GPUs of fake_vk_gpu, numbered; change f->fake.gpus before fake_open_instance. */
void fake_init(struct fake_fixture *f, uint32_t n);
bool fake_open_instance(struct fake_fixture *f);
/* Everything is destroyed and nothing was used wrongly. */
void fake_finish(struct fake_fixture *f);
void fake_forget(struct fake_fixture *f);
struct dev *fake_open(struct fake_fixture *f, uint32_t index);
struct dev_buf *fake_buf(struct dev *dev, const char *name, uint64_t bytes, enum dev_mem mem);
struct dev_kernel *fake_kernel(struct dev *dev, const struct dev_shader *shader);
/* A dispatch of fake_shader with these three ranges. */
struct dev_dispatch fake_dispatch(struct dev_kernel *kernel, struct dev_bind a, struct dev_bind b,
                                  struct dev_bind c);

#endif
