/* The tensor types a GGUF file can name: their names and block geometry, from ggml's enum
 * ggml_type. This is the one place that lists them; supported weight formats are in
 * quant/quants.def. A type that is listed but not supported can so be named and sized.
 *
 * Pure functions over a constant table: any thread. */
#ifndef QUADRIGA_BASE_GGML_TYPES_H
#define QUADRIGA_BASE_GGML_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* "IQ2_XXS"; NULL for numbers that mean nothing (also removed types such as 4 and 31). */
const char *ggml_types_name(uint32_t type);
/* Columns and bytes of one block, both above 0; false for numbers that mean nothing. */
bool ggml_types_block(uint32_t type, uint32_t *block_cols, uint32_t *block_bytes);

#endif
