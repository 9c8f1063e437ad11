/* What is remembered of a device between runs: the variants that failed its self-test, and tile
 * parameters that were measured best. A text file in the folder of the caches, one per device and
 * driver (vendor, device, both UUIDs, subgroup size: lavapipe has several), which a person may read
 * and edit:
 *
 *     quadriga profile 1
 *     device NAME                                   for the reader only
 *     driver 4194304                                driver version
 *     shaders 0123456789abcdef                      hash of this build's kernels
 *     selftest 2026-11-24T12:24:04Z quick seed=1 passed=120 failed=1
 *     off matmul lanes  # y[3,5] is 1.25, not 1.5
 *     tuned matmul lanes Q4_K 1 rows=8 group=2 tokens=1
 *     end
 *
 * "quick" may be "full"; the format is "-" where the op has none; "1" is a name of
 * ops_token_class_name. Thread rule: any thread; writers replace the file as a whole, the last one
 * wins. */
#ifndef QUADRIGA_OPS_PROFILE_H
#define QUADRIGA_OPS_PROFILE_H

#include "ops/variant.h"

/* The file's name; false where it does not fit. */
bool ops_profile_path(char *out, size_t out_bytes, const char *dir, const struct dev_info *info);

/* Adds what the file holds to `prefs`. False, with `prefs` as they were, when there is no file
 * (silent), when it was made with another driver or other kernels (one info line), or when anything
 * in it is damaged or unknown (one warning that names file and line). */
bool ops_profile_load(struct ops_prefs *prefs, const char *dir, const struct dev_info *info,
                      struct log *log);

/* Replaces the file, mode 0600: what was tuned, the self-test, and the variants that are off for a
 * reason (those somebody asked to do without are not kept). False: logged, the old file stays. */
bool ops_profile_save(const struct ops_prefs *prefs, const char *dir, const struct dev_info *info,
                      struct log *log);

#endif
