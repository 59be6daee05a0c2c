/* One client's connection as gateway/client.c and connection.c have it, without the bytes: a stream
 * of frames towards the client, with positions up to where it is queued, written and begun, and a
 * client that reads, or does not, or in pieces. */
#pragma once

#include "gateway/session.h"
#include "tests/sim/ledger.h"

struct sim_world;

enum {
    SIM_USERS = 8,
    SIM_DEVICES = 2, /* at most, of a user */
    SIM_PLACES = SIM_USERS * SIM_DEVICES,
};

/* What a frame tells its client of a call: what another has said, what the server says, or what
 * became of something that the client has said. */
enum sim_word_kind { SIM_WORD_NONE, SIM_WORD_MESSAGE, SIM_WORD_NOTICE, SIM_WORD_OUTCOME };

enum sim_reason { SIM_REASON_OTHER, SIM_REASON_ANSWERED, SIM_REASON_REJECTED };

struct sim_word {
    enum sim_word_kind kind;
    enum call_type type;    /* of a notice */
    enum sim_reason reason; /* of a notice */
    enum outcome outcome;
    uint32_t call; /* sim_no_call: one that nobody began */
    uint32_t message;
    uint64_t until_ms; /* of a call-start: how long it rings */
};

enum sim_client_state { SIM_CLIENT_WAITING, SIM_CLIENT_OPEN, SIM_CLIENT_ENDED };

struct sim_frame {
    uint64_t begin_bytes;
    uint64_t end_bytes;
    uint32_t delivery; /* sim_no_delivery: a message of the gateway's own */
    struct sim_word word;
};

struct sim_client {
    struct sim_client *next; /* among those of its gateway */
    struct sim_world *world;
    struct sim_reader reader; /* its number, its user */
    uint32_t device;
    uint32_t gateway;
    uint64_t since_ms; /* when it came */
    uint64_t open_since_event;
    enum sim_client_state state;
    bool reads;
    bool is_retiring;
    struct session *session; /* NULL once it has ended */
    uint64_t session_id;
    uint64_t queued_bytes;
    uint64_t written_bytes;
    struct sim_frame *frames; /* not yet written in full */
    uint32_t frame_count;
    uint32_t frame_cap;
    uint32_t sent_count;
    uint32_t early_count; /* messages sent before it was let in */
};

/* Connects to a gateway that is up, and asks to be attached. */
struct sim_client *sim_client_new(struct sim_world *world, uint32_t user, uint32_t device,
                                  uint32_t gateway);
void sim_client_free(struct sim_client *client);

/* WAITING -> OPEN, with a response and a greeting (none: 0 bytes). */
void sim_client_accept(struct sim_client *client, size_t greeting_bytes);
/* As client_send: queues a frame; false: the client was too slow, and is closed. */
MUST_CHECK bool sim_client_send(struct sim_client *client, size_t payload_bytes, uint32_t delivery);
/* What the last frame that was queued says. */
void sim_client_set_word(struct sim_client *client, const struct sim_word *word);
/* The socket takes at most `count` bytes more. */
void sim_client_write(struct sim_client *client, uint64_t count);
/* What the socket takes at the end of a turn. */
void sim_client_flush(struct sim_client *client);
/* As client_close: our last word; nothing in any state but OPEN. */
void sim_client_close(struct sim_client *client, uint16_t code);
/* Its gateway drains: the client is taken out of the directory, and closed when nothing is under
 * way. */
void sim_client_retire(struct sim_client *client);
/* The client vanishes. */
void sim_client_abort(struct sim_client *client);
/* Its gateway died: the socket ends, nobody is told. */
void sim_client_lose(struct sim_client *client);
/* The client sends one message to that user, and the gateway reads it. */
void sim_client_submit_to(struct sim_client *client, uint32_t user);
/* The same, to anybody. */
void sim_client_submit(struct sim_client *client);
