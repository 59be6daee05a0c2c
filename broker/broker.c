#include "broker/broker.h"

#include "broker/call_log.h"
#include "broker/pace.h"
#include "broker/router.h"
#include "common/link.h"
#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { TICK_MS = 100, LINK_DIR_MODE = 0700 };

/* One gateway's place: its link, whoever holds it. */
struct slot {
    struct broker *broker;
    struct link *link;
    uint32_t number;
    bool was_greeted; /* on this connection; for the log */
};

struct broker {
    const struct broker_options *options;
    struct loop *loop;
    struct router *router;
    struct memory_keeper memory;
    struct loop_timer tick;
    struct pace pace;
    struct call_log *call_log; /* NULL: none is kept */
    uint64_t start_ms;
    bool has_recovered;
    uint32_t slot_count;
    struct slot slots[];
};

static void on_link_up(void *arg)
{
    struct slot *slot = arg;
    slot->was_greeted = false;
    log_write(LOG_LEVEL_INFO, "link-connected", "slot=%u", slot->number);
    router_link_up(slot->broker->router, slot->number, link_out(slot->link));
}

static void on_link_down(void *arg)
{
    struct slot *slot = arg;
    struct broker *broker = slot->broker;
    router_link_down(broker->router, slot->number, loop_now_ms(broker->loop));
    log_write(LOG_LEVEL_WARN, "link-down", "slot=%u sessions_left=%zu", slot->number,
              router_stats(broker->router).sessions);
}

static bool on_link_batch(void *arg, struct slice batch)
{
    struct slot *slot = arg;
    struct broker *broker = slot->broker;
    bool is_good = router_receive(broker->router, slot->number, batch, loop_now_ms(broker->loop));
    if (!is_good) {
        log_write(LOG_LEVEL_ERROR, "link-malformed", "slot=%u", slot->number);
    } else if (!slot->was_greeted && router_slot_is_greeted(broker->router, slot->number)) {
        slot->was_greeted = true;
        log_write(LOG_LEVEL_INFO, "link-up", "slot=%u", slot->number);
    }
    return is_good;
}

static const struct link_handlers link_handlers = {
    .on_up = on_link_up,
    .on_down = on_link_down,
    .on_batch = on_link_batch,
};

static void on_call_ended(void *arg, const struct call_report *report)
{
    struct broker *broker = arg;
    log_write(LOG_LEVEL_INFO, "call-ended",
              "callId=%s caller=%s callee=%s device=%s result=%s reason=%s ring_ms=%" PRIu64
              " talk_ms=%" PRIu64,
              log_quote(report->call_id).text, log_quote(report->caller).text,
              log_quote(report->callee).text, log_quote(report->device).text, report->result,
              log_quote(report->reason).text, report->ring_ms, report->talk_ms);
    if (broker->call_log != NULL) {
        call_log_write(broker->call_log, report);
    }
}

static void on_signal(void *arg, int signal_no)
{
    struct broker *broker = arg;
    if (signal_no == SIGHUP) {
        if (broker->call_log != NULL) {
            call_log_reopen(broker->call_log);
        }
        return;
    }
    log_write(LOG_LEVEL_INFO, "stopping", "signal=%d", signal_no);
    loop_stop(broker->loop);
}

static void on_tick(struct loop_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, tick);
    router_tick(broker->router, loop_now_ms(broker->loop));
}

static void log_recovered(struct broker *broker)
{
    broker->has_recovered = true;
    log_write(LOG_LEVEL_INFO, "recovered", "sessions=%zu ms=%" PRIu64,
              router_stats(broker->router).sessions, loop_now_ms(broker->loop) - broker->start_ms);
}

static void rest_if_busy(struct broker *broker)
{
    uint64_t submits = router_stats(broker->router).submits;
    if (pace_is_busy(&broker->pace, loop_now_us(broker->loop), submits) &&
        broker->options->linger_us > 0) {
        loop_rest(broker->loop, broker->options->linger_us);
    }
}

/* All that the turn produced leaves here, a batch a link. Ending a link produces answers for
 * others, which is why the stuck ones are ended first. */
static void on_turn_end(void *arg)
{
    struct broker *broker = arg;
    for (uint32_t i = 0; i < broker->slot_count; i++) {
        if (router_slot_is_stuck(broker->router, i)) {
            log_write(LOG_LEVEL_ERROR, "link-stuck", "slot=%u", i);
            link_end(broker->slots[i].link);
        }
    }
    for (uint32_t i = 0; i < broker->slot_count; i++) {
        link_flush(broker->slots[i].link, router_take_urgency(broker->router, i));
    }
    if (!broker->has_recovered && !router_is_recovering(broker->router)) {
        log_recovered(broker);
    }
    if (broker->tick.next == NULL && router_needs_tick(broker->router)) {
        loop_timer_set(broker->loop, &broker->tick, loop_now_ms(broker->loop) + TICK_MS);
    }
    rest_if_busy(broker);
}

/* The directory of the sockets: nobody else's business, hence the mode. */
static bool make_link_dir(const char *path)
{
    if (mkdir(path, LINK_DIR_MODE) != 0 && errno != EEXIST) {
        log_write(LOG_LEVEL_ERROR, "start-failed", "link_dir=%s error=\"%s\"", path,
                  strerror(errno));
        return false;
    }
    return true;
}

static bool open_slots(struct broker *broker)
{
    for (uint32_t i = 0; i < broker->options->gateways; i++) {
        struct slot *slot = &broker->slots[i];
        slot->broker = broker;
        slot->number = i;
        struct link_config config = {
            .role = LINK_LISTENS,
            .link_dir = broker->options->link_dir,
            .slot = i,
            .backlog_max_bytes = broker->options->backlog_max_bytes,
        };
        slot->link = link_new(broker->loop, &config, &link_handlers, slot);
        if (slot->link == NULL) {
            return false;
        }
        broker->slot_count++;
    }
    return true;
}

static bool set_up(struct broker *broker)
{
    const struct broker_options *options = broker->options;
    struct router_config config = {
        .slot_count = (uint32_t)options->gateways,
        .devices_max = options->devices_max,
        .transfers_max = options->transfers_max,
        .kept_max_bytes = options->kept_max_bytes,
        .transfer_timeout_ms = options->outcome_timeout_ms,
        .recovery_ms = options->recovery_ms,
        .hold_ms = options->hold_ms,
        .hold_users_max = options->hold_users_max,
        .hold_messages_max = options->hold_messages_max,
        .ring_ms = options->ring_ms,
        .call_grace_ms = options->call_grace_ms,
        .calls_max = options->calls_max,
        .calls_user_max = options->calls_user_max,
        .on_call_ended = on_call_ended,
        .arg = broker,
    };
    broker->loop = loop_new(on_turn_end, broker);
    if (broker->loop == NULL || !loop_watch_signals(broker->loop, on_signal, broker) ||
        getrandom(&config.instance_id, sizeof config.instance_id, 0) !=
            (ssize_t)sizeof config.instance_id ||
        getrandom(config.hash_key, sizeof config.hash_key, 0) != (ssize_t)sizeof config.hash_key) {
        log_write(LOG_LEVEL_ERROR, "start-failed", "error=\"%s\"", strerror(errno));
        return false;
    }
    memory_keeper_start(&broker->memory, broker->loop);
    broker->start_ms = loop_now_ms(broker->loop);
    broker->router = router_new(&config, broker->start_ms);
    if (broker->router == NULL) {
        log_write(LOG_LEVEL_ERROR, "start-failed", "error=memory");
        return false;
    }
    if (options->call_log[0] != '\0') {
        broker->call_log = call_log_open(options->call_log);
        if (broker->call_log == NULL) {
            return false;
        }
    }
    return make_link_dir(options->link_dir) && open_slots(broker);
}

struct broker *broker_new(const struct broker_options *options)
{
    struct broker *broker = calloc(1, sizeof *broker + options->gateways * sizeof(struct slot));
    if (broker == NULL) {
        return NULL;
    }
    broker->options = options;
    broker->tick.on_due = on_tick;
    if (!set_up(broker)) {
        broker_free(broker);
        return NULL;
    }
    log_write(LOG_LEVEL_INFO, "ready", "gateways=%" PRIu64, options->gateways);
    return broker;
}

void broker_run(struct broker *broker)
{
    loop_run(broker->loop);
    log_write(LOG_LEVEL_INFO, "stopped", "slots=%u", broker->slot_count);
}

void broker_free(struct broker *broker)
{
    if (broker == NULL) {
        return;
    }
    for (uint32_t i = 0; i < broker->slot_count; i++) {
        link_free(broker->slots[i].link);
    }
    loop_free(broker->loop);
    router_free(broker->router);
    call_log_close(broker->call_log);
    free(broker);
}
