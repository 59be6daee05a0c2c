#include "gateway/deliveries.h"

#include <assert.h>
#include <stdlib.h>

/* Kept for reuse: what expires between two ticks at some 40,000 deliveries a second. */
enum { SPARE_MAX = 4096 };

static_assert(sizeof(struct delivery_key) == 3 * sizeof(uint64_t), "a key is hashed as its bytes");

static struct slice key_of(const struct map_node *node)
{
    return slice_of(&container_of(node, struct delivery, by_key)->key, sizeof(struct delivery_key));
}

static void list_append(struct delivery_list *list, struct delivery *delivery)
{
    delivery->prev = list->last;
    delivery->next = NULL;
    if (list->last != NULL) {
        list->last->next = delivery;
    } else {
        list->first = delivery;
    }
    list->last = delivery;
}

static void list_remove(struct delivery_list *list, struct delivery *delivery)
{
    if (delivery->prev != NULL) {
        delivery->prev->next = delivery->next;
    } else {
        list->first = delivery->next;
    }
    if (delivery->next != NULL) {
        delivery->next->prev = delivery->prev;
    } else {
        list->last = delivery->prev;
    }
}

static void free_list(struct delivery *delivery)
{
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        free(delivery);
        delivery = next;
    }
}

bool deliveries_init(struct deliveries *all, size_t remembered_max, const uint8_t hash_key[16])
{
    *all = (struct deliveries){.remembered_max = remembered_max};
    return map_init(&all->by_key, hash_key, key_of);
}

void deliveries_fini(struct deliveries *all)
{
    free_list(all->waiting.first);
    free_list(all->over.first);
    free_list(all->spare);
    map_fini(&all->by_key);
    *all = (struct deliveries){0};
}

struct delivery *deliveries_find(const struct deliveries *all, const struct delivery_key *key)
{
    struct map_node *node = map_find(&all->by_key, slice_of(key, sizeof *key));
    return node == NULL ? NULL : container_of(node, struct delivery, by_key);
}

bool deliveries_may_be_forgotten(const struct deliveries *all, uint64_t deadline_ms)
{
    return deadline_ms <= all->forgotten_until_ms;
}

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

static void unlink_from_session(struct delivery *delivery)
{
    struct delivery *prev = delivery->prev_of_session;
    struct delivery *next = delivery->next_of_session;
    if (prev != NULL) {
        prev->next_of_session = next;
    }
    if (next != NULL) {
        next->prev_of_session = prev;
    } else if (delivery->of_session != NULL) {
        delivery->of_session->newest = prev;
    }
}

static void return_memory(struct deliveries *all, struct delivery *delivery)
{
    unlink_from_session(delivery);
    map_remove(&all->by_key, &delivery->by_key);
    if (all->spare_count == SPARE_MAX) {
        free(delivery);
    } else {
        put_spare(all, delivery);
    }
}

bool deliveries_are_ahead(const struct session_deliveries *of_session,
                          const struct delivery_key *key)
{
    /* A source's seqs rise along the stream: its newest says it all. */
    const struct delivery *at = of_session->newest;
    while (at != NULL && at->key.source_instance_id != key->source_instance_id) {
        at = at->prev_of_session;
    }
    return at != NULL && at->key.seq > key->seq;
}

void deliveries_open(struct deliveries *all, const struct delivery_key *key, uint64_t deadline_ms,
                     struct session_deliveries *of_session, uint64_t end_bytes)
{
    struct delivery *delivery = all->spare;
    assert(delivery != NULL);
    all->spare = delivery->next;
    all->spare_count--;
    *delivery = (struct delivery){
        .key = *key,
        .deadline_ms = deadline_ms,
        .of_session = of_session,
        .prev_of_session = of_session->newest,
        .end_bytes = end_bytes,
    };
    if (of_session->newest != NULL) {
        of_session->newest->next_of_session = delivery;
    }
    of_session->newest = delivery;
    if (of_session->first_waiting == NULL) {
        of_session->first_waiting = delivery;
    }
    map_insert(&all->by_key, &delivery->by_key);
    list_append(&all->waiting, delivery);
}

static void forget_oldest(struct deliveries *all)
{
    struct delivery *oldest = all->over.first;
    list_remove(&all->over, oldest);
    all->over_count--;
    return_memory(all, oldest);
}

void deliveries_finish_first(struct deliveries *all, struct session_deliveries *of_session,
                             enum outcome outcome)
{
    struct delivery *delivery = of_session->first_waiting;
    assert(delivery != NULL && !delivery->is_over);
    of_session->first_waiting = delivery->next_of_session;
    list_remove(&all->waiting, delivery);
    delivery->is_over = true;
    delivery->outcome = outcome;
    list_append(&all->over, delivery);
    all->over_count++;
    if (all->over_count > all->remembered_max) {
        if (all->over.first->deadline_ms > all->forgotten_until_ms) {
            all->forgotten_until_ms = all->over.first->deadline_ms;
        }
        forget_oldest(all);
    }
}

void deliveries_leave(struct session_deliveries *of_session)
{
    assert(of_session->first_waiting == NULL);
    for (struct delivery *at = of_session->newest; at != NULL; at = at->prev_of_session) {
        at->of_session = NULL;
    }
    of_session->newest = NULL;
}

void deliveries_expire(struct deliveries *all, uint64_t now_ms)
{
    /* Deadlines do not quite rise along the list: one that was held up by a broker stands behind
     * later ones, and is remembered a little longer than it must be. */
    while (all->over.first != NULL && all->over.first->deadline_ms <= now_ms) {
        forget_oldest(all);
    }
}
