#include "gateway/delivery_index.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_SLOT_COUNT = 1024,
    SLOTS_PER_DELIVERY = 8, /* two entries each, room for as many again, half of them empty */
};

/* What an entry says of its delivery. */
enum entry_kind { ENTRY_WHOLE_KEY, ENTRY_LATEST };

/* Open addressing, linear probing. An entry is a position in the ring, from `base` on, and its
 * kind; entries of deliveries that have been forgotten stay and are passed by. */
struct delivery_index {
    uint64_t base;
    uint64_t end;
    size_t slot_count; /* a power of two */
    size_t used_count;
    bool was_asked;
    uint32_t slots[]; /* 0: empty; else (position - base) * 2 + kind + 1 */
};

/* Neither ids nor seqs are chosen by clients: no keyed hash is needed. */
static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= UINT64_C(0xbf58476d1ce4e5b9);
    value ^= value >> 27;
    value *= UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static uint64_t hash_of(const struct delivery_key *key, enum entry_kind kind)
{
    uint64_t seq = kind == ENTRY_WHOLE_KEY ? key->seq : UINT64_MAX;
    return mix(key->source_instance_id + mix(key->session_id + mix(seq)));
}

static bool is_same(const struct delivery_key *a, const struct delivery_key *b,
                    enum entry_kind kind)
{
    return a->source_instance_id == b->source_instance_id && a->session_id == b->session_id &&
           (kind == ENTRY_LATEST || a->seq == b->seq);
}

/* The slot that has the key's entry, or the empty one where it belongs. */
static size_t find_slot(const struct delivery_index *index, const struct deliveries *all,
                        const struct delivery_key *key, enum entry_kind kind)
{
    size_t at = (size_t)hash_of(key, kind) & (index->slot_count - 1);
    for (;;) {
        uint32_t entry = index->slots[at];
        if (entry == 0) {
            return at;
        }
        uint64_t position = index->base + (entry - 1) / 2;
        if ((entry - 1) % 2 == (uint32_t)kind && position >= all->ring_begin &&
            is_same(&deliveries_at(all, position)->key, key, kind)) {
            return at;
        }
        at = (at + 1) & (index->slot_count - 1);
    }
}

static void put(struct delivery_index *index, const struct deliveries *all, uint64_t position,
                enum entry_kind kind)
{
    size_t at = find_slot(index, all, &deliveries_at(all, position)->key, kind);
    index->used_count += index->slots[at] == 0;
    index->slots[at] = (uint32_t)((position - index->base) * 2 + (uint64_t)kind + 1);
}

bool delivery_index_update(struct delivery_index *index, const struct deliveries *all)
{
    index->was_asked = true;
    if (index->end < all->ring_begin) {
        index->end = all->ring_begin;
    }
    for (; index->end < all->ring_end; index->end++) {
        if (index->used_count + 2 > index->slot_count / 2 ||
            index->end - index->base >= UINT32_MAX / 2 - 1) {
            return false;
        }
        put(index, all, index->end, ENTRY_WHOLE_KEY);
        put(index, all, index->end, ENTRY_LATEST);
    }
    return true;
}

struct delivery_index *delivery_index_new(const struct deliveries *all)
{
    size_t count = (size_t)(all->ring_end - all->ring_begin);
    size_t slot_count = FIRST_SLOT_COUNT;
    while (slot_count < count * SLOTS_PER_DELIVERY) {
        slot_count *= 2;
    }
    struct delivery_index *index = calloc(1, sizeof *index + slot_count * sizeof index->slots[0]);
    if (index == NULL) {
        return NULL;
    }
    index->base = all->ring_begin;
    index->end = all->ring_begin;
    index->slot_count = slot_count;
    bool is_whole = delivery_index_update(index, all);
    assert(is_whole);
    return index;
}

void delivery_index_free(struct delivery_index *index)
{
    free(index);
}

static const struct remembered_delivery *find(const struct delivery_index *index,
                                              const struct deliveries *all,
                                              const struct delivery_key *key, enum entry_kind kind)
{
    uint32_t entry = index->slots[find_slot(index, all, key, kind)];
    return entry == 0 ? NULL : deliveries_at(all, index->base + (entry - 1) / 2);
}

const struct remembered_delivery *delivery_index_find(const struct delivery_index *index,
                                                      const struct deliveries *all,
                                                      const struct delivery_key *key)
{
    return find(index, all, key, ENTRY_WHOLE_KEY);
}

const struct remembered_delivery *delivery_index_find_latest(const struct delivery_index *index,
                                                             const struct deliveries *all,
                                                             const struct delivery_key *key)
{
    return find(index, all, key, ENTRY_LATEST);
}

bool delivery_index_is_idle(struct delivery_index *index)
{
    bool was_asked = index->was_asked;
    index->was_asked = false;
    return !was_asked;
}
