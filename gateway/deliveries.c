#include "gateway/delivery_index.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SPARE_MAX = 4096,
    SPARE_AT_REST_MAX = 64,
    RING_FIRST_CAP = 256,
    RING_SHRINK_DIVISOR = 8, /* a ring that is used less than this is halved */
};

void deliveries_init(struct deliveries *all, size_t remembered_max)
{
    *all = (struct deliveries){.remembered_max = remembered_max};
}

static void free_list(struct delivery *delivery)
{
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        free(delivery);
        delivery = next;
    }
}

void deliveries_fini(struct deliveries *all)
{
    free_list(all->first_waiting);
    free_list(all->spare);
    free(all->ring);
    delivery_index_free(all->index);
    *all = (struct deliveries){0};
}

/* ---- those that are over ---- */

static size_t over_count(const struct deliveries *all)
{
    return (size_t)(all->ring_end - all->ring_begin);
}

bool deliveries_are_empty(const struct deliveries *all)
{
    return all->first_waiting == NULL && over_count(all) == 0;
}

bool deliveries_are_at_rest(const struct deliveries *all)
{
    return deliveries_are_empty(all) && all->index == NULL && all->ring_cap <= RING_FIRST_CAP;
}

/* False: no memory. */
static bool resize_ring(struct deliveries *all, size_t cap)
{
    struct remembered_delivery *ring = calloc(cap, sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    for (uint64_t at = all->ring_begin; at < all->ring_end; at++) {
        ring[at & (cap - 1)] = *deliveries_at(all, at);
    }
    free(all->ring);
    all->ring = ring;
    all->ring_cap = cap;
    return true;
}

static void mark_forgotten(struct deliveries *all, uint64_t deadline_ms)
{
    if (deadline_ms > all->forgotten_until_ms) {
        all->forgotten_until_ms = deadline_ms;
    }
}

static void remember(struct deliveries *all, const struct remembered_delivery *over)
{
    bool has_room = over_count(all) < all->ring_cap ||
                    (all->ring_cap < all->remembered_max &&
                     resize_ring(all, all->ring_cap > 0 ? all->ring_cap * 2 : RING_FIRST_CAP));
    if (over_count(all) > 0 && (!has_room || over_count(all) >= all->remembered_max)) {
        mark_forgotten(all, deliveries_at(all, all->ring_begin)->deadline_ms);
        all->ring_begin++;
    }
    if (over_count(all) >= all->ring_cap || all->remembered_max == 0) {
        mark_forgotten(all, over->deadline_ms);
        return;
    }
    all->ring[all->ring_end & (all->ring_cap - 1)] = *over;
    all->ring_end++;
}

void deliveries_expire(struct deliveries *all, uint64_t now_ms)
{
    /* Deadlines do not quite rise along the ring: one that was held up by a broker stands behind
     * later ones, and is remembered a little longer than it must be. */
    while (over_count(all) > 0 && deliveries_at(all, all->ring_begin)->deadline_ms <= now_ms) {
        all->ring_begin++;
    }
    if (all->ring_cap > RING_FIRST_CAP && over_count(all) < all->ring_cap / RING_SHRINK_DIVISOR) {
        /* Without memory for a smaller ring the large one serves as well. */
        bool is_small = resize_ring(all, all->ring_cap / 2);
        (void)is_small;
    }
    if (all->index != NULL && delivery_index_is_idle(all->index)) {
        delivery_index_free(all->index);
        all->index = NULL;
    }
    if (deliveries_are_empty(all) && all->spare_count > SPARE_AT_REST_MAX) {
        free_list(all->spare);
        all->spare = NULL;
        all->spare_count = 0;
    }
}

/* ---- repeats ---- */

/* False: no memory. */
static bool prepare_index(struct deliveries *all)
{
    if (all->index != NULL && !delivery_index_update(all->index, all)) {
        delivery_index_free(all->index);
        all->index = NULL;
    }
    if (all->index == NULL) {
        all->index = delivery_index_new(all);
    }
    return all->index != NULL;
}

/* What waits for the session says of the key. */
static enum delivery_past look_among_waiting(const struct session_deliveries *of_session,
                                             const struct delivery_key *key)
{
    enum delivery_past past = DELIVERY_IS_NEW;
    const struct delivery *at = of_session == NULL ? NULL : of_session->first;
    for (; at != NULL; at = at->next_of_session) {
        if (at->key.source_instance_id == key->source_instance_id && at->key.seq >= key->seq) {
            if (at->key.seq == key->seq) {
                return DELIVERY_WAITS;
            }
            past = DELIVERY_IS_OVERTAKEN;
        }
    }
    return past;
}

enum delivery_past deliveries_look_up(struct deliveries *all, const struct delivery_key *key,
                                      uint64_t deadline_ms,
                                      const struct session_deliveries *of_session,
                                      enum outcome *outcome)
{
    enum delivery_past past = look_among_waiting(of_session, key);
    if (past == DELIVERY_WAITS) {
        return past;
    }
    if (over_count(all) > 0) {
        if (!prepare_index(all)) {
            return DELIVERY_IS_UNKNOWN;
        }
        const struct remembered_delivery *over = delivery_index_find(all->index, all, key);
        if (over != NULL) {
            *outcome = over->outcome;
            return DELIVERY_IS_OVER;
        }
        const struct remembered_delivery *latest = delivery_index_find_latest(all->index, all, key);
        if (latest != NULL && latest->key.seq > key->seq) {
            past = DELIVERY_IS_OVERTAKEN;
        }
    }
    return deadline_ms <= all->forgotten_until_ms ? DELIVERY_IS_UNKNOWN : past;
}

/* ---- those that wait ---- */

static void put_spare(struct deliveries *all, struct delivery *delivery)
{
    delivery->next = all->spare;
    all->spare = delivery;
    all->spare_count++;
}

bool deliveries_prepare(struct deliveries *all)
{
    if (all->spare == NULL) {
        struct delivery *delivery = malloc(sizeof *delivery);
        if (delivery == NULL) {
            return false;
        }
        put_spare(all, delivery);
    }
    return true;
}

struct delivery *deliveries_open(struct deliveries *all, const struct delivery_key *key,
                                 uint64_t deadline_ms, struct session_deliveries *of_session,
                                 uint64_t end_bytes)
{
    struct delivery *delivery = all->spare;
    assert(delivery != NULL);
    all->spare = delivery->next;
    all->spare_count--;
    *delivery = (struct delivery){
        .key = *key,
        .prev = all->last_waiting,
        .end_bytes = end_bytes,
        .deadline_ms = deadline_ms,
    };
    if (all->last_waiting != NULL) {
        all->last_waiting->next = delivery;
    } else {
        all->first_waiting = delivery;
    }
    all->last_waiting = delivery;
    if (of_session->last != NULL) {
        of_session->last->next_of_session = delivery;
    } else {
        of_session->first = delivery;
    }
    of_session->last = delivery;
    return delivery;
}

/* Takes the first one that waits for the session out of both lists. */
static struct delivery *take_first(struct deliveries *all, struct session_deliveries *of_session)
{
    struct delivery *delivery = of_session->first;
    assert(delivery != NULL);
    of_session->first = delivery->next_of_session;
    if (of_session->first == NULL) {
        of_session->last = NULL;
    }
    if (delivery->prev != NULL) {
        delivery->prev->next = delivery->next;
    } else {
        all->first_waiting = delivery->next;
    }
    if (delivery->next != NULL) {
        delivery->next->prev = delivery->prev;
    } else {
        all->last_waiting = delivery->prev;
    }
    return delivery;
}

void deliveries_finish_first(struct deliveries *all, struct session_deliveries *of_session,
                             enum outcome outcome)
{
    struct delivery *delivery = take_first(all, of_session);
    struct remembered_delivery over = {
        .key = delivery->key,
        .deadline_ms = delivery->deadline_ms,
        .outcome = outcome,
    };
    remember(all, &over);
    if (all->spare_count == SPARE_MAX) {
        free(delivery);
    } else {
        put_spare(all, delivery);
    }
}
