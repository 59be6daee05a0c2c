#include "tests/sim/client.h"

#include "common/close_code.h"
#include "gateway/websocket.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    RESPONSE_BYTES = 129, /* of the 101 */
    PADDING_MAX_BYTES = 500,
    FRAME_FIRST_CAP = 16,
};

struct sim_client *sim_client_new(struct sim_world *world, uint32_t user, uint32_t device,
                                  uint32_t gateway)
{
    struct sim_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        abort();
    }
    *client = (struct sim_client){
        .world = world,
        .reader = {.client = sim_world_add_client(world, client),
                   .user = user,
                   .last_delivery = sim_no_delivery},
        .device = device,
        .gateway = gateway,
        .since_ms = world->now_ms,
        .reads = true,
        .early_count = sim_random_below(&world->random, 2),
    };
    sim_trace_note(&world->trace, SIM_EVENT_ATTACH, client->reader.client, user, device, gateway);
    sim_gateway_attach(&world->gateways[gateway], client);
    return client;
}

void sim_client_free(struct sim_client *client)
{
    free(client->frames);
    free(client);
}

static struct sim_gateway *gateway_of(struct sim_client *client)
{
    return &client->world->gateways[client->gateway];
}

static void put_frame(struct sim_client *client, size_t bytes, uint32_t delivery)
{
    if (client->frame_count == client->frame_cap) {
        client->frame_cap = client->frame_cap == 0 ? FRAME_FIRST_CAP : client->frame_cap * 2;
        client->frames = realloc(client->frames, client->frame_cap * sizeof *client->frames);
        if (client->frames == NULL) {
            abort();
        }
    }
    client->frames[client->frame_count++] = (struct sim_frame){
        .begin_bytes = client->queued_bytes,
        .end_bytes = client->queued_bytes + bytes,
        .delivery = delivery,
    };
    client->queued_bytes += bytes;
}

void sim_client_set_word(struct sim_client *client, const struct sim_word *word)
{
    client->frames[client->frame_count - 1].word = *word;
}

/* The client reads it. */
static void note_written(struct sim_client *client, const struct sim_frame *frame)
{
    if (frame->delivery != sim_no_delivery) {
        sim_ledger_written(&client->world->ledger, frame->delivery);
    }
    if (frame->word.kind != SIM_WORD_NONE) {
        sim_calls_hear(client->world, client, &frame->word);
    }
}

void sim_client_write(struct sim_client *client, uint64_t count)
{
    uint64_t pending = client->queued_bytes - client->written_bytes;
    if (client->state != SIM_CLIENT_OPEN || pending == 0) {
        return;
    }
    client->written_bytes += count < pending ? count : pending;
    uint32_t done = 0;
    while (done < client->frame_count && client->frames[done].end_bytes <= client->written_bytes) {
        note_written(client, &client->frames[done]);
        done++;
    }
    client->frame_count -= done;
    memmove(client->frames, client->frames + done, client->frame_count * sizeof *client->frames);
    sim_gateway_written(gateway_of(client), client);
}

void sim_client_flush(struct sim_client *client)
{
    struct sim_random *random = &client->world->random;
    uint64_t pending = client->queued_bytes - client->written_bytes;
    if (!client->reads || pending == 0) {
        return;
    }
    bool is_partial = client->world->is_noisy && sim_random_once_in(random, 2);
    sim_client_write(client, is_partial ? sim_random_below(random, (uint32_t)pending) : pending);
}

/* Up to where the frame goes of which the socket has a part. */
static uint64_t begun_bytes(const struct sim_client *client)
{
    bool is_begun =
        client->frame_count > 0 && client->frames[0].begin_bytes < client->written_bytes;
    return is_begun ? client->frames[0].end_bytes : client->written_bytes;
}

static uint32_t place_of(const struct sim_client *client)
{
    return client->reader.user * SIM_DEVICES + client->device;
}

/* The newest client of the device but this one that is open, if there is one. */
static struct sim_client *other_of_device(const struct sim_client *client)
{
    struct sim_world *world = client->world;
    for (uint32_t i = world->client_count; i > 0; i--) {
        struct sim_client *at = world->clients[i - 1];
        if (at != client && place_of(at) == place_of(client) && at->state == SIM_CLIENT_OPEN) {
            return at;
        }
    }
    return NULL;
}

/* It goes. If it was not the one that stays of two that came at the same time, the device goes on
 * with the other. */
static void count_out(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint32_t place = place_of(client);
    bool was_open = client->state == SIM_CLIENT_OPEN;
    if (was_open && --world->open_counts[place] == 0) {
        world->left_ms[place] = world->now_ms;
    }
    if (world->devices[place] == client && world->open_counts[place] > 0) {
        world->devices[place] = other_of_device(client);
        sim_calls_come(world, world->devices[place]);
    }
}

/* Leaves WAITING or OPEN. */
static void end(struct sim_client *client, uint16_t code)
{
    sim_trace_note(&client->world->trace, SIM_EVENT_END, client->reader.client, code,
                   client->written_bytes, begun_bytes(client));
    count_out(client);
    client->state = SIM_CLIENT_ENDED;
    sim_ledger_forget_sender(&client->world->ledger, client->reader.client);
    sim_gateway_end(gateway_of(client), client, code, begun_bytes(client));
    client->session = NULL;
}

void sim_client_close(struct sim_client *client, uint16_t code)
{
    sim_client_flush(client);
    if (client->state != SIM_CLIENT_OPEN) {
        return;
    }
    bool is_begun = begun_bytes(client) > client->written_bytes;
    struct sim_frame frame = {.delivery = sim_no_delivery};
    if (is_begun) {
        frame = client->frames[0];
    }
    end(client, code);
    /* The frame that was begun is still written, if the client reads on. */
    if (is_begun && sim_random_once_in(&client->world->random, 2)) {
        note_written(client, &frame);
    }
}

void sim_client_retire(struct sim_client *client)
{
    if (client->state != SIM_CLIENT_OPEN || client->is_retiring) {
        return;
    }
    sim_trace_note(&client->world->trace, SIM_EVENT_RETIRE, client->reader.client, 0, 0, 0);
    client->is_retiring = true;
    sim_gateway_retire(gateway_of(client), client);
}

void sim_client_abort(struct sim_client *client)
{
    if (client->state != SIM_CLIENT_ENDED) {
        end(client, 0);
    }
}

void sim_client_lose(struct sim_client *client)
{
    count_out(client);
    client->state = SIM_CLIENT_ENDED;
    client->session = NULL;
    sim_ledger_forget_sender(&client->world->ledger, client->reader.client);
}

static bool fits(const struct sim_client *client, size_t bytes)
{
    return client->queued_bytes - client->written_bytes + bytes <=
           client->world->limits.queue_max_bytes;
}

bool sim_client_send(struct sim_client *client, size_t payload_bytes, uint32_t delivery)
{
    size_t bytes = payload_bytes + websocket_frame_overhead(payload_bytes);
    if (client->state != SIM_CLIENT_OPEN) {
        sim_trace_break(&client->world->trace, "10: client %" PRIu32 " is written to, not open",
                        client->reader.client);
        return false;
    }
    if (!fits(client, bytes)) {
        sim_client_flush(client);
        bool is_ignored = sim_world_breaks(client->world, SIM_BREAK_QUEUE_UNBOUNDED);
        if (!is_ignored && !fits(client, bytes)) {
            sim_client_close(client, CLOSE_TOO_SLOW);
            return false;
        }
    }
    put_frame(client, bytes, delivery);
    return true;
}

void sim_client_accept(struct sim_client *client, size_t greeting_bytes)
{
    sim_trace_note(&client->world->trace, SIM_EVENT_OPEN, client->reader.client, 0, 0, 0);
    client->state = SIM_CLIENT_OPEN;
    client->open_since_event = client->world->trace.event_count;
    struct sim_client **device = &client->world->devices[place_of(client)];
    if (*device != NULL && (*device)->state == SIM_CLIENT_ENDED) {
        *device = client; /* it came before that one, and is let in after it */
    }
    sim_calls_come(client->world, client);
    client->world->open_counts[place_of(client)]++;
    put_frame(client, RESPONSE_BYTES, sim_no_delivery);
    bool is_open = greeting_bytes == 0 || sim_client_send(client, greeting_bytes, sim_no_delivery);
    for (; is_open && client->early_count > 0; client->early_count--) {
        sim_client_submit(client);
        is_open = client->state == SIM_CLIENT_OPEN;
    }
}

void sim_client_submit_to(struct sim_client *client, uint32_t user)
{
    struct sim_world *world = client->world;
    struct sim_message message = {
        .sender = client->reader.client,
        .number = ++client->sent_count,
        .from_user = client->reader.user,
        .from_device = client->device,
        .to_user = user,
        .call = sim_no_call,
        .first = sim_no_message,
        .padding_bytes = sim_random_once_in(&world->random, 4)
                             ? sim_random_below(&world->random, PADDING_MAX_BYTES)
                             : 0,
        .deadline_ms = world->now_ms + SIM_OUTCOME_TIMEOUT_MS,
        .late_ms = world->now_ms + SIM_DELIVERY_TIME_MS,
    };
    sim_gateway_read(gateway_of(client), client, sim_ledger_send(&world->ledger, &message));
}

void sim_client_submit(struct sim_client *client)
{
    sim_client_submit_to(client, sim_random_below(&client->world->random, SIM_USERS));
}
