#include "tests/sim/calls.h"

#include "tests/sim/world.h"

#include <inttypes.h>

enum {
    PADDING_MAX_BYTES = 300,
    TRIES_MAX = 8,
    /* Nobody says a call-start again for longer than a server remembers (CALLS_ENDED_MS). */
    SAY_AGAIN_MS = 15000,
    /* How long a device that rings waits for the server's word when its own clock says it is over.
     */
    RING_SLACK_MS = 2500,
    ANY_MOVE_ONE_IN = 8,
    NAME_MAX_BYTES = 16,
    DECIMAL = 10,
};

void sim_calls_init(struct sim_calls *calls)
{
    calls->count = 0;
    calls->open_count = 0;
    calls->first_live = 0;
}

uint32_t sim_call_part_of(const struct sim_call *call, uint32_t place)
{
    if (place == call->caller) {
        return 0;
    }
    return place / SIM_DEVICES == call->callee ? 1 + place % SIM_DEVICES : SIM_PARTS;
}

uint32_t sim_call_place(const struct sim_call *call, uint32_t part)
{
    return part == 0 ? call->caller : call->callee * SIM_DEVICES + part - 1;
}

static uint32_t place_of(const struct sim_client *client)
{
    return client->reader.user * SIM_DEVICES + client->device;
}

uint32_t sim_calls_find(const struct sim_calls *calls, struct slice call_id)
{
    uint32_t number = 0;
    for (size_t i = 1; i < call_id.len && number < SIM_CALLS_MAX; i++) {
        number = number * DECIMAL + (uint32_t)(call_id.data[i] - '0');
    }
    return call_id.len > 1 && call_id.data[0] == 'c' && number < calls->count ? number
                                                                              : sim_no_call;
}

static void set_view(struct sim_world *world, uint32_t number, uint32_t part_no, enum sim_view view)
{
    struct sim_part *part = &world->calls.all[number].parts[part_no];
    if (part->view != view) {
        part->view = view;
        sim_trace_note(&world->trace, SIM_EVENT_VIEW, number, part_no, (uint64_t)view, 0);
        if (view != SIM_VIEW_ENDED && number < world->calls.first_live) {
            world->calls.first_live = number;
        }
    }
}

/* It is over, for this device: nothing of it needs to be said again. */
static void end_view(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[number].parts[part_no];
    part->pending_count = 0;
    part->says_again = false;
    part->hangs_up = false;
    part->asks = false;
    set_view(world, number, part_no, SIM_VIEW_ENDED);
}

/* ---- what devices say ---- */

/* The device as it is connected now. NULL: it cannot say anything. */
static struct sim_client *speaker(const struct sim_world *world, uint32_t number, uint32_t part_no)
{
    struct sim_client *client = world->devices[sim_call_place(&world->calls.all[number], part_no)];
    if (client == NULL || client->state != SIM_CLIENT_OPEN || client->is_retiring ||
        !client->session->wants_news) {
        return NULL;
    }
    const struct sim_gateway *gateway = &world->gateways[client->gateway];
    return sim_process_runs(&gateway->process) && !exchange_is_congested(gateway->exchange) ? client
                                                                                            : NULL;
}

bool sim_calls_can_speak(const struct sim_world *world, uint32_t call, uint32_t part)
{
    return speaker(world, call, part) != NULL;
}

/* True: the device must know what became of it. */
static bool is_move(enum call_type type)
{
    return type == CALL_TYPE_START || type == CALL_TYPE_ACCEPT || type == CALL_TYPE_REJECT ||
           type == CALL_TYPE_CANCEL || type == CALL_TYPE_END;
}

static void say(struct sim_world *world, struct sim_client *client, struct sim_message *message)
{
    const struct sim_call *call = &world->calls.all[message->call];
    message->sender = client->reader.client;
    message->number = ++client->sent_count;
    message->from_user = client->reader.user;
    message->from_device = client->device;
    message->to_user =
        sim_call_part_of(call, place_of(client)) == 0 ? call->callee : call->caller / SIM_DEVICES;
    message->deadline_ms = world->now_ms + SIM_OUTCOME_TIMEOUT_MS;
    message->late_ms =
        world->now_ms + SIM_DELIVERY_TIME_MS + (message->type == CALL_TYPE_START ? SIM_RING_MS : 0);
    uint32_t sent = sim_ledger_send(&world->ledger, message);
    sim_trace_note(&world->trace, SIM_EVENT_MOVE, message->call, sent, (uint64_t)message->type,
                   message->is_device_scope);
    if (message->first == sim_no_message && is_move(message->type)) {
        uint32_t part_no = sim_call_part_of(call, place_of(client));
        if (part_no < SIM_PARTS) {
            struct sim_part *part = &world->calls.all[message->call].parts[part_no];
            part->pending[part->pending_count++] = sent;
            part->tries = 0;
        }
    }
    sim_gateway_read(&world->gateways[client->gateway], client, sent);
}

/* True: having decided, the device does not think again. */
static bool decides(enum call_type type)
{
    return type == CALL_TYPE_ACCEPT || type == CALL_TYPE_REJECT;
}

/* True: that move is pending, or there are too many. */
static bool must_wait(const struct sim_world *world, const struct sim_part *part,
                      enum call_type type)
{
    bool is_pending =
        part->pending_count == SIM_PENDING_MAX || (part->pending_count > 0 && decides(type));
    for (uint32_t i = 0; i < part->pending_count; i++) {
        is_pending = is_pending || world->ledger.messages[part->pending[i]].type == type;
    }
    return is_pending;
}

/* True: as far as it knows, the device may make that move. */
static bool is_fair(const struct sim_part *part, enum call_type type)
{
    enum sim_view view = part->view;
    switch (type) {
    case CALL_TYPE_START:
    case CALL_TYPE_CANCEL:
        return view == SIM_VIEW_CALLING;
    case CALL_TYPE_ACCEPT:
    case CALL_TYPE_REJECT:
        return view == SIM_VIEW_RINGING && part->pending_count == 0;
    default:
        return view == SIM_VIEW_CALLING || view == SIM_VIEW_RINGING || view == SIM_VIEW_ANSWERED;
    }
}

static void say_new(struct sim_world *world, struct sim_client *client, uint32_t number,
                    enum call_type type)
{
    struct sim_call *call = &world->calls.all[number];
    struct sim_message message = {
        .call = number,
        .type = type,
        .first = sim_no_message,
        .is_device_scope = type == CALL_TYPE_REJECT && sim_random_once_in(&world->random, 2),
        .padding_bytes = sim_random_once_in(&world->random, 4)
                             ? sim_random_below(&world->random, PADDING_MAX_BYTES)
                             : 0,
    };
    uint32_t part_no = sim_call_part_of(call, place_of(client));
    const struct sim_part *part = part_no < SIM_PARTS ? &call->parts[part_no] : NULL;
    message.is_fair = part != NULL && is_fair(part, type);
    if (part != NULL && is_move(type) && must_wait(world, part, type)) {
        return;
    }
    if ((type == CALL_TYPE_REJECT && !message.is_device_scope) || type == CALL_TYPE_END) {
        call->is_left_by_all = true;
    }
    if (type == CALL_TYPE_CANCEL || type == CALL_TYPE_END || type == CALL_TYPE_REJECT) {
        call->is_given_up = true;
        call->is_cancelled = call->is_cancelled || (part_no == 0 && world->is_noisy);
    }
    say(world, client, &message);
}

void sim_calls_say(struct sim_world *world, uint32_t call, uint32_t part, enum call_type type)
{
    struct sim_client *client = speaker(world, call, part);
    if (client != NULL) {
        say_new(world, client, call, type);
    }
}

/* From now on it rings, or calls. */
static void begin_ring(struct sim_world *world, const struct sim_client *client,
                       struct sim_part *part, uint64_t until_ms)
{
    part->rings_until_ms = until_ms;
    part->rings_at = client->reader.client;
    part->rings_for = world->broker.count;
}

bool sim_calls_must_find(const struct sim_world *world, const struct sim_message *message)
{
    return message->call == sim_no_call ||
           (message->type == CALL_TYPE_START && message->to_user != message->from_user &&
            !world->calls.all[message->call].is_given_up &&
            world->clients[message->sender]->state != SIM_CLIENT_ENDED &&
            !world->clients[message->sender]->is_retiring &&
            message->deadline_ms - SIM_OUTCOME_TIMEOUT_MS + SIM_RING_MS > world->now_ms);
}

void sim_calls_start(struct sim_world *world, struct sim_client *client, uint32_t user)
{
    struct sim_calls *calls = &world->calls;
    if (calls->count == SIM_CALLS_MAX || !client->session->wants_news ||
        world->devices[place_of(client)] != client) {
        return;
    }
    uint32_t number = calls->count++;
    calls->all[number] = (struct sim_call){
        .caller = place_of(client),
        .callee = user,
        .told_part = SIM_PARTS,
        .accept = sim_no_message,
        .answered_part = SIM_PARTS,
    };
    begin_ring(world, client, &calls->all[number].parts[0],
               world->now_ms + SIM_OUTCOME_TIMEOUT_MS + SIM_RING_MS);
    calls->all[number].parts[0].rings_for = 0; /* until it hears that it does */
    set_view(world, number, 0, SIM_VIEW_CALLING);
    say_new(world, client, number, CALL_TYPE_START);
}

/* What a device may do, by its view; the last ones twice as often. */
static enum call_type choose_move(struct sim_random *random, enum sim_view view)
{
    static const enum call_type moves[SIM_VIEW_COUNT][8] = {
        [SIM_VIEW_CALLING] = {CALL_TYPE_CANCEL, CALL_TYPE_END, CALL_TYPE_OFFER, CALL_TYPE_OFFER,
                              CALL_TYPE_CANDIDATE, CALL_TYPE_CANDIDATE, CALL_TYPE_CANDIDATE,
                              CALL_TYPE_CANCEL},
        [SIM_VIEW_RINGING] = {CALL_TYPE_RINGING, CALL_TYPE_RINGING, CALL_TYPE_CANDIDATE,
                              CALL_TYPE_ACCEPT, CALL_TYPE_ACCEPT, CALL_TYPE_ACCEPT,
                              CALL_TYPE_REJECT, CALL_TYPE_END},
        [SIM_VIEW_ANSWERED] = {CALL_TYPE_OFFER, CALL_TYPE_OFFER, CALL_TYPE_ANSWER, CALL_TYPE_ANSWER,
                               CALL_TYPE_CANDIDATE, CALL_TYPE_CANDIDATE, CALL_TYPE_CANDIDATE,
                               CALL_TYPE_END},
    };
    bool has_moves = view != SIM_VIEW_NONE && view != SIM_VIEW_ENDED;
    if (has_moves && !sim_random_once_in(random, ANY_MOVE_ONE_IN)) {
        return moves[view][sim_random_below(random, 8)];
    }
    return (enum call_type)(CALL_TYPE_START + 1 + sim_random_below(random, CALL_TYPE_COUNT - 1));
}

void sim_calls_move(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    const struct sim_part *part = &world->calls.all[number].parts[part_no];
    struct sim_client *client = speaker(world, number, part_no);
    bool is_in = part->view != SIM_VIEW_NONE && part->view != SIM_VIEW_ENDED;
    if (client == NULL || (!is_in && !sim_random_once_in(&world->random, ANY_MOVE_ONE_IN))) {
        return;
    }
    enum call_type type = choose_move(&world->random, part->view);
    if (part->view != SIM_VIEW_NONE || !is_move(type)) { /* else it cannot know the callId */
        say_new(world, client, number, type);
    }
}

/* True: the client has said that, or said it again, and waits for the outcome. */
static bool is_owed(const struct sim_ledger *ledger, const struct sim_message *first,
                    const struct sim_client *client)
{
    uint32_t at = first->last_again;
    while (at != sim_no_message && (ledger->messages[at].sender != client->reader.client ||
                                    !ledger->messages[at].is_owed)) {
        at = ledger->messages[at].before_again;
    }
    return at != sim_no_message;
}

/* The same again, over the connection that is there now. */
static void say_pending_again(struct sim_world *world, struct sim_client *client, uint32_t number,
                              uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[number].parts[part_no];
    part->says_again = false;
    uint32_t first = part->pending_count > 0 ? part->pending[0] : sim_no_message;
    if (first != sim_no_message && world->ledger.messages[first].type == CALL_TYPE_START &&
        world->ledger.messages[first].deadline_ms - SIM_OUTCOME_TIMEOUT_MS + SAY_AGAIN_MS <
            world->now_ms) {
        end_view(world, number, part_no); /* too old: it hangs up instead */
        part->hangs_up = true;
        return;
    }
    if (++part->tries > TRIES_MAX) {
        part->pending_count = 0;
        return;
    }
    for (uint32_t i = 0; i < part->pending_count; i++) {
        const struct sim_message *before = &world->ledger.messages[part->pending[i]];
        if (is_owed(&world->ledger, before, client)) {
            continue; /* its outcome is on the way */
        }
        struct sim_message message = {
            .call = number,
            .type = before->type,
            .is_device_scope = before->is_device_scope,
            .padding_bytes = before->padding_bytes,
            .first = part->pending[i],
        };
        say(world, client, &message);
        if (client->state != SIM_CLIENT_OPEN) {
            return;
        }
    }
}

static void react(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[number].parts[part_no];
    struct sim_client *client = speaker(world, number, part_no);
    if (client == NULL || (world->is_noisy && !sim_random_once_in(&world->random, 4))) {
        return;
    }
    if (part->says_again) {
        say_pending_again(world, client, number, part_no);
    } else if (part->hangs_up) {
        part->hangs_up = false;
        say_new(world, client, number, CALL_TYPE_END);
    } else if (part->asks) {
        part->asks = false;
        say_new(world, client, number, CALL_TYPE_CANDIDATE);
    }
}

/* ---- rings ---- */

/* True: nothing can have been in the way of the server's word. */
static bool must_have_been_told(const struct sim_world *world, uint32_t number, uint32_t part_no)
{
    const struct sim_call *call = &world->calls.all[number];
    const struct sim_part *part = &call->parts[part_no];
    const struct sim_client *client = world->devices[sim_call_place(call, part_no)];
    return !world->is_noisy && world->is_roomy && !call->is_cancelled &&
           part->rings_for == world->broker.count && client != NULL &&
           client->reader.client == part->rings_at && client->state == SIM_CLIENT_OPEN &&
           !client->is_retiring && client->reads;
}

static void end_ring(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[number].parts[part_no];
    bool rings = part->view == SIM_VIEW_RINGING || part->view == SIM_VIEW_CALLING;
    uint64_t over_ms =
        part->rings_until_ms > world->quiet_ms ? part->rings_until_ms : world->quiet_ms;
    if (!rings || part->pending_count > 0 || world->now_ms < over_ms + RING_SLACK_MS) {
        return;
    }
    if (must_have_been_told(world, number, part_no)) {
        sim_trace_break(&world->trace,
                        "18: call %" PRIu32 ": part %" PRIu32
                        " rings on, and was not told that it is over",
                        number, part_no);
    }
    if (part->view == SIM_VIEW_RINGING) {
        end_view(world, number, part_no);
    } else {
        part->hangs_up = true;
    }
}

static bool is_alive(const struct sim_part *part)
{
    return (part->view != SIM_VIEW_NONE && part->view != SIM_VIEW_ENDED) ||
           part->pending_count > 0 || part->hangs_up;
}

void sim_calls_step(struct sim_world *world)
{
    struct sim_calls *calls = &world->calls;
    bool all_before_are_over = true;
    for (uint32_t i = calls->first_live; i < calls->count; i++) {
        bool is_over = true;
        for (uint32_t part_no = 0; part_no < SIM_PARTS; part_no++) {
            struct sim_part *part = &calls->all[i].parts[part_no];
            if (!is_alive(part)) {
                continue;
            }
            is_over = false;
            end_ring(world, i, part_no);
            if (part->says_again || part->hangs_up || part->asks) {
                react(world, i, part_no);
            }
        }
        all_before_are_over = all_before_are_over && is_over;
        if (all_before_are_over) {
            calls->first_live = i + 1;
        }
    }
}

/* ---- what devices get ---- */

/* The number or the word behind that label. Empty: there is none. */
static struct slice behind(struct slice payload, const char *label)
{
    size_t len = strlen(label);
    uint8_t *at = memmem(payload.data, payload.len, label, len);
    if (at == NULL) {
        return slice_of(NULL, 0);
    }
    struct slice rest = slice_drop(payload, (size_t)(at - payload.data) + len);
    uint8_t *end = memchr(rest.data, '"', rest.len);
    return end == NULL ? slice_of(NULL, 0) : slice_of(rest.data, (size_t)(end - rest.data));
}

bool sim_calls_read_notice(const struct sim_calls *calls, struct slice payload,
                           struct sim_word *word)
{
    static const char begin[] = "{\"type\":\"";
    if (payload.len < sizeof begin || memcmp(payload.data, begin, sizeof begin - 1) != 0) {
        return false;
    }
    struct slice reason = behind(payload, "\"reason\":\"");
    *word = (struct sim_word){
        .kind = SIM_WORD_NOTICE,
        .call = sim_calls_find(calls, behind(payload, "\"callId\":\"")),
        .type = slice_equal(behind(payload, begin), slice_from_string("call-end"))
                    ? CALL_TYPE_END
                    : CALL_TYPE_CANCEL,
        .reason = slice_equal(reason, slice_from_string("answered-elsewhere")) ? SIM_REASON_ANSWERED
                  : slice_equal(reason, slice_from_string("rejected-elsewhere"))
                      ? SIM_REASON_REJECTED
                      : SIM_REASON_OTHER,
    };
    return true;
}

/* The caller gets an accept: it has had none but that one. (A broker that comes after may not know
 * that the call is over, and a device may not either: then the caller says so.) */
static void check_accept(struct sim_world *world, uint32_t number, uint32_t message)
{
    struct sim_call *call = &world->calls.all[number];
    const struct sim_message *accept = &world->ledger.messages[message];
    if (call->accept == sim_no_message) {
        call->accept = accept->first;
        call->accept_for = world->broker.count;
    } else if (call->accept != accept->first &&
               (call->accept_for == world->broker.count ||
                (accept->is_fair && call->parts[0].view == SIM_VIEW_ANSWERED))) {
        sim_trace_break(&world->trace, "17: call %" PRIu32 " has a second accept, message %" PRIu32,
                        number, message);
    }
}

void sim_calls_delivered(struct sim_world *world, const struct sim_client *client,
                         const struct sim_word *word)
{
    if (word->call == sim_no_call) {
        sim_trace_break(&world->trace, "19: client %" PRIu32 " hears of a call that nobody began",
                        client->reader.client);
        return;
    }
    const struct sim_call *call = &world->calls.all[word->call];
    uint32_t part_no = sim_call_part_of(call, place_of(client));
    if (part_no == SIM_PARTS) {
        sim_trace_break(&world->trace, "19: client %" PRIu32 " hears of call %" PRIu32,
                        client->reader.client, word->call);
        return;
    }
    if (word->kind != SIM_WORD_MESSAGE) {
        return;
    }
    const struct sim_message *message = &world->ledger.messages[word->message];
    uint32_t from = sim_call_part_of(call, message->from_user * SIM_DEVICES + message->from_device);
    if (from == SIM_PARTS || (from == 0) == (part_no == 0)) {
        sim_trace_break(&world->trace,
                        "19: message %" PRIu32 " of call %" PRIu32 " goes from part %" PRIu32
                        " to %" PRIu32,
                        word->message, word->call, from, part_no);
    }
    if (call->answered_part != SIM_PARTS && message->sent_at_event > call->answered_event &&
        ((part_no != 0 && part_no != call->answered_part) ||
         (from != 0 && from != call->answered_part))) {
        sim_trace_break(&world->trace,
                        "19: message %" PRIu32 " of call %" PRIu32 ", answered by part %" PRIu32
                        ", goes from part %" PRIu32 " to %" PRIu32,
                        word->message, word->call, call->answered_part, from, part_no);
    }
    if (message->type == CALL_TYPE_ACCEPT) {
        check_accept(world, word->call, word->message);
    }
}

static void hear_message(struct sim_world *world, const struct sim_client *client,
                         const struct sim_word *word, uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[word->call].parts[part_no];
    switch (world->ledger.messages[word->message].type) {
    case CALL_TYPE_START:
        if (part_no > 0 && (part->view == SIM_VIEW_NONE || part->view == SIM_VIEW_ENDED)) {
            begin_ring(world, client, part, word->until_ms);
            set_view(world, word->call, part_no, SIM_VIEW_RINGING);
        }
        break;
    case CALL_TYPE_ACCEPT:
        if (part->view == SIM_VIEW_CALLING) {
            set_view(world, word->call, part_no, SIM_VIEW_ANSWERED);
        } else if (part->view == SIM_VIEW_ENDED) {
            part->hangs_up = true; /* it has given up, and says so */
            if (word->call < world->calls.first_live) {
                world->calls.first_live = word->call;
            }
        }
        break;
    case CALL_TYPE_CANCEL:
        if (part->view == SIM_VIEW_ANSWERED && part_no > 0) {
            sim_trace_break(&world->trace,
                            "20: call %" PRIu32 ": part %" PRIu32 " has answered, and is cancelled",
                            word->call, part_no);
        }
        end_view(world, word->call, part_no);
        break;
    case CALL_TYPE_REJECT:
    case CALL_TYPE_END:
        end_view(world, word->call, part_no);
        break;
    default:
        break;
    }
}

static void hear_notice(struct sim_world *world, const struct sim_word *word, uint32_t part_no)
{
    const struct sim_call *call = &world->calls.all[word->call];
    if (word->reason == SIM_REASON_ANSWERED && call->parts[part_no].view == SIM_VIEW_ANSWERED) {
        sim_trace_break(&world->trace,
                        "17: call %" PRIu32 ": part %" PRIu32 " has answered, and another has",
                        word->call, part_no);
    }
    if (word->reason == SIM_REASON_REJECTED && !call->is_left_by_all) {
        sim_trace_break(&world->trace,
                        "20: call %" PRIu32 " is over for part %" PRIu32
                        ", and only another has left it",
                        word->call, part_no);
    }
    end_view(world, word->call, part_no);
}

/* It has that move's outcome. */
static void remove_pending(struct sim_part *part, uint32_t first)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < part->pending_count; i++) {
        if (part->pending[i] != first) {
            part->pending[kept++] = part->pending[i];
        }
    }
    part->pending_count = kept;
}

static bool is_pending(const struct sim_part *part, uint32_t first)
{
    uint32_t i = 0;
    while (i < part->pending_count && part->pending[i] != first) {
        i++;
    }
    return i < part->pending_count;
}

/* A cancel has its effect, or an accept has. */
static void check_cancel(struct sim_world *world, uint32_t number)
{
    const struct sim_call *call = &world->calls.all[number];
    if (call->told_part != SIM_PARTS && call->told_for == world->broker.count &&
        call->cancel_for == world->broker.count) {
        sim_trace_break(&world->trace,
                        "20: call %" PRIu32 " was answered by part %" PRIu32 ", and is cancelled",
                        number, call->told_part);
    }
}

static void hear_accepted(struct sim_world *world, uint32_t number, uint32_t part_no)
{
    struct sim_call *call = &world->calls.all[number];
    if (call->told_part != SIM_PARTS && call->told_part != part_no) {
        sim_trace_break(&world->trace,
                        "17: call %" PRIu32 " is answered by parts %" PRIu32 " and %" PRIu32,
                        number, call->told_part, part_no);
    }
    call->told_part = part_no;
    call->told_for = world->broker.count;
    check_cancel(world, number);
    set_view(world, number, part_no, SIM_VIEW_ANSWERED);
}

/* Whoever is in a call, and hears that it is not, believes it. */
static void hear_of_media(struct sim_world *world, const struct sim_word *word, uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[word->call].parts[part_no];
    if (part->view != SIM_VIEW_ANSWERED || part->pending_count > 0) {
        return;
    }
    if (word->outcome == OUTCOME_NO_SUCH_CALL || word->outcome == OUTCOME_NOT_IN_CALL ||
        word->outcome == OUTCOME_ANSWERED_ELSEWHERE) {
        end_view(world, word->call, part_no);
    } else if (word->outcome == OUTCOME_UNCONFIRMED) {
        part->asks = true;
    }
}

static void hear_outcome(struct sim_world *world, const struct sim_client *client,
                         const struct sim_word *word, uint32_t part_no)
{
    struct sim_part *part = &world->calls.all[word->call].parts[part_no];
    const struct sim_ledger *ledger = &world->ledger;
    const struct sim_message *message = &ledger->messages[word->message];
    uint32_t first = message->first;
    bool is_again = first != word->message;
    if (is_again && ledger->messages[first].is_fair &&
        (word->outcome == OUTCOME_CALL_EXISTS || word->outcome == OUTCOME_BAD_STATE)) {
        sim_trace_break(&world->trace, "20: message %" PRIu32 " says %" PRIu32 " again, and is %s",
                        word->message, first, outcome_code(word->outcome));
    }
    if (!is_move(message->type)) {
        hear_of_media(world, word, part_no);
        return;
    }
    if (!is_pending(part, first)) {
        return;
    }
    switch (word->outcome) {
    case OUTCOME_DELIVERED:
        remove_pending(part, first);
        if (message->type == CALL_TYPE_ACCEPT) {
            hear_accepted(world, word->call, part_no);
        } else if (message->type == CALL_TYPE_START) {
            begin_ring(world, client, part, world->now_ms + SIM_RING_MS);
        } else {
            if (message->type == CALL_TYPE_CANCEL) {
                world->calls.all[word->call].cancel_for = world->broker.count;
                check_cancel(world, word->call);
            }
            end_view(world, word->call, part_no);
        }
        break;
    case OUTCOME_UNCONFIRMED:
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_OVERLOADED:
    case OUTCOME_USER_OFFLINE:
        if (message->type == CALL_TYPE_START && word->outcome != OUTCOME_UNCONFIRMED) {
            end_view(world, word->call, part_no);
        } else {
            part->says_again = true;
        }
        break;
    case OUTCOME_ALREADY_ANSWERED:
        remove_pending(part, first);
        part->hangs_up = true;
        break;
    case OUTCOME_BAD_STATE:
        remove_pending(part, first);
        break;
    default:
        end_view(world, word->call, part_no);
        break;
    }
}

void sim_calls_hear(struct sim_world *world, const struct sim_client *client,
                    const struct sim_word *word)
{
    uint32_t part_no = word->call == sim_no_call
                           ? SIM_PARTS
                           : sim_call_part_of(&world->calls.all[word->call], place_of(client));
    if (part_no == SIM_PARTS) {
        return;
    }
    switch (word->kind) {
    case SIM_WORD_MESSAGE:
        hear_message(world, client, word, part_no);
        break;
    case SIM_WORD_NOTICE:
        sim_trace_note(&world->trace, SIM_EVENT_NOTICE, word->call, part_no, (uint64_t)word->type,
                       (uint64_t)word->reason);
        hear_notice(world, word, part_no);
        break;
    case SIM_WORD_OUTCOME:
        hear_outcome(world, client, word, part_no);
        break;
    default:
        break;
    }
}

void sim_calls_come(struct sim_world *world, const struct sim_client *client)
{
    uint32_t place = place_of(client);
    bool was_away_long =
        world->open_counts[place] == 0 && world->left_ms[place] + SIM_GRACE_MS < world->now_ms;
    for (uint32_t i = world->calls.first_live; i < world->calls.count; i++) {
        uint32_t part_no = sim_call_part_of(&world->calls.all[i], place);
        struct sim_part *part = part_no < SIM_PARTS ? &world->calls.all[i].parts[part_no] : NULL;
        if (part == NULL || !is_alive(part)) {
            continue;
        }
        if (part->pending_count > 0) {
            part->says_again = true;
            part->tries = 0;
        } else if (was_away_long && part->view != SIM_VIEW_RINGING) {
            part->hangs_up = true; /* it will be over, and perhaps nobody is left to say so */
        } else if (part->view == SIM_VIEW_ANSWERED) {
            part->asks = true; /* a broker that has died may have taken the call along */
        }
    }
}

/* ---- what the broker says ---- */

static bool was_away(const struct sim_world *world, uint32_t place)
{
    const struct sim_presence *device = &world->broker.devices[place];
    uint64_t since_ms = device->was_there ? device->left_ms : world->broker.start_ms;
    return device->session_count == 0 && since_ms + SIM_GRACE_MS <= world->now_ms;
}

static void check_lost(struct sim_world *world, uint32_t number, const char *result)
{
    const struct sim_call *call = &world->calls.all[number];
    bool is_lost = false;
    for (uint32_t part_no = 0; part_no < SIM_PARTS; part_no++) {
        is_lost = is_lost || was_away(world, sim_call_place(call, part_no));
    }
    if (!is_lost) {
        sim_trace_break(&world->trace,
                        "21: call %" PRIu32 " has ended, %s, and nobody was away for"
                        " long",
                        number, result);
    }
}

void sim_calls_report(struct sim_world *world, const struct call_report *report)
{
    struct sim_calls *calls = &world->calls;
    uint32_t number = sim_calls_find(calls, report->call_id);
    if (number == sim_no_call) {
        sim_trace_break(&world->trace, "16: a call is recorded that nobody began");
        return;
    }
    struct sim_call *call = &calls->all[number];
    sim_trace_note(&world->trace, SIM_EVENT_REPORT, number, call->is_open, 0, 0);
    bool was_offline = strcmp(report->result, "offline") == 0;
    if (!call->is_open && !was_offline) {
        sim_trace_break(&world->trace, "16: call %" PRIu32 " is recorded, %s, and was over", number,
                        report->result);
    }
    if (strcmp(report->result, "connection-lost") == 0 ||
        strcmp(report->result, "unreachable") == 0) {
        check_lost(world, number, report->result);
    }
    calls->open_count -= call->is_open;
    call->is_open = false;
}

void sim_calls_forget(struct sim_calls *calls)
{
    for (uint32_t i = 0; i < calls->count; i++) {
        calls->all[i].is_open = false;
        calls->all[i].answered_part = SIM_PARTS;
    }
    calls->open_count = 0;
}
