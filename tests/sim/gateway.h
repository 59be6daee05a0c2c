/* A gateway process: its exchange, wired to clients and link as gateway/gateway.c wires it. */
#pragma once

#include "gateway/exchange.h"
#include "tests/sim/client.h"
#include "tests/sim/link.h"
#include "tests/sim/process.h"

struct sim_gateway {
    struct sim_world *world;
    struct sim_process process;
    struct sim_link *link;
    uint32_t slot;
    uint64_t instance_id;
    struct exchange *exchange; /* NULL: not up */
    struct sim_client *first_client;
    struct buffer text; /* scratch */
};

void sim_gateway_init(struct sim_gateway *gateway, struct sim_world *world, uint32_t slot);
void sim_gateway_fini(struct sim_gateway *gateway);

/* A new instance. */
void sim_gateway_start(struct sim_gateway *gateway);
void sim_gateway_crash(struct sim_gateway *gateway);

/* A turn of the loop; `fully`: everything that is there is read. */
void sim_gateway_turn(struct sim_gateway *gateway, bool fully);
/* The end of a turn alone. */
void sim_gateway_end_turn(struct sim_gateway *gateway);

/* From its clients. */
void sim_gateway_attach(struct sim_gateway *gateway, struct sim_client *client);
void sim_gateway_read(struct sim_gateway *gateway, struct sim_client *client, uint32_t message);
void sim_gateway_retire(struct sim_gateway *gateway, struct sim_client *client);
void sim_gateway_written(struct sim_gateway *gateway, struct sim_client *client);
void sim_gateway_end(struct sim_gateway *gateway, struct sim_client *client, uint16_t code,
                     uint64_t begun_bytes);

/* NULL: no client of it, open or waiting, has that session. */
struct sim_client *sim_gateway_find(const struct sim_gateway *gateway, uint64_t session_id);
size_t sim_gateway_client_count(const struct sim_gateway *gateway);
