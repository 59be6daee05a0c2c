#include "broker/holds.h"

#include <assert.h>
#include <stdlib.h>

void holds_init(struct holds *all, struct transfers *transfers, const struct holds_config *config)
{
    *all = (struct holds){
        .transfers = transfers,
        .times_ms = {[HOLD_AWAY] = config->away_ms,
                     [HOLD_LEG_AWAY] = config->leg_away_ms,
                     [HOLD_SETTLING] = HOLDS_SETTLE_MS},
        .users_max = config->users_max,
        .messages_max = config->messages_max,
    };
}

/* What points at the hold. */
static struct hold **place_of_hold(struct user *user, struct call_leg *leg)
{
    return leg != NULL ? &leg->hold : &user->hold;
}

static void list_append(struct hold_list *list, struct hold *hold)
{
    hold->prev = list->last;
    hold->next = NULL;
    if (list->last != NULL) {
        list->last->next = hold;
    } else {
        list->first = hold;
    }
    list->last = hold;
}

static void list_remove(struct hold_list *list, struct hold *hold)
{
    if (hold->prev != NULL) {
        hold->prev->next = hold->next;
    } else {
        list->first = hold->next;
    }
    if (hold->next != NULL) {
        hold->next->prev = hold->prev;
    } else {
        list->last = hold->prev;
    }
}

static void free_hold(struct holds *all, struct hold *hold)
{
    list_remove(&all->lists[hold->state], hold);
    *place_of_hold(hold->user, hold->leg) = NULL;
    all->count--;
    free(hold);
}

void holds_fini(struct holds *all)
{
    for (int state = 0; state < HOLD_STATE_COUNT; state++) {
        struct hold *next = NULL;
        for (struct hold *hold = all->lists[state].first; hold != NULL; hold = next) {
            next = hold->next;
            struct user *user = hold->leg == NULL ? hold->user : NULL;
            *place_of_hold(hold->user, hold->leg) = NULL;
            free(hold);
            if (user != NULL) {
                directory_release_user(all->transfers->directory, user);
            }
        }
        all->lists[state] = (struct hold_list){0};
    }
    all->count = 0;
    all->bytes = 0;
}

static void begin(struct holds *all, struct user *user, struct call_leg *leg, enum hold_state state,
                  uint64_t now_ms)
{
    struct hold **place = place_of_hold(user, leg);
    struct hold *hold = *place;
    if (hold != NULL) {
        list_remove(&all->lists[hold->state], hold);
    } else {
        enum hold_state away = leg != NULL ? HOLD_LEG_AWAY : HOLD_AWAY;
        bool is_allowed = all->times_ms[away] > 0 && all->count < all->users_max;
        hold = is_allowed ? calloc(1, sizeof *hold) : NULL;
        if (hold == NULL) {
            return;
        }
        hold->user = user;
        hold->leg = leg;
        *place = hold;
        all->count++;
    }
    hold->state = state;
    hold->ends_ms = now_ms + all->times_ms[state];
    list_append(&all->lists[state], hold);
}

void holds_begin(struct holds *all, struct user *user, enum hold_state state, uint64_t now_ms)
{
    begin(all, user, NULL, state, now_ms);
}

void holds_begin_for_leg(struct holds *all, struct call_leg *leg, enum hold_state state,
                         uint64_t now_ms)
{
    begin(all, leg->user, leg, state, now_ms);
}

void holds_end(struct holds *all, struct hold *hold)
{
    assert(hold->count == 0);
    free_hold(all, hold);
}

/* The one in front of which a transfer belongs; NULL: at the end. Those that come back stand in
 * front of those that were never sent, in the order in which they were sent for the first time. */
static struct transfer *place_of(const struct hold *hold, const struct transfer *transfer)
{
    struct transfer *place = NULL;
    for (struct transfer *at = hold->last; at != NULL && transfer->number > 0; at = at->prev_held) {
        if (at->number > 0 && at->number < transfer->number) {
            break;
        }
        place = at;
    }
    return place;
}

static void queue_insert(struct hold *hold, struct transfer *transfer, struct transfer *place)
{
    transfer->next_held = place;
    transfer->prev_held = place != NULL ? place->prev_held : hold->last;
    if (transfer->prev_held != NULL) {
        transfer->prev_held->next_held = transfer;
    } else {
        hold->first = transfer;
    }
    if (place != NULL) {
        place->prev_held = transfer;
    } else {
        hold->last = transfer;
    }
    hold->count++;
}

static void queue_remove(struct hold *hold, struct transfer *transfer)
{
    if (transfer->prev_held != NULL) {
        transfer->prev_held->next_held = transfer->next_held;
    } else {
        hold->first = transfer->next_held;
    }
    if (transfer->next_held != NULL) {
        transfer->next_held->prev_held = transfer->prev_held;
    } else {
        hold->last = transfer->prev_held;
    }
    hold->count--;
}

bool holds_add(struct holds *all, struct hold *hold, struct transfer *transfer)
{
    size_t bytes_max = all->transfers->kept_max_bytes / HOLDS_SHARE_DIVISOR;
    if (hold->count >= all->messages_max || all->bytes + transfer_memory(transfer) > bytes_max) {
        return false;
    }
    all->bytes += transfer_memory(transfer);
    queue_insert(hold, transfer, place_of(hold, transfer));
    transfer->hold = hold;
    transfers_hold(all->transfers, transfer);
    return true;
}

struct transfer *holds_take(struct holds *all, struct hold *hold)
{
    struct transfer *transfer = hold->first;
    if (transfer != NULL) {
        queue_remove(hold, transfer);
        all->bytes -= transfer_memory(transfer);
        transfers_unhold(all->transfers, transfer);
    }
    return transfer;
}

void holds_end_slot(struct holds *all, uint32_t slot)
{
    struct transfer *next = NULL;
    for (struct transfer *transfer = transfers_first_held(all->transfers); transfer != NULL;
         transfer = next) {
        next = transfer->next;
        if (transfer->source_slot == slot && transfer->call != NULL) {
            transfer->source_slot = TRANSFER_NO_SLOT;
        } else if (transfer->source_slot == slot) {
            queue_remove(transfer->hold, transfer);
            all->bytes -= transfer_memory(transfer);
            transfers_close(all->transfers, transfer);
        }
    }
}

struct hold *holds_first(const struct holds *all, enum hold_state state)
{
    return all->lists[state].first;
}

struct hold *holds_first_over(const struct holds *all, enum hold_state state, uint64_t now_ms)
{
    struct hold *first = all->lists[state].first;
    return first != NULL && first->ends_ms <= now_ms ? first : NULL;
}
