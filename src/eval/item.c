/* From the texts of a task to what is scored: which tokens are common, which ones count. */
#include "eval/internal.h"

#include <inttypes.h>
#include <string.h>

struct maker {
    struct eval_item *item;
    const struct eval_set *set;
    enum eval_style style;
    const struct eval_tokenizer *tokenizer;
    struct log *log;
};

static uint64_t line_of(const struct maker *maker)
{
    return maker->set->tasks[maker->item->index].line;
}

/* Ids of a text. lm-eval reads special tokens in it, as its tokenizers do, and drops a BOS before
 * one that the text has itself. */
static bool tokenize(const struct maker *maker, const char *text, size_t bytes, uint32_t **ids,
                     uint32_t *n)
{
    size_t count = 0;
    bool parse = maker->style == EVAL_LM_EVAL;
    uint32_t bos = maker->tokenizer->bos;
    *ids = NULL;
    if (!maker->tokenizer->tokenize(maker->tokenizer->user, text, bytes, true, parse, ids,
                                    &count) ||
        count >= UINT32_MAX) {
        return false;
    }
    if (parse && count > 1 && bos != UINT32_MAX && (*ids)[0] == bos && (*ids)[1] == bos) {
        memmove(*ids, *ids + 1, --count * sizeof **ids);
    }
    uint32_t *less = count != 0 ? mem_resize(*ids, count, sizeof *less) : NULL;
    *ids = less != NULL ? less : *ids;
    *n = (uint32_t)count;
    return true;
}

static bool tokenize_ways(const struct maker *maker, const struct eval_texts *texts)
{
    struct eval_item *item = maker->item;
    bool ok = true;
    for (uint32_t e = 0; e < EVAL_ENDINGS && ok; e++) {
        struct str text;
        str_init(&text);
        str_printf(&text, "%s%s%s", texts->context, texts->between, texts->ending[e]);
        if (text.failed) {
            log_error(maker->log, "out of memory for task %" PRIu32, item->index);
        }
        ok = !text.failed &&
             tokenize(maker, str_get(&text), text.bytes, &item->tokens[e], &item->n[e]);
        item->n_ways += ok;
        str_finish(&text);
    }
    return ok;
}

static uint32_t count_common(const struct eval_item *item)
{
    uint32_t n = item->n[0];
    for (uint32_t e = 1; e < item->n_ways; e++) {
        uint32_t k = 0;
        while (k < n && k < item->n[e] && item->tokens[e][k] == item->tokens[0][k]) {
            k++;
        }
        n = k;
    }
    return n;
}

static bool find_from(const struct maker *maker, const struct eval_texts *texts, uint32_t common)
{
    struct eval_item *item = maker->item;
    item->from = common;
    if (maker->style == EVAL_LM_EVAL) {
        uint32_t *ids;
        bool ok = tokenize(maker, texts->context, strlen(texts->context), &ids, &item->from);
        mem_free(ids);
        if (!ok) {
            return false;
        }
    }
    if (item->from == 0) {
        log_error(maker->log,
                  "task %" PRIu32 " (line %" PRIu64 "): nothing stands before the first scored "
                  "token: the vocabulary adds no BOS",
                  item->index, line_of(maker));
        return false;
    }
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        if (item->n[e] <= item->from) {
            log_error(maker->log,
                      "task %" PRIu32 " (line %" PRIu64 "): ending %" PRIu32 " has no token of "
                      "its own: '%s'",
                      item->index, line_of(maker), e,
                      eval_quote(texts->ending[e], strlen(texts->ending[e])).text);
            return false;
        }
    }
    return true;
}

/* The last common token is computed in each way again: its row is scored for four tokens. */
static bool fill(const struct maker *maker, const struct eval_texts *texts)
{
    struct eval_item *item = maker->item;
    if (!tokenize_ways(maker, texts)) {
        return false;
    }
    uint32_t common = count_common(item);
    if (!find_from(maker, texts, common)) {
        return false;
    }
    item->shared = common != 0 ? common - 1 : 0;
    memcpy(item->n_chars, texts->n_chars, sizeof item->n_chars);
    memcpy(item->n_bytes, texts->n_bytes, sizeof item->n_bytes);
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        if (item->n_chars[e] == 0) {
            log_error(maker->log,
                      "task %" PRIu32 " (line %" PRIu64 "): ending %" PRIu32 " is empty",
                      item->index, line_of(maker), e);
            return false;
        }
    }
    return true;
}

bool eval_item_make(struct eval_item *item, const struct eval_set *set, uint32_t index,
                    enum eval_style style, const struct eval_tokenizer *tokenizer, struct log *log)
{
    const struct eval_task *task = &set->tasks[index];
    struct maker maker = {item, set, style, tokenizer, log};
    struct eval_texts texts;
    *item = (struct eval_item){.index = index, .label = task->label};
    bool ok = eval_texts_make(&texts, task, style);
    if (!ok) {
        log_error(log, "out of memory for task %" PRIu32, index);
    }
    ok = ok && fill(&maker, &texts);
    eval_texts_finish(&texts);
    return ok;
}

void eval_item_finish(struct eval_item *item)
{
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        mem_free(item->tokens[e]);
    }
    *item = (struct eval_item){0};
}

uint64_t eval_item_pair_rows(const struct eval_item *item)
{
    uint64_t rows = 0;
    for (uint32_t e = 0; e < item->n_ways; e++) {
        rows += item->n[e] - 1;
    }
    return rows;
}

uint64_t eval_item_rows(const struct eval_item *item)
{
    return eval_item_pair_rows(item) - (uint64_t)(item->n_ways - 1) * item->shared;
}

uint64_t eval_item_wanted(const struct eval_item *item)
{
    uint32_t first = item->from - 1; /* row */
    uint64_t rows = first < item->shared ? item->shared - first : 0;
    for (uint32_t e = 0; e < item->n_ways; e++) {
        rows += item->n[e] - 1 - (first > item->shared ? first : item->shared);
    }
    return rows;
}
