#include "broker/transfers.h"

#include <assert.h>
#include <stdlib.h>

/* About 130,000 transfers' worth of free blocks; what a burst needs beyond goes back. */
enum { POOL_KEPT_MAX_BYTES = 16 * 1024 * 1024 };

static_assert(sizeof(struct transfer) <= POOL_BLOCK_MIN_BYTES, "a transfer is one smallest block");
static_assert(sizeof(struct transfer_key) == 2 * sizeof(uint64_t), "a key is hashed as its bytes");

/* Which outcome speaks for the message when its legs differ: the higher. A message that may have
 * reached one device is not called undelivered because another refused it. */
static const uint8_t ranks[OUTCOME_COUNT] = {
    [OUTCOME_USER_OFFLINE] = 1,
    [OUTCOME_OVERLOADED] = 2,
    [OUTCOME_UNCONFIRMED] = 3,
    [OUTCOME_DELIVERED] = 4,
};

static struct transfer *transfer_of_node(const struct map_node *node)
{
    return container_of(node, struct transfer, by_key);
}

static struct slice transfer_key_bytes(const struct map_node *node)
{
    return slice_of(&transfer_of_node(node)->key, sizeof(struct transfer_key));
}

static void list_append(struct transfer_list *list, struct transfer *transfer)
{
    transfer->prev = list->last;
    transfer->next = NULL;
    if (list->last != NULL) {
        list->last->next = transfer;
    } else {
        list->first = transfer;
    }
    list->last = transfer;
}

static void list_remove(struct transfer_list *list, struct transfer *transfer)
{
    if (transfer->prev != NULL) {
        transfer->prev->next = transfer->next;
    } else {
        list->first = transfer->next;
    }
    if (transfer->next != NULL) {
        transfer->next->prev = transfer->prev;
    } else {
        list->last = transfer->prev;
    }
}

/* Takes out the leg that `link` points at. */
static void remove_leg(struct transfers *all, struct transfer *transfer, struct transfer_leg **link)
{
    struct transfer_leg *leg = *link;
    *link = leg->next;
    all->leg_counts[leg->slot]--;
    if (leg != &transfer->own_leg) {
        pool_return(&all->pool, leg, sizeof *leg);
    }
}

static void free_transfer(struct transfers *all, struct transfer_list *list,
                          struct transfer *transfer)
{
    while (transfer->first_leg != NULL) {
        remove_leg(all, transfer, &transfer->first_leg);
    }
    list_remove(list, transfer);
    map_remove(&all->by_key, &transfer->by_key);
    pool_return(&all->pool, transfer, sizeof *transfer);
    all->count--;
}

bool transfers_init(struct transfers *all, uint32_t slot_count, size_t legs_max,
                    const uint8_t hash_key[16])
{
    *all = (struct transfers){.slot_count = slot_count, .legs_max = legs_max};
    pool_init(&all->pool, POOL_KEPT_MAX_BYTES);
    all->leg_counts = calloc(slot_count, sizeof *all->leg_counts);
    if (all->leg_counts == NULL || !map_init(&all->by_key, hash_key, transfer_key_bytes)) {
        transfers_fini(all);
        return false;
    }
    return true;
}

void transfers_fini(struct transfers *all)
{
    while (all->under_way.first != NULL) {
        free_transfer(all, &all->under_way, all->under_way.first);
    }
    while (all->done.first != NULL) {
        free_transfer(all, &all->done, all->done.first);
    }
    free(all->leg_counts);
    map_fini(&all->by_key);
    pool_fini(&all->pool);
    *all = (struct transfers){0};
}

struct transfer *transfers_open(struct transfers *all, uint32_t source_slot,
                                struct transfer_key key, uint64_t deadline_ms)
{
    assert(all->under_way.last == NULL || all->under_way.last->deadline_ms <= deadline_ms);
    assert(map_find(&all->by_key, slice_of(&key, sizeof key)) == NULL);
    struct transfer *transfer = pool_take(&all->pool, sizeof *transfer);
    if (transfer == NULL) {
        return NULL;
    }
    *transfer = (struct transfer){
        .key = key,
        .deadline_ms = deadline_ms,
        .source_slot = source_slot,
        .outcome = OUTCOME_USER_OFFLINE,
    };
    map_insert(&all->by_key, &transfer->by_key);
    list_append(&all->under_way, transfer);
    all->count++;
    return transfer;
}

bool transfers_add_leg(struct transfers *all, struct transfer *transfer, uint32_t slot,
                       uint64_t session_id)
{
    assert(slot < all->slot_count);
    if (all->leg_counts[slot] >= all->legs_max) {
        return false;
    }
    bool is_first = transfer->first_leg == NULL;
    struct transfer_leg *leg = is_first ? &transfer->own_leg : pool_take(&all->pool, sizeof *leg);
    if (leg == NULL) {
        return false;
    }
    *leg = (struct transfer_leg){.session_id = session_id, .slot = slot};
    if (is_first) {
        transfer->first_leg = leg;
    } else {
        transfer->last_leg->next = leg;
    }
    transfer->last_leg = leg;
    all->leg_counts[slot]++;
    return true;
}

bool transfer_leg_can_end(enum outcome outcome)
{
    return ranks[outcome] > 0;
}

void transfer_note(struct transfer *transfer, enum outcome outcome)
{
    assert(transfer_leg_can_end(outcome));
    if (ranks[outcome] > ranks[transfer->outcome]) {
        transfer->outcome = outcome;
    }
}

/* Moves a transfer that is under way and has no unanswered leg to the done ones. */
static void finish_if_answered(struct transfers *all, struct transfer *transfer)
{
    if (transfer->first_leg == NULL) {
        list_remove(&all->under_way, transfer);
        list_append(&all->done, transfer);
    }
}

void transfers_start(struct transfers *all, struct transfer *transfer)
{
    finish_if_answered(all, transfer);
}

void transfers_answer(struct transfers *all, struct transfer_key key, uint32_t slot,
                      uint64_t session_id, enum outcome outcome)
{
    struct map_node *node = map_find(&all->by_key, slice_of(&key, sizeof key));
    if (node == NULL) {
        return;
    }
    struct transfer *transfer = transfer_of_node(node);
    struct transfer_leg **link = &transfer->first_leg;
    while (*link != NULL && !((*link)->slot == slot && (*link)->session_id == session_id)) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return;
    }
    remove_leg(all, transfer, link);
    transfer_note(transfer, outcome);
    finish_if_answered(all, transfer);
}

void transfers_expire(struct transfers *all, uint64_t now_ms)
{
    struct transfer *transfer = NULL;
    while ((transfer = all->under_way.first) != NULL && transfer->deadline_ms <= now_ms) {
        while (transfer->first_leg != NULL) {
            remove_leg(all, transfer, &transfer->first_leg);
        }
        transfer_note(transfer, OUTCOME_UNCONFIRMED);
        finish_if_answered(all, transfer);
    }
}

static void end_legs_to(struct transfers *all, struct transfer *transfer, uint32_t slot)
{
    struct transfer_leg **link = &transfer->first_leg;
    while (*link != NULL) {
        if ((*link)->slot == slot) {
            remove_leg(all, transfer, link);
            transfer_note(transfer, OUTCOME_UNCONFIRMED);
        } else {
            link = &(*link)->next;
        }
    }
    finish_if_answered(all, transfer);
}

void transfers_end_slot(struct transfers *all, uint32_t slot)
{
    assert(all->done.first == NULL);
    struct transfer *next = NULL;
    for (struct transfer *transfer = all->under_way.first; transfer != NULL; transfer = next) {
        next = transfer->next;
        if (transfer->source_slot == slot) {
            free_transfer(all, &all->under_way, transfer);
        } else {
            end_legs_to(all, transfer, slot);
        }
    }
}

bool transfers_pop_done(struct transfers *all, struct transfer_result *result)
{
    struct transfer *transfer = all->done.first;
    if (transfer == NULL) {
        return false;
    }
    *result = (struct transfer_result){
        .source_slot = transfer->source_slot,
        .seq = transfer->key.seq,
        .outcome = transfer->outcome,
    };
    free_transfer(all, &all->done, transfer);
    return true;
}
