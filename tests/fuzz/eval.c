/* Fuzz target: a file of HellaSwag tasks, in either form and packed; texts of the tasks in both
 * styles. */
#include "fuzz.h"

#include "eval/eval.h"

#include <string.h>

const unsigned fuzz_replay_count = 2000;

enum { MOST_TASKS = 20 };

static const char *const seeds[] = {
    "Roof: A man sits. he [title] is\n3\nis one.\nis two. [step] x\nis three.\nis caf\xc3\xa9.\n"
    "Sea: [header] a  b [substeps] c! d\n0\na\nb\n[title] c\nd [title].\n",
    "{\"activity_label\": \"Roof\", \"ctx_a\": \"A man [title] sits.\", \"ctx_b\": \"he\", "
    "\"ctx\": "
    "\"A man [title] sits. he\", \"label\": \"2\", \"endings\": [\"a\", \"b [step]\", \"c\", "
    "\"d\\u00e9\"]}\n"
    "{\"activity_label\": \"x\", \"ctx_a\": \"[header] y [title] z\", \"ctx_b\": \"\", \"label\": "
    "0, \"endings\": [\"a\", \"b\", \"c\", \"d\"]}\n"};

/* "c: d\n1\na\nb\nc\nd\n", by bzip2. */
static const unsigned char packed[] = {
    0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0x5b, 0x96, 0xee,
    0xbe, 0x00, 0x00, 0x06, 0x59, 0x00, 0x00, 0x10, 0x40, 0x00, 0x20, 0x10, 0x3c,
    0x00, 0x20, 0x00, 0x22, 0x1a, 0x68, 0xda, 0x84, 0x30, 0x20, 0x7d, 0x18, 0x4c,
    0x55, 0x42, 0xf1, 0x77, 0x24, 0x53, 0x85, 0x09, 0x05, 0xb9, 0x6e, 0xeb, 0xe0};

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    const unsigned n = sizeof seeds / sizeof *seeds;
    const void *from = i < n ? (const void *)seeds[i] : packed;
    uint8_t *data = NULL;
    if (i <= n) {
        *bytes = i < n ? strlen(seeds[i]) : sizeof packed;
        data = mem_alloc(*bytes, 1);
    }
    if (data != NULL) {
        memcpy(data, from, *bytes);
    }
    return data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct eval_set set;
    bool ok = eval_set_parse(&set, "fuzz", (const char *)data, bytes, NULL);
    for (size_t i = 0; ok && i < set.n && i < MOST_TASKS; i++) {
        for (int style = 0; style < 2; style++) {
            struct eval_texts texts;
            eval_texts_make(&texts, &set.tasks[i], (enum eval_style)style);
            eval_texts_finish(&texts);
        }
    }
    eval_set_finish(&set);
    return 0;
}
