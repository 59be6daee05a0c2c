#include "broker/calls.h"

#include "common/identity.h"

#include <assert.h>
#include <stdlib.h>

static_assert(CALL_ID_MAX_BYTES <= UINT8_MAX, "the length of a callId is one byte");

static struct call *call_of_node(const struct map_node *node)
{
    return container_of(node, struct call, by_id);
}

static struct slice call_key(const struct map_node *node)
{
    return call_id(call_of_node(node));
}

static struct slice leg_key(const struct map_node *node)
{
    const struct call_leg *leg = container_of(node, struct call_leg, by_user);
    return slice_of(&leg->user, sizeof(struct user *));
}

struct slice call_id(const struct call *call)
{
    return slice_of(call->id, call->id_len);
}

struct slice call_leg_device_id(const struct call_leg *leg)
{
    return slice_of(leg->device_id, leg->device_id_len);
}

struct session *call_leg_session(const struct call_leg *leg)
{
    struct session *session = directory_first_of_user(leg->user);
    while (session != NULL && !slice_equal(directory_device_id(session), call_leg_device_id(leg))) {
        session = directory_next_of_user(session);
    }
    return session;
}

uint64_t call_mark(uint64_t instance_id, uint64_t number)
{
    /* The finalizer of splitmix64. */
    uint64_t mark = instance_id ^ number * UINT64_C(0x9e3779b97f4a7c15);
    mark = (mark ^ mark >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mark = (mark ^ mark >> 27) * UINT64_C(0x94d049bb133111eb);
    mark ^= mark >> 31;
    return mark != 0 ? mark : 1;
}

bool call_is_callers(const struct call_leg *leg)
{
    return leg->call->caller == leg;
}

struct user *call_peer_of(const struct call_leg *leg)
{
    return call_is_callers(leg) ? leg->call->callee : leg->call->caller->user;
}

/* ---- lists ---- */

static struct call_list *list_of(struct calls *all, enum call_state state)
{
    switch (state) {
    case CALL_ANSWERED:
        return &all->answered;
    case CALL_ENDED:
        return &all->ended;
    default:
        return &all->ringing;
    }
}

static void list_append(struct call_list *list, struct call *call)
{
    call->prev = list->last;
    call->next = NULL;
    if (list->last != NULL) {
        list->last->next = call;
    } else {
        list->first = call;
    }
    list->last = call;
}

static void list_remove(struct call_list *list, struct call *call)
{
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        list->first = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    } else {
        list->last = call->prev;
    }
}

static void drop_payload(struct calls *all, struct call *call)
{
    all->payload_bytes -= call->payload_len;
    free(call->payload);
    call->payload = NULL;
    call->payload_len = 0;
}

/* The one place where a call changes its list, and its state with it. */
static void move_to(struct calls *all, struct call *call, enum call_state state, uint64_t due_ms)
{
    assert(call->state < state);
    list_remove(list_of(all, call->state), call);
    call->state = state;
    call->due_ms = due_ms;
    list_append(list_of(all, state), call);
    drop_payload(all, call);
}

/* ---- legs ---- */

struct call_leg *calls_first_of_user(const struct calls *all, const struct user *user)
{
    if (all->legs_by_user.count == 0) {
        return NULL; /* most servers, most of the time, for most users */
    }
    struct map_node *node = map_find(&all->legs_by_user, slice_of(&user, sizeof(struct user *)));
    return node == NULL ? NULL : container_of(node, struct call_leg, by_user);
}

struct call_leg *calls_next_of_user(const struct call_leg *leg)
{
    return leg->next_of_user;
}

static void list_leg(struct calls *all, struct call_leg *leg)
{
    struct call_leg *first = calls_first_of_user(all, leg->user);
    if (first == NULL) {
        leg->next_of_user = NULL;
        map_insert(&all->legs_by_user, &leg->by_user);
    } else {
        leg->next_of_user = first->next_of_user;
        first->next_of_user = leg;
    }
    leg->is_listed = true;
}

static void unlist_leg(struct calls *all, struct call_leg *leg)
{
    struct call_leg *at = calls_first_of_user(all, leg->user);
    if (at == leg) {
        map_remove(&all->legs_by_user, &leg->by_user);
        if (leg->next_of_user != NULL) {
            map_insert(&all->legs_by_user, &leg->next_of_user->by_user);
        }
    } else {
        while (at->next_of_user != leg) {
            at = at->next_of_user;
        }
        at->next_of_user = leg->next_of_user;
    }
    leg->is_listed = false; /* next_of_user stays: whoever goes through the list goes on */
}

void calls_update_leg(struct calls *all, struct call_leg *leg)
{
    bool belongs = !leg->is_out || leg->hold != NULL;
    if (belongs && !leg->is_listed) {
        list_leg(all, leg);
    } else if (!belongs && leg->is_listed) {
        unlist_leg(all, leg);
    }
}

void calls_drop_leg(struct calls *all, struct call_leg *leg)
{
    leg->is_out = true;
    calls_update_leg(all, leg);
}

void calls_take_leg_back(struct calls *all, struct call_leg *leg)
{
    assert(leg->is_lost && leg->call->state < CALL_ANSWERED);
    leg->is_out = false;
    leg->is_lost = false;
    calls_update_leg(all, leg);
}

static struct call_leg *new_leg(struct calls *all, struct call *call, struct user *user,
                                struct slice device_id)
{
    struct call_leg *leg = malloc(sizeof *leg + device_id.len);
    if (leg == NULL) {
        return NULL;
    }
    *leg = (struct call_leg){
        .call = call,
        .user = user,
        .device_id_len = (uint8_t)device_id.len,
    };
    if (device_id.len > 0) {
        memcpy(leg->device_id, device_id.data, device_id.len);
    }
    directory_count_transfer(user);
    list_leg(all, leg);
    return leg;
}

static void free_leg(struct calls *all, struct call_leg *leg)
{
    assert(leg->hold == NULL);
    struct user *user = leg->user;
    leg->is_out = true;
    calls_update_leg(all, leg);
    free(leg);
    directory_uncount_transfer(user);
    directory_release_user(all->directory, user);
}

struct call_leg *calls_add_leg(struct calls *all, struct call *call, struct slice device_id)
{
    assert(calls_find_leg(call, call->callee, device_id) == NULL && call->state != CALL_ENDED);
    struct call_leg *leg = new_leg(all, call, call->callee, device_id);
    if (leg != NULL) {
        leg->next_of_call = call->callees;
        call->callees = leg;
    }
    return leg;
}

struct call_leg *calls_find_leg(const struct call *call, const struct user *user,
                                struct slice device_id)
{
    if (call->caller->user == user && slice_equal(call_leg_device_id(call->caller), device_id)) {
        return call->caller;
    }
    struct call_leg *leg = call->callee == user ? call->callees : NULL;
    while (leg != NULL && !slice_equal(call_leg_device_id(leg), device_id)) {
        leg = leg->next_of_call;
    }
    return leg;
}

static struct call_leg *skip_out(struct call_leg *leg)
{
    while (leg != NULL && leg->is_out) {
        leg = leg->next_of_call;
    }
    return leg;
}

struct call_leg *call_first_callee(const struct call *call)
{
    return skip_out(call->callees);
}

struct call_leg *call_next_callee(const struct call_leg *leg)
{
    return skip_out(leg->next_of_call);
}

bool call_is_last_callee(const struct call_leg *leg)
{
    const struct call_leg *first = call_first_callee(leg->call);
    return first == leg && call_next_callee(first) == NULL;
}

/* ---- calls ---- */

bool calls_init(struct calls *all, struct directory *directory, const struct calls_config *config,
                const uint8_t hash_key[16])
{
    *all = (struct calls){.config = *config, .directory = directory};
    if (!map_init(&all->by_id, hash_key, call_key) ||
        !map_init(&all->legs_by_user, NULL, leg_key)) {
        map_fini(&all->by_id);
        return false;
    }
    return true;
}

static void free_call(struct calls *all, struct call *call)
{
    assert(call->transfers == 0);
    list_remove(list_of(all, call->state), call);
    all->ended_count -= call->state == CALL_ENDED ? 1 : 0;
    map_remove(&all->by_id, &call->by_id);
    drop_payload(all, call);
    struct user *callee = call->callee;
    struct call_leg *next = NULL;
    for (struct call_leg *leg = call->callees; leg != NULL; leg = next) {
        next = leg->next_of_call;
        free_leg(all, leg);
    }
    if (call->caller != NULL) {
        free_leg(all, call->caller);
    }
    free(call);
    directory_uncount_transfer(callee);
    directory_release_user(all->directory, callee);
}

void calls_fini(struct calls *all)
{
    struct call_list *lists[] = {&all->ringing, &all->answered, &all->ended};
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        while (lists[i]->first != NULL) {
            free_call(all, lists[i]->first);
        }
    }
    map_fini(&all->by_id);
    map_fini(&all->legs_by_user);
}

/* False: no memory. */
static bool keep_payload(struct calls *all, struct call *call, struct slice payload)
{
    if (payload.len == 0) {
        return true;
    }
    call->payload = malloc(payload.len);
    if (call->payload == NULL) {
        return false;
    }
    memcpy(call->payload, payload.data, payload.len);
    call->payload_len = (uint32_t)payload.len;
    all->payload_bytes += payload.len;
    return true;
}

struct call *calls_open(struct calls *all, const struct call_start *start)
{
    assert(calls_find(all, start->call_id) == NULL);
    struct call *call = malloc(sizeof *call + start->call_id.len);
    if (call == NULL) {
        return NULL;
    }
    *call = (struct call){
        .callee = start->callee,
        .start_ms = start->start_ms,
        .due_ms = start->ring_ends_ms,
        .state = CALL_CALLING,
        .id_len = (uint8_t)start->call_id.len,
    };
    memcpy(call->id, start->call_id.data, start->call_id.len);
    directory_count_transfer(start->callee);
    map_insert(&all->by_id, &call->by_id);
    const struct call *last = all->ringing.last;
    all->is_unsorted = all->is_unsorted || (last != NULL && last->due_ms > call->due_ms);
    list_append(&all->ringing, call);
    if (!keep_payload(all, call, start->payload) ||
        (call->caller = new_leg(all, call, start->caller, start->device_id)) == NULL) {
        free_call(all, call);
        return NULL;
    }
    call->caller->last_move = start->message_hash;
    call->start_hash = start->message_hash;
    all->count++;
    return call;
}

struct call *calls_find(const struct calls *all, struct slice call_id)
{
    struct map_node *node = map_find(&all->by_id, call_id);
    return node == NULL ? NULL : call_of_node(node);
}

bool calls_are_too_many(const struct calls *all, const struct user *user)
{
    size_t count = 0;
    for (const struct call_leg *leg = calls_first_of_user(all, user); leg != NULL;
         leg = calls_next_of_user(leg)) {
        /* Of several devices in one call, one counts. */
        count += !leg->is_out && (call_is_callers(leg) || call_first_callee(leg->call) == leg);
    }
    return count >= all->config.user_max || all->count >= all->config.calls_max;
}

struct call *calls_find_ringing(const struct calls *all, const struct user *caller,
                                const struct user *callee)
{
    for (struct call_leg *leg = calls_first_of_user(all, caller); leg != NULL;
         leg = calls_next_of_user(leg)) {
        if (!leg->is_out && call_is_callers(leg) && leg->call->callee == callee &&
            leg->call->state < CALL_ANSWERED) {
            return leg->call;
        }
    }
    return NULL;
}

/* ---- what may be done ---- */

enum role { ROLE_CALLER, ROLE_CALLEE, ROLE_OUT, ROLE_NOBODY, ROLE_COUNT };

enum phase { BEFORE_ANSWER, AFTER_ANSWER, PHASE_COUNT };

#define REFUSE(code)                \
    {                               \
        CALL_REFUSE, OUTCOME_##code \
    }
#define DO(action)                       \
    {                                    \
        CALL_##action, OUTCOME_DELIVERED \
    }
/* What a device that is out hears, and one that never was in. */
#define OTHERS                                                                               \
    [ROLE_OUT] = {REFUSE(NOT_IN_CALL), REFUSE(ANSWERED_ELSEWHERE)}, [ROLE_NOBODY] = {        \
                                                                        REFUSE(NOT_IN_CALL), \
                                                                        REFUSE(NOT_IN_CALL)}
#define BOTH_RELAY                                                                             \
    {                                                                                          \
        [ROLE_CALLER] = {DO(RELAY), DO(RELAY)}, [ROLE_CALLEE] = {DO(RELAY), DO(RELAY)}, OTHERS \
    }

static const struct call_ruling rulings[CALL_TYPE_COUNT][ROLE_COUNT][PHASE_COUNT] = {
    [CALL_TYPE_RINGING] = {[ROLE_CALLER] = {REFUSE(BAD_STATE), REFUSE(BAD_STATE)},
                           [ROLE_CALLEE] = {DO(RING), REFUSE(BAD_STATE)},
                           OTHERS},
    [CALL_TYPE_ACCEPT] = {[ROLE_CALLER] = {REFUSE(BAD_STATE), REFUSE(BAD_STATE)},
                          [ROLE_CALLEE] = {DO(ANSWER), REFUSE(BAD_STATE)},
                          OTHERS},
    [CALL_TYPE_REJECT] = {[ROLE_CALLER] = {REFUSE(BAD_STATE), REFUSE(BAD_STATE)},
                          [ROLE_CALLEE] = {DO(REJECT), REFUSE(BAD_STATE)},
                          OTHERS},
    [CALL_TYPE_CANCEL] = {[ROLE_CALLER] = {DO(CANCEL), REFUSE(ALREADY_ANSWERED)},
                          [ROLE_CALLEE] = {REFUSE(BAD_STATE), REFUSE(BAD_STATE)},
                          OTHERS},
    [CALL_TYPE_END] = {[ROLE_CALLER] = {DO(CANCEL), DO(HANG_UP)},
                       [ROLE_CALLEE] = {DO(REJECT), DO(HANG_UP)},
                       OTHERS},
    [CALL_TYPE_OFFER] = BOTH_RELAY,
    [CALL_TYPE_ANSWER] = BOTH_RELAY,
    [CALL_TYPE_CANDIDATE] = BOTH_RELAY,
};

static enum role role_of(const struct call_leg *leg, bool is_callee)
{
    if (leg == NULL) {
        return is_callee ? ROLE_OUT : ROLE_NOBODY;
    }
    if (leg->is_out) {
        return ROLE_OUT;
    }
    return call_is_callers(leg) ? ROLE_CALLER : ROLE_CALLEE;
}

struct call_ruling calls_judge(const struct call *call, const struct call_leg *leg, bool is_callee,
                               enum call_type type)
{
    if (call->state == CALL_ENDED) {
        return (struct call_ruling)REFUSE(NO_SUCH_CALL);
    }
    enum phase phase = call->state == CALL_ANSWERED ? AFTER_ANSWER : BEFORE_ANSWER;
    return rulings[type][role_of(leg, is_callee)][phase];
}

/* ---- the moves ---- */

void calls_set_ringing(struct call *call)
{
    assert(call->state < CALL_ANSWERED);
    call->state = CALL_RINGING;
}

void calls_answer(struct calls *all, struct call *call, struct call_leg *leg, uint64_t now_ms)
{
    assert(!leg->is_out && !call_is_callers(leg));
    call->answered = leg;
    call->answered_ms = now_ms;
    move_to(all, call, CALL_ANSWERED, call->due_ms);
}

void calls_end(struct calls *all, struct call *call, uint64_t now_ms)
{
    calls_drop_leg(all, call->caller);
    for (struct call_leg *leg = call->callees; leg != NULL; leg = leg->next_of_call) {
        calls_drop_leg(all, leg);
    }
    move_to(all, call, CALL_ENDED, now_ms + CALLS_ENDED_MS);
    all->count--;
    all->ended_count++;
}

static int compare_due(const void *a, const void *b)
{
    const struct call *const *first = a;
    const struct call *const *second = b;
    return ((*first)->due_ms > (*second)->due_ms) - ((*first)->due_ms < (*second)->due_ms);
}

/* Without memory for it they stay as they are: some rings may last longer. */
static void sort_ringing(struct calls *all)
{
    size_t count = 0;
    for (const struct call *call = all->ringing.first; call != NULL; call = call->next) {
        count++;
    }
    struct call **calls = malloc((count + 1) * sizeof(struct call *));
    if (calls == NULL) {
        return;
    }
    size_t i = 0;
    for (struct call *call = all->ringing.first; call != NULL; call = call->next) {
        calls[i++] = call;
    }
    qsort(calls, count, sizeof(struct call *), compare_due);
    all->ringing = (struct call_list){0};
    for (i = 0; i < count; i++) {
        list_append(&all->ringing, calls[i]);
    }
    free(calls);
    all->is_unsorted = false;
}

struct call *calls_first_missed(struct calls *all, uint64_t now_ms)
{
    if (all->is_unsorted) {
        sort_ringing(all);
    }
    struct call *first = all->ringing.first;
    return first != NULL && first->due_ms <= now_ms ? first : NULL;
}

static bool is_in_use(const struct call *call)
{
    bool is_used = call->transfers > 0 || call->caller->hold != NULL;
    for (const struct call_leg *leg = call->callees; leg != NULL; leg = leg->next_of_call) {
        is_used = is_used || leg->hold != NULL;
    }
    return is_used;
}

void calls_forget(struct calls *all, uint64_t now_ms)
{
    struct call *next = NULL;
    for (struct call *call = all->ended.first;
         call != NULL && (call->due_ms <= now_ms || all->ended_count > CALLS_ENDED_MAX);
         call = next) {
        next = call->next;
        if (!is_in_use(call)) {
            free_call(all, call);
        }
    }
}

const char *call_state_name(enum call_state state)
{
    static const char *const names[CALL_STATE_COUNT] = {"calling", "ringing", "answered", "ended"};
    return names[state];
}

const char *call_result_name(enum call_result result)
{
    static const char *const names[CALL_RESULT_COUNT] = {
        [CALL_COMPLETED] = "completed",  [CALL_CANCELLED] = "cancelled",
        [CALL_REJECTED] = "rejected",    [CALL_MISSED] = "missed",
        [CALL_OFFLINE] = "offline",      [CALL_UNREACHABLE] = "unreachable",
        [CALL_LOST] = "connection-lost",
    };
    return names[result];
}
