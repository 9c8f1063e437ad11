/* Inside the room: readers and text helpers. */
#ifndef QUADRIGA_EVAL_INTERNAL_H
#define QUADRIGA_EVAL_INTERNAL_H

#include "eval/eval.h"

#include "base/str.h"

/* Readers: `text` is valid UTF-8 without a 0, `bytes` long. */
bool eval_read_lines(struct eval_set *set, const char *path, const char *text, size_t bytes,
                     struct log *log);
bool eval_read_json(struct eval_set *set, const char *path, const char *text, size_t bytes,
                    struct log *log);
/* NULL: logged. */
struct eval_task *eval_set_add(struct eval_set *set, const char *path, uint64_t line,
                               struct log *log);
/* A copy of the text in the set; NULL: logged. */
const char *eval_set_text(struct eval_set *set, const char *path, uint64_t line, const char *text,
                          size_t bytes, struct log *log);
/* A piece of a text for a message: at most 40 bytes, cut at a character. */
struct eval_quote {
    char text[48];
};
struct eval_quote eval_quote(const char *text, size_t bytes);

/* Unpacks a whole bzip2 file, all streams of it. NULL: logged. From mem_alloc, terminated. */
char *eval_unpack(const char *path, const char *data, size_t bytes, size_t limit, size_t *out_bytes,
                  struct log *log);

/* The code point at `text`, which is valid UTF-8 and not at its end; its bytes. */
uint32_t eval_utf8_get(const char *text, size_t *bytes);
/* Bytes of white space, as Python's str.strip sees it, at the begin and at the end. */
size_t eval_space_begin(const char *text, size_t bytes);
size_t eval_space_end(const char *text, size_t bytes);
/* Adds `text` as Python's str.capitalize has it: the first letter upper, the rest lower, as far as
 * ASCII, Latin-1, Greek and Cyrillic letters go. */
void eval_add_capitalized(struct str *out, const char *text, size_t bytes);
/* Replaces every `what`, from left to right, in one pass. */
void eval_replace(struct str *text, const char *what, const char *with);

#endif
