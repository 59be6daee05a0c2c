#include "tests/sim/link.h"

#include "common/link_codec.h"
#include "tests/sim/tamper.h"
#include "tests/sim/world.h"

#include <assert.h>

static const size_t buffer_max_bytes = LINK_PAYLOAD_MAX_BYTES;

static enum sim_end other(enum sim_end end)
{
    return end == SIM_GATEWAY_END ? SIM_BROKER_END : SIM_GATEWAY_END;
}

void sim_link_init(struct sim_link *link, struct sim_world *world, uint32_t slot)
{
    *link = (struct sim_link){.world = world, .slot = slot};
    for (int end = 0; end < SIM_END_COUNT; end++) {
        buffer_init(&link->ends[end].out, world->limits.backlog_max_bytes);
        for (int i = 0; i < SIM_PIPE_BATCHES; i++) {
            buffer_init(&link->to[end].batches[i].bytes, buffer_max_bytes);
        }
    }
}

void sim_link_fini(struct sim_link *link)
{
    for (int end = 0; end < SIM_END_COUNT; end++) {
        buffer_fini(&link->ends[end].out);
        for (int i = 0; i < SIM_PIPE_BATCHES; i++) {
            buffer_fini(&link->to[end].batches[i].bytes);
        }
    }
}

void sim_link_connect(struct sim_link *link)
{
    if (link->conn == 0 && link->ends[SIM_GATEWAY_END].is_running &&
        link->ends[SIM_BROKER_END].is_running) {
        link->conn = ++link->last_conn;
        sim_trace_note(&link->world->trace, SIM_EVENT_CONNECT, link->slot, link->conn, 0, 0);
    }
}

void sim_link_cut(struct sim_link *link)
{
    if (link->conn == 0) {
        return;
    }
    for (int end = 0; end < SIM_END_COUNT; end++) {
        struct sim_pipe *pipe = &link->to[end];
        pipe->count = sim_random_below(&link->world->random, pipe->count + 1);
    }
    sim_trace_note(&link->world->trace, SIM_EVENT_CUT, link->slot, link->conn,
                   link->to[SIM_GATEWAY_END].count, link->to[SIM_BROKER_END].count);
    link->conn = 0;
}

static void tell_down(struct sim_link *link, enum sim_end end)
{
    struct sim_link_end *side = &link->ends[end];
    if (side->conn == 0) {
        return;
    }
    sim_trace_note(&link->world->trace, SIM_EVENT_DOWN, link->slot, end == SIM_BROKER_END,
                   side->conn, 0);
    side->conn = 0;
    buffer_clear(&side->out);
    side->handlers->on_down(side->arg);
}

static void tell_up(struct sim_link *link, enum sim_end end, uint32_t conn)
{
    struct sim_link_end *side = &link->ends[end];
    if (side->conn != 0 && sim_world_breaks(link->world, SIM_BREAK_DOWN_UNTOLD)) {
        side->conn = conn;
        side->last_conn = conn;
        return;
    }
    tell_down(link, end);
    side->conn = conn;
    side->last_conn = conn;
    sim_trace_note(&link->world->trace, SIM_EVENT_UP, link->slot, end == SIM_BROKER_END, conn, 0);
    side->handlers->on_up(side->arg);
}

void sim_link_notice(struct sim_link *link, enum sim_end end, bool fully)
{
    struct sim_link_end *side = &link->ends[end];
    bool is_over = side->conn != 0 && side->conn != link->conn;
    if (is_over && (!fully || link->conn <= side->last_conn)) {
        tell_down(link, end);
    } else if (link->conn > side->last_conn) {
        tell_up(link, end, link->conn);
    }
}

/* Takes the pipe's batch at `index` off; valid until the next one is put in. */
static struct sim_batch *take(struct sim_pipe *pipe, uint32_t index)
{
    struct sim_batch taken = pipe->batches[index];
    pipe->count--;
    for (uint32_t i = index; i < pipe->count; i++) {
        pipe->batches[i] = pipe->batches[i + 1];
    }
    pipe->batches[pipe->count] = taken;
    return &pipe->batches[pipe->count];
}

/* The batch that is handed over next. */
static struct sim_batch *take_next(struct sim_link *link, enum sim_end end)
{
    struct sim_pipe *pipe = &link->to[end];
    bool can_swap = pipe->count > 1 && pipe->batches[0].conn == pipe->batches[1].conn &&
                    pipe->batches[0].conn == link->ends[end].conn;
    return take(pipe, can_swap && sim_world_breaks(link->world, SIM_BREAK_BATCH_REORDER) ? 1 : 0);
}

static void hand_over(struct sim_link *link, enum sim_end end, uint32_t conn, struct slice bytes)
{
    struct sim_link_end *side = &link->ends[end];
    struct sim_trace *trace = &link->world->trace;
    sim_trace_note(trace, SIM_EVENT_BATCH, link->slot, end == SIM_BROKER_END, conn, bytes.len);
    if (side->handlers->on_batch(side->arg, bytes)) {
        return;
    }
    sim_trace_note(trace, SIM_EVENT_REFUSED, link->slot, end == SIM_BROKER_END, conn, 0);
    sim_trace_break(trace, "9: slot %u: the %s refused a batch of its peer", link->slot,
                    end == SIM_BROKER_END ? "broker" : "gateway");
    sim_link_end_connection(link, end);
}

bool sim_link_receive(struct sim_link *link, enum sim_end end)
{
    struct sim_link_end *side = &link->ends[end];
    struct sim_world *world = link->world;
    if (link->to[end].count == 0) {
        return false;
    }
    struct sim_batch *batch = take_next(link, end);
    if (batch->conn > side->last_conn) {
        tell_up(link, end, batch->conn); /* it may be here before the news of its connection */
    }
    bool is_current = side->conn != 0 &&
                      (batch->conn == side->conn || sim_world_breaks(world, SIM_BREAK_BATCH_OLD));
    if (!is_current || sim_world_breaks(world, SIM_BREAK_BATCH_LOST)) {
        return true;
    }
    sim_tamper(world, link->slot, end, &batch->bytes);
    /* What a handler makes of it may be sent at once: the batch must not be in the pipe's way. */
    struct buffer bytes = batch->bytes;
    buffer_init(&batch->bytes, buffer_max_bytes);
    uint32_t conn = side->conn;
    hand_over(link, end, conn, buffer_slice(&bytes));
    if (side->conn == conn && sim_world_breaks(world, SIM_BREAK_BATCH_TWICE)) {
        hand_over(link, end, conn, buffer_slice(&bytes));
    }
    buffer_fini(&bytes);
    return true;
}

static void send_batch(struct sim_link *link, enum sim_end from)
{
    struct sim_link_end *side = &link->ends[from];
    struct sim_pipe *pipe = &link->to[other(from)];
    struct slice records = buffer_slice(&side->out);
    size_t count = link_batch_cut(records, link->world->limits.batch_max_bytes);
    if (link->conn == side->conn) { /* else what it is sent on is over, and takes it along */
        struct sim_batch *batch = &pipe->batches[pipe->count++];
        batch->conn = link->conn;
        buffer_clear(&batch->bytes);
        buffer_put(&batch->bytes, slice_of(records.data, count));
        assert(!batch->bytes.failed);
    }
    buffer_consume(&side->out, count);
}

void sim_link_flush(struct sim_link *link, enum sim_end end, bool is_urgent)
{
    struct sim_link_end *side = &link->ends[end];
    struct sim_pipe *pipe = &link->to[other(end)];
    if (!is_urgent && link->world->is_noisy && !sim_random_once_in(&link->world->random, 4)) {
        return;
    }
    while (side->conn != 0 && buffer_len(&side->out) > 0 && pipe->count < SIM_PIPE_BATCHES) {
        if (side->conn != link->conn && !sim_random_once_in(&link->world->random, 2)) {
            return; /* its connection has ended: what it sends now may be taken, or not */
        }
        send_batch(link, end);
    }
}

void sim_link_end_connection(struct sim_link *link, enum sim_end end)
{
    if (link->ends[end].conn == 0) {
        return;
    }
    if (link->ends[end].conn == link->conn) {
        sim_link_cut(link);
    }
    tell_down(link, end);
}

void sim_link_forget(struct sim_link *link, enum sim_end end)
{
    sim_link_cut(link);
    link->ends[end].conn = 0;
    link->ends[end].last_conn = link->last_conn;
    link->ends[end].is_running = false;
    buffer_clear(&link->ends[end].out);
}
