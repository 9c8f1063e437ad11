/* Items to steps. Two streams run side by side: shared parts, and the ways that fork from those of
 * earlier steps. Each step takes so much of both that neither runs dry before the other.
 *
 * A way asks for its sequence and blocks when it begins and gives them back when its last token is
 * planned, before the next step. Shared parts are begun only as long as the longest way still fits
 * beside all of them, so that the oldest item can always go on. */
#include "eval/eval.h"

#include <inttypes.h>
#include <string.h>

struct track {
    uint32_t seq;   /* of the shared part */
    uint32_t done;  /* rows of the shared part that are planned */
    uint32_t step;  /* in which the last of them was */
    uint32_t order; /* ways that are finished */
    uint32_t at;    /* rows of the current way that are planned; its sequence, if any are */
    uint32_t way_seq;
    bool begun; /* the current way has its sequence */
};

struct eval_pack {
    const struct eval_item *items;
    size_t n, head, admitted; /* items before head are finished, those up to admitted are begun */
    struct eval_limits limits;
    struct log *log;
    struct track *tracks;
    uint32_t *free_seq, n_free_seq;
    uint32_t *later, n_later;          /* sequences to drop before the next step */
    uint64_t free_blocks, back_blocks; /* back: with the next step */
    uint64_t n_blocks, trunk_blocks, longest_way;
    uint32_t n_trunks;
    uint64_t rest_trunk, rest_ways, open_ways; /* rows; open: their shared part is planned */
    uint32_t number;                           /* of this step, from 1 */
    struct eval_step step;
};

static uint64_t trunk_need(const struct eval_pack *pack, const struct eval_item *item)
{
    return size_div_up(item->shared, pack->limits.block);
}

static uint32_t way_rows(const struct eval_item *item, uint32_t way)
{
    return item->n[way] - 1 - item->shared;
}

/* The block that the shared part ends in is copied, unless it is full. */
static uint64_t way_need(const struct eval_item *item, uint32_t way, uint32_t block)
{
    return size_div_up(item->n[way] - 1, block) - item->shared / block;
}

/* The first way goes on in the sequence of the shared part, so it comes last. */
static uint32_t way_of(const struct eval_item *item, uint32_t order)
{
    return item->shared != 0 ? (order + 1) % item->n_ways : order;
}

static bool alloc_all(struct eval_pack *pack)
{
    struct eval_step *step = &pack->step;
    uint32_t n = pack->limits.n_batch, n_seq = pack->limits.n_seq;
    pack->tracks = mem_alloc(pack->n, sizeof *pack->tracks);
    pack->free_seq = mem_alloc(n_seq, sizeof *pack->free_seq);
    pack->later = mem_alloc(n_seq, sizeof *pack->later);
    step->token = mem_alloc(n, sizeof *step->token);
    step->pos = mem_alloc(n, sizeof *step->pos);
    step->seq = mem_alloc(n, sizeof *step->seq);
    step->target = mem_alloc(n, sizeof *step->target);
    step->want = mem_alloc(n, sizeof *step->want);
    step->row = mem_alloc(n, sizeof *step->row);
    step->drop = mem_alloc(n_seq, sizeof *step->drop);
    step->fork = mem_alloc(n_seq, sizeof *step->fork);
    return pack->tracks != NULL && pack->free_seq != NULL && pack->later != NULL &&
           step->token != NULL && step->pos != NULL && step->seq != NULL && step->target != NULL &&
           step->want != NULL && step->row != NULL && step->drop != NULL && step->fork != NULL;
}

/* What is to be planned, and whether everything can be. */
static bool count_all(struct eval_pack *pack)
{
    uint64_t longest_trunk = 0;
    for (size_t i = 0; i < pack->n; i++) {
        const struct eval_item *item = &pack->items[i];
        uint64_t need = trunk_need(pack, item);
        longest_trunk = need > longest_trunk ? need : longest_trunk;
        pack->rest_trunk += item->shared;
        for (uint32_t w = 0; w < item->n_ways; w++) {
            need = way_need(item, w, pack->limits.block);
            pack->longest_way = need > pack->longest_way ? need : pack->longest_way;
            pack->rest_ways += way_rows(item, w);
        }
    }
    if (longest_trunk + pack->longest_way > pack->n_blocks) {
        log_error(pack->log,
                  "the longest task needs %" PRIu64 " entries of the KV cache, which has %" PRIu32,
                  (longest_trunk + pack->longest_way) * pack->limits.block, pack->limits.n_kv);
        return false;
    }
    return true;
}

struct eval_pack *eval_pack_create(const struct eval_item *items, size_t n,
                                   const struct eval_limits *limits, struct log *log)
{
    if (limits->n_batch == 0 || limits->n_out == 0 || limits->n_seq < 2 || limits->block == 0) {
        log_error(log, "steps of %u tokens, %u of them wanted, %u sequences, blocks of %u: too few",
                  limits->n_batch, limits->n_out, limits->n_seq, limits->block);
        return NULL;
    }
    struct eval_pack *pack = mem_alloc(1, sizeof *pack);
    if (pack == NULL) {
        log_error(log, "out of memory for the order of %zu tasks", n);
        return NULL;
    }
    pack->items = items;
    pack->n = n;
    pack->limits = *limits;
    pack->log = log;
    pack->n_blocks = pack->free_blocks = limits->n_kv / limits->block;
    if (!alloc_all(pack)) {
        log_error(log, "out of memory for the order of %zu tasks", n);
        eval_pack_destroy(pack);
        return NULL;
    }
    for (uint32_t s = limits->n_seq; s > 0; s--) {
        pack->free_seq[pack->n_free_seq++] = s - 1;
    }
    if (!count_all(pack)) {
        eval_pack_destroy(pack);
        return NULL;
    }
    return pack;
}

void eval_pack_destroy(struct eval_pack *pack)
{
    if (pack == NULL) {
        return;
    }
    mem_free(pack->tracks);
    mem_free(pack->free_seq);
    mem_free(pack->later);
    mem_free(pack->step.token);
    mem_free(pack->step.pos);
    mem_free(pack->step.seq);
    mem_free(pack->step.target);
    mem_free(pack->step.want);
    mem_free(pack->step.row);
    mem_free(pack->step.drop);
    mem_free(pack->step.fork);
    mem_free(pack);
}

/* What the step before gave back. */
static void begin_step(struct eval_pack *pack)
{
    struct eval_step *step = &pack->step;
    step->n_drop = pack->n_later;
    for (uint32_t i = 0; i < pack->n_later; i++) {
        step->drop[i] = pack->later[i];
        pack->free_seq[pack->n_free_seq++] = pack->later[i];
    }
    pack->n_later = 0;
    pack->free_blocks += pack->back_blocks;
    pack->back_blocks = 0;
    step->n_tokens = step->n_out = step->n_fork = 0;
    pack->number++;
}

/* Row `i` of a way (EVAL_ENDINGS: of the shared part). False: no more in this step. */
static bool put_row(struct eval_pack *pack, size_t index, uint32_t way, uint32_t i, uint32_t seq)
{
    struct eval_step *step = &pack->step;
    const struct eval_item *item = &pack->items[index];
    const uint32_t *tokens = item->tokens[way == EVAL_ENDINGS ? 0 : way];
    uint32_t t = step->n_tokens;
    bool want = i + 1 >= item->from;
    if (t == pack->limits.n_batch || (want && step->n_out == pack->limits.n_out)) {
        return false;
    }
    step->token[t] = tokens[i];
    step->pos[t] = i;
    step->seq[t] = seq;
    step->want[t] = want;
    step->target[t] = want ? tokens[i + 1] : 0;
    if (want) {
        step->row[step->n_out++] = (struct eval_row){(uint32_t)index, way, i + 1};
    }
    step->n_tokens++;
    return true;
}

static bool begin_way(struct eval_pack *pack, const struct eval_item *item, struct track *track,
                      uint32_t way)
{
    uint64_t need = way_need(item, way, pack->limits.block);
    bool goes_on = item->shared != 0 && way == 0;
    if (need > pack->free_blocks || (!goes_on && pack->n_free_seq == 0)) {
        return false;
    }
    pack->free_blocks -= need;
    track->way_seq = goes_on ? track->seq : pack->free_seq[--pack->n_free_seq];
    if (!goes_on && item->shared != 0) {
        pack->step.fork[pack->step.n_fork++] =
            (struct eval_fork){track->seq, track->way_seq, item->shared};
    }
    track->begun = true;
    track->at = 0;
    return true;
}

/* Ways of the item, as far as the step has room below `most`. True: all are planned. */
static bool put_ways(struct eval_pack *pack, size_t index, uint32_t most)
{
    const struct eval_item *item = &pack->items[index];
    struct track *track = &pack->tracks[index];
    for (; track->order < item->n_ways; track->order++) {
        uint32_t way = way_of(item, track->order), rows = way_rows(item, way);
        if (rows != 0 && !track->begun &&
            (pack->step.n_tokens >= most || !begin_way(pack, item, track, way))) {
            return false;
        }
        while (track->begun && track->at < rows) {
            if (pack->step.n_tokens >= most ||
                !put_row(pack, index, way, item->shared + track->at, track->way_seq)) {
                return false;
            }
            track->at++;
            pack->open_ways--;
            pack->rest_ways--;
        }
        if (track->begun) {
            pack->back_blocks += way_need(item, way, pack->limits.block);
            if (item->shared == 0 || way != 0) {
                pack->later[pack->n_later++] = track->way_seq;
            }
        }
        track->begun = false;
    }
    if (item->shared != 0) {
        pack->later[pack->n_later++] = track->seq;
        pack->back_blocks += trunk_need(pack, item);
        pack->trunk_blocks -= trunk_need(pack, item);
        pack->n_trunks--;
    }
    return true;
}

static void put_all_ways(struct eval_pack *pack, uint32_t most)
{
    while (pack->head < pack->admitted) {
        const struct eval_item *item = &pack->items[pack->head];
        const struct track *track = &pack->tracks[pack->head];
        if (track->done < item->shared || (item->shared != 0 && track->step == pack->number) ||
            !put_ways(pack, pack->head, most)) {
            return;
        }
        pack->head++;
    }
}

/* Begins the next item if there is room for its shared part. */
static bool admit(struct eval_pack *pack)
{
    if (pack->admitted == pack->n) {
        return false;
    }
    const struct eval_item *item = &pack->items[pack->admitted];
    struct track *track = &pack->tracks[pack->admitted];
    uint64_t need = trunk_need(pack, item);
    if (item->shared != 0) {
        if (need > pack->free_blocks || pack->n_free_seq == 0 ||
            pack->n_trunks + 2 > pack->limits.n_seq ||
            pack->trunk_blocks + need + pack->longest_way > pack->n_blocks) {
            return false;
        }
        pack->free_blocks -= need;
        pack->trunk_blocks += need;
        pack->n_trunks++;
        track->seq = pack->free_seq[--pack->n_free_seq];
    } else {
        pack->open_ways += eval_item_rows(item);
    }
    pack->admitted++;
    return true;
}

static void put_trunks(struct eval_pack *pack)
{
    for (;;) {
        size_t index = pack->admitted - 1; /* the one that may be unfinished */
        const struct eval_item *item = pack->admitted != 0 ? &pack->items[index] : NULL;
        struct track *track = item != NULL ? &pack->tracks[index] : NULL;
        while (item != NULL && track->done < item->shared) {
            if (!put_row(pack, index, EVAL_ENDINGS, track->done, track->seq)) {
                return;
            }
            track->step = pack->number;
            pack->rest_trunk--;
            if (++track->done == item->shared) {
                pack->open_ways += eval_item_rows(item) - item->shared;
            }
        }
        if (pack->step.n_tokens == pack->limits.n_batch || !admit(pack)) {
            return;
        }
    }
}

/* Rows of ways that this step is to have: in the proportion of what is left, more while many are
 * open. */
static uint32_t share_of_ways(const struct eval_pack *pack)
{
    uint64_t n = pack->limits.n_batch, rest = pack->rest_trunk + pack->rest_ways;
    uint64_t trunk = rest != 0 ? n * pack->rest_trunk / rest : 0;
    return (uint32_t)(n - (pack->open_ways > n ? trunk / 2 : trunk));
}

const struct eval_step *eval_pack_next(struct eval_pack *pack)
{
    if (pack->head == pack->n) {
        return NULL;
    }
    begin_step(pack);
    put_all_ways(pack, share_of_ways(pack));
    put_trunks(pack);
    put_all_ways(pack, pack->limits.n_batch);
    return pack->step.n_tokens != 0 ? &pack->step : NULL;
}

struct eval_need eval_pack_need(const struct eval_item *items, size_t n, uint32_t n_batch,
                                uint32_t block)
{
    enum { MOST_SEQ = 512 };
    uint64_t trunks = 0, ways = 0, rows = 0, n_ways = 0, longest = 0;
    for (size_t i = 0; i < n; i++) {
        const struct eval_item *item = &items[i];
        uint64_t trunk = size_div_up(item->shared, block);
        trunks += trunk;
        rows += eval_item_rows(item) - item->shared;
        n_ways += item->n_ways;
        for (uint32_t w = 0; w < item->n_ways; w++) {
            uint64_t way = way_need(item, w, block);
            ways += way;
            longest = trunk + way > longest ? trunk + way : longest;
        }
    }
    /* The ways of one step, and the shared parts of those of the next two; and more, since tasks of
     * one kind, with many short ways or a few long ones, follow each other. */
    double steps = rows != 0 ? (double)n_batch / (double)rows : 0;
    double blocks = 1.25 * steps * ((double)ways + 2 * (double)trunks);
    double seqs = 1.75 * steps * ((double)n_ways + 2 * (double)n) + 4;
    blocks = blocks < (double)(ways + trunks) ? blocks : (double)(ways + trunks);
    return (struct eval_need){.n_kv = ((uint64_t)blocks + 2 * longest + 1) * block,
                              .n_seq = seqs < MOST_SEQ ? (uint32_t)seqs : MOST_SEQ};
}
