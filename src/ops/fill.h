/* Dummy weights, made where they are used: a counter-based generator, so that a value depends only
 * on the tensor's seed, the plane, the row in the tensor and the word's number in the row's plane,
 * and not on interleave, segments or device.
 *
 * Every word is hash(seed, plane, row, word) & dummy_and | dummy_or of its plane (quant_format),
 * where hash chains the finalizer of MurmurHash3. Rows that only pad a layout are zero. */
#ifndef QUADRIGA_OPS_FILL_H
#define QUADRIGA_OPS_FILL_H

#include "device/device.h"
#include "quant/quant.h"

/* Records the fill of a whole layout at `offset` (a multiple of offset_align) of `buf`; row 0 of
 * the layout is row `row0` of the tensor. False: logged. */
bool ops_fill_weight(struct dev *dev, struct dev_cmd *cmd, struct dev_buf *buf, uint64_t offset,
                     const struct quant_layout *layout, uint64_t row0, uint64_t tensor_seed,
                     struct log *log);

/* The same bits on the host: layout->bytes at `image`. */
void ops_fill_host(const struct quant_layout *layout, uint64_t row0, uint64_t tensor_seed,
                   uint8_t *image);

#endif
