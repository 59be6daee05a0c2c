#include "broker/transfers.h"

#include <assert.h>
#include <stdlib.h>

/* Some 4,000 transfers' worth of free blocks; what a burst needs beyond goes back. */
enum { POOL_KEPT_MAX_BYTES = 2 * 1024 * 1024 };

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

/* The one place where a transfer's state changes. */
static void move_to(struct transfers *all, struct transfer *transfer, enum transfer_state state)
{
    assert((state == TRANSFER_UNDER_WAY) == (transfer->first_leg != NULL));
    list_remove(&all->lists[transfer->state], transfer);
    transfer->state = state;
    list_append(&all->lists[state], transfer);
}

/* Takes out the leg that `link` points at. */
static void remove_leg(struct transfers *all, struct transfer *transfer, struct transfer_leg **link)
{
    struct transfer_leg *leg = *link;
    *link = leg->next;
    all->leg_counts[leg->session->slot]--;
    directory_uncount_leg(leg->session);
    if (leg != &transfer->own_leg) {
        pool_return(&all->pool, leg, sizeof *leg);
    }
}

static void remove_all_legs(struct transfers *all, struct transfer *transfer)
{
    while (transfer->first_leg != NULL) {
        remove_leg(all, transfer, &transfer->first_leg);
    }
}

void transfers_close(struct transfers *all, struct transfer *transfer)
{
    remove_all_legs(all, transfer);
    list_remove(&all->lists[transfer->state], transfer);
    map_remove(&all->by_key, &transfer->by_key);
    struct user *user = transfer->user;
    size_t bytes = transfer_memory(transfer);
    if (transfer->call != NULL) {
        transfer->call->transfers--;
        if (transfer->is_start) {
            transfer->call->start = NULL;
        }
    }
    all->kept_bytes -= bytes;
    all->count--;
    pool_return(&all->pool, transfer, bytes);
    directory_uncount_transfer(user);
    directory_release_user(all->directory, user);
}

bool transfers_init(struct transfers *all, struct directory *directory, uint32_t slot_count,
                    size_t legs_max, size_t kept_max_bytes)
{
    *all = (struct transfers){
        .directory = directory,
        .slot_count = slot_count,
        .legs_max = legs_max,
        .kept_max_bytes = kept_max_bytes,
    };
    pool_init(&all->pool, POOL_KEPT_MAX_BYTES);
    all->leg_counts = calloc(slot_count, sizeof *all->leg_counts);
    if (all->leg_counts == NULL || !map_init(&all->by_key, NULL, transfer_key_bytes)) {
        transfers_fini(all);
        return false;
    }
    return true;
}

void transfers_fini(struct transfers *all)
{
    for (int state = 0; state < TRANSFER_STATE_COUNT; state++) {
        while (all->lists[state].first != NULL) {
            transfers_close(all, all->lists[state].first);
        }
    }
    free(all->leg_counts);
    map_fini(&all->by_key);
    pool_fini(&all->pool);
    *all = (struct transfers){0};
}

struct transfer *transfers_find(const struct transfers *all, struct transfer_key key)
{
    struct map_node *node = map_find(&all->by_key, slice_of(&key, sizeof key));
    return node == NULL ? NULL : transfer_of_node(node);
}

struct transfer *transfers_open(struct transfers *all, const struct transfer_start *start)
{
    size_t bytes = sizeof(struct transfer) + start->payload.len;
    if (bytes > all->kept_max_bytes - all->kept_bytes) {
        return NULL;
    }
    struct transfer *transfer = pool_take(&all->pool, bytes);
    if (transfer == NULL) {
        return NULL;
    }
    *transfer = (struct transfer){
        .key = start->key,
        .user = start->user,
        .call = start->call,
        .call_leg = start->call_leg,
        .is_start = start->is_start,
        .rings = start->is_start,
        .deadline_ms = start->deadline_ms,
        .state = TRANSFER_DONE,
        .outcome = OUTCOME_USER_OFFLINE,
        .source_slot = start->source_slot,
        .payload_len = (uint32_t)start->payload.len,
        .is_repeat = start->is_repeat,
        .is_awaited = start->is_awaited,
    };
    if (start->payload.len > 0) {
        memcpy(transfer->payload, start->payload.data, start->payload.len);
    }
    map_insert(&all->by_key, &transfer->by_key);
    list_append(&all->lists[TRANSFER_DONE], transfer);
    directory_count_transfer(start->user);
    if (start->call != NULL) {
        start->call->transfers++;
        if (start->is_start) {
            start->call->start = transfer;
        }
    }
    all->kept_bytes += bytes;
    all->count++;
    return transfer;
}

bool transfers_add_leg(struct transfers *all, struct transfer *transfer, struct session *session)
{
    assert(session->slot < all->slot_count);
    if (all->leg_counts[session->slot] >= all->legs_max) {
        return false;
    }
    bool is_first = transfer->first_leg == NULL;
    struct transfer_leg *leg = is_first ? &transfer->own_leg : pool_take(&all->pool, sizeof *leg);
    if (leg == NULL) {
        return false;
    }
    *leg = (struct transfer_leg){.session = session};
    if (is_first) {
        transfer->first_leg = leg;
    } else {
        transfer->last_leg->next = leg;
    }
    transfer->last_leg = leg;
    directory_count_leg(session);
    all->leg_counts[session->slot]++;
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

void transfer_say_again(struct transfer *transfer)
{
    assert(transfer->state == TRANSFER_DONE && transfer->first_leg == NULL);
    transfer->source_slot = TRANSFER_NO_SLOT;
    transfer->outcome = OUTCOME_USER_OFFLINE;
    transfer->is_repeat = true;
    transfer->again_count++;
}

void transfers_send(struct transfers *all, struct transfer *transfer, uint64_t expires_ms)
{
    const struct transfer *last = all->lists[TRANSFER_UNDER_WAY].last;
    assert(transfer->state == TRANSFER_DONE && (last == NULL || last->expires_ms <= expires_ms));
    if (transfer->first_leg != NULL) {
        transfer->expires_ms = expires_ms;
        move_to(all, transfer, TRANSFER_UNDER_WAY);
    }
}

void transfers_hold(struct transfers *all, struct transfer *transfer)
{
    assert(transfer->state == TRANSFER_DONE);
    move_to(all, transfer, TRANSFER_HELD);
}

void transfers_unhold(struct transfers *all, struct transfer *transfer)
{
    assert(transfer->state == TRANSFER_HELD);
    move_to(all, transfer, TRANSFER_DONE);
}

static void finish_if_answered(struct transfers *all, struct transfer *transfer)
{
    if (transfer->first_leg == NULL) {
        move_to(all, transfer, TRANSFER_DONE);
    }
}

static bool goes_to(const struct transfer_leg *leg, uint32_t slot, uint64_t session_id)
{
    return leg->session->slot == slot && leg->session->id == session_id;
}

const struct session *transfers_session_of_leg(const struct transfer *transfer, uint32_t slot,
                                               uint64_t session_id)
{
    const struct transfer_leg *leg = transfer->first_leg;
    while (leg != NULL && !goes_to(leg, slot, session_id)) {
        leg = leg->next;
    }
    return leg != NULL ? leg->session : NULL;
}

void transfers_answer(struct transfers *all, struct transfer *transfer, uint32_t slot,
                      uint64_t session_id, enum outcome outcome)
{
    struct transfer_leg **link = &transfer->first_leg;
    while (*link != NULL && !goes_to(*link, slot, session_id)) {
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
    while ((transfer = all->lists[TRANSFER_UNDER_WAY].first) != NULL &&
           transfer->expires_ms <= now_ms) {
        remove_all_legs(all, transfer);
        transfer_note(transfer, OUTCOME_UNCONFIRMED);
        finish_if_answered(all, transfer);
    }
}

static void end_legs_to(struct transfers *all, struct transfer *transfer, uint32_t slot)
{
    struct transfer_leg **link = &transfer->first_leg;
    while (*link != NULL) {
        if ((*link)->session->slot == slot) {
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
    assert(transfers_first_done(all) == NULL);
    struct transfer *next = NULL;
    for (struct transfer *transfer = all->lists[TRANSFER_UNDER_WAY].first; transfer != NULL;
         transfer = next) {
        next = transfer->next;
        bool is_from = transfer->source_slot == slot;
        if (is_from && transfer->call == NULL) {
            transfers_close(all, transfer);
        } else {
            transfer->source_slot = is_from ? TRANSFER_NO_SLOT : transfer->source_slot;
            end_legs_to(all, transfer, slot);
        }
    }
}

struct transfer *transfers_first_done(const struct transfers *all)
{
    return all->lists[TRANSFER_DONE].first;
}

struct transfer *transfers_first_held(const struct transfers *all)
{
    return all->lists[TRANSFER_HELD].first;
}

size_t transfers_leg_count(const struct transfers *all, uint32_t slot)
{
    return all->leg_counts[slot];
}
