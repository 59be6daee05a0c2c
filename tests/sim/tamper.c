#include "tests/sim/tamper.h"

#include "common/link_codec.h"
#include "tests/sim/world.h"

static const struct {
    enum sim_break rule;
    enum link_record_kind kind;
} lost_kinds[] = {
    {SIM_BREAK_DETACH_LOST, LINK_DETACH},
    {SIM_BREAK_EVICT_LOST, LINK_EVICT},
    {SIM_BREAK_ATTACHED_LOST, LINK_ATTACHED},
    {SIM_BREAK_DELIVERY_OUTCOME_LOST, LINK_DELIVERY_OUTCOME},
    {SIM_BREAK_SUBMIT_OUTCOME_LOST, LINK_SUBMIT_OUTCOME},
    {SIM_BREAK_READY_LOST, LINK_READY},
    {SIM_BREAK_RETIRED_LOST, LINK_RETIRED},
};

static bool is_lost(struct sim_world *world, const struct link_record *record)
{
    enum link_record_kind kind = record->kind;
    if (kind == LINK_SUBMIT && record->submit.is_repeat &&
        sim_world_breaks_always(world, SIM_BREAK_FORGET_RESUBMIT)) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(lost_kinds); i++) {
        if (lost_kinds[i].kind == kind && sim_world_breaks(world, lost_kinds[i].rule)) {
            return true;
        }
    }
    return false;
}

static bool says(struct slice payload, const char *word)
{
    return payload.data != NULL && memmem(payload.data, payload.len, word, strlen(word)) != NULL;
}

/* Of calls. */
static bool is_lost_of_call(struct sim_world *world, const struct link_record *record)
{
    switch (world->rule) {
    case SIM_BREAK_LEGS_FORGOTTEN:
        return record->kind == LINK_LEG && record->leg.state.len > 0;
    case SIM_BREAK_LEG_END_LOST:
        return record->kind == LINK_LEG && record->leg.state.len == 0;
    case SIM_BREAK_ELSEWHERE_UNTOLD:
        return record->kind == LINK_DELIVER && says(record->deliver.payload, "answered-elsewhere");
    case SIM_BREAK_NO_ANSWER_UNTOLD:
        return record->kind == LINK_DELIVER && says(record->deliver.payload, "no-answer");
    default:
        return false;
    }
}

uint64_t sim_tamper_session_id(const struct sim_world *world, uint64_t session_id)
{
    /* Without its generation: the place in the gateway's table, which is used again. */
    return world->rule == SIM_BREAK_REUSE_SESSION_ID ? (uint32_t)session_id : session_id;
}

/* The session that has that place now. */
static uint64_t session_id_now(const struct sim_world *world, uint32_t slot, uint64_t wire_id)
{
    const struct sim_client *client = world->gateways[slot].first_client;
    for (; client != NULL; client = client->next) {
        if (sim_tamper_session_id(world, client->session_id) == wire_id) {
            return client->session_id;
        }
    }
    return wire_id;
}

static uint64_t *session_id_of(struct link_record *record)
{
    switch (record->kind) {
    case LINK_ATTACH:
        return &record->attach.session_id;
    case LINK_DETACH:
    case LINK_RETIRE:
    case LINK_ATTACHED:
    case LINK_RETIRED:
        return &record->session.session_id;
    case LINK_SUBMIT:
        return &record->submit.session_id;
    case LINK_DELIVERY_OUTCOME:
        return &record->delivery_outcome.session_id;
    case LINK_DELIVER:
        return &record->deliver.session_id;
    case LINK_EVICT:
        return &record->evict.session_id;
    case LINK_LEG:
        return &record->leg.session_id;
    default:
        return NULL;
    }
}

/* Another device of the user who is connected to that gateway. */
static uint64_t other_device(const struct sim_world *world, uint32_t slot, uint64_t session_id)
{
    const struct sim_client *client = sim_gateway_find(&world->gateways[slot], session_id);
    const struct sim_client *other = world->gateways[slot].first_client;
    while (client != NULL && other != NULL &&
           (other->reader.user != client->reader.user || other->device == client->device ||
            other->state != SIM_CLIENT_OPEN)) {
        other = other->next;
    }
    return client != NULL && other != NULL ? other->session_id : session_id;
}

static void change_submit(struct sim_world *world, struct link_submit *submit)
{
    if (submit->call_id.len == 0) {
        return;
    }
    switch (world->rule) {
    case SIM_BREAK_ACCEPT_UNJUDGED:
        submit->type = submit->type == CALL_TYPE_ACCEPT ? CALL_TYPE_CANDIDATE : submit->type;
        break;
    case SIM_BREAK_LATE_CANCEL:
        submit->type = submit->type == CALL_TYPE_CANCEL ? CALL_TYPE_END : submit->type;
        break;
    case SIM_BREAK_SCOPE_LOST:
        submit->party.is_device_scope = false;
        break;
    case SIM_BREAK_REPEAT_UNKNOWN:
        submit->party.message_hash = sim_random_next(&world->random);
        break;
    default:
        break;
    }
}

static void change_of_call(struct sim_world *world, uint32_t slot, struct link_record *record)
{
    if (record->kind == LINK_SUBMIT) {
        change_submit(world, &record->submit);
    } else if (record->kind == LINK_SUBMIT_OUTCOME &&
               record->submit_outcome.outcome == OUTCOME_ANSWERED_ELSEWHERE &&
               world->rule == SIM_BREAK_ELSEWHERE_UNTRUE) {
        record->submit_outcome.outcome = OUTCOME_DELIVERED;
    } else if (record->kind == LINK_DELIVER && world->rule == SIM_BREAK_STRAY_MEDIA &&
               says(record->deliver.payload, "call-offer") &&
               says(record->deliver.payload, "callId")) {
        record->deliver.session_id = other_device(world, slot, record->deliver.session_id);
    }
}

/* `forged` holds what a changed payload consists of. */
static void change(struct sim_world *world, uint32_t slot, enum sim_end end,
                   struct link_record *record, struct buffer *forged)
{
    uint64_t *session_id = session_id_of(record);
    if (world->rule == SIM_BREAK_REUSE_SESSION_ID && session_id != NULL) {
        *session_id = end == SIM_BROKER_END ? sim_tamper_session_id(world, *session_id)
                                            : session_id_now(world, slot, *session_id);
    }
    if (record->kind == LINK_DELIVERY_OUTCOME &&
        record->delivery_outcome.outcome == OUTCOME_DELIVERED &&
        sim_world_breaks(world, SIM_BREAK_OFFLINE_UNTRUE)) {
        record->delivery_outcome.outcome = OUTCOME_USER_OFFLINE;
    }
    if (record->kind == LINK_DELIVER && sim_world_breaks_always(world, SIM_BREAK_DELIVER_LATE)) {
        record->deliver.deadline_ms = UINT64_MAX;
    }
    if (record->kind == LINK_DELIVER &&
        (sim_world_breaks_always(world, SIM_BREAK_SKIP_DEDUPE) ||
         sim_world_breaks_always(world, SIM_BREAK_SUBMIT_UNMARKED))) {
        record->deliver.is_repeat = false;
    }
    if (record->kind == LINK_DELIVER && sim_world_breaks(world, SIM_BREAK_FORGED_FROM)) {
        static const char label[] = "{\"from\":\"";
        buffer_put_string(forged, label);
        buffer_put_string(forged, "x");
        buffer_put(forged, slice_drop(record->deliver.payload, sizeof label));
        record->deliver.payload = buffer_slice(forged);
    }
}

static bool is_on_the_wire(enum sim_break rule)
{
    for (size_t i = 0; i < ARRAY_LENGTH(lost_kinds); i++) {
        if (lost_kinds[i].rule == rule) {
            return true;
        }
    }
    return rule == SIM_BREAK_REUSE_SESSION_ID || rule == SIM_BREAK_OFFLINE_UNTRUE ||
           rule == SIM_BREAK_FORGED_FROM || rule == SIM_BREAK_FORGET_RESUBMIT ||
           rule == SIM_BREAK_DELIVER_LATE || rule == SIM_BREAK_SKIP_DEDUPE ||
           rule == SIM_BREAK_SUBMIT_UNMARKED || rule >= SIM_BREAK_ACCEPT_UNJUDGED;
}

void sim_tamper(struct sim_world *world, uint32_t slot, enum sim_end end, struct buffer *batch)
{
    if (!is_on_the_wire(world->rule)) {
        return;
    }
    struct buffer changed;
    struct buffer forged;
    buffer_init(&changed, LINK_PAYLOAD_MAX_BYTES);
    buffer_init(&forged, LINK_PAYLOAD_MAX_BYTES);
    struct slice rest = buffer_slice(batch);
    struct link_record record;
    while (link_record_decode(&rest, &record) == PARSE_DONE) {
        buffer_clear(&forged);
        change(world, slot, end, &record, &forged);
        change_of_call(world, slot, &record);
        if (!is_lost(world, &record) && !is_lost_of_call(world, &record)) {
            link_record_put(&changed, &record);
        }
    }
    buffer_clear(batch);
    buffer_put(batch, buffer_slice(&changed));
    buffer_fini(&changed);
    buffer_fini(&forged);
}
