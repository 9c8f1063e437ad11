/* The whole life of two devices, for tests in which one of its calls fails: buffers, transfers,
 * exchange, kernels, timers, recordings, submissions. Over the fake and over real drivers. */
#ifndef QUADRIGA_TESTS_DEVICE_LIFE_H
#define QUADRIGA_TESTS_DEVICE_LIFE_H

#include "device/device.h"

struct life_params {
    struct dev_instance *inst;
    struct log *log;
    const char *cache_dir;
    bool no_polls; /* of fences: on a driver nobody knows how many calls they are */
    const struct dev_shader *plain; /* three storage bindings, push of 4 bytes: the words */
    const struct dev_shader *texel; /* texel uint, texel float, storage; push: texels */
};

struct life {
    const struct dev_shader *plain, *texel;
    struct dev *devs[2];
    struct dev_buf *bufs[3];
    struct dev_cmd *cmd;
    struct dev_exchange *exchange;
    bool damaged; /* bytes did not come back as they were sent */
    bool lost;    /* a device is, at the end of life_run */
};

/* *life is zeroed. False: a call failed; life_end is due all the same. */
bool life_run(struct life *life, const struct life_params *params);
/* Records life->cmd anew; needs devs[0], bufs, cmd and the shaders. */
bool life_record(struct life *life);
void life_end(struct life *life);

#endif
