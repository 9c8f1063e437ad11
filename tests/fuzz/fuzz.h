/* What a fuzz target gives: the entry point that libFuzzer calls, and seeds for the replay driver,
 * which mutates them by a fixed pseudo-random sequence where libFuzzer is not used. */
#ifndef QUADRIGA_TESTS_FUZZ_H
#define QUADRIGA_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Reads the bytes as the target's input. Always 0; a defect shows as a crash or sanitizer report.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Seed number i, a valid input; free with mem_free. NULL after the last. */
uint8_t *fuzz_seed(unsigned i, size_t *bytes);
/* Inputs that the replay makes from each seed by default. */
extern const unsigned fuzz_replay_count;

#endif
