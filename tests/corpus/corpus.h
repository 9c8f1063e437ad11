/* The bad-input corpus: model files that are broken in the classes G01 to G40 (the container and
 * the hyper-parameters) and T01 to T20 (the tokenizer), made by generators and read as a model is
 * read, without a device. Whatever a file holds, it is either read, or refused with exactly one
 * line that begins with the file's name. */
#ifndef QUADRIGA_TESTS_CORPUS_H
#define QUADRIGA_TESTS_CORPUS_H

#include "gguf/gguf.h"

#include "base/mem.h"
#include "base/str.h"

enum { CORPUS_G = 40, CORPUS_T = 20, CORPUS_CLASSES = CORPUS_G + CORPUS_T };

enum corpus_want {
    CORPUS_ANY,    /* read or refused */
    CORPUS_GOOD,   /* must be read: being too strict is a fault as well */
    CORPUS_REFUSED /* with a line that has the text `field` */
};

struct corpus {
    uint32_t files[CORPUS_CLASSES], refused[CORPUS_CLASSES];
    uint32_t faults;
    uint64_t slowest_ns;
    const char *slowest; /* class */
    bool vocab_only;     /* for the next files: there is no model behind the tokenizer */
};

/* Reads the bytes as a model file and judges. `name` is the class, "G07". A fault is printed with
 * `what`, which tells this file from others of its class. */
void corpus_try(struct corpus *corpus, const char *name, const char *what, enum corpus_want want,
                const char *field, const uint8_t *data, size_t bytes);

/* ---- tiny.c: a whole model of about three kilobytes ---- */

/* What is written in place of a key or tensor of that name; a new name is added. */
struct tiny_edit {
    const char *name; /* key or tensor; NULL ends a list */
    bool omit;
    bool twice;        /* the key is written a second time instead, like this */
    uint32_t type;     /* of the value: gguf_type; of a tensor: ggml type */
    const void *value; /* of a key, as in the file; arrays and strings with their heads */
    size_t bytes;
    uint32_t n_dims; /* of a tensor; 0: an edit of a key */
    uint64_t dims[4];
};

enum tiny_kind { TINY_SPM, TINY_BPE };
/* One layer of width 8; 8 tokens (SPM, no byte tokens) or 261 (BPE). Free with mem_free. NULL: out
 * of memory. */
uint8_t *tiny_make(enum tiny_kind kind, const struct tiny_edit *edits, size_t *bytes);
/* Values for edits, in the arena. */
struct tiny_edit tiny_u32(const char *key, uint32_t value);
struct tiny_edit tiny_f32(const char *key, float value);
struct tiny_edit tiny_bool(const char *key, uint8_t value);
struct tiny_edit tiny_text(struct arena *arena, const char *key, const char *text, size_t bytes);
struct tiny_edit tiny_array(struct arena *arena, const char *key, enum gguf_type elem,
                            uint64_t count, const void *values, size_t bytes);

/* ---- the generators ---- */

void corpus_fields(struct corpus *corpus); /* fields.c: each field of a file, with odd values */
void corpus_models(struct corpus *corpus); /* models.c: G14 to G20, G35 to G40 */
void corpus_vocabs(struct corpus *corpus); /* vocabs.c: T01 to T20 */
void corpus_cuts(struct corpus *corpus);   /* cuts.c: cut at every byte of the header */
void corpus_flips(struct corpus *corpus);  /* cuts.c: every bit of a file the other way */

#endif
