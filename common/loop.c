#include "common/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_PER_TURN = 256,
    WHEEL_SLOTS = 4096, /* times the tick: 65 s ahead; later timers pass by more than once */
    BITS_PER_WORD = 64,
    IDLE_WAIT_MAX_MS = 60000,
    /* A rest that the kernel makes longer by its default of 50 us would not be worth its name. */
    TIMER_SLACK_NS = 1000,
    US_PER_S = 1000000,
    NS_PER_US = 1000,
};

/* The timers: a hashed wheel. Setting and cancelling never allocate and never fail. */
struct wheel {
    struct loop_timer slots[WHEEL_SLOTS];       /* list heads */
    uint64_t used[WHEEL_SLOTS / BITS_PER_WORD]; /* a bit for each slot that may hold timers */
    uint64_t tick;                              /* every slot up to this tick has been served */
};

struct loop {
    int epoll_fd;
    bool stopped;
    uint64_t now_us;
    uint64_t rest_until_us; /* 0: no rest before the next turn */
    void (*on_turn_end)(void *arg);
    void *turn_end_arg;
    struct loop_retired *retired;
    struct loop_watch signal_watch;
    void (*on_signal)(void *arg, int signal_no);
    void *signal_arg;
    struct wheel wheel;
};

static void list_init(struct loop_timer *head)
{
    head->prev = head;
    head->next = head;
}

static bool list_is_empty(const struct loop_timer *head)
{
    return head->next == head;
}

static void list_push(struct loop_timer *head, struct loop_timer *timer)
{
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

static void list_unlink(struct loop_timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->prev = NULL;
    timer->next = NULL;
}

static void read_clock(struct loop *loop)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(result == 0);
    loop->now_us = (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_us / 1000U;
}

struct loop *loop_new(void (*on_turn_end)(void *arg), void *arg)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    loop->on_turn_end = on_turn_end;
    loop->turn_end_arg = arg;
    loop->signal_watch.fd = -1;
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&loop->wheel.slots[i]);
    }
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0); /* refused: rests are longer */
    read_clock(loop);
    loop->wheel.tick = loop_now_ms(loop) / LOOP_TIMER_TICK_MS;
    return loop;
}

static void free_retired(struct loop *loop)
{
    while (loop->retired != NULL) {
        struct loop_retired *retired = loop->retired;
        loop->retired = retired->next;
        retired->free_fn(retired);
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    free_retired(loop);
    if (loop->signal_watch.fd >= 0) {
        (void)close(loop->signal_watch.fd);
    }
    (void)close(loop->epoll_fd);
    free(loop);
}

bool loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        watch->fd = -1;
        return false;
    }
    watch->fd = fd;
    watch->events = events;
    return true;
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    if (watch->events == events) {
        return;
    }
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    assert(result == 0);
    watch->events = events;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    assert(watch->fd >= 0);
    int result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    assert(result == 0);
    watch->fd = -1;
}

static size_t wheel_slot(uint64_t tick)
{
    return (size_t)(tick % WHEEL_SLOTS);
}

/* The first tick at which `due_ms` has passed. */
static uint64_t tick_of(uint64_t due_ms)
{
    return (due_ms + LOOP_TIMER_TICK_MS - 1) / LOOP_TIMER_TICK_MS;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ms)
{
    if (timer->next != NULL) {
        list_unlink(timer);
    }
    struct wheel *wheel = &loop->wheel;
    timer->due_ms = due_ms;
    uint64_t tick = tick_of(due_ms);
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1;
    }
    size_t slot = wheel_slot(tick);
    list_push(&wheel->slots[slot], timer);
    wheel->used[slot / BITS_PER_WORD] |= UINT64_C(1) << (slot % BITS_PER_WORD);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    if (timer->next != NULL) {
        list_unlink(timer);
    }
}

/* Calls the slot's timers that are due; those of a later round stay. */
static void serve_slot(struct loop *loop, size_t slot)
{
    struct loop_timer *head = &loop->wheel.slots[slot];
    struct loop_timer due;
    list_init(&due);
    for (struct loop_timer *timer = head->next; timer != head;) {
        struct loop_timer *next = timer->next;
        if (tick_of(timer->due_ms) <= loop->wheel.tick) {
            list_unlink(timer);
            list_push(&due, timer);
        }
        timer = next;
    }
    if (list_is_empty(head)) {
        loop->wheel.used[slot / BITS_PER_WORD] &= ~(UINT64_C(1) << (slot % BITS_PER_WORD));
    }
    while (!list_is_empty(&due)) {
        struct loop_timer *timer = due.next;
        list_unlink(timer);
        timer->on_due(timer);
    }
}

static void serve_timers(struct loop *loop)
{
    struct wheel *wheel = &loop->wheel;
    uint64_t now_tick = loop_now_ms(loop) / LOOP_TIMER_TICK_MS;
    if (now_tick > wheel->tick + WHEEL_SLOTS) {
        wheel->tick = now_tick - WHEEL_SLOTS; /* after a long stop one round serves every slot */
    }
    while (wheel->tick < now_tick) {
        wheel->tick++;
        size_t slot = wheel_slot(wheel->tick);
        if ((wheel->used[slot / BITS_PER_WORD] >> (slot % BITS_PER_WORD) & 1) != 0) {
            serve_slot(loop, slot);
        }
    }
}

/* How long epoll may wait: until the next slot that may hold a timer. */
static int wait_ms(const struct loop *loop)
{
    const struct wheel *wheel = &loop->wheel;
    for (uint64_t tick = wheel->tick + 1; tick <= wheel->tick + WHEEL_SLOTS; tick++) {
        size_t slot = wheel_slot(tick);
        uint64_t word = wheel->used[slot / BITS_PER_WORD] >> (slot % BITS_PER_WORD);
        if (word == 0) {
            tick += BITS_PER_WORD - 1 - slot % BITS_PER_WORD;
        } else {
            uint64_t due_ms = (tick + (uint64_t)__builtin_ctzll(word)) * LOOP_TIMER_TICK_MS;
            uint64_t now_ms = loop_now_ms(loop);
            return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
        }
    }
    return IDLE_WAIT_MAX_MS;
}

void loop_rest(struct loop *loop, uint64_t us)
{
    loop->rest_until_us = loop->now_us + us;
}

static void rest(struct loop *loop)
{
    if (loop->rest_until_us == 0) {
        return;
    }
    struct timespec until = {
        .tv_sec = (time_t)(loop->rest_until_us / US_PER_S),
        .tv_nsec = (long)(loop->rest_until_us % US_PER_S * NS_PER_US),
    };
    loop->rest_until_us = 0;
    /* Cut short it is a shorter rest. */
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

void loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_PER_TURN];
    loop->stopped = false;
    while (!loop->stopped) {
        rest(loop);
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, wait_ms(loop));
        assert(count >= 0 || errno == EINTR);
        read_clock(loop);
        for (int i = 0; i < count; i++) {
            struct loop_watch *watch = events[i].data.ptr;
            if (watch->fd >= 0) {
                watch->on_ready(watch, events[i].events);
            }
        }
        serve_timers(loop);
        loop->on_turn_end(loop->turn_end_arg);
        free_retired(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_retire(struct loop *loop, struct loop_retired *retired,
                 void (*free_fn)(struct loop_retired *retired))
{
    retired->free_fn = free_fn;
    retired->next = loop->retired;
    loop->retired = retired;
}

static void on_signal_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)epoll_events;
    struct loop *loop = container_of(watch, struct loop, signal_watch);
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        loop->on_signal(loop->signal_arg, (int)info.ssi_signo);
    }
}

bool loop_watch_signals(struct loop *loop, void (*on_signal)(void *arg, int signal_no), void *arg)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
        return false;
    }
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    loop->on_signal = on_signal;
    loop->signal_arg = arg;
    loop->signal_watch.on_ready = on_signal_ready;
    if (!loop_watch_add(loop, &loop->signal_watch, fd, EPOLLIN)) {
        (void)close(fd);
        return false;
    }
    return true;
}
