/* One thread's event loop: descriptors (epoll), timers, signals.
 *
 * A turn is: wait, call what is ready, call what is due, then the turn's end (where everything the
 * turn produced is written out at once), then free what was retired. Nothing here locks: a loop and
 * all that hangs on it belong to one thread. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

struct loop;

/* A descriptor to watch; embedded in its owner, who keeps it alive until the end of the turn in
 * which it was removed (see loop_retire). */
struct loop_watch {
    void (*on_ready)(struct loop_watch *watch, uint32_t epoll_events);
    int fd;          /* -1 when not watched */
    uint32_t events; /* EPOLLIN, EPOLLOUT as asked for last; level-triggered */
};

/* A one-shot timer; embedded in its owner. Zero-initialise before first use. */
struct loop_timer {
    struct loop_timer *prev;
    struct loop_timer *next; /* NULL: not set */
    uint64_t due_ms;
    void (*on_due)(struct loop_timer *timer);
};

/* Memory to be freed at the end of the turn, when no caller up the stack can still hold it. */
struct loop_retired {
    struct loop_retired *next;
    void (*free_fn)(struct loop_retired *retired);
};

/* NULL: no memory or no descriptor. `on_turn_end` runs once a turn. */
struct loop *loop_new(void (*on_turn_end)(void *arg), void *arg);
void loop_free(struct loop *loop);

/* Turns until the end of the turn in which loop_stop is called; may be run again after that. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Monotonic time, read once a turn. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_now_us(const struct loop *loop);

/* The next turn begins no sooner than `us` (less than a second) after this one did; timers and
 * descriptors that are ready wait so long. Holds for one turn; call it at the end of one. */
void loop_rest(struct loop *loop, uint64_t us);

/* False: the kernel refused (descriptors, memory); the watch is not watched. */
MUST_CHECK bool loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd,
                               uint32_t events);
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Does not close the descriptor. Its on_ready is not called any more, in this turn neither. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* Sets or moves a timer; it fires once, not before `due_ms`, at most LOOP_TIMER_TICK_MS late. */
enum { LOOP_TIMER_TICK_MS = 16 };
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Calls free_fn at the end of this turn. */
void loop_retire(struct loop *loop, struct loop_retired *retired,
                 void (*free_fn)(struct loop_retired *retired));

/* Blocks SIGTERM, SIGINT and SIGHUP for this thread and those it will start, and calls `on_signal`
 * from the loop instead. Call before any thread is started. False: the kernel refused. */
MUST_CHECK bool loop_watch_signals(struct loop *loop, void (*on_signal)(void *arg, int signal_no),
                                   void *arg);
