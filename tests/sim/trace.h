/* What happened last in a run, and the first invariant that was broken. Cheap to note, so that a
 * run is told of only when somebody asks. */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { SIM_TRACE_EVENTS = 60, SIM_EVENT_NUMBERS = 4, SIM_BROKEN_MAX_BYTES = 200 };

enum sim_event_kind {
#define SIM_EVENT(enumerator, name, a, b, c, d) SIM_EVENT_##enumerator,
#include "tests/sim/events.def"
#undef SIM_EVENT
    SIM_EVENT_KIND_COUNT
};

struct sim_event {
    enum sim_event_kind kind;
    uint32_t step;
    uint64_t now_ms;
    uint64_t numbers[SIM_EVENT_NUMBERS];
};

struct sim_trace {
    uint32_t step;   /* the one that runs */
    uint64_t now_ms; /* virtual time */
    bool is_echoed;  /* every event is printed as it happens */
    uint64_t event_count;
    struct sim_event events[SIM_TRACE_EVENTS];
    char broken[SIM_BROKEN_MAX_BYTES]; /* empty: no invariant is broken */
    uint32_t broken_step;
};

void sim_trace_note(struct sim_trace *trace, enum sim_event_kind kind, uint64_t a, uint64_t b,
                    uint64_t c, uint64_t d);
/* An invariant is broken; only the first is kept. */
void sim_trace_break(struct sim_trace *trace, const char *format, ...) PRINTF_FORMAT(2, 3);
bool sim_trace_is_broken(const struct sim_trace *trace);
/* The last events, the oldest first. */
void sim_trace_print(const struct sim_trace *trace, FILE *file);
